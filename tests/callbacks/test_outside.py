"""Requests to the outside reach nothing inside, follow nothing and end in time."""

import errno
import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from calls.api import outside
from calls.api.outside import Forbidden, NotReached, get, inside, why_forbidden
from tests.callbacks.receiver import Receiver, Trap, listening, trap

INSIDE = [
    # each kind of IPv4 address, its first and its last ones
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "100.100.100.200",
    "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255",
    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    # of IPv6
    "::", "::1", "100::1", "2001:db8::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "febf::1",
    "fec0::1", "ff02::1", "2001:2::1", "2001:10::1", "2001:20::1", "4000::1", "fdff::1",
    # IPv4 in IPv6: mapped, compatible, translated, NAT64 twice, 6to4, Teredo
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "2002:7f00:1::1",
    "2002:808:808::1", "2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip
OUTSIDE = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "168.63.129.15", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
    "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip


def nothing(target: str) -> dict[str, str]:
    return {}


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A receiver that may be reached."""
    settings.CALLBACK_ALLOW = ["127.0.0.0/8"]
    with listening() as receiver:
        yield receiver


@pytest.fixture
def caught() -> Iterator[Trap]:
    with trap() as caught:
        yield caught
        assert caught.caught == 0, "something inside was reached"


@contextmanager
def resolver(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Iterator[list[str]]:
    """Names are looked up to these addresses, one answer after the other; yields the names that were looked up."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, port, 0, 0))
            if ":" in each
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield asked


@contextmanager
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The addresses that are connected to; nothing really is."""
    made: list[Any] = []

    class Socket(socket.socket):
        def connect(self, address: Any) -> None:
            made.append(address)
            raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr("calls.api.outside.socket.socket", Socket)
        yield made


# --- Which addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = ipaddress.ip_address(address)
    assert inside(parsed)
    assert why_forbidden("example.com", 80, parsed)
    with resolver(monkeypatch, [address]), connections(monkeypatch) as made:
        with pytest.raises(Forbidden, match="is at"):
            get("http://example.com/", nothing)
        assert made == []


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_outside(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inside(ipaddress.ip_address(address)) == ""
    with resolver(monkeypatch, [address]), connections(monkeypatch) as made:
        with pytest.raises(NotReached, match="refused the connection"):
            get("http://example.com/", nothing)
        assert [each[:2] for each in made] == [(address, 80)]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0",
        "0.0.0.0", "localhost", "localhost.", "LOCALHOST", "127.0.0.1.", "[::1]", "[::]", "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "%31%32%37.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1",
        "user@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1#@example.com", "example.com%40127.0.0.1",
        "loc\u00adalhost", "[fe80::1%25lo]", "".join(chr(ord(char) + 0xFEE0) for char in "localhost"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_hosts_in_odd_writings_reach_nothing(caught: Trap, host: str, scheme: str) -> None:
    with pytest.raises(NotReached):
        get(f"{scheme}://{host.replace('#', f':{caught.port}#')}:{caught.port}/", nothing)


@pytest.mark.parametrize("address", ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_this_machine_by_its_own_address(caught: Trap, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(outside, "_own_addresses", lambda: {ipaddress.ip_address("8.8.8.8")})
    with resolver(monkeypatch, [address]), pytest.raises(Forbidden, match="this machine"):
        get(f"http://example.com:{caught.port}/", nothing)


def test_the_addresses_of_this_machine_are_known() -> None:
    assert ipaddress.ip_address("127.0.0.1") in outside._own_addresses()


@pytest.mark.parametrize("port", [25, 465, 587])
def test_ports_for_mail(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    with connections(monkeypatch) as made:
        with pytest.raises(Forbidden, match=f"port {port}"):
            get(f"http://8.8.8.8:{port}/", nothing)
        assert made == []


# --- Names ---------------------------------------------------------------------------------------------------------


def test_one_address_inside_is_enough_to_refuse_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["2606:4700::1111", "8.8.8.8", "::1"]):
        with resolver(monkeypatch, answer), connections(monkeypatch) as made:
            with pytest.raises(Forbidden):
                get("http://example.com/", nothing)
            assert made == []


def test_a_name_is_looked_up_once_and_what_it_means_later_plays_no_part(
    caught: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    with resolver(monkeypatch, ["8.8.8.8"], ["127.0.0.1"]) as asked, connections(monkeypatch) as made:
        with pytest.raises(NotReached, match="refused"):
            get(f"http://example.com:{caught.port}/", nothing)
        assert asked == ["example.com"]
        assert made == [("8.8.8.8", caught.port)]


def test_the_other_way_round_it_is_refused_and_next_time_looked_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolver(monkeypatch, ["127.0.0.1"], ["8.8.8.8"]) as asked, connections(monkeypatch) as made:
        with pytest.raises(Forbidden):
            get("http://example.com/", nothing)
        with pytest.raises(NotReached, match="refused the connection"):
            get("http://example.com/", nothing)
        assert asked == ["example.com", "example.com"]
        assert made == [("8.8.8.8", 80)]


def test_further_addresses_are_tried(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    class Socket(socket.socket):
        def connect(self, address: Any) -> None:
            if address[0] == "127.0.0.9":
                raise ConnectionRefusedError
            super().connect(address)

    monkeypatch.setattr("calls.api.outside.socket.socket", Socket)
    with resolver(monkeypatch, ["127.0.0.9", "127.0.0.1"]):
        assert get(f"http://example.com:{receiver.port}/", nothing).status == 200
    assert receiver.received[0]["host"] == f"example.com:{receiver.port}"


def test_a_machine_without_ipv6_reaches_the_other_addresses(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    class Socket(socket.socket):
        def __init__(self, family: int, *args: Any, **kwargs: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *args, **kwargs)

    monkeypatch.setattr("calls.api.outside.socket.socket", Socket)
    with resolver(monkeypatch, ["2606:4700::1111", "127.0.0.1"]):
        assert get(f"http://example.com:{receiver.port}/", nothing).status == 200
    with resolver(monkeypatch, ["2606:4700::1111"]), pytest.raises(NotReached, match="could not be reached"):
        get("http://example.com/", nothing)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "..", "x" * 300, "exa mple.com", "-"])
def test_names_that_are_none(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connections(monkeypatch) as made:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", _no_such_name)
            with pytest.raises(NotReached):
                get(f"http://{host}/", nothing)
        assert made == []


def _no_such_name(host: str, *_: Any, **__: Any) -> Any:
    host.encode("idna")
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_that_can_not_be_looked_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def slow(*_: Any, **__: Any) -> list[Any]:
        done.wait(20)
        return []

    monkeypatch.setattr(outside, "LIMIT", 0.2)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        begun = time.monotonic()
        with pytest.raises(NotReached, match="in time"):
            get("http://example.com/", nothing)
        assert time.monotonic() - begun < 5
    done.set()


@pytest.mark.parametrize("name", ["portal.example", "PORTAL.example.", "other.example", "www.all.example"])
def test_the_portals_own_host(settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    settings.PUBLIC_URL = "https://portal.example"
    settings.ALLOWED_HOSTS = ["portal.example", "other.example", ".all.example", "*"]
    with resolver(monkeypatch, ["8.8.8.8"]), connections(monkeypatch) as made:
        with pytest.raises(Forbidden, match="portal"):
            get(f"https://{name}/", nothing)
        assert made == []
        with pytest.raises(NotReached, match="refused the connection"):
            get("https://receiver.example/", nothing)


# --- CALLBACK_ALLOW ------------------------------------------------------------------------------------------------


def test_networks_are_opened_by_name(settings: Settings) -> None:
    settings.CALLBACK_ALLOW = ["10.1.0.0/16", " 192.168.7.5", "fd12::/32"]
    for address in ("10.1.2.3", "192.168.7.5", "fd12::1", "::ffff:10.1.2.3"):
        assert why_forbidden("receiver.example", 80, ipaddress.ip_address(address)) == "", address
    for address in ("10.2.0.1", "192.168.7.6", "fd13::1", "127.0.0.1", "169.254.169.254", "64:ff9b::a01:203"):
        assert why_forbidden("receiver.example", 80, ipaddress.ip_address(address)), address


def test_the_portal_itself_stays_out_of_reach(settings: Settings, caught: Trap) -> None:
    settings.CALLBACK_ALLOW = ["0.0.0.0/0", "::/0"]
    settings.PORT = caught.port
    for host in ("127.0.0.1", "localhost", "127.9.9.9", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"):
        with pytest.raises(NotReached):
            get(f"http://{host}:{caught.port}/", nothing)


def test_what_is_opened_is_reached(receiver: Receiver) -> None:
    assert get(f"{receiver.url}/done?id=1", nothing).text == "thanks"
    assert receiver.targets == ["/done?id=1"]


# --- The request and the answer ------------------------------------------------------------------------------------


def test_nothing_of_the_environment_goes_along(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caught: Trap
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{caught.port}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    receiver.headers = {"Set-Cookie": "a=b"}
    for _ in range(2):
        get(f"{receiver.url}/", lambda target: {"x-target": target})
    for headers in receiver.received:
        assert headers == {
            "host": f"127.0.0.1:{receiver.port}",
            "x-target": "/",
            "user-agent": "OBD-Portal",
            "accept": "*/*",
            "accept-encoding": "identity",
            "connection": "close",
        }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, caught: Trap, status: int) -> None:
    receiver.status, receiver.headers = status, {"Location": f"http://127.0.0.1:{caught.port}/"}
    assert get(f"{receiver.url}/", nothing).status == status
    assert len(receiver.targets) == 1


def test_headers_are_made_for_the_target_as_it_is_sent(receiver: Receiver) -> None:
    made: list[str] = []

    def headers(target: str) -> dict[str, str]:
        made.append(target)
        return {}

    for path in ("", "?a=%2f&b=[x]&c=é", "/a/../b/./c?x={y}", "//double//slash", "/%7e/%41?%zz#fragment", "/a b?c d"):
        get(f"{receiver.url}{path}", headers)
    assert made == receiver.targets
    assert len(made) == 6


def test_only_the_beginning_of_an_answer_is_read(receiver: Receiver) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not receiver.closing.is_set():
            handler.wfile.write(b"x" * 100_000)

    receiver.answer = endless
    answer = get(f"{receiver.url}/", nothing)
    assert (answer.status, answer.text) == (200, "x" * outside.MOST)


def test_an_answer_is_shown_as_one_line(receiver: Receiver) -> None:
    receiver.body = b"a\r\n b\x00\x1b[31m \xff\xe2\x80\xaec"
    assert get(f"{receiver.url}/", nothing).text == "a b [31m � c"


def test_a_packed_answer_is_not_unpacked(receiver: Receiver) -> None:
    receiver.headers, receiver.body = {"Content-Encoding": "gzip"}, b"no gzip"
    assert get(f"{receiver.url}/", nothing).text == "no gzip"


@pytest.mark.parametrize("when", ["never", "slow status line", "slow headers"])
def test_an_answer_that_takes_too_long(receiver: Receiver, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    monkeypatch.setattr(outside, "LIMIT", 0.3)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        if when == "slow headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not receiver.closing.wait(0.02):
            if when != "never":
                handler.wfile.write(b"H")

    receiver.answer = slow
    begun = time.monotonic()
    with pytest.raises(NotReached, match="No answer within"):
        get(f"{receiver.url}/", nothing)
    assert time.monotonic() - begun < 5


def test_a_body_that_takes_too_long_changes_nothing(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "LIMIT", 0.3)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(204)
        handler.send_response(200)
        handler.end_headers()
        while not receiver.closing.wait(0.02):
            handler.wfile.write(b"x")

    receiver.answer = slow
    begun = time.monotonic()
    assert get(f"{receiver.url}/", nothing).status == 204
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("sent", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 2", b"HTTP/1.1 999999 x\r\n\r\n"])
def test_an_answer_that_is_none(receiver: Receiver, sent: bytes) -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(sent)

    receiver.answer = broken
    with pytest.raises(NotReached, match="broke"):
        get(f"{receiver.url}/", nothing)


# --- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for receiver.example with its key, that vouches for itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=receiver.example", "-addext", "subjectAltName=DNS:receiver.example",
         "-keyout", str(path), "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@contextmanager
def tls_server(certificate: Path) -> Iterator[tuple[int, list[str | None]]]:
    """Answers one request after the other; yields its port and the names that clients asked for."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(client, server_side=True) as secured:
                    secured.recv(65536)
                    secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], names
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_tls_verifies_the_name_though_the_address_is_pinned(
    settings: Settings, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CALLBACK_ALLOW = ["127.0.0.0/8"]
    with tls_server(certificate) as (port, names), resolver(monkeypatch, ["127.0.0.1"]):
        with pytest.raises(NotReached, match="certificate was not accepted"):
            get(f"https://receiver.example:{port}/", nothing)
        monkeypatch.setattr(requests_adapters(), "DEFAULT_CA_BUNDLE_PATH", f"{certificate}.crt")
        assert get(f"https://receiver.example:{port}/", nothing).text == "ok"
        with pytest.raises(NotReached, match="certificate was not accepted"):
            get(f"https://another.example:{port}/", nothing)
    assert names == ["receiver.example", "receiver.example", "another.example"]


def requests_adapters() -> Any:
    import requests.adapters  # noqa: PLC0415

    return requests.adapters
