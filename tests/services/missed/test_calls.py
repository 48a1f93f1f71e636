"""Missed calls: which are stored, and what becomes of them."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.missed_calls import Arrival, Outcome, Target
from app.domain.routing import CameBy
from app.services.missed.calls import EndedCall, delete_old, forget, forget_number, record
from app.services.requests import create
from app.services.requests.reached import Talk, close_reached
from app.services.requests.registration import Registration, register
from app.store.database import Database
from app.store.missed_calls import LOOK_BACK
from app.store.models import MissedCall
from app.store.settings import write_setting
from tests.services.scene import SUPERVISOR
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
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CALL = EndedCall("1700000000.1", NUMBER, "Mina", (Arrival(Target(False, "101")),))


def stored(database: Database) -> list[MissedCall]:
    with database.read() as session:
        return list(session.scalars(select(MissedCall).order_by(MissedCall.id)))


@pytest.fixture
def listed(database: Database) -> None:
    create_missed_call_rule(database)


# -- what is stored ---------------------------------------------------------------------------------------------------


def test_missed_call_is_stored_once(database: Database, listed: None) -> None:
    for at in (NOW, NOW + MINUTE):
        record(database, CALL, at)
    (row,) = stored(database)
    assert (row.number, row.caller_name, row.queue, row.target, row.at) == (NUMBER, "Mina", False, "101", NOW)
    assert (row.outcome, row.outcome_at, row.request_id) == (Outcome.OPEN, None, None)


def test_nothing_is_stored_unless_somebody_has_asked_for_it(database: Database) -> None:
    record(database, CALL, NOW)
    create_missed_call_rule(database, "102")
    create_missed_call_rule(database, "101", queue=True)
    record(database, CALL, NOW)
    assert stored(database) == []


def test_call_that_came_to_a_module_counts_for_whom_it_wanted(database: Database, listed: None) -> None:
    module = create_module(database, targets=["101", "102"])
    record(database, EndedCall("1", NUMBER, "", (Arrival(module_id=module.id, wanted="101"),)), NOW)
    record(database, EndedCall("2", NUMBER, "", (Arrival(module_id=module.id, wanted="102"),)), NOW)
    assert [(row.call_uniqueid, row.target) for row in stored(database)] == [("1", "101")]


@pytest.mark.parametrize("dialogue", [CALL.uniqueid, f"{CALL.uniqueid}/2"])
def test_call_that_left_a_request_is_not_missed(database: Database, listed: None, dialogue: str) -> None:
    create_request(database, create_module(database), number=OTHER, call_uniqueid=dialogue, status="done")
    record(database, CALL, NOW)
    assert stored(database) == []


def test_caller_who_is_going_to_be_called_back_has_left_a_request(database: Database, listed: None) -> None:
    request = create_request(database, create_module(database), registered_at=NOW - HOUR)
    record(database, CALL, NOW)
    (row,) = stored(database)
    assert (row.outcome, row.outcome_at, row.request_id) == (Outcome.LEFT, NOW - HOUR, request.id)


def test_withheld_number_is_stored_and_matches_no_other(database: Database, listed: None) -> None:
    for uniqueid in ("1", "2"):
        record(database, EndedCall(uniqueid, "", "", CALL.arrivals), NOW)
    close_reached(database, Talk("", extension="101"), NOW)
    assert [(row.number, row.outcome) for row in stored(database)] == [("", Outcome.OPEN)] * 2


def test_call_whose_request_was_stored_as_the_caller_hung_up_is_forgotten(database: Database, listed: None) -> None:
    record(database, CALL, NOW)
    forget(database, {"another"})
    assert len(stored(database)) == 1
    forget(database, {CALL.uniqueid})
    assert stored(database) == []


def test_number_that_turns_out_to_be_withheld_is_forgotten(database: Database, listed: None) -> None:
    record(database, CALL, NOW)
    forget_number(database, CALL.uniqueid)
    forget_number(database, "another")
    assert [(row.number, row.caller_name) for row in stored(database)] == [("", "")]


def test_old_calls_are_deleted(database: Database) -> None:
    kept, _old = (create_missed_call(database, at=NOW - days * DAY) for days in (90, 91))
    assert delete_old(database, NOW) == 1
    assert [row.id for row in stored(database)] == [kept.id]


# -- what becomes of them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("talk", "by"),
    [
        (Talk(NUMBER, extension="103", since=NOW - MINUTE), "103"),
        (Talk(NUMBER, queue="sales", since=NOW - MINUTE), "sales"),
    ],
)
def test_any_talk_with_the_number_means_reached_later(database: Database, talk: Talk, by: str) -> None:
    before = [Outcome.OPEN, Outcome.LEFT, Outcome.REQUESTED, Outcome.DISMISSED]
    rows = [create_missed_call(database, at=NOW - HOUR, outcome=outcome.value) for outcome in before]
    other = create_missed_call(database, number=OTHER)
    long_ago = create_missed_call(database, at=NOW - 25 * HOUR)
    close_reached(database, talk, NOW)
    for row in rows:
        after = reload(database, row)
        assert (after.outcome, after.outcome_at, after.outcome_by) == (Outcome.REACHED, NOW - MINUTE, by)
    assert {reload(database, row).outcome for row in (other, long_ago)} == {Outcome.OPEN}


def test_second_talk_changes_nothing(database: Database) -> None:
    row = create_missed_call(database)
    for minutes, extension in ((1, "101"), (2, "102")):
        close_reached(database, Talk(NUMBER, extension=extension, since=NOW + minutes * MINUTE), NOW)
    assert (reload(database, row).outcome_by, reload(database, row).outcome_at) == ("101", NOW + MINUTE)


def test_look_back_is_a_setting(database: Database) -> None:
    row = create_missed_call(database, at=NOW - 40 * HOUR)
    with database.write() as session:
        write_setting(session, LOOK_BACK, "48")
    close_reached(database, Talk(NUMBER, extension="101"), NOW)
    assert reload(database, row).outcome == Outcome.REACHED


@pytest.mark.parametrize("again", [False, True])
def test_request_that_the_caller_leaves_later_is_noted(database: Database, again: bool) -> None:
    """Their own number counts, and the one that they typed."""
    module = create_module(database, targets=["101", "102"])
    if again:
        create_request(database, module, number=OTHER)
    own, typed = create_missed_call(database), create_missed_call(database, number=OTHER)
    dismissed = create_missed_call(database, outcome="dismissed")
    request = register(database, Registration(module.id, OTHER, caller=NUMBER), NOW)
    for row in (own, typed):
        after = reload(database, row)
        assert (after.outcome, after.outcome_at, after.request_id) == (Outcome.LEFT, NOW, request)
    assert reload(database, dismissed).outcome == Outcome.DISMISSED


def test_request_that_a_colleague_makes_is_noted(database: Database, office: Settings) -> None:
    module, row = create_module(database), create_missed_call(database)
    result = create.create_request(database, office, SUPERVISOR, create.NewRequest(NUMBER, module.id, "101"), NOW)
    after = reload(database, row)
    assert (after.outcome, after.outcome_by, after.request_id) == (Outcome.REQUESTED, "sara", result.id)
    later = create_missed_call(database)
    create.create_request(database, office, SUPERVISOR, create.NewRequest(NUMBER, module.id, "101"), NOW)
    assert reload(database, later).request_id == result.id, "it exists already"


def test_request_made_of_a_missed_call_is_told_from_one_that_the_caller_left(database: Database) -> None:
    module, row = create_module(database), create_missed_call(database)
    register(database, Registration(module.id, NUMBER, came_by=CameBy.MISSED_CALL), NOW)
    assert reload(database, row).outcome == Outcome.REQUESTED
