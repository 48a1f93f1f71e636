"""The log in words: who changed what, found again by person, kind and day, and changed by nobody."""

import ast
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import app.services
from app.services import audit, users
from app.services.requests import perform
from app.store.database import Database
from app.store.models import AuditEntry
from app.web.audit import wording
from tests.support.factories import NOW, log_of, store
from tests.web.conftest import ADMINISTRATOR, OPERATOR
from tests.web.pages import Page, Visitor, text


@pytest.fixture(autouse=True)
def began(database: Database) -> None:
    """The users' own beginnings stand in the log of the built database; a test's begins empty."""
    with database.write() as session:
        session.query(AuditEntry).delete()


def note(database: Database, action: str, subject: str = "", at: datetime = NOW, **detail: Any) -> AuditEntry:
    actor = detail.pop("actor", ADMINISTRATOR)
    return store(database, AuditEntry(at=at, actor=actor, action=action, subject=subject, detail=detail))


def entries(page: Page) -> list[str]:
    return [text(row) for row in page.all("tr") if row.get("id")]


def test_what_was_done_is_told_in_words(supervisor: Visitor, database: Database) -> None:
    note(database, "user_changed", OPERATOR, role=["operator", "supervisor"], locale=[None, "fa"], active=[True, False])
    (told,) = entries(supervisor.get("/log"))
    assert f"The user {OPERATOR} was changed." in told and ADMINISTRATOR in told
    assert "Role: operator becomes supervisor" in told
    assert "Language of the panel: as the office becomes Persian" in told
    assert "Active: yes becomes no" in told


@pytest.mark.parametrize(
    ("field", "values", "told"),
    [
        ("next_kind", ["hangup", "queue"], "Type of the next destination: hang up becomes queue"),
        ("busy", ["", "module *5001"], "Busy: call request module *5001"),
        ("target", ["101", "queue:800"], "For whom: extension 101 becomes queue 800"),
        ("target", ["101", "*"], "For whom: extension 101 becomes any extension of the module"),
        ("priority", [0, 1], "Priority: normal becomes high"),
        ("postponed_until", ["", "2026-03-02T08:00:00+00:00"], "Postponed until: 2026-03-02 11:30"),
        ("postponed_until", ["", "soon"], "Postponed until: soon"),
        ("targets", [["101"], ["101", "102"]], "Extensions or queue: 101 becomes 101, 102"),
        ("prompt_intro", ["", "none"], "Prompt: introduction: don't play"),
        ("ami_secret", [audit.HIDDEN, audit.HIDDEN], "Secret at the exchange (AMI): (not shown) becomes (not shown)"),
        ("area_code", ["21", ""], "Area code: 21 becomes nothing"),
        ("silent", [None, True], "Silent: yes"),
        ("something_new", ["a", "b"], "something_new: a becomes b"),
        ("name", ["<b>x</b>", "y\u202e"], "Name: <b>x</b> becomes y"),
    ],
)
def test_values_are_told_in_words(
    supervisor: Visitor, database: Database, field: str, values: list[Any], told: str
) -> None:
    note(database, "module_saved", "Sales (*5001)", **{field: values})
    page = supervisor.get("/log")
    assert told in entries(page)[0]


def test_persian_readers_read_persian(admin: Visitor, database: Database) -> None:
    users.set_locale(database, 1, "fa")
    admin.locale = "fa"
    note(database, "module_saved", "فروش (*5001)", rest=[10, 25])
    (told,) = entries(admin.get("/log"))
    assert "۲۵" in told and "*۵۰۰۱" in told and "۱۴۰۴/۱۲/۱۱" in told and not re.search("[0-9]", told)


def test_many_changes_fold(supervisor: Visitor, database: Database) -> None:
    note(
        database,
        "module_saved",
        "Sales",
        **{name: [0, 1] for name in ("rest", "retries", "min_wait", "ring", "wrapup")},
    )
    page = supervisor.get("/log")
    assert text(page.one("summary")) == "5 fields"


def noted_actions() -> set[str]:
    """Find what the services note in their source."""
    found = {logged for _event, logged in perform._NAMES.values()}
    for path in Path(app.services.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "log.note":
                named = ast.walk(call.args[2])
                found |= {
                    node.value for node in named if isinstance(node, ast.Constant) and isinstance(node.value, str)
                }
            elif isinstance(call, ast.Call) and ast.unparse(call.func) == "_set_password":
                found.add(ast.literal_eval(call.args[-1]))
    return found


def test_every_action_of_the_services_has_words() -> None:
    """None that is added later stays without a sentence."""
    assert {"user_created", "calls_paused", "calls_resumed", "request_done", "password_reset"} <= noted_actions()
    assert noted_actions() <= set(wording.ACTION)


def test_an_action_without_words_is_shown_as_it_is(supervisor: Visitor, database: Database) -> None:
    note(database, "moon_phased", "full")
    assert "moon_phased full" in entries(supervisor.get("/log"))[0]


@pytest.fixture
def filled(database: Database) -> None:
    note(database, "module_saved", "Sales (*5001)", NOW - timedelta(days=2))
    note(database, "module_deleted", "Night (*5002)", NOW, actor=OPERATOR)
    note(database, "settings_saved", "", NOW + timedelta(days=1), actor="")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["settings", "Night", "Sales"]),
        ({"actor": OPERATOR}, ["Night"]),
        ({"actor": "-"}, ["settings"]),
        ({"actor": "nobody"}, []),
        ({"action": "module_saved"}, ["Sales"]),
        ({"subject": "night"}, ["Night"]),
        ({"subject": "%"}, []),
        ({"since": "2026-03-02"}, ["settings", "Night"]),
        ({"until": "2026-03-02"}, ["Night", "Sales"]),
        ({"since": "۱۴۰۴/۱۲/۱۱", "until": "1404/12/11"}, ["Night"]),
        ({"since": "2026-03-04"}, []),
        ({"since": "", "until": "", "actor": ""}, ["settings", "Night", "Sales"]),
    ],
)
def test_it_is_filtered(supervisor: Visitor, filled: None, query: dict[str, str], found: list[str]) -> None:
    page = supervisor.get("/log", **query)
    told = entries(page)
    assert len(told) == len(found) and all(part in row for part, row in zip(found, told, strict=True))
    if not found:
        assert "Nothing in the log matches." in page.main


def test_a_day_that_is_none_is_told_beside_its_field(supervisor: Visitor, filled: None) -> None:
    page = supervisor.get("/log", 422, since="yesterday", actor=OPERATOR)
    assert page.error("since").startswith("Write it as")
    assert page.one(id="since").get("value") == "yesterday"
    assert page.one(id="actor").find("option[@selected]").get("value") == OPERATOR  # type: ignore[union-attr]


def test_an_empty_log_says_so(supervisor: Visitor) -> None:
    assert "The log is empty." in supervisor.get("/log").main


def test_it_is_paged_and_the_filter_stays(supervisor: Visitor, database: Database) -> None:
    for number in range(120):
        note(database, "module_saved", f"Number {number}", NOW + timedelta(minutes=number))
    page = supervisor.get("/log", action="module_saved")
    assert len(entries(page)) == audit.PER_PAGE and "Number 119" in entries(page)[0]
    assert "Page 1 of 3" in page.main and "120 entries" in page.main
    older = page.one("a", rel="next").get("href", "")
    page = supervisor.get(older)
    assert "Number 69" in entries(page)[0]
    page = supervisor.get("/log?page=99")
    assert "Number 0" in entries(page)[-1] and not page.has("a", rel="next")
    supervisor.get("/log?page=x")


def test_names_are_escaped(supervisor: Visitor, database: Database) -> None:
    note(database, "module_saved", "<script>x</script>", actor="<i>who</i>")
    (told,) = entries(supervisor.get("/log"))
    assert "<script>x" in told and "<i>who" in told


def test_no_route_changes_the_log(app: Flask, admin: Visitor, database: Database) -> None:
    routes = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("log.")]
    assert [(rule.rule, rule.methods) for rule in routes] == [("/log", {"GET", "HEAD", "OPTIONS"})]
    note(database, "module_saved", "Sales")
    for method in ("post", "put", "patch", "delete"):
        assert getattr(admin.client, method)("/log").status_code == 405
    assert len(log_of(database)) == 1
    folder = Path(app.root_path)
    writers = [path.name for path in folder.rglob("*.py") if re.search(r"\bLogEntry\(", path.read_text())]
    assert sorted(writers) == ["log.py", "models.py"], "entries are made in one place"
    assert not [path for path in folder.rglob("*.py") if re.search(r"(delete|update)\(LogEntry", path.read_text())]


def test_operators_do_not_see_it(operator: Visitor) -> None:
    operator.get("/log", 403)
