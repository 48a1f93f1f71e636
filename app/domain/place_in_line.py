"""The place in line: whether the callers who wait in a queue come before a request for it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LEAD, SHARE = timedelta(minutes=30), 3
MOST_SHARE = 20


class Place(StrEnum):
    """Who comes first in a queue. The values are stored."""

    FIRST_CALL = "first_call"  # who called first, on the line or not
    CALLERS_FIRST = "callers_first"  # who is on the line, but a request only waits so long behind later callers
    SHARE = "share"  # so many callers, then one request


@dataclass(frozen=True)
class PlaceRule:
    """A module's choice. `lead` counts for CALLERS_FIRST, `share` for SHARE.

    `lead` is how much later callers may have called and still come first, None: however late. `share` is how many
    callers are answered before a request.
    """

    place: Place = Place.FIRST_CALL
    lead: timedelta | None = LEAD
    share: int = SHARE


@dataclass(frozen=True)
class WaitingCallers:
    """The callers who wait in a queue.

    `count` is how many there are. `joined` are the moments at which they joined; of some it may be unknown, and these
    come first. `answered` is how many were answered since the last request was called.
    """

    count: int = 0
    joined: Collection[datetime] = ()
    answered: int = 0

    def before(self, moment: datetime) -> int:
        """Return how many of them called before a moment."""
        return max(0, self.count - sum(joined >= moment for joined in self.joined))


def callers_ahead(first_called_at: datetime, priority: int, rule: PlaceRule, callers: WaitingCallers) -> int:
    """Return how many of the callers come before a request whose caller first called at `first_called_at`.

    One with a high priority comes before all of them, and one with a low priority behind them. So what holds back a
    request also holds back the ones behind it.
    """
    if priority:
        return 0 if priority > 0 else callers.count
    match rule.place:
        case Place.FIRST_CALL:
            return callers.before(first_called_at)
        case Place.CALLERS_FIRST if rule.lead is not None:
            return callers.before(first_called_at + rule.lead)
        case Place.SHARE:
            return min(callers.count, max(0, rule.share - callers.answered))
    return callers.count


def count_ahead(
    first_called_at: datetime, priority: int, rule: PlaceRule, callers: WaitingCallers, requests: int
) -> int:
    """Return how many callers and requests come before a request that has `requests` of the same queue before it."""
    if rule.place is Place.SHARE and not priority:
        return requests + min(callers.count, max(0, rule.share * (requests + 1) - callers.answered))
    return requests + callers_ahead(first_called_at, priority, rule, callers)
