"""Form fields that take what people type: Persian digits, durations, destinations."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from flask import Flask
from persiantools.jdatetime import JalaliDate
from wtforms import Field, SelectChoice, SelectField, StringField
from wtforms.validators import ValidationError
from wtforms.widgets import TextInput

from app.domain.numbers import ascii_digits
from app.web import wording
from app.web.formats import digits, is_persian, office_zone, written, written_date

LONGEST_NUMBER = 9  # digits of a whole number: more is a mistake, and too much for a database


def register(app: Flask) -> None:
    """Give templates the helpers that render fields."""
    app.jinja_env.globals.update(control=control, described_by=described_by)


def control(field, **attributes) -> str:
    """Render the control of a field, marked as invalid if it has errors. `attributes` replace or add attributes."""
    css_class = "form-select" if field.type == "SelectField" else "form-control"
    defaults = {
        "class": f"{css_class} is-invalid" if field.errors else css_class,
        "aria-describedby": described_by(field) or False,
        "aria-invalid": "true" if field.errors else False,
        "autocomplete": "off",
        "required": False,  # the server checks it, and says it in the reader's language
    }
    return field(**(defaults | attributes))


def described_by(field) -> str:
    """Return the ids of a field's error and help for aria-describedby, or "" if it has neither."""
    ids = [f"{field.id}-error" if field.errors else "", f"{field.id}-help" if field.description else ""]
    return " ".join(filter(None, ids))


def _typed(valuelist: Sequence[str]) -> str:
    return ascii_digits(valuelist[0] if valuelist else "").strip()


class DigitsField(StringField):
    """Text in which ۱۲۳ and ١٢٣ count as 123."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        self.data: str = _typed(valuelist)


class WholeNumberField(Field):
    """A number of 0 or more; what was typed stays in `raw_data`."""

    widget = TextInput()
    data: int

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = _typed(valuelist)
        self.data = 0
        if not text.isdecimal() or len(text) > LONGEST_NUMBER:
            raise ValidationError(wording.error("whole_number"))
        self.data = int(text)

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else digits(self.data or 0)


class DurationField(Field):
    """A duration as hh:mm:ss; mm:ss and plain seconds are taken as well. `data` is in seconds."""

    widget = TextInput()
    data: int

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        hours, rest = divmod(self.data or 0, 3600)
        return digits(f"{hours:02}:{rest // 60:02}:{rest % 60:02}")

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = _typed(valuelist)
        parts = text.split(":")
        well_formed = len(parts) <= 3 and all(p.isdecimal() and len(p) <= LONGEST_NUMBER for p in parts)
        if not well_formed or any(int(part) > 59 for part in parts[1:]):
            self.data = 0
            raise ValidationError(wording.error("duration"))
        seconds = 0
        for part in parts:
            seconds = seconds * 60 + int(part)
        self.data = seconds


JALALI_YEARS, GREGORIAN_YEARS = range(1200, 1600), range(1900, 2200)
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_TIME = re.compile(r"(\d{1,2}):(\d{2})")


def read_date(text: str) -> date:
    """Read year, month and day with any digits, between them - or / or a dot. Raises ValueError.

    The year tells the calendar, so that an address with a date in it means the same to readers of either.
    """
    found = _DATE.fullmatch(ascii_digits(text).strip())
    if found is None:
        raise ValueError(text)
    year, month, day = map(int, found.groups())
    if year in JALALI_YEARS:
        jalali: date = JalaliDate(year, month, day).to_gregorian()
        return jalali
    if year not in GREGORIAN_YEARS:
        raise ValueError(text)
    return date(year, month, day)


class DateField(Field):
    """A day, written in the reader's calendar: ۱۴۰۵/۰۹/۰۳ on Persian pages, 2026-11-24 on English ones.

    `data` is None where nothing is typed, and where it is wrong. Shown by the macro `date_field`, with a calendar.
    """

    widget = TextInput()
    data: date | None
    has_time = False

    @property
    def calendar(self) -> str:
        """The calendar in which it is picked, as browsers name it."""
        return "persian" if is_persian() else "gregory"

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = _typed(valuelist)
        self.data = None
        try:
            self.data = self._read(text) if text else None
        except ValueError:
            raise ValidationError(wording.error("date_time" if self.has_time else "date")) from None

    def _read(self, text: str) -> date:
        return read_date(text)

    def _value(self) -> str:
        if self.data is None:  # nothing, or nothing that is a date: it stays as it was typed
            return str(self.raw_data[0]) if self.raw_data else ""
        return self._written(self.data)

    def _written(self, value: date) -> str:
        return written_date(value)


class DateTimeField(DateField):
    """A day and a time of day by the office's clock, such as 2026-11-24 14:30. `data` is a moment, in UTC."""

    has_time = True
    data: datetime | None

    def _read(self, text: str) -> datetime:
        day, _, clock = text.replace("T", " ").partition(" ")
        found = _TIME.fullmatch(clock.strip())
        if found is None:
            raise ValueError(text)
        at = time(int(found[1]), int(found[2]))
        return datetime.combine(read_date(day), at, office_zone()).astimezone(UTC)

    def _written(self, value: date) -> str:
        assert isinstance(value, datetime)
        return written(value)


def choices(table: Mapping[Any, object]) -> list[SelectChoice]:
    """Return the choices of a table of words, in its order."""
    return [SelectChoice(value, label) for value, label in table.items()]


def destination_field(*, optional: bool = False) -> SelectField:
    """Return the choice of a destination's type."""
    table = dict(wording.DESTINATION)
    if optional:
        table = {"": table.pop("hangup"), **table}
    return SelectField(choices=choices(table), validate_choice=False)


def show_errors(form, errors: Mapping[str, str]) -> None:
    """Put the services' findings beside their fields; what has no field stands above the form."""
    for name, code in errors.items():
        text = wording.error(code)
        field = form._fields.get(name)
        if field is not None:
            field.errors = list(field.errors) or [text]
        elif not name.startswith("prompt_"):  # a prompt's fault was said when its sound was looked at
            form.form_errors.append(f"{name}: {text}")


def has_errors(form) -> bool:
    """Tell whether something is wrong anywhere in the form."""
    return bool(form.form_errors) or any(field.errors for field in form)
