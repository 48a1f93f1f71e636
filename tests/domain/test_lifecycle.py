"""The life cycle of a request: the result of each event in each status."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.hours import AtClosing
from app.domain.lifecycle import (
    ACTIVE,
    CALL_NOW_LASTS,
    FINAL,
    IN_FLIGHT,
    RECOVERY_PAUSE,
    REOPENABLE,
    CalledNow,
    CallNowWithdrawn,
    Cancelled,
    Claimed,
    Decision,
    Ended,
    Event,
    Failures,
    Fallback,
    FellBack,
    MarkedDone,
    Outcome,
    Postponed,
    Prioritised,
    Progressed,
    Reached,
    Reassigned,
    Registered,
    Reopened,
    Request,
    Side,
    Status,
    Step,
    TimePassed,
    Undone,
    talk_outcome,
    transition,
)
from tests.support.factories import NOW, make_dialling, make_request, make_rules

TOMORROW = NOW + timedelta(days=1)
MINUTE = timedelta(minutes=1)
AGENT_OUTCOMES = [outcome for outcome in Outcome if outcome.side is Side.AGENT]
CUSTOMER_OUTCOMES = [outcome for outcome in Outcome if outcome.side is Side.CUSTOMER]
NOBODY_OUTCOMES = [outcome for outcome in Outcome if outcome.side is Side.NOBODY]

EVENTS: dict[str, Event] = {
    "claimed": Claimed("a2"),
    "progressed": Progressed("a1", Step.CONNECTED),
    "ended": Ended("a1", Outcome.CUSTOMER_BUSY),
    "ended_connected": Ended("a1", Outcome.CONNECTED),
    "ended_unclear": Ended("a1", Outcome.UNCLEAR),
    "ended_short": Ended("a1", Outcome.TALK_TOO_SHORT),
    "late": Ended("a0", Outcome.CONNECTED),
    "reached": Reached(),
    "marked_done": MarkedDone(),
    "cancelled": Cancelled(),
    "time_passed": TimePassed(),
    "registered": Registered(),
    "called_now": CalledNow("102"),
    "postponed": Postponed(TOMORROW),
    "reassigned": Reassigned(True, "support"),
    "prioritised": Prioritised(1),
    "reopened": Reopened(),
    "undone": Undone(make_request(priority=1)),
    "call_now_withdrawn": CallNowWithdrawn(),  # nobody asked for it
}

# The status that each event leads to. An event that is missing here changes nothing.
TABLE: dict[Status, dict[str, Status]] = {
    Status.WAITING: {
        "claimed": Status.DIALLING,
        "reached": Status.DONE,
        "marked_done": Status.DONE,
        "cancelled": Status.CANCELLED,
        "time_passed": Status.EXPIRED,
        "registered": Status.WAITING,
        "called_now": Status.WAITING,
        "postponed": Status.WAITING,
        "reassigned": Status.WAITING,
        "prioritised": Status.WAITING,
        "undone": Status.WAITING,
    },
    Status.DIALLING: {
        "progressed": Status.CONNECTED,
        "ended": Status.WAITING,
        "ended_short": Status.WAITING,
        "ended_connected": Status.DONE,
        "ended_unclear": Status.UNCERTAIN,
        "reached": Status.DONE,
        "marked_done": Status.DONE,
        "cancelled": Status.CANCELLED,
        "registered": Status.DIALLING,
        "prioritised": Status.DIALLING,
    },
    Status.CONNECTED: {
        "registered": Status.CONNECTED,
        "prioritised": Status.CONNECTED,
        "ended": Status.UNCERTAIN,
        "ended_short": Status.WAITING,
        "ended_connected": Status.DONE,
        "ended_unclear": Status.UNCERTAIN,
    },
    Status.UNCERTAIN: {
        "ended": Status.WAITING,
        "ended_short": Status.WAITING,
        "ended_connected": Status.DONE,
        "reached": Status.DONE,
        "marked_done": Status.DONE,
        "cancelled": Status.CANCELLED,
        "time_passed": Status.EXPIRED,
        "registered": Status.WAITING,
        "called_now": Status.WAITING,
        "postponed": Status.WAITING,
        "reassigned": Status.WAITING,
        "prioritised": Status.UNCERTAIN,
        "undone": Status.WAITING,
    },
} | {
    status: {"undone": Status.WAITING} | ({"reopened": Status.WAITING} if status in REOPENABLE else {})
    for status in FINAL
}


def request_in(status: Status) -> Request:
    """Return a request in this status, with an attempt if the status has one. Its time limit has passed."""
    request = make_request(
        registered_at=NOW - timedelta(hours=2), status=status, rules=make_rules(expire_after=timedelta(hours=1))
    )
    if status in IN_FLIGHT:
        step = Step.CONNECTED if status is Status.CONNECTED else Step.CLAIMED
        return replace(request, attempt="a1", step=step)
    return replace(request, attempt="a1") if status is Status.UNCERTAIN else request


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("status", Status)
def test_each_event_in_each_status(status: Status, name: str) -> None:
    request = request_in(status)
    decision = transition(request, EVENTS[name], NOW)
    if name in TABLE[status]:
        assert (decision.request.status, decision.changed) == (TABLE[status][name], True)
    else:
        assert not decision.changed
        assert decision.request == request
        assert decision.hang_up is None
        assert decision.agent_pause_until is None


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("status", Status)
def test_repeated_event_changes_nothing(status: Status, name: str) -> None:
    once = transition(request_in(status), EVENTS[name], NOW).request
    assert not transition(once, EVENTS[name], NOW).changed


@pytest.mark.parametrize("attempts", [0, 2])
def test_customer_who_wants_to_be_called_later_uses_up_no_retry(attempts: int) -> None:
    rules = make_rules(retries=2, retry_pauses=(MINUTE, 2 * MINUTE, 3 * MINUTE))
    request = make_dialling(customer_attempts=attempts, rules=rules)
    later = transition(request, Ended("a1", Outcome.CUSTOMER_LATER), NOW)
    assert (later.request.status, later.request.customer_attempts) == (Status.WAITING, attempts)
    assert later.request.not_before == NOW + (attempts + 1) * MINUTE
    assert later.agent_pause_until is None


def test_customer_who_no_longer_wants_the_call_cancels_the_request() -> None:
    declined = transition(request_in(Status.DIALLING), Ended("a1", Outcome.CUSTOMER_DECLINED), NOW)
    assert (declined.request.status, declined.request.attempt) == (Status.CANCELLED, None)
    again = transition(replace(request_in(Status.DIALLING), again=True), Ended("a1", Outcome.CUSTOMER_DECLINED), NOW)
    assert again.request.status is Status.WAITING, "registered since"


def test_request_falls_back_once_while_it_waits() -> None:
    rules = make_rules(fallback=Fallback(True, "800", timedelta(minutes=10)))
    decision = transition(make_request(rules=rules), FellBack(), NOW)
    assert (decision.changed, decision.request.fell_back, decision.request.fallback) == (True, True, rules.fallback)
    for request in (decision.request, make_dialling(rules=rules), make_request()):
        assert not transition(request, FellBack(), NOW).changed


def test_each_status_is_either_active_or_final() -> None:
    assert set(Status) == ACTIVE | FINAL
    assert not ACTIVE & FINAL
    assert IN_FLIGHT < ACTIVE
    assert REOPENABLE < FINAL


def test_side_of_each_outcome() -> None:
    for outcome in Outcome:
        if outcome.value.startswith("customer_"):
            assert outcome.side in (Side.CUSTOMER, Side.WISH)
    assert {outcome for outcome in Outcome if outcome.side is Side.WISH} == {
        Outcome.CUSTOMER_LATER,
        Outcome.CUSTOMER_DECLINED,
    }
    assert {outcome.value for outcome in AGENT_OUTCOMES} == {
        "agent_busy",
        "agent_no_answer",
        "agent_rejected",
        "agent_unreachable",
        "agent_refused",
        "agent_silent",
        "agent_gone",
        "agent_missed_customer",
    }
    assert set(NOBODY_OUTCOMES) == {
        Outcome.NOT_STARTED,
        Outcome.AGENT_TAKEN,
        Outcome.WITHDRAWN,
        Outcome.INTERRUPTED,
    }
    assert Outcome.TALK_TOO_SHORT.side is Side.CUSTOMER
    assert {outcome.value for outcome in Outcome if outcome.side is Side.ROUTE} == {
        "route_missing",
        "route_unavailable",
        "route_congested",
        "route_forbidden",
        "route_failed",
    }
    assert Outcome.CONNECTED.side is Side.REACHED
    assert Outcome.UNCLEAR.side is Side.UNCLEAR


# Claims


def test_claim_stores_the_attempt() -> None:
    claimed = transition(make_request(not_before=NOW, postponed_until=NOW), Claimed("a1"), NOW).request
    assert (claimed.attempt, claimed.step) == ("a1", Step.CLAIMED)


# -- what was asked for now -----------------------------------------------------------------------------------


def called_now(**changes: Any) -> Request:
    """A request in whose attempt nothing has rung yet. A person asked for it at NOW."""
    called = transition(make_request(**changes), CalledNow("102"), NOW).request
    assert (called.call_now, called.call_now_agent, called.call_now_at) == (True, "102", NOW)
    return transition(called, Claimed("a1"), NOW).request


def wants_now(request: Request) -> bool:
    wish = (request.call_now, request.call_now_agent, request.call_now_at)
    assert wish in ((True, "102", NOW), (False, None, None))
    return request.call_now


@pytest.mark.parametrize("outcome", Outcome)
def test_call_now_is_wanted_until_a_phone_rang(outcome: Outcome) -> None:
    nothing_rang = outcome in (*NOBODY_OUTCOMES, Outcome.AGENT_UNREACHABLE)
    assert outcome.rang is not nothing_rang
    assert wants_now(transition(called_now(), Ended("a1", outcome), NOW + MINUTE).request) is nothing_rang


@pytest.mark.parametrize("step", [step for step in Step if step.rank > 0])
def test_call_now_ends_when_the_agent_has_answered(step: Step) -> None:
    answered = transition(called_now(), Progressed("a1", step), NOW).request
    assert not wants_now(answered)
    assert not wants_now(transition(answered, Ended("a1", Outcome.NOT_STARTED), NOW).request)


@pytest.mark.parametrize(("after", "wanted"), [(CALL_NOW_LASTS - MINUTE, True), (CALL_NOW_LASTS, False)])
def test_call_now_is_wanted_for_an_hour(after: timedelta, wanted: bool) -> None:
    missed = transition(called_now(), Ended("a1", Outcome.NOT_STARTED), NOW + after).request
    assert wants_now(missed) is wanted
    waiting = transition(make_request(), CalledNow("102"), NOW).request
    decision = transition(waiting, TimePassed(), NOW + after)
    assert (wants_now(decision.request), decision.changed, decision.request.status) == (
        wanted,
        not wanted,
        Status.WAITING,
    )


def test_call_now_does_not_end_by_time_while_its_phone_may_ring() -> None:
    assert not transition(called_now(), TimePassed(), NOW + 2 * CALL_NOW_LASTS).changed


def test_call_now_that_is_asked_for_again_changes_nothing_unless_another_phone_shall_ring() -> None:
    waiting = transition(make_request(), CalledNow("103"), NOW - MINUTE).request
    assert not transition(waiting, CalledNow("103"), NOW).changed
    assert wants_now(transition(waiting, CalledNow("102"), NOW).request)


def test_call_now_that_is_withdrawn_leaves_the_request_as_it_was() -> None:
    request = make_request(postponed_until=TOMORROW, not_before=TOMORROW)
    waiting = transition(request, CalledNow("102"), NOW).request
    assert transition(waiting, CallNowWithdrawn(), NOW) == Decision(request, changed=True)
    unclear = transition(waiting, CallNowWithdrawn(uncertain=True), NOW).request
    assert (unclear.status, wants_now(unclear)) == (Status.UNCERTAIN, False)
    ringing = transition(waiting, Claimed("a1"), NOW).request
    assert not transition(ringing, CallNowWithdrawn(), NOW).changed


# -- undone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.DIALLING, Status.CONNECTED])
def test_what_hung_up_a_phone_is_not_undone(status: Status) -> None:
    assert not transition(make_request(status=Status.CANCELLED), Undone(request_in(status)), NOW).changed


@pytest.mark.parametrize("status", [Status.WAITING, Status.UNCERTAIN])
def test_undone_change_leaves_no_trace_but_an_urgent_call_lasts_no_longer_than_its_hour(status: Status) -> None:
    before = replace(request_in(status), call_now=True, call_now_agent="102", call_now_at=NOW)
    ended = transition(before, MarkedDone(), NOW).request
    assert transition(ended, Undone(before), NOW + MINUTE).request == before
    assert not wants_now(transition(ended, Undone(before), NOW + CALL_NOW_LASTS).request)


@pytest.mark.parametrize("event", [Postponed(NOW + MINUTE), Reassigned(False, "103"), Cancelled(), MarkedDone()])
def test_another_wish_ends_call_now(event: Event) -> None:
    waiting = transition(make_request(), CalledNow("102"), NOW).request
    assert not wants_now(transition(waiting, event, NOW).request)


# -- pauses that grow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (3, 20), (7, 320), (8, 600), (9, 600), (999, 600)])
def test_pause_after_attempts_in_which_nothing_rang_grows(failures: int, seconds: int) -> None:
    decision = transition(make_dialling(), Ended("a1", Outcome.NOT_STARTED, Failures(failures, 1)), NOW)
    assert decision.request_pause_until == NOW + timedelta(seconds=seconds)
    assert decision.agent_pause_until == NOW + RECOVERY_PAUSE, "the request may itself be the reason"
    decision = transition(make_dialling(), Ended("a1", Outcome.AGENT_TAKEN, Failures(1, failures)), NOW)
    assert decision.request_pause_until == NOW + RECOVERY_PAUSE
    assert decision.agent_pause_until == NOW + timedelta(seconds=seconds), "the agent's line is the reason"


@pytest.mark.parametrize(
    ("agent_pause", "failures", "seconds"), [(60, 1, 60), (60, 3, 240), (60, 9, 600), (900, 9, 900)]
)
def test_agent_who_misses_is_left_alone_longer_for_this_request(agent_pause: int, failures: int, seconds: int) -> None:
    rules = make_rules(agent_pause=timedelta(seconds=agent_pause))
    ended = Ended("a1", Outcome.AGENT_NO_ANSWER, Failures(failures, 5))
    decision = transition(make_dialling(rules=rules), ended, NOW)
    assert decision.request_pause_until == NOW + timedelta(seconds=seconds)
    assert decision.agent_pause_until == NOW + rules.agent_pause, "other requests may succeed"


def test_agent_who_cannot_be_reached_is_not_tried_in_a_loop() -> None:
    ended = Ended("a1", Outcome.AGENT_UNREACHABLE, Failures(2, 3))
    decision = transition(make_dialling(rules=make_rules(agent_pause=timedelta(0))), ended, NOW)
    assert (decision.request_pause_until, decision.agent_pause_until) == (
        NOW + 2 * RECOVERY_PAUSE,
        NOW + 4 * RECOVERY_PAUSE,
    )


@pytest.mark.parametrize("outcome", [o for o in Outcome if o.side not in (Side.AGENT, Side.NOBODY)])
def test_other_outcomes_pause_no_agent(outcome: Outcome) -> None:
    decision = transition(make_dialling(), Ended("a1", outcome), NOW)
    assert (decision.agent_pause_until, decision.request_pause_until) == (None, None)


def test_missed_manual_call_keeps_the_pause_and_the_postponement() -> None:
    later = NOW + timedelta(hours=1)
    request = make_request(call_now=True, not_before=later, postponed_until=later)
    claimed = transition(request, Claimed("a1"), NOW).request
    missed = transition(claimed, Ended("a1", Outcome.AGENT_NO_ANSWER), NOW).request
    assert (missed.not_before, missed.postponed_until) == (later, later)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.WAITING])
def test_only_waiting_requests_are_claimed(status: Status) -> None:
    assert not transition(request_in(status), Claimed("a2"), NOW).changed


# Progress


def test_last_step_connects_the_request() -> None:
    request = make_dialling()
    for step, status in (
        (Step.AGENT_ANSWERED, Status.DIALLING),
        (Step.CUSTOMER_DIALLED, Status.DIALLING),
        (Step.CONNECTED, Status.CONNECTED),
    ):
        request = transition(request, Progressed("a1", step), NOW).request
        assert (request.step, request.status) == (step, status)


def test_steps_can_be_skipped_but_not_taken_back() -> None:
    dialled = transition(make_dialling(), Progressed("a1", Step.CUSTOMER_DIALLED), NOW).request
    assert dialled.step is Step.CUSTOMER_DIALLED
    for step in (Step.CLAIMED, Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED):
        assert not transition(dialled, Progressed("a1", step), NOW).changed


def test_progress_of_another_attempt_is_ignored() -> None:
    assert not transition(make_dialling("a2"), Progressed("a1", Step.CONNECTED), NOW).changed


def test_progress_of_a_request_without_a_step_is_ignored() -> None:
    assert not transition(make_dialling(step=None), Progressed("a1", Step.CONNECTED), NOW).changed


# Ends


@pytest.mark.parametrize("outcome", [each for each in AGENT_OUTCOMES if each is not Outcome.AGENT_MISSED_CUSTOMER])
def test_agent_outcome_counts_as_a_miss_and_pauses_the_agent(outcome: Outcome) -> None:
    request = make_dialling(customer_attempts=1, rules=make_rules(agent_pause=timedelta(seconds=45)))
    decision = transition(request, Ended("a1", outcome), NOW)
    assert (decision.request.agent_misses, decision.request.customer_attempts) == (1, 1)
    assert decision.request.status is Status.WAITING
    assert decision.request.not_before is None
    assert decision.agent_pause_until == NOW + timedelta(seconds=45)
    assert decision.request.last_outcome is outcome


def test_customer_who_waited_in_vain_is_called_again_by_an_agent_who_is_rung_first() -> None:
    """The call counts for both. One more takes place even if no retry is left, and it is the last one."""
    rules = make_rules(retries=0, retry_pauses=(7 * MINUTE,), agent_pause=timedelta(seconds=45))
    decision = transition(make_dialling(rules=rules), Ended("a1", Outcome.AGENT_MISSED_CUSTOMER), NOW)
    request = decision.request
    assert (request.status, request.customer_attempts, request.agent_misses) == (Status.WAITING, 1, 1)
    assert request.agent_first and request.not_before == NOW + 7 * MINUTE
    assert decision.agent_pause_until == NOW + timedelta(seconds=45)
    again = transition(request, Claimed("a2"), NOW).request
    last = transition(again, Ended("a2", Outcome.CUSTOMER_BUSY), NOW).request
    assert (last.status, last.agent_first) == (Status.FAILED, True)


@pytest.mark.parametrize(
    ("outcome", "agent_first"),
    [
        (Outcome.CUSTOMER_GONE, True),
        (Outcome.CUSTOMER_UNKNOWN, True),
        (Outcome.UNCLEAR, True),
        (Outcome.CUSTOMER_BUSY, False),
        (Outcome.CUSTOMER_SILENT, False),
    ],
)
def test_agent_is_rung_first_after_the_customer_has_perhaps_waited(outcome: Outcome, agent_first: bool) -> None:
    assert transition(make_dialling(), Ended("a1", outcome), NOW).request.agent_first is agent_first


@pytest.mark.parametrize("outcome", CUSTOMER_OUTCOMES)
def test_customer_outcome_counts_as_an_attempt_and_delays_the_next(outcome: Outcome) -> None:
    request = make_dialling(
        agent_misses=3, rules=make_rules(retries=1, retry_pauses=(timedelta(minutes=7),), busy_pause=None)
    )
    decision = transition(request, Ended("a1", outcome), NOW)
    assert (decision.request.agent_misses, decision.request.customer_attempts) == (3, 1)
    assert decision.request.status is Status.WAITING
    assert decision.request.not_before == NOW + timedelta(minutes=7)
    assert decision.agent_pause_until is None


def test_pauses_grow_with_each_customer_attempt_and_the_last_one_repeats() -> None:
    pauses = (5 * MINUTE, 15 * MINUTE, 30 * MINUTE)
    request = make_request(rules=make_rules(retries=5, retry_pauses=pauses))
    found = []
    for number in range(5):
        request = transition(request, Claimed(f"a{number}"), NOW).request
        request = transition(request, Ended(f"a{number}", Outcome.CUSTOMER_NO_ANSWER), NOW).request
        assert request.not_before is not None
        found.append(request.not_before - NOW)
    assert found == [*pauses, pauses[-1], pauses[-1]]
    assert request.rules.longest_retry_pause == pauses[-1]


def test_busy_customer_has_a_pause_of_their_own() -> None:
    rules = make_rules(retries=3, retry_pauses=(5 * MINUTE, 15 * MINUTE), busy_pause=20 * MINUTE)
    busy = transition(make_dialling(rules=rules), Ended("a1", Outcome.CUSTOMER_BUSY), NOW).request
    assert (busy.not_before, busy.customer_attempts) == (NOW + 20 * MINUTE, 1)
    again = transition(busy, Claimed("a2"), NOW).request
    missed = transition(again, Ended("a2", Outcome.CUSTOMER_NO_ANSWER), NOW).request
    assert missed.not_before == NOW + 15 * MINUTE, "the busy call was the first one"
    assert rules.longest_retry_pause == 20 * MINUTE


def test_misses_and_trouble_of_the_trunk_use_up_no_pause_of_the_list() -> None:
    rules = make_rules(retries=1, retry_pauses=(7 * MINUTE, 9 * MINUTE))
    request = make_request(rules=rules)
    for number, outcome in enumerate((Outcome.AGENT_REFUSED, Outcome.ROUTE_CONGESTED, Outcome.ROUTE_MISSING)):
        request = transition(request, Claimed(f"a{number}"), NOW).request
        request = transition(request, Ended(f"a{number}", outcome), NOW).request
    assert (request.customer_attempts, request.agent_misses, request.route_failures) == (0, 1, 2)
    request = transition(request, Claimed("a3"), NOW).request
    request = transition(request, Ended("a3", Outcome.CUSTOMER_NO_ANSWER), NOW).request
    assert (request.not_before, request.route_failures) == (NOW + 7 * MINUTE, 0)


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_request_fails_after_its_retries(retries: int) -> None:
    request = make_request(rules=make_rules(retries=retries))
    for number in range(retries + 1):
        assert request.status is Status.WAITING
        request = transition(request, Claimed(f"a{number}"), NOW).request
        request = transition(request, Ended(f"a{number}", Outcome.CUSTOMER_NO_ANSWER), NOW).request
        assert request.customer_attempts == number + 1
    assert request.status is Status.FAILED


@pytest.mark.parametrize(
    ("status", "outcome", "changes"),
    [
        (Status.CONNECTED, Outcome.CONNECTED, {"status": Status.DONE}),
        (Status.DIALLING, Outcome.CONNECTED, {"status": Status.DONE}),
        (Status.DIALLING, Outcome.CUSTOMER_BUSY, {"status": Status.FAILED, "customer_attempts": 3}),
    ],
)
def test_final_outcome_changes_nothing_else(status: Status, outcome: Outcome, changes: dict[str, Any]) -> None:
    request = replace(
        request_in(status),
        queue=True,
        target="sales",
        first_called_at=NOW,
        free_at=NOW,
        priority=1,
        customer_attempts=2,
        agent_misses=1,
        not_before=NOW,
        postponed_until=NOW,
        last_outcome=Outcome.AGENT_BUSY,
    )
    expected = replace(request, attempt=None, step=None, last_outcome=outcome, **changes)
    assert transition(request, Ended("a1", outcome), NOW) == Decision(expected, changed=True)


@pytest.mark.parametrize("outcome", NOBODY_OUTCOMES)
def test_attempt_in_which_nothing_rang_counts_against_nobody(outcome: Outcome) -> None:
    decision = transition(make_dialling(), Ended("a1", outcome), NOW)
    assert decision.request.status is Status.WAITING
    assert (decision.request.customer_attempts, decision.request.agent_misses) == (0, 0)
    # Without a pause, a line that only looks free would be dialled in a tight loop.
    assert decision.agent_pause_until == NOW + RECOVERY_PAUSE


@pytest.mark.parametrize("outcome", Outcome)
def test_connected_request_is_called_again_only_after_a_talk_that_was_too_short(outcome: Outcome) -> None:
    talking = transition(make_dialling(), Progressed("a1", Step.CONNECTED), NOW).request
    ended = transition(talking, Ended("a1", outcome), NOW).request
    counted = (ended.status, ended.last_outcome, ended.customer_attempts)
    if outcome is Outcome.CONNECTED:
        assert counted == (Status.DONE, outcome, 0)
    elif outcome is Outcome.TALK_TOO_SHORT:
        assert counted == (Status.WAITING, outcome, 1)
        assert ended.not_before == NOW + ended.rules.retry_pauses[0]
    else:
        assert counted == (Status.UNCERTAIN, Outcome.UNCLEAR, 0)


@pytest.mark.parametrize(
    ("at_least", "at_most", "outcome"),
    [
        (0.0, 4.9, Outcome.TALK_TOO_SHORT),
        (4.9, 4.9, Outcome.TALK_TOO_SHORT),
        (5.0, 5.0, Outcome.CONNECTED),
        (5.0, None, Outcome.CONNECTED),
        (0.0, 5.0, Outcome.UNCLEAR),
        (4.9, None, Outcome.UNCLEAR),
    ],
)
def test_talk_that_was_perhaps_long_enough_is_not_repeated(
    at_least: float, at_most: float | None, outcome: Outcome
) -> None:
    assert talk_outcome(at_least, at_most, shortest=5.0) is outcome


def test_any_connection_is_a_talk_if_the_office_sets_no_shortest_one() -> None:
    assert talk_outcome(0.0, None, shortest=0.0) is Outcome.CONNECTED


def test_uncertain_request_keeps_its_attempt_for_a_late_result() -> None:
    uncertain = transition(make_dialling(), Ended("a1", Outcome.UNCLEAR), NOW).request
    assert (uncertain.status, uncertain.attempt) == (Status.UNCERTAIN, "a1")
    assert not transition(uncertain, Ended("a1", Outcome.UNCLEAR), NOW).changed
    decided = transition(uncertain, Ended("a1", Outcome.CUSTOMER_BUSY), NOW).request
    assert (decided.status, decided.attempt, decided.customer_attempts) == (Status.WAITING, None, 1)


def test_end_of_another_attempt_is_ignored() -> None:
    request = make_dialling("a2")
    for outcome in Outcome:
        assert not transition(request, Ended("a1", outcome), NOW).changed


# Closing


@pytest.mark.parametrize("event", [Cancelled(), MarkedDone(), Reached()])
def test_closing_a_request_hangs_up_its_call(event: Event) -> None:
    decision = transition(make_dialling(), event, NOW)
    assert decision.hang_up == "a1"
    assert decision.request.status in FINAL
    assert (decision.request.attempt, decision.request.step) == (None, None)


@pytest.mark.parametrize("status", [Status.WAITING, Status.UNCERTAIN])
def test_closing_a_request_without_a_call_hangs_up_nothing(status: Status) -> None:
    assert transition(request_in(status), Cancelled(), NOW).hang_up is None


def test_closing_a_request_clears_call_now() -> None:
    closed = transition(make_request(call_now=True, call_now_agent="102"), Cancelled(), NOW).request
    assert (closed.call_now, closed.call_now_agent) == (False, None)


@pytest.mark.parametrize("event", [Cancelled(), MarkedDone(), Reached()])
def test_connected_request_cannot_be_closed(event: Event) -> None:
    assert not transition(request_in(Status.CONNECTED), event, NOW).changed


# Expiry


@pytest.mark.parametrize(("age", "expires"), [(59, False), (60, True), (61, True)])
def test_request_expires_at_its_time_limit(age: int, expires: bool) -> None:
    request = make_request(rules=make_rules(expire_after=timedelta(minutes=60)))
    decision = transition(request, TimePassed(), NOW + timedelta(minutes=age))
    assert decision.changed is expires
    assert (decision.request.status is Status.EXPIRED) is expires


def test_postponed_request_expires_its_time_limit_after_it_may_be_called() -> None:
    request = make_request(postponed_until=TOMORROW, rules=make_rules(expire_after=60 * MINUTE))
    assert request.expires_at == TOMORROW + 60 * MINUTE
    assert not transition(request, TimePassed(), TOMORROW + 59 * MINUTE).changed
    assert transition(request, TimePassed(), TOMORROW + 60 * MINUTE).request.status is Status.EXPIRED


def test_request_without_a_time_limit_never_expires() -> None:
    assert not transition(make_request(), TimePassed(), NOW + timedelta(days=3650)).changed


@pytest.mark.parametrize("status", sorted(IN_FLIGHT))
def test_request_in_flight_does_not_expire(status: Status) -> None:
    assert not transition(request_in(status), TimePassed(), NOW).changed


# Reopening


@pytest.mark.parametrize("status", sorted(REOPENABLE))
def test_reopened_request_waits_as_a_new_one_in_its_old_place(status: Status) -> None:
    ended = replace(
        request_in(status),
        first_called_at=NOW - timedelta(hours=3),
        free_at=NOW,
        priority=1,
        customer_attempts=3,
        agent_misses=2,
        route_failures=1,
        not_before=TOMORROW,
        postponed_until=TOMORROW,
        last_outcome=Outcome.CUSTOMER_BUSY,
    )
    expected = replace(
        ended,
        status=Status.WAITING,
        customer_attempts=0,
        agent_misses=0,
        route_failures=0,
        not_before=None,
        postponed_until=None,
        last_outcome=None,
        reopened_at=NOW,
    )
    assert transition(ended, Reopened(), NOW) == Decision(expected, changed=True)


def test_time_limit_starts_again_when_a_request_is_reopened() -> None:
    request = make_request(rules=make_rules(expire_after=timedelta(minutes=60)))
    assert request.expires_at == NOW + 60 * MINUTE
    expired = transition(request, TimePassed(), NOW + 60 * MINUTE).request
    reopened = transition(expired, Reopened(), NOW + 90 * MINUTE).request
    assert (reopened.opened_at, reopened.expires_at) == (NOW + 90 * MINUTE, NOW + 150 * MINUTE)
    assert not transition(reopened, TimePassed(), NOW + 149 * MINUTE).changed
    assert transition(reopened, TimePassed(), NOW + 150 * MINUTE).request.status is Status.EXPIRED
    registered = transition(reopened, Registered(), NOW + 120 * MINUTE).request
    assert registered.opened_at == NOW + 120 * MINUTE


def test_late_result_of_an_attempt_changes_no_reopened_request() -> None:
    uncertain = transition(request_in(Status.DIALLING), Ended("a1", Outcome.UNCLEAR), NOW).request
    reopened = transition(transition(uncertain, TimePassed(), NOW).request, Reopened(), NOW).request
    assert reopened.status is Status.WAITING
    assert not transition(reopened, Ended("a1", Outcome.CONNECTED), NOW).changed


# Rescheduling


def test_second_registration_ends_the_retry_pause() -> None:
    decision = transition(make_request(not_before=TOMORROW, customer_attempts=1), Registered(), NOW)
    assert decision.changed
    assert decision.request.not_before is None
    assert decision.request.customer_attempts == 1


def test_second_registration_without_a_pause_changes_only_its_time() -> None:
    request = make_request()
    again = transition(request, Registered(), NOW)
    assert again == Decision(replace(request, registered_again_at=NOW), changed=True)


def test_second_registration_refreshes_the_expiry() -> None:
    request = make_request(rules=make_rules(expire_after=timedelta(minutes=60)))
    half, whole = NOW + timedelta(minutes=30), NOW + timedelta(minutes=60)
    again = transition(request, Registered(), half).request
    assert not transition(again, TimePassed(), whole).changed
    assert not transition(again, TimePassed(), half + timedelta(minutes=59)).changed
    assert transition(again, TimePassed(), half + timedelta(minutes=60)).request.status is Status.EXPIRED


@pytest.mark.parametrize("status", [Status.WAITING, Status.UNCERTAIN])
def test_last_wish_of_the_caller_counts(status: Status) -> None:
    chosen = transition(replace(request_in(status), postponed_until=NOW), Registered(TOMORROW), NOW).request
    assert (chosen.postponed_until, chosen.time_chosen) == (TOMORROW, True)
    soon = transition(chosen, Registered(), NOW).request
    assert (soon.postponed_until, soon.time_chosen) == (None, False)
    by_the_office = transition(chosen, Postponed(TOMORROW + MINUTE), NOW).request
    assert (by_the_office.postponed_until, by_the_office.time_chosen) == (TOMORROW + MINUTE, False)
    assert transition(by_the_office, Registered(), NOW).request.postponed_until == TOMORROW + MINUTE


def test_time_that_was_chosen_during_an_attempt_holds_after_it() -> None:
    chosen = transition(make_dialling(), Registered(TOMORROW), NOW).request
    assert chosen.status is Status.DIALLING
    ended = transition(chosen, Ended("a1", Outcome.AGENT_NO_ANSWER), NOW).request
    assert (ended.status, ended.postponed_until, ended.time_chosen) == (Status.WAITING, TOMORROW, True)


def test_reopened_request_has_no_chosen_time_any_more() -> None:
    failed = replace(request_in(Status.FAILED), postponed_until=TOMORROW, time_chosen=True)
    reopened = transition(failed, Reopened(), NOW).request
    assert (reopened.postponed_until, reopened.time_chosen) == (None, False)


def again_in_flight(**changes: Any) -> Request:
    """Return a request that was registered again while its attempt was dialled, with counters and pauses."""
    values: dict[str, Any] = {"customer_attempts": 2, "agent_misses": 1, "not_before": NOW, "postponed_until": TOMORROW}
    return transition(make_dialling(**(values | changes)), Registered(), NOW).request


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.CONNECTED])
def test_request_registered_again_during_its_attempt_starts_again_after_it(outcome: Outcome) -> None:
    ended = transition(again_in_flight(rules=make_rules(retries=0)), Ended("a1", outcome), NOW).request
    assert (ended.status, ended.attempt, ended.last_outcome) == (Status.WAITING, None, outcome)
    assert (ended.customer_attempts, ended.agent_misses) == (0, 0)
    assert (ended.not_before, ended.postponed_until, ended.again) == (None, None, False)


def test_agent_who_missed_the_call_still_gets_a_pause() -> None:
    rules = make_rules(agent_pause=timedelta(seconds=45))
    missed = transition(again_in_flight(rules=rules), Ended("a1", Outcome.AGENT_NO_ANSWER), NOW)
    assert missed.agent_pause_until == NOW + timedelta(seconds=45)
    nothing_rang = transition(again_in_flight(), Ended("a1", Outcome.NOT_STARTED), NOW)
    assert nothing_rang.agent_pause_until == NOW + RECOVERY_PAUSE
    assert transition(again_in_flight(), Ended("a1", Outcome.CUSTOMER_BUSY), NOW).agent_pause_until is None


@pytest.mark.parametrize("connected", [True, False])
def test_talk_answers_what_was_registered_before_it(connected: bool) -> None:
    request = again_in_flight()
    if connected:
        request = transition(request, Progressed("a1", Step.CONNECTED), NOW).request
    ended = transition(request, Ended("a1", Outcome.CONNECTED), NOW).request
    assert (ended.status, ended.again) == (Status.DONE, False)


def test_talk_does_not_answer_what_was_registered_after_news_that_are_stored_late() -> None:
    """The news of a call wait to be stored, and the customer calls again meanwhile."""
    later = NOW + timedelta(seconds=1)
    again = transition(make_dialling(), Registered(), later).request
    talking = transition(again, Progressed("a1", Step.CONNECTED), NOW).request
    for request in (again, talking):
        ended = transition(request, Ended("a1", Outcome.CONNECTED), NOW + timedelta(milliseconds=500)).request
        assert (ended.status, ended.again) == (Status.WAITING, False)
    assert transition(again, Ended("a1", Outcome.CONNECTED), later).request.status is Status.DONE


@pytest.mark.parametrize("outcome", [Outcome.CONNECTED, Outcome.UNCLEAR, Outcome.TALK_TOO_SHORT])
def test_talk_does_not_answer_what_was_registered_during_it(outcome: Outcome) -> None:
    talking = transition(make_dialling(customer_attempts=2), Progressed("a1", Step.CONNECTED), NOW).request
    again = transition(talking, Registered(), NOW).request
    assert (again.status, again.attempt) == (Status.CONNECTED, "a1")
    ended = transition(again, Ended("a1", outcome), NOW)
    assert (ended.request.status, ended.request.customer_attempts) == (Status.WAITING, 0)
    assert (ended.request.last_outcome, ended.agent_pause_until) == (outcome, None)


def test_second_attempt_does_not_start_again() -> None:
    """One registration during an attempt counts once."""
    waiting = transition(again_in_flight(), Ended("a1", Outcome.CUSTOMER_BUSY), NOW).request
    second = transition(waiting, Claimed("a2"), NOW).request
    assert transition(second, Ended("a2", Outcome.CUSTOMER_BUSY), NOW).request.customer_attempts == 1


@pytest.mark.parametrize("event", [Cancelled(), MarkedDone(), Reached()])
def test_closing_a_request_also_closes_what_was_registered_during_its_attempt(event: Event) -> None:
    closed = transition(again_in_flight(), event, NOW).request
    assert closed.status in FINAL
    assert not closed.again


def test_second_registration_keeps_the_postponement() -> None:
    assert transition(make_request(postponed_until=TOMORROW), Registered(), NOW).request.postponed_until == TOMORROW


def test_call_now_stores_its_agent() -> None:
    request = transition(make_request(), CalledNow("102"), NOW).request
    assert (request.call_now, request.call_now_agent) == (True, "102")
    assert transition(request, CalledNow(), NOW).request.call_now_agent is None


def test_postponing_clears_call_now() -> None:
    request = transition(make_request(call_now=True, call_now_agent="102"), Postponed(TOMORROW), NOW).request
    assert request.postponed_until == TOMORROW
    assert (request.call_now, request.call_now_agent) == (False, None)


@pytest.mark.parametrize("event", [Registered(), CalledNow(), Postponed(TOMORROW)])
def test_rescheduled_uncertain_request_waits_without_its_attempt(event: Event) -> None:
    waiting = transition(request_in(Status.UNCERTAIN), event, NOW).request
    assert (waiting.status, waiting.attempt, waiting.step) == (Status.WAITING, None, None)
    # A late end of the old attempt must not count.
    assert not transition(waiting, Ended("a1", Outcome.CUSTOMER_BUSY), NOW).changed


def test_wanted_extensions() -> None:
    assert make_request(target="101", extensions=("101", "102")).wanted == ("101",)
    assert make_request(target="", extensions=("101", "102")).wanted == ("101", "102")
    assert make_request(target="sales", queue=True).wanted == ()


# Reassigning and priority


def test_reassigning_clears_what_belonged_to_the_old_target() -> None:
    request = make_request(free_at=NOW, call_now=True, call_now_agent="101", not_before=TOMORROW, customer_attempts=1)
    moved = transition(request, Reassigned(True, "support"), NOW).request
    assert (moved.queue, moved.target) == (True, "support")
    assert (moved.free_at, moved.call_now, moved.call_now_agent) == (None, False, None)
    assert (moved.not_before, moved.customer_attempts) == (TOMORROW, 1)  # these belong to the customer


def test_reassigned_uncertain_request_waits_again() -> None:
    moved = transition(request_in(Status.UNCERTAIN), Reassigned(False, "102"), NOW).request
    assert (moved.status, moved.attempt, moved.wanted) == (Status.WAITING, None, ("102",))


def test_reassigning_to_the_same_target_changes_nothing() -> None:
    request = make_request(target="101", free_at=NOW)
    assert not transition(request, Reassigned(False, "101"), NOW).changed


def test_priority_changes_nothing_else() -> None:
    request = make_dialling()
    assert transition(request, Prioritised(1), NOW).request == replace(request, priority=1)


# Routes


def test_failure_of_the_route_counts_against_nobody_and_delays_the_request_longer_each_time() -> None:
    request, now, pauses = make_request(customer_attempts=1, agent_misses=1), NOW, []
    for number in range(7):
        request = transition(request, Claimed(f"a{number}"), now).request
        decision = transition(request, Ended(f"a{number}", Outcome.ROUTE_CONGESTED), now)
        request = decision.request
        assert (request.status, request.customer_attempts, request.agent_misses) == (Status.WAITING, 1, 1)
        assert decision.agent_pause_until is None, "the agent did nothing wrong"
        assert request.not_before is not None
        pauses.append(int((request.not_before - now).total_seconds()))
        now = request.not_before
    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    request = transition(transition(request, Claimed("b"), now).request, Ended("b", Outcome.CUSTOMER_BUSY), now).request
    assert (request.route_failures, request.customer_attempts) == (0, 2)


# Office hours


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, True),
        ({"registered_at": NOW}, False),  # after the closing: for the next opening
        ({"registered_again_at": NOW}, False),
        ({"reopened_at": NOW}, False),
        ({"postponed_until": NOW + timedelta(days=1)}, False),
        ({"call_now": True, "call_now_at": NOW}, False),
        ({"status": Status.UNCERTAIN}, False),
    ],
)
def test_a_request_ends_at_the_closing_if_its_module_wants_it(changes: dict[str, Any], ends: bool) -> None:
    request = make_request(**{"registered_at": NOW - timedelta(hours=2)} | changes)

    def at_closing(what: AtClosing, customer_attempts: int = 1) -> Status:
        open_then = replace(request, customer_attempts=customer_attempts, rules=make_rules(at_closing=what))
        assert not transition(open_then, TimePassed(), NOW).changed
        return transition(open_then, TimePassed(NOW - timedelta(hours=1)), NOW).request.status

    assert at_closing(AtClosing.CARRY_OVER) is request.status
    assert at_closing(AtClosing.EXPIRE) is (Status.EXPIRED if ends else request.status)
    assert at_closing(AtClosing.GIVE_UP) is (Status.FAILED if ends else request.status)
    assert at_closing(AtClosing.GIVE_UP, customer_attempts=0) is request.status
