"""A receiver of webhooks and of questions for names: it keeps what it gets, and answers as a test wants."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from app.push.names import NameSource
from app.push.webhook import WebhookSender
from tests.support.certificates import make_certificate

HOST = "hooks.example.org"


@dataclass
class Got:
    """A message as it arrived, and the status that was answered."""

    path: str
    headers: dict[str, str]
    body: str
    status: int

    @property
    def uid(self) -> str:
        return self.headers["Webhook-Id"]

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, str]:
        return dict(parse_qsl(self.body, keep_blank_values=True))


@dataclass
class Receiver:
    """`answers` are the statuses of the next answers; then `status`. `reply` and `headers` come with each.

    `is_gone`: nothing listens at its address. `drips`: it sends a byte now and then, and never ends, until the test
    does: before the answer, or within it.
    """

    port: int
    sender: WebhookSender
    names: NameSource
    got: list[Got] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    status: int = 200
    reply: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    is_gone: bool = False
    drips: str = ""  # "before", "within"
    asked: list[str] = field(default_factory=list)  # the hosts that were looked up
    arrived: threading.Event = field(default_factory=threading.Event)  # a first message
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def taken(self) -> Sequence[Got]:
        return [found for found in self.got if 200 <= found.status < 300]

    def events(self) -> list[str]:
        return [found.content["type"] for found in self.taken]


@contextmanager
def run_receiver(folder: Path, *, longest: float = 10.0) -> Iterator[Receiver]:
    """Run a receiver on the loopback, with a certificate for HOST. `sender` and `names` find every host there."""
    made = make_certificate(folder, HOST)
    receivers: list[Receiver] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def answer(self, body: str) -> None:
            this = receivers[0]
            status = this.answers.pop(0) if this.answers else this.status
            this.got.append(Got(self.path, dict(self.headers), body, status))
            this.arrived.set()
            if this.drips == "before":
                self.drip(b"H")
            self.send_response(status)
            for name, value in this.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(this.reply)))
            self.end_headers()
            if this.drips == "within":
                self.drip(b"x")
            self.wfile.write(this.reply)

        def drip(self, byte: bytes) -> None:
            while not receivers[0].over.wait(0.02):
                self.wfile.write(byte)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A sender that has hung up is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.certificate, made.key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))  # and does not listen

    def find(host: str, _port: int, _inside: bool) -> list[tuple[str, int]]:
        receivers[0].asked.append(host)
        return [("127.0.0.1", nobody.getsockname()[1] if receivers[0].is_gone else port)]

    trusted = ssl.create_default_context(cafile=str(made.ca))
    names = NameSource(find, trusted, longest=longest)
    receivers.append(Receiver(port, WebhookSender(find, trusted, longest=longest), names))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receivers[0]
    finally:
        receivers[0].over.set()
        server.shutdown()
        thread.join()
        server.server_close()
        nobody.close()
