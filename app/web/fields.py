"""Form fields that accept Persian digits, durations and destinations, and helpers for forms."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import Field, FormField, PasswordField, RadioField, SelectChoice, SelectMultipleField, StringField
from wtforms.validators import ValidationError
from wtforms.widgets import TextInput

from app.domain.numbers import ascii_digits
from app.domain.text import as_typed
from app.web import wording
from app.web.formats import digits

LONGEST_NUMBER = 9  # digits of a whole number; the database holds no longer ones


def register(app: Flask) -> None:
    """Give templates the helpers that render fields."""
    app.jinja_env.globals.update(control=control, described_by=described_by, list_faults=list_faults)


def control(field, *, has_fault=False, **attributes) -> str:
    """Render the control of a field, marked if it has errors or `has_fault`. `attributes` replace or add attributes."""
    css_class = "form-select" if field.type == "SelectField" else "form-control"
    defaults = {
        "class": f"{css_class} is-invalid" if field.errors or has_fault else css_class,
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


def typed_text(valuelist: Sequence[str]) -> str:
    """Return what was typed into a field, with ASCII digits and without spaces around it.

    A text with letters that are not ASCII, such as the name of a queue, keeps its digits.
    """
    typed = valuelist[0].strip() if valuelist else ""
    converted = ascii_digits(typed)
    return typed if any(char.isalpha() and not char.isascii() for char in converted) else converted


class PanelForm(FlaskForm):
    """A form whose texts lose pasted characters that nobody sees. Passwords stay as they are."""

    class Meta:
        def bind_field(self, form, unbound_field, options):
            kind = unbound_field.field_class
            if issubclass(kind, StringField) and not issubclass(kind, PasswordField):
                filters = unbound_field.kwargs.get("filters", ())
                options = {**options, "filters": (_clean, *filters)}
            return unbound_field.bind(form=form, **options)


def _clean(text: str | None) -> str | None:
    return text and as_typed(text)


class DigitsField(StringField):
    """A text whose Persian and Arabic digits become ASCII digits."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        self.data: str = typed_text(valuelist)


class WholeNumberField(Field):
    """A whole number of 0 or more. `data` is 0 if it is invalid."""

    widget = TextInput()
    data: int

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = typed_text(valuelist)
        self.data = 0
        if not text.isdecimal() or len(text) > LONGEST_NUMBER:
            raise ValidationError(wording.error("whole_number"))
        self.data = int(text)

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else digits(self.data or 0)


class DurationField(Field):
    """A duration: hh:mm:ss, mm:ss or seconds. `data` is in seconds, and 0 if it is invalid."""

    widget = TextInput()
    data: int

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        hours, rest = divmod(self.data or 0, 3600)
        return digits(f"{hours:02}:{rest // 60:02}:{rest % 60:02}")

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = typed_text(valuelist)
        parts = text.split(":")
        self.data = 0
        well_formed = len(parts) <= 3 and all(p.isdecimal() and len(p) <= LONGEST_NUMBER for p in parts)
        if not well_formed or any(int(part) > 59 for part in parts[1:]):
            raise ValidationError(wording.error("duration"))
        seconds = 0
        for part in parts:
            seconds = seconds * 60 + int(part)
        self.data = seconds


def split_list(text: str) -> list[str]:
    """Return the parts of a list that was typed with commas, semicolons or spaces between them."""
    return [part for part in re.split(r"[\s,،;؛]+", text) if part]


class MinutesField(Field):
    """A duration in minutes, also as minutes:seconds. Nothing is 0. `data` is in seconds, and 0 if it is invalid."""

    widget = TextInput()
    data: int

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else digits(_format_minutes(self.data) if self.data else "")

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = typed_text(valuelist)
        seconds = _parse_minutes(text) if text else 0
        self.data = seconds or 0
        if seconds is None:
            raise ValidationError(wording.error("minutes"))


class MinutesListField(Field):
    """Durations in minutes, as in MinutesField. `data` has their seconds, and is empty if one is invalid."""

    widget = TextInput()
    data: tuple[int, ...]

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return digits(_(", ").join(_format_minutes(seconds) for seconds in self.data or ()))

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        found = [_parse_minutes(part) for part in split_list(typed_text(valuelist))]
        known = tuple(seconds for seconds in found if seconds is not None)
        self.data = known if len(known) == len(found) else ()
        if not self.data:
            raise ValidationError(wording.error("pauses"))


def _format_minutes(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02}" if rest else str(minutes)


def _parse_minutes(text: str) -> int | None:
    """Return the seconds of "5" or "0:30", None for any other text."""
    parts = re.fullmatch(rf"([0-9]{{1,{LONGEST_NUMBER}}})(?::([0-5][0-9]))?", text)
    return int(parts[1]) * 60 + int(parts[2] or 0) if parts is not None else None


def choices(table: Mapping[Any, object]) -> list[SelectChoice]:
    """Return the values and labels of a wording table as choices."""
    return [SelectChoice(value, label) for value, label in table.items()]


@dataclass(frozen=True)
class Fault:
    """An error in a form. `anchor` is the id of what it is about, "" if it is about no part of the form."""

    text: str
    label: str = ""
    anchor: str = ""


def list_faults(form) -> list[Fault]:
    """Return the errors of a form in the order of its fields, and then those without a field.

    A form can have parts that are no fields: its `other_faults` returns their errors.
    """
    found = [
        Fault(" ".join(map(str, field.errors)), str(field.label.text), _anchor_of(field))
        for field in _all_fields(form)
        if field.errors
    ]
    found += form.other_faults() if hasattr(form, "other_faults") else []
    linked = {f"{fault.label}: {fault.text}" for fault in found}
    return found + [
        Fault(text if isinstance(text, str) else str(text)) for text in form.form_errors if str(text) not in linked
    ]


def _all_fields(form) -> Iterator[Field]:
    for field in form:
        if isinstance(field, FormField):
            yield from _all_fields(field.form)
        else:
            yield field


def _anchor_of(field: Field) -> str:
    """Return the id of a field's first control. Boxes have no ids, so it is that of their error."""
    if isinstance(field, RadioField):
        return f"{field.id}-0"
    return f"{field.id}-error" if isinstance(field, SelectMultipleField) else str(field.id)


# Values that a form shows without a field, by the names of their errors.
_OWN_NAMES = {"queue": _l("Queue")}


def show_errors(form, errors: Mapping[str, str]) -> None:
    """Add validation errors to their fields, or to the form if they have no field. `errors`: field name -> code."""
    for name, code in errors.items():
        text = wording.error(code)
        field = find_field(form, name)
        if field is not None:
            field.errors = list(field.errors) or [text]
        elif not name.startswith("prompt_"):  # prompts show their own errors
            form.form_errors.append(f"{_OWN_NAMES.get(name, name)}: {text}")


def find_field(form, name: str) -> Field | None:
    """Return the field of this name, which can be a part of another field; None if there is none."""
    parts = (part for field in form if isinstance(field, FormField) for part in field.form)
    return form._fields.get(name) or next((part for part in parts if part.name == name), None)


def has_errors(form) -> bool:
    """Return whether the form or one of its fields has errors."""
    return bool(form.form_errors) or any(field.errors for field in form)
