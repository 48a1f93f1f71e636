"""Which requests are dialled, by which agent, in which order, and why the others wait."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.agent_order import AgentOrder
from app.domain.hours import Opening
from app.domain.lifecycle import Fallback, Outcome, Request, Rules, Status
from app.domain.number_policy import NumberPolicy, PrefixRule, Rule, Source
from app.domain.place_in_line import WaitingCallers
from app.domain.policy import (
    AgentPause,
    Facts,
    Line,
    LineState,
    Member,
    Queue,
    Reason,
    ReasonCode,
    Served,
    SortedLane,
    by_failures,
    decide,
    decide_lanes,
    explain,
    freed_at,
    in_order,
    min_wait_ends,
    outside_reason,
    preferred_ends,
    served,
)
from app.domain.routes import RouteTrouble
from tests.support.factories import LONG_AGO, NOW, NUMBER, make_facts, make_line, make_request, make_rules

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OTHER_NUMBER = "+989127654321"


def dialled(facts: Facts, *requests: Request, now: datetime = NOW) -> list[tuple[int, str]]:
    """Return the calls to make now, as (request, agent)."""
    return [(dial.request.id, dial.agent) for dial in decide(requests, facts, now).dials]


def why(request: Request, facts: Facts, now: datetime = NOW) -> Reason | None:
    """Return why the request waits. Check that the page and the worker give the same reason."""
    reason = explain(request, facts, now)
    plan = decide([request], facts, now)
    if request.status is Status.WAITING:
        assert plan.reasons.get(request.id) == reason
        assert bool(plan.dials) is (reason is None)
    return reason


def queue_request(**kwargs: Any) -> Request:
    return make_request(**({"queue": True, "target": "sales"} | kwargs))


def sales(*members: Member, live_callers: int = 0) -> dict[str, Queue]:
    return {"sales": Queue(members, WaitingCallers(live_callers))}


# The choice of the agent


def test_due_request_is_dialled_if_its_extension_is_free() -> None:
    facts = make_facts([make_line("101")])
    assert dialled(facts, make_request()) == [(1, "101")]
    assert why(make_request(), facts) is None


def test_request_without_a_target_is_served_by_any_free_extension() -> None:
    facts = make_facts([make_line("101", LineState.IN_CALL), make_line("102")])
    assert dialled(facts, make_request(target="", extensions=("101", "102"))) == [(1, "102")]


def test_request_with_a_target_is_served_by_that_extension_only() -> None:
    facts = make_facts([make_line("101", LineState.IN_CALL), make_line("102")])
    assert dialled(facts, make_request(target="101", extensions=("101", "102"))) == []


def test_agent_who_has_been_free_longest_is_rung() -> None:
    facts = make_facts(
        [make_line("101", since=NOW - 1 * MINUTE), make_line("102", since=NOW - 9 * MINUTE), make_line("103")]
    )
    assert dialled(facts, make_request(target="", extensions=("101", "102"))) == [(1, "102")]
    assert dialled(facts, make_request(target="", extensions=("101", "102", "103"))) == [(1, "103")]


def test_idle_time_is_that_since_the_last_call_and_not_that_of_the_line() -> None:
    lines = [
        make_line("101", since=NOW - 9 * MINUTE, idle_since=NOW - 9 * MINUTE),
        make_line("102", since=NOW - MINUTE, idle_since=NOW - 20 * MINUTE),  # it was offline meanwhile
        make_line("103", since=NOW - MINUTE),  # no call is known
    ]
    request = make_request(target="", extensions=("101", "102"))
    assert dialled(make_facts(lines), request) == [(1, "102")]
    assert dialled(make_facts(lines), replace(request, extensions=("101", "102", "103"))) == [(1, "103")]


@pytest.mark.parametrize(
    ("order", "chosen"),
    [(AgentOrder.LONGEST_IDLE, "103"), (AgentOrder.LISTED, "102"), (AgentOrder.IN_TURN, "101")],
)
def test_module_chooses_the_order_of_its_extensions(order: AgentOrder, chosen: str) -> None:
    lines = [
        make_line("101", idle_since=NOW - MINUTE),
        make_line("102", idle_since=NOW - 2 * MINUTE),
        make_line("103", idle_since=NOW - 3 * MINUTE),
    ]
    facts = make_facts(lines, rung={"101": NOW - 9 * MINUTE, "102": NOW - 8 * MINUTE, "103": NOW - 7 * MINUTE})
    request = make_request(target="", extensions=("102", "101", "103"), rules=Rules(agent_order=order))
    assert dialled(facts, request) == [(1, chosen)]
    busy = replace(facts, agents_in_flight=frozenset({chosen}))
    assert dialled(busy, request) != [(1, chosen)]
    if order is AgentOrder.IN_TURN:
        never = replace(facts, rung={"102": NOW - HOUR, "101": NOW - HOUR})
        assert dialled(never, request) == [(1, "103")], "who was never rung comes first"


def test_agent_who_missed_or_refused_is_passed_over_until_the_pause_ends() -> None:
    lines = [make_line("101", idle_since=LONG_AGO), make_line("102", idle_since=NOW)]
    facts = make_facts(lines, queues=sales(Member("101"), Member("102")), agent_pauses={"101": NOW + MINUTE})
    assert dialled(facts, queue_request()) == [(1, "102")]
    later = NOW + MINUTE
    assert [dial.agent for dial in decide([queue_request()], replace(facts, heartbeat=later), later).dials] == ["101"]


PREFERS = Rules(preferred_for=5 * MINUTE)


def test_request_waits_for_its_preferred_agent_and_then_for_anybody() -> None:
    lines = [make_line("101", LineState.IN_CALL), make_line("102")]
    facts = make_facts(lines, queues=sales(Member("101"), Member("102")))
    request = queue_request(preferred="101", rules=PREFERS)
    until = NOW + 5 * MINUTE
    assert why(request, facts) == Reason(ReasonCode.PREFERRED, until, "101")
    assert decide([request], facts, NOW).wake_at == until
    assert dialled(replace(facts, lines={"101": make_line("101")}), request) == [(1, "101")]
    assert [dial.agent for dial in decide([request], replace(facts, heartbeat=until), until).dials] == ["102"]
    assert dialled(facts, replace(request, call_now=True)) == [(1, "102")]
    assert dialled(facts, replace(request, rules=Rules())) == [(1, "102")], "the module does not ask for it any more"


FALLS_BACK = Rules(fallback=Fallback(True, "sales", 10 * MINUTE), preferred_for=5 * MINUTE)


def test_fallback_serves_a_request_that_has_fallen_back() -> None:
    facts = make_facts([make_line("101", LineState.IN_CALL), make_line("102")], queues=sales(Member("102")))
    request = make_request(rules=FALLS_BACK)
    assert why(request, facts) == Reason(ReasonCode.LINE_IN_CALL, subject="101")
    assert dialled(facts, replace(request, fell_back=True)) == [(1, "102")]
    both_free = make_facts([make_line("101"), make_line("102")], queues=sales(Member("102")))
    assert dialled(both_free, replace(request, fell_back=True)) == [(1, "101")], "its own extension comes first"
    called_now = replace(request, fell_back=True, call_now=True, call_now_agent="101")
    assert why(called_now, facts) == Reason(ReasonCode.LINE_IN_CALL, subject="101")


def test_request_in_two_lanes_is_dialled_once() -> None:
    """It is in the lane of its extension and in that of the fallback."""
    facts = make_facts([make_line("101"), make_line("102")], queues=sales(Member("102")))
    both = make_request(rules=FALLS_BACK, fell_back=True)
    other = make_request(id=2, number="+989127654321", rules=FALLS_BACK, fell_back=True)
    plan = decide_lanes([SortedLane([both]), SortedLane([both, other])], facts, NOW)
    assert [(dial.request.id, dial.agent) for dial in plan.dials] == [(1, "101"), (2, "102")]


def test_preferred_agent_may_be_one_of_the_fallback() -> None:
    facts = make_facts([make_line("101"), make_line("102", LineState.IN_CALL)], queues=sales(Member("102")))
    request = make_request(rules=FALLS_BACK, fell_back=True, preferred="102")
    assert why(request, facts) == Reason(ReasonCode.PREFERRED, until=NOW + 5 * MINUTE, subject="102")


def test_lane_of_a_preferred_agent_ends_with_the_agents_first_call() -> None:
    facts = make_facts([make_line("101"), make_line("102")], queues=sales(Member("101"), Member("102")))
    first, second = (
        queue_request(id=number, number=f"+98912000000{number}", preferred="101", rules=PREFERS) for number in (1, 2)
    )
    plan = decide_lanes([SortedLane([first, second], agent="101")], facts, NOW)
    assert [(dial.request.id, dial.agent) for dial in plan.dials] == [(1, "101")]
    assert plan.reasons == {}, "the second one is not read"


def test_time_for_the_preferred_agent_begins_when_the_request_can_be_called() -> None:
    request = queue_request(preferred="101", module=1, rules=replace(PREFERS, min_wait=2 * MINUTE))
    assert preferred_ends(request, make_facts()) == NOW + 7 * MINUTE
    opened = NOW + 600 * MINUTE
    facts = make_facts(openings={1: Opening(True, opened)})
    assert preferred_ends(request, facts) == opened + 5 * MINUTE
    assert preferred_ends(replace(request, postponed_until=opened + HOUR), facts) == opened + HOUR + 5 * MINUTE


def test_wrapup_time_counts_after_bazangs_own_call_of_a_queue() -> None:
    until = NOW + 30 * SECOND
    facts = make_facts([make_line("101")], queues=sales(Member("101")), wrapups={"101": until})
    assert why(queue_request(), facts) == Reason(ReasonCode.WRAPUP, until, "101")
    assert why(make_request(target="101"), facts) == Reason(ReasonCode.WRAPUP, until, "101")
    assert dialled(facts, make_request(target="101", call_now=True)) == [(1, "101")]


def test_lower_penalty_goes_before_longer_free_time() -> None:
    facts = make_facts(
        [make_line("101"), make_line("102", since=NOW - MINUTE)],
        queues=sales(Member("101", penalty=5), Member("102", penalty=1)),
    )
    assert dialled(facts, queue_request()) == [(1, "102")]


def test_member_without_a_line_is_skipped() -> None:
    facts = make_facts([make_line("102")], queues=sales(Member("101"), Member("102")))
    assert dialled(facts, queue_request()) == [(1, "102")]


def test_call_now_rings_the_agent_who_asked_for_it() -> None:
    facts = make_facts([make_line("101"), make_line("105")])
    assert dialled(facts, make_request(call_now=True, call_now_agent="105")) == [(1, "105")]
    assert dialled(facts, make_request(call_now=True)) == [(1, "101")]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.WAITING])
def test_only_waiting_requests_are_dialled(status: Status) -> None:
    facts = make_facts([make_line("101")])
    plan = decide([make_request(status=status)], facts, NOW)
    assert (plan.dials, plan.reasons, plan.wake_at) == ((), {}, None)


@pytest.mark.parametrize("state", [LineState.FREE, LineState.IN_CALL])
@pytest.mark.parametrize("status", [status for status in Status if status is not Status.WAITING])
def test_uncertain_requests_have_a_reason_and_others_that_do_not_wait_have_none(
    status: Status, state: LineState
) -> None:
    expected = Reason(ReasonCode.UNCERTAIN) if status is Status.UNCERTAIN else None
    assert explain(make_request(status=status), make_facts([make_line("101", state)]), NOW) == expected


# One call per agent and number


def test_each_agent_gets_one_call() -> None:
    facts = make_facts([make_line("101"), make_line("102", since=NOW - MINUTE)])
    requests = [
        make_request(id=number, number=f"+98912123450{number}", target="", extensions=("101", "102"))
        for number in (1, 2, 3)
    ]
    plan = decide(requests, facts, NOW)
    assert [(dial.request.id, dial.agent) for dial in plan.dials] == [(1, "101"), (2, "102")]
    assert plan.reasons[3].code is ReasonCode.NO_AGENT_FREE


def test_number_with_two_requests_is_called_once() -> None:
    facts = make_facts([make_line("101"), make_line("102")])
    plan = decide([make_request(id=1), make_request(id=2, target="102")], facts, NOW)
    assert [dial.request.id for dial in plan.dials] == [1]
    assert plan.reasons[2] == Reason(ReasonCode.NUMBER_BUSY)


def test_customer_who_is_on_the_line_is_not_called() -> None:
    facts = make_facts([make_line("101")], numbers_on_line=frozenset({NUMBER}))
    for request in (make_request(), make_request(call_now=True)):
        assert decide([request], facts, NOW).dials == ()
        assert why(request, facts) == Reason(ReasonCode.NUMBER_ON_LINE)
    assert why(make_request(number="+989127654321"), facts) is None


def test_attempt_in_flight_is_a_better_reason_than_the_line_that_it_uses() -> None:
    number = frozenset({NUMBER})
    facts = make_facts([make_line("101")], numbers_on_line=number, numbers_in_flight=number)
    assert why(make_request(), facts) == Reason(ReasonCode.NUMBER_BUSY)


@pytest.mark.parametrize("call_now", [False, True])
def test_numbers_and_agents_in_flight_are_not_called(call_now: bool) -> None:
    request, lines = make_request(call_now=call_now), [make_line("101")]
    number_busy, agent_busy = Reason(ReasonCode.NUMBER_BUSY), Reason(ReasonCode.AGENT_IN_FLIGHT, subject="101")
    assert why(request, make_facts(lines, numbers_in_flight=frozenset({NUMBER}))) == number_busy
    assert why(request, make_facts(lines, agents_in_flight=frozenset({"101"}))) == agent_busy


# The order


def test_order_is_call_now_then_priority_then_first_call() -> None:
    requests = [
        make_request(id=1, registered_at=NOW),
        make_request(id=2, registered_at=NOW - MINUTE),
        make_request(id=3, registered_at=NOW, first_called_at=NOW - 2 * MINUTE),
        make_request(id=4, registered_at=NOW, priority=1),
        make_request(id=5, registered_at=NOW, call_now=True),
        make_request(id=6, registered_at=NOW),
        make_request(id=7, registered_at=NOW, priority=-1),
    ]
    assert [request.id for request in in_order(requests)] == [5, 4, 3, 2, 1, 6, 7]


def test_first_request_gets_the_only_agent() -> None:
    facts = make_facts([make_line("101")])
    late = make_request(id=1, number=NUMBER, first_called_at=NOW)
    early = make_request(id=2, number=OTHER_NUMBER, first_called_at=NOW - MINUTE)
    assert dialled(facts, late, early) == [(2, "101")]
    assert decide([late, early], facts, NOW).reasons[1] == Reason(ReasonCode.AGENT_IN_FLIGHT, subject="101")


def test_request_that_cannot_be_dialled_does_not_block_others() -> None:
    facts = make_facts([make_line("101"), make_line("102", LineState.IN_CALL)])
    first = make_request(id=1, target="102", first_called_at=NOW - MINUTE)
    second = make_request(id=2, number=OTHER_NUMBER, first_called_at=NOW)
    assert dialled(facts, first, second) == [(2, "101")]


# Reasons for all requests


@pytest.mark.parametrize("call_now", [False, True])
def test_nothing_is_dialled_without_a_recent_heartbeat(call_now: bool) -> None:
    request, lines = make_request(call_now=call_now), [make_line("101")]
    assert why(request, make_facts(lines, heartbeat=None)) == Reason(ReasonCode.SERVICE_DOWN)
    stale = make_facts(lines, heartbeat=NOW - 15 * SECOND, stale_after=15 * SECOND)
    assert why(request, stale) is None
    assert why(request, stale, NOW + SECOND) == Reason(ReasonCode.SERVICE_DOWN)


@pytest.mark.parametrize("call_now", [False, True])
def test_nothing_is_dialled_without_the_pbx_or_with_an_obstacle(call_now: bool) -> None:
    request, lines = make_request(call_now=call_now), [make_line("101")]
    assert why(request, make_facts(lines, connected=False)) == Reason(ReasonCode.NOT_CONNECTED)
    assert why(request, make_facts(lines, obstacle=ReasonCode.NO_DIALPLAN)) == Reason(ReasonCode.NO_DIALPLAN)


# Waiting times, pauses, and what "call now" skips


NOT_DUE: dict[str, tuple[Request, dict[str, Any], Reason]] = {
    "postponed": (make_request(postponed_until=NOW + MINUTE), {}, Reason(ReasonCode.POSTPONED, until=NOW + MINUTE)),
    "chosen_time": (
        make_request(postponed_until=NOW + MINUTE, time_chosen=True),
        {},
        Reason(ReasonCode.CHOSEN_TIME, until=NOW + MINUTE),
    ),
    "manual": (make_request(rules=make_rules(automatic=False)), {}, Reason(ReasonCode.MANUAL)),
    "all paused": (make_request(), {"all_paused": True}, Reason(ReasonCode.ALL_PAUSED)),
    "retry": (
        make_request(not_before=NOW + MINUTE, last_outcome=Outcome.CUSTOMER_BUSY),
        {},
        Reason(ReasonCode.RETRY, until=NOW + MINUTE, outcome=Outcome.CUSTOMER_BUSY),
    ),
    "min wait": (
        make_request(free_at=NOW, rules=make_rules(min_wait=MINUTE)),
        {},
        Reason(ReasonCode.MIN_WAIT, until=NOW + MINUTE),
    ),
    "agent pause": (
        make_request(),
        {"agent_pauses": {"101": NOW + MINUTE}},
        Reason(ReasonCode.AGENT_PAUSE, until=NOW + MINUTE, subject="101"),
    ),
}


@pytest.mark.parametrize("name", NOT_DUE)
def test_request_that_is_not_due_waits_and_call_now_dials_it(name: str) -> None:
    request, values, reason = NOT_DUE[name]
    facts = make_facts([make_line("101")], **values)
    assert why(request, facts) == reason
    assert decide([request], facts, NOW).wake_at == reason.until
    assert dialled(facts, replace(request, call_now=True)) == [(1, "101")]


@pytest.mark.parametrize("name", [name for name, (_, _, reason) in NOT_DUE.items() if reason.until])
def test_reason_with_an_end_ends_exactly_then(name: str) -> None:
    request, values, reason = NOT_DUE[name]
    facts = make_facts([make_line("101")], **values, stale_after=timedelta(hours=1))
    assert reason.until is not None
    assert why(request, facts, reason.until - timedelta(microseconds=1)) == reason
    assert why(request, facts, reason.until) is None


# The minimum waiting time


def test_minimum_waiting_time_of_a_queue_starts_at_the_registration() -> None:
    request = queue_request(rules=make_rules(min_wait=MINUTE), free_at=NOW + timedelta(hours=1))
    assert min_wait_ends(request) == NOW + MINUTE


def test_minimum_waiting_time_of_an_extension_starts_when_it_is_first_free() -> None:
    rules = make_rules(min_wait=MINUTE)
    assert min_wait_ends(make_request(rules=rules)) is None
    assert min_wait_ends(make_request(rules=rules, free_at=NOW + 5 * SECOND)) == NOW + MINUTE + 5 * SECOND
    assert min_wait_ends(make_request(rules=rules, free_at=NOW - MINUTE)) == NOW + MINUTE


def test_busy_line_is_the_reason_before_the_minimum_waiting_time_starts() -> None:
    request = make_request(rules=make_rules(min_wait=MINUTE))
    facts = make_facts([make_line("101", LineState.IN_CALL)])
    assert why(request, facts) == Reason(ReasonCode.LINE_IN_CALL, subject="101")


def test_line_that_has_just_become_free_starts_the_minimum_waiting_time() -> None:
    request = make_request(rules=make_rules(min_wait=MINUTE), registered_at=NOW - timedelta(hours=1))
    facts = make_facts([make_line("101", since=NOW - 5 * SECOND)])
    assert why(request, facts) == Reason(ReasonCode.MIN_WAIT, until=NOW + 55 * SECOND, subject="101")
    # A line that was free before the registration: from the registration on.
    request = make_request(rules=make_rules(min_wait=MINUTE))
    assert why(request, make_facts([make_line("101")])) == Reason(
        ReasonCode.MIN_WAIT, until=NOW + MINUTE, subject="101"
    )


def test_call_now_ignores_a_minimum_waiting_time_that_has_not_started() -> None:
    request = make_request(rules=make_rules(min_wait=MINUTE), call_now=True)
    assert why(request, make_facts([make_line("101")])) is None


def test_later_calls_restart_the_rest_but_not_the_minimum_waiting_time() -> None:
    request = make_request(
        rules=make_rules(min_wait=MINUTE, rest=10 * SECOND), registered_at=NOW - 5 * MINUTE, free_at=NOW - 4 * MINUTE
    )
    facts = make_facts([make_line("101", since=NOW - 2 * SECOND)])
    assert why(request, facts) == Reason(ReasonCode.REST, until=NOW + 8 * SECOND, subject="101")


def test_freed_at_is_the_earliest_free_time_of_the_wanted_lines() -> None:
    request = make_request(target="", extensions=("101", "102", "103", "104"))
    lines = [
        make_line("101", since=NOW + 9 * SECOND),
        make_line("102", since=NOW + 5 * SECOND),
        make_line("103", LineState.RINGING),
        make_line("105"),
    ]
    assert freed_at(request, make_facts(lines)) == NOW + 5 * SECOND
    assert freed_at(request, make_facts([make_line("101", since=LONG_AGO)])) == NOW
    assert freed_at(request, make_facts(lines[2:])) is None


# The state of the line


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (LineState.RINGING, ReasonCode.LINE_RINGING),
        (LineState.IN_CALL, ReasonCode.LINE_IN_CALL),
        (LineState.DND, ReasonCode.LINE_DND),
        (LineState.OFFLINE, ReasonCode.LINE_OFFLINE),
    ],
)
@pytest.mark.parametrize("call_now", [False, True])
def test_line_that_is_not_free_is_never_rung(state: LineState, reason: ReasonCode, call_now: bool) -> None:
    facts = make_facts([make_line("101", state)])
    assert why(make_request(call_now=call_now), facts) == Reason(reason, subject="101")


def test_each_line_state_but_free_has_a_reason() -> None:
    for state in LineState:
        assert (why(make_request(), make_facts([make_line("101", state)])) is None) is (state is LineState.FREE)


def test_unknown_line_is_not_rung() -> None:
    assert why(make_request(), make_facts()) == Reason(ReasonCode.LINE_UNKNOWN, subject="101")


@pytest.mark.parametrize("call_now", [False, True])
def test_a_line_whose_state_the_pbx_does_not_tell_is_not_rung(call_now: bool) -> None:
    facts = make_facts([replace(make_line("101", LineState.UNKNOWN), devices="IAX2/201")])
    reason = Reason(ReasonCode.LINE_UNKNOWN, subject="101", devices="IAX2/201")
    assert why(make_request(call_now=call_now), facts) == reason


def test_members_of_which_nothing_is_known_are_one_reason() -> None:
    lines = [replace(make_line(name, LineState.UNKNOWN), devices=f"IAX2/{name}") for name in ("201", "202")]
    facts = make_facts(lines, queues=sales(Member("201"), Member("202")))
    assert why(queue_request(), facts) == Reason(ReasonCode.LINE_UNKNOWN, subject="201", devices="IAX2/201")
    one_is_busy = make_facts([lines[0], make_line("202", LineState.IN_CALL)], queues=facts.queues)
    assert why(queue_request(), one_is_busy) == Reason(ReasonCode.NO_AGENT_FREE, subject="sales")


# One phone, one person


def test_agent_is_never_rung_for_themselves() -> None:
    facts = make_facts([make_line("101"), make_line("102")], queues=sales(Member("101"), Member("102")))
    assert dialled(facts, queue_request(number="101")) == [(1, "102")]
    alone = replace(facts, queues=sales(Member("101")))
    reason = Reason(ReasonCode.AGENT_IS_CUSTOMER, subject="101")
    assert why(queue_request(number="101"), alone) == reason
    for request in (make_request(number="101"), make_request(number="101", call_now=True, call_now_agent="101")):
        assert why(request, facts) == reason


def test_other_agents_state_is_the_reason_of_a_member_who_asked() -> None:
    lines = [make_line("101"), make_line("102", LineState.IN_CALL)]
    facts = make_facts(lines, queues=sales(Member("101"), Member("102")))
    assert why(queue_request(number="101"), facts) == Reason(ReasonCode.LINE_IN_CALL, subject="102")


def test_extensions_of_one_phone_are_one_person() -> None:
    lines = [replace(make_line(name), devices=devices) for name, devices in SHARED.items()]
    facts = make_facts(lines)
    assert why(make_request(number="555", target="101"), facts) == Reason(ReasonCode.AGENT_IS_CUSTOMER, subject="101")
    assert dialled(facts, make_request(target="101"), make_request(id=2, number=OTHER_NUMBER, target="555")) == [
        (1, "101")
    ]
    flying = replace(facts, agents_in_flight=frozenset({"555"}))
    assert why(make_request(target="101"), flying) == Reason(ReasonCode.AGENT_IN_FLIGHT, subject="101")
    assert why(make_request(target="102"), flying) is None


SHARED = {"101": "PJSIP/101&PJSIP/web101", "555": "PJSIP/web101", "102": "PJSIP/102"}


# Queue members who are wanted as extensions


def test_paused_member_who_is_wanted_as_an_extension_waits() -> None:
    facts = make_facts([make_line("101")], queues=sales(Member("101", paused=True)))
    assert why(make_request(), facts) == Reason(ReasonCode.MEMBER_PAUSED, subject="101")
    assert dialled(facts, make_request(call_now=True)) == [(1, "101")]


def test_member_who_is_paused_in_one_of_two_queues_is_there() -> None:
    queues = {"sales": Queue((Member("101", paused=True),)), "support": Queue((Member("101"),))}
    assert why(make_request(), make_facts([make_line("101")], queues=queues)) is None
    assert why(queue_request(), make_facts([make_line("101")], queues=queues)) == Reason(
        ReasonCode.MEMBER_PAUSED, subject="101"
    )


def test_member_rests_after_a_call_of_any_queue() -> None:
    other = Queue((Member("101", wrapup_until=NOW + MINUTE),))
    facts = make_facts([make_line("101")], queues=sales(Member("101")) | {"support": other}, stale_after=2 * MINUTE)
    for request in (make_request(), queue_request()):
        assert why(request, facts) == Reason(ReasonCode.WRAPUP, until=NOW + MINUTE, subject="101")
        assert dialled(facts, request, now=NOW + MINUTE) == [(1, "101")]


@pytest.mark.parametrize("call_now", [False, True])
def test_line_rests_after_a_call_even_from_call_now(call_now: bool) -> None:
    request = make_request(rules=make_rules(rest=10 * SECOND), call_now=call_now)
    facts = make_facts([make_line("101", since=NOW - 9 * SECOND)])
    assert why(request, facts) == Reason(ReasonCode.REST, until=NOW + SECOND, subject="101")
    assert why(request, facts, NOW + SECOND) is None


def test_paused_member_and_member_in_wrapup_are_not_rung() -> None:
    lines = [make_line("101")]
    paused = make_facts(lines, queues=sales(Member("101", paused=True)))
    assert why(queue_request(), paused) == Reason(ReasonCode.MEMBER_PAUSED, subject="101")
    in_wrapup = make_facts(lines, queues=sales(Member("101", wrapup_until=NOW + MINUTE)), stale_after=2 * MINUTE)
    assert why(queue_request(), in_wrapup) == Reason(ReasonCode.WRAPUP, until=NOW + MINUTE, subject="101")
    assert why(queue_request(), in_wrapup, NOW + MINUTE) is None


@pytest.mark.parametrize(
    ("first", "agent_pauses"),
    [(Member("101", wrapup_until=NOW + MINUTE), {}), (Member("101"), {"101": NOW + MINUTE})],
    ids=["in wrap-up", "paused after a miss"],
)
def test_next_member_is_rung_if_the_first_cannot_be(first: Member, agent_pauses: dict[str, datetime]) -> None:
    lines = [make_line("101"), make_line("102", since=NOW - MINUTE)]
    facts = make_facts(lines, queues=sales(first, Member("102")), agent_pauses=agent_pauses)
    assert dialled(facts, queue_request()) == [(1, "102")]


# Pauses of an agent for one request


def pause(outcome: Outcome, since: datetime = NOW - MINUTE, until: datetime = NOW + MINUTE) -> AgentPause:
    return AgentPause(since, until, outcome)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.AGENT_NO_ANSWER, ReasonCode.AGENT_PAUSE),
        (Outcome.NOT_STARTED, ReasonCode.NOTHING_RANG),
        (Outcome.AGENT_TAKEN, ReasonCode.NOTHING_RANG),
        (Outcome.AGENT_UNREACHABLE, ReasonCode.NOTHING_RANG),
    ],
)
def test_agent_is_left_alone_for_one_request(outcome: Outcome, code: ReasonCode) -> None:
    facts = make_facts([make_line("101")], request_pauses={(1, "101"): pause(outcome)}, stale_after=2 * MINUTE)
    assert why(make_request(), facts) == Reason(code, until=NOW + MINUTE, subject="101", outcome=outcome)
    assert decide([make_request()], facts, NOW).wake_at == NOW + MINUTE
    assert why(make_request(), facts, NOW + MINUTE) is None
    assert dialled(facts, make_request(), make_request(id=2, number=OTHER_NUMBER)) == [(2, "101")]


@pytest.mark.parametrize(("asked", "skipped"), [(NOW - MINUTE, False), (NOW - MINUTE / 2, True), (None, False)])
def test_call_now_skips_only_a_pause_that_began_before_it(asked: datetime | None, skipped: bool) -> None:
    facts = make_facts([make_line("101")], request_pauses={(1, "101"): pause(Outcome.AGENT_TAKEN)})
    request = make_request(call_now=True, call_now_at=asked)
    assert bool(dialled(facts, request)) is skipped


def test_members_for_whom_nothing_rang_are_one_reason() -> None:
    lines = [make_line("101"), make_line("102")]
    members = (Member("101"), Member("102", penalty=1))
    pauses = {
        (1, "101"): pause(Outcome.NOT_STARTED, until=NOW + 2 * MINUTE),
        (1, "102"): pause(Outcome.AGENT_TAKEN, until=NOW + MINUTE),
    }
    facts = make_facts(lines, queues=sales(*members), request_pauses=pauses)
    reason = why(queue_request(), facts)
    assert reason == Reason(ReasonCode.NOTHING_RANG, until=NOW + MINUTE, subject="102", outcome=Outcome.AGENT_TAKEN)
    pauses[1, "102"] = pause(Outcome.AGENT_BUSY)
    reason = why(queue_request(), make_facts(lines, queues=sales(*members), request_pauses=pauses))
    assert reason == Reason(ReasonCode.NO_AGENT_FREE, until=NOW + MINUTE, subject="sales")


# Queues


def test_live_callers_go_before_requests_but_not_before_call_now() -> None:
    facts = make_facts([make_line("101")], queues=sales(Member("101"), live_callers=1))
    assert why(queue_request(), facts) == Reason(ReasonCode.LIVE_CALLERS, subject="sales")
    assert dialled(facts, queue_request(call_now=True)) == [(1, "101")]


def test_dispatcher_wakes_when_a_wrap_up_ends_that_leaves_requests_a_member() -> None:
    lines = [make_line("101"), make_line("102")]
    resting = Member("102", wrapup_until=NOW + MINUTE)
    facts = make_facts(lines, queues=sales(Member("101"), resting, live_callers=1))
    assert decide([queue_request()], facts, NOW).wake_at == NOW + MINUTE
    preferred = queue_request(preferred="101", rules=Rules(preferred_for=HOUR))
    assert decide([preferred], facts, NOW).wake_at == NOW + MINUTE


@pytest.mark.parametrize("callers", [0, 1, 2, 3, 4])
def test_requests_get_the_members_that_callers_before_them_leave(callers: int) -> None:
    lines = [make_line("101"), make_line("102"), make_line("103"), make_line("104", LineState.IN_CALL)]
    members = [Member(line.extension) for line in lines]
    facts = make_facts(lines, queues=sales(*members, live_callers=callers))
    requests = [queue_request(id=number, number=f"+98912000{number:04}") for number in range(1, 6)]
    assert len(dialled(facts, *requests)) == max(0, 3 - callers)


def test_request_comes_before_callers_who_called_later() -> None:
    callers = WaitingCallers(2, (NOW - 2 * MINUTE, NOW - MINUTE))
    facts = make_facts([make_line("101")], queues={"sales": Queue((Member("101"),), callers)})
    earlier, later = (queue_request(id=n, first_called_at=NOW - n * MINUTE - SECOND) for n in (2, 1))
    assert why(later, facts) == Reason(ReasonCode.LIVE_CALLERS, subject="sales")
    assert dialled(facts, later, earlier) == [(2, "101")]


def test_member_is_left_to_the_callers_of_another_queue() -> None:
    queues = sales(Member("101"), Member("102")) | {"support": Queue((Member("101"),), WaitingCallers(1))}
    free = [make_line("101"), make_line("102", LineState.IN_CALL)]
    assert why(queue_request(), make_facts(free, queues=queues)) is not None
    facts = make_facts(free[:1], queues=sales(Member("101")) | {"support": queues["support"]})
    assert why(queue_request(), facts) == Reason(ReasonCode.LIVE_CALLERS, subject="support")
    assert dialled(facts, make_request(target="101")) == [(1, "101")], "the extension's own requests do not starve"
    paused = {"support": Queue((Member("101", paused=True),), WaitingCallers(1))}
    assert dialled(make_facts(free[:1], queues=sales(Member("101")) | paused), queue_request()) == [(1, "101")]


@pytest.mark.parametrize("queues", [{}, {"sales": Queue()}])
def test_queue_without_members_is_the_reason(queues: dict[str, Queue]) -> None:
    assert why(queue_request(), make_facts([make_line("101")], queues=queues)) == Reason(
        ReasonCode.NO_MEMBERS, subject="sales"
    )


def test_several_busy_members_are_one_reason_until_the_first_may_be_free() -> None:
    lines = [make_line("101", since=NOW - 4 * SECOND), make_line("102", LineState.IN_CALL), make_line("103")]
    members = [Member("101"), Member("102"), Member("103", wrapup_until=NOW + 2 * SECOND)]
    request = queue_request(rules=make_rules(rest=10 * SECOND))
    facts = make_facts(lines, queues=sales(*members))
    assert why(request, facts) == Reason(ReasonCode.NO_AGENT_FREE, until=NOW + 2 * SECOND, subject="sales")
    assert decide([request], facts, NOW).wake_at == NOW + 2 * SECOND


def test_members_who_are_all_away_are_another_reason_than_busy_ones() -> None:
    """No call ends for whose end one could wait."""
    lines = [make_line("101", LineState.OFFLINE), make_line("102"), make_line("103", LineState.DND)]
    queues = sales(Member("101"), Member("102", paused=True), Member("103"))
    assert why(queue_request(), make_facts(lines, queues=queues)) == Reason(ReasonCode.NOBODY_THERE, subject="sales")
    lines[2] = make_line("103", LineState.IN_CALL)
    assert why(queue_request(), make_facts(lines, queues=queues)) == Reason(ReasonCode.NO_AGENT_FREE, subject="sales")


def test_several_busy_members_without_a_known_end_have_no_wake_time() -> None:
    lines = [make_line("101", LineState.IN_CALL), make_line("102", LineState.IN_CALL)]
    facts = make_facts(lines, queues=sales(Member("101"), Member("102")))
    plan = decide([queue_request()], facts, NOW)
    assert plan.reasons == {1: Reason(ReasonCode.NO_AGENT_FREE, subject="sales")}
    assert plan.wake_at is None


def test_wake_time_is_the_earliest_end_of_a_reason() -> None:
    facts = make_facts([make_line("101"), Line("102", LineState.FREE, NOW - 3 * SECOND)])
    requests = [
        make_request(id=1, not_before=NOW + MINUTE),
        make_request(id=2, number=OTHER_NUMBER, target="102"),
        make_request(id=3, number="+989121111111", postponed_until=NOW + timedelta(days=1)),
    ]
    assert decide(requests, facts, NOW).wake_at == NOW + 7 * SECOND


# The route to customers, and limits

FAILED = RouteTrouble(1, NOW, NOW, Outcome.ROUTE_CONGESTED)
BOTH = [make_line("101"), make_line("102")]


def outside(**kwargs: Any) -> Facts:
    return make_facts(BOTH, outbound_context="outbound", **kwargs)


def test_request_waits_while_its_route_is_paused_and_says_until_when() -> None:
    reason = why(make_request(), outside(routes={"outbound": FAILED}))
    until = NOW + 30 * SECOND
    assert reason == Reason(ReasonCode.ROUTE_PAUSED, until, "outbound", Outcome.ROUTE_CONGESTED)
    assert decide([make_request()], outside(routes={"outbound": FAILED}), NOW).wake_at == until


def test_one_request_tries_the_route_after_its_pause() -> None:
    facts, now = outside(routes={"outbound": FAILED}, heartbeat=NOW + MINUTE), NOW + 30 * SECOND
    first, second = make_request(id=1), make_request(id=2, target="102", number=OTHER_NUMBER)
    plan = decide([first, second], facts, now)
    assert [dial.request.id for dial in plan.dials] == [1]
    assert plan.reasons[2].code is ReasonCode.ROUTE_PAUSED
    assert dialled(replace(facts, calls={"outbound": 1}, dialling=frozenset({"outbound"})), second, now=now) == []
    assert dialled(replace(facts, calls={"outbound": 1}), second, now=now) == [(2, "102")], "a talk tries nothing"


def test_requests_try_a_failing_route_in_turn() -> None:
    facts, now = outside(routes={"outbound": FAILED}, heartbeat=NOW + MINUTE), NOW + 30 * SECOND
    first = make_request(id=1, route_failures=1)
    second = make_request(id=2, target="102", number=OTHER_NUMBER)
    assert dialled(facts, first, second, now=now) == [(2, "102")]
    assert len(dialled(replace(facts, routes={}), first, second, now=now)) == 2


def test_call_now_and_customers_inside_do_not_wait_for_the_route() -> None:
    facts = outside(routes={"outbound": FAILED})
    assert dialled(facts, make_request(call_now=True)) == [(1, "101")]
    assert dialled(facts, make_request(number="102")) == [(1, "101")]
    assert dialled(replace(facts, outbound_context="other"), make_request()) == [(1, "101")]


def test_limit_of_calls_in_all_holds_for_everybody() -> None:
    facts = outside(calls_limit=2, calls={"": 1})
    first, second = make_request(id=1), make_request(id=2, target="102", number=OTHER_NUMBER, call_now=True)
    plan = decide([first, second], facts, NOW)
    assert [dial.request.id for dial in plan.dials] == [2], "by hand comes first"
    assert plan.reasons[1] == Reason(ReasonCode.CALLS_LIMIT)
    assert why(make_request(number="102"), outside(calls_limit=1, calls={"outbound": 1})) == Reason(
        ReasonCode.CALLS_LIMIT
    )


def test_limit_of_the_route_holds_for_customers_outside() -> None:
    facts = outside(route_calls_limit=1, calls={"": 5, "other": 5})
    first, second = make_request(id=1), make_request(id=2, target="102", number=OTHER_NUMBER)
    plan = decide([first, second], facts, NOW)
    assert [dial.request.id for dial in plan.dials] == [1]
    assert plan.reasons[2] == Reason(ReasonCode.ROUTE_CALLS_LIMIT, subject="outbound")
    assert dialled(replace(facts, calls={"outbound": 1}), make_request(number="102")) == [(1, "101")]


def test_limit_of_automatic_calls_in_a_day_spares_calls_by_hand_and_inside() -> None:
    facts = outside(daily_calls=9, daily_limit=10, daily_limit_until=NOW + MINUTE)
    first, second = make_request(id=1), make_request(id=2, target="102", number=OTHER_NUMBER)
    plan = decide([first, second], facts, NOW)
    assert [dial.request.id for dial in plan.dials] == [1]
    assert plan.reasons[2] == Reason(ReasonCode.DAILY_LIMIT, until=NOW + MINUTE)
    assert plan.wake_at == NOW + MINUTE
    reached = replace(facts, daily_calls=10)
    assert why(make_request(), reached) == Reason(ReasonCode.DAILY_LIMIT, until=NOW + MINUTE)
    assert dialled(reached, make_request(call_now=True)) == [(1, "101")]
    assert dialled(reached, make_request(number="102")) == [(1, "101")]
    assert dialled(replace(reached, daily_limit=0), make_request()) == [(1, "101")]


@pytest.mark.parametrize("call_now", [False, True])
def test_an_internal_customer_is_called_only_while_their_phone_is_there(call_now: bool) -> None:
    """Outside, the same digits may be somebody else: extension 110 is the police."""
    request = make_request(number="110", free_at=LONG_AGO, call_now=call_now)
    gone = Reason(ReasonCode.CUSTOMER_GONE, subject="110")
    free = make_line("101")
    for lines in ([free], [free, make_line("110", LineState.OFFLINE)], [free, Line("110", LineState.FREE, LONG_AGO)]):
        assert explain(request, make_facts(lines), NOW) == gone
        assert not decide([request], make_facts(lines), NOW).dials
    assert decide([request], make_facts([free, make_line("110")]), NOW).dials


# The number policy


def test_number_that_may_not_be_called_is_never_dialled_and_others_are() -> None:
    facts = make_facts([make_line("101"), make_line("102")], number_policy=NumberPolicy("IR"))
    premium = make_request(number="+449061234567", call_now=True, priority=1)
    other = make_request(id=2, number=OTHER_NUMBER, target="102")
    assert dialled(facts, premium, other) == [(2, "102")]
    reason = why(premium, facts)
    assert reason is not None and reason.verdict is not None
    assert (reason.code, reason.verdict.rule, reason.verdict.region) == (ReasonCode.NUMBER_REFUSED, Rule.COSTLY, "GB")


def test_source_of_the_number_decides_how_strict_the_rules_are() -> None:
    policy = NumberPolicy("GB", prefixes=(PrefixRule("+98912", allow=True),))
    facts = make_facts([make_line("101")], number_policy=policy)
    assert (facts.region, make_facts().region) == ("GB", "")
    assert why(make_request(source=Source.CALLER_ID), facts) is None
    assert why(make_request(source=Source.PANEL), facts) is None
    refused = why(make_request(source=Source.TYPED), facts)
    assert refused is not None and refused.verdict is not None
    assert refused.verdict.rule is Rule.FOREIGN


# Office hours


def test_closed_office_keeps_phones_silent_until_the_opening() -> None:
    opens = NOW + 30 * MINUTE
    facts = make_facts([make_line("101")], openings={1: Opening(False, NOW - MINUTE, opens)})
    request = make_request(module=1)
    assert why(request, facts) == Reason(ReasonCode.OFFICE_CLOSED, until=opens)
    assert decide([request], facts, NOW).wake_at == opens
    assert why(replace(request, call_now=True), facts) is None, "somebody wants it now"
    assert why(replace(request, module=2), facts) is None, "another module is open"
    assert why(replace(request, module=None), facts) is None
    never = make_facts([make_line("101")], openings={1: Opening(False)})
    assert why(request, never) == Reason(ReasonCode.OFFICE_CLOSED)
    assert decide([request], never, NOW).wake_at is None


def test_requests_that_waited_for_the_opening_take_turns() -> None:
    since = NOW - MINUTE
    facts = make_facts([make_line("101")], openings={1: Opening(True, since, NOW + 600 * MINUTE, 5 * MINUTE)})
    request = make_request(module=1, registered_at=NOW - 60 * MINUTE)
    turn = facts.openings[1].turn_of(request.id, request.registered_at)
    assert turn is not None and since + 3 * MINUTE < turn < since + 4 * MINUTE
    assert why(request, facts) == Reason(ReasonCode.OPENING, until=turn)
    assert decide([request], facts, NOW).wake_at == turn
    assert why(request, replace(facts, heartbeat=turn), turn) is None
    for name in ("registered_again_at", "postponed_until", "registered_at"):
        changed: dict[str, Any] = {name: NOW}
        assert why(replace(request, **changed), facts) is None, "it did not wait for the opening"


def test_waiting_time_and_office_hours_hold_both() -> None:
    facts = make_facts([make_line("101")], openings={1: Opening(False, NOW - MINUTE, NOW + MINUTE)})
    manual = make_request(module=1, rules=make_rules(automatic=False))
    assert why(manual, facts) == Reason(ReasonCode.MANUAL)
    postponed = make_request(module=1, postponed_until=NOW + SECOND)
    assert why(postponed, facts) == Reason(ReasonCode.POSTPONED, until=NOW + SECOND)


# Lanes: few requests are looked at


class CountingLane(SortedLane):
    """A lane that counts how many requests were read."""

    def __init__(self, *requests: Request) -> None:
        super().__init__(requests)
        self.read = 0

    def next(self, *, inside: bool = False) -> Request | None:
        request = super().next(inside=inside)
        self.read += request is not None
        return request


def line_up(count: int, **kwargs: Any) -> CountingLane:
    return CountingLane(*(make_request(id=n, number=f"+98912000{n:04}", **kwargs) for n in range(1, count + 1)))


@pytest.mark.parametrize(
    "facts",
    [
        make_facts([make_line("101", LineState.IN_CALL)]),
        make_facts([make_line("101")], all_paused=True),
        make_facts([make_line("101")], calls_limit=1, calls={"": 1}),
        make_facts([make_line("101")], connected=False),
        make_facts([make_line("101")], agents_in_flight=frozenset({"101"})),
        make_facts([make_line("101")], agent_pauses={"101": NOW + MINUTE}),
    ],
)
def test_one_request_is_looked_at_if_all_of_a_lane_wait_for_the_same(facts: Facts) -> None:
    lane = line_up(50)
    assert decide_lanes([lane], facts, NOW).dials == ()
    assert lane.read == 1


def test_nobody_is_looked_at_behind_the_request_that_takes_the_last_agent() -> None:
    lane = line_up(50)
    assert [dial.request.id for dial in decide_lanes([lane], make_facts([make_line("101")]), NOW).dials] == [1]
    assert lane.read == 1


def test_what_one_request_waits_for_does_not_hold_up_those_behind_it() -> None:
    pause = AgentPause(NOW - SECOND, NOW + MINUTE, Outcome.AGENT_NO_ANSWER)
    facts = make_facts(
        [make_line("101")], numbers_on_line=frozenset({"+989120000001"}), request_pauses={(2, "101"): pause}
    )
    late = make_request(id=3, number=OTHER_NUMBER, not_before=NOW + MINUTE)
    lane = CountingLane(*(make_request(id=n, number=f"+98912000000{n}") for n in (1, 2)), late, make_request(id=4))
    plan = decide_lanes([lane], facts, NOW)
    assert ([dial.request.id for dial in plan.dials], lane.read) == ([4], 4)
    assert plan.reasons.keys() == {1, 2, 3}


@pytest.mark.parametrize(
    "limit",
    [
        {"daily_limit": 1, "daily_calls": 1, "daily_limit_until": NOW + MINUTE},
        {"route_calls_limit": 1, "calls": {"out": 1}},
        {"routes": {"out": RouteTrouble(1, NOW, NOW, Outcome.ROUTE_FAILED)}},
    ],
)
def test_customers_inside_do_not_wait_for_what_those_outside_wait_for(limit: dict[str, Any]) -> None:
    facts = make_facts([make_line("101"), make_line("105")], outbound_context="out", **limit)
    lane = CountingLane(
        *(make_request(id=n, number=f"+98912000{n:04}") for n in range(1, 9)), make_request(number="105")
    )
    assert [dial.request.number for dial in decide_lanes([lane], facts, NOW).dials] == ["105"]
    assert lane.read == 2
    assert outside_reason(facts, NOW) is not None
    assert outside_reason(make_facts([], outbound_context="out"), NOW) is None


def test_route_is_tried_in_turn_only_while_it_fails() -> None:
    trouble = {"out": RouteTrouble(1, NOW, NOW, Outcome.ROUTE_FAILED)}
    assert by_failures(make_facts([], outbound_context="out", routes=trouble))
    assert not by_failures(make_facts([], outbound_context="out"))


def test_served_are_the_extensions_and_queues_of_agents_with_a_free_line() -> None:
    queues = {
        "a": Queue((Member("101"),)),
        "b": Queue((Member("102"),)),
        "c": Queue((Member("101"),), WaitingCallers(1)),
    }
    lines = [make_line("101"), make_line("102", LineState.IN_CALL)]
    assert served(make_facts(lines, queues=queues)) == Served(frozenset({"101"}), frozenset({"a", "c"}))
    assert served(make_facts([make_line("102", LineState.DND)], queues=queues)) == Served()
