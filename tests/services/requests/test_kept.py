"""Kept registrations are registered once, for the time of the call, and judged like others."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.domain.limits import DAY, LimitReason
from app.services.requests.kept import REMEMBERED, KeptRefusal, count_refused, forget_old, register_kept
from app.services.requests.registration import Registration, register
from app.store.database import Database
from app.store.models import CallRequest, KeptRegistration, Module
from tests.services.requests.test_limits import block, limit
from tests.support.factories import NOW, create_module, history_of

CALLED = NOW - timedelta(minutes=20)
OWN = Registration(1, "+989121234567", uniqueid="1.1", extension="101")


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database)


def requests_of(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest)))


def test_request_has_the_time_of_the_call(database: Database, module: Module) -> None:
    register_kept(database, "1.1-1", OWN, CALLED, NOW)
    (request,) = requests_of(database)
    assert (request.registered_at, request.first_called_at, request.target) == (CALLED, CALLED, "101")


def test_each_key_is_registered_once(database: Database, module: Module) -> None:
    """Also if its request is done when Asterisk shows the record again."""
    first = register_kept(database, "1.1-1", OWN, CALLED, NOW)
    with database.write() as session:
        session.get_one(CallRequest, first).status = "done"
    assert register_kept(database, "1.1-1", OWN, CALLED, NOW) is None
    other = register_kept(database, "2.1-1", Registration(1, "+989121234567", uniqueid="2.1"), CALLED, NOW)
    assert other not in (None, first)
    assert len(requests_of(database)) == 2


def test_dialogue_that_had_registered_before_it_failed_is_found(database: Database, module: Module) -> None:
    before = register(database, OWN, CALLED)
    assert register_kept(database, "1.1-1", OWN, CALLED, NOW) == before
    assert len(requests_of(database)) == 1


def test_same_number_joins_the_open_request(database: Database, module: Module) -> None:
    found = {
        register_kept(database, f"{n}.1-1", Registration(1, OWN.number, uniqueid=f"{n}.1"), CALLED, NOW) for n in (1, 2)
    }
    (request,) = found
    assert isinstance(request, int)
    assert [entry.event for entry in history_of(database, request)].count("registered_again") == 1


def test_refusals_are_counted_because_the_caller_heard_a_yes(database: Database, module: Module) -> None:
    block(database, "+989120000001")
    limit(database, module_hour=1)
    results = [
        register_kept(database, "1", Registration(1, "+989120000001"), CALLED, NOW),
        register_kept(database, "2", OWN, CALLED, NOW),
        register_kept(database, "3", Registration(1, "+989120000003"), CALLED, NOW),
        register_kept(database, "4", None, CALLED, NOW),
        register_kept(database, "5", None, NOW, NOW, KeptRefusal.MALFORMED),
        register_kept(database, "6", Registration(9, "+989120000004"), CALLED, NOW),
        register_kept(database, "7", Registration(1, "+989120000005"), NOW - REMEMBERED - DAY, NOW),
    ]
    refusals = [
        LimitReason.BLOCKED,
        LimitReason.MODULE_HOUR,
        KeptRefusal.NUMBER,
        KeptRefusal.MALFORMED,
        KeptRefusal.NO_MODULE,
        KeptRefusal.OLD,
    ]
    assert [result for result in results if not isinstance(result, int)] == refusals
    with database.read() as session:
        assert count_refused(session, NOW) == {reason.value: 1 for reason in refusals}
        assert count_refused(session, NOW + DAY) == {}
    assert len(requests_of(database)) == 1


def test_keys_are_forgotten_when_their_records_count_as_old(database: Database, module: Module) -> None:
    later = NOW + REMEMBERED + DAY
    register_kept(database, "old", OWN, CALLED, NOW)
    register_kept(database, "new", OWN, CALLED, later)
    with database.write() as session:
        forget_old(session, later)
    with database.read() as session:
        assert list(session.scalars(select(KeptRegistration.key))) == ["new"]
    assert register_kept(database, "old", OWN, CALLED, later) is KeptRefusal.OLD
