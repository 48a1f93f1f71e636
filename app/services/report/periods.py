"""Named periods such as today, this week and this month, in the office's time zone and the reader's calendar.

In Persian, a week starts on Saturday and a month is a Jalali month. Otherwise a week starts on Monday. All times are
UTC. The end of a period is exclusive.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from persiantools.jdatetime import JalaliDate

MONDAY, SATURDAY = 0, 5
DAY = timedelta(days=1)
MORNING = time(8, 0)


@dataclass(frozen=True)
class Period:
    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the start of a day. If the clock skips midnight, this is the first time after it."""
    return datetime.combine(day, time(0), zone).astimezone(UTC)


def between(first: date, last: date, zone: ZoneInfo) -> Period:
    """Return the period from `first` to `last`, both inclusive."""
    return Period(day_start(first, zone), day_start(last + DAY, zone))


def today(now: datetime, zone: ZoneInfo) -> Period:
    day = now.astimezone(zone).date()
    return between(day, day, zone)


def last_days(now: datetime, zone: ZoneInfo, days: int) -> Period:
    """Return the last `days` days, including today."""
    day = now.astimezone(zone).date()
    return between(day - (days - 1) * DAY, day, zone)


def first_weekday(locale: str) -> int:
    """Return the first day of a week. Monday is 0."""
    return SATURDAY if locale == "fa" else MONDAY


def week(now: datetime, zone: ZoneInfo, locale: str) -> Period:
    day = now.astimezone(zone).date()
    first = day - ((day.weekday() - first_weekday(locale)) % 7) * DAY
    return between(first, first + 6 * DAY, zone)


def month(now: datetime, zone: ZoneInfo, locale: str) -> Period:
    """Return the current month of the reader's calendar."""
    first = _month_of(now.astimezone(zone).date(), locale)
    return between(first, _month_of(first + 32 * DAY, locale) - DAY, zone)


def last_month(now: datetime, zone: ZoneInfo, locale: str) -> Period:
    """Return the previous month."""
    last = _month_of(now.astimezone(zone).date(), locale) - DAY
    return between(_month_of(last, locale), last, zone)


MAX_DAYS, MAX_MONTHS = 92, 120
Step = Literal["day", "month", "year"]


def step_for(first: date, last: date) -> Step:
    """Return the step for a chart of these days, so that it stays readable."""
    count = (last - first).days + 1
    return "day" if count <= MAX_DAYS else "month" if count <= MAX_MONTHS * 31 else "year"


def step_of(day: date, step: Step, locale: str) -> date:
    """Return the first day of the step that contains a day, in the reader's calendar."""
    if step == "day":
        return day
    if step == "month":
        return _month_of(day, locale)
    if locale != "fa":
        return date(day.year, 1, 1)
    first: date = JalaliDate(JalaliDate(day).year, 1, 1).to_gregorian()
    return first


def steps(first: date, last: date, step: Step, locale: str) -> list[date]:
    """Return the first day of every step from `first` to `last`."""
    longest = {"day": 1, "month": 32, "year": 367}[step]
    found = [step_of(first, step, locale)]
    while (following := step_of(found[-1] + longest * DAY, step, locale)) <= last:
        found.append(following)
    return found


def _month_of(day: date, locale: str) -> date:
    """Return the first day of the month that contains a day."""
    if locale != "fa":
        return day.replace(day=1)
    day_of_month: int = JalaliDate.to_jalali(day).day
    return day - (day_of_month - 1) * DAY


def ends(period: Period, zone: ZoneInfo) -> tuple[date, date]:
    """Return the first and the last day of a period."""
    first = period.start.astimezone(zone).date()
    return first, (period.end - timedelta(microseconds=1)).astimezone(zone).date()


def days(period: Period, zone: ZoneInfo) -> list[date]:
    """Return the days of a period."""
    first, last = ends(period, zone)
    return [first + n * DAY for n in range((last - first).days + 1)]


def tomorrow_morning(now: datetime, zone: ZoneInfo) -> datetime:
    """Return tomorrow at the start of the morning."""
    tomorrow = now.astimezone(zone).date() + DAY
    return datetime.combine(tomorrow, MORNING, zone).astimezone(UTC)
