"""When a summary of a day or a week is sent."""

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


class Schedule(StrEnum):
    """How often somebody gets a summary."""

    NONE = "none"
    DAILY = "daily"
    WEEKLY = "weekly"


DAYS = {Schedule.DAILY: 1, Schedule.WEEKLY: 7}  # that a summary covers


def due_day(schedule: Schedule, hour: int, first_weekday: int, zone: ZoneInfo, now: datetime) -> date | None:
    """Return the day in the office on which the newest summary was due, None if there are none.

    A daily one is due each day at `hour`, a weekly one on the first day of the week (Monday is 0). It covers the days
    before. The rule goes by the office's calendar, so an hour that a clock change repeats or skips makes no difference.
    """
    if schedule is Schedule.NONE:
        return None
    day = now.astimezone(zone).date()
    if schedule is Schedule.WEEKLY:
        day -= (day.weekday() - first_weekday) % 7 * _DAY
    if now < datetime.combine(day, time(hour), zone):
        day -= DAYS[schedule] * _DAY
    return day


def days_of(schedule: Schedule, day: date) -> tuple[date, date]:
    """Return the first and the last day that the summary covers which was due on a day."""
    return day - DAYS[schedule] * _DAY, day - _DAY
