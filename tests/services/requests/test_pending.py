"""The table of pending requests: who is next, what was tried, and why each one waits."""

from datetime import timedelta

from app.domain.lifecycle import Outcome, Status
from app.domain.policy import Reason, ReasonCode
from app.services.requests import pause as pausing
from app.services.requests.pending import Badge, PendingFilter, badge, pending
from app.store.database import Database
from app.store.models import CallRequest, Module
from tests.services.scene import HOUR, MINUTE, OPERATOR, SUPERVISOR
from tests.support.factories import (
    NOW,
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
)


def numbered(n: int) -> str:
    return f"+9891200000{n:02}"


def requests(database: Database, module: Module, *targets: str, **kwargs: object) -> list[CallRequest]:
    """A request for each target, registered one minute after the other."""
    return [
        create_request(database, module, number=numbered(n), target=target, first_called_at=NOW + n * MINUTE, **kwargs)
        for n, target in enumerate(targets)
    ]


def test_everybody_has_a_place_in_the_line_of_whom_they_want(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    first, second, third, other, urgent = requests(database, module, "101", "101", "101", "102", "101")
    with database.write() as session:
        session.get_one(CallRequest, urgent.id).priority = 1
        session.get_one(CallRequest, second.id).status = "dialling"
    shown = {row.id: row for row in pending(database, NOW + HOUR).active}
    assert {number: row.place for number, row in shown.items()} == {
        urgent.id: 1,
        first.id: 2,
        second.id: None,  # it is being served
        third.id: 3,
        other.id: 1,
    }
    assert list(shown) == [urgent.id, first.id, second.id, third.id, other.id]


def test_those_who_want_anybody_stand_in_their_modules_line(database: Database) -> None:
    sales, support = create_module(database), create_module(database)
    a, b = create_request(database, sales), create_request(database, support)
    assert {row.id: row.place for row in pending(database, NOW).active} == {a.id: 1, b.id: 1}


def test_a_place_counts_those_who_are_not_shown(database: Database) -> None:
    module = create_module(database, targets=["101"])
    other = create_module(database, targets=["101"])
    create_request(database, other, target="101", number=numbered(1))
    row = create_request(database, module, target="101", number=numbered(2))
    (shown,) = pending(database, NOW, SUPERVISOR, PendingFilter(module_id=module.id)).active
    assert (shown.id, shown.place) == (row.id, 2)


def test_the_filters_narrow_it_down(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    queue = create_module(database, target_kind="queue", targets=["101"])
    first, second, _ = requests(database, module, "101", "102", "")
    called = create_request(database, queue, queue=True, target="101", status="uncertain")

    def found(**kwargs: object) -> list[int]:
        shown = pending(database, NOW, SUPERVISOR, PendingFilter(**kwargs))  # type: ignore[arg-type]
        assert shown.total == 4
        return [row.id for row in shown.active]

    assert found(module_id=queue.id) == [called.id]
    assert found(target="101") == [first.id]
    assert found(target="101", queue=True) == [called.id]
    assert found(target="102", module_id=module.id) == [second.id]
    assert found(statuses=[Status.UNCERTAIN]) == [called.id]
    assert len(found(statuses=[Status.WAITING])) == 3
    assert len(found()) == 4


def test_a_row_has_what_its_page_needs(database: Database) -> None:
    create_running_service(database)
    create_line(database, "101", state="in_call")
    module = create_module(database, retries=2)
    row = create_request(
        database, module, target="101", caller_name="Sara", note="in the morning", priority=1, created_by="omid"
    )
    (shown,) = pending(database, NOW).active
    assert (shown.version, shown.priority, shown.note, shown.created_by) == (row.version, 1, "in the morning", "omid")
    assert (shown.module_id, shown.target, shown.number, shown.wanted) == (module.id, "101", "09121234567", ("101",))
    assert shown.reason == Reason(ReasonCode.LINE_IN_CALL, subject="101")
    assert (shown.may_call, shown.may_change, shown.may_cancel) == (True, True, True)


def test_what_was_tried_is_a_timeline(database: Database) -> None:
    row = create_request(database, create_module(database), status="dialling")
    create_attempt(database, row, agent="102", started_at=NOW + MINUTE, manual=True)
    ended = {"ended_at": NOW + timedelta(seconds=20), "outcome": "agent_no_answer"}
    create_attempt(database, row, agent="101", started_at=NOW, **ended)
    create_attempt(database, create_request(database, number=numbered(9)), ended_at=NOW)
    shown = {found.id: found for found in pending(database, NOW + HOUR).active}[row.id]
    first, second = shown.attempts
    assert (first.agent, first.started_at, first.outcome, first.manual) == ("101", NOW, Outcome.AGENT_NO_ANSWER, False)
    assert (second.agent, second.ended_at, second.outcome, second.manual) == ("102", None, None, True)
    assert shown.agent == "102"


def test_who_tried_last_is_not_the_agent_of_what_waits(database: Database) -> None:
    row = create_request(database, create_module(database))
    create_attempt(database, row, ended_at=NOW, outcome="agent_busy")
    assert pending(database, NOW).active[0].agent == ""


def test_what_ended_lately_is_shown_with_its_agent(database: Database) -> None:
    module = create_module(database)
    rows = [
        create_request(database, module, status="done", done_at=NOW - n * MINUTE, done_by="101")
        for n in range(0, 40, 3)
    ]
    create_attempt(database, rows[0], agent="101", ended_at=NOW, outcome="connected")
    shown = pending(database, NOW).done
    assert [row.id for row in shown] == [row.id for row in rows[:10]]
    assert (shown[0].agent, shown[0].done_by, shown[0].place, shown[0].reason) == ("101", "101", None, None)


def test_a_pause_of_all_calls_is_told_with_the_rows(database: Database) -> None:
    assert pending(database, NOW).pause is None
    pausing.pause(database, SUPERVISOR, "the lines are being worked on", NOW)
    pause = pending(database, NOW, OPERATOR).pause
    assert pause == pausing.Pause("sara", NOW, "the lines are being worked on")


def test_the_badge_counts_what_is_active_and_grows_with_what_arrives(database: Database) -> None:
    module = create_module(database, targets=["101"])
    assert badge(database, OPERATOR) == Badge(0, 0)
    first = create_request(database, module, target="101", number=numbered(1))
    create_request(database, module, target="101", number=numbered(2), status="done")
    create_request(database, module, target="102", number=numbered(3))
    assert badge(database, OPERATOR) == Badge(1, first.id)
    second = create_request(database, module, target="101", number=numbered(4))
    assert badge(database, OPERATOR) == Badge(2, second.id)
    assert badge(database, SUPERVISOR).waiting == 3
