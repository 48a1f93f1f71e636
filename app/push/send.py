"""Encrypt a message for a browser (RFC 8291), sign it (VAPID, RFC 8292), and hand it to the browser's push service."""

import http.client
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from app.domain.push_services import push_service
from app.push.pinned import NotAllowed, PinnedConnection, find_addresses, trusted_authorities

TIMEOUT = 5.0  # seconds for each step; a worker that stops waits for it
LONGEST = 15.0  # seconds for all steps
SIGNED_FOR = timedelta(hours=12)  # RFC 8292 allows 24
LONGEST_ANSWER = 2000  # bytes that are read of it
# a host -> its public addresses and ports, in the order in which they are tried
FindAddresses = Callable[[str], Sequence[tuple[str, int]]]


@dataclass(frozen=True)
class Message:
    """A message to one browser. `contact` is a URL by which the push service finds who sends. `topic`: see RFC 8030."""

    endpoint: str
    p256dh: str
    auth: str
    contact: str
    payload: bytes
    topic: str
    lasts: timedelta


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    GONE = "gone"  # the subscription does not exist any more
    REFUSED = "refused"  # it would be refused again
    LATER = "later"  # it may be sent later


@dataclass(frozen=True)
class Answer:
    """What became of a message. `detail` is a code: `http_403`, `unreachable`, `tls`, `not_public`, `key`."""

    fate: Fate
    detail: str = ""
    retry_after: timedelta | None = None


class Sender:
    """Sends messages, signed with the office's key. `find`, `tls`: others than those of the internet, for tests."""

    def __init__(self, find: FindAddresses = find_addresses, tls: ssl.SSLContext | None = None) -> None:
        self._find, self._tls = find, tls

    def send(self, message: Message, key: str, now: datetime) -> Answer:
        """Send a message. `key` is the private key, as `services.notifications.keys` keeps it. Never raises OSError."""
        host = push_service(message.endpoint)
        if host is None:
            return Answer(Fate.REFUSED, "not_public")
        try:
            body = encrypt(message)
            headers = _headers(message, host, key, now)
        except (ValueError, http_ece.ECEException):
            return Answer(Fate.REFUSED, "key")
        try:
            return self._post(host, message.endpoint, body, headers)
        except NotAllowed:
            return Answer(Fate.REFUSED, "not_public")
        except ssl.SSLError:
            return Answer(Fate.LATER, "tls")
        except (OSError, http.client.HTTPException):
            return Answer(Fate.LATER, "unreachable")

    def _post(self, host: str, endpoint: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Post a message. A redirection is an error like any other: it is not followed."""
        parts = urlsplit(endpoint)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        tls = self._tls or trusted_authorities()
        connection = PinnedConnection(host, self._find(host), tls, timeout=TIMEOUT)
        with connection.for_at_most(LONGEST):
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read(LONGEST_ANSWER)
        return _judge(response.status, response.headers.get("Retry-After", ""))


def _judge(status: int, retry_after: str) -> Answer:
    detail = f"http_{status}"
    if status in (200, 201, 202, 204):
        return Answer(Fate.SENT)
    if status in (404, 410):
        return Answer(Fate.GONE, detail)
    if status == 429 or status >= 500:
        seconds = int(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else None
        return Answer(Fate.LATER, detail, timedelta(seconds=seconds) if seconds is not None else None)
    return Answer(Fate.REFUSED, detail)


def _headers(message: Message, host: str, key: str, now: datetime) -> dict[str, str]:
    claims = {"sub": message.contact, "aud": f"https://{host}", "exp": int((now + SIGNED_FOR).timestamp())}
    signed: dict[str, str] = Vapid02.from_raw(key.encode()).sign(claims)
    topic = urlsafe_b64encode(sha256(message.topic.encode()).digest()).decode()[:32]
    return signed | {
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(max(0, int(message.lasts.total_seconds()))),
        "Urgency": "high",  # wakes a phone that sleeps
        "Topic": topic,  # a newer message about the same replaces one that waits
    }


def encrypt(message: Message) -> bytes:
    """Return the payload as only the browser can read it. Raises ValueError for keys that are none."""
    encrypted: bytes = http_ece.encrypt(
        message.payload,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=decode(message.p256dh),
        auth_secret=decode(message.auth),
        version="aes128gcm",
    )
    return encrypted


def decode(text: str) -> bytes:
    """Decode base64url without padding. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
