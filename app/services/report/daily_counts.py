"""Counts of requests by the day of their registration, kept for the charts.

After a change, only the days of the requests that changed are counted again.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.services.report import periods
from app.store.epoch import QUARTER, epoch, quarter
from app.store.models import CallRequest, HistoryEntry
from app.store.version import RequestsVersion

MAX_CHANGED = 500  # requests, and days; if more have changed, all days are counted again

Target = tuple[bool, str]  # is it a queue, and its number or name


@dataclass
class Counts:
    """Requests by status: in each quarter of an hour since 1970, of each operator, and of each target.

    `waits` are the seconds until the customers were reached who were reached, in the same groups.
    """

    quarters: dict[int, Counter[Status]] = field(default_factory=lambda: defaultdict(Counter))
    operators: dict[str, Counter[Status]] = field(default_factory=lambda: defaultdict(Counter))
    targets: dict[Target, Counter[Status]] = field(default_factory=lambda: defaultdict(Counter))
    waits: list[int] = field(default_factory=list)
    waits_of_operator: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    waits_of_target: dict[Target, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, other: "Counts") -> None:
        """Add the counts of another day."""
        self.quarters.update(other.quarters)  # no quarter is of two days
        for operator, outcomes in other.operators.items():
            self.operators[operator].update(outcomes)
        for target, outcomes in other.targets.items():
            self.targets[target].update(outcomes)
        self.waits += other.waits
        for operator, waits in other.waits_of_operator.items():
            self.waits_of_operator[operator] += waits
        for target, waits in other.waits_of_target.items():
            self.waits_of_target[target] += waits


Days = dict[date, Counts]


class DailyCounts:
    """The counts of the days of one search in one time zone. Only one thread may use it at a time."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._version: RequestsVersion | None = None
        self._days: Days = {}

    def read(self, session: Session, found: Sequence[ColumnElement[bool]], version: RequestsVersion) -> Days:
        """Return the counts of this version of the requests. `found` are the conditions of the search."""
        changed = self._changed_days(session, version)
        self._version = None  # until all is read
        if changed is None:
            self._days = count_days(session, found, self._zone)
        else:
            for day in changed:
                self._days.pop(day, None)
                period = periods.between(day, day, self._zone)
                of_day = CallRequest.registered_at >= period.start, CallRequest.registered_at < period.end
                self._days |= count_days(session, [*found, *of_day], self._zone)
        self._version = version
        return self._days

    def _changed_days(self, session: Session, version: RequestsVersion) -> Collection[date] | None:
        """Return the days whose requests have changed since they were counted, None if all may have."""
        if self._version is None or self._version[2] != version[2]:
            return None
        history, newest, _ = self._version
        changed = select(HistoryEntry.request_id).where(HistoryEntry.id > history)
        registered = select(CallRequest.registered_at).where(or_(CallRequest.id > newest, CallRequest.id.in_(changed)))
        moments = session.scalars(registered.limit(MAX_CHANGED)).all()
        return {at.astimezone(self._zone).date() for at in moments} if len(moments) < MAX_CHANGED else None


def count_days(session: Session, found: Sequence[ColumnElement[bool]], zone: ZoneInfo) -> Days:
    """Count the requests that meet these conditions, by the days on which they were registered."""
    query = (
        select(
            quarter(CallRequest.registered_at),
            CallRequest.status,
            CallRequest.done_by,
            CallRequest.queue,
            CallRequest.target,
            epoch(CallRequest.reached_at) - epoch(CallRequest.registered_at),
        )
        .where(*found)
        .execution_options(yield_per=2000)
    )
    days: Days = {}
    of_quarter: dict[int, Counts] = {}  # saves look-ups per request
    statuses = {status.value: status for status in Status}
    for number, name, operator, queue, target, wait in session.execute(query):
        counts = of_quarter.get(number)
        if counts is None:
            counts = of_quarter[number] = days.setdefault(local_time(number, zone).date(), Counts())
        status = statuses[name]
        counts.quarters[number][status] += 1
        counts.operators[operator][status] += 1
        counts.targets[queue, target][status] += 1
        if wait is not None:
            counts.waits.append(wait)
            counts.waits_of_operator[operator].append(wait)
            counts.waits_of_target[queue, target].append(wait)
    return days


def merge(days: Iterable[Counts]) -> Counts:
    """Return the counts of all these days together."""
    merged = Counts()
    for counts in days:
        merged.add(counts)
    return merged


def local_time(number: int, zone: ZoneInfo) -> datetime:
    """Return the local time of a quarter of an hour."""
    return datetime.fromtimestamp(number * QUARTER, zone)
