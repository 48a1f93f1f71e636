"""Fields for dates: any digits, either calendar, and a clear word where something else is typed."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, g
from werkzeug.datastructures import MultiDict
from wtforms import Form

from app.web.fields import DateField, DateTimeField, read_date

DAY = date(2026, 11, 24)
NO_DAYS = [
    *("x", "24.11.2026", "05/09/03", "2026-13-01", "2026-02-30", "1405/12/30", "1405/13/01", "0000-00-00", "9" * 400),
    *("2026-11", "2026-11-24-", "2026 11 24", "1700/01/01", "2026-11-24 10:00"),
]


class Both(Form):
    day = DateField("Day")
    moment = DateTimeField("Moment")


def typed(app: Flask, locale: str, **values: str) -> Any:
    """Return the form as a page in this language gets it. The office is in Tehran."""
    with app.test_request_context():
        g.locale, g.zone = locale, ZoneInfo("Asia/Tehran")
        form = Both(MultiDict(values))
        form.validate()
        form.day(), form.moment()
        return form


@pytest.mark.parametrize(
    "text",
    ["2026-11-24", "2026/11/24", "2026.11.24", " ۲۰۲۶-۱۱-۲۴ ", "۱۴۰۵/۰۹/۰۳", "1405/9/3", "1405-09-03", "١٤٠٥.٠٩.٠٣"],
)
def test_a_day_is_read_in_either_calendar(text: str) -> None:
    assert read_date(text) == DAY


@pytest.mark.parametrize("text", NO_DAYS)
@pytest.mark.parametrize("locale", ["en", "fa"])
def test_what_is_no_day_is_said_and_kept(app: Flask, text: str, locale: str) -> None:
    with pytest.raises(ValueError):
        read_date(text)
    form = typed(app, locale, day=text)
    assert form.day.data is None and form.day.errors
    assert form.day._value() == text


def test_nothing_typed_is_nothing_asked(app: Flask) -> None:
    form = typed(app, "en", day="", moment=" ")
    assert (form.day.data, form.moment.data, form.errors) == (None, None, {})


@pytest.mark.parametrize(("locale", "shown"), [("en", "2026-11-24"), ("fa", "۱۴۰۵/۰۹/۰۳")])
def test_a_day_is_shown_in_the_readers_calendar(app: Flask, locale: str, shown: str) -> None:
    with app.test_request_context():
        g.locale = locale
        form = Both(data={"day": DAY})
        assert f'value="{shown}"' in form.day()
        assert form.day.calendar == ("persian" if locale == "fa" else "gregory")


@pytest.mark.parametrize("text", ["2026-11-24 14:30", "2026-11-24T14:30", "۱۴۰۵/۰۹/۰۳ ۱۴:۳۰", "1405-9-3  14:30"])
def test_a_moment_is_one_of_the_offices_clock(app: Flask, text: str) -> None:
    form = typed(app, "fa", moment=text)
    assert form.moment.data == datetime(2026, 11, 24, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-24", "14:30", "2026-11-24 25:00", "2026-11-24 14:3", "x 14:30"])
def test_what_is_no_moment_is_said_and_kept(app: Flask, text: str) -> None:
    form = typed(app, "en", moment=text)
    assert form.moment.errors == ["Enter a date and a time, such as 2026-11-24 14:30."]
    assert form.moment._value() == text


@pytest.mark.parametrize(("locale", "shown"), [("en", "2026-11-24 14:30"), ("fa", "۱۴۰۵/۰۹/۰۳ ۱۴:۳۰")])
def test_a_moment_is_shown_by_the_offices_clock(app: Flask, locale: str, shown: str) -> None:
    with app.test_request_context():
        g.locale, g.zone = locale, ZoneInfo("Asia/Tehran")
        form = Both(data={"moment": datetime(2026, 11, 24, 11, 0, tzinfo=UTC)})
        assert f'value="{shown}"' in form.moment()
