"""How long a request will probably wait, by those of the last days that came at this hour of the day.

Two rules are tried on those past requests, each predicted only from what was known before it. The better one is used,
if it is good enough.
"""

from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from statistics import median

DAYS = 21  # how many days back the past requests may lie
AROUND = timedelta(minutes=30)  # how far their time of day may be from now
FEWEST = 8  # past requests to predict one, and predictions to know how good they are
TOLERANCE = 0.4  # the largest error of good predictions, relative to what they predict
SHORT = timedelta(minutes=5)  # a predicted wait below it counts as this long: a shorter one is not said, either
ROUGH_MINUTES = (10, 15, 20, 30, 45, 60)  # what is said; below them SHORT, above them MORE_MINUTES
MORE_MINUTES = 90  # stands for more than an hour
_MINUTE = timedelta(minutes=1)
SAID_MINUTES = (int(SHORT / _MINUTE), *ROUGH_MINUTES, MORE_MINUTES)


@dataclass(frozen=True)
class PastWait:
    """A past request: how long it waited until customer and agent were connected.

    `known_at` is when it ended. `ahead` is how many came before it when it was registered, None if that is unknown.
    """

    registered_at: datetime
    waited: timedelta
    known_at: datetime
    ahead: int | None = None


@dataclass(frozen=True)
class Estimate:
    """The wait of a request from now on, and by how much half of such predictions were wrong at most."""

    wait: timedelta
    error: timedelta

    @property
    def rough_minutes(self) -> int:
        """The wait in minutes as it is said: one of SAID_MINUTES.

        "Less than" is a promise, so it must hold also if the estimate is as wrong as usual.
        """
        if self.wait + self.error <= SHORT:
            return SAID_MINUTES[0]
        borders = [
            (low + high) / 2 for low, high in zip(ROUGH_MINUTES, (*ROUGH_MINUTES[1:], MORE_MINUTES), strict=True)
        ]
        said = zip(ROUGH_MINUTES, borders, strict=True)
        return next((minutes for minutes, border in said if self.wait < border * _MINUTE), MORE_MINUTES)


@dataclass(frozen=True)
class _Result:
    wait: timedelta
    median_error: timedelta
    relative_error: float


def _median(ordered: Sequence[timedelta]) -> timedelta:
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


class Rule(ABC):
    """Predicts a wait by the median of what it has learned, if that is enough."""

    def __init__(self) -> None:
        self._known: list[timedelta] = []  # in order

    def learn(self, request: PastWait) -> None:
        """Learn from a request that has ended."""
        weight = self._weight(request.ahead)
        if weight:
            insort(self._known, request.waited / weight)

    def predict(self, ahead: int | None, waited: timedelta = timedelta(0)) -> timedelta | None:
        """Return how much longer a request will wait, None if that is unknown. For the arguments see `estimate`."""
        weight = self._weight(ahead)
        is_enough = weight and len(self._known) >= FEWEST
        return _median(self._known) * weight - self._passed(waited) if is_enough else None

    @abstractmethod
    def _weight(self, ahead: int | None) -> int:
        """Return for how many such waits a request waits, 0 if that is unknown."""

    @abstractmethod
    def _passed(self, waited: timedelta) -> timedelta:
        """Return how much of the predicted wait is over."""


class ByHour(Rule):
    """The requests of an hour wait equally long."""

    def _weight(self, ahead: int | None) -> int:
        return 1

    def _passed(self, waited: timedelta) -> timedelta:
        return waited


class ByPlace(Rule):
    """Each place in line takes equally long. What has passed shows in the place."""

    def _weight(self, ahead: int | None) -> int:
        return 0 if ahead is None else ahead + 1

    def _passed(self, waited: timedelta) -> timedelta:
        return timedelta(0)


def same_hours(now: datetime, zone: tzinfo) -> list[tuple[datetime, datetime]]:
    """Return the times of the last days around the present time of day by the clock of the office, latest first."""
    local = now.astimezone(zone)
    clock = time(local.hour, local.minute, local.second)
    days = (local.date() - timedelta(days=days) for days in range(1, DAYS + 1))
    moments = (datetime.combine(day, clock, zone).astimezone(now.tzinfo) for day in days)
    return [(now - AROUND, now), *((moment - AROUND, moment + AROUND) for moment in moments)]


def estimate(
    past: Iterable[PastWait], now: datetime, ahead: int | None, waited: timedelta = timedelta(0)
) -> Estimate | None:
    """Return how much longer a request will wait, None if that cannot be said well enough.

    `ahead` is how many come before it now, None if that is unknown. `waited` is how long it has waited.
    """
    known = [request for request in past if request.known_at <= now]
    usable = [found for rule in (ByPlace(), ByHour()) if (found := _try(rule, known, ahead, waited)) is not None]
    best = min(usable, key=lambda found: found.median_error, default=None)
    if best is None or best.relative_error > TOLERANCE or best.wait <= timedelta(0):
        return None
    return Estimate(best.wait, best.relative_error * max(best.wait, SHORT))


def _try(rule: Rule, known: Sequence[PastWait], ahead: int | None, waited: timedelta) -> _Result | None:
    """Return what a rule says of a request, and its errors, None if too little is known."""
    predictions = replay(known, rule)
    wait = rule.predict(ahead, waited)
    if wait is None or len(predictions) < FEWEST:
        return None
    errors = [abs(predicted - waited) for predicted, waited in predictions]
    relative = [error / max(predicted, SHORT) for error, (predicted, _) in zip(errors, predictions, strict=True)]
    return _Result(wait, _median(sorted(errors)), median(relative))


def replay(past: Iterable[PastWait], rule: Rule) -> list[tuple[timedelta, timedelta]]:
    """Predict each request only from those that had ended before it was registered.

    Return each prediction with the actual wait, in the order of registration. Those of whom the rule says nothing, or
    before whom too few had ended, are left out. In the end the rule has learned all.
    """
    predictions = []
    registrations = ((request.registered_at, False, request) for request in past)
    ends = ((request.known_at, True, request) for request in past)
    for _, has_ended, request in sorted((*registrations, *ends), key=lambda event: event[:2]):
        if has_ended:
            rule.learn(request)
        elif (predicted := rule.predict(request.ahead)) is not None:
            predictions.append((predicted, request.waited))
    return predictions
