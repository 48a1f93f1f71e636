"""A push service and the browser behind it: it checks what it gets as RFC 8030, 8291 and 8292 want, and decrypts it."""

import json
import ssl
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from app.push.send import Sender
from app.services.notifications.subscriptions import SubscriptionInput
from tests.support.certificates import make_certificate

HOST = "fcm.googleapis.com"
AUTH = b"0123456789abcdef"
_KEY = ec.generate_private_key(ec.SECP256R1())


def encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def make_subscription(name: str = "a", private: ec.EllipticCurvePrivateKey = _KEY) -> SubscriptionInput:
    """Return what a browser tells the panel."""
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return SubscriptionInput(f"https://{HOST}/fcm/send/{name}", encode(public), encode(AUTH))


@dataclass
class Received:
    """A message as the browser reads it, the headers around it, and what the signature says."""

    path: str
    headers: dict[str, str]
    claims: dict[str, Any]
    key: str
    content: dict[str, Any]


@dataclass
class PushService:
    """`answers` are the statuses of the next answers; then 201. `retry_after` is sent with them."""

    sender: Sender
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    retry_after: str = ""

    def __post_init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())

    def subscription(self, name: str = "browser") -> SubscriptionInput:
        """Return what the browser tells the panel."""
        return make_subscription(name, self._private)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Check a message, keep it, and return the status of the answer."""
        if self.answers:
            status = self.answers.pop(0)
            if status != 201:
                return status
        assert headers["Content-Encoding"] == "aes128gcm"
        assert int(headers["TTL"]) >= 0
        assert len(body) <= 4096
        signed = headers["Authorization"]
        assert Vapid02.verify(signed)
        token, _comma, key = signed.removeprefix("vapid t=").partition(",k=")
        claims = token.split(".")[1]
        text = http_ece.decrypt(body, private_key=self._private, auth_secret=AUTH, version="aes128gcm")
        decoded = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.received.append(Received(path, headers, decoded, key, json.loads(text)))
        return 201


@contextmanager
def run_push_service(folder: Path, host: str = HOST) -> Iterator[PushService]:
    """Run a push service on the loopback, with a certificate for `host`. Its `sender` goes there."""
    made = make_certificate(folder, host)
    services: list[PushService] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(services[0].take(self.path, dict(self.headers), body))
            if services[0].retry_after:
                self.send_header("Retry-After", services[0].retry_after)
            self.send_header("Location", "https://127.0.0.1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.certificate, made.key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    trusted = ssl.create_default_context(cafile=str(made.ca))
    services.append(PushService(Sender(lambda _host: [("127.0.0.1", port)], trusted)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield services[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
