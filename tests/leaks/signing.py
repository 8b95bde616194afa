"""GitHub's side of the protocol: keys of its own, reports that it signs, and a place where it publishes the keys."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from tests.live import Live

PATH = "/keyscope/leaks/github"
TYPE = "keyscope_key"


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def published(**keys: str) -> bytes:
    """The document with these public keys, in PEM, by identifier."""
    listed = [{"key_identifier": name, "key": text, "is_current": True} for name, text in keys.items()]
    return json.dumps({"public_keys": listed}).encode()


def match(token: str, url: str = "https://github.com/octo/repo/blob/0123/a.txt", **more: str) -> dict[str, str]:
    return {"token": token, "type": TYPE, "url": url, "source": "content", **more}


class GitHub:
    """Signs with one key under one identifier."""

    def __init__(self, identifier: str = "one") -> None:
        self.identifier = identifier
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def published(self) -> bytes:
        return published(**{self.identifier: pem(self.key)})

    def headers(self, body: bytes) -> dict[str, str]:
        signature = b64encode(self.key.sign(body, ec.ECDSA(hashes.SHA256()))).decode()
        return {
            "Content-Type": "application/json",
            "Github-Public-Key-Identifier": self.identifier,
            "Github-Public-Key-Signature": signature,
        }

    def report(self, live: Live, *matches: Any) -> httpx.Response:
        body = json.dumps(matches).encode()
        return live.call("POST", PATH, "", content=body, headers=self.headers(body))


class Publisher:
    """Publishes keys over HTTPS on loopback. ``answer`` may be replaced at any time; ``asked`` counts."""

    def __init__(self, folder: Path, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answer = answer
        self.asked = 0
        self.authority = folder / "authority.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(folder, self.authority))
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}/meta/public_keys/secret_scanning"

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def document(content: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answers with this."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def _certificate(folder: Path, authority: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, and itself as what to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keys")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    authority.write_bytes(certificate.public_bytes(Encoding.PEM))
    own = folder / "publisher.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own.write_bytes(authority.read_bytes() + private)
    return own
