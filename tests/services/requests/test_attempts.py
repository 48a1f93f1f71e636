"""What becomes of an attempt: each piece of news counts once, and the first word about the end counts."""

from datetime import timedelta

import pytest

from app.config import Settings
from app.domain.lifecycle import RECOVERY_PAUSE, CalledNow, Cancelled, Outcome, Side, Status, Step
from app.services.requests.attempts import AttemptInFlight, claim_due, end, in_flight, mark_records_deleted, progress
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module
from tests.support.factories import (
    NOW,
    at_once,
    create_attempt,
    create_module,
    create_request,
    history_of,
    make_facts,
    make_line,
    reload,
    wish,
)

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
OTHER = "+989127654321"
LATER = NOW + 30 * SECOND
AGENT = [outcome for outcome in Outcome if outcome.side is Side.AGENT]
CUSTOMER = [outcome for outcome in Outcome if outcome.side is Side.CUSTOMER]


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database, retries=1, retry_pause=300, agent_pause=60)


@pytest.fixture
def request_row(database: Database, module: Module) -> CallRequest:
    return create_request(
        database, module, target="101", status=Status.DIALLING.value, attempt="a1", step=Step.CLAIMED.value
    )


@pytest.fixture
def attempt(database: Database, request_row: CallRequest) -> Attempt:
    return create_attempt(database, request_row, id="a1", agent="101")


def events_of(database: Database, row: CallRequest) -> list[str]:
    return [entry.event for entry in history_of(database, row.id)]


# Progress


def test_each_step_is_recorded_with_its_moment(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    for number, step in enumerate((Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED, Step.CONNECTED), 1):
        progress(database, "a1", step, NOW + number * SECOND)
        assert reload(database, request_row).step == step.value
    row = reload(database, attempt)
    assert (row.answered_at, row.dialled_at, row.connected_at) == tuple(NOW + n * SECOND for n in (1, 2, 3))
    assert reload(database, request_row).status == "connected"
    assert events_of(database, request_row) == ["agent_answered", "customer_dialled", "connected"]


def test_a_repeated_step_changes_nothing(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    progress(database, "a1", Step.AGENT_ANSWERED, NOW)
    before = reload(database, request_row).version
    progress(database, "a1", Step.AGENT_ANSWERED, LATER)
    assert reload(database, attempt).answered_at == NOW
    assert reload(database, request_row).version == before
    assert events_of(database, request_row) == ["agent_answered"]


def test_a_step_that_overtook_another_is_not_taken_back(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    progress(database, "a1", Step.CONNECTED, NOW)
    progress(database, "a1", Step.CUSTOMER_DIALLED, LATER)
    row = reload(database, request_row)
    assert (row.status, row.step) == ("connected", "connected")


def test_the_first_step_of_all_has_no_moment_of_its_own(database: Database, attempt: Attempt) -> None:
    progress(database, "a1", Step.CLAIMED, LATER)
    row = reload(database, attempt)
    assert (row.answered_at, row.dialled_at, row.connected_at) == (None, None, None)


def test_progress_of_an_ended_attempt_is_late(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    end(database, "a1", Outcome.AGENT_NO_ANSWER, NOW)
    progress(database, "a1", Step.CONNECTED, LATER)
    assert reload(database, attempt).connected_at is None
    assert reload(database, request_row).status == "waiting"


def test_news_of_an_attempt_that_nobody_knows_change_nothing(database: Database, request_row: CallRequest) -> None:
    progress(database, "unknown", Step.CONNECTED, NOW)
    end(database, "unknown", Outcome.CONNECTED, NOW)
    assert reload(database, request_row).version == request_row.version


# The end


@pytest.mark.parametrize("outcome", AGENT)
def test_an_agent_miss_is_recorded_with_the_agents_pause(
    database: Database, request_row: CallRequest, attempt: Attempt, outcome: Outcome
) -> None:
    end(database, "a1", outcome, NOW, "17 User busy")
    row = reload(database, attempt)
    assert (row.ended_at, row.outcome, row.cause) == (NOW, outcome.value, "17 User busy")
    assert row.agent_pause_until == NOW + MINUTE
    request = reload(database, request_row)
    assert (request.status, request.attempt, request.agent_misses, request.customer_attempts) == ("waiting", None, 1, 0)
    (entry,) = history_of(database, request_row.id)
    assert (entry.event, entry.detail, entry.attempt) == ("ended", outcome.value, "a1")


@pytest.mark.parametrize("outcome", CUSTOMER)
def test_a_customer_attempt_is_recorded_with_the_pause_before_the_next(
    database: Database, request_row: CallRequest, attempt: Attempt, outcome: Outcome
) -> None:
    end(database, "a1", outcome, NOW)
    request = reload(database, request_row)
    assert (request.status, request.customer_attempts, request.agent_misses) == ("waiting", 1, 0)
    assert request.not_before == NOW + 5 * MINUTE
    assert request.last_outcome == outcome.value
    assert reload(database, attempt).agent_pause_until is None


def test_after_the_last_retry_the_request_has_failed(
    database: Database, request_row: CallRequest, module: Module, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.CUSTOMER_BUSY, NOW)
    with database.write() as session:
        row = session.get_one(CallRequest, request_row.id)
        row.status, row.attempt, row.step = "dialling", "a2", "claimed"
    create_attempt(database, request_row, id="a2")
    end(database, "a2", Outcome.CUSTOMER_NO_ANSWER, LATER)
    request = reload(database, request_row)
    assert (request.status, request.customer_attempts, request.done_at) == ("failed", 2, LATER)


def test_who_talked_is_done(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    progress(database, "a1", Step.CONNECTED, NOW)
    end(database, "a1", Outcome.CUSTOMER_ABANDONED, LATER)  # whatever the exchange calls the end of a talk
    assert reload(database, attempt).outcome == "connected"
    request = reload(database, request_row)
    assert (request.status, request.done_at, request.last_outcome) == ("done", LATER, "connected")


def test_an_attempt_in_which_nothing_rang_counts_for_nobody(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.NOT_STARTED, NOW)
    request = reload(database, request_row)
    assert (request.status, request.customer_attempts, request.agent_misses) == ("waiting", 0, 0)
    assert reload(database, attempt).agent_pause_until == NOW + RECOVERY_PAUSE


@pytest.mark.parametrize("first", [outcome for outcome in Outcome if outcome is not Outcome.UNCLEAR])
@pytest.mark.parametrize("second", [Outcome.CONNECTED, Outcome.CUSTOMER_BUSY, Outcome.AGENT_BUSY, Outcome.UNCLEAR])
def test_the_first_word_about_the_end_counts(
    database: Database, request_row: CallRequest, attempt: Attempt, first: Outcome, second: Outcome
) -> None:
    end(database, "a1", first, NOW, "first")
    before = reload(database, request_row)
    end(database, "a1", second, LATER, "second")
    row = reload(database, attempt)
    assert (row.outcome, row.ended_at, row.cause) == (first.value, NOW, "first")
    assert reload(database, request_row).version == before.version
    assert events_of(database, request_row) == ["ended"]


def test_the_same_end_told_by_many_at_once_counts_once(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    at_once([lambda: end(database, "a1", Outcome.CUSTOMER_BUSY, NOW)] * 8)
    assert reload(database, request_row).customer_attempts == 1
    assert events_of(database, request_row) == ["ended"]


def test_the_end_of_an_earlier_attempt_does_not_touch_the_present_one(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    create_attempt(database, request_row, id="a0", ended_at=NOW, outcome=Outcome.AGENT_BUSY.value)
    end(database, "a0", Outcome.CONNECTED, LATER)
    request = reload(database, request_row)
    assert (request.status, request.attempt) == ("dialling", "a1")


def test_an_overlong_cause_does_not_lose_the_end(database: Database, attempt: Attempt) -> None:
    end(database, "a1", Outcome.AGENT_BUSY, NOW, "x" * 200)
    assert reload(database, attempt).cause == "x" * 80


# Unclear ends


def test_an_unclear_end_is_shown_and_never_dialled_again_by_itself(
    database: Database, office: Settings, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW)
    request = reload(database, request_row)
    assert (request.status, request.attempt) == ("uncertain", "a1")
    assert reload(database, attempt).outcome == "unclear"
    later = NOW + timedelta(hours=1)
    assert claim_due(database, office, make_facts([make_line("101")], now=later), later).orders == ()


@pytest.mark.parametrize(
    ("truth", "status", "counted"),
    [
        (Outcome.CONNECTED, "done", (0, 0)),
        (Outcome.CUSTOMER_BUSY, "waiting", (1, 0)),
        (Outcome.AGENT_NO_ANSWER, "waiting", (0, 1)),
        (Outcome.NOT_STARTED, "waiting", (0, 0)),
    ],
)
def test_an_unclear_end_is_corrected_when_the_truth_arrives(
    database: Database,
    request_row: CallRequest,
    attempt: Attempt,
    truth: Outcome,
    status: str,
    counted: tuple[int, int],
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW)
    end(database, "a1", truth, LATER, "found out")
    request, row = reload(database, request_row), reload(database, attempt)
    assert (request.status, (request.customer_attempts, request.agent_misses)) == (status, counted)
    assert (row.outcome, row.cause) == (truth.value, "found out")
    end(database, "a1", Outcome.CUSTOMER_REJECTED, LATER)  # and the truth is not corrected again
    assert reload(database, attempt).outcome == truth.value


def test_an_unclear_word_is_not_corrected_by_another_unclear_word(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW, "first")
    end(database, "a1", Outcome.UNCLEAR, LATER, "second")
    row = reload(database, attempt)
    assert (row.ended_at, row.cause) == (NOW, "first")


def test_the_truth_about_an_unclear_attempt_is_kept_although_the_request_was_closed_since(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    """The call had ended before the request did, so it was not ours to end."""
    end(database, "a1", Outcome.UNCLEAR, NOW)
    wish(database, request_row.id, Cancelled())
    end(database, "a1", Outcome.CUSTOMER_BUSY, LATER)
    assert reload(database, attempt).outcome == "customer_busy"
    assert reload(database, request_row).status == "cancelled"


def test_the_truth_that_arrives_after_a_new_attempt_began_does_not_touch_it(
    database: Database, office: Settings, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW)
    wish(database, request_row.id, CalledNow())
    (order,) = claim_due(database, office, make_facts([make_line("101")]), NOW).orders
    end(database, "a1", Outcome.CUSTOMER_BUSY, LATER)
    request = reload(database, request_row)
    assert (request.status, request.attempt, request.customer_attempts) == ("dialling", order.attempt, 0)
    assert reload(database, attempt).outcome == "customer_busy"


# Withdrawn


@pytest.mark.parametrize("outcome", [*CUSTOMER, *AGENT, Outcome.NOT_STARTED, Outcome.UNCLEAR])
def test_the_end_of_a_cancelled_call_is_ours(
    database: Database, request_row: CallRequest, attempt: Attempt, outcome: Outcome
) -> None:
    wish(database, request_row.id, Cancelled())
    end(database, "a1", outcome, LATER)
    row, request = reload(database, attempt), reload(database, request_row)
    assert (row.outcome, row.ended_at, row.agent_pause_until) == ("withdrawn", LATER, None)
    assert (request.status, request.customer_attempts, request.agent_misses) == ("cancelled", 0, 0)


def test_a_cancelled_call_that_was_answered_all_the_same_says_so(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    wish(database, request_row.id, Cancelled())
    end(database, "a1", Outcome.CONNECTED, LATER)
    assert reload(database, attempt).outcome == "connected"
    assert reload(database, request_row).status == "cancelled"


# Flights


@pytest.mark.parametrize(
    ("reached", "step"),
    [
        ([], Step.CLAIMED),
        ([Step.AGENT_ANSWERED], Step.AGENT_ANSWERED),
        ([Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED], Step.CUSTOMER_DIALLED),
        ([Step.CONNECTED], Step.CONNECTED),
    ],
)
def test_a_flight_says_how_far_it_has_come(
    database: Database, attempt: Attempt, reached: list[Step], step: Step
) -> None:
    for each in reached:
        progress(database, "a1", each, NOW)
    assert in_flight(database) == [AttemptInFlight("a1", step, NOW, withdrawn=False)]


def test_a_flight_whose_request_has_ended_is_withdrawn_and_an_ended_one_is_none(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    wish(database, request_row.id, Cancelled())
    assert in_flight(database) == [AttemptInFlight("a1", Step.CLAIMED, NOW, withdrawn=True)]
    end(database, "a1", Outcome.WITHDRAWN, NOW)
    assert in_flight(database) == []


# Traces


def test_cleared_traces_are_noted_once_told(database: Database, module: Module) -> None:
    request = create_request(database, module, number=OTHER)
    rows = [create_attempt(database, request, ended_at=NOW) for _ in range(3)]
    mark_records_deleted(database, (rows[0].id, rows[2].id, "unknown"))
    assert [reload(database, row).trace_cleared for row in rows] == [True, False, True]
    mark_records_deleted(database, ())
    assert not reload(database, rows[1]).trace_cleared
