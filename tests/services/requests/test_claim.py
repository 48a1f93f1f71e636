"""Claims: a due request gets one attempt, which is committed before any phone rings."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain import numbers
from app.domain.dial_order import Confirmation, DialOrder
from app.domain.lifecycle import Outcome, Status
from app.domain.policy import Facts, LineState, Member, Queue
from app.services.requests.attempts import Dispatch, claim_due, end
from app.store.database import Database
from app.store.models import Attempt, RouteTroubleRow
from app.store.settings import write_setting
from tests.support.factories import (
    NOW,
    NUMBER,
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
OTHER = "+989127654321"


def all_attempts(database: Database) -> list[Attempt]:
    with database.read() as session:
        return list(session.scalars(select(Attempt).order_by(Attempt.started_at, Attempt.id)))


def free(*extensions: str, **kwargs: Any) -> Facts:
    return make_facts([make_line(extension) for extension in extensions], **kwargs)


def claim(database: Database, office: Settings, facts: Facts, **kwargs: Any) -> Dispatch:
    return claim_due(database, office, facts, kwargs.get("now", NOW))


def the_order(dispatch: Dispatch) -> DialOrder:
    assert len(dispatch.orders) == 1
    return dispatch.orders[0]


# -- which requests are claimed ---------------------------------------------------------------------------------------


def test_a_claim_is_stored(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database))
    order = the_order(claim(database, office, free("101")))
    row = reload(database, request)
    assert (row.status, row.attempt, row.step) == ("dialling", order.attempt, "claimed")
    (attempt,) = all_attempts(database)
    assert (attempt.id, attempt.request_id, attempt.agent) == (order.attempt, request.id, "101")
    assert (attempt.number, attempt.started_at, attempt.ended_at, attempt.manual) == (NUMBER, NOW, None, False)
    (entry,) = history_of(database, request.id)
    assert (entry.event, entry.detail, entry.new_status) == ("claimed", "101", "dialling")
    assert entry.attempt == order.attempt
    assert str(uuid.UUID(order.attempt)) == order.attempt


def test_order_names_the_queues_that_give_the_agent_no_caller(database: Database, office: Settings) -> None:
    """Two members who are rung at the same time leave nobody for the callers."""
    module = create_module(database, targets=["101", "102", "103"])
    queues = {"sales": Queue((Member("101"), Member("102"))), "support": Queue((Member("101"), Member("103")))}
    facts = free("101", "102", "103", queues=queues)
    create_request(database, module)
    assert the_order(claim(database, office, facts)).held_queues == ("sales", "support")
    for agent in ("102", "103"):
        create_request(database, module, target=agent, number=f"+989121110{agent}")
    assert [order.held_queues for order in claim(database, office, facts).orders] == [(), ()]


def test_queues_are_not_held_off_if_the_office_does_not_want_it(database: Database, office: Settings) -> None:
    create_request(database, create_module(database))
    with database.write() as session:
        write_setting(session, "hold_queues", "0")
    queues = {"sales": Queue((Member("101"), Member("102")))}
    assert the_order(claim(database, office, free("101", "102", queues=queues))).held_queues == ()


def test_without_waiting_requests_nothing_is_claimed(database: Database, office: Settings) -> None:
    create_request(database, create_module(database), status=Status.DONE.value)
    assert claim(database, office, free("101")) == Dispatch((), None)


def test_a_claimed_request_is_not_claimed_again(database: Database, office: Settings) -> None:
    create_request(database, create_module(database))
    assert len(claim(database, office, free("101")).orders) == 1
    assert claim(database, office, free("101", "102")) == Dispatch((), None)


def test_a_retry_is_made_by_the_same_module_in_its_language(database: Database, office: Settings) -> None:
    create_module(database, language="fa", targets=["101"])
    module = create_module(database, language="en", targets=["101"], caller_id="02188880000", retries=1)
    request = create_request(database, module)
    first = the_order(claim(database, office, free("101")))
    end(database, first.attempt, Outcome.CUSTOMER_NO_ANSWER, NOW + SECOND, "customer NOANSWER")
    later = NOW + 10 * MINUTE
    again = the_order(claim(database, office, free("101", now=later), now=later))
    assert reload(database, request).module_id == module.id
    assert replace(again, attempt=first.attempt, forget=()) == first
    assert (again.language, again.caller_id) == ("en", "02188880000")


def test_two_workers_at_the_same_time_make_one_attempt(database: Database, office: Settings) -> None:
    """Normally there is one worker. If there are two for a moment, the database still allows one attempt."""
    for turn in range(10):
        request = create_request(database, create_module(database), number=f"+98912000{turn:04}")
        dispatches = run_at_once([lambda: claim(database, office, free("101"))] * 2)
        order = the_order(Dispatch(tuple(order for dispatch in dispatches for order in dispatch.orders), None))
        assert order.request_id == request.id
        with database.write() as session:  # the agent is free in the next turn
            session.get_one(Attempt, order.attempt).ended_at = NOW
    assert len(all_attempts(database)) == 10


def test_many_workers_give_each_agent_one_request(database: Database, office: Settings) -> None:
    agents = [str(number) for number in range(101, 106)]
    module = create_module(database, targets=agents)
    for number in range(12):
        create_request(database, module, number=f"+98912000{number:04}")
    dispatches = run_at_once([lambda: claim(database, office, free(*agents))] * 8)
    orders = [order for dispatch in dispatches for order in dispatch.orders]
    assert len(orders) == 5
    assert len({order.agent for order in orders}) == len({order.number for order in orders}) == 5


def test_attempts_in_the_database_count_more_than_the_facts(database: Database, office: Settings) -> None:
    """The facts may be older than an attempt."""
    module, other = create_module(database), create_module(database, targets=["102"])
    in_flight = create_request(database, module, status=Status.DIALLING.value, attempt="a1", step="claimed")
    create_attempt(database, in_flight, id="a1", agent="101")
    create_request(database, module, number=OTHER)
    create_request(database, other, number=NUMBER)
    stale = free("101", "102", numbers_in_flight=frozenset(), agents_in_flight=frozenset())
    assert claim(database, office, stale).orders == ()


def test_the_agent_of_a_cancelled_request_is_busy_until_the_attempt_ends(database: Database, office: Settings) -> None:
    module = create_module(database)
    cancelled = create_request(database, module, status=Status.CANCELLED.value)
    attempt = create_attempt(database, cancelled, agent="101")
    create_request(database, module, number=OTHER)
    assert claim(database, office, free("101")).orders == ()
    with database.write() as session:
        session.get_one(Attempt, attempt.id).ended_at = NOW
    assert len(claim(database, office, free("101")).orders) == 1


def test_an_agent_who_missed_a_call_is_paused(database: Database, office: Settings) -> None:
    module = create_module(database)
    request = create_request(database, module)
    create_attempt(database, request, agent="101", ended_at=NOW, agent_pause_until=NOW + MINUTE)
    assert claim(database, office, free("101")) == Dispatch((), NOW + MINUTE)
    later = claim(database, office, free("101", now=NOW + MINUTE), now=NOW + MINUTE)
    assert the_order(later).agent == "101"


def test_a_pause_stops_everything_but_call_now(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102"])
    create_request(database, module)
    urgent = create_request(database, module, number=OTHER, call_now=True, call_now_agent="105")
    with database.write() as session:
        write_setting(session, "all_paused", "1")
    order = the_order(claim(database, office, free("101", "102", "105")))
    assert (order.request_id, order.agent) == (urgent.id, "105")
    assert [attempt.manual for attempt in all_attempts(database)] == [True]
    assert reload(database, urgent).call_now, "it is wanted until a phone has rung"


def test_the_earliest_caller_comes_first(database: Database, office: Settings) -> None:
    module = create_module(database)
    create_request(database, module, number="+989120000001", first_called_at=NOW)
    early = create_request(database, module, number="+989120000002", first_called_at=NOW - MINUTE)
    create_request(database, module, number="+989120000003", first_called_at=NOW)
    assert the_order(claim(database, office, free("101"))).request_id == early.id


def test_extensions_take_turns_also_after_a_restart(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["102", "101", "103"], agent_order="in_turn")
    facts, rung = free("101", "102", "103"), []
    for number in range(5):
        create_request(database, module, number=f"+98912000000{number}")
        now = NOW + number * MINUTE
        order = the_order(claim(database, office, replace(facts, heartbeat=now), now=now))
        end(database, order.attempt, Outcome.CUSTOMER_NO_ANSWER, now + SECOND)
        rung.append(order.agent)
    assert rung == ["102", "101", "103", "102", "101"]


def test_a_request_for_a_queue_rings_a_member(database: Database, office: Settings) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    create_request(database, module, queue=True, target="sales")
    queues = {"sales": Queue((Member("101", penalty=2), Member("102")))}
    assert the_order(claim(database, office, free("101", "102", queues=queues))).agent == "102"


def test_the_request_of_a_deleted_module_is_called_by_hand_only(database: Database, office: Settings) -> None:
    orphan = create_request(database, target="101")
    assert claim(database, office, free("101")).orders == ()
    with database.write() as session:
        session.merge(reload(database, orphan)).call_now = True
    order = the_order(claim(database, office, free("101")))
    assert (order.agent_ring, order.customer_ring, order.language) == (20, 40, "fa")


def test_an_expired_request_is_not_claimed(database: Database, office: Settings) -> None:
    create_request(database, create_module(database, expire_after=3600))
    now = NOW + timedelta(hours=9)
    assert claim(database, office, free("101", now=now), now=now).orders == ()


# -- the minimum waiting time -----------------------------------------------------------------------------------------


def test_the_first_free_moment_is_stored(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, min_wait=60))
    busy = make_facts([make_line("101", LineState.IN_CALL)])
    assert claim(database, office, busy) == Dispatch((), None)
    assert reload(database, request).free_at is None
    freed = make_facts([make_line("101", since=NOW + 5 * SECOND)], now=NOW + 6 * SECOND)
    assert claim(database, office, freed, now=NOW + 6 * SECOND) == Dispatch((), NOW + 65 * SECOND)
    assert reload(database, request).free_at == NOW + 5 * SECOND


def test_a_later_call_of_the_extension_does_not_restart_the_count(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database, min_wait=60, rest=10))
    claim(database, office, free("101"))
    assert reload(database, request).free_at == NOW
    now = NOW + MINUTE
    again = make_facts([make_line("101", since=NOW + 55 * SECOND)], now=now)
    assert claim(database, office, again, now=now) == Dispatch((), NOW + 65 * SECOND)
    assert reload(database, request).free_at == NOW
    now = NOW + 65 * SECOND
    again = make_facts([make_line("101", since=NOW + 55 * SECOND)], now=now)
    assert the_order(claim(database, office, again, now=now)).request_id == request.id


def test_a_request_for_a_queue_has_no_first_free_moment(database: Database, office: Settings) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"], min_wait=60)
    request = create_request(database, module, queue=True, target="sales")
    queues = {"sales": Queue((Member("101"),))}
    assert claim(database, office, free("101", queues=queues)) == Dispatch((), NOW + MINUTE)
    assert reload(database, request).free_at is None


# -- the dial order ---------------------------------------------------------------------------------------------------


def test_a_dial_order_is_complete(database: Database, office: Settings) -> None:
    module = create_module(
        database,
        language="en",
        caller_id="02188880000",
        agent_ring=15,
        customer_ring=35,
        agent_confirms="answer",
        asks_customer=True,
        customer_first=True,
    )
    request = create_request(database, module, registered_at=NOW - MINUTE)
    with database.write() as session:
        write_setting(session, "outbound_context", "trunks")
        write_setting(session, "outbound_format", "international")
        write_setting(session, "outbound_prefix", "9")
        write_setting(session, "caller_id", "02100000000")
    facts = make_facts([make_line("101", devices="PJSIP/101&PJSIP/201", hint="101@ext-local")])
    order = the_order(claim(database, office, facts))
    assert order == DialOrder(
        attempt=order.attempt,
        request_id=request.id,
        agent="101",
        devices="PJSIP/101&PJSIP/201",
        hint="101@ext-local",
        number=NUMBER,
        dialled="900989121234567",
        internal_devices="",
        language="en",
        caller_id="02188880000",
        outbound_context="trunks",
        agent_ring=15,
        customer_ring=35,
        registered_at=NOW - MINUTE,
        spoken="09121234567",
        module=module.id,
        agent_confirms=Confirmation.ANSWER,
        asks_customer=True,
        customer_first=True,
        forget=(),
    )


def test_agent_is_rung_first_once_a_customer_has_waited_in_vain(database: Database, office: Settings) -> None:
    create_request(database, create_module(database, customer_first=True), agent_first=True)
    assert not the_order(claim(database, office, free("101"))).customer_first


def test_the_caller_id_of_the_office_is_the_default(database: Database, office: Settings) -> None:
    create_request(database, create_module(database))
    with database.write() as session:
        write_setting(session, "caller_id", "02100000000")
    assert the_order(claim(database, office, free("101"))).caller_id == "02100000000"


def test_an_internal_customer_is_called_on_the_devices_of_the_extension(database: Database, office: Settings) -> None:
    create_request(database, create_module(database), number="105")
    with database.write() as session:
        write_setting(session, "outbound_prefix", "9")
    order = the_order(claim(database, office, free("101", "105")))
    assert (order.number, order.dialled, order.spoken) == ("105", "105", "105")
    assert order.internal_devices == "PJSIP/105"


def test_an_internal_customer_without_a_phone_is_not_called(database: Database, office: Settings) -> None:
    """Outside, extension 110 is the police."""
    create_request(database, create_module(database), number="110")
    assert claim(database, office, free("101")).orders == ()


def test_one_bad_request_does_not_block_the_others(
    database: Database, office: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = numbers.dialled

    def dial_only_other(number: str, *rest: Any) -> str:
        if number != OTHER:
            raise ValueError("not diallable")
        return dialled(number, *rest)

    monkeypatch.setattr(numbers, "dialled", dial_only_other)
    module = create_module(database, targets=["101", "102"])
    bad = create_request(database, module, target="101")
    good = create_request(database, module, target="102", number=OTHER)
    orders = claim(database, office, free("101", "102")).orders
    assert [order.request_id for order in orders] == [good.id]
    row = reload(database, bad)
    assert (row.status, row.not_before) == ("waiting", NOW + timedelta(minutes=15))


# -- routes and limits ------------------------------------------------------------------------------------------------


def test_claim_stores_the_route_and_a_failing_one_holds_it_back(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102", "103"])
    create_request(database, module, target="101")
    create_request(database, module, target="102", number="103")
    with database.write() as session:
        write_setting(session, "outbound_context", "outbound")
    claim(database, office, free("101", "102", "103"))
    assert {attempt.number: attempt.route for attempt in all_attempts(database)} == {NUMBER: "outbound", "103": ""}
    failing = {"failures": 1, "since": NOW, "failed_at": NOW, "outcome": "route_failed"}
    store(database, RouteTroubleRow(context="outbound", **failing))
    create_request(database, module, target="103", number=OTHER)
    dispatch = claim(database, office, free("103"))
    assert (dispatch.orders, dispatch.wake_at) == ((), NOW + 30 * SECOND)


def test_limits_count_the_attempts_in_flight(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102"])
    create_request(database, module, target="101")
    create_request(database, module, target="102", number=OTHER)
    with database.write() as session:
        write_setting(session, "outbound_context", "outbound")
        write_setting(session, "route_calls_limit", "1")
    assert the_order(claim(database, office, free("101", "102"))).agent == "101"
    assert claim(database, office, free("102")).orders == ()
    with database.write() as session:
        write_setting(session, "route_calls_limit", "2")
        write_setting(session, "calls_limit", "1")
    assert claim(database, office, free("102")).orders == ()
    with database.write() as session:
        write_setting(session, "calls_limit", "")
    assert the_order(claim(database, office, free("102"))).agent == "102"
