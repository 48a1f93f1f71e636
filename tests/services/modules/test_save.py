"""Save and delete modules."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.domain.routing import Destination
from app.services.commands import WRITE_DIALPLAN
from app.services.errors import Invalid, NotFound
from app.services.modules.input import ModuleInput
from app.services.modules.save import delete_module, save_module
from app.services.prompts.input import PromptInput
from app.store.database import Database
from app.store.models import Command, Module, Prompt
from tests.support.factories import NOW, create_module, create_request, make_module_input, reload

LATER = NOW + timedelta(hours=1)


def load(database: Database, module_id: int) -> Module:
    with database.read() as session:
        return session.get_one(Module, module_id)


def all_commands(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Command.kind).order_by(Command.id)))


def prompts_of(database: Database, module_id: int) -> dict[str, tuple[str, str, str | None, str]]:
    with database.read() as session:
        rows = session.scalars(select(Prompt).where(Prompt.module_id == module_id))
        return {row.key: (row.mode, row.text, row.file, row.original_name) for row in rows}


# -- save -------------------------------------------------------------------------------------------------------------


def test_every_field_is_stored(database: Database) -> None:
    given = ModuleInput(
        name="Support",
        code="*5007",
        target_kind="queue",
        targets=("support",),
        next=Destination("extension", "101"),
        error=Destination("custom", "ivr,s,1"),
        active=False,
        silent=True,
        automatic=False,
        language="en",
        min_wait=1,
        rest=2,
        retries=3,
        retry_pauses=(14, 15),
        busy_pause=16,
        agent_pause=15,
        agent_ring=16,
        customer_ring=17,
        expire_after=18,
        caller_id="02188880000",
        prompts={"intro": PromptInput("file", file="1/intro.wav", original_name="x" * 300), "is": PromptInput("none")},
    )
    module_id = save_module(database, given, NOW, actor="sara")
    row = load(database, module_id)
    for field in fields(ModuleInput):
        if field.name not in ("targets", "prompts"):
            value = getattr(given, field.name)
            assert getattr(row, field.name) == (list(value) if isinstance(value, tuple) else value), field.name
    assert (row.next_kind, row.next_code, row.error_kind, row.error_code) == ("extension", "101", "custom", "ivr,s,1")
    assert (row.targets, row.created_at, row.updated_at) == (["support"], NOW, NOW)
    assert prompts_of(database, module_id) == {
        "intro": ("file", "", "1/intro.wav", "x" * 200),
        "is": ("none", "", None, ""),
    }
    assert all_commands(database) == [WRITE_DIALPLAN]


def test_changed_module_keeps_the_prompts_that_are_not_given(database: Database) -> None:
    prompts = {"intro": PromptInput("file", file="1/intro.wav"), "is": PromptInput("none")}
    given = make_module_input(prompts=prompts)
    module_id = save_module(database, given, NOW)
    changed = replace(given, name="Purchase", targets=("102",), prompts={"intro": PromptInput(text="Good day")})
    assert save_module(database, changed, LATER, module_id=module_id) == module_id
    row = load(database, module_id)
    assert (row.name, row.targets, row.created_at, row.updated_at) == ("Purchase", ["102"], NOW, LATER)
    assert prompts_of(database, module_id) == {"intro": ("speech", "Good day", None, ""), "is": ("none", "", None, "")}


def test_invalid_module_is_not_stored(database: Database) -> None:
    module = create_module(database, code="*5001", name="Sales")
    with pytest.raises(Invalid, match="name: required") as refused:
        save_module(database, make_module_input(name=""), NOW, module_id=module.id)
    assert refused.value.errors == {"name": "required"}
    with pytest.raises(Invalid, match="code: taken"):
        save_module(database, make_module_input(code="*5001"), NOW)
    assert load(database, module.id).name == "Sales"
    assert all_commands(database) == []
    with database.read() as session:
        assert len(session.scalars(select(Module)).all()) == 1


def test_missing_module_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        save_module(database, make_module_input(), NOW, module_id=4711)
    with pytest.raises(NotFound):
        delete_module(database, 4711, NOW)
    assert all_commands(database) == []


# -- delete -----------------------------------------------------------------------------------------------------------


def test_deleted_module_leaves_its_requests(database: Database) -> None:
    module_id = save_module(database, make_module_input(prompts={"intro": PromptInput("none")}), NOW)
    request = create_request(database, load(database, module_id))
    delete_module(database, module_id, LATER, actor="sara")
    row = reload(database, request)
    assert (row.module_id, row.module_name, row.status) == (None, "Sales", "waiting")
    assert prompts_of(database, module_id) == {}
    assert all_commands(database) == [WRITE_DIALPLAN, WRITE_DIALPLAN]


def test_module_with_references_is_not_deleted(database: Database) -> None:
    module = create_module(database, code="*5001")
    create_module(database, name="Night", error_kind="module", error_code="*5001")
    with pytest.raises(Invalid, match="code: in_use"):
        delete_module(database, module.id, NOW)
    assert load(database, module.id).code == "*5001"
    assert all_commands(database) == []
