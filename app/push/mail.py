"""Hand e-mail to the office's mail server, and only at an address that is allowed."""

import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress

from app.domain.mail import Letter, MailServer, MailStep, Security, domain_of, fate_of_reply
from app.domain.webhooks import Fate
from app.push.pinned import LimitedInTime, NotAllowed
from app.push.webhook import Answer, FindAddresses, clean, find

TIMEOUT = 10.0  # seconds for each step; some servers answer late on purpose
LONGEST = 30.0  # seconds for all steps
_READY, _START = 220, 354  # what a server says when it expects commands, and the content


class MailSender:
    """Hands letters to mail servers. `find`: another way to the addresses of a host, for tests."""

    def __init__(self, find: FindAddresses = find, *, timeout: float = TIMEOUT, longest: float = LONGEST) -> None:
        self._find, self._timeout, self._longest = find, timeout, longest

    def send(self, server: MailServer, letter: Letter, *, longest: float | None = None) -> Answer:
        """Hand over a letter, in `longest` seconds if given. Never raises OSError.

        `result` of the answer is a code: `smtp_250`, `unknown_host`, `not_allowed`, `refused`, `timeout`, `tls`,
        `certificate`, `no_starttls`, `no_login`, `dropped`, or one of `domain/mail.py`. `reply` is what the server has
        said.
        """
        began = time.monotonic()
        answer = self._send(server, letter, longest or self._longest)
        return Answer(answer.fate, answer.result, answer.reply, round((time.monotonic() - began) * 1000))

    def _send(self, server: MailServer, letter: Letter, longest: float) -> Answer:
        try:
            return self._deliver(server, letter, longest)
        except _Refused as refused:
            said = refused.text.decode("utf-8", "replace")
            fate, result = fate_of_reply(refused.step, refused.code, said)
            return Answer(fate, result, f"{refused.code} {clean(refused.text, [server.password])}")
        except NotAllowed:
            return Answer(Fate.LATER, "not_allowed")
        except socket.gaierror:
            return Answer(Fate.LATER, "unknown_host")
        except ConnectionRefusedError:
            return Answer(Fate.LATER, "refused")
        except TimeoutError:
            return Answer(Fate.LATER, "timeout")
        except ssl.SSLCertVerificationError as error:
            return Answer(Fate.LATER, "certificate", clean(error.verify_message.encode(), []))
        except ssl.SSLError:
            return Answer(Fate.LATER, "tls")
        except smtplib.SMTPResponseException as error:  # it does not like our greeting
            return Answer(Fate.LATER, f"smtp_{error.smtp_code}", clean(_bytes(error.smtp_error), []))
        except smtplib.SMTPNotSupportedError:
            return Answer(Fate.LATER, "no_login")
        except smtplib.SMTPServerDisconnected as error:  # the library makes this of a time-out as well
            return Answer(Fate.LATER, "timeout" if isinstance(error.__context__, TimeoutError) else "dropped")
        except (OSError, ValueError):  # ValueError: a line of the server that is none of SMTP
            return Answer(Fate.LATER, "dropped")

    def _deliver(self, server: MailServer, letter: Letter, longest: float) -> Answer:
        tls = None if server.security is Security.NONE else _context(server.ca)
        addresses = self._find(server.host, server.port, server.inside)
        connection = _Connection(server, addresses, tls, self._timeout)
        with connection.for_at_most(longest):
            _expect(MailStep.GREETING, connection.connect(server.host, server.port), _READY)
            connection.ehlo_or_helo_if_needed()
            if tls is not None and server.security is Security.STARTTLS:
                if not connection.has_extn("starttls"):
                    return Answer(Fate.LATER, "no_starttls")
                connection.start_tls(tls)
            if server.username:
                _log_in(connection, server)
            _expect(MailStep.SENDER, connection.mail(server.sender))
            _expect(MailStep.RECIPIENT, connection.rcpt(letter.recipient))
            try:
                code, text = connection.data(letter.content)
            except smtplib.SMTPDataError as error:
                raise _Refused(MailStep.CONTENT, error.smtp_code, _bytes(error.smtp_error)) from error
            _expect(MailStep.CONTENT, (code, text))
            with suppress(OSError):  # it has taken the letter already
                connection.quit()
        return Answer(Fate.SENT, f"smtp_{code}", clean(text, [server.password]))


def _log_in(connection: smtplib.SMTP, server: MailServer) -> None:
    try:
        connection.login(server.username, server.password)
    except smtplib.SMTPResponseException as error:
        raise _Refused(MailStep.LOGIN, error.smtp_code, _bytes(error.smtp_error)) from error
    except smtplib.SMTPServerDisconnected:
        raise
    except smtplib.SMTPException as error:  # none of its ways is one of ours
        raise smtplib.SMTPNotSupportedError(str(error)) from error


def _context(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
        # Python 3.13 asks for key identifiers, which certificates that an office has made itself often lack.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class _Refused(Exception):
    """The server has refused something. `text` begins with an extended code if it uses those."""

    def __init__(self, step: MailStep, code: int, text: bytes) -> None:
        super().__init__(step, code)
        self.step, self.code, self.text = step, code, text


def _expect(step: MailStep, answer: tuple[int, bytes], wanted: int | None = None) -> None:
    code, text = answer
    if code == -1:
        raise smtplib.SMTPServerDisconnected
    if (code != wanted) if wanted else not 200 <= code < 300:
        raise _Refused(step, code, text)


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


class _Connection(LimitedInTime, smtplib.SMTP):
    """A connection to one of the checked addresses of a mail server."""

    def __init__(
        self,
        server: MailServer,
        addresses: Sequence[tuple[str, int]],
        tls: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        # Without a name the library would look up that of this machine, which takes long where nothing knows it.
        super().__init__(local_hostname=domain_of(server.sender), timeout=timeout)
        self._addresses, self._server_name = addresses, server.host
        self._tls = tls if server.security is Security.TLS else None

    def _get_socket(self, _host: str, _port: int, timeout: float) -> socket.socket:
        plain = self._open(self._addresses, timeout)
        return self._secure(plain, self._tls, self._server_name) if self._tls is not None else plain

    def start_tls(self, tls: ssl.SSLContext) -> None:
        """Protect the connection from now on. What the server has said before counts no more."""
        code, text = self.docmd("STARTTLS")
        if code != _READY:
            raise _Refused(MailStep.GREETING, code, text)
        assert self.sock is not None
        self.sock = self._secure(self.sock, tls, self._server_name)
        self.file = None  # what was read ahead came from anybody
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        self.ehlo_or_helo_if_needed()

    def close(self) -> None:
        smtplib.SMTP.close(self)
