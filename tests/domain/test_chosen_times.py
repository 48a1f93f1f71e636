"""The times that callers choose: what their keys mean, and where a time moves."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.chosen_times import KEYS, LATEST, QUARTER, find_free, quarter_of, wish_of
from app.domain.hours import ALWAYS, NEVER, Hours, parse_week
from tests.domain.test_hours import BERLIN, ENOUGH, TEHRAN, WORK, at

MINUTE = timedelta(minutes=1)
NOON = at(TEHRAN, "2026-11-28T12:10:30")  # a Saturday, while the office is closed for an hour
ZONES = st.sampled_from([TEHRAN, BERLIN, ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")])
SPLIT = parse_week("mon 08:35-12:00, 13:00-13:20; tue 22:00-06:00; thu 00:00-24:00; fri 00:00-02:00")


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        ("1", "2026-11-28T12:20:30", "2026-11-28T12:20:30"),
        ("9", "2026-11-28T13:40:30", "2026-11-28T13:40:30"),
        ("*", "2026-11-29T08:00:00", "2026-11-29T12:00:00"),
        ("#", "2026-11-29T13:00:00", "2026-11-29T23:59:59.999999"),
    ],
)
def test_keys_are_tens_of_minutes_and_the_parts_of_tomorrow(key: str, first: str, last: str) -> None:
    wish = wish_of(key, NOON, TEHRAN)
    assert (wish.first, wish.last) == (at(TEHRAN, first), at(TEHRAN, last))


def test_tomorrow_is_that_of_the_office() -> None:
    late = datetime(2026, 11, 28, 21, 0, tzinfo=UTC)  # 00:30 of the next day in Tehran
    assert wish_of("*", late, TEHRAN).first == at(TEHRAN, "2026-11-30T08:00")
    assert set(KEYS) == set("123456789*#")  # 0 leaves, as everywhere in the dialogue


@pytest.mark.parametrize(
    ("wished", "found"),
    [
        ("2026-11-28T11:59", "2026-11-28T11:59"),
        ("2026-11-28T12:10", "2026-11-28T13:00"),
        ("2026-11-28T17:00", "2026-11-29T08:30"),
        ("2026-12-02T17:30", "2026-12-05T08:30"),  # over the weekend
    ],
)
def test_time_outside_the_hours_moves_to_the_next_opening(wished: str, found: str) -> None:
    assert find_free(at(TEHRAN, wished), Hours(TEHRAN, WORK), {}) == at(TEHRAN, found)


def test_full_quarter_moves_to_the_next_free_one() -> None:
    hours, ten = Hours(TEHRAN, WORK), at(TEHRAN, "2026-11-28T10:00")
    taken = Counter({ten: 2, ten + QUARTER: 3, at(TEHRAN, "2026-11-28T16:45"): 2})
    assert find_free(ten + 7 * MINUTE, hours, taken, 2) == ten + 2 * QUARTER
    assert find_free(ten + 7 * MINUTE, hours, taken, 3) == ten + 7 * MINUTE
    assert find_free(ten, hours, {ten: 1}, 1) == ten + QUARTER
    assert find_free(ten + 7 * MINUTE, hours, taken) == ten + 7 * MINUTE, "no limit"
    assert find_free(at(TEHRAN, "2026-11-28T16:50"), hours, taken, 2) == at(TEHRAN, "2026-11-29T08:30")


def test_nothing_is_free_shortly_before_the_closing_or_if_the_office_never_opens() -> None:
    hours, early = Hours(TEHRAN, WORK), timedelta(minutes=10)
    assert find_free(at(TEHRAN, "2026-11-28T16:50"), hours, {}, 0, early) == at(TEHRAN, "2026-11-29T08:30")
    assert find_free(NOON, Hours(TEHRAN, NEVER), {}) is None
    assert find_free(NOON, hours, {}, 0, timedelta(hours=12)) is None
    assert find_free(NOON, Hours(TEHRAN, ALWAYS), {}, 0, timedelta(hours=12)) == NOON


@settings(ENOUGH)
@given(
    zone=ZONES,
    after=st.integers(0, 9 * 24 * 12),
    limit=st.integers(0, 2),
    busy=st.lists(st.integers(0, 9 * 96), max_size=60),
    closing=st.integers(0, 20),
)
def test_the_first_moment_is_found_that_is_open_and_not_full(
    zone: ZoneInfo, after: int, limit: int, busy: list[int], closing: int
) -> None:
    start = at(zone, "2026-10-20T00:00")  # Berlin puts the clock back five days later
    hours, wished = Hours(zone, SPLIT), start + after * 5 * MINUTE
    taken = Counter(quarter_of(start) + number * QUARTER for number in busy)

    def is_free(moment: datetime) -> bool:
        in_time = hours.is_open(moment) and hours.is_open(moment + closing * MINUTE)  # the office closes for longer
        return in_time and (not limit or taken[quarter_of(moment)] < limit)

    found = find_free(wished, hours, taken, limit, closing * MINUTE)
    assert found is not None and wished <= found <= wished + LATEST and is_free(found)
    steps = int((found - wished) / (5 * MINUTE))  # all that changes does so at a multiple of five minutes
    assert not any(is_free(wished + number * 5 * MINUTE) for number in range(steps))
