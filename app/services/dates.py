"""Dates, digits and durations as readers of a language write them: in Persian with Jalali dates and Persian digits."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from persiantools.jdatetime import JalaliDate, JalaliDateTime

_PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def digits(value: object, language: str) -> str:
    """Return a text with the digits of a language."""
    text = str(value)
    return text.translate(_PERSIAN) if language == "fa" else text


def moment(value: datetime, zone: ZoneInfo, language: str, *, seconds: bool = False) -> str:
    """Return date and time in a time zone: ۱۴۰۵/۰۹/۰۲ ۱۱:۳۸, 2026-11-23 11:38."""
    local = value.astimezone(zone)
    form = "%H:%M:%S" if seconds else "%H:%M"
    if language == "fa":
        return digits(JalaliDateTime(local).strftime("%Y/%m/%d " + form), language)
    return local.strftime("%Y-%m-%d " + form)


def day(value: date, language: str) -> str:
    """Return a date: ۱۴۰۵/۰۹/۰۳, 2026-11-24."""
    return digits(JalaliDate(value).strftime("%Y/%m/%d"), language) if language == "fa" else value.isoformat()


def duration(seconds: int, language: str) -> str:
    """Return a duration as 02:10, or with hours as 1:02:10."""
    hours, rest = divmod(max(0, seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return digits(f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}", language)
