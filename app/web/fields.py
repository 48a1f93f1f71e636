"""Form fields that accept Persian digits, durations and destinations, and helpers for forms."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask
from wtforms import Field, FormField, SelectChoice, StringField
from wtforms.validators import ValidationError
from wtforms.widgets import TextInput

from app.domain.numbers import ascii_digits
from app.web import wording
from app.web.formats import digits

LONGEST_NUMBER = 9  # digits of a whole number; the database holds no longer ones


def register(app: Flask) -> None:
    """Give templates the helpers that render fields."""
    app.jinja_env.globals.update(control=control, described_by=described_by)


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
    """Return what was typed into a field, with ASCII digits and without spaces around it."""
    return ascii_digits(valuelist[0] if valuelist else "").strip()


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


def choices(table: Mapping[Any, object]) -> list[SelectChoice]:
    """Return the values and labels of a wording table as choices."""
    return [SelectChoice(value, label) for value, label in table.items()]


def show_errors(form, errors: Mapping[str, str]) -> None:
    """Add validation errors to their fields, or to the form if they have no field. `errors`: field name -> code."""
    for name, code in errors.items():
        text = wording.error(code)
        field = find_field(form, name)
        if field is not None:
            field.errors = list(field.errors) or [text]
        elif not name.startswith("prompt_"):  # prompts show their own errors
            form.form_errors.append(f"{name}: {text}")


def find_field(form, name: str) -> Field | None:
    """Return the field of this name, which can be a part of another field; None if there is none."""
    parts = (part for field in form if isinstance(field, FormField) for part in field.form)
    return form._fields.get(name) or next((part for part in parts if part.name == name), None)


def has_errors(form) -> bool:
    """Return whether the form or one of its fields has errors."""
    return bool(form.form_errors) or any(field.errors for field in form)
