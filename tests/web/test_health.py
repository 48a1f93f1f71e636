"""The line that says whether calls can be made, in each state of the telephone side."""

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

STATES: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "ok", "Connected to Asterisk 22.10.1; calls can be made.", ""),
    ({"asterisk_version": ""}, "ok", "Connected to Asterisk ?; calls can be made.", ""),
    (
        {"heartbeat": None},
        "fault",
        "The telephone service is not running (last seen: never).",
        "flask --app wsgi worker",
    ),
    ({"heartbeat": -18}, "fault", "The telephone service is not running (last seen: 20", "flask --app wsgi worker"),
    ({"heartbeat": -15}, "ok", "Connected to Asterisk 22.10.1; calls can be made.", ""),
    ({"ami_status": "refused"}, "fault", "The PBX rejects the user name or the secret.", ""),
    (
        {"ami_status": "down", "ami_detail": "Connect call failed ('127.0.0.1', 5038)"},
        "fault",
        "Not connected to the PBX.",
        "Connect call failed ('127.0.0.1', 5038)",
    ),
    ({"ami_status": "connecting"}, "fault", "Not connected to the PBX.", ""),
    (
        {"obstacle": "no_dialplan", "dialplan_running": "", "dialplan_detail": "not_included"},
        "fault",
        "The dialplan of the PBX does not include ours.",
        "#tryinclude ",
    ),
    (
        {"obstacle": "no_dialplan", "dialplan_running": "", "dialplan_detail": "[Errno 13] Permission denied: '/x'"},
        "fault",
        "The dialplan cannot be written.",
        "[Errno 13] Permission denied: '/x'",
    ),
    ({"dialplan_detail": "[Errno 28] No space"}, "fault", "The dialplan cannot be written.", "[Errno 28] No space"),
    ({"outbound": ""}, "fault", "No context for calls to customers is set.", ""),
    (
        {"dialplan_running": "", "dialplan_detail": "reload_by_hand"},
        "warning",
        "The PBX still runs an older dialplan.",
        "dialplan reload",
    ),
]


@pytest.fixture
def line(app: Flask, database: Database, request: pytest.FixtureRequest) -> Page:
    """The line in a state, as a user of some language sees it."""
    given, locale = request.param
    values = HEALTHY | {"heartbeat": -1} | given
    with database.write() as session:
        store_settings.write_setting(session, "outbound_context", values.pop("outbound", "from-internal"))
    seconds = values.pop("heartbeat")
    heartbeat = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    store(database, WorkerState(id=1, heartbeat=heartbeat, **values))
    users.set_locale(database, 2, locale)
    return Visitor(app, 2).ask(LINE)


def level(page: Page) -> str:
    if page.has("p", class_="status-ok"):
        return "ok"
    (alert,) = page.all(role="alert")
    return {"alert-danger": "fault", "alert-warning": "warning"}[alert.get("class", "").split()[1]]


@pytest.mark.parametrize(
    ("line", "of", "said", "command"),
    [((given, "en"), of, said, command) for given, of, said, command in STATES],
    indirect=["line"],
    ids=[f"{of}-{','.join(map(str, given.values()))}"[:40] for given, of, _, _ in STATES],
)
def test_each_state_is_told_with_what_to_do(line: Page, of: str, said: str, command: str) -> None:
    assert level(line) == of
    assert said in line.main
    codes = line.all("code")
    assert len(codes) == (command != "")
    for code in codes:
        assert text(code).startswith(command.strip())
        assert code.get("dir") == "ltr"


@pytest.mark.parametrize(
    ("line", "of"),
    [((given, "fa"), of) for given, of, _, _ in STATES],
    indirect=["line"],
    ids=[f"{of}-{','.join(map(str, given.values()))}"[:40] for given, of, _, _ in STATES],
)
def test_each_state_is_told_in_persian(line: Page, of: str) -> None:
    assert level(line) == of
    assert any("آ" <= letter <= "ی" for letter in line.main)
    own_words = "".join(element.text or "" for element in line.all("strong"))
    assert not set(own_words) & set("0123456789")


COMPARE = {
    (): "the settings, under “Telephone exchange”.",
    ("ami_username",): "BAZANG_AMI_USERNAME and with the settings, under “Telephone exchange”.",
    ("ami_secret",): "BAZANG_AMI_SECRET and with the settings, under “Telephone exchange”.",
    ("ami_username", "ami_secret"): "BAZANG_AMI_USERNAME and BAZANG_AMI_SECRET.",
}


@pytest.mark.parametrize(("given", "said"), COMPARE.items(), ids=map("+".join, COMPARE))
def test_a_refused_log_in_is_mended_where_its_values_come_from(
    app: Flask, admin: Visitor, database: Database, settings: Settings, given: tuple[str, ...], said: str
) -> None:
    store(database, WorkerState(id=1, heartbeat=datetime.now(UTC), ami_status="refused"))
    changed = make_settings(settings.data_dir, **dict.fromkeys(given, "bazang"))
    app.extensions["bazang"]["settings"] = changed
    assert f"Compare manager.conf with {said}" in admin.ask(LINE).main
    users.set_locale(database, 1, "fa")
    in_persian = admin.ask(LINE).main
    assert all(f"BAZANG_{name.upper()}" in in_persian for name in given)
    assert ("«مرکز تلفن»" in in_persian) == (len(given) < 2)


@pytest.mark.parametrize("path", ["/requests", "/modules", "/modules/new", "/extensions", "/queues"])
def test_every_page_has_the_line_and_asks_for_it_again(admin: Visitor, path: str) -> None:
    page = admin.get(path)
    place, live = page.one(id="status-line"), page.one(id="live")
    assert (live.get("hx-get"), live.get("hx-trigger")) == ("/requests/rows" if path == "/requests" else LINE, "look")
    assert "The telephone service is not running" in text(place)


def test_who_is_not_logged_in_is_told_nothing(visitor: Visitor) -> None:
    assert not visitor.get("/login").has(id="status-line")


def test_the_line_names_the_file_to_include(app: Flask, settings: Settings, database: Database, admin: Visitor) -> None:
    values = HEALTHY | {"heartbeat": datetime.now(UTC), "obstacle": "no_dialplan"}
    store(database, WorkerState(id=1, **values))
    assert text(admin.ask(LINE).one("code")) == f"#tryinclude {settings.dialplan_path}"


def test_an_unknown_state_is_no_fault_of_the_page(database: Database, admin: Visitor) -> None:
    store(database, WorkerState(id=1, **(HEALTHY | {"heartbeat": datetime.now(UTC), "ami_status": "brand_new"})))
    assert level(admin.ask(LINE)) == "fault"
