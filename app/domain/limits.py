"""How many requests callers may leave, and which numbers are blocked or exempt.

A caller ID can be forged, and a caller can type any number. The limits keep that cheap for the office. An ordinary
office never reaches them. A limit of 0 means no limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class LimitReason(StrEnum):
    """Why a caller may not leave a request. The values are stored."""

    BLOCKED = "blocked"  # the number is on the block list
    NUMBER_OPEN = "number_open"
    NUMBER_HOUR = "number_hour"
    NUMBER_DAY = "number_day"
    MODULE_HOUR = "module_hour"
    TOTAL_HOUR = "total_hour"
    WAITING = "waiting"

    @property
    def is_general(self) -> bool:
        """Whether it applies to every number, so that the caller cannot type another one."""
        return self in (LimitReason.MODULE_HOUR, LimitReason.TOTAL_HOUR, LimitReason.WAITING)


@dataclass(frozen=True)
class RegistrationLimits:
    """The most requests: open at once for a number, and new ones in a time; the most that wait in all."""

    number_open: int = 5
    number_hour: int = 10
    number_day: int = 20
    module_hour: int = 120
    total_hour: int = 300
    waiting: int = 500


class ListKind(StrEnum):
    """Whether requests of a number are refused, exempt from the limits for a number, or served first.

    The values are stored.
    """

    BLOCK = "block"
    ALLOW = "allow"
    PRIORITY = "priority"


@dataclass(frozen=True)
class NumberRange:
    """A number (`first` = `last`), the numbers from `first` to `last`, or all that begin with `first` (no `last`)."""

    first: str
    last: str

    def covers(self, number: str) -> bool:
        """Tell whether a normalized number is in the range."""
        if not self.last:
            return number.startswith(self.first)
        return len(number) == len(self.first) and self.first <= number <= self.last

    @property
    def size(self) -> tuple[bool, bool, int]:
        """The sort key by which narrow ranges come first: a number, then from-to, then beginnings, longest first."""
        return not self.last, self.first != self.last, -len(self.first)


@dataclass(frozen=True)
class Standing:
    """A number has a standing priority, and perhaps a fixed agent: an extension, "" for none."""

    agent: str = ""


@dataclass(frozen=True)
class NumberLists:
    """The ranges of the lists. A number that is blocked and allowed is allowed.

    A standing priority changes neither limits nor blocks: a caller ID can be forged, and its range can be large.
    """

    blocked: tuple[NumberRange, ...] = ()
    allowed: tuple[NumberRange, ...] = ()
    standing: tuple[tuple[NumberRange, Standing], ...] = ()

    def find_standing(self, numbers: Iterable[str]) -> Standing | None:
        """Return the standing of the first of these numbers that has one, by its narrowest range, None if none has."""
        for number in numbers:
            found = [(entry.size, standing) for entry, standing in self.standing if entry.covers(number)]
            if found:
                return min(found, key=lambda each: each[0])[1]
        return None

    def is_allowed(self, number: str) -> bool:
        return any(entry.covers(number) for entry in self.allowed)

    def is_blocked(self, number: str) -> bool:
        return not self.is_allowed(number) and any(entry.covers(number) for entry in self.blocked)


def find_reason(
    numbers: Iterable[str], lists: NumberLists, limits: RegistrationLimits, counts: Mapping[LimitReason, int]
) -> LimitReason | None:
    """Return why a request may not be registered, None if it may.

    `numbers` are the number to call back and that of the caller, without unknown ones. `counts` are the requests that
    there are now, by the limit that they count for.
    """
    numbers = list(numbers)
    if any(lists.is_blocked(number) for number in numbers):
        return LimitReason.BLOCKED
    is_exempt = any(lists.is_allowed(number) for number in numbers)
    for reason in LimitReason:
        if reason is LimitReason.BLOCKED or (is_exempt and not reason.is_general):
            continue
        if 0 < getattr(limits, reason) <= counts.get(reason, 0):
            return reason
    return None
