"""Scenarios: where a caller goes whom an extension or a queue does not serve. What it names ends up in the dialplan."""

from typing import Any

import pytest
from sqlalchemy import select

from app.services.commands import WRITE_DIALPLAN
from app.services.errors import Invalid
from app.services.modules.save import SITUATIONS
from app.services.pbx.scenarios import MAX_WAIT, RING, WRAPUP, ExtensionInput, QueueInput, save_extension, save_queue
from app.store.database import Database
from app.store.models import Command, ExtensionScenario, QueueScenario
from tests.support.factories import NOW, create_module

MODULE = ("module", "*5001")


def extension_of(database: Database, extension: str = "101") -> ExtensionScenario:
    with database.read() as session:
        return session.get_one(ExtensionScenario, extension)


def queue_of(database: Database, queue: str = "800") -> QueueScenario:
    with database.read() as session:
        return session.get_one(QueueScenario, queue)


def all_commands(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(command.kind, command.actor) for command in session.scalars(select(Command).order_by(Command.id))]


def ways_of(row: ExtensionScenario) -> dict[str, tuple[str, str]]:
    return {
        situation: (getattr(row, f"{situation}_kind"), getattr(row, f"{situation}_code")) for situation in SITUATIONS
    }


def extension_errors(database: Database, **kwargs: Any) -> dict[str, str]:
    given: dict[str, Any] = {"extension": "101"}
    with pytest.raises(Invalid) as refused:
        save_extension(database, ExtensionInput(**(given | kwargs)), now=NOW)
    return refused.value.errors


def queue_errors(database: Database, **kwargs: Any) -> dict[str, str]:
    given: dict[str, Any] = {"queue": "800"}
    with pytest.raises(Invalid) as refused:
        save_queue(database, QueueInput(**(given | kwargs)), now=NOW)
    return refused.value.errors


# Extensions


def test_an_extensions_scenario_is_stored_and_the_dialplan_asked_for(database: Database) -> None:
    create_module(database, code="*5001")
    ways = {"busy": MODULE, "no_answer": ("queue", "sales"), "unavailable": ("custom", "ivr-main,s,1")}
    save_extension(database, ExtensionInput("101", 15, ways), now=NOW, actor="sara")
    row = extension_of(database)
    assert row.ring == 15
    assert ways_of(row) == ways
    assert all_commands(database) == [(WRITE_DIALPLAN, "sara")]


def test_a_situation_without_a_destination_ends_the_call(database: Database) -> None:
    save_extension(database, ExtensionInput("101", ways={"busy": ("hangup", "")}), now=NOW)
    assert ways_of(extension_of(database)) == {"no_answer": ("", ""), "busy": ("hangup", ""), "unavailable": ("", "")}


def test_saving_again_replaces_every_field(database: Database) -> None:
    create_module(database, code="*5001")
    save_extension(database, ExtensionInput("101", 15, dict.fromkeys(SITUATIONS, MODULE)), now=NOW)
    save_extension(database, ExtensionInput("101", 30, {"busy": ("extension", "102")}), now=NOW)
    row = extension_of(database)
    assert row.ring == 30
    assert ways_of(row) == {"no_answer": ("", ""), "busy": ("extension", "102"), "unavailable": ("", "")}


@pytest.mark.parametrize("extension", ["", "10a", "101\n", "1 01", "۱۰۱", "1" * 21, "101,102", "${X}"])
def test_an_extension_is_digits(database: Database, extension: str) -> None:
    assert extension_errors(database, extension=extension) == {"extension": "code"}


@pytest.mark.parametrize("ring", [RING[0] - 1, RING[1] + 1, -1, 10**30])
def test_an_extension_rings_neither_too_short_nor_for_ever(database: Database, ring: int) -> None:
    assert extension_errors(database, ring=ring) == {"ring": "range"}


@pytest.mark.parametrize("ring", RING)
def test_the_bounds_of_ringing_are_within(database: Database, ring: int) -> None:
    save_extension(database, ExtensionInput("101", ring), now=NOW)
    assert extension_of(database).ring == ring


BAD_WAYS = [
    (("module", "*5999"), "no_module"),
    (("module", ""), "required"),
    (("module", "*5001;"), "code"),
    (("extension", ""), "required"),
    (("extension", "10x"), "code"),
    (("queue", "sales desk"), "code"),
    (("queue", ""), "required"),
    (("custom", "s,1"), "custom"),
    (("custom", "a,b,1)\nexten => x"), "custom"),
    (("voicemail", "101"), "choice"),
]


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize(("way", "code"), BAD_WAYS)
def test_a_destination_that_is_none_is_refused(
    database: Database, situation: str, way: tuple[str, str], code: str
) -> None:
    create_module(database, code="*5001")
    assert extension_errors(database, ways={situation: way}) == {f"{situation}_code": code}


def test_an_extension_does_not_lead_to_itself(database: Database) -> None:
    ways = {"busy": ("extension", "101"), "no_answer": ("extension", "102")}
    assert extension_errors(database, ways=ways) == {"busy_code": "cycle"}


def test_every_fault_is_told_and_nothing_is_stored(database: Database) -> None:
    save_extension(database, ExtensionInput("101", 15), now=NOW)
    errors = extension_errors(database, ring=1, ways={"busy": ("module", "1"), "no_answer": ("x", "1")})
    assert errors == {"ring": "range", "busy_code": "no_module", "no_answer_code": "choice"}
    row = extension_of(database)
    assert row.ring == 15
    assert set(ways_of(row).values()) == {("", "")}
    assert len(all_commands(database)) == 1  # of the first one


# Queues


def test_a_queues_scenario_is_stored_and_the_dialplan_asked_for(database: Database) -> None:
    create_module(database, code="*5001")
    save_queue(database, QueueInput("800", 45, 15, MODULE), now=NOW, actor="sara")
    row = queue_of(database)
    assert (row.max_wait, row.wrapup, row.failed_kind, row.failed_code) == (45, 15, *MODULE)
    assert all_commands(database) == [(WRITE_DIALPLAN, "sara")]


def test_saving_a_queue_again_replaces_it(database: Database) -> None:
    create_module(database, code="*5001")
    save_queue(database, QueueInput("800", 45, 15, MODULE), now=NOW)
    save_queue(database, QueueInput("800"), now=NOW)
    row = queue_of(database)
    assert (row.max_wait, row.wrapup, row.failed_kind, row.failed_code) == (60, 0, "", "")


@pytest.mark.parametrize("queue", ["", "a b", "a/b", "پشتیبانی", "x" * 81, "a\n", "a,b"])
def test_a_queue_has_a_plain_name(database: Database, queue: str) -> None:
    assert queue_errors(database, queue=queue) == {"queue": "code"}


@pytest.mark.parametrize(("name", "bounds"), [("max_wait", MAX_WAIT), ("wrapup", WRAPUP)])
def test_the_times_of_a_queue_have_bounds(database: Database, name: str, bounds: tuple[int, int]) -> None:
    for value in (bounds[0] - 1, bounds[1] + 1, 10**30):
        assert queue_errors(database, **{name: value}) == {name: "range"}
    for value in bounds:
        save_queue(database, QueueInput("800", **{name: value}), now=NOW)
        assert getattr(queue_of(database), name) == value


@pytest.mark.parametrize(("way", "code"), BAD_WAYS)
def test_a_failed_call_destination_that_is_none_is_refused(database: Database, way: tuple[str, str], code: str) -> None:
    create_module(database, code="*5001")
    assert queue_errors(database, failed=way) == {"failed_code": code}


def test_a_queue_does_not_lead_to_itself(database: Database) -> None:
    assert queue_errors(database, failed=("queue", "800")) == {"failed_code": "cycle"}
    save_queue(database, QueueInput("800", failed=("queue", "801")), now=NOW)


def test_every_fault_of_a_queue_is_told_and_nothing_is_stored(database: Database) -> None:
    errors = queue_errors(database, max_wait=1, wrapup=-1, failed=("module", "1"))
    assert errors == {"max_wait": "range", "wrapup": "range", "failed_code": "no_module"}
    with database.read() as session:
        assert session.scalars(select(QueueScenario)).all() == []
    assert all_commands(database) == []
