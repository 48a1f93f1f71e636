"""Save the scenarios of extensions and queues."""

from typing import Any

import pytest
from sqlalchemy import select

from app.domain.routing import HANG_UP, NO_DESTINATION, Destination, Situation
from app.services.commands import WRITE_DIALPLAN
from app.services.errors import Invalid
from app.services.pbx.scenarios import (
    MAX_WAIT_BOUNDS,
    RING_BOUNDS,
    WRAPUP_BOUNDS,
    ExtensionInput,
    QueueInput,
    ScenarioInput,
    load_extension,
    load_queue,
    save_scenario,
)
from app.store.database import Database
from app.store.models import Command, ExtensionScenario
from tests.support.factories import NOW, create_module

MODULE = Destination("module", "*5001")
MISSING = Destination("module", "1")


def stored_extension(database: Database) -> ExtensionInput | None:
    with database.read() as session:
        return load_extension(session, "101")


def stored_queue(database: Database) -> QueueInput | None:
    with database.read() as session:
        return load_queue(session, "800")


def all_commands(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(command.kind, command.actor) for command in session.scalars(select(Command).order_by(Command.id))]


def errors_of(database: Database, given: ScenarioInput) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        save_scenario(database, given, now=NOW)
    return refused.value.errors


# -- extensions -------------------------------------------------------------------------------------------------------


def test_scenario_of_an_extension_is_stored(database: Database) -> None:
    create_module(database, code="*5001")
    destinations = {
        Situation.NO_ANSWER: Destination("queue", "sales"),
        Situation.BUSY: MODULE,
        Situation.UNAVAILABLE: Destination("custom", "ivr-main,s,1"),
    }
    given = ExtensionInput("101", 15, destinations)
    save_scenario(database, given, now=NOW, actor="sara")
    assert stored_extension(database) == given
    with database.read() as session:
        row = session.get_one(ExtensionScenario, "101")
    assert (row.no_answer_kind, row.no_answer_code, row.busy_code) == ("queue", "sales", "*5001")
    assert all_commands(database) == [(WRITE_DIALPLAN, "sara")]


def test_saving_again_replaces_every_field(database: Database) -> None:
    create_module(database, code="*5001")
    save_scenario(database, ExtensionInput("101", 15, dict.fromkeys(Situation, MODULE)), now=NOW)
    save_scenario(database, ExtensionInput("101", 30, {Situation.BUSY: HANG_UP}), now=NOW)
    stored = stored_extension(database)
    assert stored is not None and stored.ring == 30
    assert [stored.destination(situation) for situation in Situation] == [NO_DESTINATION, HANG_UP, NO_DESTINATION]


@pytest.mark.parametrize("extension", ["", "10a", "101\n", "1 01", "۱۰۱", "1" * 21, "101,102", "${X}"])
def test_extension_must_match_its_pattern(database: Database, extension: str) -> None:
    assert errors_of(database, ExtensionInput(extension)) == {"extension": "code"}


def test_ring_has_bounds(database: Database) -> None:
    least, most = RING_BOUNDS
    for ring in (least - 1, most + 1, 10**30):
        assert errors_of(database, ExtensionInput("101", ring)) == {"ring": "range"}
    for ring in RING_BOUNDS:
        save_scenario(database, ExtensionInput("101", ring), now=NOW)


@pytest.mark.parametrize("situation", Situation)
def test_destinations_of_an_extension_are_validated(database: Database, situation: Situation) -> None:
    for destination, error in (
        (MISSING, "no_module"),
        (Destination("voicemail", "101"), "choice"),
        (Destination("extension", "101"), "cycle"),
    ):
        given = ExtensionInput("101", destinations={situation: destination})
        assert errors_of(database, given) == {f"{situation}_code": error}
    save_scenario(database, ExtensionInput("101", destinations={situation: Destination("queue", "101")}), now=NOW)


def test_invalid_scenario_of_an_extension_is_not_stored(database: Database) -> None:
    before = ExtensionInput("101", 15, dict.fromkeys(Situation, NO_DESTINATION))
    save_scenario(database, before, now=NOW)
    given = ExtensionInput("101", 1, {Situation.BUSY: MISSING, Situation.NO_ANSWER: Destination("x", "1")})
    errors = {"ring": "range", "busy_code": "no_module", "no_answer_code": "choice"}
    assert errors_of(database, given) == errors
    assert stored_extension(database) == before
    assert len(all_commands(database)) == 1  # of the first one


# -- queues -----------------------------------------------------------------------------------------------------------


def test_scenario_of_a_queue_is_stored_and_replaced(database: Database) -> None:
    create_module(database, code="*5001")
    for given in (QueueInput("800", 45, 15, MODULE), QueueInput("800")):
        save_scenario(database, given, now=NOW, actor="sara")
        assert stored_queue(database) == given
    assert all_commands(database) == [(WRITE_DIALPLAN, "sara")] * 2


@pytest.mark.parametrize("queue", ["", " a", "a/b", "پشتیبانی؛", "x" * 81, "a\n", "a,b"])
def test_queue_must_match_its_pattern(database: Database, queue: str) -> None:
    assert errors_of(database, QueueInput(queue)) == {"queue": "queue_name"}


@pytest.mark.parametrize(("name", "bounds"), [("max_wait", MAX_WAIT_BOUNDS), ("wrapup", WRAPUP_BOUNDS)])
def test_times_of_a_queue_have_bounds(database: Database, name: str, bounds: tuple[int, int]) -> None:
    times: dict[str, Any]
    for value in (bounds[0] - 1, bounds[1] + 1, 10**30):
        times = {name: value}
        assert errors_of(database, QueueInput("800", **times)) == {name: "range"}
    for value in bounds:
        times = {name: value}
        save_scenario(database, QueueInput("800", **times), now=NOW)
        assert getattr(stored_queue(database), name) == value


def test_invalid_scenario_of_a_queue_is_not_stored(database: Database) -> None:
    assert errors_of(database, QueueInput("800", failed=Destination("queue", "800"))) == {"failed_code": "cycle"}
    errors = {"max_wait": "range", "wrapup": "range", "failed_code": "no_module"}
    assert errors_of(database, QueueInput("800", 1, -1, MISSING)) == errors
    assert stored_queue(database) is None
    assert all_commands(database) == []
