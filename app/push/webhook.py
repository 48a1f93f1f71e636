"""Post a message to a webhook, signed as Standard Webhooks wants it, and only to an address that is allowed."""

import http.client
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from app.domain.text import displayable
from app.domain.webhooks import BadUrl, Fate, Target, fate_of, may_reach, parse_url
from app.push.pinned import NotAllowed, PinnedConnection, find_addresses, trusted_authorities

TIMEOUT = 5.0  # seconds for each step
LONGEST = 15.0  # seconds for all steps
LONGEST_REPLY = 800  # bytes that are read of it
LONGEST_SHOWN = 200  # characters that are kept of it
LONGEST_WAIT = timedelta(hours=1)  # that a destination can ask for
HIDDEN = "***"
SHORTEST_HIDDEN = 6  # a shorter secret would hide ordinary words
# a host, its port, whether it may be inside -> its addresses and ports
FindAddresses = Callable[[str, int, bool], Sequence[tuple[str, int]]]


@dataclass(frozen=True)
class Post:
    """A message to one destination. `secret` signs it: "whsec_…". `headers` are further ones."""

    uid: str
    url: str
    secret: str = field(repr=False)
    inside: bool
    content_type: str
    body: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Answer:
    """What became of a message.

    `result` is a code: `http_404`, `unreachable`, `timeout`, `tls`, `not_allowed`, `bad_url`, `key`. `reply` is the
    beginning of the answer, fit to be shown. `took` is in milliseconds.
    """

    fate: Fate
    result: str
    reply: str = ""
    took: int = 0
    retry_after: timedelta | None = None


def find(host: str, port: int, inside: bool) -> Sequence[tuple[str, int]]:
    """Return the allowed addresses of a host. Raises NotAllowed and OSError."""
    return find_addresses(host, port, may_reach=partial(may_reach, inside=inside))


def failure_of(error: OSError | http.client.HTTPException) -> str:
    """Return the code of what went wrong with a connection."""
    match error:
        case NotAllowed():
            return "not_allowed"
        case TimeoutError():
            return "timeout"
        case ssl.SSLError():
            return "tls"
    return "unreachable"


class WebhookSender:
    """Posts messages. `find`, `tls`: others than those of the internet, for tests."""

    def __init__(
        self, find: FindAddresses = find, tls: ssl.SSLContext | None = None, *, longest: float = LONGEST
    ) -> None:
        self._find, self._tls, self._longest = find, tls, longest

    def send(self, post: Post, now: datetime) -> Answer:
        """Post a message. Never raises OSError."""
        began = time.monotonic()
        answer = self._send(post, now)
        return Answer(
            answer.fate,
            answer.result,
            answer.reply,
            round((time.monotonic() - began) * 1000),
            answer.retry_after,
        )

    def _send(self, post: Post, now: datetime) -> Answer:
        try:
            target = parse_url(post.url, inside=post.inside)
        except BadUrl:
            return Answer(Fate.LATER, "bad_url")
        try:
            headers = _headers(post, now)
        except (ValueError, EmptyWebhookSecretError):
            return Answer(Fate.LATER, "key")
        try:
            return self._post(target, post, headers)
        except (OSError, http.client.HTTPException) as error:
            return Answer(Fate.LATER, failure_of(error))

    def _post(self, target: Target, post: Post, headers: dict[str, str]) -> Answer:
        addresses = self._find(target.host, target.port, post.inside)
        tls = (self._tls or trusted_authorities()) if target.scheme == "https" else None
        connection = PinnedConnection(target.host, addresses, tls, timeout=TIMEOUT)
        with connection.for_at_most(self._longest):
            connection.request("POST", target.path, post.body.encode(), headers)
            response = connection.getresponse()
            reply = _read(response)
        fate = fate_of(response.status)
        wait = _wait(response.headers.get("Retry-After", "")) if fate is not Fate.SENT else None
        secret = (target.path, post.secret, *post.headers.values())
        return Answer(fate, f"http_{response.status}", clean(reply, secret), retry_after=wait)


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return the beginning of an answer, as far as it comes: the status has said already what became of the message."""
    try:
        return response.read(LONGEST_REPLY)
    except (OSError, http.client.HTTPException):
        return b""


def _headers(post: Post, now: datetime) -> dict[str, str]:
    signature = Webhook(post.secret).sign(post.uid, now, post.body)
    return {
        "User-Agent": "Bazang-Webhooks",
        **post.headers,
        "Content-Type": f"{post.content_type}; charset=utf-8",
        "Webhook-Id": post.uid,
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": signature,
    }


def _wait(retry_after: str) -> timedelta | None:
    if not retry_after.isdecimal() or len(retry_after) > 6:
        return None
    return min(timedelta(seconds=int(retry_after)), LONGEST_WAIT)


def clean(reply: bytes, secrets: Sequence[str]) -> str:
    """Return the beginning of an answer as it can be shown: one line, without what is secret."""
    text = " ".join(reply.decode("utf-8", "replace").split())
    for secret in secrets:
        if len(secret) >= SHORTEST_HIDDEN:
            text = text.replace(secret, HIDDEN)
    return displayable(text, LONGEST_SHOWN)
