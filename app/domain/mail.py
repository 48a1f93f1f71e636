"""E-mail: which addresses and servers it may go to, and what the answers of a mail server mean."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.webhooks import Fate

LONGEST_ADDRESS = 80
MOST_RECIPIENTS = 10  # that can be added at once
# Addresses are ASCII, as servers without the extension SMTPUTF8 want them. Quoted names before the @ are not used.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?P<domain>[A-Za-z0-9.-]+)")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"  # from a command on
    TLS = "tls"  # from the beginning


PORTS = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}  # the usual ones


@dataclass(frozen=True)
class MailServer:
    """The server that takes our e-mail. `inside`: it may have an address of the office.

    `ca`: certificates in PEM that are trusted besides those of this machine. Nobody logs in if `username` is "".
    """

    host: str
    port: int
    security: Security
    sender: str
    username: str = ""
    password: str = field(default="", repr=False)
    inside: bool = False
    ca: str = field(default="", repr=False)


@dataclass(frozen=True)
class Letter:
    """An e-mail that can be sent. `content` has the headers, too, with CRLF at the end of each line."""

    recipient: str
    content: bytes = field(repr=False)


def is_address(text: str) -> bool:
    """Tell whether a text is the address of a mailbox, such as sara@example.org."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and len(text) <= LONGEST_ADDRESS and _DOMAIN.fullmatch(found["domain"]) is not None


def domain_of(address: str) -> str:
    """Return what follows the @ of an address."""
    return address.rpartition("@")[2]


class MailStep(StrEnum):
    """What a mail server has answered to."""

    GREETING = "greeting"
    LOGIN = "login"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


def fate_of_reply(step: MailStep, code: int, text: str) -> tuple[Fate, str]:
    """Return what a refusal of a mail server means for the message, and its code for the log. `text`: what it says.

    4xx is for now. 5xx is for good: of the recipient or the content, it concerns this message alone. The server also
    answers so if it takes no mail from us at all; then it says 5.7 (RFC 3463: security or policy). That and a refused
    log-in or sender are faults of the settings, so everything waits until they are mended.
    """
    if not 500 <= code < 600:
        return Fate.LATER, f"smtp_{code}"
    match step:
        case MailStep.LOGIN:
            return Fate.LATER, "login"
        case MailStep.SENDER:
            return Fate.LATER, "sender"
        case MailStep.RECIPIENT:
            return (Fate.LATER, "relay") if text.startswith("5.7.") else (Fate.NEVER, "recipient")
        case MailStep.CONTENT:
            return Fate.NEVER, "content"
    return Fate.LATER, f"smtp_{code}"
