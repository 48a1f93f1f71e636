"""The numbers of the charts, held against plain counting."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.lifecycle import Status
from app.services.report import daily_counts
from app.services.report.periods import between
from app.services.report.query import Filter
from app.services.report.statistics import Delay, delay, statistics
from app.store import pbx_state
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry
from tests.services.scene import MINUTE, SUPERVISOR, ZONE
from tests.support.factories import NOW, create_request

DAY = date(2026, 3, 2)


def test_requests_are_counted_by_the_day_of_the_office(database: Database) -> None:
    before, after = datetime(2026, 3, 2, 20, 29, tzinfo=UTC), datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
    create_request(database, registered_at=before, status="done")
    create_request(database, registered_at=before, status="failed")
    create_request(database, registered_at=after, status="done")
    days = statistics(database, SUPERVISOR, Filter(), ZONE).days
    assert [(day.day, day.registered, day.outcomes) for day in days] == [
        (DAY, 2, {Status.DONE: 1, Status.FAILED: 1}),
        (DAY + timedelta(days=1), 1, {Status.DONE: 1}),
    ]
    assert len(statistics(database, SUPERVISOR, Filter(), ZoneInfo("UTC")).days) == 1


def test_days_without_a_request_are_there_as_well(database: Database) -> None:
    period = between(DAY, DAY + timedelta(days=4), ZONE)
    create_request(database)
    wanted = Filter(registered_from=period.start, registered_to=period.end)
    assert [day.registered for day in statistics(database, SUPERVISOR, wanted, ZONE).days] == [1, 0, 0, 0, 0]
    create_request(database, registered_at=NOW + timedelta(days=3))
    assert [day.registered for day in statistics(database, SUPERVISOR, Filter(), ZONE).days] == [1, 0, 0, 1]


def test_hours_and_weekdays_are_those_of_the_offices_clock(database: Database) -> None:
    create_request(database, registered_at=datetime(2026, 3, 1, 21, 10, tzinfo=UTC))  # 00:40 on Monday
    hours = statistics(database, SUPERVISOR, Filter(), ZONE).hours
    assert hours[0][0] == 1
    assert sum(map(sum, hours)) == 1


def test_how_long_they_waited_is_told_by_day_operator_and_target(database: Database) -> None:
    for minutes, operator, target in ((1, "101", "101"), (2, "101", "101"), (30, "102", "102"), (9, "102", "101")):
        create_request(database, target=target, status="done", done_by=operator, reached_at=NOW + minutes * MINUTE)
    create_request(database, target="101", status="failed", done_by="101")
    found = statistics(database, SUPERVISOR, Filter(), ZONE)
    assert found.delay == Delay(4, 120, 1800)
    assert found.days[0].delay == found.delay
    assert [(one.name, one.requests, one.outcomes[Status.DONE], one.delay) for one in found.operators] == [
        ("101", 3, 2, Delay(2, 60, 120)),
        ("102", 2, 2, Delay(2, 540, 1800)),
    ]
    assert [(one.name, one.queue, one.requests, one.delay.median) for one in found.targets] == [
        ("101", False, 4, 120),
        ("102", False, 1, 1800),
    ]


def test_a_queue_that_is_called_like_an_extension_is_counted_apart(database: Database) -> None:
    create_request(database, target="101")
    create_request(database, target="101", queue=True)
    found = statistics(database, SUPERVISOR, Filter(), ZONE)
    assert sorted((one.name, one.queue, one.requests) for one in found.targets) == [("101", False, 1), ("101", True, 1)]


def test_only_what_is_filtered_is_counted(database: Database) -> None:
    create_request(database, target="101", status="done", reached_at=NOW + MINUTE)
    create_request(database, target="102", status="done", reached_at=NOW + 2 * MINUTE)
    found = statistics(database, SUPERVISOR, Filter(target="102"), ZONE)
    assert (found.total, found.delay, [one.name for one in found.targets]) == (1, Delay(1, 120, 120), ["102"])


def test_nothing_makes_no_numbers(database: Database) -> None:
    found = statistics(database, SUPERVISOR, Filter(), ZONE)
    assert (found.total, found.days, found.operators, found.targets, found.delay) == (0, [], [], [], Delay())


@pytest.mark.parametrize("zone", ["Asia/Tehran", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
def test_it_is_what_counting_one_by_one_gives(database: Database, zone: str) -> None:
    rng, place = random.Random(zone), ZoneInfo(zone)
    start = datetime(2025, 10, 20, tzinfo=UTC)
    rows = []
    for _ in range(120):
        registered = start + timedelta(seconds=rng.random() * 14 * 86400)
        wait = rng.randrange(5, 5000) if rng.random() < 0.7 else None
        rows.append((registered, wait, rng.choice(list(Status))))
        create_request(
            database,
            registered_at=registered,
            reached_at=None if wait is None else registered + timedelta(seconds=wait),
            status=rows[-1][2].value,
        )
    found = statistics(database, SUPERVISOR, Filter(), place)
    days = Counter(registered.astimezone(place).date() for registered, _, _ in rows)
    assert {day.day: day.registered for day in found.days if day.registered} == days
    assert found.outcomes == Counter(status for _, _, status in rows)
    clock = Counter((r.astimezone(place).weekday(), r.astimezone(place).hour) for r, _, _ in rows)
    assert {(d, h): n for d, row in enumerate(found.hours) for h, n in enumerate(row) if n} == clock
    for day in found.days:
        waits = [wait for r, wait, _ in rows if wait is not None and r.astimezone(place).date() == day.day]
        assert day.delay == delay(waits)


def test_after_a_change_only_the_days_of_changed_requests_are_counted_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [create_request(database, registered_at=NOW - n * timedelta(hours=12)) for n in range(10)]
    read: list[int] = []  # how many days each reading has found

    def count_days(*arguments: Any) -> daily_counts.Days:
        days = _count_days(*arguments)
        read.append(len(days))
        return days

    _count_days = daily_counts.count_days
    monkeypatch.setattr(daily_counts, "count_days", count_days)

    def check(expected: list[int]) -> None:
        """Compare the statistics with those that nothing is kept of."""
        read.clear()
        found = statistics(database, SUPERVISOR, Filter(), ZONE)
        assert read == expected
        assert found == statistics(Database(database.engine), SUPERVISOR, Filter(), ZONE)

    all_days = len({row.registered_at.astimezone(ZONE).date() for row in rows})
    check([all_days])
    check([])
    with database.write() as session:
        changed = session.get_one(CallRequest, rows[3].id)
        changed.status, changed.done_by, changed.reached_at = "done", "101", changed.registered_at + MINUTE
        session.add(history_entry(changed.id))
    check([1])
    new = create_request(database, registered_at=NOW + timedelta(days=3))
    with database.write() as session:
        session.add(history_entry(new.id))
    check([1])
    with database.write() as session:
        session.delete(session.get_one(CallRequest, rows[9].id))
        pbx_state.writable_worker_state(session).deletions += 1
    kept = [row.registered_at for row in (*rows[:9], new)]
    check([len({moment.astimezone(ZONE).date() for moment in kept})])


def history_entry(request_id: int) -> HistoryEntry:
    return HistoryEntry(request_id=request_id, at=NOW, event="changed", old_status="waiting", new_status="done")


@settings(database=None, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_half_waited_no_longer_than_the_median_and_nine_of_ten_no_longer_than_the_ninetieth(waits: list[int]) -> None:
    found = delay(waits)
    assert found.median is not None
    assert found.ninetieth is not None
    for limit, share in ((found.median, 0.5), (found.ninetieth, 0.9)):
        assert limit in waits
        assert sum(wait <= limit for wait in waits) >= share * len(waits)
        assert sum(wait < limit for wait in waits) < share * len(waits)
