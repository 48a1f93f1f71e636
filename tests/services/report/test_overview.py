"""The overview: what happens now, and how much was served."""

from datetime import timedelta

from app.domain.policy import LineState, ReasonCode
from app.services.report import overview
from app.services.report.overview import MemberNow, Rate
from app.services.requests import pause
from app.store.database import Database
from tests.services.scene import MINUTE, OPERATOR, SUPERVISOR, ZONE
from tests.support.factories import (
    NOW,
    create_attempt,
    create_line,
    create_module,
    create_queue,
    create_request,
    create_running_service,
)


def test_the_overview_counts_active_requests_by_status(database: Database) -> None:
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


def test_the_rate_is_the_served_part_of_the_ended_requests(database: Database) -> None:
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


def test_each_extension_has_its_state_and_its_requests(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    create_line(database, "101", name="Sara", state="in_call")
    create_line(database, "102")
    create_line(database, "900")  # serves no module
    row = create_request(database, module, target="101")
    create_request(database, module, target="102", status="dialling", number="+989120000001")
    create_attempt(database, row, agent="102", agent_pause_until=NOW + MINUTE)
    first, second = overview.load_overview(database, SUPERVISOR, ZONE, NOW).extensions
    assert (first.extension, first.name, first.state, first.waiting) == ("101", "Sara", LineState.IN_CALL, 1)
    assert (first.serves, first.paused_until) == (False, None)
    assert (second.extension, second.waiting, second.serves, second.paused_until) == ("102", 0, True, NOW + MINUTE)


def test_each_queue_has_its_members_and_its_requests(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["support"])
    create_queue(database, "support", "101", "102", "103", live_callers=2)
    create_module(database, target_kind="queue", targets=["unknown"])
    create_line(database, "101", name="Sara")
    create_line(database, "102", state="in_call")
    create_request(database, module, queue=True, target="support")
    support, unknown = overview.load_overview(database, SUPERVISOR, ZONE, NOW).queues
    assert (support.name, support.live_callers, support.waiting, support.free) == ("support", 2, 1, 1)
    assert support.members[0] == MemberNow("101", "Sara", LineState.FREE, paused=False, wrapup_until=None)
    assert support.members[2].state is LineState.UNKNOWN
    assert (unknown.name, unknown.members, unknown.waiting) == ("unknown", [], 0)


def test_the_overview_of_an_empty_office(database: Database) -> None:
    found = overview.load_overview(database, SUPERVISOR, ZONE, NOW)
    assert (found.waiting, found.longest_wait, found.today.share, found.pause) == (0, None, None, None)
    assert (found.service_runs, found.connected) == (False, False)
    pause.pause(database, SUPERVISOR, "", NOW)
    assert overview.load_overview(database, OPERATOR, ZONE, NOW).pause is not None
