"""Date fields: any digits and either calendar."""

from datetime import date
from typing import Any

import pytest
from flask import Flask, g
from werkzeug.datastructures import MultiDict
from wtforms import Form

from app.web.date_fields import DateField, parse_date

DAY = date(2026, 11, 24)
INVALID = [
    *("x", "24.11.2026", "05/09/03", "2026-13-01", "2026-02-30", "1405/12/30", "1405/13/01", "0000-00-00", "9" * 400),
    *("2026-11", "2026-11-24-", "2026 11 24", "1700/01/01", "2026-11-24 10:00"),
]


class DayForm(Form):
    day = DateField("Day")


def submit(app: Flask, locale: str, text: str) -> Any:
    """Return the form as a page in this language receives it."""
    with app.test_request_context():
        g.locale = locale
        form = DayForm(MultiDict({"day": text}))
        form.validate()
        form.day()
        return form


@pytest.mark.parametrize(
    "text",
    ["2026-11-24", "2026/11/24", "2026.11.24", " ۲۰۲۶-۱۱-۲۴ ", "۱۴۰۵/۰۹/۰۳", "1405/9/3", "1405-09-03", "١٤٠٥.٠٩.٠٣"],
)
def test_a_date_is_parsed_in_either_calendar(text: str) -> None:
    assert parse_date(text) == DAY


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_date_has_an_error_and_stays_as_typed(app: Flask, text: str) -> None:
    with pytest.raises(ValueError):
        parse_date(text)
    form = submit(app, "fa", text)
    assert form.day.data is None and form.day.errors
    assert form.day._value() == text


def test_an_empty_date_is_valid(app: Flask) -> None:
    form = submit(app, "en", " ")
    assert (form.day.data, form.errors) == (None, {})


@pytest.mark.parametrize(("locale", "shown"), [("en", "2026-11-24"), ("fa", "۱۴۰۵/۰۹/۰۳")])
def test_a_date_is_shown_in_the_readers_calendar(app: Flask, locale: str, shown: str) -> None:
    with app.test_request_context():
        g.locale = locale
        form = DayForm(data={"day": DAY})
        assert f'value="{shown}"' in form.day()
        assert form.day.calendar == ("persian" if locale == "fa" else "gregory")
