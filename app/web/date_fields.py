"""Fields for dates and times of day, and the office's clock."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from persiantools.jdatetime import JalaliDate
from wtforms import Field
from wtforms.validators import ValidationError
from wtforms.widgets import TextInput

from app.domain.numbers import ascii_digits
from app.web import wording
from app.web.fields import DigitsField, typed_text
from app.web.formats import format_date, is_persian, office_zone

JALALI_YEARS, GREGORIAN_YEARS = range(1200, 1600), range(1900, 2200)
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})(?::\d{2})?")


def parse_date(text: str) -> date:
    """Parse year, month and day with any digits, separated by -, / or a dot. Raises ValueError.

    The year tells the calendar, so a URL with a date means the same to readers of both calendars.
    """
    found = _DATE.fullmatch(ascii_digits(text).strip())
    if found is None:
        raise ValueError(text)
    year, month, day = map(int, found.groups())
    if year in JALALI_YEARS:
        gregorian: date = JalaliDate(year, month, day).to_gregorian()
        return gregorian
    if year not in GREGORIAN_YEARS:
        raise ValueError(text)
    return date(year, month, day)


class DateField(Field):
    """A date in the reader's calendar: ۱۴۰۵/۰۹/۰۳ on Persian pages, 2026-11-24 on English ones.

    `data` is None if the field is empty or invalid. Show it with components/date_field.html.
    """

    widget = TextInput()
    data: date | None

    @property
    def calendar(self) -> str:
        """The calendar of the date picker, as browsers name it."""
        return "persian" if is_persian() else "gregory"

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = typed_text(valuelist)
        self.data = None
        try:
            self.data = parse_date(text) if text else None
        except ValueError:
            raise ValidationError(wording.error("date")) from None

    def _value(self) -> str:
        if self.data is None:  # show invalid text as it was typed
            return str(self.raw_data[0]) if self.raw_data else ""
        return format_date(self.data)


class TimeField(DigitsField):
    """A time of day such as 14:30. `at` is None if the field is empty or invalid."""

    at: time | None = None

    def process_formdata(self, valuelist: Sequence[str]) -> None:
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
            raise ValidationError(wording.error("time"))


def office_time(moment: datetime) -> datetime:
    """Return a moment in the office's time zone."""
    return moment.astimezone(office_zone())


def office_moment(day: date, at: time) -> datetime:
    """Return the moment, in UTC, of a date and a time of day in the office's time zone."""
    return datetime.combine(day, at, office_zone()).astimezone(UTC)
