"""Requests that are made of missed calls by themselves."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.missed_calls import Outcome
from app.domain.routing import CameBy
from app.services.missed.automatic import make_requests
from app.services.requests import number_lists
from app.store.database import Database
from app.store.models import CallRequest, MissedCallRule
from app.store.settings import write_setting
from tests.support.factories import (
    NOW,
    NUMBER,
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_request,
    reload,
)

OTHER = "+989127654321"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def requests(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest).order_by(CallRequest.id)))


@pytest.fixture
def rule(database: Database) -> MissedCallRule:
    create_module(database, name="Any", targets=["101", "102"])
    return create_missed_call_rule(database, minutes=10)


def test_request_is_made_silently_once_per_number(database: Database, office: Settings, rule: MissedCallRule) -> None:
    rows = [
        create_missed_call(database, at=NOW - minutes * MINUTE, caller_name=name)
        for minutes, name in ((12, ""), (3, "Mina"))
    ]
    assert make_requests(database, office, NOW) == 1
    (request,) = requests(database)
    assert (request.number, request.target, request.caller_name, request.created_by) == (NUMBER, "101", "Mina", "")
    assert (request.first_called_at, request.registered_at) == (NOW - 12 * MINUTE, NOW)
    assert (request.came_by, request.number_source) == (CameBy.MISSED_CALL, "caller_id")
    for row in rows:
        assert (reload(database, row).outcome, reload(database, row).request_id) == (Outcome.REQUESTED, request.id)
    create_missed_call(database, at=NOW)
    assert make_requests(database, office, NOW + 20 * MINUTE) == 0, "the look-back has one already"
    assert make_requests(database, office, NOW + HOUR * 23) == 0


def test_module_of_the_rule_makes_it_and_a_queue_has_its_own(database: Database, office: Settings) -> None:
    create_module(database, name="First", targets=["101"])
    chosen = create_module(database, name="Chosen", targets=["101"])
    queue = create_module(database, name="Queue", target_kind="queue", targets=["sales"])
    create_missed_call_rule(database, minutes=10, module_id=chosen.id)
    create_missed_call_rule(database, "sales", queue=True, minutes=10)
    create_missed_call(database, at=NOW - HOUR)
    create_missed_call(database, at=NOW - HOUR, number=OTHER, queue=True, target="sales")
    assert make_requests(database, office, NOW) == 2
    found = {(row.module_id, row.queue, row.target, row.number) for row in requests(database)}
    assert found == {(chosen.id, False, "101", NUMBER), (queue.id, True, "sales", OTHER)}


def test_number_that_missed_two_targets_gets_one_request(
    database: Database, office: Settings, rule: MissedCallRule
) -> None:
    create_missed_call_rule(database, "102", minutes=5)
    for target, minutes in (("101", 12), ("102", 11)):
        create_missed_call(database, target=target, at=NOW - minutes * MINUTE)
    assert make_requests(database, office, NOW) == 1
    assert [row.target for row in requests(database)] == ["101"], "for whom they called first"


@pytest.mark.parametrize(
    "call",
    [
        {"at": NOW - 9 * MINUTE},
        {"at": NOW - 25 * HOUR},
        {"outcome": "reached"},
        {"outcome": "dismissed"},
        {"outcome": "left"},
        {"number": ""},
        {"number": "+12025550123"},  # abroad
        {"target": "109"},
        {"target": "103"},  # by hand only
        {"queue": True, "target": "101"},
        {"target": "104"},  # its module is inactive
    ],
)
def test_no_request_is_made(database: Database, office: Settings, rule: MissedCallRule, call: dict[str, Any]) -> None:
    create_missed_call_rule(database, "103", minutes=0)
    create_missed_call_rule(database, "104", minutes=10)
    create_module(database, targets=["103"])
    create_module(database, targets=["104"], active=False)
    create_missed_call(database, **({"at": NOW - HOUR} | call))
    assert make_requests(database, office, NOW) == 0
    assert requests(database) == []


def test_blocked_number_gets_none(database: Database, office: Settings, rule: MissedCallRule) -> None:
    row = create_missed_call(database, at=NOW - HOUR)
    number_lists.add_entry(database, office, "block", NUMBER, "", actor="sara", now=NOW)
    assert make_requests(database, office, NOW) == 0
    assert reload(database, row).outcome == Outcome.OPEN


def test_limits_of_callers_hold(database: Database, office: Settings, rule: MissedCallRule) -> None:
    """The call stays on the list, and the request is made when the limit allows it."""
    for target in ("107", "108", "109"):
        create_request(database, create_module(database, targets=[target]), target=target, number=OTHER)
    with database.write() as session:
        write_setting(session, "waiting_limit", "3")
    row = create_missed_call(database, at=NOW - HOUR)
    assert make_requests(database, office, NOW) == 0
    assert reload(database, row).outcome == Outcome.OPEN


def test_module_that_is_deleted_gives_way_to_the_first(database: Database, office: Settings) -> None:
    gone = create_module(database, targets=["101"])
    rule = create_missed_call_rule(database, minutes=10, module_id=gone.id)
    with database.write() as session:
        session.delete(session.merge(gone))
    assert reload(database, rule).module_id is None
    module = create_module(database, targets=["101"])
    create_missed_call(database, at=NOW - HOUR)
    make_requests(database, office, NOW)
    assert [row.module_id for row in requests(database)] == [module.id]
