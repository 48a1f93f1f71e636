"""What the tables themselves refuse, and moments that keep their zone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError

from app.domain.lifecycle import ACTIVE, FINAL, Status
from app.store.database import Database
from app.store.models import Prompt
from tests.support.factories import (
    NOW,
    create_attempt,
    create_module,
    create_request,
    reload,
    store,
)

OTHER = "+989127654321"

# One active request


@pytest.mark.parametrize("second", sorted(ACTIVE))
@pytest.mark.parametrize("first", sorted(ACTIVE))
def test_a_second_active_request_for_the_same_is_refused(database: Database, first: Status, second: Status) -> None:
    module = create_module(database)
    create_request(database, module, status=first.value)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        create_request(database, module, status=second.value)


@pytest.mark.parametrize("final", sorted(FINAL))
def test_a_request_that_has_ended_makes_room_for_the_next(database: Database, final: Status) -> None:
    module = create_module(database)
    create_request(database, module, status=final.value)
    create_request(database, module, status=final.value)
    create_request(database, module)


@pytest.mark.parametrize("other", [{"number": OTHER}, {"target": "102"}, {"queue": True}])
def test_another_number_or_target_is_another_request(database: Database, other: dict[str, object]) -> None:
    module = create_module(database)
    create_request(database, module)
    create_request(database, module, **other)


def test_two_modules_may_have_a_request_for_the_same_number(database: Database) -> None:
    create_request(database, create_module(database))
    create_request(database, create_module(database))


def test_one_call_registers_one_request(database: Database) -> None:
    module = create_module(database)
    create_request(database, module, call_uniqueid="1.1", status=Status.DONE.value)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        create_request(database, module, call_uniqueid="1.1", number=OTHER)
    create_request(database, module, number=OTHER)  # by hand: no call
    create_request(database, module, number="+989120000000")


# One attempt in flight


def test_a_second_attempt_in_flight_for_the_same_request_is_refused(database: Database) -> None:
    request = create_request(database, create_module(database))
    create_attempt(database, request, agent="101")
    with pytest.raises(IntegrityError, match=r"attempts\.request_id"):
        create_attempt(database, request, agent="102", number=OTHER)


def test_a_second_attempt_in_flight_to_the_same_number_is_refused_across_modules(database: Database) -> None:
    one, other = (create_request(database, create_module(database)) for _ in range(2))
    create_attempt(database, one, agent="101")
    with pytest.raises(IntegrityError, match=r"attempts\.number"):
        create_attempt(database, other, agent="102")


def test_a_second_attempt_in_flight_of_the_same_agent_is_refused(database: Database) -> None:
    module = create_module(database)
    one, other = create_request(database, module), create_request(database, module, number=OTHER)
    create_attempt(database, one, agent="101")
    with pytest.raises(IntegrityError, match=r"attempts\.agent"):
        create_attempt(database, other, agent="101")


def test_an_attempt_that_has_ended_makes_room_for_the_next(database: Database) -> None:
    request = create_request(database, create_module(database))
    create_attempt(database, request, ended_at=NOW)
    create_attempt(database, request, ended_at=NOW)
    create_attempt(database, request)


# What hangs on what


def test_a_deleted_module_leaves_its_requests_and_takes_its_prompts(database: Database) -> None:
    module = create_module(database)
    prompt = store(database, Prompt(module_id=module.id, key="intro", mode="none"))
    request = create_request(database, module)
    with database.write() as session:
        session.delete(session.merge(module))
    assert reload(database, request).module_id is None
    with pytest.raises(AssertionError, match="gone"):
        reload(database, prompt)


# Moments


def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without a time zone"):
        create_request(database, create_module(database), registered_at=datetime(2026, 3, 2, 8, 0))


def test_a_moment_comes_back_as_the_same_moment_in_utc(database: Database) -> None:
    tehran = timezone(timedelta(hours=3, minutes=30))
    local = datetime(2026, 3, 2, 11, 30, 15, 123456, tzinfo=tehran)
    request = create_request(database, create_module(database), registered_at=local)
    stored = reload(database, request).registered_at
    assert stored == local
    assert stored.tzinfo is UTC
    with database.read() as session:  # what lies in the file is UTC, so that moments can be compared as they lie there
        raw = session.scalar(text("SELECT registered_at FROM call_requests"))
    assert raw == "2026-03-02 08:00:15.123456"


def test_no_moment_stays_none(database: Database) -> None:
    assert reload(database, create_request(database, create_module(database))).not_before is None
