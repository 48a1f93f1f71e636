"""Statistics for the charts: registrations, outcomes, and waiting times.

The database counts by quarters of an hour. This module sums them to days and hours of the office's time zone.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.services.report import periods
from app.services.report.periods import Period, Step
from app.services.report.query import Filter, conditions, key
from app.services.requests.access import Scope, Visibility, visibility_of
from app.store.database import Database
from app.store.epoch import QUARTER, epoch, quarter
from app.store.models import CallRequest
from app.store.version import requests_version

HOURS, WEEKDAYS = 24, 7


@dataclass(frozen=True)
class Delay:
    """Seconds until customers were called back. Half of `count` customers waited at most `median`, 90 % at most
    `ninetieth`. Both are None if nobody was reached."""

    count: int = 0
    median: int | None = None
    ninetieth: int | None = None


@dataclass(frozen=True)
class Day:
    """Requests registered on a day, or in the month or year that starts with it, and their outcomes so far."""

    day: date
    registered: int
    outcomes: Mapping[Status, int]
    delay: Delay


@dataclass(frozen=True)
class Share:
    """Requests of one operator or one target. The name "" means any extension of a module."""

    name: str
    queue: bool
    requests: int
    outcomes: Mapping[Status, int]
    delay: Delay


@dataclass(frozen=True)
class Statistics:
    """All statistics of a report.

    `hours[weekday][hour]` counts registrations in the office's time zone. Monday is weekday 0. Each item of `days`
    covers one `step`: a day, or a month or year if there are many days.
    """

    total: int
    outcomes: Mapping[Status, int]
    delay: Delay
    step: Step
    days: Sequence[Day]
    operators: Sequence[Share]
    targets: Sequence[Share]
    hours: Sequence[Sequence[int]]


def statistics(database: Database, scope: Scope, wanted: Filter, zone: ZoneInfo, *, locale: str = "en") -> Statistics:
    """Return statistics of the visible requests that match the filter. Days without requests are included.

    `locale` selects the calendar of the months.
    """
    with database.read() as session:
        visibility = visibility_of(session, scope)
        cache_key = (*key("statistics", session, visibility, wanted), zone.key, locale)
        version = requests_version(session)
        return database.cache.get(cache_key, version, lambda: _statistics(session, visibility, wanted, zone, locale))


def _statistics(session: Session, visibility: Visibility, wanted: Filter, zone: ZoneInfo, locale: str) -> Statistics:
    found = conditions(session, visibility, wanted)
    by_quarter = _count(session, found, quarter(CallRequest.registered_at))
    by_operator = _count(session, found, CallRequest.done_by)
    by_target = _count(session, found, CallRequest.queue, CallRequest.target)
    waits = _Waits(session, found, zone)
    dates = {_local_time(number, zone).date() for (number,) in by_quarter}
    step, days = _steps(dates, wanted, zone, locale)
    counted: dict[date, Counter[Status]] = defaultdict(Counter)
    hours = [[0] * HOURS for _ in range(WEEKDAYS)]
    for (number,), outcomes in by_quarter.items():
        local = _local_time(number, zone)
        counted[periods.step_of(local.date(), step, locale)].update(outcomes)
        hours[local.weekday()][local.hour] += outcomes.total()
    waited: dict[date, list[int]] = defaultdict(list)
    for day, seconds in waits.of_day.items():
        waited[periods.step_of(day, step, locale)] += seconds
    total: Counter[Status] = sum(counted.values(), Counter())
    return Statistics(
        total=total.total(),
        outcomes=total,
        delay=delay(waits.all),
        step=step,
        days=[Day(day, counted[day].total(), counted[day], delay(waited[day])) for day in days],
        operators=_most_first(
            Share(name, False, outcomes.total(), outcomes, delay(waits.of_operator[name]))
            for (name,), outcomes in by_operator.items()
            if name
        ),
        targets=_most_first(
            Share(target, bool(queue), outcomes.total(), outcomes, delay(waits.of_target[bool(queue), target]))
            for (queue, target), outcomes in by_target.items()
        ),
        hours=hours,
    )


def _count(session: Session, found: Sequence[ColumnElement[bool]], *by: Any) -> dict[tuple[Any, ...], Counter[Status]]:
    """Count requests by status and by the given columns."""
    query = select(*by, CallRequest.status, func.count()).where(*found).group_by(*by, CallRequest.status)
    counted: dict[tuple[Any, ...], Counter[Status]] = defaultdict(Counter)
    for *group, status, count in session.execute(query):
        counted[tuple(group)][Status(status)] += count
    return counted


class _Waits:
    """Waiting times in seconds of the customers who were reached: all, and by day, operator and target."""

    def __init__(self, session: Session, found: Sequence[ColumnElement[bool]], zone: ZoneInfo) -> None:
        self.all: list[int] = []
        self.of_day: dict[date, list[int]] = defaultdict(list)
        self.of_operator: dict[str, list[int]] = defaultdict(list)
        self.of_target: dict[tuple[bool, str], list[int]] = defaultdict(list)
        registered = quarter(CallRequest.registered_at)
        wait = epoch(CallRequest.reached_at) - epoch(CallRequest.registered_at)
        query = (
            select(registered, wait, CallRequest.done_by, CallRequest.queue, CallRequest.target)
            .where(*found, CallRequest.reached_at.is_not(None))
            .execution_options(yield_per=2000)
        )
        day_of: dict[int, list[int]] = {}  # saves look-ups per request
        for number, seconds, operator, queue, target in session.execute(query):
            self.all.append(seconds)
            if number not in day_of:
                day_of[number] = self.of_day[_local_time(number, zone).date()]
            day_of[number].append(seconds)
            self.of_operator[operator].append(seconds)
            self.of_target[queue, target].append(seconds)


def _local_time(number: int, zone: ZoneInfo) -> datetime:
    """Return the local time of a quarter of an hour."""
    return datetime.fromtimestamp(number * QUARTER, zone)


def delay(waits: Sequence[int]) -> Delay:
    """Return the median and the 90th percentile by the nearest-rank method, so both are actual waiting times."""
    if not waits:
        return Delay()
    ordered = sorted(waits)
    return Delay(len(ordered), ordered[-(-len(ordered) // 2) - 1], ordered[-(-9 * len(ordered) // 10) - 1])


def _steps(dates: Collection[date], wanted: Filter, zone: ZoneInfo, locale: str) -> tuple[Step, list[date]]:
    """Return the steps between the filter's first and last day, or between the first and last request."""
    first, last = min(dates, default=None), max(dates, default=None)
    if wanted.registered_from is not None and wanted.registered_to is not None:
        if wanted.registered_to <= wanted.registered_from:
            return "day", []
        first, last = periods.ends(Period(wanted.registered_from, wanted.registered_to), zone)
    if first is None or last is None:
        return "day", []
    step = periods.step_for(first, last)
    return step, periods.steps(first, last, step, locale)


def _most_first(shares: Iterable[Share]) -> list[Share]:
    return sorted(shares, key=lambda share: (-share.requests, share.name))
