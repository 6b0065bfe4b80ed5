"""Certificates for servers on the loopback: one that is right, and each of the wrong ones that clients must refuse."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest
import requests.adapters
import trustme

from tests.obd_server import LOOPBACK

REFUSED = {
    "self-signed": "The carrier's certificate was not accepted: self-signed certificate.",
    "stranger": "The carrier's certificate was not accepted: unable to get local issuer certificate.",
    "wrong name": "The carrier's certificate was not accepted: IP address mismatch, certificate is not valid for "
    "'127.0.0.1'.",
    "expired": "The carrier's certificate was not accepted: certificate has expired.",
    "not yet": "The carrier's certificate was not accepted: certificate is not yet valid.",
}
"""What people are told of each."""


class Certificates:
    """Servers' TLS, by what is wrong with the certificate. Only `authority` is to be trusted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = trustme.CA()

    @cached_property
    def trusted(self) -> str:
        """The path of what a client has to trust."""
        path = self._folder / "authority.pem"
        self.authority.cert_pem.write_to_path(path)
        return str(path)

    def trust(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let `requests` trust the authority in place of those of the world."""
        monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", self.trusted)

    def context(self, kind: str) -> ssl.SSLContext:
        """TLS for a server: "good", or one of REFUSED."""
        now = datetime.now(UTC)
        day = timedelta(days=1)
        match kind:
            case "self-signed":
                return self._self_signed()
            case "good":
                certificate = self.authority.issue_cert(LOOPBACK)
            case "stranger":
                certificate = trustme.CA().issue_cert(LOOPBACK)
            case "wrong name":
                certificate = self.authority.issue_cert("carrier.example", "127.0.0.2")
            case "expired":
                certificate = self.authority.issue_cert(LOOPBACK, not_before=now - 2 * day, not_after=now - day)
            case "not yet":
                certificate = self.authority.issue_cert(LOOPBACK, not_before=now + day, not_after=now + 2 * day)
            case _:
                raise ValueError(kind)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context

    def _self_signed(self) -> ssl.SSLContext:
        """With the certificate of an authority that nobody knows as the server's own."""
        unknown = trustme.CA()
        path = self._folder / "self-signed.pem"
        unknown.private_key_pem.write_to_path(path)
        unknown.cert_pem.write_to_path(path, append=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context
