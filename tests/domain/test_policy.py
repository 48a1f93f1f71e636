"""Who is dialled now, by whom, in which order, and why everybody else waits."""

from datetime import datetime, timedelta

import pytest

from app.domain.lifecycle import Outcome, Request, Status
from app.domain.policy import (
    Facts,
    Line,
    LineState,
    Member,
    Queue,
    Reason,
    ReasonCode,
    decide,
    explain,
    freed_at,
    in_order,
    min_wait_ends,
)
from tests.support.factories import LONG_AGO, NOW, NUMBER, make_facts, make_line, make_request, make_rules

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
OTHER_NUMBER = "+989127654321"


def dialled(facts: Facts, *requests: Request, now: datetime = NOW) -> list[tuple[int, str]]:
    """The dials of this moment as (request, agent)."""
    return [(dial.request.id, dial.agent) for dial in decide(requests, facts, now).dials]


def why(request: Request, facts: Facts, now: datetime = NOW) -> Reason | None:
    """Why the request waits; the page and the worker must say the same."""
    reason = explain(request, facts, now)
    plan = decide([request], facts, now)
    if request.status is Status.WAITING:
        assert plan.reasons.get(request.id) == reason
        assert bool(plan.dials) is (reason is None)
    return reason


def queue_request(**kwargs: object) -> Request:
    return make_request(**({"queue": True, "target": "sales"} | kwargs))


def sales(*members: Member, live_callers: int = 0) -> dict[str, Queue]:
    return {"sales": Queue(members, live_callers)}


# Who is dialled


def test_a_due_request_is_dialled_when_its_extension_is_free() -> None:
    facts = make_facts([make_line("101")])
    assert dialled(facts, make_request()) == [(1, "101")]
    assert why(make_request(), facts) is None


def test_any_free_extension_of_the_module_serves_a_caller_who_named_none() -> None:
    facts = make_facts([make_line("101", LineState.IN_CALL), make_line("102")])
    assert dialled(facts, make_request(target="", extensions=("101", "102"))) == [(1, "102")]


def test_only_the_extension_that_was_reached_is_rung_back_to() -> None:
    facts = make_facts([make_line("101", LineState.IN_CALL), make_line("102")])
    assert dialled(facts, make_request(target="101", extensions=("101", "102"))) == []


def test_the_agent_who_has_been_free_the_longest_is_rung() -> None:
    facts = make_facts(
        [make_line("101", since=NOW - 1 * MINUTE), make_line("102", since=NOW - 9 * MINUTE), make_line("103")]
    )
    assert dialled(facts, make_request(target="", extensions=("101", "102"))) == [(1, "102")]
    assert dialled(facts, make_request(target="", extensions=("101", "102", "103"))) == [(1, "103")]


def test_a_lower_penalty_goes_before_a_longer_time_of_being_free() -> None:
    facts = make_facts(
        [make_line("101"), make_line("102", since=NOW - MINUTE)],
        queues=sales(Member("101", penalty=5), Member("102", penalty=1)),
    )
    assert dialled(facts, queue_request()) == [(1, "102")]


def test_a_member_without_a_line_does_not_hide_the_others() -> None:
    facts = make_facts([make_line("102")], queues=sales(Member("101"), Member("102")))
    assert dialled(facts, queue_request()) == [(1, "102")]


def test_a_call_now_rings_the_phone_of_the_one_who_wished_it() -> None:
    facts = make_facts([make_line("101"), make_line("105")])
    assert dialled(facts, make_request(call_now=True, call_now_agent="105")) == [(1, "105")]
    assert dialled(facts, make_request(call_now=True)) == [(1, "101")]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.WAITING])
def test_only_waiting_requests_are_dialled(status: Status) -> None:
    facts = make_facts([make_line("101")])
    plan = decide([make_request(status=status)], facts, NOW)
    assert (plan.dials, plan.reasons, plan.wake_at) == ((), {}, None)


def test_an_uncertain_request_says_so_and_others_that_do_not_wait_say_nothing() -> None:
    facts = make_facts([make_line("101")])
    assert explain(make_request(status=Status.UNCERTAIN), facts, NOW) == Reason(ReasonCode.UNCERTAIN)
    assert explain(make_request(status=Status.DONE), facts, NOW) is None


# One at a time


def test_one_agent_gets_one_call_and_the_next_request_the_next_agent() -> None:
    facts = make_facts([make_line("101"), make_line("102", since=NOW - MINUTE)])
    requests = [
        make_request(id=number, number=f"+98912123450{number}", target="", extensions=("101", "102"))
        for number in (1, 2, 3)
    ]
    plan = decide(requests, facts, NOW)
    assert [(dial.request.id, dial.agent) for dial in plan.dials] == [(1, "101"), (2, "102")]
    assert plan.reasons[3].code is ReasonCode.NO_AGENT_FREE


def test_one_number_is_called_once_though_two_modules_want_it() -> None:
    facts = make_facts([make_line("101"), make_line("102")])
    plan = decide([make_request(id=1), make_request(id=2, target="102")], facts, NOW)
    assert [dial.request.id for dial in plan.dials] == [1]
    assert plan.reasons[2] == Reason(ReasonCode.NUMBER_BUSY)


def test_what_is_in_flight_already_counts() -> None:
    lines = [make_line("101")]
    assert why(make_request(), make_facts(lines, numbers_in_flight=frozenset({NUMBER}))) == Reason(
        ReasonCode.NUMBER_BUSY
    )
    assert why(make_request(), make_facts(lines, agents_in_flight=frozenset({"101"}))) == Reason(
        ReasonCode.AGENT_IN_FLIGHT, subject="101"
    )


def test_not_even_a_call_now_makes_a_second_call() -> None:
    request = make_request(call_now=True)
    lines = [make_line("101")]
    for facts in (
        make_facts(lines, numbers_in_flight=frozenset({NUMBER})),
        make_facts(lines, agents_in_flight=frozenset({"101"})),
    ):
        assert why(request, facts) is not None


# The order


def test_the_order_is_wish_then_priority_then_who_called_first() -> None:
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


def test_the_first_in_line_gets_the_only_agent() -> None:
    facts = make_facts([make_line("101")])
    late = make_request(id=1, number=NUMBER, first_called_at=NOW)
    early = make_request(id=2, number=OTHER_NUMBER, first_called_at=NOW - MINUTE)
    assert dialled(facts, late, early) == [(2, "101")]
    assert decide([late, early], facts, NOW).reasons[1] == Reason(ReasonCode.AGENT_IN_FLIGHT, subject="101")


def test_one_who_cannot_be_dialled_does_not_keep_the_others_waiting() -> None:
    facts = make_facts([make_line("101"), make_line("102", LineState.IN_CALL)])
    first = make_request(id=1, target="102", first_called_at=NOW - MINUTE)
    second = make_request(id=2, number=OTHER_NUMBER, first_called_at=NOW)
    assert dialled(facts, first, second) == [(2, "101")]


# What holds every request


@pytest.mark.parametrize("call_now", [False, True])
def test_without_the_telephone_service_nothing_is_dialled(call_now: bool) -> None:
    request, lines = make_request(call_now=call_now), [make_line("101")]
    assert why(request, make_facts(lines, heartbeat=None)) == Reason(ReasonCode.SERVICE_DOWN)
    stale = make_facts(lines, heartbeat=NOW - 15 * SECOND, stale_after=15 * SECOND)
    assert why(request, stale) is None
    assert why(request, stale, NOW + SECOND) == Reason(ReasonCode.SERVICE_DOWN)


@pytest.mark.parametrize("call_now", [False, True])
def test_without_the_exchange_or_behind_an_obstacle_nothing_is_dialled(call_now: bool) -> None:
    request, lines = make_request(call_now=call_now), [make_line("101")]
    assert why(request, make_facts(lines, connected=False)) == Reason(ReasonCode.NOT_CONNECTED)
    assert why(request, make_facts(lines, obstacle=ReasonCode.NO_DIALPLAN)) == Reason(ReasonCode.NO_DIALPLAN)


# What holds a request until its time, and what a person's wish skips


HELD = {
    "postponed": (make_request(postponed_until=NOW + MINUTE), {}, Reason(ReasonCode.POSTPONED, until=NOW + MINUTE)),
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


@pytest.mark.parametrize("name", HELD)
def test_a_request_is_held_until_its_time_and_a_wish_skips_it(name: str) -> None:
    request, known, reason = HELD[name]
    facts = make_facts([make_line("101")], **known)
    assert why(request, facts) == reason
    assert decide([request], facts, NOW).wake_at == reason.until
    wished = make_request(**{**vars(request), "call_now": True})
    assert dialled(facts, wished) == [(1, "101")]


@pytest.mark.parametrize("name", [name for name, (_, _, reason) in HELD.items() if reason.until])
def test_what_has_an_end_ends_at_that_moment_and_not_before(name: str) -> None:
    request, known, reason = HELD[name]
    facts = make_facts([make_line("101")], **known, stale_after=timedelta(hours=1))
    assert reason.until is not None
    assert why(request, facts, reason.until - timedelta(microseconds=1)) == reason
    assert why(request, facts, reason.until) is None


# The minimum waiting time


def test_the_minimum_waiting_time_counts_from_the_registration_for_a_queue() -> None:
    request = queue_request(rules=make_rules(min_wait=MINUTE), free_at=NOW + timedelta(hours=1))
    assert min_wait_ends(request) == NOW + MINUTE


def test_it_counts_from_the_first_free_moment_for_an_extension() -> None:
    rules = make_rules(min_wait=MINUTE)
    assert min_wait_ends(make_request(rules=rules)) is None
    assert min_wait_ends(make_request(rules=rules, free_at=NOW + 5 * SECOND)) == NOW + MINUTE + 5 * SECOND
    assert min_wait_ends(make_request(rules=rules, free_at=NOW - MINUTE)) == NOW + MINUTE


def test_before_the_count_has_begun_the_line_itself_is_the_reason() -> None:
    request = make_request(rules=make_rules(min_wait=MINUTE))
    facts = make_facts([make_line("101", LineState.IN_CALL)])
    assert why(request, facts) == Reason(ReasonCode.LINE_IN_CALL, subject="101")


def test_a_line_that_has_only_just_become_free_starts_the_count() -> None:
    request = make_request(rules=make_rules(min_wait=MINUTE), registered_at=NOW - timedelta(hours=1))
    facts = make_facts([make_line("101", since=NOW - 5 * SECOND)])
    assert why(request, facts) == Reason(ReasonCode.MIN_WAIT, until=NOW + 55 * SECOND, subject="101")
    # Whoever was free already when the caller registered: from the registration on.
    request = make_request(rules=make_rules(min_wait=MINUTE))
    assert why(request, make_facts([make_line("101")])) == Reason(
        ReasonCode.MIN_WAIT, until=NOW + MINUTE, subject="101"
    )


def test_a_call_now_does_not_wait_for_a_count_that_never_began() -> None:
    request = make_request(rules=make_rules(min_wait=MINUTE), call_now=True)
    assert why(request, make_facts([make_line("101")])) is None


def test_later_calls_of_the_extension_restart_only_the_rest() -> None:
    request = make_request(
        rules=make_rules(min_wait=MINUTE, rest=10 * SECOND), registered_at=NOW - 5 * MINUTE, free_at=NOW - 4 * MINUTE
    )
    facts = make_facts([make_line("101", since=NOW - 2 * SECOND)])
    assert why(request, facts) == Reason(ReasonCode.REST, until=NOW + 8 * SECOND, subject="101")


def test_the_first_free_moment_is_the_earliest_of_the_wanted_lines_after_the_registration() -> None:
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


# Free means free


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (LineState.RINGING, ReasonCode.LINE_RINGING),
        (LineState.IN_CALL, ReasonCode.LINE_IN_CALL),
        (LineState.DND, ReasonCode.LINE_DND),
        (LineState.OFFLINE, ReasonCode.LINE_OFFLINE),
        (LineState.UNKNOWN, ReasonCode.LINE_UNKNOWN),
    ],
)
@pytest.mark.parametrize("call_now", [False, True])
def test_a_line_that_is_not_free_is_never_rung(state: LineState, reason: ReasonCode, call_now: bool) -> None:
    facts = make_facts([make_line("101", state)])
    assert why(make_request(call_now=call_now), facts) == Reason(reason, subject="101")


def test_every_state_of_a_line_but_free_has_a_reason() -> None:
    for state in LineState:
        assert (why(make_request(), make_facts([make_line("101", state)])) is None) is (state is LineState.FREE)


def test_a_line_of_which_nothing_is_known_is_not_rung() -> None:
    assert why(make_request(), make_facts()) == Reason(ReasonCode.LINE_UNKNOWN, subject="101")


@pytest.mark.parametrize("call_now", [False, True])
def test_a_line_rests_after_its_call_even_from_a_wish(call_now: bool) -> None:
    request = make_request(rules=make_rules(rest=10 * SECOND), call_now=call_now)
    facts = make_facts([make_line("101", since=NOW - 9 * SECOND)])
    assert why(request, facts) == Reason(ReasonCode.REST, until=NOW + SECOND, subject="101")
    assert why(request, facts, NOW + SECOND) is None


def test_a_paused_member_and_one_in_wrapup_are_not_rung() -> None:
    lines = [make_line("101")]
    paused = make_facts(lines, queues=sales(Member("101", paused=True)))
    assert why(queue_request(), paused) == Reason(ReasonCode.MEMBER_PAUSED, subject="101")
    wrapping = make_facts(lines, queues=sales(Member("101", wrapup_until=NOW + MINUTE)), stale_after=2 * MINUTE)
    assert why(queue_request(), wrapping) == Reason(ReasonCode.WRAPUP, until=NOW + MINUTE, subject="101")
    assert why(queue_request(), wrapping, NOW + MINUTE) is None


def test_a_member_in_wrapup_leaves_the_call_to_the_next_one() -> None:
    facts = make_facts(
        [make_line("101"), make_line("102", since=NOW - MINUTE)],
        queues=sales(Member("101", wrapup_until=NOW + MINUTE), Member("102")),
    )
    assert dialled(facts, queue_request()) == [(1, "102")]


def test_the_miss_of_one_member_goes_to_the_next_free_one() -> None:
    facts = make_facts(
        [make_line("101"), make_line("102", since=NOW - MINUTE)],
        queues=sales(Member("101"), Member("102")),
        agent_pauses={"101": NOW + MINUTE},
    )
    assert dialled(facts, queue_request()) == [(1, "102")]


# Queues


def test_live_callers_go_before_requests_and_a_wish_goes_before_them() -> None:
    facts = make_facts([make_line("101")], queues=sales(Member("101"), live_callers=1))
    assert why(queue_request(), facts) == Reason(ReasonCode.LIVE_CALLERS, subject="sales")
    assert dialled(facts, queue_request(call_now=True)) == [(1, "101")]


@pytest.mark.parametrize("queues", [{}, {"sales": Queue()}])
def test_a_queue_without_members_says_so(queues: dict[str, Queue]) -> None:
    assert why(queue_request(), make_facts([make_line("101")], queues=queues)) == Reason(
        ReasonCode.NO_MEMBERS, subject="sales"
    )


def test_several_busy_members_are_one_reason_with_the_first_moment_one_may_be_free() -> None:
    lines = [make_line("101", since=NOW - 4 * SECOND), make_line("102", LineState.IN_CALL), make_line("103")]
    members = [Member("101"), Member("102"), Member("103", wrapup_until=NOW + 2 * SECOND)]
    request = queue_request(rules=make_rules(rest=10 * SECOND))
    facts = make_facts(lines, queues=sales(*members))
    assert why(request, facts) == Reason(ReasonCode.NO_AGENT_FREE, until=NOW + 2 * SECOND, subject="sales")
    assert decide([request], facts, NOW).wake_at == NOW + 2 * SECOND


def test_several_busy_members_without_a_known_end_wake_nobody() -> None:
    lines = [make_line("101", LineState.IN_CALL), make_line("102", LineState.IN_CALL)]
    facts = make_facts(lines, queues=sales(Member("101"), Member("102")))
    plan = decide([queue_request()], facts, NOW)
    assert plan.reasons == {1: Reason(ReasonCode.NO_AGENT_FREE, subject="sales")}
    assert plan.wake_at is None


def test_the_worker_wakes_at_the_first_moment_that_may_change_anything() -> None:
    facts = make_facts([make_line("101"), Line("102", LineState.FREE, NOW - 3 * SECOND)])
    requests = [
        make_request(id=1, not_before=NOW + MINUTE),
        make_request(id=2, number=OTHER_NUMBER, target="102"),
        make_request(id=3, number="+989121111111", postponed_until=NOW + timedelta(days=1)),
    ]
    assert decide(requests, facts, NOW).wake_at == NOW + 7 * SECOND
