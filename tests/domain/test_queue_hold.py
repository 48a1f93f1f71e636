"""Which queues give a member no caller while we ring them."""

from dataclasses import replace

import pytest

from app.domain.policy import Facts, LineState, Member, Queue
from app.domain.queue_hold import queues_to_hold
from tests.support.factories import make_line


def make_facts(**lines: LineState) -> Facts:
    """101 and 102 serve two queues, 103 serves one of them. `lines`: states of lines by "x" and the extension."""
    states = {"x101": LineState.FREE, "x102": LineState.FREE, "x103": LineState.FREE} | lines
    return Facts(
        lines={name[1:]: make_line(name[1:], state) for name, state in states.items()},
        queues={
            "sales": Queue((Member("101"), Member("102"))),
            "support": Queue((Member("101"), Member("103"))),
            "other": Queue((Member("102"), Member("103"))),
        },
    )


def test_queues_of_the_agent_are_held_off() -> None:
    assert queues_to_hold("101", make_facts(), ()) == ("sales", "support")
    assert queues_to_hold("109", make_facts(), ()) == ()


@pytest.mark.parametrize("state", [LineState.RINGING, LineState.IN_CALL, LineState.DND])
def test_somebody_who_is_there_keeps_the_callers(state: LineState) -> None:
    assert queues_to_hold("101", make_facts(x102=state), ()) == ("sales", "support")


@pytest.mark.parametrize("state", [LineState.OFFLINE, LineState.UNKNOWN])
def test_queue_without_anybody_else_is_left_alone(state: LineState) -> None:
    assert queues_to_hold("101", make_facts(x102=state), ()) == ("support",)


def test_members_who_are_rung_or_unknown_do_not_count() -> None:
    facts = make_facts()
    assert queues_to_hold("101", facts, {"101", "102"}) == ("support",)
    lines = {name: line for name, line in facts.lines.items() if name != "103"}
    assert queues_to_hold("101", replace(facts, lines=lines), ()) == ("sales",)


def test_pauses_of_others_are_left_alone() -> None:
    queues = {"sales": Queue((Member("101", paused=True), Member("102"))), "support": Queue((Member("101"),))}
    assert queues_to_hold("101", replace(make_facts(), queues=queues), ()) == ()
    queues = {"sales": Queue((Member("101"), Member("102", paused=True)))}
    assert queues_to_hold("101", replace(make_facts(), queues=queues), ()) == ()
