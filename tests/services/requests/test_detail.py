"""One request's page, the overview, and an operator's own page."""

from datetime import timedelta

import pytest

from app.domain.lifecycle import Outcome, Status
from app.domain.policy import LineState, ReasonCode
from app.services.errors import NotFound
from app.services.report import overview
from app.services.report.mine import mine
from app.services.report.overview import MemberNow, Rate
from app.services.report.periods import today
from app.services.requests import pause, perform
from app.services.requests.actions import Note, Postpone, Prioritise, ShownRequest
from app.services.requests.detail import load_detail
from app.store.database import Database
from tests.services.scene import HOUR, MINUTE, OPERATOR, SUPERVISOR, ZONE
from tests.support.factories import (
    NOW,
    create_attempt,
    create_line,
    create_module,
    create_queue,
    create_request,
    create_running_service,
    reload,
)

SECOND = timedelta(seconds=1)


# One request


def test_an_attempt_is_told_with_both_its_legs(database: Database) -> None:
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
    story = load_detail(database, SUPERVISOR, row.id, NOW)
    missed, talked = story.attempts
    assert (missed.agent, missed.agent_name, missed.manual, missed.outcome) == (
        "102",
        "",
        True,
        Outcome.AGENT_NO_ANSWER,
    )
    assert (missed.agent_rang, missed.customer_rang, missed.talked) == (20 * SECOND, None, None)
    assert (talked.agent, talked.agent_name, talked.cause) == ("101", "Sara", "16 Normal Clearing")
    assert (talked.agent_rang, talked.customer_rang, talked.talked) == (4 * SECOND, 10 * SECOND, 60 * SECOND)
    assert (story.request.id, story.reached_at) == (row.id, NOW + HOUR)


def test_an_attempt_under_way_has_no_end_yet(database: Database) -> None:
    row = create_request(database, create_module(database), status="connected")
    create_attempt(database, row, answered_at=NOW, dialled_at=NOW, connected_at=NOW)
    (attempt,) = load_detail(database, SUPERVISOR, row.id, NOW).attempts
    assert (attempt.outcome, attempt.ended_at, attempt.talked) == (None, None, None)


def test_the_history_says_who_did_what(database: Database) -> None:
    row = create_request(database, create_module(database))
    for action in (Prioritise(1), Postpone(NOW + HOUR), Note("a → b")):
        perform.perform(database, SUPERVISOR, action, [ShownRequest(row.id, reload(database, row).version)], NOW)
    first, second, third = load_detail(database, SUPERVISOR, row.id, NOW).history
    assert (first.event, first.actor, first.old, first.new) == ("prioritised", "sara", "0", "1")
    assert (first.old_status, first.new_status, first.at) == (Status.WAITING, Status.WAITING, NOW)
    assert (second.event, second.old, second.new) == ("postponed", "", (NOW + HOUR).isoformat())
    assert (third.event, third.detail, third.old, third.new) == ("noted", "a → b", "", "")


def test_a_request_that_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        load_detail(database, SUPERVISOR, 4711, NOW)


# The overview


def test_the_overview_counts_what_goes_on_now(database: Database) -> None:
    create_running_service(database, obstacle="no_outbound")
    module = create_module(database)
    statuses = ["waiting", "waiting", "dialling", "connected", "uncertain", "done"]
    for n, status in enumerate(statuses):
        create_request(
            database, module, number=f"+98912000000{n}", status=status, first_called_at=NOW - (5 + n) * MINUTE
        )
    found = overview.load_overview(database, SUPERVISOR, ZONE, NOW)
    assert (found.waiting, found.dialling, found.talking, found.uncertain) == (2, 1, 1, 1)
    assert (found.longest_wait, found.registered_today) == (6 * MINUTE, 6)
    assert (found.service_runs, found.connected, found.obstacle) == (True, True, ReasonCode.NO_OUTBOUND)


def test_of_what_ended_it_is_told_how_much_was_served(database: Database) -> None:
    ends = {"done": 3, "failed": 1, "expired": 1, "cancelled": 4}
    for status, count in ends.items():
        for n in range(count):
            create_request(database, status=status, done_at=NOW - n * MINUTE)
    create_request(database, status="failed", done_at=NOW - timedelta(days=6))
    create_request(database, status="failed", done_at=NOW - timedelta(days=7))
    create_request(database, status="done", done_at=NOW + timedelta(days=1))
    found = overview.load_overview(database, SUPERVISOR, ZONE, NOW)
    assert (found.today, found.served_today, found.today.share) == (Rate(3, 5), 3, 0.6)
    assert found.week == Rate(3, 6)
    assert Rate(0, 0).share is None


def test_each_extension_shows_its_state_and_its_line(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    create_line(database, "101", name="Sara", state="in_call")
    create_line(database, "102")
    create_line(database, "900")  # nobody's business here
    row = create_request(database, module, target="101")
    create_request(database, module, target="102", status="dialling", number="+989120000001")
    create_attempt(database, row, agent="102", agent_pause_until=NOW + MINUTE)
    first, second = overview.load_overview(database, SUPERVISOR, ZONE, NOW).extensions
    assert (first.extension, first.name, first.state, first.waiting) == ("101", "Sara", LineState.IN_CALL, 1)
    assert (first.serves, first.paused_until) == (False, None)
    assert (second.extension, second.waiting, second.serves, second.paused_until) == ("102", 0, True, NOW + MINUTE)


def test_each_queue_shows_its_members_and_its_line(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["support"])
    create_queue(database, "support", "101", "102", "103", live_callers=2)
    create_module(database, target_kind="queue", targets=["unheard"])
    create_line(database, "101", name="Sara")
    create_line(database, "102", state="in_call")
    create_request(database, module, queue=True, target="support")
    support, unheard = overview.load_overview(database, SUPERVISOR, ZONE, NOW).queues
    assert (support.name, support.live_callers, support.waiting, support.free) == ("support", 2, 1, 1)
    assert support.members[0] == MemberNow("101", "Sara", LineState.FREE, paused=False, wrapup_until=None)
    assert support.members[2].state is LineState.UNKNOWN
    assert (unheard.name, unheard.members, unheard.waiting) == ("unheard", [], 0)


def test_an_empty_office_has_an_overview(database: Database) -> None:
    found = overview.load_overview(database, SUPERVISOR, ZONE, NOW)
    assert (found.waiting, found.longest_wait, found.today.share, found.pause) == (0, None, None, None)
    assert (found.service_runs, found.connected) == (False, False)
    pause.pause(database, SUPERVISOR, "", NOW)
    assert overview.load_overview(database, OPERATOR, ZONE, NOW).pause is not None


# One's own


def test_my_requests_are_my_own_whoever_i_am(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    mine_waits = create_request(database, module, target="101", registered_at=NOW - timedelta(days=40))
    create_request(database, module, target="102")
    mine_done = create_request(database, module, target="101", status="done", done_at=NOW - HOUR)
    create_request(database, module, target="101", status="done", registered_at=NOW - timedelta(days=2))
    for scope in (OPERATOR, SUPERVISOR.__class__("sara", True, ("101",))):
        found = mine(database, scope, today(NOW, ZONE), NOW)
        assert [row.id for row in found.active] == [mine_waits.id]
        assert [row.id for row in found.past.rows] == [mine_done.id]
    assert mine(database, SUPERVISOR, today(NOW, ZONE), NOW).active == []
