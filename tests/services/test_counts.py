"""Limits that hold for several web processes together."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import event, select

from app.services.counts import Counts, Limit, count, end_of_span
from app.store.database import Database
from app.store.models import Count

NOW = datetime(2026, 3, 21, 10, 0, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_two_processes_share_a_limit(database: Database) -> None:
    limit = Limit("calls", 20, MINUTE, block=5)
    one, two = Counts(database), Counts(database)
    allowed = [process.hit(limit, "7", NOW) is None for _ in range(20) for process in (one, two)]
    assert sum(allowed) == 20
    assert one.hit(limit, "7", NOW) == two.hit(limit, "7", NOW) == timedelta(seconds=45)
    assert one.hit(limit, "8", NOW) is None, "another key has a count of its own"
    assert two.hit(limit, "7", NOW + timedelta(seconds=45)) is None, "the next span begins"


def test_limit_that_is_no_multiple_of_the_block_is_kept_exactly(database: Database) -> None:
    limit = Limit("calls", 7, MINUTE, block=5)
    counts = Counts(database)
    assert [counts.hit(limit, "7", NOW) is None for _ in range(9)] == [True] * 7 + [False] * 2


def test_most_hits_and_a_flood_cost_no_write(database: Database) -> None:
    limit = Limit("calls", 20, MINUTE, block=10)
    counts, writes = Counts(database), []
    listen = (database.engine, "before_cursor_execute", lambda _c, _u, statement, *_: writes.append(statement))
    event.listen(*listen)
    for _ in range(1000):
        counts.hit(limit, "7", NOW)
    event.remove(*listen)
    assert len([each for each in writes if each.startswith("INSERT")]) == 3


def test_counts_are_deleted_when_their_span_is_over(database: Database) -> None:
    with database.write() as session:
        for day in (0, 1, 9):  # the last one was stored before the clock was put back
            count(session, f"day {day}", NOW + timedelta(days=day, hours=1), NOW + timedelta(days=day))
        count(session, "now", end_of_span(NOW, MINUTE), NOW)
    with database.read() as session:
        assert session.scalars(select(Count.name)).all() == ["now"]
