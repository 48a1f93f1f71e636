"""Modules: what makes no sense is refused with a word for each field, and nothing half is stored."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.audio.prompt_texts import PROMPT_KEYS
from app.services.commands import WRITE_DIALPLAN
from app.services.modules.save import (
    BOUNDS,
    Invalid,
    ModuleInput,
    NotFound,
    check,
    check_destination,
    delete,
    references_to,
    save,
)
from app.services.prompts.input import PromptInput
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, Module, Prompt, QueueScenario
from tests.support.factories import NOW, create_module, create_request, make_module_input, reload, store

LATER = NOW + timedelta(hours=1)


def errors_of(database: Database, module_id: int | None = None, **kwargs: Any) -> dict[str, str]:
    with database.read() as session:
        return check(session, make_module_input(**kwargs), module_id)


def load(database: Database, module_id: int) -> Module:
    with database.read() as session:
        return session.get_one(Module, module_id)


def all_commands(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Command.kind).order_by(Command.id)))


def prompts_of(database: Database, module_id: int) -> dict[str, tuple[str, str, str, str]]:
    with database.read() as session:
        rows = session.scalars(select(Prompt).where(Prompt.module_id == module_id))
        return {row.key: (row.mode, row.text, row.file, row.original_name) for row in rows}


# What is wrong


def test_a_sensible_module_has_no_errors(database: Database) -> None:
    create_module(database, code="*5002")
    assert errors_of(database) == {}
    full: dict[str, Any] = {
        "targets": ("101", "*102", "#3"),
        "next_kind": "module",
        "next_code": "*5002",
        "error_kind": "custom",
        "error_code": "ivr-main,s,1",
        "language": "en",
        "caller_id": "+982188880000",
        "prompts": {"intro": PromptInput("file", file="1/intro.wav"), "is": PromptInput("none")},
    }
    assert errors_of(database, **full) == {}
    assert errors_of(database, target_kind="queue", targets=("sales-1_a.b",), next_kind="queue", next_code="x") == {}


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"name": ""}, {"name": "required"}),
        ({"name": "   "}, {"name": "required"}),
        ({"name": " " * 81}, {"name": "required"}),
        ({"name": "x" * 81}, {"name": "too_long"}),
        ({"code": ""}, {"code": "code"}),
        ({"code": "5001a"}, {"code": "code"}),
        ({"code": "5001\n"}, {"code": "code"}),
        ({"code": "5 001"}, {"code": "code"}),
        ({"code": "۵۰۰۱"}, {"code": "code"}),
        ({"code": "1" * 21}, {"code": "code"}),
        ({"code": "*5099"}, {"code": "taken"}),
        ({"language": "de"}, {"language": "choice"}),
        ({"language": "de", "voice": "de"}, {"language": "choice", "voice": "choice"}),
        ({"language": "fa", "voice": "en-us+f3"}, {"voice": "choice"}),
        ({"voice": "piper:../x"}, {"voice": "choice"}),
        ({"rate": 79}, {"rate": "range"}),
        ({"rate": 451}, {"rate": "range"}),
        ({"pitch": -1}, {"pitch": "range"}),
        ({"pitch": 100}, {"pitch": "range"}),
        ({"caller_id": "Sales"}, {"caller_id": "number"}),
        ({"caller_id": "1"}, {"caller_id": "number"}),
        ({"caller_id": "0" * 21}, {"caller_id": "number"}),
        ({"target_kind": "module"}, {"target_kind": "choice"}),
        ({"targets": ()}, {"targets": "required"}),
        ({"targets": ("101", "10a")}, {"targets": "code"}),
        ({"targets": ("101&102",)}, {"targets": "code"}),
        ({"target_kind": "queue", "targets": ("a", "b")}, {"targets": "one_queue"}),
        ({"target_kind": "queue", "targets": ("a,b",)}, {"targets": "code"}),
        ({"target_kind": "queue", "targets": ("x" * 81,)}, {"targets": "code"}),
        ({"next_kind": ""}, {"next_kind": "choice"}),
        ({"next_kind": "ivr"}, {"next_kind": "choice"}),
        ({"next_kind": "extension"}, {"next_code": "required"}),
        ({"next_kind": "extension", "next_code": "sales"}, {"next_code": "code"}),
        ({"next_kind": "queue", "next_code": "a b"}, {"next_code": "code"}),
        ({"next_kind": "module", "next_code": "a"}, {"next_code": "code"}),
        ({"next_kind": "module", "next_code": "*5098"}, {"next_code": "no_module"}),
        ({"next_kind": "module", "next_code": "*5001"}, {"next_code": "no_module"}),
        ({"next_kind": "custom", "next_code": "context,s"}, {"next_code": "custom"}),
        ({"next_kind": "custom", "next_code": "context,s,1)\nsame => n,System(x"}, {"next_code": "custom"}),
        ({"error_kind": "fax"}, {"error_kind": "choice"}),
        ({"error_kind": "queue"}, {"error_code": "required"}),
        ({"error_kind": "custom", "error_code": "a,b,c"}, {"error_code": "custom"}),
        ({"prompts": {"outro": PromptInput()}}, {"prompt_outro": "choice"}),
        ({"prompts": {"intro": PromptInput("sing")}}, {"prompt_intro": "choice"}),
        ({"prompts": {"intro": PromptInput("file")}}, {"prompt_intro": "no_file"}),
        ({"prompts": {"intro": PromptInput(text="x" * 1501)}}, {"prompt_intro": "too_long"}),
    ],
)
def test_what_makes_no_sense_is_named(database: Database, given: dict[str, Any], errors: dict[str, str]) -> None:
    create_module(database, code="*5099")
    assert errors_of(database, **given) == errors


@pytest.mark.parametrize("name", BOUNDS)
def test_numbers_keep_to_their_bounds(database: Database, name: str) -> None:
    least, most = BOUNDS[name]
    for value, errors in ((least - 1, {name: "range"}), (least, {}), (most, {}), (most + 1, {name: "range"})):
        assert errors_of(database, **{name: value}) == errors


def test_the_defaults_of_a_form_are_within_the_bounds() -> None:
    for field in fields(ModuleInput):
        if field.name in BOUNDS:
            assert BOUNDS[field.name][0] <= field.default <= BOUNDS[field.name][1]


def test_all_that_is_wrong_is_told_at_once(database: Database) -> None:
    errors = errors_of(database, name="", code="", targets=(), next_kind="", error_kind="custom", rest=-1)
    assert errors.keys() == {"name", "code", "targets", "next_kind", "error_code", "rest"}


def test_a_module_keeps_its_own_code(database: Database) -> None:
    module = create_module(database, code="*5001")
    assert errors_of(database, module.id) == {}
    assert errors_of(database) == {"code": "taken"}


def test_a_prompt_of_1500_characters_is_the_longest(database: Database) -> None:
    assert errors_of(database, prompts={key: PromptInput(text="x" * 1500) for key in PROMPT_KEYS}) == {}


def test_a_destination_may_be_left_open_only_where_it_is_optional(database: Database) -> None:
    with database.read() as session:
        assert check_destination(session, "", "", optional=True) is None
        assert check_destination(session, "", "") == "choice"
        assert check_destination(session, "extension", "", optional=True) == "required"
        assert check_destination(session, "hangup", "") is None


# Round and round


@pytest.mark.parametrize("side", ["next", "error"])
def test_a_module_that_leads_to_itself_is_a_cycle(database: Database, side: str) -> None:
    module = create_module(database, code="*5001")
    given = {f"{side}_kind": "module", f"{side}_code": "*5001"}
    assert errors_of(database, module.id, **given) == {f"{side}_code": "cycle"}


@pytest.mark.parametrize("back", ["next", "error"])
def test_a_chain_that_leads_back_is_a_cycle(database: Database, back: str) -> None:
    first = create_module(database, code="*5001")
    create_module(database, code="*5003", **{f"{back}_kind": "module", f"{back}_code": "*5001"})
    create_module(database, code="*5002", error_kind="module", error_code="*5003")
    given = {"error_kind": "module", "error_code": "*5002"}
    assert errors_of(database, first.id, **given) == {"error_code": "cycle"}


def test_two_ways_to_the_same_place_are_no_cycle(database: Database) -> None:
    first = create_module(database, code="*5001")
    create_module(database, code="*5004")
    for code in ("*5002", "*5003"):
        create_module(
            database, code=code, next_kind="module", next_code="*5004", error_kind="module", error_code="*5004"
        )
    given = {"next_kind": "module", "next_code": "*5002", "error_kind": "module", "error_code": "*5003"}
    assert errors_of(database, first.id, **given) == {}


def test_a_cycle_of_others_is_looked_at_once(database: Database) -> None:
    """Two forms saved at the same instant may make one; the look at it must end all the same."""
    create_module(database, code="*5002", next_kind="module", next_code="*5003")
    create_module(database, code="*5003", next_kind="module", next_code="*5002")
    assert errors_of(database, next_kind="module", next_code="*5002") == {}


def test_a_chain_that_ends_in_nothing_is_no_cycle(database: Database) -> None:
    create_module(database, code="*5002", next_kind="module", next_code="*5999")
    assert errors_of(database, next_kind="module", next_code="*5002") == {}


def test_a_code_that_is_no_modules_is_no_cycle(database: Database) -> None:
    """An extension may have the number that a module has as its code."""
    module = create_module(database, code="101")
    assert errors_of(database, module.id, code="101", next_kind="extension", next_code="101") == {}


# Saving


def test_a_module_is_stored_whole_and_the_dialplan_follows(database: Database) -> None:
    given = make_module_input(
        name="Support",
        code="*5007",
        target_kind="queue",
        targets=("support",),
        next_kind="extension",
        next_code="101",
        error_kind="custom",
        error_code="ivr,s,1",
        active=False,
        silent=True,
        automatic=False,
        language="en",
        min_wait=1,
        rest=2,
        retries=3,
        retry_pause=14,
        agent_pause=15,
        agent_ring=16,
        customer_ring=17,
        expire_after=18,
        caller_id="02188880000",
        prompts={"intro": PromptInput("file", file="1/intro.wav", original_name="x" * 300), "is": PromptInput("none")},
    )
    module_id = save(database, given, NOW, actor="sara")
    row = load(database, module_id)
    for field in fields(ModuleInput):
        if field.name not in ("targets", "prompts"):
            assert getattr(row, field.name) == getattr(given, field.name), field.name
    assert (row.targets, row.created_at, row.updated_at) == (["support"], NOW, NOW)
    assert prompts_of(database, module_id) == {
        "intro": ("file", "", "1/intro.wav", "x" * 200),
        "is": ("none", "", None, ""),
    }
    assert all_commands(database) == [WRITE_DIALPLAN]


def test_a_module_is_changed_and_keeps_the_prompts_that_are_not_named(database: Database) -> None:
    given = make_module_input(prompts={"intro": PromptInput(text="Hello"), "is": PromptInput("none")})
    module_id = save(database, given, NOW)
    changed = replace(given, name="Purchase", targets=("102",), prompts={"intro": PromptInput(text="Good day")})
    assert save(database, changed, LATER, module_id=module_id) == module_id
    row = load(database, module_id)
    assert (row.name, row.targets, row.created_at, row.updated_at) == ("Purchase", ["102"], NOW, LATER)
    assert prompts_of(database, module_id) == {"intro": ("speech", "Good day", None, ""), "is": ("none", "", None, "")}


def test_what_is_refused_is_not_stored_and_the_dialplan_stays(database: Database) -> None:
    module = create_module(database, code="*5001", name="Sales")
    with pytest.raises(Invalid, match="name: required") as refused:
        save(database, make_module_input(name=""), NOW, module_id=module.id)
    assert refused.value.errors == {"name": "required"}
    with pytest.raises(Invalid, match="code: taken"):
        save(database, make_module_input(code="*5001"), NOW)
    assert load(database, module.id).name == "Sales"
    assert all_commands(database) == []
    with database.read() as session:
        assert len(session.scalars(select(Module)).all()) == 1


def test_a_module_that_is_gone_cannot_be_changed(database: Database) -> None:
    with pytest.raises(NotFound):
        save(database, make_module_input(), NOW, module_id=4711)
    assert all_commands(database) == []


def test_a_code_to_which_others_lead_is_not_changed_under_them(database: Database) -> None:
    module = create_module(database, code="*5001")
    create_module(database, code="*5002", next_kind="module", next_code="*5001")
    with pytest.raises(Invalid):
        save(database, make_module_input(code="*5009"), NOW, module_id=module.id)


def test_a_module_with_a_new_code_does_not_lead_to_its_own_old_one(database: Database) -> None:
    module = create_module(database, code="*5001")
    assert errors_of(database, module.id, code="*5002", next_kind="module", next_code="*5001") != {}


# Deleting


def test_a_deleted_module_leaves_its_requests_and_takes_its_prompts(database: Database) -> None:
    module_id = save(database, make_module_input(prompts={"intro": PromptInput("none")}), NOW)
    request = create_request(database, load(database, module_id))
    delete(database, module_id, LATER, actor="sara")
    row = reload(database, request)
    assert (row.module_id, row.module_name, row.status) == (None, "Sales", "waiting")
    assert prompts_of(database, module_id) == {}
    assert all_commands(database) == [WRITE_DIALPLAN, WRITE_DIALPLAN]


def test_a_module_that_is_gone_cannot_be_deleted(database: Database) -> None:
    with pytest.raises(NotFound):
        delete(database, 4711, NOW)


def test_a_module_to_which_something_leads_is_not_deleted(database: Database) -> None:
    module = create_module(database, code="*5001")
    create_module(database, name="Night", error_kind="module", error_code="*5001")
    with pytest.raises(Invalid, match="code: in_use"):
        delete(database, module.id, NOW)
    assert load(database, module.id).code == "*5001"
    assert all_commands(database) == []


def test_who_leads_to_a_module_is_named(database: Database) -> None:
    create_module(database, code="*5001", name="Itself", next_kind="module", next_code="*5001")
    create_module(database, name="Next", next_kind="module", next_code="*5001")
    create_module(database, name="Error", error_kind="module", error_code="*5001")
    create_module(database, name="Extension", next_kind="extension", next_code="*5001")
    store(database, ExtensionScenario(extension="101", no_answer_kind="module", no_answer_code="*5001"))
    store(database, ExtensionScenario(extension="102", busy_kind="module", busy_code="*5001"))
    store(database, ExtensionScenario(extension="103", unavailable_kind="module", unavailable_code="*5001"))
    store(database, ExtensionScenario(extension="104", busy_kind="module", busy_code="*5002"))
    store(database, QueueScenario(queue="sales", failed_kind="module", failed_code="*5001"))
    store(database, QueueScenario(queue="support", failed_kind="queue", failed_code="*5001"))
    with database.read() as session:
        assert references_to(session, "*5001") == ["Next", "Error", "101", "102", "103", "sales"]
        assert references_to(session, "*5999") == []
