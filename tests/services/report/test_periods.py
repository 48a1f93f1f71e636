"""Today, this week and this month, as the office's clock and the reader's calendar have them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from persiantools.jdatetime import JalaliDate

from app.services.report import periods
from app.services.report.periods import Period

TEHRAN = ZoneInfo("Asia/Tehran")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)  # in Tehran it is Tuesday, the third, half past midnight
DAY = timedelta(days=1)

moments = st.datetimes(datetime(1995, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from([TEHRAN, BERLIN, ZoneInfo("UTC"), ZoneInfo("America/Sao_Paulo"), ZoneInfo("Asia/Kathmandu")])
REPEATABLE = settings(database=None, derandomize=True, deadline=None)


def local(period: Period, zone: ZoneInfo) -> tuple[date, date]:
    """Return the first and the last day of a period."""
    days = periods.days(period, zone)
    return days[0], days[-1]


def test_today_is_that_of_the_office() -> None:
    assert local(periods.today(NOW, TEHRAN), TEHRAN) == (date(2026, 3, 3), date(2026, 3, 3))
    assert periods.today(NOW, TEHRAN).start == datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
    assert local(periods.today(NOW, BERLIN), BERLIN) == (date(2026, 3, 2), date(2026, 3, 2))


def test_a_persian_week_begins_on_saturday_and_an_english_one_on_monday() -> None:
    assert local(periods.week(NOW, TEHRAN, "fa"), TEHRAN) == (date(2026, 2, 28), date(2026, 3, 6))
    assert local(periods.week(NOW, TEHRAN, "en"), TEHRAN) == (date(2026, 3, 2), date(2026, 3, 8))


def test_a_persian_month_is_one_of_the_jalali_calendar() -> None:
    assert local(periods.month(NOW, TEHRAN, "fa"), TEHRAN) == (date(2026, 2, 20), date(2026, 3, 20))  # Esfand 1404
    assert local(periods.month(NOW, TEHRAN, "en"), TEHRAN) == (date(2026, 3, 1), date(2026, 3, 31))
    assert local(periods.last_month(NOW, TEHRAN, "fa"), TEHRAN) == (date(2026, 1, 21), date(2026, 2, 19))
    assert local(periods.last_month(NOW, TEHRAN, "en"), TEHRAN) == (date(2026, 2, 1), date(2026, 2, 28))


def test_a_leap_year_has_thirty_days_of_esfand() -> None:
    esfand = JalaliDate(1403, 12, 30).to_gregorian()
    month = periods.month(datetime.combine(esfand, datetime.min.time(), TEHRAN), TEHRAN, "fa")
    assert len(periods.days(month, TEHRAN)) == 30


def test_the_last_days_end_today() -> None:
    assert local(periods.last_days(NOW, TEHRAN, 7), TEHRAN) == (date(2026, 2, 25), date(2026, 3, 3))


def test_a_day_on_which_the_clock_is_put_forward_has_an_hour_less() -> None:
    day = date(2026, 3, 29)
    period = periods.between(day, day, BERLIN)
    assert period.end - period.start == 23 * timedelta(hours=1)


def test_where_the_clock_skips_midnight_the_day_begins_after_it() -> None:
    day = date(2021, 3, 22)  # in Tehran it began at one o'clock
    assert periods.day_start(day, TEHRAN) == datetime(2021, 3, 21, 20, 30, tzinfo=UTC)
    assert periods.day_start(day, TEHRAN).astimezone(TEHRAN).hour == 1


def test_tomorrow_morning_is_that_of_the_office() -> None:
    assert periods.tomorrow_morning(NOW, TEHRAN) == datetime(2026, 3, 4, 4, 30, tzinfo=UTC)


@REPEATABLE
@given(now=moments, zone=zones, locale=st.sampled_from(["fa", "en"]))
def test_whatever_the_moment_it_lies_in_its_day_week_and_month(now: datetime, zone: ZoneInfo, locale: str) -> None:
    today, week = periods.today(now, zone), periods.week(now, zone, locale)
    month, before = periods.month(now, zone, locale), periods.last_month(now, zone, locale)
    for period in (today, week, month):
        assert now in period
    assert before.end == month.start
    assert week.start <= today.start < today.end <= week.end
    assert month.start <= today.start < today.end <= month.end
    assert len(periods.days(week, zone)) == 7
    assert 28 <= len(periods.days(month, zone)) <= 31
    assert periods.days(week, zone)[0].weekday() == periods.first_weekday(locale)
    first = periods.days(month, zone)[0]
    assert (JalaliDate.to_jalali(first).day if locale == "fa" else first.day) == 1


@REPEATABLE
@given(now=moments, zone=zones)
def test_one_day_begins_where_the_other_ends(now: datetime, zone: ZoneInfo) -> None:
    today = periods.today(now, zone)
    assert periods.today(today.end, zone).start == today.end
    assert periods.today(today.start - timedelta(microseconds=1), zone).end == today.start


@pytest.mark.parametrize("locale", ["de", ""])
def test_a_language_that_is_not_known_has_the_calendar_of_most(locale: str) -> None:
    assert periods.month(NOW, BERLIN, locale) == periods.month(NOW, BERLIN, "en")
    assert periods.week(NOW, BERLIN, locale) == periods.week(NOW, BERLIN, "en")
