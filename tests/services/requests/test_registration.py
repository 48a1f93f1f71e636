"""Registration: stored before the caller hears of it, and stored once however often the caller asks."""

import logging
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.domain.lifecycle import ACTIVE, FINAL, Outcome, Status
from app.services.errors import NotFound
from app.services.requests import registration
from app.services.requests.registration import Registration, register
from app.store.database import Database
from app.store.models import CallRequest
from tests.support.factories import NOW, NUMBER, create_module, create_request, history_of, reload, run_at_once

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


def test_many_calls_with_the_same_request_make_one_row(database: Database) -> None:
    module = create_module(database)
    ids = run_at_once(
        [
            lambda uniqueid=f"1.{n}": register(database, Registration(module.id, NUMBER, uniqueid=uniqueid), NOW)
            for n in range(16)
        ]
    )
    (row,) = all_requests(database)
    assert (set(ids), row.status) == ({row.id}, "waiting")
    assert [entry.event for entry in history_of(database, row.id)] == ["registered"] + ["registered_again"] * 15


def test_one_call_many_times_makes_one_row(database: Database) -> None:
    module = create_module(database)
    works = [lambda: register(database, Registration(module.id, NUMBER, uniqueid="1.1"), NOW)] * 16
    assert len(set(run_at_once(works))) == 1
    assert len(all_requests(database)) == 1


def test_many_callers_make_many_rows(database: Database) -> None:
    module = create_module(database)
    ids = run_at_once(
        [lambda number=f"+98912000{n:04}": register(database, Registration(module.id, number), NOW) for n in range(16)]
    )
    assert len(set(ids)) == 16 == len(all_requests(database))


def test_a_duplicate_that_the_first_query_misses_is_found_by_the_second(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On PostgreSQL two calls may both find nothing. The unique index then refuses the second row."""
    module = create_module(database)
    first = create_request(database, module)
    found = iter([None])
    find = registration.store.find_active
    monkeypatch.setattr(registration.store, "find_active", lambda *args: next(found, find(*args)))
    with caplog.at_level(logging.INFO, registration.log.name):
        assert register(database, Registration(module.id, NUMBER), NOW) == first.id
    assert [record.name for record in caplog.records] == [registration.log.name]


def test_a_duplicate_that_is_never_found_raises(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    module = create_module(database)
    create_request(database, module)
    monkeypatch.setattr(registration.store, "find_active", lambda *_: None)
    with pytest.raises(RuntimeError, match="duplicate"):
        register(database, Registration(module.id, NUMBER), NOW)
    with pytest.raises(IntegrityError):
        create_request(database, module)
