"""What the dialplan is made of: every way that somebody drew, and every extension that must ring."""

import pytest

from app.services.pbx.dialplan import ExtensionWays, ModuleWays, QueueWays, Way, Ways, gather
from app.store.database import Database
from app.store.models import ExtensionScenario, QueueScenario
from tests.support.factories import create_line, create_module, store

NOWHERE = Way("", "")


def gathered(database: Database) -> Ways:
    return gather(database, "bazang-extensions")


def extensions_of(database: Database) -> list[str]:
    return [extension.extension for extension in gathered(database).extensions]


def test_an_empty_office_has_an_empty_dialplan(database: Database) -> None:
    assert gathered(database) == Ways((), (), ())


def test_modules_are_gathered_with_their_ways(database: Database) -> None:
    first = create_module(database, code="*5001", next_kind="hangup", error_kind="custom", error_code="ivr,s,1")
    second = create_module(database, code="*5002", next_kind="module", next_code="*5001", error_kind="hangup")
    assert gathered(database).modules == (
        ModuleWays(first.id, "*5001", Way("hangup", ""), Way("custom", "ivr,s,1")),
        ModuleWays(second.id, "*5002", Way("module", "*5001"), Way("hangup", "")),
    )


def test_an_inactive_module_is_in_the_dialplan(database: Database) -> None:
    """It sends every caller to its error destination, so the way to it must stand."""
    create_module(database, code="*5001", active=False)
    assert [module.code for module in gathered(database).modules] == ["*5001"]


def test_an_extension_is_gathered_with_its_scenario_and_its_devices(database: Database) -> None:
    create_line(database, "101", devices="PJSIP/101&SIP/7", context="ext-local")
    store(
        database,
        ExtensionScenario(
            extension="101",
            ring=15,
            no_answer_kind="module",
            no_answer_code="*5001",
            busy_kind="queue",
            busy_code="sales",
            unavailable_kind="hangup",
        ),
    )
    assert gathered(database).extensions == (
        ExtensionWays(
            extension="101",
            devices="PJSIP/101&SIP/7",
            context="ext-local",
            ring=15,
            no_answer=Way("module", "*5001"),
            busy=Way("queue", "sales"),
            unavailable=Way("hangup", ""),
        ),
    )


def test_an_extension_without_a_scenario_rings_and_then_goes_nowhere(database: Database) -> None:
    create_line(database, "101")
    create_module(database, targets=["101"])
    assert gathered(database).extensions == (ExtensionWays("101", "PJSIP/101", "hints", 25, NOWHERE, NOWHERE, NOWHERE),)


def test_a_hint_of_our_own_is_none(database: Database) -> None:
    """The dialplan makes such a hint by itself; to read it back would be to ask a mirror."""
    create_line(database, "101", context="bazang-extensions")
    create_module(database, targets=["101", "102"])
    assert [(found.devices, found.context) for found in gathered(database).extensions] == [("", ""), ("", "")]


def test_a_line_that_nothing_names_is_left_alone(database: Database) -> None:
    create_line(database, "101")
    assert extensions_of(database) == []


def test_whatever_a_module_names_is_gathered_once_and_in_order(database: Database) -> None:
    create_module(database, targets=["103", "101"], next_kind="extension", next_code="105")
    create_module(database, targets=["101"], error_kind="extension", error_code="104")
    create_module(database, target_kind="queue", targets=["sales"], next_kind="queue", next_code="support")
    store(database, ExtensionScenario(extension="102"))
    store(database, ExtensionScenario(extension="101"))
    assert extensions_of(database) == ["101", "102", "103", "104", "105"]


@pytest.mark.parametrize(
    "scenario",
    [
        lambda: ExtensionScenario(extension="101", no_answer_kind="extension", no_answer_code="105"),
        lambda: ExtensionScenario(extension="101", busy_kind="extension", busy_code="105"),
        lambda: ExtensionScenario(extension="101", unavailable_kind="extension", unavailable_code="105"),
        lambda: QueueScenario(queue="sales", failed_kind="extension", failed_code="105"),
    ],
)
def test_the_extension_that_a_scenario_leads_to_rings_too(database: Database, scenario: object) -> None:
    store(database, scenario())
    assert "105" in extensions_of(database)


def test_queues_are_gathered_with_their_scenario(database: Database) -> None:
    store(database, QueueScenario(queue="support", max_wait=30))
    store(database, QueueScenario(queue="sales", max_wait=90, failed_kind="module", failed_code="*5001"))
    assert gathered(database).queues == (
        QueueWays("sales", 90, Way("module", "*5001")),
        QueueWays("support", 30, NOWHERE),
    )


@pytest.mark.parametrize("side", ["next", "error"])
def test_the_queue_that_a_module_leads_to_is_gathered_too(database: Database, side: str) -> None:
    create_module(database, **{f"{side}_kind": "queue", f"{side}_code": "sales"})
    assert [queue.queue for queue in gathered(database).queues] == ["sales"]
