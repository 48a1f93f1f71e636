"""The PBX is asked about destinations: findings while someone types, warnings when a form is saved."""

from typing import Any

import pytest
from sqlalchemy import select

from app.domain.routing import Destination
from app.services.modules.list import load_module
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, Module, QueueRow, QueueScenario
from tests.support.factories import create_line, create_module, create_running_service, store
from tests.support.rows import for_each
from tests.web.conftest import Service
from tests.web.modules.adding import NEW, VALID, untouched_fields
from tests.web.pages import Page, Visitor, text

NO, YES, FREE = (True, "no"), (True, "yes"), (True, "")


@pytest.fixture
def pbx(database: Database) -> None:
    """The worker runs and is connected. The PBX has reported extension 101 and queue 800."""
    create_running_service(database)
    create_line(database, "101", name="Sara Mohammadi")
    store(database, QueueRow(name="800"))


def findings(page: Page) -> list[str]:
    return [text(finding) for finding in page.all("p", class_="finding")]


def levels(page: Page) -> list[str]:
    return [finding.get("class", "").split("-")[-1] for finding in page.all("p", class_="finding")]


def ask(admin: Visitor, kind: str, code: str) -> Page:
    return admin.ask(f"/places/said?field=next&next_kind={kind}&next_code={code.replace('#', '%23')}")


def kinds_and_codes(commands: list[Command]) -> list[tuple[str, Any]]:
    return [(command.kind, command.payload.get("code")) for command in commands]


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Module.name)))


# -- while someone types ----------------------------------------------------------------------------------------------


def test_directory_answers_without_asking_the_pbx(
    admin: Visitor, database: Database, pbx: None, service: Service
) -> None:
    create_module(database, name="Night", code="*5003")
    create_module(database, name="Off", code="*5004", active=False)
    with service() as commands:
        assert findings(ask(admin, "extension", "۱۰۱")) == ["101 Sara Mohammadi, free"]
        assert findings(ask(admin, "queue", "800")) == ["queue 800, 0 members"]
        assert findings(ask(admin, "module", "*5003")) == ["module “Night”, *5003"]
        assert findings(ask(admin, "module:*5003", "109")) == ["module “Night”, *5003"], "a choice has no typed code"
        assert levels(ask(admin, "module", "*5004")) == ["warning"]
        assert levels(ask(admin, "module", "*5009")) == ["fault"]
        for kind, code in (("extension", ""), ("extension", "x"), ("hangup", "1"), ("moon", "1"), ("custom", "ivr")):
            assert findings(ask(admin, kind, code)) == []
    assert commands == []


@pytest.mark.parametrize("answer", [NO, YES])
@pytest.mark.parametrize(("kind", "code"), [("extension", "109"), ("queue", "900"), ("custom", "ivr,s,1")])
def test_pbx_is_asked_about_the_rest(
    admin: Visitor, pbx: None, service: Service, kind: str, code: str, answer: Any
) -> None:
    with service(look_up=answer) as commands:
        page = ask(admin, kind, code)
    assert levels(page) == ["fault" if answer == NO else "ok"]
    assert kinds_and_codes(commands) == [("look_up", code)]
    assert page.has("input", name="accepted", value=f"{kind}:{code}") == (answer == NO)


def test_finding_keeps_its_tick(admin: Visitor, pbx: None, service: Service) -> None:
    path = "/places/said?field=next&next_kind=extension&next_code=109&accepted=extension:109"
    with service(look_up=NO):
        assert admin.ask(path).one("input", name="accepted").get("checked") is not None


def test_pbx_without_connection(admin: Visitor) -> None:
    assert levels(ask(admin, "extension", "109")) == ["warning"]


def test_field_with_several_extensions(admin: Visitor, pbx: None, service: Service) -> None:
    with service(look_up=NO):
        page = admin.ask("/places/said?field=targets&targets=101,109")
    assert levels(page) == ["ok", "fault"]


def test_hint_of_our_own_does_not_prove_an_extension(
    admin: Visitor, database: Database, pbx: None, service: Service
) -> None:
    create_line(database, "109", context="bazang-extensions")
    with service(look_up=NO):
        assert levels(ask(admin, "extension", "109")) == ["fault"]


@pytest.mark.parametrize(
    ("query", "answer", "level"),
    [
        ("code=*5002", FREE, ["ok"]),
        ("code=*5002", (True, "from-internal"), ["fault"]),
        ("code=*5001", FREE, ["fault"]),
        ("code=*5001&module=1", FREE, ["ok"]),
        ("code=x", FREE, []),
    ],
    ids=["free", "the PBX has it", "another module has it", "the module's own", "not well-formed"],
)
def test_code_of_a_module_is_looked_up(
    admin: Visitor, database: Database, pbx: None, service: Service, query: str, answer: Any, level: list[str]
) -> None:
    create_module(database, code="*5001")
    with service(code_taken=answer):
        page = admin.ask(f"/places/code?{query}")
    assert levels(page) == level
    assert page.has("input", name="accepted", value="own:*5002") == (answer != FREE)


def test_code_without_connection(admin: Visitor) -> None:
    assert levels(admin.ask("/places/code?code=*5002")) == ["warning"]


# -- choosing one -----------------------------------------------------------------------------------------------------


def test_destination_is_chosen_by_name_and_code(
    admin: Visitor, database: Database, pbx: None, service: Service
) -> None:
    night = create_module(database, name="Night", code="*5003", error_kind="custom", error_code="ivr-1,s,1")
    page = admin.get(NEW)
    choices = {o.get("value"): text(o).strip("\u2066") for o in page.one("select", id="next_kind").iter("option")}
    assert choices["module:*5003"] == "*5003\u2069 Night" and choices["extension:101"] == "101\u2069 Sara Mohammadi"
    assert {"queue:800", "custom:ivr-1,s,1", "hangup", "custom"} <= choices.keys()
    fallback = [option.get("value", "") for option in page.one("select", id="fallback_kind").iter("option")]
    assert "queue:800" in fallback and not [value for value in fallback if value.startswith(("module", "custom"))]
    with service(look_up=YES, code_taken=FREE, write_dialplan=YES):
        admin.submit(page, NEW, **VALID, next_kind="module:*5003", next_code="109", error_kind="custom:ivr-1,s,1")
    with database.read() as session:
        saved = load_module(session, night.id + 1)
    assert (saved.next, saved.error) == (Destination("module", "*5003"), Destination("custom", "ivr-1,s,1"))


@for_each("choice", ["module:*9999", "module:", "custom:ivr,s", "custom:ivr,s,1&x", "moon:1", "queue:a,b"])
def test_choice_that_the_form_does_not_offer_is_checked_like_a_typed_one(
    admin: Visitor, database: Database, choice: str
) -> None:
    page = admin.submit(untouched_fields(admin), NEW, 422, **VALID, next_kind=choice)
    assert page.error("next_kind") or page.error("next_code")
    assert names(database) == []


# -- when a form is saved ---------------------------------------------------------------------------------------------


def test_unknown_destination_must_be_confirmed(admin: Visitor, database: Database, pbx: None, service: Service) -> None:
    typed = {**VALID, "next_kind": "extension", "next_code": "109"}
    with service(look_up=NO, code_taken=FREE, write_dialplan=YES):
        page = admin.submit(untouched_fields(admin), NEW, 422, **typed)
        assert "Next destination: The PBX does not have 109." in page.main
        assert page.fields()["next_code"] == ["109"] and names(database) == []
        tick = page.one("input", name="accepted")
        assert (tick.get("value"), tick.get("checked")) == ("extension:109", None)
        other = admin.submit(page, NEW, 422, accepted="extension:109", next_code="108")
        assert other.has("input", name="accepted", value="extension:108"), "each destination has a tick of its own"
        page = admin.submit(page, NEW, 422, accepted="extension:109", name="")
        assert page.one("input", name="accepted").get("checked") is not None, "an error elsewhere keeps the tick"
        admin.submit(page, NEW, accepted="extension:109", name="Sales")
    assert names(database) == ["Sales"]


def test_code_that_the_pbx_uses_must_be_confirmed(
    admin: Visitor, database: Database, pbx: None, service: Service
) -> None:
    with service(code_taken=(True, "from-internal"), write_dialplan=YES):
        page = admin.submit(untouched_fields(admin), NEW, 422, **VALID)
        assert "Code: The PBX already uses *5001 in its context from-internal." in page.main
        page = admin.submit(page, NEW, 422, accepted="own:*5001", name="")
        assert page.one("input", name="accepted").get("checked") is not None
        admin.submit(page, NEW, accepted="own:*5001", name="Sales")
        admin.submit(admin.get("/modules/1"), "/modules/1", name="Renamed")
    assert names(database) == ["Renamed"], "an unchanged code is not looked up"


@pytest.mark.parametrize("target", [{"targets": "101,109"}, {"target_kind": "queue", "queue": "900"}])
def test_targets_are_looked_up(
    admin: Visitor, database: Database, pbx: None, service: Service, target: dict[str, str]
) -> None:
    with service(look_up=NO, code_taken=FREE):
        page = admin.submit(untouched_fields(admin), NEW, 422, **(VALID | target))
    field, value = ("queue", "queue:900") if "queue" in target else ("targets", "extension:109")
    (tick,) = page.one(id=f"{field}-findings").iter("input")
    assert tick.get("value") == value
    assert names(database) == []


def test_stored_destinations_are_not_looked_up_again(
    admin: Visitor, database: Database, pbx: None, service: Service
) -> None:
    create_module(database, targets=["109"], error_kind="extension", error_code="108")
    with service(look_up=NO, code_taken=FREE, write_dialplan=YES) as commands:
        admin.submit(admin.get("/modules/1"), "/modules/1", name="Renamed")
    assert "look_up" not in [kind for kind, _ in kinds_and_codes(commands)]
    assert names(database) == ["Renamed"]


@pytest.mark.parametrize("connected", [False, True], ids=["no connection", "no answer"])
def test_form_is_saved_if_the_pbx_cannot_be_asked(admin: Visitor, database: Database, connected: bool) -> None:
    if connected:
        create_running_service(database)
    typed = {**VALID, "next_kind": "extension", "next_code": "109"}
    page = admin.follow(admin.submit(untouched_fields(admin), NEW, **typed))
    assert "The PBX could not be asked" in page.message and names(database) == ["Sales"]


@pytest.mark.parametrize(
    ("path", "field", "others"),
    [
        ("/extensions/101", "busy", {}),
        ("/extensions/101", "no_answer", {"same": "y"}),
        ("/queues/800", "failed", {}),
    ],
)
def test_destinations_of_scenarios_must_be_confirmed(
    admin: Visitor,
    database: Database,
    pbx: None,
    service: Service,
    path: str,
    field: str,
    others: dict[str, str],
) -> None:
    typed = {f"{field}_kind": "extension", f"{field}_code": "109"} | others
    with service(look_up=NO, write_dialplan=YES):
        page = admin.submit(admin.get(path), path, 422, **typed)
        (tick,) = page.all("input", name="accepted")
        assert tick in page.one(id=f"{field}-findings").iter("input")
        ring = {"ring": "x"} if "extensions" in path else {"max_wait": "x"}
        page = admin.submit(page, path, 422, accepted="extension:109", **ring)
        assert page.one("input", name="accepted").get("checked") is not None
        admin.submit(page, path, accepted="extension:109", **dict.fromkeys(ring, "30"))
        admin.submit(admin.get(path), path)
    with database.read() as session:
        row = session.get(ExtensionScenario, "101") or session.get(QueueScenario, "800")
    assert row is not None and getattr(row, f"{field}_code") == "109"


def test_queue_with_persian_digits_in_its_name_is_known(admin: Visitor, database: Database) -> None:
    store(database, QueueRow(name="فروش ۲"))
    (found,) = findings(ask(admin, "queue", "فروش ۲"))
    assert found.startswith("queue فروش ۲")
