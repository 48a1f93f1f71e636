"""Days and times of day as people type them: Jalali or Gregorian, in any digits, in the office's time zone."""

import re
from datetime import UTC, date, datetime, time

from persiantools.jdatetime import JalaliDate
from wtforms.validators import ValidationError

from app.web import words
from app.web.fields import DigitsField
from app.web.filters import is_persian, office_zone

_DAY = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})(?::\d{2})?")
FIRST_GREGORIAN = 1700  # a year before it is one of the Jalali calendar


def read_day(text: str) -> date:
    """Read a day, whichever calendar its year belongs to. Raises ValueError."""
    found = _DAY.fullmatch(text)
    if found is None:
        raise ValueError(text)
    year, month, day = map(int, found.groups())
    if year >= FIRST_GREGORIAN:
        return date(year, month, day)
    gregorian: date = JalaliDate(year, month, day).to_gregorian()
    return gregorian


def write_day(day: date) -> str:
    """Write a day as the reader's calendar has it, in the digits of a form."""
    return str(JalaliDate(day).strftime("%Y/%m/%d")) if is_persian() else day.isoformat()


def here(moment: datetime) -> datetime:
    """Return a moment as the office's clock shows it."""
    return moment.astimezone(office_zone())


def moment_of(day: date, at: time) -> datetime:
    """Return the moment at which the office's clock shows this."""
    return datetime.combine(day, at, office_zone()).astimezone(UTC)


class DayField(DigitsField):
    """A day; `day` is None where nothing was typed."""

    day: date | None = None

    def process_formdata(self, valuelist):
        super().process_formdata(valuelist)
        self.day = None
        if not self.data:
            return
        try:
            self.day = read_day(self.data)
        except (ValueError, OverflowError):
            raise ValidationError(words.error("day")) from None


class TimeField(DigitsField):
    """A time of day such as 14:30; `at` is None where nothing was typed."""

    at: time | None = None

    def process_formdata(self, valuelist):
        super().process_formdata(valuelist)
        self.at = None
        if not self.data:
            return
        found = _TIME.fullmatch(self.data)
        try:
            self.at = time(int(found[1]), int(found[2])) if found else None
        except ValueError:
            pass
        if self.at is None:
            raise ValidationError(words.error("time"))
