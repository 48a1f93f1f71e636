"""The pages of extensions and queues: what the exchange reports, and where callers go whom nobody served."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.domain.policy import LineState
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, QueueMemberRow, QueueRow, QueueScenario
from tests.support.factories import create_line, create_module, make_settings, store
from tests.web.pages import Visitor, rows, text

# -- extensions -------------------------------------------------------------------------------------------------------


def extension(database: Database, number: str = "101") -> ExtensionScenario | None:
    with database.read() as session:
        return session.get(ExtensionScenario, number)


def queue(database: Database, name: str = "800") -> QueueScenario | None:
    with database.read() as session:
        return session.get(QueueScenario, name)


def commands(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(command.kind, command.actor) for command in session.scalars(select(Command))]


def test_the_exchange_has_told_of_nothing(admin: Visitor) -> None:
    assert "The exchange has told of no extension yet." in admin.get("/extensions").main
    assert "The exchange has told of no queue yet." in admin.get("/queues").main


@pytest.mark.parametrize("state", LineState)
def test_an_extension_is_listed_with_its_state(admin: Visitor, database: Database, state: LineState) -> None:
    create_line(database, "101", name="Sara", state=state.value)
    (row,) = rows(admin.get("/extensions"))
    assert row.startswith("101 Sara ") and row.endswith(" – – – Edit")


def test_extensions_with_a_scenario_are_listed_even_if_the_exchange_does_not_know_them(
    admin: Visitor, database: Database
) -> None:
    create_line(database, "102")
    ways = {"busy_kind": "module", "busy_code": "*5001", "no_answer_kind": "extension", "no_answer_code": "102"}
    store(database, ExtensionScenario(extension="101", **ways))
    first, second = rows(admin.get("/extensions"))
    assert first == "101 unknown extension 102 call request module *5001 hang up Edit"
    assert second.startswith("102 free")


@pytest.mark.parametrize(("typed", "page"), [("103", "103"), ("۱۰۳", "103"), (" 103 ", "103"), ("*50#", "*50%23")])
def test_an_extension_is_typed_by_hand(admin: Visitor, typed: str, page: str) -> None:
    answer = admin.get("/extensions/open", 302, number=typed)
    assert answer.response.headers["Location"] == f"/extensions/{page}"
    admin.follow(answer)


@pytest.mark.parametrize("typed", ["", "10a", "1/2", "../queues", "1" * 21])
def test_what_is_no_extension_is_told(admin: Visitor, typed: str) -> None:
    page = admin.follow(admin.get("/extensions/open", 302, number=typed))
    assert page.message == "Digits, * and # only."


def test_a_scenario_is_saved(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    page = admin.get("/extensions/101")
    assert page.fields()["ring"] == ["25"]
    changes = {
        "ring": "۳۰",
        "no_answer_kind": "module",
        "no_answer_code": "*۵۰۰۱",
        "busy_kind": "queue",
        "busy_code": "800",
        "unavailable_kind": "custom",
        "unavailable_code": "ivr-1,s,1",
    }
    page = admin.follow(admin.submit(page, "/extensions/101", **changes))
    assert page.message == "The scenario is saved."
    saved = extension(database)
    assert saved is not None and saved.ring == 30
    assert (saved.no_answer_kind, saved.no_answer_code) == ("module", "*5001")
    assert (saved.busy_kind, saved.busy_code) == ("queue", "800")
    assert (saved.unavailable_kind, saved.unavailable_code) == ("custom", "ivr-1,s,1")
    assert commands(database) == [("write_dialplan", "sara")]
    again = {name: values[0] for name, values in admin.get("/extensions/101").fields().items()}
    assert again["no_answer_code"] == "*5001" and again["unavailable_kind"] == "custom"


def test_a_way_is_taken_back(admin: Visitor, database: Database) -> None:
    store(database, ExtensionScenario(extension="101", busy_kind="extension", busy_code="102"))
    admin.submit(admin.get("/extensions/101"), "/extensions/101", busy_kind="")
    saved = extension(database)
    assert saved is not None and (saved.busy_kind, saved.busy_code) == ("", "")


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        ({"ring": "4"}, "ring", "This is out of range."),
        ({"ring": "long"}, "ring", "Write a whole number."),
        ({"busy_kind": "extension"}, "busy_code", "This is needed."),
        ({"busy_kind": "extension", "busy_code": "101"}, "busy_code", "Callers would go round in a circle."),
        ({"busy_kind": "module", "busy_code": "*5009"}, "busy_code", "There is no module with this code."),
        (
            {"no_answer_kind": "custom", "no_answer_code": "ivr"},
            "no_answer_code",
            "Write it as context,extension,priority.",
        ),
        ({"unavailable_kind": "moon", "unavailable_code": "1"}, "unavailable_code", "Choose one of the list."),
    ],
)
def test_a_fault_stands_beside_its_field(
    admin: Visitor, database: Database, typed: dict[str, Any], field: str, message: str
) -> None:
    others = {"no_answer_kind": "extension", "no_answer_code": "109"}
    page = admin.submit(admin.get("/extensions/101"), "/extensions/101", 422, **(others | typed))
    assert page.error(field) == message
    kept = {name: values[0] for name, values in page.fields().items()}
    expected = {name: value for name, value in (others | typed).items() if value != "moon"}
    assert {name: kept[name] for name in expected} == expected
    assert extension(database) is None and commands(database) == []


# -- queues -----------------------------------------------------------------------------------------------------------


def test_queues_are_listed_with_members_and_waiting_callers(admin: Visitor, database: Database) -> None:
    store(database, QueueRow(name="800", live_callers=2))
    store(database, QueueMemberRow(queue="800", extension="101"))
    store(database, QueueMemberRow(queue="800", extension="102", paused=True))
    store(database, QueueScenario(queue="810", failed_kind="module", failed_code="*5001"))
    assert rows(admin.get("/queues")) == [
        "800 101, 102 (paused) 2 – Edit",
        "810 – 0 call request module *5001 Edit",
    ]


def test_a_queues_destination_is_saved(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001")
    page = admin.get("/queues/800")
    assert (page.fields()["max_wait"], page.fields()["wrapup"]) == (["60"], ["0"])
    changes = {"max_wait": "۱۲۰", "wrapup": "15", "failed_kind": "module", "failed_code": "*5001"}
    page = admin.follow(admin.submit(page, "/queues/800", **changes))
    assert page.message == "The queue's destination is saved."
    saved = queue(database)
    assert saved is not None
    assert (saved.max_wait, saved.wrapup, saved.failed_kind, saved.failed_code) == (120, 15, "module", "*5001")
    assert commands(database) == [("write_dialplan", "sara")]
    admin.submit(admin.get("/queues/800"), "/queues/800", failed_kind="")
    saved = queue(database)
    assert saved is not None and (saved.failed_kind, saved.failed_code) == ("", "")


@pytest.mark.parametrize(
    ("typed", "field", "message"),
    [
        ({"max_wait": "4"}, "max_wait", "This is out of range."),
        ({"wrapup": "3601"}, "wrapup", "This is out of range."),
        ({"wrapup": ""}, "wrapup", "Write a whole number."),
        ({"failed_kind": "queue", "failed_code": "800"}, "failed_code", "Callers would go round in a circle."),
        ({"failed_kind": "extension", "failed_code": ""}, "failed_code", "This is needed."),
    ],
)
def test_a_fault_of_a_queue_stands_beside_its_field(
    admin: Visitor, database: Database, typed: dict[str, Any], field: str, message: str
) -> None:
    page = admin.submit(admin.get("/queues/800"), "/queues/800", 422, **({"max_wait": "90"} | typed))
    assert page.error(field) == message
    kept = {name: values[0] for name, values in page.fields().items()}
    assert {name: kept[name] for name in typed} == typed
    assert queue(database) is None


# -- where the exchange has pages of its own --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/extensions/101", "/queues/800"])
def test_on_freepbx_the_page_names_the_custom_destination(
    app: Flask, admin: Visitor, database: Database, path: str
) -> None:
    create_module(database, name="Sales", code="*5001")
    settings = app.extensions["bazang"]["settings"]
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, pbx_profile="freepbx")
    page = admin.get(path)
    assert [text(code) for code in page.all("code")][-1] == "bazang-modules,*5001,1"
    assert not list(page.one("main").iter("button"))
    admin.post(path, {"ring": "30", "max_wait": "60"}, 200)
    assert extension(database) is None and queue(database) is None
