"""The page of the audit log: texts, filters and pages."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.services import audit, users
from app.services.audit import AuditAction
from app.store.database import Database
from app.store.models import AuditEntry
from app.web.audit import wording
from app.web.wording import error
from tests.support.factories import NOW, log_of, store
from tests.support.rows import for_each
from tests.web.conftest import ADMINISTRATOR, OPERATOR
from tests.web.pages import Page, Visitor, child, text


@pytest.fixture(autouse=True)
def empty_log(database: Database) -> None:
    """Remove the entries about the users of the built database."""
    with database.write() as session:
        session.query(AuditEntry).delete()


def add_entry(database: Database, action: str, subject: str = "", at: datetime = NOW, /, **detail: Any) -> AuditEntry:
    actor = detail.pop("actor", ADMINISTRATOR)
    return store(database, AuditEntry(at=at, actor=actor, action=action, subject=subject, detail=detail))


def entries(page: Page) -> list[str]:
    return [text(row) for row in page.all("tr") if row.get("id")]


def test_an_entry_is_a_sentence_with_its_changes(supervisor: Visitor, database: Database) -> None:
    add_entry(
        database, "user_changed", OPERATOR, role=["operator", "supervisor"], locale=[None, "fa"], active=[True, False]
    )
    (row,) = entries(supervisor.get("/log"))
    assert f"The user {OPERATOR} was changed." in row and ADMINISTRATOR in row
    assert "Role: operator becomes supervisor" in row
    assert "Language of the panel: as the office becomes Persian" in row
    assert "Active: yes becomes no" in row


@pytest.mark.parametrize(
    ("field", "values", "text_"),
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
        ("ami_secret", [audit.HIDDEN, audit.HIDDEN], "Secret on the PBX (AMI): (hidden) becomes (hidden)"),
        ("area_code", ["21", ""], "Area code: 21 becomes nothing"),
        ("silent", [None, True], "Silent: yes"),
        ("something_new", ["a", "b"], "something_new: a becomes b"),
        ("name", ["<b>x</b>", "y\u202e"], "Name: <b>x</b> becomes y"),
    ],
)
def test_values_are_shown_as_text(
    supervisor: Visitor, database: Database, field: str, values: list[Any], text_: str
) -> None:
    add_entry(database, "module_saved", "Sales (*5001)", **{field: values})
    assert text_ in entries(supervisor.get("/log"))[0]


def test_persian_pages_have_persian_digits_and_dates(admin: Visitor, database: Database) -> None:
    users.set_locale(database, 1, "fa")
    admin.locale = "fa"
    add_entry(database, "module_saved", "فروش (*5001)", rest=[10, 25])
    (row,) = entries(admin.get("/log"))
    assert "۲۵" in row and "*۵۰۰۱" in row and "۱۴۰۴/۱۲/۱۱" in row and not re.search("[0-9]", row)


def test_many_changes_are_folded(supervisor: Visitor, database: Database) -> None:
    add_entry(
        database,
        "module_saved",
        "Sales",
        **{name: [0, 1] for name in ("rest", "retries", "min_wait", "ring", "wrapup")},
    )
    page = supervisor.get("/log")
    assert text(page.one("summary")) == "5 fields"


def test_every_action_has_a_text() -> None:
    assert set(wording.ACTION) == set(AuditAction)


def test_an_unknown_action_is_shown_as_it_is_stored(supervisor: Visitor, database: Database) -> None:
    add_entry(database, "moon_phased", "full")
    assert "moon_phased full" in entries(supervisor.get("/log"))[0]


@pytest.fixture
def filled(database: Database) -> None:
    add_entry(database, "module_saved", "Sales (*5001)", NOW - timedelta(days=2))
    add_entry(database, "module_deleted", "Night (*5002)", NOW, actor=OPERATOR)
    add_entry(database, "settings_saved", "", NOW + timedelta(days=1), actor="")


@for_each(
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
def test_filters(supervisor: Visitor, filled: None, query: dict[str, Any], found: list[str]) -> None:
    rows = entries(supervisor.get("/log", **query))
    assert len(rows) == len(found) and all(part in row for part, row in zip(found, rows, strict=True))


def test_an_invalid_day_is_an_error_and_the_filter_stays(supervisor: Visitor, filled: None) -> None:
    page = supervisor.get("/log", 422, since="yesterday", actor=OPERATOR)
    assert page.error("since") == error("date")
    assert page.one(id="since").get("value") == "yesterday"
    assert child(page.one(id="actor"), "option[@selected]").get("value") == OPERATOR


def test_an_empty_log_and_a_search_without_result_differ(supervisor: Visitor) -> None:
    empty, no_match = supervisor.get("/log").main, supervisor.get("/log", subject="x").main
    assert "The log is empty." in empty and "The log is empty." not in no_match


def test_pages_keep_the_filter(supervisor: Visitor, database: Database) -> None:
    for number in range(120):
        add_entry(database, "module_saved", f"Number {number}", NOW + timedelta(minutes=number))
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
    add_entry(database, "module_saved", "<script>x</script>", actor="<i>who</i>")
    (row,) = entries(supervisor.get("/log"))
    assert "<script>x" in row and "<i>who" in row


def test_no_route_changes_the_log(app: Flask, admin: Visitor, database: Database) -> None:
    routes = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("log.")]
    assert [(rule.rule, rule.methods) for rule in routes] == [("/log", {"GET", "HEAD", "OPTIONS"})]
    add_entry(database, "module_saved", "Sales")
    for method in ("post", "put", "patch", "delete"):
        assert getattr(admin.client, method)("/log").status_code == 405
    assert len(log_of(database)) == 1


def test_operators_do_not_see_the_log(operator: Visitor) -> None:
    operator.get("/log", 403)
