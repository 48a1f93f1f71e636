"""What a form names is held against the exchange: said beside the field, an error when it is saved, and a way out."""

from typing import Any

import pytest
from sqlalchemy import select

from app.store.database import Database
from app.store.models import Command, ExtensionScenario, Module, QueueRow, QueueScenario
from tests.support.factories import create_line, create_module, create_running_service, store
from tests.web.conftest import Service
from tests.web.pages import Page, Visitor, text

NO, YES, FREE = (True, "no"), (True, "yes"), (True, "")
GOOD = {"name": "Sales", "targets": "101"}


@pytest.fixture
def exchange(database: Database) -> None:
    """The telephone service runs and is connected; it knows 101 and queue 800."""
    create_running_service(database)
    create_line(database, "101", name="Sara Mohammadi")
    store(database, QueueRow(name="800"))


def said(page: Page) -> list[str]:
    return [text(part) for part in page.all("p", class_="finding")]


def ask(admin: Visitor, kind: str, code: str) -> Page:
    return admin.ask(f"/places/said?field=next&next_kind={kind}&next_code={code.replace('#', '%23')}")


def taken(commands: list[Command]) -> list[tuple[str, Any]]:
    return [(command.kind, command.payload.get("code")) for command in commands]


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Module.name)))


# -- while one types --------------------------------------------------------------------------------------------------


def test_what_is_known_is_said_without_asking(
    admin: Visitor, database: Database, exchange: None, service: Service
) -> None:
    create_module(database, name="Night", code="*5003")
    create_module(database, name="Off", code="*5004", active=False)
    with service() as commands:
        assert said(ask(admin, "extension", "۱۰۱")) == ["101 Sara Mohammadi, free"]
        assert said(ask(admin, "queue", "800")) == ["queue 800, 0 members"]
        assert said(ask(admin, "module", "*5003")) == ["module “Night”, *5003"]
        assert said(ask(admin, "module", "*5004")) == ["module “Off”, *5004, which is switched off"]
        assert said(ask(admin, "module", "*5009")) == [
            "There is no module with this code. Check the code. Check the code."
        ]
        for kind, code in (("extension", ""), ("extension", "x"), ("hangup", "1"), ("moon", "1"), ("custom", "ivr")):
            assert said(ask(admin, kind, code)) == []
    assert commands == []


@pytest.mark.parametrize(
    ("kind", "code", "answer", "sentence"),
    [
        ("extension", "109", NO, "The exchange does not know 109."),
        ("extension", "109", YES, "The exchange has extension 109."),
        ("queue", "900", NO, "The exchange does not know 900."),
        ("queue", "900", YES, "The exchange has queue 900."),
        ("custom", "ivr,s,1", YES, "The exchange has this place in its dialplan."),
        ("custom", "ivr,s,1", NO, "The exchange does not know ivr,s,1."),
    ],
)
def test_what_is_not_known_is_asked(
    admin: Visitor, exchange: None, service: Service, kind: str, code: str, answer: Any, sentence: str
) -> None:
    with service(look_up=answer) as commands:
        page = ask(admin, kind, code)
    assert said(page) == [sentence]
    assert taken(commands) == [("look_up", code)]
    assert page.has("input", name="accepted", value=f"{kind}:{code}") == (answer == NO)


def test_an_exchange_out_of_reach_is_told(admin: Visitor) -> None:
    assert said(ask(admin, "extension", "109")) == ["The exchange cannot be asked now; 109 is taken as it is."]


def test_several_extensions_are_said_each(admin: Visitor, exchange: None, service: Service) -> None:
    with service(look_up=NO):
        page = admin.ask("/places/said?field=targets&targets=101,109")
    assert said(page) == ["101 Sara Mohammadi, free", "The exchange does not know 109."]


def test_only_our_own_hint_proves_no_phone(
    admin: Visitor, database: Database, exchange: None, service: Service
) -> None:
    create_line(database, "109", context="bazang-extensions")
    with service(look_up=NO):
        assert said(ask(admin, "extension", "109")) == ["The exchange does not know 109."]


@pytest.mark.parametrize(
    ("code", "answer", "sentence"),
    [
        ("*5002", FREE, "*5002 is free."),
        (
            "*5002",
            (True, "from-internal"),
            "The exchange already has something at *5002, in its context from-internal.",
        ),
        ("*5001", FREE, "The module “Night” has this code already."),
    ],
)
def test_a_code_is_said_to_be_free_or_not(
    admin: Visitor, database: Database, exchange: None, service: Service, code: str, answer: Any, sentence: str
) -> None:
    create_module(database, name="Night", code="*5001")
    with service(code_taken=answer):
        assert said(admin.ask(f"/places/code?code={code}")) == [sentence]
        assert said(admin.ask("/places/code?code=x")) == []


def test_a_module_may_keep_its_own_code(admin: Visitor, database: Database, exchange: None, service: Service) -> None:
    create_module(database, code="*5001")
    with service(code_taken=FREE):
        assert said(admin.ask("/places/code?code=*5001&module=1")) == ["*5001 is free."]


# -- when it is saved -------------------------------------------------------------------------------------------------


def test_a_destination_that_the_exchange_does_not_know_is_refused_until_one_insists(
    admin: Visitor, database: Database, exchange: None, service: Service
) -> None:
    typed = {**GOOD, "next_kind": "extension", "next_code": "109"}
    with service(look_up=NO, code_taken=FREE, write_dialplan=YES):
        page = admin.submit(admin.get("/modules/new"), "/modules/new", 422, **typed)
        assert "Next destination: The exchange does not know 109." in page.main
        assert page.fields()["next_code"] == ["109"] and names(database) == []
        box = page.one("input", name="accepted")
        assert (box.get("value"), box.get("checked")) == ("extension:109", None)
        other = admin.submit(page, "/modules/new", 422, accepted="extension:109", next_code="108")
        assert "does not know 108" in other.main, "a tick is good for what it was given for"
        page = admin.submit(page, "/modules/new", 422, accepted="extension:109", name="")
        assert page.one("input", name="accepted").get("checked") is not None, "and stays while something else is wrong"
        admin.submit(page, "/modules/new", accepted="extension:109", name="Sales")
    assert names(database) == ["Sales"]


def test_a_code_that_the_exchange_has_is_refused_until_one_insists(
    admin: Visitor, database: Database, exchange: None, service: Service
) -> None:
    with service(code_taken=(True, "from-internal"), write_dialplan=YES):
        page = admin.submit(admin.get("/modules/new"), "/modules/new", 422, **GOOD)
        assert "Code: The exchange already has something at *5001, in its context from-internal." in page.main
        admin.submit(page, "/modules/new", accepted="own:*5001")
        admin.submit(admin.get("/modules/1"), "/modules/1", name="Renamed")
    assert names(database) == ["Renamed"], "who keeps a code is not asked again"


@pytest.mark.parametrize("target", [{"targets": "101,109"}, {"target_kind": "queue", "queue": "900"}])
def test_for_whom_it_is_is_looked_up(
    admin: Visitor, database: Database, exchange: None, service: Service, target: dict[str, str]
) -> None:
    with service(look_up=NO, code_taken=FREE):
        page = admin.submit(admin.get("/modules/new"), "/modules/new", 422, **(GOOD | target))
    assert page.has("input", name="accepted", value="queue:900" if "queue" in target else "extension:109")
    assert names(database) == []


def test_what_was_stored_before_is_not_asked_about_again(
    admin: Visitor, database: Database, exchange: None, service: Service
) -> None:
    create_module(database, targets=["109"], error_kind="extension", error_code="108")
    with service(look_up=NO, code_taken=FREE, write_dialplan=YES) as commands:
        admin.submit(admin.get("/modules/1"), "/modules/1", name="Renamed")
    assert "look_up" not in [kind for kind, _ in taken(commands)]
    assert names(database) == ["Renamed"]


def test_out_of_reach_everything_is_taken_and_that_is_said(admin: Visitor, database: Database) -> None:
    typed = {**GOOD, "next_kind": "extension", "next_code": "109"}
    page = admin.follow(admin.submit(admin.get("/modules/new"), "/modules/new", **typed))
    assert page.message.endswith("The exchange could not be asked whether it has what is named; it was taken as typed.")
    assert names(database) == ["Sales"]


def test_a_service_that_does_not_answer_blocks_nobody(admin: Visitor, database: Database, exchange: None) -> None:
    typed = {**GOOD, "next_kind": "extension", "next_code": "109"}
    page = admin.follow(admin.submit(admin.get("/modules/new"), "/modules/new", **typed))
    assert "could not be asked" in page.message and names(database) == ["Sales"]


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("/extensions/101", {"busy_kind": "extension", "busy_code": "109"}),
        ("/queues/800", {"failed_kind": "extension", "failed_code": "109"}),
    ],
)
def test_the_scenarios_are_held_against_the_exchange_as_well(
    admin: Visitor, database: Database, exchange: None, service: Service, path: str, typed: dict[str, str]
) -> None:
    with service(look_up=NO, write_dialplan=YES):
        page = admin.submit(admin.get(path), path, 422, **typed)
        assert "The exchange does not know 109." in page.main
        admin.submit(page, path, accepted="extension:109")
        again = admin.submit(admin.get(path), path)
    assert again.status == 302
    with database.read() as session:
        row = session.get(ExtensionScenario, "101") or session.get(QueueScenario, "800")
    assert row is not None
