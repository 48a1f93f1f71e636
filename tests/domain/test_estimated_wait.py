"""The estimated wait: learned from the past only, and not said unless it is good enough."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.estimated_wait import (
    AROUND,
    DAYS,
    FEWEST,
    MORE_MINUTES,
    SAID_MINUTES,
    ByHour,
    ByPlace,
    Estimate,
    PastWait,
    estimate,
    replay,
    same_hours,
)

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def past(days_ago: float, minutes: float, ahead: int | None = None, talk: float = 3) -> PastWait:
    registered_at = NOW - days_ago * DAY
    return PastWait(registered_at, minutes * MINUTE, registered_at + (minutes + talk) * MINUTE, ahead)


def same(minutes: float, count: int = 3 * FEWEST, ahead: int | None = None) -> list[PastWait]:
    return [past(1 + number / 24, minutes, ahead) for number in range(count)]


def test_estimate_is_what_others_waited() -> None:
    assert estimate(same(20), NOW, 0) == Estimate(20 * MINUTE, timedelta(0))


def test_each_place_takes_as_long_if_that_fits_better() -> None:
    found = [past(1 + number / 24, 4 * (number % 5 + 1), number % 5) for number in range(5 * FEWEST)]
    assert estimate(found, NOW, 9) == Estimate(40 * MINUTE, timedelta(0))
    unknown = estimate(found, NOW, None)
    assert unknown is not None and unknown.wait == 12 * MINUTE


def test_time_that_a_request_has_waited_is_taken_off_unless_its_place_says_it() -> None:
    assert estimate(same(20), NOW, 1, 12 * MINUTE) == Estimate(8 * MINUTE, timedelta(0))
    assert estimate(same(20), NOW, 1, 20 * MINUTE) is None
    assert estimate(same(20, ahead=1), NOW, 1, 12 * MINUTE) == Estimate(20 * MINUTE, timedelta(0))


def test_nothing_is_said_from_too_few() -> None:
    """Some requests to learn from, and as many again to see how good it is."""
    for count in range(2 * FEWEST):
        assert estimate(same(20, count), NOW, 0) is None
    assert estimate(same(20, 2 * FEWEST), NOW, 0) is not None


def test_nothing_is_said_if_it_was_wrong_too_often() -> None:
    waits = [past(1 + number / 24, (2, 90, 30, 300)[number % 4]) for number in range(8 * FEWEST)]
    assert estimate(waits, NOW, 0) is None


_WAITS = st.builds(
    past, st.floats(0, DAYS), st.floats(0, 300), st.one_of(st.none(), st.integers(0, 30)), st.floats(0, 60)
)


@given(st.lists(_WAITS, max_size=60), _WAITS)
def test_replay_does_not_look_into_the_future(others: list[PastWait], asked: PastWait) -> None:
    """What had not ended when a request was registered changes nothing about its prediction."""
    before = [other for other in others if other.registered_at < asked.registered_at]
    ended = [other for other in before if other.known_at < asked.registered_at]
    for rule in (ByHour(), ByPlace()):
        for other in ended:
            rule.learn(other)
        expected = rule.predict(asked.ahead)
        if expected is not None:
            assert replay([asked, *before], type(rule)())[-1] == (expected, asked.waited)


@given(st.lists(_WAITS, max_size=60), st.floats(0, DAYS), st.integers(0, 30))
def test_estimate_does_not_look_into_the_future(found: list[PastWait], days_ago: float, ahead: int) -> None:
    moment = NOW - days_ago * DAY
    assert estimate(found, moment, ahead) == estimate([one for one in found if one.known_at <= moment], moment, ahead)


@given(st.floats(0.1, 300), st.floats(0, 1))
def test_wait_is_said_roughly(minutes: float, relative: float) -> None:
    wait = minutes * MINUTE
    said = Estimate(wait, relative * wait).rough_minutes
    assert said in SAID_MINUTES
    if said == 5:
        assert wait * (1 + relative) <= 5 * MINUTE
    elif said != MORE_MINUTES:
        assert minutes <= 1.3 * said, "nobody hears much less than they will wait"


@pytest.mark.parametrize(
    ("minutes", "error", "said"),
    [(3, 1, 5), (4, 2, 10), (12, 1, 10), (13, 5, 15), (24, 5, 20), (26, 5, 30), (45, 9, 45), (70, 9, 60), (80, 9, 90)],
)
def test_rough_minutes(minutes: int, error: int, said: int) -> None:
    assert Estimate(minutes * MINUTE, error * MINUTE).rough_minutes == said


def test_hours_are_those_of_the_clock_of_the_office() -> None:
    """Its clock was put back on the 25th of October."""
    zone = ZoneInfo("Europe/Berlin")
    today, *days = same_hours(NOW, zone)
    assert today == (NOW - AROUND, NOW)
    assert [start for start, _ in days[:2]] == [NOW - DAY - AROUND, NOW - 2 * DAY - AROUND]
    assert days[-1] == (NOW - DAYS * DAY - AROUND - 60 * MINUTE, NOW - DAYS * DAY + AROUND - 60 * MINUTE)
    assert len(days) == DAYS
