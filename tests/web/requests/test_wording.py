"""The texts for reasons, events and results, in both languages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from flask import Flask
from markupsafe import Markup

from app.domain.lifecycle import Outcome
from app.domain.policy import Reason, ReasonCode
from app.services.errors import ErrorCode
from app.services.requests.actions import Action, CallNow, Postpone, Reassign
from app.services.requests.history import EventKind
from app.services.requests.results import ResultCode
from app.web.locale import use_locale
from app.web.requests import wording
from app.web.requests.reasons import explain_reason
from app.web.wording import ERROR

LOCALES = ("fa", "en")
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # 11:30 in Tehran


@contextmanager
def reading(app: Flask, locale: str) -> Iterator[None]:
    with app.test_request_context(), use_locale(locale):
        yield


def is_persian(text: str) -> bool:
    return any("آ" <= letter <= "ی" for letter in text)


def explain(code: ReasonCode) -> str:
    reason = Reason(code, until=NOW + timedelta(seconds=130), subject="101", outcome=Outcome.CUSTOMER_BUSY)
    text = re.sub(r"<code.*?</code>", "", explain_reason(reason, NOW))  # a line to paste has no language
    return Markup(text).striptags()


@pytest.mark.parametrize("locale", LOCALES)
def test_every_reason_has_a_text(app: Flask, locale: str) -> None:
    with reading(app, locale):
        texts = [explain(code) for code in ReasonCode]
        assert all(explain_reason(Reason(code), NOW) for code in ReasonCode), "also without agent and time"
    for text in texts:
        assert is_persian(text) == (locale == "fa")
        assert "%" not in text and "None" not in text
        assert locale == "en" or not set(text) & set("0123456789")


# Reasons with an agent, a remaining time, an outcome, a moment and nothing of these.
@pytest.mark.parametrize(
    ("code", "english", "persian"),
    [
        (ReasonCode.LINE_IN_CALL, "101 is in a call", "داخلی ۱۰۱ در حال مکالمه است"),
        (ReasonCode.MIN_WAIT, "minimum waiting time, 02:10 left", "۰۲:۱۰ تا پایان حداقل زمان انتظار مانده است"),
        (ReasonCode.WRAPUP, "wrap-up time of 101, 02:10 left", "۰۲:۱۰ از زمان آماده‌سازی داخلی ۱۰۱ مانده است"),
        (
            ReasonCode.RETRY,
            "next attempt in 02:10 (the customer was busy)",
            "تلاش بعدی ۰۲:۱۰ دیگر (مشتری مشغول بود)",
        ),
        (
            ReasonCode.ROUTE_PAUSED,
            "calls to customers fail (the customer was busy), next try in 02:10",
            "تماس با مشتریان برقرار نمی‌شود (مشتری مشغول بود)؛ تلاش بعدی ۰۲:۱۰ دیگر",
        ),
        (
            ReasonCode.CALLS_LIMIT,
            "as many calls as allowed are in progress",
            "تماس‌های در جریان به حداکثر مجاز رسیده‌اند",
        ),
        (ReasonCode.POSTPONED, "postponed until 11:32", "به تعویق افتاده تا ۱۱:۳۲"),
        (ReasonCode.CHOSEN_TIME, "to be called at the chosen time, 11:32", "تماس در زمان انتخاب‌شده، ۱۱:۳۲"),
        (ReasonCode.LIVE_CALLERS, "callers in the queue come first", "اولویت با کسانی است که اکنون در صف منتظرند"),
    ],
)
def test_reasons_have_the_texts_of_the_glossary(app: Flask, code: ReasonCode, english: str, persian: str) -> None:
    with reading(app, "en"):
        assert explain(code) == english
    with reading(app, "fa"):
        assert explain(code) == persian


@pytest.mark.parametrize(
    ("subject", "devices", "line"),
    [
        ("201", "IAX2/201", "exten => 201,hint,IAX2/201"),
        ("sara", "IAX2/sara&DAHDI/1", "exten => sara,hint,IAX2/sara&DAHDI/1"),
        ("201", "", "exten => 201,hint,PJSIP/201"),
        ("Local-sales-agents-n", "", ""),
    ],
)
@pytest.mark.parametrize("locale", LOCALES)
def test_unknown_state_is_explained_with_the_line_to_paste(
    app: Flask, locale: str, subject: str, devices: str, line: str
) -> None:
    with reading(app, locale):
        text = explain_reason(Reason(ReasonCode.LINE_UNKNOWN, subject=subject, devices=devices), NOW)
    assert [Markup(code).unescape() for code in re.findall(r"<code[^>]*>(.*?)</code>", text)] == (
        [line] if line else []
    )


@pytest.mark.parametrize(
    ("outcome", "english", "persian"),
    [
        (
            Outcome.AGENT_NO_ANSWER,
            "101 missed the call, next try in 02:10",
            "داخلی ۱۰۱ پاسخ نداد؛ تلاش بعدی ۰۲:۱۰ دیگر",
        ),
        (
            Outcome.AGENT_REFUSED,
            "101 did not take the call (the agent postponed it), next try in 02:10",
            "تماس با داخلی ۱۰۱ به نتیجه نرسید (کارشناس به بعد موکول کرد)؛ تلاش بعدی ۰۲:۱۰ دیگر",
        ),
        (
            None,
            "101 did not take another call, next try in 02:10",
            "داخلی ۱۰۱ به تماس دیگری پاسخ نداد؛ تلاش بعدی ۰۲:۱۰ دیگر",
        ),
    ],
    ids=["missed", "key 2", "another request"],
)
def test_pause_says_what_the_agent_did(app: Flask, outcome: Outcome | None, english: str, persian: str) -> None:
    reason = Reason(ReasonCode.AGENT_PAUSE, until=NOW + timedelta(seconds=130), subject="101", outcome=outcome)
    for locale, expected in (("en", english), ("fa", persian)):
        with reading(app, locale):
            assert Markup(explain_reason(reason, NOW)).striptags() == expected


def test_a_countdown_is_rounded_up(app: Flask) -> None:
    """A page that shows 00:00 must not show a waiting request."""
    with reading(app, "en"):
        for left, shown in ((-5.0, "00:00"), (0.0, "00:00"), (0.2, "00:01"), (59.0, "00:59"), (59.1, "01:00")):
            reason = Reason(ReasonCode.RETRY, until=NOW + timedelta(seconds=left))
            assert explain_reason(reason, NOW).striptags() == f"next attempt in {shown}"


def test_every_code_has_a_text() -> None:
    assert set(wording.EVENT) == set(EventKind)
    assert set(wording.RESULT) == set(ResultCode) - {ResultCode.DONE, ResultCode.SENT}
    assert set(wording._DONE) | {CallNow, Postpone, Reassign} == set(get_args(Action))  # these name who or when
    assert set(ERROR) >= set(ErrorCode)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_tables_are_translated(app: Flask, locale: str) -> None:
    with reading(app, locale):
        tables = (wording.EVENT, wording.RESULT, wording.PRIORITY, wording._DONE, wording._CHANGE)
        for table in tables:
            assert {is_persian(str(text)) for text in table.values()} == {locale == "fa"}


def test_changed_values_have_texts(app: Flask) -> None:
    with reading(app, "en"):
        assert wording.value_text("postponed", NOW.isoformat()) == "2026-03-02 11:30"
        assert wording.value_text("prioritised", "-1") == "low"
        assert wording.value_text("prioritised", "5") == wording.value_text("future", "5") == "5"
        assert wording.value_text("reassigned", "queue:800") == "queue 800"
        assert wording.value_text("reassigned", "*") == wording.target_text(False, "")
        assert wording.value_text("reassigned", "") == ""
