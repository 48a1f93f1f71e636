"""Statistics for the charts: registrations, outcomes, and waiting times.

They are sums of the counts of days, see daily_counts.py.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from app.domain.lifecycle import Status
from app.services.report import periods
from app.services.report.daily_counts import DailyCounts, Days, count_days, local_time, merge
from app.services.report.periods import Period, Step
from app.services.report.query import Filter, conditions, key
from app.services.requests.access import Scope, visibility_of
from app.store.cache import UNVERSIONED
from app.store.database import Database
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
        found = conditions(session, visibility, wanted)

        def build() -> Statistics:
            if version is None:  # somebody is changing requests
                return _statistics(count_days(session, found, zone), wanted, zone, locale)
            kept = database.large_values.get(cache_key, UNVERSIONED, lambda: DailyCounts(zone))
            return _statistics(kept.read(session, found, version), wanted, zone, locale)

        return database.cache.get(cache_key, version, build)


def _statistics(counts: Days, wanted: Filter, zone: ZoneInfo, locale: str) -> Statistics:
    step, days = _steps(counts, wanted, zone, locale)
    counted: dict[date, Counter[Status]] = defaultdict(Counter)
    waited: dict[date, list[int]] = defaultdict(list)
    hours = [[0] * HOURS for _ in range(WEEKDAYS)]
    for day, of_day in counts.items():
        first = periods.step_of(day, step, locale)
        waited[first] += of_day.waits
        for number, outcomes in of_day.quarters.items():
            counted[first].update(outcomes)
            hours[day.weekday()][local_time(number, zone).hour] += outcomes.total()
    merged = merge(counts.values())
    total: Counter[Status] = sum(counted.values(), Counter())
    return Statistics(
        total=total.total(),
        outcomes=total,
        delay=delay(merged.waits),
        step=step,
        days=[Day(day, counted[day].total(), counted[day], delay(waited[day])) for day in days],
        operators=_most_first(
            Share(name, False, outcomes.total(), outcomes, delay(merged.waits_of_operator[name]))
            for name, outcomes in merged.operators.items()
            if name
        ),
        targets=_most_first(
            Share(target, bool(queue), outcomes.total(), outcomes, delay(merged.waits_of_target[queue, target]))
            for (queue, target), outcomes in merged.targets.items()
        ),
        hours=hours,
    )


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
