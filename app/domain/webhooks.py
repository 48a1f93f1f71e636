"""Webhooks: what is told to other programs, where it may go, and when it is told again. E-mail is a channel of them."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.domain.addresses import is_inside, is_public
from app.domain.lifecycle import Status

LONGEST_URL = 1000
_SIGNS = frozenset(map(chr, range(0x21, 0x7F))) - frozenset('"<>\\^`{|}')  # those that a URL may have


class Channel(StrEnum):
    """How a destination is told."""

    HTTP = "http"
    MAIL = "mail"


class WebhookEvent(StrEnum):
    """What is told, by the `type` that receivers see."""

    REGISTERED = "request.registered"
    STARTED = "attempt.started"
    CONNECTED = "request.connected"
    DONE = "request.done"
    FAILED = "request.failed"
    CANCELLED = "request.cancelled"
    EXPIRED = "request.expired"
    TRUNK = "trunk.trouble"  # a route to customers has begun to fail
    SUMMARY = "summary"  # of a day or a week, by e-mail
    TEST = "test"  # somebody has asked for it


# Those that can be chosen.
EVENTS = tuple(event for event in WebhookEvent if event not in (WebhookEvent.SUMMARY, WebhookEvent.TEST))
_OF_STATUS = {
    Status.DIALLING: WebhookEvent.STARTED,
    Status.CONNECTED: WebhookEvent.CONNECTED,
    Status.DONE: WebhookEvent.DONE,
    Status.FAILED: WebhookEvent.FAILED,
    Status.CANCELLED: WebhookEvent.CANCELLED,
    Status.EXPIRED: WebhookEvent.EXPIRED,
}


def event_of(old_status: str, new_status: str) -> WebhookEvent | None:
    """Return what a change of a request's status tells; None if it tells nothing."""
    return _OF_STATUS.get(Status(new_status)) if old_status != new_status else None


# -- where it goes ----------------------------------------------------------------------------------------------------


class BadUrl(ValueError):
    """Nothing may be sent to this URL."""


class InsideUrl(BadUrl):
    """The URL has an address inside the office, and that is not allowed."""


@dataclass(frozen=True)
class Target:
    """A URL in parts. `path` has the query, too."""

    scheme: str
    host: str
    port: int
    path: str


def parse_url(url: str, *, inside: bool = False) -> Target:
    """Return the parts of a URL. `inside`: it may have an address of the office. Raises BadUrl.

    It must not contain a user name or password. Any server at that address would get them, and logs would show them.
    """
    if len(url) > LONGEST_URL or not set(url) <= _SIGNS:
        raise BadUrl
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadUrl from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or parts.fragment or port == 0:
        raise BadUrl
    if not inside and is_hidden(host):
        raise InsideUrl
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def is_hidden(host: str) -> bool:
    """Tell whether a host can be seen to be none of the internet before its name is looked up."""
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return not is_public(host)


def may_reach(address: str, *, inside: bool) -> bool:
    """Tell whether a message may go to an IP address. `inside`: also to one of the office."""
    return is_public(address) or (inside and is_inside(address))


# -- when it is told again --------------------------------------------------------------------------------------------

_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 120, 300, 600, 1200, 1800, 3600))
LASTS = timedelta(hours=30)  # for how long a message is tried, unless the destination says something else
PAUSED_AFTER = timedelta(hours=24)  # a destination that takes nothing for so long is paused
FEWEST_FAILURES = 15  # before it is paused; with a single message a week, a day says nothing


class Fate(StrEnum):
    """What an answer says about a message."""

    SENT = "sent"
    REFUSED = "refused"  # the message: others may be taken
    NEVER = "never"  # the same, and it makes no sense to try it again
    LATER = "later"  # all that goes there
    GONE = "gone"  # nothing is wanted there any more


# Wrong key, wrong address, too fast: it would be the same with another message.
_NOT_OF_THE_MESSAGE = frozenset({401, 403, 404, 405, 408, 425, 429})


def fate_of(status: int) -> Fate:
    """Return what an HTTP status says. A redirection is not followed, so it is a failure of the destination."""
    if 200 <= status < 300:
        return Fate.SENT
    if status == 410:
        return Fate.GONE
    return Fate.REFUSED if 400 <= status < 500 and status not in _NOT_OF_THE_MESSAGE else Fate.LATER


def pause_after(failures: int) -> timedelta:
    """Return the pause after so many failures in a row, of a message or of a destination."""
    return _PAUSES[min(max(failures, 1), len(_PAUSES)) - 1]


def is_paused_after(failures: int, failing_for: timedelta) -> bool:
    """Tell whether a destination is paused that has failed so often and for so long, without any success between."""
    return failures >= FEWEST_FAILURES and failing_for >= PAUSED_AFTER
