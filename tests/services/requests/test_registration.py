"""A caller is told "registered" when the request is on disk; and however often they ask, there is one of it."""

import logging
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.domain.lifecycle import ACTIVE, FINAL, Outcome, Status
from app.services.requests import attempts
from app.services.requests.attempts import NotFound, Registration, register
from app.store.database import Database
from app.store.models import CallRequest
from tests.support.factories import (
    NOW,
    NUMBER,
    at_once,
    create_module,
    create_request,
    history_of,
    reload,
)

MINUTE = timedelta(minutes=1)
OTHER = "+989127654321"


def all_requests(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest).order_by(CallRequest.id)))


def load(database: Database, request_id: int) -> CallRequest:
    with database.read() as session:
        return session.get_one(CallRequest, request_id)


def test_a_request_is_stored_as_the_caller_made_it(database: Database) -> None:
    module = create_module(database, name="Sales", targets=["101", "102"])
    request_id = register(
        database,
        Registration(
            module_id=module.id,
            number=NUMBER,
            caller_number="09121234567",
            caller_name="Sara",
            wanted="102",
            uniqueid="1.1",
            first_called_at=NOW - MINUTE,
        ),
        NOW,
    )
    row = load(database, request_id)
    assert (row.module_id, row.module_name, row.queue, row.target) == (module.id, "Sales", False, "102")
    assert (row.number, row.caller_number, row.caller_name) == (NUMBER, "09121234567", "Sara")
    assert (row.status, row.call_uniqueid, row.created_by) == ("waiting", "1.1", "")
    assert (row.first_called_at, row.registered_at) == (NOW - MINUTE, NOW)
    (entry,) = history_of(database, request_id)
    assert (entry.event, entry.old_status, entry.new_status, entry.at) == ("registered", "", "waiting", NOW)


def test_a_request_made_by_hand_names_who_made_it(database: Database) -> None:
    module = create_module(database)
    request_id = register(database, Registration(module.id, NUMBER, created_by="sara"), NOW)
    assert load(database, request_id).created_by == "sara"
    assert history_of(database, request_id)[0].actor == "sara"


def test_a_queues_request_wants_the_queue_whatever_was_dialled(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    row = load(database, register(database, Registration(module.id, NUMBER, wanted="101"), NOW))
    assert (row.queue, row.target) == (True, "sales")


@pytest.mark.parametrize("wanted", ["", "999"])
def test_who_reached_none_of_the_modules_extensions_wants_any(database: Database, wanted: str) -> None:
    module = create_module(database, targets=["101", "102"])
    assert load(database, register(database, Registration(module.id, NUMBER, wanted=wanted), NOW)).target == ""


def test_overlong_words_of_the_exchange_do_not_lose_the_request(database: Database) -> None:
    module = create_module(database)
    given = Registration(module.id, NUMBER, caller_number="1" * 100, caller_name="x" * 200)
    row = load(database, register(database, given, NOW))
    assert (len(row.caller_number), len(row.caller_name)) == (40, 80)


def test_nobody_called_first_after_they_registered(database: Database) -> None:
    """A clock that runs ahead on the exchange gives nobody a place at the end of the line."""
    module = create_module(database)
    given = Registration(module.id, NUMBER, first_called_at=NOW + MINUTE)
    assert load(database, register(database, given, NOW)).first_called_at == NOW


def test_a_module_that_is_gone_is_told(database: Database) -> None:
    with pytest.raises(NotFound):
        register(database, Registration(4711, NUMBER), NOW)
    assert all_requests(database) == []


# Twins


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_the_same_wish_again_is_the_request_that_there_is(database: Database, status: Status) -> None:
    module = create_module(database)
    first = create_request(database, module, status=status.value, attempt="a1", step="claimed")
    assert register(database, Registration(module.id, NUMBER, uniqueid="2.1"), NOW + MINUTE) == first.id
    assert len(all_requests(database)) == 1
    entry = history_of(database, first.id)[-1]
    assert (entry.event, entry.old_status, entry.at) == ("registered_again", status.value, NOW + MINUTE)


def test_who_asks_again_keeps_the_place_in_line_and_is_not_paused(database: Database) -> None:
    module = create_module(database)
    first = create_request(
        database,
        module,
        first_called_at=NOW - MINUTE,
        not_before=NOW + MINUTE,
        customer_attempts=1,
        last_outcome=Outcome.CUSTOMER_BUSY.value,
    )
    register(database, Registration(module.id, NUMBER), NOW)
    row = reload(database, first)
    assert (row.first_called_at, row.registered_at) == (NOW - MINUTE, NOW)
    assert row.not_before is None
    assert row.customer_attempts == 1


def test_who_asks_again_while_the_phone_rings_disturbs_nothing(database: Database) -> None:
    module = create_module(database)
    first = create_request(database, module, status=Status.DIALLING.value, attempt="a1", step="claimed")
    register(database, Registration(module.id, NUMBER), NOW)
    row = reload(database, first)
    assert (row.status, row.attempt, row.step) == ("dialling", "a1", "claimed")


@pytest.mark.parametrize("status", sorted(FINAL))
def test_after_the_end_the_same_wish_is_a_new_request(database: Database, status: Status) -> None:
    module = create_module(database)
    first = create_request(database, module, status=status.value)
    assert register(database, Registration(module.id, NUMBER), NOW) != first.id


def test_another_wish_is_another_request(database: Database) -> None:
    module, second = create_module(database, targets=["101", "102"]), create_module(database)
    ids = {
        register(database, given, NOW)
        for given in (
            Registration(module.id, NUMBER),
            Registration(module.id, OTHER),
            Registration(module.id, NUMBER, wanted="101"),
            Registration(module.id, NUMBER, wanted="102"),
            Registration(second.id, NUMBER),
        )
    }
    assert len(ids) == 5


@pytest.mark.parametrize("status", sorted(Status))
def test_the_same_call_registers_once_even_when_all_is_over(database: Database, status: Status) -> None:
    """The service may be asked twice for one call: the first answer was lost on its way to the exchange."""
    module = create_module(database)
    first = create_request(database, module, status=status.value, call_uniqueid="1.1")
    assert register(database, Registration(module.id, NUMBER, uniqueid="1.1"), NOW) == first.id
    assert len(all_requests(database)) == 1


# At the same instant


def test_sixteen_calls_at_the_same_instant_make_one_request(database: Database) -> None:
    module = create_module(database)
    ids = at_once(
        [
            lambda uniqueid=f"1.{n}": register(database, Registration(module.id, NUMBER, uniqueid=uniqueid), NOW)
            for n in range(16)
        ]
    )
    assert len(set(ids)) == 1
    (row,) = all_requests(database)
    assert row.status == "waiting"
    # Nobody's call is lost without a trace, either.
    assert [entry.event for entry in history_of(database, row.id)] == ["registered"] + ["registered_again"] * 15


def test_the_same_call_sixteen_times_at_the_same_instant_makes_one_request(database: Database) -> None:
    module = create_module(database)
    works = [lambda: register(database, Registration(module.id, NUMBER, uniqueid="1.1"), NOW)] * 16
    assert len(set(at_once(works))) == 1
    assert len(all_requests(database)) == 1


def test_sixteen_callers_at_the_same_instant_are_all_registered(database: Database) -> None:
    module = create_module(database)
    ids = at_once(
        [lambda number=f"+98912000{n:04}": register(database, Registration(module.id, number), NOW) for n in range(16)]
    )
    assert len(set(ids)) == 16 == len(all_requests(database))


def test_a_twin_that_the_first_look_missed_is_found_by_the_second(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where rows are locked as they are read (PostgreSQL) two calls may both find nothing; the index decides."""
    module = create_module(database)
    first = create_request(database, module)
    looks = iter([None])
    real = attempts.store.find_active
    monkeypatch.setattr(attempts.store, "find_active", lambda *args: next(looks, real(*args)))
    with caplog.at_level(logging.INFO, attempts.log.name):
        assert register(database, Registration(module.id, NUMBER), NOW) == first.id
    assert "met its twin" in caplog.text


def test_a_twin_that_is_never_found_is_no_endless_loop(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    module = create_module(database)
    create_request(database, module)
    monkeypatch.setattr(attempts.store, "find_active", lambda *_: None)
    with pytest.raises(RuntimeError, match="twin"):
        register(database, Registration(module.id, NUMBER), NOW)
    with pytest.raises(IntegrityError):  # and it was the index that kept it out
        create_request(database, module)


def test_a_caller_who_goes_on_to_a_second_module_leaves_two_requests(database: Database) -> None:
    sales, support = create_module(database, code="*5001"), create_module(database, code="*5002", name="Support")
    first = register(database, Registration(sales.id, NUMBER, uniqueid="1.1"), NOW)
    second = register(database, Registration(support.id, NUMBER, uniqueid="1.1"), NOW)
    assert first != second
