"""Notifications of users: which they get, when not, and until when they are of use."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from app.domain.lifecycle import Request

LASTS = timedelta(minutes=15)  # after that a notification says nothing new any more
FIRST_RETRY = timedelta(seconds=20)


class Kind(StrEnum):
    """What a notification says."""

    ARRIVED = "arrived"  # a request arrived
    DUE = "due"  # a request of the user can be called by now
    FAILED = "failed"  # the last attempt of a request has failed
    TEST = "test"


KINDS = (Kind.ARRIVED, Kind.DUE, Kind.FAILED)  # those that a user can choose


@dataclass(frozen=True)
class Preferences:
    """What a user has chosen. There are no quiet hours if they begin when they end."""

    kinds: frozenset[Kind] = frozenset(KINDS)
    quiet_from: time = time(0)
    quiet_until: time = time(0)
    shows_numbers: bool = False  # a notification may have the customer's number

    def wants(self, kind: Kind, at: time) -> bool:
        """Tell whether the user wants a notification of this kind at this time of the office's day."""
        return kind is Kind.TEST or (kind in self.kinds and not self.is_quiet(at))

    def is_quiet(self, at: time) -> bool:
        """Tell whether this time is in the quiet hours, which may go on over midnight."""
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= at < self.quiet_until
        return at >= self.quiet_from or at < self.quiet_until


def due_at(request: Request) -> datetime | None:
    """Return when a waiting request can be called after it had to wait for that. None: it did not have to wait.

    A request with automatic calls is due at the time that somebody chose, one without also after the minimum waiting
    time and after the pause that follows an attempt.
    """
    times = [request.postponed_until]
    if not request.rules.automatic:
        times += [request.registered_at + request.rules.min_wait, request.not_before]
    due = max((moment for moment in times if moment is not None), default=None)
    return due if due is not None and due > request.registered_at else None


def next_try(tries: int, now: datetime) -> datetime:
    """Return when a notification is sent again that could not be sent so many times."""
    return now + FIRST_RETRY * (1 << max(tries - 1, 0))
