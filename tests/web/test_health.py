"""The health of the telephone side, in the status line of every page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.config import Settings
from app.services import users
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import KeptRegistration, RouteTroubleRow, WorkerState
from script.office.database import make_settings
from tests.support.factories import NOW, store
from tests.web.pages import Page, Visitor, text

LINE = "/live"
HEALTHY: dict[str, Any] = {
    "ami_status": "connected",
    "asterisk_version": "22.10.1-rc1~dfsg+~cs6",
    "dialplan_written": "7",
    "dialplan_running": "7",
}
WORKER = ".venv/bin/flask --app wsgi worker"

# state -> level, words of the text, command or error
STATES: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "ok", "Asterisk 22.10.1.", ""),
    ({"asterisk_version": ""}, "ok", "Asterisk ?.", ""),
    ({"heartbeat": -15}, "ok", "Asterisk 22.10.1.", ""),
    ({"heartbeat": -18}, "fault", "last seen: 20", WORKER),
    ({"heartbeat": None}, "fault", "last seen: never", WORKER),
    ({"asterisk_version": "11.25.3"}, "fault", "too old", ""),
    ({"ami_status": "refused"}, "fault", "rejects", ""),
    ({"ami_status": "login_in_use"}, "fault", "one log-in", "allowmultiplelogin = yes"),
    ({"ami_status": "down", "ami_detail": "Connect call failed"}, "fault", "Not connected", "Connect call failed"),
    ({"ami_status": "connecting"}, "fault", "Not connected", ""),
    ({"ami_status": "not_given"}, "fault", "not connected yet", ""),
    ({"ami_status": "brand_new"}, "fault", "Not connected", ""),
    ({"obstacle": "no_dialplan", "dialplan_detail": "not_included"}, "fault", "include", "#tryinclude"),
    ({"obstacle": "no_dialplan", "dialplan_detail": "[Errno 13] x"}, "fault", "written", "[Errno 13] x"),
    ({"dialplan_detail": "[Errno 28] No space"}, "fault", "written", "[Errno 28] No space"),
    ({"obstacle": "old_number_check", "dialplan_running": ""}, "fault", "former", "dialplan reload"),
    ({"outbound": ""}, "fault", "context", ""),
    ({"dialplan_detail": "sounds_missing"}, "warning", "Sounds are being made", ""),
    ({"dialplan_running": "", "dialplan_detail": "sounds_missing"}, "warning", "Sounds are being made", ""),
    ({"dialplan_running": "", "dialplan_detail": "reload_by_hand"}, "warning", "older", "dialplan reload"),
]


def level(page: Page) -> str:
    if page.has("p", class_="status-ok"):
        return "ok"
    (alert,) = page.all(role="alert")
    return {"alert-danger": "fault", "alert-warning": "warning"}[alert.get("class", "").split()[1]]


@pytest.mark.parametrize(("state", "expected", "words", "command"), STATES, ids=lambda value: str(value)[:40])
def test_each_state_is_shown_with_what_to_do(
    app: Flask, database: Database, settings: Settings, state: dict[str, Any], expected: str, words: str, command: str
) -> None:
    values = HEALTHY | {"heartbeat": -1} | state
    with database.write() as session:
        store_settings.write_setting(session, "outbound_context", values.pop("outbound", "from-internal"))
    seconds = values.pop("heartbeat")
    heartbeat = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    store(database, WorkerState(id=1, heartbeat=heartbeat, **values))

    users.set_locale(database, 2, "en")
    line = Visitor(app, 2).ask(LINE)
    assert level(line) == expected
    assert words in line.main
    assert [text(code)[: len(command)] for code in line.all("code")] == ([command] if command else [])
    assert all(code.get("dir") == "ltr" for code in line.all("code"))
    if "#tryinclude" in command:
        assert text(line.one("code")) == f"#tryinclude {settings.dialplan_path}"

    users.set_locale(database, 2, "fa")
    line = Visitor(app, 2).ask(LINE)
    assert level(line) == expected
    assert any("آ" <= letter <= "ی" for letter in line.main)
    own_words = "".join(element.text or "" for element in line.all("strong"))
    assert not set(own_words) & set("0123456789")


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", "Calls to customers have failed since {time}: all lines of the trunk were busy."),
        ("fa", "تماس با مشتریان از {time} برقرار نمی‌شود: همه خطوط ترانک مشغول بودند."),
    ],
)
def test_route_that_fails_is_one_alarm(app: Flask, database: Database, locale: str, words: str) -> None:
    store(database, WorkerState(id=1, heartbeat=datetime.now(UTC), **HEALTHY))
    failing = {"failures": 2, "since": NOW, "failed_at": NOW + timedelta(minutes=1), "outcome": "route_congested"}
    for context in ("from-internal", "not-used-any-more"):
        store(database, RouteTroubleRow(context=context, cause="customer CONGESTION 34 503", **failing))
    users.set_locale(database, 2, locale)
    with database.write() as session:
        store_settings.write_setting(session, "outbound_context", "elsewhere")
    assert level(Visitor(app, 2).get("/overview")) == "ok"
    with database.write() as session:
        store_settings.write_setting(session, "outbound_context", "from-internal")
    page = Visitor(app, 2).get("/overview")
    (alarm,) = page.one(id="status-line").findall(".//*[@role='alert']")
    beginning, end = words.split("{time}")
    assert beginning in text(alarm) and end in text(alarm)
    assert text(page.one("code")) == "customer CONGESTION 34 503"
    assert page.one(id="health-route").get("class") == "health-fault"


@pytest.mark.parametrize(
    ("locale", "seconds", "words"),
    [
        ("en", 12600, "The clock of the telephone service jumped forward by 3:30:00 at {time}."),
        ("en", -12600, "The clock of the telephone service jumped back by 3:30:00 at {time}."),
        ("fa", 12600, "ساعت دستگاه سرویس تماس در {time} به اندازه ۳:۳۰:۰۰ جلو رفت."),
        ("fa", -12600, "ساعت دستگاه سرویس تماس در {time} به اندازه ۳:۳۰:۰۰ عقب رفت."),
    ],
)
def test_jump_of_the_clock_is_a_warning_for_a_day(
    app: Flask, database: Database, locale: str, seconds: int, words: str
) -> None:
    jumped_at = datetime.now(UTC) - timedelta(hours=23)
    values = HEALTHY | {"heartbeat": datetime.now(UTC), "jump_seconds": seconds}
    state = store(database, WorkerState(id=1, jumped_at=jumped_at, **values))
    users.set_locale(database, 2, locale)
    with database.write() as session:
        store_settings.write_setting(session, "outbound_context", "from-internal")
    page = Visitor(app, 2).get("/overview")
    (alarm,) = page.one(id="status-line").findall(".//*[@role='alert']")
    beginning, end = words.split("{time}")
    assert beginning in text(alarm) and end in text(alarm)
    assert page.one(id="health-clock").get("class") == "health-warning"
    with database.write() as session:
        session.get_one(WorkerState, state.id).jumped_at = jumped_at - timedelta(hours=2)
    page = Visitor(app, 2).get("/overview")
    assert level(page) == "ok" and not page.has(id="health-clock")


@pytest.mark.parametrize("names", [(), ("ami_username",), ("ami_secret",), ("ami_username", "ami_secret")])
@pytest.mark.parametrize("locale", ["en", "fa"])
def test_a_rejected_log_in_names_where_its_values_come_from(
    app: Flask, admin: Visitor, database: Database, settings: Settings, names: tuple[str, ...], locale: str
) -> None:
    store(database, WorkerState(id=1, heartbeat=datetime.now(UTC), ami_status="refused"))
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, **dict.fromkeys(names, "bazang"))
    users.set_locale(database, 1, locale)
    advice = admin.ask(LINE).main
    variables = {name for name in ("ami_username", "ami_secret") if f"BAZANG_{name.upper()}" in advice}
    assert variables == set(names)
    assert ({"en": "settings", "fa": "تنظیمات"}[locale] in advice) == (len(names) < 2)


@pytest.mark.parametrize("path", ["/requests", "/modules", "/extensions"])
def test_every_page_shows_and_polls_the_health(admin: Visitor, path: str) -> None:
    page = admin.get(path)
    live = page.one(id="live")
    assert (live.get("hx-get"), live.get("hx-trigger")) == ("/requests/rows" if path == "/requests" else LINE, "poll")
    assert page.one(id="status-line").findall(".//*[@role='alert']")


def test_the_log_in_page_does_not_show_the_health(visitor: Visitor) -> None:
    assert not visitor.get("/login").has(id="status-line")


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", "In the last 24 hours, 6 callers heard that the request is registered while Bazang did not run"),
        ("fa", "در ۲۴ ساعت گذشته، ۶ تماس‌گیرنده شنیده‌اند که درخواستشان ثبت شد"),
    ],
)
def test_callers_who_heard_a_yes_for_nothing_are_a_warning_for_a_day(
    app: Flask, database: Database, locale: str, words: str
) -> None:
    reasons = ("number", "malformed", "no_module", "old", "blocked", "module_hour")
    store(database, WorkerState(id=1, heartbeat=datetime.now(UTC), **HEALTHY))
    users.set_locale(database, 2, locale)
    with database.write() as session:
        store_settings.write_setting(session, "outbound_context", "from-internal")

    def keep(at: datetime, *refused: str) -> None:
        for reason in refused:
            store(database, KeptRegistration(key=f"{at} {reason}", called_at=at, stored_at=at, refused=reason))

    keep(datetime.now(UTC) - timedelta(hours=26), *reasons)
    keep(datetime.now(UTC), "")
    page = Visitor(app, 2).get("/overview")
    assert level(page) == "ok" and not page.has(id="health-kept")
    keep(datetime.now(UTC), *reasons)
    page = Visitor(app, 2).get("/overview")
    (alarm,) = page.one(id="status-line").findall(".//*[@role='alert']")
    assert words in text(alarm)
    assert page.one(id="health-kept").get("class") == "health-warning"
