"""Office hours: the clock on the wall, changes of it, and the turns after an opening."""

import os
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.hours import (
    ALWAYS,
    DAY,
    DAYTIME,
    NEVER,
    SEARCHED,
    WEEKDAYS,
    WHOLE_DAY,
    Hours,
    Opening,
    Span,
    Spans,
    format_spans,
    format_week,
    opening,
    parse_spans,
    parse_week,
    stops_offering,
)
from tests.support.factories import NOW

# The fast run tries fewer examples.
ENOUGH = settings(max_examples=40 if os.environ.get("FEWER_EXAMPLES") else 100)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TEHRAN, BERLIN, SANTIAGO = ZoneInfo("Asia/Tehran"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/Santiago")
WORK = parse_week("sat 08:30-12:00, 13:00-17:00; sun 08:30-17:00; mon 08:30-17:00; tue 08:30-17:00; wed 08:30-17:00")


def at(zone: ZoneInfo, text: str, *, fold: int = 0) -> datetime:
    """Return the moment at which the clock of a zone says this."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


# -- the wall clock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("2026-11-28T08:29:59", False),  # a Saturday
        ("2026-11-28T08:30:00", True),
        ("2026-11-28T11:59:59", True),
        ("2026-11-28T12:00:00", False),
        ("2026-11-28T13:00:00", True),
        ("2026-11-26T10:00:00", False),  # a Thursday
        ("2026-11-27T10:00:00", False),
    ],
)
def test_spans_of_a_week(text: str, is_open: bool) -> None:
    assert Hours(TEHRAN, WORK).is_open(at(TEHRAN, text)) is is_open


def test_changes_around_a_weekend() -> None:
    hours, friday = Hours(TEHRAN, WORK), at(TEHRAN, "2026-11-27T12:00")
    assert hours.next_change(friday) == at(TEHRAN, "2026-11-28T08:30")
    assert hours.last_change(friday) == hours.last_closing(friday) == at(TEHRAN, "2026-11-25T17:00")
    lunch = at(TEHRAN, "2026-11-28T14:00")
    assert hours.last_change(lunch) == at(TEHRAN, "2026-11-28T13:00")
    assert hours.last_closing(lunch) == at(TEHRAN, "2026-11-28T12:00")


def test_special_days_replace_the_week_and_a_night_ends_in_them() -> None:
    night = parse_week("wed 22:00-06:00; thu 08:00-12:00")
    hours = Hours(TEHRAN, night, ((date(2026, 11, 26), ()), (date(2026, 11, 27), (Span(600, 660),))))
    assert hours.is_open(at(TEHRAN, "2026-11-26T05:59")) and not hours.is_open(at(TEHRAN, "2026-11-26T06:00"))
    assert not hours.is_open(at(TEHRAN, "2026-11-26T09:00"))
    assert hours.next_change(at(TEHRAN, "2026-11-26T06:00")) == at(TEHRAN, "2026-11-27T10:00")


def test_midnight_is_no_change_between_two_whole_days() -> None:
    two_days = parse_week("mon 00:00-24:00; tue 00:00-24:00")
    hours, monday = Hours(UTC, two_days), datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    assert hours.last_change(monday) == datetime(2026, 11, 30, tzinfo=UTC)
    assert hours.next_change(monday) == datetime(2026, 12, 2, tzinfo=UTC)


def test_always_and_never_do_not_change() -> None:
    for week, is_open in ((ALWAYS, True), (NEVER, False)):
        found = opening(Hours(TEHRAN, week), NOW, HOUR)
        assert (found.is_open, found.since, found.until) == (is_open, None, None)
        assert Hours(TEHRAN, week).last_closing(NOW) is None
    far = Hours(TEHRAN, NEVER, (((NOW + SEARCHED + timedelta(days=9)).date(), WHOLE_DAY),))
    assert far.next_change(NOW) is None
    long_closed = Hours(TEHRAN, NEVER, (((NOW - timedelta(days=100)).date(), WHOLE_DAY),))
    assert long_closed.last_closing(NOW) is not None
    holiday = Hours(TEHRAN, ALWAYS, ((date(2026, 3, 10), ()),))
    assert holiday.next_change(NOW) == at(TEHRAN, "2026-03-10T00:00")
    assert not opening(holiday, at(TEHRAN, "2026-03-10T12:00")).is_open


# -- the clock is put forward or back ---------------------------------------------------------------------------------


def test_skipped_hour() -> None:
    # In Berlin, 02:00 to 03:00 does not exist on 2026-03-29.
    early = Hours(BERLIN, (parse_spans("02:15-02:45, 02:50-04:00"),) * 7)
    night = at(BERLIN, "2026-03-29T01:00")
    assert early.next_change(night) == at(BERLIN, "2026-03-29T03:00")
    assert early.next_change(at(BERLIN, "2026-03-29T03:30")) == at(BERLIN, "2026-03-29T04:00")


def test_hour_that_comes_twice() -> None:
    # In Berlin, 02:00 to 03:00 comes twice on 2026-10-25.
    hours = Hours(BERLIN, (parse_spans("01:00-02:30"),) * 7)
    first_end, again = at(BERLIN, "2026-10-25T02:30"), at(BERLIN, "2026-10-25T02:00", fold=1)
    assert hours.next_change(first_end - MINUTE) == first_end
    assert hours.next_change(first_end) == again
    assert hours.next_change(again) == again + 30 * MINUTE


def test_midnight_that_does_not_exist() -> None:
    # In Santiago, 2026-09-06 begins at 01:00.
    hours = Hours(SANTIAGO, (WHOLE_DAY,) * 6 + ((),))
    saturday = at(SANTIAGO, "2026-09-05T12:00")
    assert hours.next_change(saturday) == at(SANTIAGO, "2026-09-06T01:00")
    assert hours.next_change(at(SANTIAGO, "2026-09-06T01:00")) == at(SANTIAGO, "2026-09-07T00:00")


# -- properties -------------------------------------------------------------------------------------------------------

ZONES = ("Asia/Tehran", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut")
zones = st.sampled_from([ZoneInfo(name) for name in ZONES])
# Around changes of the clock, and anywhere else. Tehran changed its clock at midnight until 2022.
starts = st.one_of(
    st.sampled_from(
        [
            at(BERLIN, "2026-03-29T01:00"),
            at(BERLIN, "2026-10-25T01:00"),
            at(SANTIAGO, "2026-09-05T22:00"),
            at(SANTIAGO, "2026-04-04T22:00"),
            datetime(2022, 3, 21, 19, tzinfo=UTC),
            datetime(2022, 9, 21, 18, tzinfo=UTC),
        ]
    ),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda naive: naive.replace(tzinfo=UTC)),
)


DAYS = (
    "", "", "00:00-24:00", "08:00-21:00", "08:00-12:00, 13:00-17:00", "22:00-06:00", "23:45-00:15", "00:00-01:00",
    "01:15-02:30", "02:00-03:00", "02:15-02:45, 02:50-04:00", "00:30-01:30, 23:00-05:00", "08:00-08:00", "12:00-11:45",
)  # fmt: skip
day_spans = st.sampled_from([parse_spans(day) for day in DAYS])
weeks = st.one_of(st.tuples(*[day_spans] * 7), st.sampled_from([ALWAYS, NEVER, DAYTIME, WORK]))


@st.composite
def all_hours(draw: st.DrawFn) -> tuple[Hours, datetime]:
    now = draw(starts)
    near = st.integers(-3, 3).map(lambda days: (now + timedelta(days=days)).date())
    days = draw(st.dictionaries(near, day_spans, max_size=3))
    return Hours(draw(zones), draw(weeks), tuple(sorted(days.items()))), now


def is_open_on_the_wall(hours: Hours, moment: datetime) -> bool:
    """Tell the same as `Hours.is_open`, from the text on the clock."""
    local = moment.astimezone(hours.zone)
    for day, late in ((local.date(), 0), (local.date() - timedelta(days=1), DAY)):
        spans = dict(hours.days).get(day, hours.week[day.weekday()])
        minute = local.time().hour * 60 + local.time().minute + late
        if any(span.start <= minute < span.end for span in spans):
            return True
    return False


@ENOUGH
@given(all_hours())
def test_it_is_open_by_the_clock_on_the_wall_and_changes_when_it_says(given_hours: tuple[Hours, datetime]) -> None:
    hours, now = given_hours
    state, following, last = hours.is_open(now), hours.next_change(now), hours.last_change(now)
    assert state is is_open_on_the_wall(hours, now)
    if following is not None:
        assert following > now and hours.is_open(following) is not state
        assert hours.is_open(following - MINUTE) is state or following - MINUTE < now
    if last is not None:
        assert last <= now and hours.is_open(last) is state and hours.is_open(last - MINUTE) is not state
    # Nothing lies between: every quarter of an hour is looked at.
    moment = now
    while moment < now + timedelta(days=2) and (following is None or moment < following):
        assert is_open_on_the_wall(hours, moment) is state, moment
        moment += 15 * MINUTE
    closing = hours.last_closing(now)
    if closing is not None:
        assert not hours.is_open(closing) and hours.is_open(closing - MINUTE)
        if state and last is not None:
            assert closing < last


@ENOUGH
@given(all_hours(), st.integers(1, 10_000), st.sampled_from([0, 60, 300, 7200]))
def test_a_turn_lies_in_the_opening(given_hours: tuple[Hours, datetime], request: int, spread: int) -> None:
    hours, now = given_hours
    found = opening(hours, now, timedelta(seconds=spread))
    turn = found.turn_of(request, now - SEARCHED - timedelta(days=1))
    if not found.is_open or found.since is None:
        assert turn is None
        return
    assert turn is not None
    assert found.since <= turn <= found.since + timedelta(seconds=spread)
    assert hours.is_open(turn)
    assert found.turn_of(request, found.since) is None, "it came after the opening"


@given(st.integers(1, 1_000_000), st.integers(2, 60))
def test_consecutive_requests_are_spread(first: int, count: int) -> None:
    found = Opening(since=NOW, spread=HOUR)
    turns = sorted(found.turn_of(first + number, NOW - HOUR) or NOW for number in range(count))
    gaps = [later - earlier for earlier, later in pairwise(turns)]
    assert max(gaps, default=HOUR) <= 3 * HOUR / count
    assert min(gaps) >= HOUR / count / 4


@given(st.tuples(*[day_spans] * 7))
def test_a_week_is_read_as_it_was_written(week: tuple[Spans, ...]) -> None:
    assert parse_week(format_week(week)) == week
    assert bool(format_week(week))


# -- what callers are offered -----------------------------------------------------------------------------------------


def test_offers_end_before_the_closing() -> None:
    hours = Hours(TEHRAN, WORK)
    for text, before, stops in (
        ("2026-11-28T16:49:59", 10, False),
        ("2026-11-28T16:50:00", 10, True),
        ("2026-11-28T16:59:59", 0, False),
        ("2026-11-28T17:00:00", 0, True),
        ("2026-11-28T08:29:00", 10, True),
    ):
        assert stops_offering(hours, at(TEHRAN, text), before * MINUTE) is stops
    assert not stops_offering(Hours(TEHRAN, ALWAYS), NOW, 10 * MINUTE)


def test_a_closed_office_has_no_turns() -> None:
    assert Opening(False, NOW - HOUR, NOW + HOUR).turn_of(1, NOW - 2 * HOUR) is None
    assert Opening().turn_of(1, NOW) is None
    short = Opening(True, NOW, NOW + 2 * MINUTE, HOUR)
    assert all((short.turn_of(request, NOW - HOUR) or NOW) <= NOW + MINUTE for request in range(50))


# -- as text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("8-17", "08:00-17:00"),
        ("08:00 – 12:00,13.00-17:30", "08:00-12:00, 13:00-17:30"),
        ("13 تا 17 و 8 تا 12", "08:00-12:00, 13:00-17:00"),
        ("8 to 12 and 13 TO 17", "08:00-12:00, 13:00-17:00"),
        ("22:00-06:00", "22:00-06:00"),
        ("0-24", "00:00-24:00"),
        ("00:00-00:00", "00:00-24:00"),
        ("08:00-08:00", "08:00-08:00"),
    ],
)
def test_spans_as_people_write_them(text: str, canonical: str) -> None:
    assert format_spans(parse_spans(text)) == canonical
    assert parse_spans(canonical) == parse_spans(text)


@pytest.mark.parametrize(
    "text",
    [
        "8",
        "8-25",
        "8:60-9",
        "8-9:60",
        "24:00-01:00",
        "8-12, 11-13",
        "closed",
        "8-12 13-17",
        "8-24:30",
        "8-9, 8-9",
        "0-1, 2-3, 4-5, 6-7, 8-9, 10-11, 12-13",
    ],
)
def test_other_texts_are_no_spans(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_spans(text)


def test_weeks_as_text() -> None:
    assert format_week(WORK).endswith("sat 08:30-12:00, 13:00-17:00; sun 08:30-17:00")
    assert parse_week("") == parse_week(format_week(NEVER)) == NEVER
    assert parse_week("; ".join(f"{name} 0-24" for name in WEEKDAYS)) == ALWAYS
    for text in ("someday 8-17", "sat 8-17; sat 8-9", "sat 8"):
        with pytest.raises(ValueError, match=r".*"):
            parse_week(text)
    for start, end in ((-1, 10), (DAY, DAY + 1), (10, 10), (10, 10 + DAY + 1)):
        with pytest.raises(ValueError, match="no part of a day"):
            Span(start, end)
