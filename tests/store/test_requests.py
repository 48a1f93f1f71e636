"""Call requests and attempts as rows and as domain objects."""

from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, or_, select

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


def apply(database: Database, request_id: int, decision: Decision, **kwargs: Any) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, request_id)
        requests.apply_decision(session, row, decision, NOW, **{"event": "test", **kwargs})


def domain(database: Database, request_id: int) -> Request:
    with database.read() as session:
        loaded = requests.load(session, request_id)
    assert loaded is not None
    return requests.to_domain(*loaded)


def test_all_changes_of_a_transition_are_stored(database: Database) -> None:
    row = create_request(database, create_module(database))
    before = domain(database, row.id)
    after = replace(
        before,
        status=Status.UNCERTAIN,
        free_at=NOW - MINUTE,
        priority=3,
        customer_attempts=1,
        agent_misses=2,
        route_failures=3,
        attempt="a1",
        step=Step.CUSTOMER_DIALLED,
        not_before=NOW + MINUTE,
        postponed_until=NOW + 2 * MINUTE,
        time_chosen=True,
        call_now=True,
        call_now_agent="102",
        call_now_at=NOW - MINUTE,
        last_outcome=Outcome.AGENT_BUSY,
        registered_again_at=NOW,
        again=True,
        reopened_at=NOW + MINUTE,
        preferred="103",
        fell_back=True,
        agent_first=True,
    )
    # If a field is added, this fails until the field is covered here.
    fixed = {
        "id",
        "number",
        "source",
        "registered_at",
        "queue",
        "target",
        "extensions",
        "first_called_at",
        "rules",
        "module",
    }
    changed = {field.name for field in fields(Request) if getattr(before, field.name) != getattr(after, field.name)}
    assert changed == {field.name for field in fields(Request)} - fixed
    apply(database, row.id, Decision(after, changed=True))
    assert domain(database, row.id) == after


def test_decision_that_changes_nothing_is_not_stored(database: Database) -> None:
    row = create_request(database, create_module(database))
    apply(database, row.id, Decision(replace(domain(database, row.id), priority=9), changed=False))
    assert reload(database, row).version == row.version
    assert history_of(database, row.id) == []


def test_each_change_adds_a_history_entry(database: Database) -> None:
    row = create_request(database, create_module(database))
    apply(database, row.id, transition(domain(database, row.id), Claimed("a1"), NOW), detail="1" * 300)
    apply(database, row.id, transition(domain(database, row.id), Cancelled(), NOW), event="cancel", actor="sara")
    first, second = history_of(database, row.id)
    assert (first.old_status, first.new_status, first.attempt) == ("waiting", "dialling", "a1")
    assert first.detail == "1" * 200
    # The entry names the attempt that the change ended.
    assert (second.old_status, second.new_status, second.attempt) == ("dialling", "cancelled", "a1")
    assert (second.event, second.actor, second.at) == ("cancel", "sara", NOW)


def test_end_of_a_request_is_dated(database: Database) -> None:
    row = create_request(database, create_module(database))
    apply(database, row.id, transition(domain(database, row.id), Claimed("a1"), NOW))
    assert reload(database, row).done_at is None
    apply(database, row.id, transition(domain(database, row.id), Cancelled(), NOW))
    assert reload(database, row).done_at == NOW


@pytest.mark.parametrize(
    ("old", "known", "new", "expected"),
    [
        (Status.DIALLING, None, Status.CONNECTED, NOW),
        (Status.CONNECTED, NOW - MINUTE, Status.DONE, NOW - MINUTE),
        (Status.WAITING, None, Status.DONE, NOW),
        (Status.DIALLING, None, Status.FAILED, None),
    ],
)
def test_customer_is_reached_when_the_request_is_first_connected_or_done(
    database: Database, old: Status, known: datetime | None, new: Status, expected: datetime | None
) -> None:
    row = create_request(database, create_module(database), status=old.value, reached_at=known)
    apply(database, row.id, Decision(replace(domain(database, row.id), status=new), changed=True))
    assert reload(database, row).reached_at == expected


def test_rules_come_from_the_module(database: Database) -> None:
    module = create_module(
        database,
        automatic=False,
        min_wait=1,
        rest=2,
        retries=3,
        retry_pauses=[4, 5],
        busy_pause=7,
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
        retry_pauses=(timedelta(seconds=4), timedelta(seconds=5)),
        busy_pause=timedelta(seconds=7),
        agent_pause=timedelta(seconds=5),
        expire_after=timedelta(seconds=6),
    )


def test_time_limit_of_zero_means_none(database: Database) -> None:
    assert requests.rules_of(create_module(database, expire_after=0)).expire_after is None


def test_busy_pause_of_zero_means_none(database: Database) -> None:
    assert requests.rules_of(create_module(database, busy_pause=0)).busy_pause is None


def test_request_of_a_deleted_module_is_called_by_hand_only(database: Database) -> None:
    request = domain(database, create_request(database, target="101").id)
    assert not request.rules.automatic
    assert request.wanted == ("101",)


def test_request_for_a_queue_has_no_extensions(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    assert domain(database, create_request(database, module, queue=True, target="sales").id).extensions == ()


def test_unknown_request_and_module_are_none(database: Database) -> None:
    with database.read() as session:
        assert requests.load(session, 4711) is None
        assert requests.load_module(session, 4711) is None


def test_active_requests_are_sorted_by_first_call(database: Database) -> None:
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
def test_duplicate_is_found_while_it_is_active(database: Database, status: Status) -> None:
    module = create_module(database)
    row = create_request(database, module, target="101", status=status.value)
    with database.write() as session:
        found = requests.find_active(session, module.id, False, "101", row.number)
        assert (found is not None) is (status in ACTIVE)
        assert requests.find_active(session, module.id, False, "", row.number) is None
        assert requests.find_active(session, module.id, True, "101", row.number) is None
        assert requests.find_active(session, module.id, False, "101", "+989120000009") is None


def test_attempts_in_flight_are_sorted_by_start(database: Database) -> None:
    module = create_module(database)
    rows = [create_request(database, module, number=f"+98912000000{n}") for n in range(3)]
    late = create_attempt(database, rows[0], agent="101", started_at=NOW)
    early = create_attempt(database, rows[1], agent="102", started_at=NOW - MINUTE)
    create_attempt(database, rows[2], agent="103", ended_at=NOW)
    with database.read() as session:
        assert [attempt.id for attempt in requests.attempts_in_flight(session)] == [early.id, late.id]


def test_only_ended_attempts_have_records_to_delete(database: Database) -> None:
    row = create_request(database, create_module(database))
    ended = {create_attempt(database, row, agent=f"10{n}", ended_at=NOW).id for n in range(4)}
    create_attempt(database, row, agent="105", ended_at=NOW, trace_cleared=True)
    create_attempt(database, row, agent="106")
    with database.read() as session:
        assert set(requests.uncleared_traces(session, limit=10, now=NOW)) == ended
        assert len(requests.uncleared_traces(session, limit=3, now=NOW)) == 3


def test_modules_of_requests_are_loaded_in_one_query(database: Database) -> None:
    sales, support = create_module(database, name="Sales"), create_module(database, name="Support")
    for number, module in enumerate((support, None, sales, support)):
        create_request(database, module, number=f"+98912000000{number}")
    statements: list[object] = []
    with database.read() as session:
        rows = session.scalars(select(CallRequest).order_by(CallRequest.id)).all()
        event.listen(session, "do_orm_execute", statements.append)
        found = requests.with_modules(session, rows)
        assert [(row.id, module and module.name) for row, module in found] == [
            (1, "Support"),
            (2, None),
            (3, "Sales"),
            (4, "Support"),
        ]
        assert len(statements) == 1
        assert requests.with_modules(session, rows[1:2]) == [(rows[1], None)]
        assert len(statements) == 1, "there was no module to load"


def test_modules_are_listed_and_found(database: Database) -> None:
    first, second = create_module(database, name="A"), create_module(database, name="B")
    with database.read() as session:
        assert [module.name for module in requests.all_modules(session)] == ["A", "B"]
        found = requests.load_module(session, second.id)
    assert found is not None and found.name == "B"
    assert first.id != second.id


def test_status_condition_can_be_used_twice_in_a_query(database: Database) -> None:
    create_request(database, create_module(database))
    with database.read() as session:
        query = select(CallRequest.id).where(or_(requests.has_status(), requests.has_status([Status.DONE])))
        assert session.scalars(query).all() == [1]
