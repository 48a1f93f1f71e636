"""The constraints of the tables, and datetimes with time zones."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError

from app.domain.lifecycle import ACTIVE, FINAL, Status
from app.store.database import Database
from app.store.models import Prompt
from tests.support.factories import (
    NOW,
    NUMBER,
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
def test_duplicate_active_request_is_refused(database: Database, first: Status, second: Status) -> None:
    module = create_module(database)
    create_request(database, module, status=first.value)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        create_request(database, module, status=second.value)


@pytest.mark.parametrize("final", sorted(FINAL))
def test_ended_requests_do_not_block_a_new_one(database: Database, final: Status) -> None:
    module = create_module(database)
    create_request(database, module, status=final.value)
    create_request(database, module, status=final.value)
    create_request(database, module)


@pytest.mark.parametrize("other", [{"number": OTHER}, {"target": "102"}, {"queue": True}])
def test_request_with_another_number_or_target_is_no_duplicate(database: Database, other: dict[str, Any]) -> None:
    module = create_module(database)
    create_request(database, module)
    create_request(database, module, **other)


def test_request_of_another_module_is_no_duplicate(database: Database) -> None:
    create_request(database, create_module(database))
    create_request(database, create_module(database))


def test_call_registers_one_request(database: Database) -> None:
    module = create_module(database)
    create_request(database, module, call_uniqueid="1.1", status=Status.DONE.value)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        create_request(database, module, call_uniqueid="1.1", number=OTHER)
    create_request(database, module, number=OTHER)  # created in the panel, without a call
    create_request(database, module, number="+989120000000")


# One attempt in flight


def test_second_attempt_in_flight_for_a_request_is_refused(database: Database) -> None:
    request = create_request(database, create_module(database))
    create_attempt(database, request, agent="101")
    with pytest.raises(IntegrityError, match=r"attempts\.request_id"):
        create_attempt(database, request, agent="102", number=OTHER)


@pytest.mark.parametrize(
    ("column", "number", "agent"), [("number", NUMBER, "102"), ("agent", OTHER, "101")], ids=["number", "agent"]
)
def test_second_attempt_in_flight_for_a_number_or_an_agent_is_refused(
    database: Database, column: str, number: str, agent: str
) -> None:
    """The requests may belong to different modules."""
    first = create_request(database, create_module(database))
    second = create_request(database, create_module(database), number=number)
    create_attempt(database, first, agent="101")
    with pytest.raises(IntegrityError, match=rf"attempts\.{column}"):
        create_attempt(database, second, agent=agent)


def test_ended_attempts_do_not_block_a_new_one(database: Database) -> None:
    request = create_request(database, create_module(database))
    create_attempt(database, request, ended_at=NOW)
    create_attempt(database, request, ended_at=NOW)
    create_attempt(database, request)


# Foreign keys


def test_deleting_a_module_keeps_its_requests_and_deletes_its_prompts(database: Database) -> None:
    module = create_module(database)
    prompt = store(database, Prompt(module_id=module.id, key="intro", mode="none"))
    request = create_request(database, module)
    with database.write() as session:
        session.delete(session.merge(module))
    assert reload(database, request).module_id is None
    with pytest.raises(AssertionError, match="gone"):
        reload(database, prompt)


# Datetimes


def test_datetime_without_a_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without a time zone"):
        create_request(database, create_module(database), registered_at=datetime(2026, 3, 2, 8, 0))


def test_datetime_is_stored_and_read_in_utc(database: Database) -> None:
    tehran = timezone(timedelta(hours=3, minutes=30))
    local = datetime(2026, 3, 2, 11, 30, 15, 123456, tzinfo=tehran)
    request = create_request(database, create_module(database), registered_at=local)
    stored = reload(database, request).registered_at
    assert stored == local
    assert stored.tzinfo is UTC
    with database.read() as session:  # SQLite compares the stored texts
        raw = session.scalar(text("SELECT registered_at FROM call_requests"))
    assert raw == "2026-03-02 08:00:15.123456"


def test_missing_datetime_is_read_as_none(database: Database) -> None:
    assert reload(database, create_request(database, create_module(database))).not_before is None
