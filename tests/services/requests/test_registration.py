"""Registration: stored before the caller hears of it, and stored once however often the caller asks."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.domain.lifecycle import ACTIVE, FINAL, Outcome, Status
from app.services.errors import NotFound
from app.services.requests import registration
from app.services.requests.attempts import end
from app.services.requests.expiry import expire
from app.services.requests.registration import Registration, is_for_themselves, register, withdraw
from app.services.requests.together import foresee
from app.store import requests as store_requests
from app.store.database import Database
from app.store.models import CallRequest
from tests.support.factories import (
    NOW,
    NUMBER,
    create_attempt,
    create_module,
    create_queue,
    create_request,
    history_of,
    reload,
    run_at_once,
)

MINUTE = timedelta(minutes=1)
OTHER = "+989127654321"


def all_requests(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest).order_by(CallRequest.id)))


def registered(database: Database, given: Registration) -> CallRequest:
    """Register a request and return its row."""
    request_id = register(database, given, NOW)
    with database.read() as session:
        return session.get_one(CallRequest, request_id)


# -- one request ------------------------------------------------------------------------------------------------------


def test_a_request_is_stored(database: Database) -> None:
    module = create_module(database, name="Sales", targets=["101", "102"])
    row = registered(
        database,
        Registration(
            module_id=module.id,
            number=NUMBER,
            caller_number="09121234567",
            caller_name="Sara",
            extension="102",
            uniqueid="1.1",
            first_called_at=NOW - MINUTE,
        ),
    )
    assert (row.module_id, row.module_name, row.queue, row.target) == (module.id, "Sales", False, "102")
    assert (row.number, row.caller_number, row.caller_name) == (NUMBER, "09121234567", "Sara")
    assert (row.status, row.call_uniqueid, row.created_by) == ("waiting", "1.1", "")
    assert (row.first_called_at, row.registered_at) == (NOW - MINUTE, NOW)
    (entry,) = history_of(database, row.id)
    assert (entry.event, entry.old_status, entry.new_status, entry.at) == ("registered", "", "waiting", NOW)
    assert entry.detail == NUMBER


def test_the_user_who_registered_is_stored(database: Database) -> None:
    row = registered(database, Registration(create_module(database).id, NUMBER, created_by="sara"))
    assert (row.created_by, history_of(database, row.id)[0].actor) == ("sara", "sara")


def test_the_target_of_a_queue_module_is_the_queue(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    row = registered(database, Registration(module.id, NUMBER, extension="101"))
    assert (row.queue, row.target) == (True, "sales")


@pytest.mark.parametrize("extension", ["", "999"])
def test_without_an_extension_of_the_module_there_is_no_target(database: Database, extension: str) -> None:
    module = create_module(database, targets=["101", "102"])
    assert registered(database, Registration(module.id, NUMBER, extension=extension)).target == ""


def test_long_texts_from_the_pbx_are_cut(database: Database) -> None:
    module = create_module(database)
    row = registered(database, Registration(module.id, NUMBER, caller_number="1" * 100, caller_name="x" * 200))
    assert (len(row.caller_number), len(row.caller_name)) == (40, 80)


def test_the_first_call_is_not_later_than_the_registration(database: Database) -> None:
    """The clock of the PBX may be ahead."""
    given = Registration(create_module(database).id, NUMBER, first_called_at=NOW + MINUTE)
    assert registered(database, given).first_called_at == NOW


def test_chosen_time_is_stored_and_noted(database: Database) -> None:
    module, later, soon = create_module(database), NOW + 60 * MINUTE, NOW + 10 * MINUTE
    row = registered(database, Registration(module.id, NUMBER, call_at=later))
    assert (row.postponed_until, row.time_chosen) == (later, True)
    registered(database, Registration(module.id, NUMBER, call_at=soon))
    again = registered(database, Registration(module.id, NUMBER))
    assert (again.id, again.postponed_until, again.time_chosen) == (row.id, None, False), "as soon as possible"
    assert [(entry.event, entry.detail) for entry in history_of(database, row.id)] == [
        ("registered", NUMBER),
        ("time_chosen", later.isoformat()),
        ("registered_again", ""),
        ("time_chosen", soon.isoformat()),
        ("registered_again", ""),
    ]


def test_a_missing_module_raises(database: Database) -> None:
    with pytest.raises(NotFound):
        register(database, Registration(4711, NUMBER), NOW)
    assert all_requests(database) == []


# -- duplicates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_registering_again_returns_the_active_request(database: Database, status: Status) -> None:
    module = create_module(database)
    first = create_request(database, module, status=status.value, attempt="a1", step="claimed")
    assert register(database, Registration(module.id, NUMBER, uniqueid="2.1"), NOW + MINUTE) == first.id
    assert len(all_requests(database)) == 1
    entry = history_of(database, first.id)[-1]
    assert (entry.event, entry.old_status, entry.at) == ("registered_again", status.value, NOW + MINUTE)
    if status in (Status.DIALLING, Status.CONNECTED):
        row = reload(database, first)
        assert (row.status, row.attempt, row.step) == (status.value, "a1", "claimed")


def test_registering_again_keeps_the_position_and_ends_the_pause(database: Database) -> None:
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
    assert (row.not_before, row.customer_attempts) == (None, 1)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_an_ended_request_is_no_duplicate(database: Database, status: Status) -> None:
    module = create_module(database)
    first = create_request(database, module, status=status.value)
    assert register(database, Registration(module.id, NUMBER), NOW) != first.id


def test_another_module_number_or_target_is_another_request(database: Database) -> None:
    module, second = create_module(database, targets=["101", "102"]), create_module(database)
    ids = {
        register(database, given, NOW)
        for given in (
            Registration(module.id, NUMBER),
            Registration(module.id, OTHER),
            Registration(module.id, NUMBER, extension="101"),
            Registration(module.id, NUMBER, extension="102"),
            Registration(second.id, NUMBER),
        )
    }
    assert len(ids) == 5


@pytest.mark.parametrize("status", [Status.WAITING, Status.DONE])
def test_one_call_registers_once_in_each_module(database: Database, status: Status) -> None:
    """The PBX may ask twice if it did not get the first answer."""
    module, second = create_module(database), create_module(database)
    first = create_request(database, module, status=status.value, call_uniqueid="1.1")
    assert register(database, Registration(module.id, NUMBER, uniqueid="1.1"), NOW) == first.id
    assert len(all_requests(database)) == 1
    assert register(database, Registration(second.id, NUMBER, uniqueid="1.1"), NOW) != first.id


# -- at the same time -------------------------------------------------------------------------------------------------


def test_each_dialogue_of_a_call_registers_its_own_request(database: Database) -> None:
    """101 is busy, then 102, and the caller registers both times. Each dialogue has an id of its own."""
    module = create_module(database, targets=["101", "102"])
    first = register(database, Registration(module.id, NUMBER, extension="101", uniqueid="1.1"), NOW)
    second = register(database, Registration(module.id, NUMBER, extension="102", uniqueid="1.1/2"), NOW)
    assert [row.target for row in all_requests(database)] == ["101", "102"]
    assert register(database, Registration(module.id, NUMBER, extension="102", uniqueid="1.1/2"), NOW) == second
    assert register(database, Registration(module.id, NUMBER, extension="101", uniqueid="1.1/3"), NOW) == first
    assert history_of(database, first)[-1].event == "registered_again"


@pytest.mark.parametrize(
    ("fields", "extension", "number", "expected"),
    [
        ({"targets": ["101"]}, "101", "101", True),
        ({"targets": ["101"]}, "", "101", True),
        ({"targets": ["101", "102"]}, "101", "101", True),
        ({"targets": ["101", "102"]}, "102", "101", False),
        ({"targets": ["101", "102"]}, "", "101", False),
        ({"targets": ["101"]}, "101", NUMBER, False),
        ({"target_kind": "queue", "targets": ["alone"]}, "101", "101", True),
        ({"target_kind": "queue", "targets": ["both"]}, "101", "101", False),
        ({"target_kind": "queue", "targets": ["empty"]}, "101", "101", False),
    ],
)
def test_who_would_be_called_back_to_themselves(
    database: Database, fields: dict[str, Any], extension: str, number: str, expected: bool
) -> None:
    create_queue(database, "alone", "101")
    create_queue(database, "both", "101", "102")
    module = create_module(database, **fields)
    with database.read() as session:
        assert is_for_themselves(session, module.id, extension, number) is expected
        assert not is_for_themselves(session, 4711, extension, number)


@pytest.mark.parametrize("status", [Status.DIALLING, Status.CONNECTED])
def test_registration_during_an_attempt_outlives_it(database: Database, status: Status) -> None:
    module = create_module(database, expire_after=3600)
    request = create_request(
        database, module, status=status.value, attempt="a1", step="claimed", customer_attempts=2, agent_misses=1
    )
    create_attempt(database, request, id="a1")
    assert register(database, Registration(module.id, NUMBER, uniqueid="2.1"), NOW + MINUTE) == request.id
    row = reload(database, request)
    assert (row.again, row.registered_at, row.registered_again_at) == (True, NOW, NOW + MINUTE)
    end(database, "a1", Outcome.CUSTOMER_BUSY, NOW + 2 * MINUTE)
    row = reload(database, request)
    assert (row.status, row.customer_attempts, row.agent_misses, row.again) == ("waiting", 0, 0, False)
    expire(database, NOW + 60 * MINUTE)
    assert reload(database, request).status == "waiting"
    expire(database, NOW + 61 * MINUTE)
    assert reload(database, request).status == "expired"


def test_many_calls_with_the_same_request_make_one_row(database: Database) -> None:
    module = create_module(database)
    ids = run_at_once(
        [partial(register, database, Registration(module.id, NUMBER, uniqueid=f"1.{n}"), NOW) for n in range(16)]
    )
    (row,) = all_requests(database)
    assert (set(ids), row.status) == ({row.id}, "waiting")
    assert [entry.event for entry in history_of(database, row.id)] == ["registered", "registered_again"]
    assert history_of(database, row.id)[-1].detail == "15"


def test_one_call_many_times_makes_one_row(database: Database) -> None:
    module = create_module(database)
    works = [lambda: register(database, Registration(module.id, NUMBER, uniqueid="1.1"), NOW)] * 16
    assert len(set(run_at_once(works))) == 1
    assert len(all_requests(database)) == 1


def test_many_callers_make_many_rows(database: Database) -> None:
    module = create_module(database)
    ids = run_at_once(
        [partial(register, database, Registration(module.id, f"+98912000{n:04}"), NOW) for n in range(16)]
    )
    assert len(set(ids)) == 16 == len(all_requests(database))


def test_a_duplicate_that_the_first_query_misses_is_found_by_the_second(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On PostgreSQL two calls may both find nothing. The unique index then refuses the second row."""
    module = create_module(database)
    first = create_request(database, module)
    found = iter([None])
    find = store_requests.find_active
    monkeypatch.setattr(store_requests, "find_active", lambda *args: next(found, find(*args)))
    with caplog.at_level(logging.INFO, registration.log.name):
        assert register(database, Registration(module.id, NUMBER), NOW) == first.id
    assert [record.name for record in caplog.records] == [registration.log.name]


def test_a_duplicate_that_is_never_found_raises(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    module = create_module(database)
    create_request(database, module)
    monkeypatch.setattr(store_requests, "find_active", lambda *_: None)
    with pytest.raises(RuntimeError, match="duplicate"):
        register(database, Registration(module.id, NUMBER), NOW)
    with pytest.raises(IntegrityError):
        create_request(database, module)


# -- a caller who calls again -----------------------------------------------------------------------------------------


def has_open(database: Database, registration: Registration) -> bool:
    with database.read() as session:
        (prospective,) = foresee(database, session, [registration], NOW)
    return prospective.is_open


def test_open_request_of_the_caller_is_found_and_withdrawn(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    given = Registration(module.id, NUMBER, extension="101")
    assert not has_open(database, given)
    row = registered(database, given)
    assert has_open(database, given)
    for other in (Registration(module.id, OTHER, extension="101"), Registration(module.id, NUMBER, extension="102")):
        assert not has_open(database, other)
        assert withdraw(database, other, NOW) is None
    assert withdraw(database, given, NOW) is None
    assert (reload(database, row).status, has_open(database, given)) == ("cancelled", False)
    assert [(entry.event, entry.actor) for entry in history_of(database, row.id)][-1] == ("cancelled", "")


@pytest.mark.parametrize(
    ("status", "found", "attempt"),
    [(Status.DIALLING, True, "a1"), (Status.CONNECTED, False, None), (Status.DONE, False, None)],
)
def test_request_that_is_called_is_withdrawn_and_its_call_hung_up(
    database: Database, status: Status, found: bool, attempt: str | None
) -> None:
    module = create_module(database)
    create_request(database, module, target="101", status=status.value, attempt="a1", step="claimed")
    given = Registration(module.id, NUMBER, extension="101")
    assert has_open(database, given) is found
    assert withdraw(database, given, NOW) == attempt
