"""Attempts: each step is recorded once, and the first outcome counts."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from app.config import Settings
from app.domain.lifecycle import RECOVERY_PAUSE, CalledNow, Cancelled, Outcome, Side, Status, Step
from app.domain.routes import RouteTrouble
from app.services.requests.attempts import (
    AttemptInFlight,
    claim_due,
    end,
    has_ended,
    in_flight,
    mark_records_deleted,
    note_standstill,
    note_talk,
    progress,
    records_to_delete,
)
from app.store import requests as store_requests
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module, QueueRow, QueueScenario
from app.store.routes import failing
from tests.support.factories import (
    NOW,
    apply_event,
    create_attempt,
    create_module,
    create_request,
    history_of,
    make_facts,
    make_line,
    reload,
    run_at_once,
    store,
)

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LATER = NOW + 30 * SECOND
AGENT = [outcome for outcome in Outcome if outcome.side is Side.AGENT]
CUSTOMER = [outcome for outcome in Outcome if outcome.side is Side.CUSTOMER]


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database, retries=1, retry_pauses=[300], busy_pause=0, agent_pause=60)


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


# -- progress ---------------------------------------------------------------------------------------------------------


def test_each_step_is_recorded_with_its_time(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
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


def test_an_earlier_step_that_arrives_later_changes_nothing(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    progress(database, "a1", Step.CONNECTED, NOW)
    progress(database, "a1", Step.CUSTOMER_DIALLED, LATER)
    row = reload(database, request_row)
    assert (row.status, row.step) == ("connected", "connected")


def test_the_step_claimed_has_no_time(database: Database, attempt: Attempt) -> None:
    progress(database, "a1", Step.CLAIMED, LATER)
    row = reload(database, attempt)
    assert (row.answered_at, row.dialled_at, row.connected_at) == (None, None, None)


def test_a_step_after_the_end_changes_nothing(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    end(database, "a1", Outcome.AGENT_NO_ANSWER, NOW)
    progress(database, "a1", Step.CONNECTED, LATER)
    assert reload(database, attempt).connected_at is None
    assert reload(database, request_row).status == "waiting"


def test_an_unknown_attempt_changes_nothing(database: Database, request_row: CallRequest) -> None:
    progress(database, "unknown", Step.CONNECTED, NOW)
    end(database, "unknown", Outcome.CONNECTED, NOW)
    assert reload(database, request_row).version == request_row.version


# -- end --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", AGENT)
def test_an_agent_miss_pauses_the_agent(
    database: Database, request_row: CallRequest, attempt: Attempt, outcome: Outcome
) -> None:
    end(database, "a1", outcome, NOW, "17 User busy")
    row = reload(database, attempt)
    assert (row.ended_at, row.outcome, row.cause) == (NOW, outcome.value, "17 User busy")
    assert row.agent_pause_until == NOW + MINUTE
    request = reload(database, request_row)
    assert (request.status, request.attempt, request.agent_misses) == ("waiting", None, 1)
    assert request.customer_attempts == (outcome is Outcome.AGENT_MISSED_CUSTOMER)
    (entry,) = history_of(database, request_row.id)
    assert (entry.event, entry.detail, entry.attempt) == ("ended", outcome.value, "a1")


@pytest.mark.parametrize("outcome", CUSTOMER)
def test_a_customer_attempt_pauses_the_request(
    database: Database, request_row: CallRequest, attempt: Attempt, outcome: Outcome
) -> None:
    end(database, "a1", outcome, NOW)
    request = reload(database, request_row)
    assert (request.status, request.customer_attempts, request.agent_misses) == ("waiting", 1, 0)
    assert (request.not_before, request.last_outcome) == (NOW + 5 * MINUTE, outcome.value)
    assert reload(database, attempt).agent_pause_until is None


def test_the_request_fails_after_the_last_retry(
    database: Database, request_row: CallRequest, module: Module, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.CUSTOMER_BUSY, NOW)
    with database.write() as session:
        row = session.get_one(CallRequest, request_row.id)
        row.status, row.attempt, row.step = "dialling", "a2", "claimed"
    create_attempt(database, request_row, id="a2", agent="102")
    end(database, "a2", Outcome.CUSTOMER_NO_ANSWER, LATER)
    request = reload(database, request_row)
    assert (request.status, request.customer_attempts, request.done_at) == ("failed", 2, LATER)
    assert request.done_by == "102"


def test_after_a_talk_for_a_queue_its_wrapup_time_counts(database: Database, module: Module) -> None:
    store(database, QueueRow(name="sales", live_callers=0, wrapup=30))
    store(database, QueueScenario(queue="sales", max_wait=60, wrapup=20))
    row = create_request(database, module, queue=True, target="sales", status="dialling", attempt="a1", step="claimed")
    create_attempt(database, row, id="a1")
    progress(database, "a1", Step.CONNECTED, NOW)
    end(database, "a1", Outcome.CONNECTED, NOW + SECOND)
    with database.read() as session:
        occupied = store_requests.occupied(session, NOW + 2 * SECOND)
        assert (occupied.wrapups, occupied.agent_pauses) == ({"101": NOW + 31 * SECOND}, {})
        assert store_requests.occupied(session, NOW + 31 * SECOND).wrapups == {}


def test_a_connected_attempt_ends_as_connected(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    progress(database, "a1", Step.CONNECTED, NOW)
    note_talk(database, "a1", NOW + SECOND)
    note_talk(database, "a1", LATER)
    assert reload(database, attempt).talked_at == NOW + SECOND
    end(database, "a1", Outcome.CUSTOMER_ABANDONED, LATER)
    assert reload(database, attempt).outcome == "connected"
    request = reload(database, request_row)
    assert (request.status, request.done_at, request.last_outcome) == ("done", LATER, "connected")


def test_a_talk_after_the_end_changes_nothing(database: Database, attempt: Attempt) -> None:
    end(database, "a1", Outcome.CUSTOMER_BUSY, NOW)
    note_talk(database, "a1", LATER)
    note_talk(database, "unknown", LATER)
    assert reload(database, attempt).talked_at is None


def test_a_standstill_is_known_as_long_as_the_attempt_is_in_flight(database: Database, attempt: Attempt) -> None:
    assert [each.stood_still for each in in_flight(database)] == [False]
    note_standstill(database, "a1", NOW)
    note_standstill(database, "a1", LATER)
    note_standstill(database, "unknown", LATER)
    assert [each.stood_still for each in in_flight(database)] == [True]
    end(database, "a1", Outcome.UNCLEAR, LATER)
    note_standstill(database, "a1", LATER + SECOND)
    assert reload(database, attempt).stood_still_at == NOW


def test_connected_attempt_with_another_end_is_unclear(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    progress(database, "a1", Step.CONNECTED, NOW)
    for _ in range(2):
        end(database, "a1", Outcome.CUSTOMER_ABANDONED, LATER)
        assert reload(database, attempt).outcome == "unclear"
        assert reload(database, request_row).status == "uncertain"


def test_an_attempt_that_did_not_start_is_not_counted(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.NOT_STARTED, NOW)
    request = reload(database, request_row)
    assert (request.status, request.customer_attempts, request.agent_misses) == ("waiting", 0, 0)
    assert reload(database, attempt).agent_pause_until == NOW + RECOVERY_PAUSE


@pytest.mark.parametrize("first", [Outcome.CONNECTED, Outcome.CUSTOMER_BUSY, Outcome.AGENT_BUSY, Outcome.NOT_STARTED])
@pytest.mark.parametrize("second", [Outcome.CONNECTED, Outcome.CUSTOMER_REJECTED, Outcome.UNCLEAR])
def test_the_first_outcome_counts(
    database: Database, request_row: CallRequest, attempt: Attempt, first: Outcome, second: Outcome
) -> None:
    end(database, "a1", first, NOW, "first")
    before = reload(database, request_row)
    end(database, "a1", second, LATER, "second")
    row = reload(database, attempt)
    assert (row.outcome, row.ended_at, row.cause) == (first.value, NOW, "first")
    assert reload(database, request_row).version == before.version
    assert events_of(database, request_row) == ["ended"]


def test_the_same_outcome_at_the_same_time_counts_once(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    run_at_once([lambda: end(database, "a1", Outcome.CUSTOMER_BUSY, NOW)] * 8)
    assert reload(database, request_row).customer_attempts == 1
    assert events_of(database, request_row) == ["ended"]


def test_the_end_of_an_earlier_attempt_leaves_the_present_one(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    create_attempt(database, request_row, id="a0", ended_at=NOW, outcome=Outcome.AGENT_BUSY.value)
    end(database, "a0", Outcome.CONNECTED, LATER)
    request = reload(database, request_row)
    assert (request.status, request.attempt) == ("dialling", "a1")


def test_a_long_cause_is_cut(database: Database, attempt: Attempt) -> None:
    end(database, "a1", Outcome.AGENT_BUSY, NOW, "x" * 200)
    assert reload(database, attempt).cause == "x" * 80


# -- unclear outcomes -------------------------------------------------------------------------------------------------


def test_after_an_unclear_outcome_the_request_is_not_dialled_again(
    database: Database, office: Settings, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW)
    request = reload(database, request_row)
    assert (request.status, request.attempt) == ("uncertain", "a1")
    assert reload(database, attempt).outcome == "unclear"
    later = NOW + timedelta(hours=1)
    assert claim_due(database, office, make_facts([make_line("101")], now=later), later).orders == ()


@pytest.mark.parametrize(
    ("outcome", "status", "counted"),
    [
        (Outcome.CONNECTED, "done", (0, 0)),
        (Outcome.CUSTOMER_BUSY, "waiting", (1, 0)),
        (Outcome.AGENT_NO_ANSWER, "waiting", (0, 1)),
        (Outcome.NOT_STARTED, "waiting", (0, 0)),
    ],
)
def test_a_later_outcome_corrects_an_unclear_one_once(
    database: Database,
    request_row: CallRequest,
    attempt: Attempt,
    outcome: Outcome,
    status: str,
    counted: tuple[int, int],
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW)
    end(database, "a1", outcome, LATER, "found out")
    request, row = reload(database, request_row), reload(database, attempt)
    assert (request.status, (request.customer_attempts, request.agent_misses)) == (status, counted)
    assert (row.outcome, row.cause) == (outcome.value, "found out")
    end(database, "a1", Outcome.CUSTOMER_REJECTED, LATER)
    assert reload(database, attempt).outcome == outcome.value


def test_an_unclear_outcome_does_not_correct_another(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW, "first")
    end(database, "a1", Outcome.UNCLEAR, LATER, "second")
    row = reload(database, attempt)
    assert (row.ended_at, row.cause) == (NOW, "first")


def test_an_unclear_outcome_is_corrected_after_the_request_was_cancelled(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    """The call ended before the request, so the outcome is not "withdrawn"."""
    end(database, "a1", Outcome.UNCLEAR, NOW)
    apply_event(database, request_row.id, Cancelled())
    end(database, "a1", Outcome.CUSTOMER_BUSY, LATER)
    assert reload(database, attempt).outcome == "customer_busy"
    assert reload(database, request_row).status == "cancelled"


def test_a_correction_leaves_a_newer_attempt_alone(
    database: Database, office: Settings, request_row: CallRequest, attempt: Attempt
) -> None:
    end(database, "a1", Outcome.UNCLEAR, NOW)
    apply_event(database, request_row.id, CalledNow())
    (order,) = claim_due(database, office, make_facts([make_line("101")]), NOW).orders
    end(database, "a1", Outcome.CUSTOMER_BUSY, LATER)
    request = reload(database, request_row)
    assert (request.status, request.attempt, request.customer_attempts) == ("dialling", order.attempt, 0)
    assert reload(database, attempt).outcome == "customer_busy"


# -- withdrawn --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "stored"),
    [
        (Outcome.CUSTOMER_BUSY, "withdrawn"),
        (Outcome.AGENT_NO_ANSWER, "withdrawn"),
        (Outcome.NOT_STARTED, "withdrawn"),
        (Outcome.UNCLEAR, "withdrawn"),
        (Outcome.CONNECTED, "connected"),
    ],
)
def test_the_attempt_of_a_cancelled_request_is_withdrawn_unless_they_talked(
    database: Database, request_row: CallRequest, attempt: Attempt, outcome: Outcome, stored: str
) -> None:
    apply_event(database, request_row.id, Cancelled())
    end(database, "a1", outcome, LATER)
    row, request = reload(database, attempt), reload(database, request_row)
    assert (row.outcome, row.ended_at, row.agent_pause_until) == (stored, LATER, None)
    assert (request.status, request.customer_attempts, request.agent_misses) == ("cancelled", 0, 0)


def test_a_cancellation_and_an_end_at_the_same_time(database: Database, module: Module) -> None:
    """One of them decides the status. The attempt is connected in any case."""
    for turn in range(10):
        number, attempt = f"+98912000{turn:04}", f"b{turn}"
        row = create_request(database, module, number=number, status="dialling", attempt=attempt)
        create_attempt(database, row, id=attempt)
        works: list[Callable[[], object]] = [
            partial(apply_event, database, row.id, Cancelled()),
            partial(end, database, attempt, Outcome.CONNECTED, NOW),
        ]
        run_at_once(works)
        found = reload(database, row).status, events_of(database, row)
        assert found in [("cancelled", ["test"]), ("done", ["ended"])]
        with database.read() as session:
            assert session.get_one(Attempt, attempt).outcome == "connected"


# -- in flight --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "step"),
    [
        ([], Step.CLAIMED),
        ([Step.AGENT_ANSWERED], Step.AGENT_ANSWERED),
        ([Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED], Step.CUSTOMER_DIALLED),
        ([Step.CONNECTED], Step.CONNECTED),
    ],
)
def test_an_attempt_in_flight_has_its_last_step(
    database: Database, attempt: Attempt, steps: list[Step], step: Step
) -> None:
    for each in steps:
        progress(database, "a1", each, NOW)
    assert in_flight(database) == [
        AttemptInFlight("a1", step, NOW, withdrawn=False, agent="101", request=attempt.request_id)
    ]


def test_an_attempt_is_in_flight_until_it_ends(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    apply_event(database, request_row.id, Cancelled())
    assert in_flight(database) == [
        AttemptInFlight("a1", Step.CLAIMED, NOW, withdrawn=True, agent="101", request=request_row.id)
    ]
    assert not has_ended(database, "a1") and not has_ended(database, "unknown")
    end(database, "a1", Outcome.WITHDRAWN, NOW)
    assert in_flight(database) == []
    assert has_ended(database, "a1")


# -- Asterisk's records -----------------------------------------------------------------------------------------------


def test_the_records_of_ended_attempts_are_deleted_a_few_at_a_time(database: Database, attempt: Attempt) -> None:
    request = create_request(database, number="+989127654321", status=Status.DONE.value)
    ended = {create_attempt(database, request, ended_at=NOW).id for _ in range(5)}
    first = records_to_delete(database, NOW)
    assert len(first) == 3 and set(first) < ended
    mark_records_deleted(database, (*first, "unknown"))
    assert set(records_to_delete(database, NOW)) == ended - set(first)
    mark_records_deleted(database, ())
    assert len(records_to_delete(database, NOW)) == 2


def test_attempt_that_never_began_stays_forbidden_for_a_day(database: Database, attempt: Attempt) -> None:
    request = create_request(database, number="+989127654321", status=Status.DONE.value)
    forbidden = create_attempt(database, request, ended_at=NOW, outcome=Outcome.NOT_STARTED.value)
    assert records_to_delete(database, NOW + timedelta(hours=23)) == ()
    assert records_to_delete(database, NOW + timedelta(hours=25)) == (forbidden.id,)


# -- the route --------------------------------------------------------------------------------------------------------


def through(database: Database, attempt: Attempt, context: str = "outbound") -> None:
    with database.write() as session:
        session.get_one(Attempt, attempt.id).route = context


def route(database: Database, context: str = "outbound") -> RouteTrouble | None:
    with database.read() as session:
        return failing(session).get(context)


def test_failed_route_is_stored_and_any_answer_ends_it(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    through(database, attempt)
    end(database, attempt.id, Outcome.ROUTE_CONGESTED, NOW + SECOND, "customer CONGESTION 34 503")
    row = reload(database, request_row)
    assert (row.status, row.route_failures, row.customer_attempts, row.agent_misses) == ("waiting", 1, 0, 0)
    assert row.not_before == NOW + 31 * SECOND
    assert reload(database, attempt).agent_pause_until is None
    at = NOW + SECOND
    assert route(database) == RouteTrouble(1, at, at, Outcome.ROUTE_CONGESTED)
    next_one = create_attempt(database, request_row, started_at=NOW + MINUTE, route="outbound")
    inside = create_attempt(database, create_request(database, number="102"), agent="103", number="102")
    end(database, inside.id, Outcome.CUSTOMER_BUSY, NOW + MINUTE)
    assert route(database) is not None, "a call inside says nothing"
    progress(database, next_one.id, Step.CONNECTED, NOW + 2 * MINUTE)
    assert route(database) is None, "the others need not wait for the end of the talk"


# -- when they talked -------------------------------------------------------------------------------------------------


def test_the_time_of_the_talk_stays_when_the_call_ends(
    database: Database, request_row: CallRequest, attempt: Attempt
) -> None:
    progress(database, "a1", Step.CONNECTED, NOW)
    end(database, "a1", Outcome.CONNECTED, LATER)
    row = reload(database, request_row)
    assert (row.status, row.reached_at, row.done_at) == ("done", NOW, LATER)


def test_who_talked_too_shortly_was_not_reached(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    progress(database, "a1", Step.CONNECTED, NOW)
    end(database, "a1", Outcome.TALK_TOO_SHORT, LATER)
    row = reload(database, request_row)
    assert (row.status, row.reached_at, row.customer_attempts) == ("waiting", None, 1)


def test_a_failed_request_was_never_reached(database: Database, request_row: CallRequest, attempt: Attempt) -> None:
    with database.write() as session:
        session.get_one(CallRequest, request_row.id).customer_attempts = 1
    end(database, "a1", Outcome.CUSTOMER_BUSY, LATER)
    row = reload(database, request_row)
    assert (row.status, row.reached_at, row.done_at) == ("failed", None, LATER)
