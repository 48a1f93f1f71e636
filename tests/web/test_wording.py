"""The wording of codes in both languages, and the formats of dates, durations and numbers."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import create_app
from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS
from app.domain.estimated_wait import SAID_MINUTES
from app.domain.lifecycle import Outcome, Status, Step
from app.domain.policy import LineState
from app.domain.routing import DestinationKind, Situation
from app.extensions import db
from app.web import colours, formats, wording
from app.web.locale import use_locale
from app.web.prompts import wording as prompt_wording
from app.web.requests import wording as request_wording
from script.office.database import make_settings

LOCALES = ("fa", "en")
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # 11:30 in Tehran
PERSIAN_DIGITS = "۰۱۲۳۴۵۶۷۸۹"

TABLES: list[tuple[Mapping[Any, object], type[StrEnum]]] = [
    (wording.STATUS, Status),
    (colours.STATUS, Status),
    (wording.OUTCOME, Outcome),
    (wording.STEP, Step),
    (wording.LINE_STATE, LineState),
    (colours.LINE_STATE, LineState),
]
SHOWN: list[Mapping[Any, object]] = [
    wording.STATUS,
    wording.OUTCOME,
    wording.STEP,
    wording.LINE_STATE,
    wording.ERROR,
    prompt_wording.SOUND_ERROR,
    wording.PROMPT,
    wording.DESTINATION,
    wording.SITUATION,
    wording.LANGUAGE,
]


@pytest.fixture(scope="module")
def app(built_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One panel for all tests, since none of them writes."""
    folder = tmp_path_factory.mktemp("words")
    shutil.copy(built_database, folder / "bazang.sqlite3")
    app = create_app(make_settings(folder))
    yield app
    with app.app_context():
        db.engine.dispose()


@contextmanager
def reading(app: Flask, locale: str) -> Iterator[None]:
    with app.test_request_context(), use_locale(locale):
        yield


def is_persian(text: str) -> bool:
    return any("آ" <= letter <= "ی" for letter in text)


@pytest.mark.parametrize(("table", "members"), TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_member_has_a_text(table: Mapping[Any, object], members: type[StrEnum]) -> None:
    assert set(table) == set(members)


def test_other_codes_have_texts() -> None:
    assert set(wording.PROMPT) == set(PROMPT_KEYS)
    assert set(wording.DESTINATION) == set(DestinationKind) - {DestinationKind.NONE}
    assert set(wording.SITUATION) == set(Situation)
    assert set(wording.LANGUAGE) == set(LANGUAGES)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("table", SHOWN, ids=range(len(SHOWN)))
def test_texts_are_in_both_languages(app: Flask, table: Mapping[Any, object], locale: str) -> None:
    with reading(app, locale):
        texts = {code: str(text) for code, text in table.items()}
    assert all(texts.values())
    others = {code: text for code, text in texts.items() if is_persian(text) != (locale == "fa")}
    assert others == {}


def test_statuses_have_different_texts(app: Flask) -> None:
    for locale in LOCALES:
        with reading(app, locale):
            assert len({str(text) for text in wording.STATUS.values()}) == len(Status)


def test_an_unknown_error_code_is_shown_itself(app: Flask) -> None:
    with reading(app, "en"):
        assert wording.error("brand_new") == "brand_new"


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("locale", "written"), [("fa", "۱۲۳ الف ۴۵"), ("en", "123 الف 45")])
def test_digits_are_those_of_the_language(app: Flask, locale: str, written: str) -> None:
    with reading(app, locale):
        assert formats.digits("123 الف 45") == written


def test_a_number_is_left_to_right_and_escaped(app: Flask) -> None:
    with reading(app, "fa"):
        assert str(formats.number("0912")) == '<bdi dir="ltr">۰۹۱۲</bdi>'
        assert "<b>" not in formats.number("<b>")


@pytest.mark.parametrize(
    ("locale", "moment", "written"),
    [
        ("en", datetime(2026, 11, 23, 8, 8, tzinfo=UTC), "2026-11-23 11:38"),
        ("fa", datetime(2026, 11, 23, 8, 8, tzinfo=UTC), "۱۴۰۵/۰۹/۰۲ ۱۱:۳۸"),
        ("fa", datetime(2026, 3, 20, 20, 29, tzinfo=UTC), "۱۴۰۴/۱۲/۲۹ ۲۳:۵۹"),
        ("fa", datetime(2026, 3, 20, 20, 31, tzinfo=UTC), "۱۴۰۵/۰۱/۰۱ ۰۰:۰۱"),
        ("fa", datetime(2025, 3, 20, 12, 0, tzinfo=UTC), "۱۴۰۳/۱۲/۳۰ ۱۵:۳۰"),
    ],
    ids=["Gregorian", "Jalali", "last minute of the year", "Nowruz", "leap day"],
)
def test_moments_are_in_the_zone_of_the_office_and_the_calendar_of_the_language(
    app: Flask, locale: str, moment: datetime, written: str
) -> None:
    with reading(app, locale):
        assert formats.format_moment(moment) == written


@pytest.mark.parametrize(
    ("seconds", "english", "persian"),
    [
        (-29, "just now", "همین حالا"),
        (-31, "in 1 minute", "۱ دقیقه دیگر"),
        (-60, "in 1 minute", "۱ دقیقه دیگر"),
        (-299, "in 5 minutes", "۵ دقیقه دیگر"),
        (-7200, "in 2 hours", "۲ ساعت دیگر"),
        (-86400 * 3, "in 3 days", "۳ روز دیگر"),
        (59, "just now", "همین حالا"),
        (60, "1 minute ago", "۱ دقیقه پیش"),
        (3599, "59 minutes ago", "۵۹ دقیقه پیش"),
        (3600, "1 hour ago", "۱ ساعت پیش"),
        (86399, "23 hours ago", "۲۳ ساعت پیش"),
        (86400 * 3, "3 days ago", "۳ روز پیش"),
    ],
)
def test_ago(app: Flask, monkeypatch: pytest.MonkeyPatch, seconds: int, english: str, persian: str) -> None:
    monkeypatch.setattr(formats, "utcnow", lambda: NOW)
    moment = NOW - timedelta(seconds=seconds)
    with reading(app, "en"):
        assert formats.ago(moment) == english
    with reading(app, "fa"):
        assert formats.ago(moment) == persian


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "00:00"), (130, "02:10"), (3599, "59:59"), (3730, "1:02:10"), (360000, "100:00:00"), (-1, "00:00")],
)
def test_clock(app: Flask, seconds: int, written: str) -> None:
    with reading(app, "en"):
        assert formats.clock(seconds) == formats.clock(timedelta(seconds=seconds)) == written


def test_the_time_of_another_day_has_a_date(app: Flask) -> None:
    late = datetime(2026, 3, 2, 20, 45, tzinfo=UTC)  # 00:15 of the next day in Tehran
    with reading(app, "en"):
        assert formats.time_of_day(NOW + timedelta(hours=1), NOW) == "12:30"
        assert formats.time_of_day(late, NOW) == "2026-03-03 00:15"


def test_each_rough_wait_has_words() -> None:
    assert tuple(request_wording.ROUGH_WAIT) == SAID_MINUTES
