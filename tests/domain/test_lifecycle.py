"""The life of a request: what each event makes of it, in every status."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.lifecycle import (
    ACTIVE,
    FINAL,
    IN_FLIGHT,
    RECOVERY_PAUSE,
    CalledNow,
    Cancelled,
    Claimed,
    Ended,
    Event,
    MarkedDone,
    Outcome,
    Postponed,
    Prioritised,
    Progressed,
    Reached,
    Reassigned,
    Registered,
    Request,
    Side,
    Status,
    Step,
    TimePassed,
    transition,
)
from tests.support.factories import NOW, make_dialling, make_request, make_rules

TOMORROW = NOW + timedelta(days=1)
AGENT_OUTCOMES = [outcome for outcome in Outcome if outcome.side is Side.AGENT]
CUSTOMER_OUTCOMES = [outcome for outcome in Outcome if outcome.side is Side.CUSTOMER]
NOBODY_OUTCOMES = [outcome for outcome in Outcome if outcome.side is Side.NOBODY]

EVENTS: dict[str, Event] = {
    "claimed": Claimed("a2"),
    "progressed": Progressed("a1", Step.CONNECTED),
    "ended": Ended("a1", Outcome.CUSTOMER_BUSY),
    "ended_connected": Ended("a1", Outcome.CONNECTED),
    "ended_unclear": Ended("a1", Outcome.UNCLEAR),
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
}

# The status each event leads to; an event that is not named changes nothing.
TABLE: dict[Status, dict[str, Status]] = {
    Status.WAITING: {
        "claimed": Status.DIALLING,
        "reached": Status.DONE,
        "marked_done": Status.DONE,
        "cancelled": Status.CANCELLED,
        "time_passed": Status.EXPIRED,
        "called_now": Status.WAITING,
        "postponed": Status.WAITING,
        "reassigned": Status.WAITING,
        "prioritised": Status.WAITING,
    },
    Status.DIALLING: {
        "progressed": Status.CONNECTED,
        "ended": Status.WAITING,
        "ended_connected": Status.DONE,
        "ended_unclear": Status.UNCERTAIN,
        "reached": Status.DONE,
        "marked_done": Status.DONE,
        "cancelled": Status.CANCELLED,
        "prioritised": Status.DIALLING,
    },
    Status.CONNECTED: {
        "prioritised": Status.CONNECTED,
        "ended": Status.DONE,
        "ended_connected": Status.DONE,
        "ended_unclear": Status.DONE,
    },
    Status.UNCERTAIN: {
        "ended": Status.WAITING,
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
    },
} | {status: {} for status in FINAL}


def request_in(status: Status) -> Request:
    """A request of this status as the rules leave one: with an attempt where the status has one. It has outlived
    its time."""
    request = make_request(
        registered_at=NOW - timedelta(hours=2), status=status, rules=make_rules(expire_after=timedelta(hours=1))
    )
    if status in IN_FLIGHT:
        step = Step.CONNECTED if status is Status.CONNECTED else Step.CLAIMED
        return replace(request, attempt="a1", step=step)
    return replace(request, attempt="a1") if status is Status.UNCERTAIN else request


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("status", Status)
def test_every_event_is_answered_in_every_status(status: Status, name: str) -> None:
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
def test_a_repeated_event_changes_nothing_the_second_time(status: Status, name: str) -> None:
    once = transition(request_in(status), EVENTS[name], NOW).request
    assert not transition(once, EVENTS[name], NOW).changed


def test_the_statuses_are_active_or_final() -> None:
    assert set(Status) == ACTIVE | FINAL
    assert not ACTIVE & FINAL
    assert IN_FLIGHT < ACTIVE


def test_every_outcome_is_counted_against_the_side_its_name_says() -> None:
    for outcome in Outcome:
        if outcome.value.startswith("customer_"):
            assert outcome.side is Side.CUSTOMER
    assert {outcome.value for outcome in AGENT_OUTCOMES} == {
        "agent_busy",
        "agent_no_answer",
        "agent_rejected",
        "agent_unreachable",
        "agent_refused",
        "agent_silent",
        "agent_gone",
    }
    assert set(NOBODY_OUTCOMES) == {Outcome.NOT_STARTED, Outcome.AGENT_TAKEN, Outcome.WITHDRAWN}
    assert Outcome.CONNECTED.side is Side.REACHED
    assert Outcome.UNCLEAR.side is Side.UNCLEAR


# Claims


def test_a_claim_names_the_attempt_and_spends_the_wishes_that_led_to_it() -> None:
    request = make_request(call_now=True, call_now_agent="102", not_before=NOW, postponed_until=NOW)
    claimed = transition(request, Claimed("a1"), NOW).request
    assert (claimed.attempt, claimed.step) == ("a1", Step.CLAIMED)
    assert (claimed.call_now, claimed.call_now_agent) == (False, None)


def test_a_call_by_hand_that_the_agent_misses_does_not_end_the_pause_or_the_postponement() -> None:
    later = NOW + timedelta(hours=1)
    request = make_request(call_now=True, not_before=later, postponed_until=later)
    claimed = transition(request, Claimed("a1"), NOW).request
    missed = transition(claimed, Ended("a1", Outcome.AGENT_NO_ANSWER), NOW).request
    assert (missed.not_before, missed.postponed_until) == (later, later)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.WAITING])
def test_only_a_waiting_request_is_claimed(status: Status) -> None:
    assert not transition(request_in(status), Claimed("a2"), NOW).changed


# Progress


def test_the_steps_follow_each_other_and_the_last_one_connects() -> None:
    request = make_dialling()
    for step, status in (
        (Step.AGENT_ANSWERED, Status.DIALLING),
        (Step.CUSTOMER_DIALLED, Status.DIALLING),
        (Step.CONNECTED, Status.CONNECTED),
    ):
        request = transition(request, Progressed("a1", step), NOW).request
        assert (request.step, request.status) == (step, status)


def test_a_step_may_be_skipped_but_never_taken_back() -> None:
    dialled = transition(make_dialling(), Progressed("a1", Step.CUSTOMER_DIALLED), NOW).request
    assert dialled.step is Step.CUSTOMER_DIALLED
    for step in (Step.CLAIMED, Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED):
        assert not transition(dialled, Progressed("a1", step), NOW).changed


def test_progress_of_another_attempt_is_late() -> None:
    assert not transition(make_dialling("a2"), Progressed("a1", Step.CONNECTED), NOW).changed


def test_progress_of_a_request_without_a_step_changes_nothing() -> None:
    assert not transition(make_dialling(step=None), Progressed("a1", Step.CONNECTED), NOW).changed


# Ends


@pytest.mark.parametrize("outcome", AGENT_OUTCOMES)
def test_an_agent_miss_is_counted_apart_and_pauses_the_agent(outcome: Outcome) -> None:
    request = make_dialling(customer_attempts=1, rules=make_rules(agent_pause=timedelta(seconds=45)))
    decision = transition(request, Ended("a1", outcome), NOW)
    assert (decision.request.agent_misses, decision.request.customer_attempts) == (1, 1)
    assert decision.request.status is Status.WAITING
    assert decision.request.not_before is None
    assert decision.agent_pause_until == NOW + timedelta(seconds=45)
    assert decision.request.last_outcome is outcome


@pytest.mark.parametrize("outcome", CUSTOMER_OUTCOMES)
def test_a_customer_attempt_is_repeated_after_the_pause(outcome: Outcome) -> None:
    request = make_dialling(agent_misses=3, rules=make_rules(retries=1, retry_pause=timedelta(minutes=7)))
    decision = transition(request, Ended("a1", outcome), NOW)
    assert (decision.request.agent_misses, decision.request.customer_attempts) == (3, 1)
    assert decision.request.status is Status.WAITING
    assert decision.request.not_before == NOW + timedelta(minutes=7)
    assert decision.agent_pause_until is None


def test_n_retries_are_n_plus_one_customer_attempts() -> None:
    request = make_request(rules=make_rules(retries=2))
    for number in range(3):
        request = transition(request, Claimed(f"a{number}"), NOW).request
        request = transition(request, Ended(f"a{number}", Outcome.CUSTOMER_NO_ANSWER), NOW).request
        assert request.customer_attempts == number + 1
        assert request.status is (Status.FAILED if number == 2 else Status.WAITING)
    assert request.attempt is None


def test_without_retries_the_first_customer_attempt_is_the_last() -> None:
    decision = transition(make_dialling(rules=make_rules(retries=0)), Ended("a1", Outcome.CUSTOMER_BUSY), NOW)
    assert (decision.request.status, decision.request.customer_attempts) == (Status.FAILED, 1)


@pytest.mark.parametrize("outcome", NOBODY_OUTCOMES)
def test_an_attempt_in_which_nothing_rang_counts_against_nobody(outcome: Outcome) -> None:
    decision = transition(make_dialling(), Ended("a1", outcome), NOW)
    assert decision.request.status is Status.WAITING
    assert (decision.request.customer_attempts, decision.request.agent_misses) == (0, 0)
    # Without a pause a line that only looks free would make us dial in a circle.
    assert decision.agent_pause_until == NOW + RECOVERY_PAUSE


@pytest.mark.parametrize("outcome", Outcome)
def test_once_the_two_talked_nothing_that_comes_later_takes_it_back(outcome: Outcome) -> None:
    talking = transition(make_dialling(), Progressed("a1", Step.CONNECTED), NOW).request
    ended = transition(talking, Ended("a1", outcome), NOW).request
    assert (ended.status, ended.last_outcome, ended.customer_attempts) == (Status.DONE, Outcome.CONNECTED, 0)


def test_an_unclear_attempt_is_kept_by_name_so_that_the_truth_can_still_arrive() -> None:
    uncertain = transition(make_dialling(), Ended("a1", Outcome.UNCLEAR), NOW).request
    assert (uncertain.status, uncertain.attempt) == (Status.UNCERTAIN, "a1")
    assert not transition(uncertain, Ended("a1", Outcome.UNCLEAR), NOW).changed
    truth = transition(uncertain, Ended("a1", Outcome.CUSTOMER_BUSY), NOW).request
    assert (truth.status, truth.attempt, truth.customer_attempts) == (Status.WAITING, None, 1)


def test_the_end_of_another_attempt_is_late() -> None:
    request = make_dialling("a2")
    for outcome in Outcome:
        assert not transition(request, Ended("a1", outcome), NOW).changed


# Closing


@pytest.mark.parametrize("event", [Cancelled(), MarkedDone(), Reached()])
def test_closing_a_request_that_is_being_dialled_hangs_its_call_up(event: Event) -> None:
    decision = transition(make_dialling(), event, NOW)
    assert decision.hang_up == "a1"
    assert decision.request.status in FINAL
    assert (decision.request.attempt, decision.request.step) == (None, None)


@pytest.mark.parametrize("status", [Status.WAITING, Status.UNCERTAIN])
def test_closing_a_request_without_a_call_hangs_nothing_up(status: Status) -> None:
    assert transition(request_in(status), Cancelled(), NOW).hang_up is None


def test_a_closed_request_forgets_the_wish_to_call_now() -> None:
    closed = transition(make_request(call_now=True, call_now_agent="102"), Cancelled(), NOW).request
    assert (closed.call_now, closed.call_now_agent) == (False, None)


@pytest.mark.parametrize("event", [Cancelled(), MarkedDone(), Reached()])
def test_nobody_closes_a_request_while_the_two_talk(event: Event) -> None:
    assert not transition(request_in(Status.CONNECTED), event, NOW).changed


# Expiry


@pytest.mark.parametrize(("age", "expires"), [(59, False), (60, True), (61, True)])
def test_a_request_expires_at_the_moment_its_module_says(age: int, expires: bool) -> None:
    request = make_request(rules=make_rules(expire_after=timedelta(minutes=60)))
    decision = transition(request, TimePassed(), NOW + timedelta(minutes=age))
    assert decision.changed is expires
    assert (decision.request.status is Status.EXPIRED) is expires


def test_a_request_without_a_limit_never_expires() -> None:
    assert not transition(make_request(), TimePassed(), NOW + timedelta(days=3650)).changed


@pytest.mark.parametrize("status", sorted(IN_FLIGHT))
def test_a_request_with_a_call_under_way_does_not_expire(status: Status) -> None:
    assert not transition(request_in(status), TimePassed(), NOW).changed


# Wishes


def test_asking_again_ends_the_pause_before_the_next_attempt() -> None:
    decision = transition(make_request(not_before=TOMORROW, customer_attempts=1), Registered(), NOW)
    assert decision.changed
    assert decision.request.not_before is None
    assert decision.request.customer_attempts == 1


def test_asking_again_changes_nothing_where_nothing_is_held() -> None:
    assert not transition(make_request(), Registered(), NOW).changed


def test_asking_again_does_not_undo_what_a_person_postponed() -> None:
    assert transition(make_request(postponed_until=TOMORROW), Registered(), NOW).request.postponed_until == TOMORROW


def test_call_now_remembers_who_wished_to_call() -> None:
    request = transition(make_request(), CalledNow("102"), NOW).request
    assert (request.call_now, request.call_now_agent) == (True, "102")
    assert transition(request, CalledNow(), NOW).request.call_now_agent is None


def test_postponing_takes_back_the_wish_to_call_now() -> None:
    request = transition(make_request(call_now=True, call_now_agent="102"), Postponed(TOMORROW), NOW).request
    assert request.postponed_until == TOMORROW
    assert (request.call_now, request.call_now_agent) == (False, None)


@pytest.mark.parametrize("event", [Registered(), CalledNow(), Postponed(TOMORROW)])
def test_a_wish_wakes_an_uncertain_request_and_forgets_its_attempt(event: Event) -> None:
    awake = transition(request_in(Status.UNCERTAIN), event, NOW).request
    assert (awake.status, awake.attempt, awake.step) == (Status.WAITING, None, None)
    # The old attempt's end comes too late to count against the one that follows.
    assert not transition(awake, Ended("a1", Outcome.CUSTOMER_BUSY), NOW).changed


def test_the_wanted_extensions_are_the_one_reached_or_else_any_of_the_module() -> None:
    assert make_request(target="101", extensions=("101", "102")).wanted == ("101",)
    assert make_request(target="", extensions=("101", "102")).wanted == ("101", "102")
    assert make_request(target="sales", queue=True).wanted == ()


# Another to serve it, another place in line


def test_who_serves_it_instead_is_waited_for_anew() -> None:
    request = make_request(free_at=NOW, call_now=True, call_now_agent="101", not_before=TOMORROW, customer_attempts=1)
    moved = transition(request, Reassigned(True, "support"), NOW).request
    assert (moved.queue, moved.target) == (True, "support")
    assert (moved.free_at, moved.call_now, moved.call_now_agent) == (None, False, None)
    assert (moved.not_before, moved.customer_attempts) == (TOMORROW, 1)  # the customer is the same


def test_an_uncertain_request_that_is_given_to_another_waits_again() -> None:
    moved = transition(request_in(Status.UNCERTAIN), Reassigned(False, "102"), NOW).request
    assert (moved.status, moved.attempt, moved.wanted) == (Status.WAITING, None, ("102",))


def test_given_to_whom_it_has_already_it_stays_as_it_is() -> None:
    request = make_request(target="101", free_at=NOW)
    assert not transition(request, Reassigned(False, "101"), NOW).changed


def test_a_priority_touches_nothing_else() -> None:
    request = make_dialling()
    assert transition(request, Prioritised(1), NOW).request == replace(request, priority=1)
