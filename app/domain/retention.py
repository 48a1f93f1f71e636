"""For how long finished data is kept. What is open, and what waiting calls or estimates still need, is always kept."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FOR_EVER = 0


class Kind(StrEnum):
    """What can be deleted by age. The values are stored."""

    REQUESTS = "requests"  # with their attempts and history
    NOTES = "notes"  # on finished requests
    NAMES = "names"  # that callers have said
    LOG = "log"  # who changed what


# Days; the shortest and the longest. Estimates of the wait look back three weeks, charts compare quarters, and nobody
# should be able to cover their traces overnight.
BOUNDS = {Kind.REQUESTS: (90, 3650), Kind.NOTES: (7, 3650), Kind.NAMES: (1, 365), Kind.LOG: (90, 3650)}
_ALWAYS_ENDS = frozenset({Kind.NAMES})


@dataclass(frozen=True)
class Retention:
    """For how many days each kind is kept: after the end of the request, or after the entry. 0: for ever."""

    requests: int = FOR_EVER
    notes: int = FOR_EVER
    names: int = 30
    log: int = FOR_EVER

    def days(self, kind: Kind) -> int:
        """Return for how many days a kind is kept, 0 for ever."""
        return int(asdict(self)[kind.value])

    def faults(self) -> frozenset[Kind]:
        """Return the kinds whose days are not allowed."""
        return frozenset(kind for kind, bounds in BOUNDS.items() if not _is_allowed(kind, self.days(kind), *bounds))

    def before(self, kind: Kind, now: datetime) -> datetime | None:
        """Return the moment before which a kind is deleted, None if it is kept for ever."""
        days = self.days(kind)
        return now - timedelta(days=days) if days != FOR_EVER else None


def _is_allowed(kind: Kind, days: int, least: int, most: int) -> bool:
    return least <= days <= most or (days == FOR_EVER and kind not in _ALWAYS_ENDS)
