"""Broken connections: what proves that the carrier never saw the request, and what doesn't (real sockets)."""

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import responses
import urllib3

from calls.carriers import connection
from calls.carriers.base import CarrierError, NoAnswer, NotTaken, Order, OrderedCall, Question, Stopped, Unconfirmed
from calls.carriers.obd import ObdCarrier
from tests.carriers.conftest import MakeCarrier
from tests.certificates import REFUSED, Certificates
from tests.obd_server import KEY, Break, ObdServer, Say

NUMBER = "+442079460001"
HANDSHAKE_FAILED = "The TLS handshake with the carrier failed."
ORDER = Order(calls=[OrderedCall("5-1", NUMBER)], play="1.sound")


def sentence(carrier: ObdCarrier, kind: type[CarrierError], order: Order = ORDER) -> str:
    """Place an order that must fail in exactly this way: what people are told."""
    with pytest.raises(CarrierError) as caught:
        carrier.place(order)
    assert type(caught.value) is kind, caught.value
    said = str(caught.value)
    assert said.endswith(".")
    assert KEY not in said
    assert "794600" not in said
    return said


@contextmanager
def listening(treat: Callable[[socket.socket], object] | None) -> Iterator[int]:
    """A port whose one connection is given to `treat`; with None nobody ever accepts it."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:

        def serve() -> None:
            taken, _ = listener.accept()
            with taken:
                assert treat
                treat(taken)

        thread = threading.Thread(target=serve)
        if treat:
            thread.start()
        yield listener.getsockname()[1]
        if treat:
            thread.join()


# --- Certainly never sent ----------------------------------------------------------------------------------------


def test_unknown_name_is_not_taken(make_carrier: MakeCarrier, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    said = sentence(make_carrier("http://carrier.invalid/api/v1/"), NotTaken)
    assert said == "The carrier's name could not be looked up."


def test_refused_connection_is_not_taken(make_carrier: MakeCarrier) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, so nobody else takes it; not listening, so it refuses
        port = unused.getsockname()[1]
        assert sentence(make_carrier(f"http://127.0.0.1:{port}/"), NotTaken) == "The carrier refused the connection."
        assert sentence(make_carrier(f"https://127.0.0.1:{port}/"), NotTaken) == "The carrier refused the connection."


def test_unreachable_network_is_not_taken(make_carrier: MakeCarrier, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", fail)
    assert sentence(make_carrier("http://127.0.0.1:9/"), NotTaken) == "The carrier could not be reached."


def test_connecting_for_too_long_is_not_taken(make_carrier: MakeCarrier) -> None:
    with listening(None) as port:
        waiting = []
        try:
            for _ in range(8):  # a full backlog: further connections are left waiting
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
                waiting.append(client)
            said = sentence(make_carrier(f"http://127.0.0.1:{port}/", timeout=0.2), NotTaken)
        finally:
            for client in waiting:
                client.close()
    assert said == "The carrier could not be reached in time."


@pytest.mark.parametrize(
    ("treat", "timeout", "said"),
    [
        (
            lambda taken: taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            5,
            "The TLS handshake with the carrier failed.",
        ),
        (lambda taken: taken.recv(1), 5, HANDSHAKE_FAILED),
        (lambda taken: taken.shutdown(socket.SHUT_RDWR), 5, HANDSHAKE_FAILED),
        (
            lambda taken: taken.recv(10_000) and taken.recv(1),
            0.2,
            "The carrier did not finish the TLS handshake in time.",
        ),
    ],
    ids=["no TLS", "reset", "closed", "silent"],
)
def test_failed_handshake_is_not_taken(
    make_carrier: MakeCarrier, treat: Callable[[socket.socket], object], timeout: float, said: str
) -> None:
    with listening(treat) as port:
        assert sentence(make_carrier(f"https://127.0.0.1:{port}/", timeout=timeout), NotTaken) == said


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """Certificates of which only those of the one authority are trusted."""
    certificates = Certificates(tmp_path)
    certificates.trust(monkeypatch)
    return certificates


@pytest.mark.parametrize(("kind", "said"), REFUSED.items(), ids=REFUSED)
def test_bad_certificate_is_not_taken(
    server: ObdServer, make_carrier: MakeCarrier, certificates: Certificates, kind: str, said: str
) -> None:
    server.certificate = certificates.context(kind)
    assert sentence(make_carrier(server.url), NotTaken) == said
    assert server.connections == 1, "it got as far as the handshake"
    assert server.begun == [], "and no byte of the request was sent"


def test_good_certificate_is_taken(server: ObdServer, make_carrier: MakeCarrier, certificates: Certificates) -> None:
    server.certificate = certificates.context("good")
    carrier = make_carrier(server.url)
    carrier.place(ORDER)
    carrier.place(ORDER)
    assert len(server.called) == 2
    assert server.connections == 1


def test_certificate_is_not_accepted_from_an_authority_that_the_world_does_not_trust(
    server: ObdServer, make_carrier: MakeCarrier, tmp_path: Path
) -> None:
    server.certificate = Certificates(tmp_path).context("good")
    assert sentence(make_carrier(server.url), NotTaken) == REFUSED["stranger"]
    assert server.begun == []


def test_request_broken_under_tls_is_unconfirmed(
    server: ObdServer, make_carrier: MakeCarrier, certificates: Certificates
) -> None:
    server.certificate = certificates.context("good")
    for fault in (Break.BEFORE_READING, Break.AFTER_READING, Break.HALFWAY):
        server.faults.append(fault)
        assert (
            sentence(make_carrier(server.url), Unconfirmed) == "The connection broke before the carrier had answered."
        )
    assert len(server.called) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_url": ""}, "OBD_BASE_URL is not set: where the carrier is."),
        ({"base_url": "carrier.example/api/v1/"}, "OBD_BASE_URL is not a plain address such as https://host/api/v1/."),
        ({"base_url": "ftp://carrier.example/"}, "OBD_BASE_URL is not a plain address such as https://host/api/v1/."),
        ({"base_url": "https:///api/v1/"}, "OBD_BASE_URL is not a plain address such as https://host/api/v1/."),
        ({"base_url": "https://host:port/"}, "OBD_BASE_URL is not a plain address such as https://host/api/v1/."),
        ({"base_url": "https://a:b@host/"}, "OBD_BASE_URL is not a plain address such as https://host/api/v1/."),
        ({"base_url": "https://host/?api_key=x"}, "OBD_BASE_URL is not a plain address such as https://host/api/v1/."),
        ({"api_key": ""}, "OBD_API_KEY is not set: the key of the OBD account."),
        ({"api_key": "two words"}, "OBD_API_KEY has characters that no key has."),
        ({"api_key": "line\nbreak"}, "OBD_API_KEY has characters that no key has."),
        ({"api_key": "ключ"}, "OBD_API_KEY has characters that no key has."),
    ],
)
def test_wrong_settings_stop_the_call_group(
    server: ObdServer, make_carrier: MakeCarrier, changes: dict[str, str], said: str
) -> None:
    assert sentence(make_carrier(**{"base_url": server.url} | changes), Stopped) == said
    assert server.received == []


def test_an_address_that_no_library_takes_is_not_taken(make_carrier: MakeCarrier) -> None:
    sentence(make_carrier(f"http://{'a' * 64}.example/"), NotTaken)


# --- Perhaps sent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Break.BEFORE_READING, Break.AFTER_READING, Break.HALFWAY], ids=str)
def test_broken_connection_is_unconfirmed(server: ObdServer, carrier: ObdCarrier, fault: Break) -> None:
    server.faults.append(fault)
    assert sentence(carrier, Unconfirmed) == "The connection broke before the carrier had answered."
    assert len(server.called) == (0 if fault is Break.BEFORE_READING else 1), "never sent twice"


@pytest.mark.parametrize("fault", [Break.NEVER, Break.TRICKLE, Break.TRICKLE_HEADERS], ids=str)
def test_no_whole_answer_in_time_is_unconfirmed(server: ObdServer, make_carrier: MakeCarrier, fault: Break) -> None:
    server.faults.append(fault)
    began = time.monotonic()
    assert (
        sentence(make_carrier(server.url, timeout=0.5), Unconfirmed) == "The carrier did not answer within 0.5 seconds."
    )
    assert 0.4 < time.monotonic() - began < 10
    assert len(server.called) == 1


def test_endless_answer_is_unconfirmed(server: ObdServer, make_carrier: MakeCarrier) -> None:
    server.faults.append(Break.ENDLESS)
    assert sentence(make_carrier(server.url, timeout=60), Unconfirmed) == "The carrier's answer is larger than 16 MiB."


def test_answer_that_unpacks_to_too_much_is_unconfirmed(server: ObdServer, carrier: ObdCarrier) -> None:
    server.faults.append(Say(gzip.compress(b" " * (20 << 20)), headers=(("Content-Encoding", "gzip"),)))
    assert sentence(carrier, Unconfirmed) == "The carrier's answer is larger than 16 MiB."


def test_answer_that_can_not_be_unpacked_is_unconfirmed(server: ObdServer, carrier: ObdCarrier) -> None:
    server.faults.append(Say(b"{answer}", headers=(("Content-Encoding", "gzip"),)))
    assert sentence(carrier, Unconfirmed) == "The carrier's answer could not be unpacked."


@pytest.mark.parametrize(
    "answer",
    [b"", b"\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200],
    ids=["nothing", "blank", "not HTTP", "length", "chunk", "headers"],
)  # fmt: skip
def test_what_is_no_http_is_unconfirmed(make_carrier: MakeCarrier, answer: bytes) -> None:
    def treat(taken: socket.socket) -> None:
        while b"1.sound" not in taken.recv(10_000):
            pass
        taken.sendall(answer)

    with listening(treat) as port:
        sentence(make_carrier(f"http://127.0.0.1:{port}/"), Unconfirmed)


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("reset"),
        requests.exceptions.SSLError("record layer failure in the middle of the answer"),
        requests.exceptions.InvalidHeader("of the answer"),
        requests.ReadTimeout("slow"),
        requests.exceptions.ChunkedEncodingError("cut"),
        urllib3.exceptions.ProtocolError("cut"),
        OSError(5, "strange"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_prove_nothing_are_unconfirmed(make_carrier: MakeCarrier, error: Exception) -> None:
    with responses.RequestsMock() as mock:
        mock.post("https://carrier.example/api/v1/", body=error)
        sentence(make_carrier("https://carrier.example/api/v1"), Unconfirmed)


# --- Kept connections --------------------------------------------------------------------------------------------


def test_connections_are_kept(server: ObdServer, carrier: ObdCarrier) -> None:
    for _ in range(5):
        carrier.place(ORDER)
    assert server.connections == 1


def test_threads_share_kept_connections(
    server: ObdServer, make_carrier: MakeCarrier, caplog: pytest.LogCaptureFixture
) -> None:
    carrier = make_carrier(server.url, connections=4)
    threads = [threading.Thread(target=lambda: [carrier.place(ORDER) for _ in range(10)]) for _ in range(4)]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.called) == 40
    assert server.connections <= 4
    assert caplog.records == []


def test_kept_connection_that_the_carrier_closed_is_not_used(server: ObdServer, carrier: ObdCarrier) -> None:
    server.faults.append(Break.AFTER_ANSWER)
    carrier.place(ORDER)
    server.wait_until_closed()
    carrier.place(ORDER)
    assert server.connections == 2
    assert len(server.called) == 2


def test_kept_connection_that_closes_under_the_request_is_unconfirmed(server: ObdServer, carrier: ObdCarrier) -> None:
    server.faults += [None, Break.BEFORE_READING]
    carrier.place(ORDER)
    sentence(carrier, Unconfirmed)
    assert server.connections == 1
    assert len(server.called) == 1


def test_connection_unused_for_long_is_not_used_again(
    server: ObdServer, carrier: ObdCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier.place(ORDER)
    monkeypatch.setattr(connection, "KEPT_SECONDS", 0)
    carrier.place(ORDER)
    assert server.connections == 2


# --- Nothing from elsewhere --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(server: ObdServer, carrier: ObdCarrier, status: int) -> None:
    with ObdServer() as elsewhere:
        server.faults.append(Say(b"{answer}", status, headers=(("Location", elsewhere.url),)))
        said = sentence(carrier, Unconfirmed)
    assert said == f"The carrier redirected the request elsewhere ({status}); that is not followed."
    assert elsewhere.connections == 0
    assert len(server.received) == 1


def test_environment_and_cookies_are_left_out(
    server: ObdServer, carrier: ObdCarrier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ObdServer() as proxy:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login someone password something\n")
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        server.faults.append(Say(b"{answer}", 200, "application/json", (("Set-Cookie", "a=b"),)))
        carrier.place(ORDER)
        carrier.place(ORDER)
        assert proxy.connections == 0
    for request in server.received:
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers


def test_key_is_in_no_log_and_no_repr(server: ObdServer, carrier: ObdCarrier, caplog: pytest.LogCaptureFixture) -> None:
    server.faults += [None, Break.AFTER_READING, Say(b"Invalid key {answer} " + KEY.encode(), 403)]
    with caplog.at_level(logging.DEBUG):
        carrier.place(ORDER)
        sentence(carrier, Unconfirmed)
        sentence(carrier, Unconfirmed)
    assert caplog.records
    assert KEY not in caplog.text
    assert KEY not in repr(carrier)


def test_question_that_fails_is_no_answer(server: ObdServer, carrier: ObdCarrier, make_carrier: MakeCarrier) -> None:
    question = Question(calls=[], sent_at=datetime.now(UTC), group="700001")
    server.faults.append(Break.AFTER_READING)
    with pytest.raises(NoAnswer, match=r"^The connection broke before the carrier had answered\.$"):
        list(carrier.reports(question))
    with pytest.raises(NoAnswer, match="OBD_BASE_URL is not set"):
        list(make_carrier("").reports(question))
