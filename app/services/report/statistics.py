"""Numbers for charts: what was registered and what became of it, and how long customers waited.

The database counts by quarters of an hour, of which days and hours of the office's time zone are put together here.
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
    """How long it took until they were called back, in seconds: of `count` customers half waited at most `median`,
    nine of ten at most `ninetieth`. Both are waits that there were, and None where nobody was reached."""

    count: int = 0
    median: int | None = None
    ninetieth: int | None = None


@dataclass(frozen=True)
class Day:
    """What was registered on a day, or in the month or year that begins with it, and what became of that by now."""

    day: date
    registered: int
    outcomes: Mapping[Status, int]
    delay: Delay


@dataclass(frozen=True)
class Share:
    """What one operator did, or what one target was asked for. `name` "": any extension of a module."""

    name: str
    queue: bool
    requests: int
    outcomes: Mapping[Status, int]
    delay: Delay


@dataclass(frozen=True)
class Statistics:
    """`hours[weekday][hour]` counts registrations by the office's clock, Monday being weekday 0.

    `step` tells what each of `days` is: so many days that nobody could read them are told by months or by years.
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
    """Count what may be seen and is asked for. Days without any request are there as well.

    `locale`: the reader's, whose calendar it is that has the months.
    """
    with database.read() as session:
        seen = visibility_of(session, scope)
        cache_key = (*key("statistics", session, seen, wanted), zone.key, locale)
        version = requests_version(session)
        return database.cache.get(cache_key, version, lambda: _statistics(session, seen, wanted, zone, locale))


def _statistics(session: Session, seen: Visibility, wanted: Filter, zone: ZoneInfo, locale: str) -> Statistics:
    found = conditions(session, seen, wanted)
    by_quarter = _count(session, found, quarter(CallRequest.registered_at))
    by_operator = _count(session, found, CallRequest.done_by)
    by_target = _count(session, found, CallRequest.queue, CallRequest.target)
    waits = _Waits(session, found, zone)
    known = {_moment(number, zone).date() for (number,) in by_quarter}
    step, days = _steps(known, wanted, zone, locale)
    counted: dict[date, Counter[Status]] = defaultdict(Counter)
    hours = [[0] * HOURS for _ in range(WEEKDAYS)]
    for (number,), outcomes in by_quarter.items():
        here = _moment(number, zone)
        counted[periods.step_of(here.date(), step, locale)].update(outcomes)
        hours[here.weekday()][here.hour] += outcomes.total()
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
    """Count the requests of each status, by the values of some columns."""
    query = select(*by, CallRequest.status, func.count()).where(*found).group_by(*by, CallRequest.status)
    counted: dict[tuple[Any, ...], Counter[Status]] = defaultdict(Counter)
    for *group, status, count in session.execute(query):
        counted[tuple(group)][Status(status)] += count
    return counted


class _Waits:
    """The seconds that customers waited who were reached, all of them and by day, operator and target."""

    def __init__(self, session: Session, found: Sequence[ColumnElement[bool]], zone: ZoneInfo) -> None:
        self.all: list[int] = []
        self.of_day: dict[date, list[int]] = defaultdict(list)
        self.of_operator: dict[str, list[int]] = defaultdict(list)
        self.of_target: dict[tuple[bool, str], list[int]] = defaultdict(list)
        began = quarter(CallRequest.registered_at)
        wait = epoch(CallRequest.reached_at) - epoch(CallRequest.registered_at)
        query = (
            select(began, wait, CallRequest.done_by, CallRequest.queue, CallRequest.target)
            .where(*found, CallRequest.reached_at.is_not(None))
            .execution_options(yield_per=2000)
        )
        day_of: dict[int, list[int]] = {}  # one look-up per request, and not three
        for number, seconds, operator, queue, target in session.execute(query):
            self.all.append(seconds)
            if number not in day_of:
                day_of[number] = self.of_day[_moment(number, zone).date()]
            day_of[number].append(seconds)
            self.of_operator[operator].append(seconds)
            self.of_target[queue, target].append(seconds)


def _moment(number: int, zone: ZoneInfo) -> datetime:
    """Return the moment of a quarter by the clock of the zone."""
    return datetime.fromtimestamp(number * QUARTER, zone)


def delay(waits: Sequence[int]) -> Delay:
    """Return what half and nine tenths of the waits do not exceed.

    By the nearest rank: both are waits that there were, and nothing in between is made up.
    """
    if not waits:
        return Delay()
    ordered = sorted(waits)
    return Delay(len(ordered), ordered[-(-len(ordered) // 2) - 1], ordered[-(-9 * len(ordered) // 10) - 1])


def _steps(known: Collection[date], wanted: Filter, zone: ZoneInfo, locale: str) -> tuple[Step, list[date]]:
    """Return the steps from the first to the last day of what is asked for or, where that is open, of what there is."""
    first, last = min(known, default=None), max(known, default=None)
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
