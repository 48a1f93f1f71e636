"""The health of the telephone side, in the status line of every page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.config import Settings
from app.services import users
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import WorkerState
from script.office.database import make_settings
from tests.support.factories import store
from tests.web.pages import Page, Visitor, text

LINE = "/live"
HEALTHY: dict[str, Any] = {
    "ami_status": "connected",
    "asterisk_version": "22.10.1-rc1~dfsg+~cs6",
    "dialplan_written": "7",
    "dialplan_running": "7",
}
WORKER = "flask --app wsgi worker"

# state -> level, words of the text, command or error
STATES: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "ok", "Asterisk 22.10.1.", ""),
    ({"asterisk_version": ""}, "ok", "Asterisk ?.", ""),
    ({"heartbeat": -15}, "ok", "Asterisk 22.10.1.", ""),
    ({"heartbeat": -18}, "fault", "last seen: 20", WORKER),
    ({"heartbeat": None}, "fault", "last seen: never", WORKER),
    ({"ami_status": "refused"}, "fault", "rejects", ""),
    ({"ami_status": "down", "ami_detail": "Connect call failed"}, "fault", "Not connected", "Connect call failed"),
    ({"ami_status": "connecting"}, "fault", "Not connected", ""),
    ({"ami_status": "brand_new"}, "fault", "Not connected", ""),
    ({"obstacle": "no_dialplan", "dialplan_detail": "not_included"}, "fault", "include", "#tryinclude"),
    ({"obstacle": "no_dialplan", "dialplan_detail": "[Errno 13] x"}, "fault", "written", "[Errno 13] x"),
    ({"dialplan_detail": "[Errno 28] No space"}, "fault", "written", "[Errno 28] No space"),
    ({"outbound": ""}, "fault", "context", ""),
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
