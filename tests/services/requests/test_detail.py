"""The detail of one request."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.estimated_wait import FEWEST
from app.domain.lifecycle import Outcome, Status
from app.services.errors import NotFound
from app.services.requests import perform
from app.services.requests.actions import Postpone, Prioritise, ShownRequest, WriteNote
from app.services.requests.detail import load_detail
from app.store.database import Database
from app.store.models import HistoryEntry
from tests.services.scene import HOUR, MINUTE, SUPERVISOR
from tests.support.factories import (
    NOW,
    create_attempt,
    create_line,
    create_module,
    create_past_requests,
    create_request,
    create_running_service,
    reload,
    store,
)

SECOND = timedelta(seconds=1)


def test_an_attempt_has_the_durations_of_both_legs(database: Database) -> None:
    create_line(database, "101", name="Sara")
    row = create_request(database, create_module(database), status="done", done_at=NOW + MINUTE, reached_at=NOW + HOUR)
    create_attempt(
        database,
        row,
        id="a2",
        started_at=NOW,
        answered_at=NOW + 4 * SECOND,
        dialled_at=NOW + 6 * SECOND,
        connected_at=NOW + 16 * SECOND,
        ended_at=NOW + 76 * SECOND,
        outcome="connected",
        cause="16 Normal Clearing",
    )
    create_attempt(database, row, id="a1", agent="102", started_at=NOW - HOUR, ended_at=NOW - HOUR + 20 * SECOND,
                   outcome="agent_no_answer", manual=True)  # fmt: skip
    detail = load_detail(database, SUPERVISOR, row.id, NOW)
    missed, talked = detail.attempts
    assert (missed.agent, missed.agent_name, missed.manual) == ("102", "", True)
    assert missed.outcome is Outcome.AGENT_NO_ANSWER
    assert (missed.agent_rang, missed.customer_rang, missed.talked) == (20 * SECOND, None, None)
    assert (talked.agent, talked.agent_name, talked.cause) == ("101", "Sara", "16 Normal Clearing")
    assert (talked.agent_rang, talked.customer_rang, talked.talked) == (4 * SECOND, 10 * SECOND, 60 * SECOND)
    assert (detail.request.id, detail.reached_at) == (row.id, NOW + HOUR)


def test_an_attempt_in_flight_has_no_end(database: Database) -> None:
    row = create_request(database, create_module(database), status="connected")
    create_attempt(database, row, answered_at=NOW, dialled_at=NOW, connected_at=NOW)
    (attempt,) = load_detail(database, SUPERVISOR, row.id, NOW).attempts
    assert (attempt.outcome, attempt.ended_at, attempt.talked) == (None, None, None)


def test_the_history_has_actors_and_changed_values(database: Database) -> None:
    row = create_request(database, create_module(database))
    for action in (Prioritise(1), Postpone(NOW + HOUR), WriteNote("a → b")):
        perform.perform(database, SUPERVISOR, action, [ShownRequest(row.id, reload(database, row).version)], NOW)
    first, second, third = load_detail(database, SUPERVISOR, row.id, NOW).history
    assert (first.kind, first.actor, first.old, first.new) == ("prioritised", "sara", "0", "1")
    assert (first.old_status, first.new_status, first.at) == (Status.WAITING, Status.WAITING, NOW)
    assert (second.kind, second.old, second.new) == ("postponed", "", (NOW + HOUR).isoformat())
    assert (third.kind, third.detail, third.old, third.new) == ("noted", "a → b", "", "")


def test_the_timeline_shows_the_events_of_an_attempt_once(database: Database) -> None:
    """Events of an attempt appear only if the attempt itself is missing."""
    row = create_request(database, create_module(database))
    create_attempt(database, row, id="a1", started_at=NOW + MINUTE)
    for n, (kind, attempt) in enumerate([("registered", None), ("claimed", "a1"), ("ended", "a1"), ("ended", "gone")]):
        store(
            database,
            HistoryEntry(
                request_id=row.id, at=NOW + n * HOUR, event=kind, old_status="", new_status="waiting",
                attempt=attempt, detail="", actor="", version=1,
            ),
        )  # fmt: skip
    timeline = load_detail(database, SUPERVISOR, row.id, NOW).timeline
    shown = [entry.event.kind if entry.event else entry.attempt and entry.attempt.id for entry in timeline]
    assert shown == ["ended", "a1", "registered"]
    assert [entry.at for entry in timeline] == [NOW + 3 * HOUR, NOW + MINUTE, NOW]


def test_a_missing_request_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        load_detail(database, SUPERVISOR, 4711, NOW)


def test_no_phone_rang_at_a_customer_whose_route_failed(database: Database) -> None:
    row = create_request(database, create_module(database))
    moments: dict[str, Any] = {"answered_at": NOW, "dialled_at": NOW, "ended_at": NOW + SECOND}
    create_attempt(database, row, outcome="route_congested", **moments)
    (attempt,) = load_detail(database, SUPERVISOR, row.id, NOW).attempts
    assert (attempt.outcome, attempt.customer_rang) == (Outcome.ROUTE_CONGESTED, None)


@pytest.mark.parametrize(("timezone", "is_said"), [("Asia/Tehran", True), ("", False)])
def test_detail_has_the_estimated_wait(database: Database, timezone: str, is_said: bool) -> None:
    """The hours are unknown until the worker has run."""
    create_running_service(database, timezone=timezone, region="IR")
    module = create_module(database)
    create_past_requests(database, module.id, 2 * FEWEST, 20 * MINUTE, NOW, target="101")
    row = create_request(database, module, target="101")
    found = load_detail(database, SUPERVISOR, row.id, NOW).prospect
    assert (found is not None and found.estimate is not None) == is_said


def test_agents_phone_rings_only_once_the_customer_waits_who_is_rung_first(database: Database) -> None:
    row = create_request(database, create_module(database))
    create_attempt(database, row, id="a1", dialled_at=NOW + SECOND, ended_at=NOW + 9 * SECOND, outcome="customer_busy")
    later: dict[str, Any] = {"started_at": NOW + HOUR, "dialled_at": NOW + HOUR, "waited_at": NOW + HOUR + 8 * SECOND}
    later |= {"ended_at": NOW + HOUR + 30 * SECOND, "outcome": "agent_missed_customer"}
    create_attempt(database, row, id="a2", **later)
    busy, missed = load_detail(database, SUPERVISOR, row.id, NOW).attempts
    assert (busy.agent_rang, busy.customer_rang) == (None, 8 * SECOND)
    assert (missed.agent_rang, missed.customer_rang) == (22 * SECOND, 8 * SECOND)
