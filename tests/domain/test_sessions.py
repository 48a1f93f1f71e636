"""When a session ends by itself, and when it is fresh."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.sessions import SessionLimits, has_ended, is_fresh

START = datetime(2026, 11, 28, 8, tzinfo=UTC)
LIMITS = SessionLimits(idle=timedelta(hours=12), longest=timedelta(days=14))


@pytest.mark.parametrize(
    ("used", "now", "ended"),
    [
        (timedelta(0), timedelta(0), False),
        (timedelta(0), timedelta(hours=11, minutes=59), False),
        (timedelta(0), timedelta(hours=12), True),
        (timedelta(days=13, hours=23), timedelta(days=13, hours=23, minutes=59), False),
        (timedelta(days=13, hours=23), timedelta(days=14), True),
        (timedelta(hours=2), timedelta(hours=1), False),
    ],
    ids=["new", "used lately", "idle", "used for long", "too long", "the clock was set back"],
)
def test_a_session_ends_at_its_limits(used: timedelta, now: timedelta, ended: bool) -> None:
    assert has_ended(START, START + used, START + now, LIMITS) == ended


@pytest.mark.parametrize(("age", "fresh"), [(0, True), (599, True), (600, False), (86400, False)])
def test_a_session_is_fresh_for_ten_minutes(age: int, fresh: bool) -> None:
    assert is_fresh(START, START + timedelta(seconds=age)) is fresh
