"""Requests as rows and as the domain sees them: nothing is lost on the way there and back."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from sqlalchemy import or_, select

from app.domain.lifecycle import (
    ACTIVE,
    IN_FLIGHT,
    Cancelled,
    Claimed,
    Decision,
    Outcome,
    Request,
    Rules,
    Status,
    Step,
    transition,
)
from app.store import requests
from app.store.database import Database
from app.store.models import CallRequest
from tests.support.factories import (
    NOW,
    create_attempt,
    create_module,
    create_request,
    history_of,
    reload,
)

MINUTE = timedelta(minutes=1)


def apply(database: Database, request_id: int, decision: Decision, **kwargs: str) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, request_id)
        requests.apply_decision(session, row, decision, NOW, **({"event": "test"} | kwargs))


def domain(database: Database, request_id: int) -> Request:
    with database.read() as session:
        loaded = requests.load(session, request_id)
    assert loaded is not None
    return requests.to_domain(*loaded)


def test_everything_that_a_transition_may_change_is_stored(database: Database) -> None:
    row = create_request(database, create_module(database))
    before = domain(database, row.id)
    after = replace(
        before,
        status=Status.UNCERTAIN,
        free_at=NOW - MINUTE,
        priority=3,
        customer_attempts=1,
        agent_misses=2,
        attempt="a1",
        step=Step.CUSTOMER_DIALLED,
        not_before=NOW + MINUTE,
        postponed_until=NOW + 2 * MINUTE,
        call_now=True,
        call_now_agent="102",
        last_outcome=Outcome.AGENT_BUSY,
    )
    # Whatever is fixed at the registration is the same; should a field be added, this asks whether it is stored.
    fixed = {"id", "number", "registered_at", "queue", "target", "extensions", "first_called_at", "rules"}
    changed = {field.name for field in fields(Request) if getattr(before, field.name) != getattr(after, field.name)}
    assert changed == {field.name for field in fields(Request)} - fixed
    apply(database, row.id, Decision(after, changed=True))
    assert domain(database, row.id) == after


def test_a_decision_that_changes_nothing_leaves_no_trace(database: Database) -> None:
    row = create_request(database, create_module(database))
    apply(database, row.id, Decision(replace(domain(database, row.id), priority=9), changed=False))
    assert reload(database, row).version == row.version
    assert history_of(database, row.id) == []


def test_every_change_is_a_line_of_history(database: Database) -> None:
    row = create_request(database, create_module(database))
    apply(database, row.id, transition(domain(database, row.id), Claimed("a1"), NOW), detail="1" * 300)
    apply(database, row.id, transition(domain(database, row.id), Cancelled(), NOW), event="cancel", actor="sara")
    first, second = history_of(database, row.id)
    assert (first.old_status, first.new_status, first.attempt) == ("waiting", "dialling", "a1")
    assert first.detail == "1" * 200
    # The attempt that the change ended, although the request has forgotten it.
    assert (second.old_status, second.new_status, second.attempt) == ("dialling", "cancelled", "a1")
    assert (second.event, second.actor, second.at) == ("cancel", "sara", NOW)


def test_the_moment_of_the_end_is_kept_and_only_then(database: Database) -> None:
    row = create_request(database, create_module(database))
    apply(database, row.id, transition(domain(database, row.id), Claimed("a1"), NOW))
    assert reload(database, row).done_at is None
    apply(database, row.id, transition(domain(database, row.id), Cancelled(), NOW))
    assert reload(database, row).done_at == NOW


def test_the_rules_are_the_modules(database: Database) -> None:
    module = create_module(
        database,
        automatic=False,
        min_wait=1,
        rest=2,
        retries=3,
        retry_pause=4,
        agent_pause=5,
        expire_after=6,
        targets=["101", "102"],
    )
    request = domain(database, create_request(database, module).id)
    assert request.extensions == ("101", "102")
    assert request.rules == Rules(
        automatic=False,
        min_wait=timedelta(seconds=1),
        rest=timedelta(seconds=2),
        retries=3,
        retry_pause=timedelta(seconds=4),
        agent_pause=timedelta(seconds=5),
        expire_after=timedelta(seconds=6),
    )


def test_no_expiry_is_stored_as_nought(database: Database) -> None:
    assert requests.rules_of(create_module(database, expire_after=0)).expire_after is None


def test_the_request_of_a_deleted_module_is_left_to_people(database: Database) -> None:
    request = domain(database, create_request(database, target="101").id)
    assert not request.rules.automatic
    assert request.wanted == ("101",)


def test_a_queue_has_no_extensions_of_its_own(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    assert domain(database, create_request(database, module, queue=True, target="sales").id).extensions == ()


def test_a_request_that_is_not_there_is_none(database: Database) -> None:
    with database.read() as session:
        assert requests.load(session, 4711) is None
        assert requests.load_module(session, 4711) is None


def test_active_requests_come_with_their_modules_the_earliest_caller_first(database: Database) -> None:
    sales, support = create_module(database, name="Sales"), create_module(database, name="Support")
    late = create_request(database, sales, number="+989120000001", first_called_at=NOW)
    early = create_request(database, support, number="+989120000002", first_called_at=NOW - MINUTE)
    orphan = create_request(database, number="+989120000003", first_called_at=NOW - 2 * MINUTE)
    create_request(database, sales, number="+989120000004", status=Status.DONE.value)
    with database.read() as session:
        found = requests.active(session)
    assert [(row.id, module.name if module else None) for row, module in found] == [
        (orphan.id, None),
        (early.id, "Support"),
        (late.id, "Sales"),
    ]


def test_requests_are_found_by_their_status(database: Database) -> None:
    module = create_module(database)
    ids = {
        status: create_request(database, module, number=f"+98912000000{n}", status=status.value).id
        for n, status in enumerate(Status)
    }
    with database.read() as session:
        assert {row.id for row, _ in requests.active(session)} == {ids[status] for status in ACTIVE}
        assert {row.id for row, _ in requests.in_flight_requests(session)} == {ids[status] for status in IN_FLIGHT}
        assert [row.id for row, _ in requests.active(session, [Status.WAITING])] == [ids[Status.WAITING]]


@pytest.mark.parametrize("status", Status)
def test_the_twin_of_a_wish_is_found_while_it_is_active(database: Database, status: Status) -> None:
    module = create_module(database)
    row = create_request(database, module, target="101", status=status.value)
    with database.write() as session:
        found = requests.find_active(session, module.id, False, "101", row.number)
        assert (found is not None) is (status in ACTIVE)
        assert requests.find_active(session, module.id, False, "", row.number) is None
        assert requests.find_active(session, module.id, True, "101", row.number) is None
        assert requests.find_active(session, module.id, False, "101", "+989120000009") is None


def test_attempts_in_flight_come_in_the_order_of_their_start(database: Database) -> None:
    module = create_module(database)
    rows = [create_request(database, module, number=f"+98912000000{n}") for n in range(3)]
    late = create_attempt(database, rows[0], agent="101", started_at=NOW)
    early = create_attempt(database, rows[1], agent="102", started_at=NOW - MINUTE)
    create_attempt(database, rows[2], agent="103", ended_at=NOW)
    with database.read() as session:
        assert [attempt.id for attempt in requests.attempts_in_flight(session)] == [early.id, late.id]


def test_only_ended_attempts_have_a_trace_to_clear(database: Database) -> None:
    row = create_request(database, create_module(database))
    ended = {create_attempt(database, row, agent=f"10{n}", ended_at=NOW).id for n in range(4)}
    create_attempt(database, row, agent="105", ended_at=NOW, trace_cleared=True)
    create_attempt(database, row, agent="106")
    with database.read() as session:
        assert set(requests.uncleared_traces(session, limit=10)) == ended
        assert len(requests.uncleared_traces(session, limit=3)) == 3


def test_modules_are_listed_and_found(database: Database) -> None:
    first, second = create_module(database, name="A"), create_module(database, name="B")
    with database.read() as session:
        assert [module.name for module in requests.all_modules(session)] == ["A", "B"]
        found = requests.load_module(session, second.id)
    assert found is not None and found.name == "B"
    assert first.id != second.id


def test_statuses_may_be_asked_for_twice_in_one_question(database: Database) -> None:
    create_request(database, create_module(database))
    with database.read() as session:
        both = select(CallRequest.id).where(or_(requests.has_status(), requests.has_status([Status.DONE])))
        assert session.scalars(both).all() == [1]
