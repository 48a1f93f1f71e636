"""A real SMTP server on the loopback: it keeps what it gets, and answers as a test wants."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from app.push.mail import MailSender
from script.office.patience import PATIENCE
from tests.support.certificates import make_certificate

HOST = "mail.example.org"
USER, PASSWORD = "bazang", "s3cret-of-mail"


@dataclass
class MailBox:
    """`answers` are the next answers to MAIL, RCPT or the content, by the name of the command; then all is taken.

    `drops`: so many connections end without an answer after the content came.
    """

    port: int
    sender: MailSender
    ca: str
    got: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, str, bool]] = field(default_factory=list)  # sender, recipient, whether by TLS
    raw: list[bytes] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    drops: int = 0
    asked: list[str] = field(default_factory=list)  # the hosts that were looked up
    logins: list[str] = field(default_factory=list)
    connections: int = 0

    def answer(self, command: str) -> str | None:
        waiting = self.answers.get(command)
        return waiting.pop(0) if waiting else None

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.got]


class _Handler:
    def __init__(self, box: MailBox) -> None:
        self._box = box

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: Any) -> str:
        if (answer := self._box.answer("MAIL")) is not None:
            return answer
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: Any) -> str:
        if (answer := self._box.answer("RCPT")) is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str | None:
        if (answer := self._box.answer("DATA")) is not None:
            return answer
        content = envelope.content
        assert isinstance(content, bytes)
        self._box.raw.append(content)
        parsed = message_from_bytes(content, policy=default)
        assert isinstance(parsed, EmailMessage)
        self._box.got.append(parsed)
        transport = server.transport
        assert isinstance(transport, asyncio.Transport)
        has_tls = session.ssl is not None or transport.get_extra_info("ssl_object") is not None
        self._box.envelopes.append((envelope.mail_from or "", envelope.rcpt_tos[0], has_tls))
        if self._box.drops:
            self._box.drops -= 1
            transport.abort()
            await asyncio.sleep(0)
        return "250 2.0.0 Taken"


def _authenticate(box: MailBox) -> Any:
    def check(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any) -> AuthResult:
        box.logins.append(data.login.decode())
        return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False)

    return check


@contextmanager
def run_mail_server(folder: Path, *, security: str = "starttls", wants_login: bool = False) -> Iterator[MailBox]:
    """Run a server with a certificate for HOST. `security`: "none", "starttls" or "tls", as in the settings."""
    made = make_certificate(folder, HOST)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.certificate, made.key)
    box = MailBox(0, MailSender(), made.ca.read_text())

    class Server(Controller):
        def factory(self) -> SMTP:
            box.connections += 1
            made = super().factory()  # type: ignore[no-untyped-call]
            assert isinstance(made, SMTP)
            return made

        def _trigger_server(self) -> None:
            assert isinstance(self.server, asyncio.Server)
            self.port = self.server.sockets[0].getsockname()[1]
            super()._trigger_server()  # type: ignore[no-untyped-call]

    controller = Server(
        _Handler(box),
        hostname="127.0.0.1",
        port=0,
        ssl_context=tls if security == "tls" else None,
        tls_context=tls if security == "starttls" else None,
        authenticator=_authenticate(box),
        # With TLS from the beginning, the library does not see that there is any.
        auth_required=wants_login and security == "starttls",
        auth_require_tls=security == "starttls",
        ready_timeout=60,
    )
    controller.start()
    box.port, box.connections = controller.port, 0

    def find(host: str, _port: int, _inside: bool) -> list[tuple[str, int]]:
        box.asked.append(host)
        return [("127.0.0.1", box.port)]

    box.sender = MailSender(find, timeout=PATIENCE, longest=PATIENCE)
    try:
        yield box
    finally:
        controller.stop()
