"""Undoing the last change of a request: it becomes as it was, unless anything has happened to it since."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from app.domain.lifecycle import Outcome, Registered, Step
from app.domain.policy import Facts, decide
from app.services import commands
from app.services.requests.access import Scope
from app.services.requests.actions import (
    Action,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Reassign,
    ShownRequest,
    Undo,
    WriteNote,
)
from app.services.requests.attempts import end
from app.services.requests.detail import load_detail
from app.services.requests.perform import execute, perform
from app.services.requests.results import ActionResult
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, ListedNumber
from tests.services.scene import HOUR, OPERATOR, OTHER_SUPERVISOR, SUPERVISOR
from tests.support.factories import (
    NOW,
    apply_event,
    create_attempt,
    create_module,
    create_request,
    create_running_service,
    history_of,
    log_of,
    reload,
    run_at_once,
)
from tests.support.factories import store as store_row

CHANGES: list[Action] = [MarkDone("by mail"), Cancel(), Postpone(NOW + HOUR), Reassign(False, "102")]
LATER = NOW + timedelta(seconds=5)
both_starts = pytest.mark.parametrize("status", ["waiting", "uncertain"])
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda action: type(action).__name__)


def request_of(database: Database, **kwargs: Any) -> CallRequest:
    module = create_module(database, targets=["101", "102"], fallback_after=600, fallback_code="103")
    return create_request(database, module, **({"target": "101"} | kwargs))


def act(database: Database, row: CallRequest, action: Action, scope: Scope = SUPERVISOR) -> ActionResult:
    """Perform an action on a request in its present version."""
    return act_on(database, reload(database, row), action, scope)


def act_on(database: Database, shown: CallRequest, action: Action, scope: Scope = SUPERVISOR) -> ActionResult:
    (result,) = perform(database, scope, action, [ShownRequest(shown.id, shown.version)], LATER)
    return result


def columns(row: CallRequest) -> dict[str, Any]:
    """Return what a request is, without its version and what the dispatcher finds out again."""
    table = CallRequest.__table__.columns
    return {column.name: getattr(row, column.name) for column in table if column.name not in ("version", "held_until")}


@both_starts
@each_change
def test_a_request_becomes_what_it_was(database: Database, change: Action, status: str) -> None:
    row = request_of(
        database,
        status=status,
        note="angry",
        free_at=NOW - HOUR,
        postponed_until=NOW + 2 * HOUR,
        preferred="101",
        fell_back=status == "waiting",
        customer_attempts=1,
        last_outcome=Outcome.CUSTOMER_BUSY.value,
        **({"attempt": "a1", "step": Step.CUSTOMER_DIALLED.value} if status == "uncertain" else {"call_now": True}),
        **({} if status == "uncertain" else {"call_now_agent": "101", "call_now_at": NOW - HOUR / 2}),
    )
    before = columns(row)
    changed = act(database, row, change)
    assert (changed.code, changed.undoable) == ("done", True)
    detail = load_detail(database, SUPERVISOR, row.id, LATER)
    assert detail.undoable == detail.history[-1]
    assert columns(reload(database, row)) != before
    assert act(database, row, Undo()).code == "done"
    assert columns(reload(database, row)) == before
    entries = history_of(database, row.id)
    assert (entries[-1].event, entries[-1].detail, entries[-1].actor) == ("undone", entries[-2].event, "sara")
    assert log_of(database)[-1].action == "request_undone" and log_of(database)[-1].detail
    assert load_detail(database, SUPERVISOR, row.id, LATER).undoable is None, "an undo is not undone"
    assert act(database, row, Undo()).code == "too_late"


def test_an_undo_takes_effect_once(database: Database) -> None:
    row = request_of(database)
    act(database, row, Cancel())
    shown = reload(database, row)
    results = run_at_once([partial(act_on, database, shown, Undo()) for _ in range(4)])
    assert sorted(result.code for result in results) == ["changed", "changed", "changed", "done"]
    assert [entry.event for entry in history_of(database, row.id)] == ["cancelled", "undone"]


def _claim(database: Database, row: CallRequest) -> None:
    create_running_service(database)
    with database.write() as session:
        stored = session.get_one(CallRequest, row.id)
        stored.status, stored.attempt, stored.step = "dialling", "a1", Step.CLAIMED.value


# what happens between the change and its undo -> the result of the undo by somebody who saw the change
SINCE: dict[str, tuple[Action, Callable[[Database, CallRequest], object], str]] = {
    "a note": (Cancel(), lambda database, row: act(database, row, WriteNote("x"), OTHER_SUPERVISOR), "changed"),
    "an action": (
        Postpone(NOW + HOUR),
        lambda database, row: act(database, row, Cancel(), OTHER_SUPERVISOR),
        "changed",
    ),
    "a call": (Postpone(NOW + HOUR), _claim, "too_late"),
    "the caller": (
        Postpone(NOW + HOUR),
        lambda database, row: apply_event(database, row.id, Registered(), actor="", now=LATER),
        "too_late",
    ),
    "a block": (
        Cancel(),
        lambda database, row: store_row(database, ListedNumber(kind="block", first=row.number, created_at=NOW)),
        "blocked",
    ),
    "a duplicate": (
        MarkDone(),
        lambda database, row: create_request(database, target="101", module_id=row.module_id),
        "duplicate",
    ),
}


@pytest.mark.parametrize("name", SINCE)
def test_nothing_is_undone_if_anything_has_happened_since(database: Database, name: str) -> None:
    change, happen, code = SINCE[name]
    row = request_of(database)
    act(database, row, change)
    shown = reload(database, row)
    happen(database, shown)
    version = reload(database, row).version
    assert act_on(database, shown, Undo()).code == code
    assert reload(database, row).version == version


def test_what_hung_up_a_phone_is_not_undone(database: Database) -> None:
    row = request_of(database, status="dialling", attempt="a1", step=Step.CLAIMED.value)
    create_attempt(database, row, id="a1")
    assert execute(database, commands.CANCEL, {"request": row.id}, "sara", NOW).hang_up == "a1"
    end(database, "a1", Outcome.WITHDRAWN, NOW)
    assert act(database, row, Undo()).code == "too_late"
    assert reload(database, row).status == "cancelled"


def test_a_wish_to_call_is_not_undone_but_withdrawn(database: Database) -> None:
    row = request_of(database)
    execute(database, commands.CALL_NOW, {"request": row.id}, "sara", NOW)
    assert act(database, row, Undo()).code == "too_late"
    assert act(database, row, CallNow()).code == "same"


def test_an_operator_undoes_their_own_reassignment_to_others_and_nobody_elses(database: Database) -> None:
    row = request_of(database)
    act(database, row, Reassign(False, "102"), OPERATOR)
    assert act(database, row, WriteNote("x"), OPERATOR).code == "not_found", "it has left their sight"
    other = Scope("nima", extensions=("101",))
    assert act(database, row, Undo(), other).code == "not_found"
    assert act(database, row, Undo(), OPERATOR).code == "done"
    assert reload(database, row).target == "101"


def test_an_undone_request_waits_under_the_same_rules(database: Database) -> None:
    """It is not dialled at once, whatever it waited for before."""
    row = request_of(database, postponed_until=NOW + 2 * HOUR)
    act(database, row, Cancel())
    act(database, row, Undo())
    with database.read() as session:
        loaded = store.load(session, row.id)
        assert loaded is not None
        plan = decide([store.to_domain(*loaded)], Facts(heartbeat=LATER), LATER)
    assert plan.dials == () and plan.reasons[row.id].until == NOW + 2 * HOUR
