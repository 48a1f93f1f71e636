"""Missed calls: who called, reached nobody and left no request, and what became of that."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.routing import EXTENSION_PATTERN, QUEUE_PATTERN

HOURS_BOUNDS = (1, 720)  # of the look-back
DAYS_BOUNDS = (1, 3650)  # for which calls are kept
MINUTES_BOUNDS = (0, 1440)  # until a request is made by itself


class Outcome(StrEnum):
    """What became of a missed call. The values are stored."""

    OPEN = "open"
    REACHED = "reached"  # the office has talked with that number since
    LEFT = "left"  # the caller has left a request since
    REQUESTED = "requested"  # a request was made from the missed call
    DISMISSED = "dismissed"  # somebody has taken it off the list

    def follows(self, before: "Outcome") -> bool:
        """Tell whether a call with the outcome `before` gets this one.

        A talk is what all of it is for, so it counts whatever came before. Nothing else changes an outcome.
        """
        if self is Outcome.REACHED:
            return before is not Outcome.REACHED
        return before is Outcome.OPEN and self is not Outcome.OPEN


@dataclass(frozen=True, order=True)
class Target:
    """An extension, or a queue, whose missed calls can be listed."""

    queue: bool
    code: str

    @property
    def is_valid(self) -> bool:
        pattern = QUEUE_PATTERN if self.queue else EXTENSION_PATTERN
        return pattern.fullmatch(self.code) is not None


@dataclass(frozen=True)
class Arrival:
    """Where a caller came: `target`, or the module with this id, who wanted the extension `wanted` ("": nobody)."""

    target: Target | None = None
    module_id: int | None = None
    wanted: str = ""


@dataclass(frozen=True)
class ModuleTargets:
    """The targets of a module."""

    queue: bool
    codes: tuple[str, ...]

    def serves(self, target: Target) -> bool:
        return self.queue == target.queue and target.code in self.codes

    def wanted(self, extension: str) -> Target | None:
        """Return the target that a caller of this module wanted. None: any of several extensions."""
        if not self.queue and extension in self.codes:
            return Target(False, extension)
        return Target(self.queue, self.codes[0]) if len(self.codes) == 1 else None


def find_target(
    arrivals: Sequence[Arrival], modules: dict[int, ModuleTargets], listed: Collection[Target]
) -> Target | None:
    """Return for whom a call counts as missed: the last of `listed` where the caller came. None: for nobody."""
    for arrival in reversed(arrivals):
        module = modules.get(arrival.module_id) if arrival.module_id is not None else None
        target = arrival.target if module is None else module.wanted(arrival.wanted)
        if target is not None and target in listed:
            return target
    return None


def is_due(first_at: datetime, minutes: int, now: datetime) -> bool:
    """Tell whether a request is made by itself now. `first_at` is when the first call ended; 0 minutes: never."""
    return minutes > 0 and first_at + timedelta(minutes=minutes) <= now
