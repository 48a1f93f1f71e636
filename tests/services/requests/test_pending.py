"""The pending requests: their order, their attempts, and why each one waits."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.lifecycle import Outcome, Status
from app.domain.policy import Reason, ReasonCode, in_order
from app.services.requests.pause import Pause, pause
from app.services.requests.pending import PAGE_SIZE, Badge, Pending, PendingFilter, load_badge, load_pending
from app.store import requests as store_requests
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


def requests(database: Database, module: Module, *targets: str, **kwargs: Any) -> list[CallRequest]:
    """Create a request for each target, one minute after the other."""
    return [
        create_request(database, module, number=numbered(n), target=target, first_called_at=NOW + n * MINUTE, **kwargs)
        for n, target in enumerate(targets)
    ]


def test_requests_of_a_target_are_numbered_in_the_order_of_service(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    first, second, third, other, urgent = requests(database, module, "101", "101", "101", "102", "101")
    with database.write() as session:
        session.get_one(CallRequest, urgent.id).priority = 1
        session.get_one(CallRequest, second.id).status = "dialling"
    shown = {row.id: row for row in load_pending(database, SUPERVISOR, NOW + HOUR).active}
    assert {number: row.position for number, row in shown.items()} == {
        urgent.id: 1,
        first.id: 2,
        second.id: None,
        third.id: 3,
        other.id: 1,
    }
    assert list(shown) == [urgent.id, first.id, second.id, third.id, other.id]


def test_a_request_of_thursday_night_is_there_on_saturday(database: Database) -> None:
    """No day, and no weekend, takes it off the page."""
    row = create_request(database, create_module(database), first_called_at=NOW)
    assert [shown.id for shown in load_pending(database, SUPERVISOR, NOW + 34 * HOUR).active] == [row.id]


def test_requests_without_a_target_are_numbered_by_module(database: Database) -> None:
    sales, support = create_module(database), create_module(database)
    a, b = create_request(database, sales), create_request(database, support)
    assert {row.id: row.position for row in load_pending(database, SUPERVISOR, NOW).active} == {a.id: 1, b.id: 1}


def test_a_position_counts_requests_that_are_not_shown(database: Database) -> None:
    module = create_module(database, targets=["101"])
    other = create_module(database, targets=["101"])
    create_request(database, other, target="101", number=numbered(1))
    row = create_request(database, module, target="101", number=numbered(2))
    (shown,) = load_pending(database, SUPERVISOR, NOW, PendingFilter(module_id=module.id)).active
    assert (shown.id, shown.position) == (row.id, 2)


def every_page(database: Database, filters: PendingFilter) -> list[Pending]:
    first = load_pending(database, SUPERVISOR, NOW, filters)
    others = range(2, first.pages + 1)
    return [first, *(load_pending(database, SUPERVISOR, NOW, filters, page=page) for page in others)]


def test_pages_have_the_order_of_service(database: Database) -> None:
    chosen = random.Random(1)
    modules = [create_module(database, targets=["101", "102"]), create_module(database, targets=["101"])]
    with database.write() as session:
        for number in range(2 * PAGE_SIZE + 20):
            module, queue = chosen.choice(modules), chosen.random() < 0.3
            session.add(
                CallRequest(
                    module_id=module.id,
                    module_name=module.name,
                    number=f"+9891200{number:05}",
                    status=chosen.choice(["waiting"] * 5 + ["uncertain"]),
                    queue=queue,
                    target="8000" if queue else chosen.choice(["", "101", "102"]),
                    priority=chosen.choice([-1, 0, 0, 1]),
                    call_now=chosen.random() < 0.1,
                    first_called_at=NOW + chosen.randrange(30) * MINUTE,
                    registered_at=NOW + HOUR,
                )
            )
    with database.read() as session:
        rows = {row.id: store_requests.to_domain(row, module) for row, module in store_requests.active(session)}
        module_of = {row.id: row.module_id for row, _ in store_requests.active(session)}
    order = in_order(rows.values())
    lines: dict[Any, list[str]] = {}
    places = {}
    for request in order:
        if request.status is Status.WAITING:
            line = lines.setdefault((request.queue, request.target, request.target or module_of[request.id]), [])
            places[request.id] = (len(line) + 1, line[-1].replace("+98", "0") if line else "")
            line.append(request.number)
    pages = every_page(database, PendingFilter())
    assert [len(page.active) for page in pages] == [PAGE_SIZE, PAGE_SIZE, 20]
    assert [page.following for page in pages] == [PAGE_SIZE + 20, 20, 0]
    shown = [row for page in pages for row in page.active]
    assert [row.id for row in shown] == [request.id for request in order]
    assert {row.id: (row.position, row.after) for row in shown if row.position} == places
    assert load_pending(database, SUPERVISOR, NOW, page=9).page == 3
    of_first = every_page(database, PendingFilter(module_id=modules[0].id))
    expected = [request.id for request in order if module_of[request.id] == modules[0].id]
    assert [row.id for page in of_first for row in page.active] == expected
    assert {page.matching for page in of_first} == {len(expected)} and of_first[0].total == len(order)


@pytest.fixture
def loaded() -> Iterator[list[CallRequest]]:
    """The requests that are loaded."""
    rows: list[CallRequest] = []

    def note(row: CallRequest, _context: object) -> None:
        rows.append(row)

    event.listen(CallRequest, "load", note)
    yield rows
    event.remove(CallRequest, "load", note)


@pytest.mark.parametrize("page", [1, 3])
def test_a_page_loads_its_own_rows_however_many_wait(database: Database, loaded: list[CallRequest], page: int) -> None:
    module = create_module(database, targets=["101"])
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    counts = []
    for first in (0, 6 * PAGE_SIZE):
        with database.write() as session:
            for number in range(first, first + 6 * PAGE_SIZE):
                session.add(
                    CallRequest(
                        module_id=module.id,
                        module_name=module.name,
                        number=f"+9891200{number:05}",
                        status="waiting",
                        target="101",
                        first_called_at=NOW + number * MINUTE,
                        registered_at=NOW,
                    )
                )
        loaded.clear()
        statements.clear()
        shown = load_pending(database, SUPERVISOR, NOW, page=page)
        assert [row.position for row in shown.active] == [(page - 1) * PAGE_SIZE + n for n in range(1, PAGE_SIZE + 1)]
        counts.append((len(loaded), len(statements)))
    assert counts[0] == counts[1] and counts[0][0] == PAGE_SIZE


def test_each_filter_limits_the_rows(database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    queue = create_module(database, target_kind="queue", targets=["101"])
    first, second, _ = requests(database, module, "101", "102", "")
    called = create_request(database, queue, queue=True, target="101", status="uncertain")

    def found(**kwargs: Any) -> list[int]:
        shown = load_pending(database, SUPERVISOR, NOW, PendingFilter(**kwargs))
        assert shown.total == 4
        return [row.id for row in shown.active]

    assert found(module_id=queue.id) == [called.id]
    assert found(target="101") == [first.id]
    assert found(target="101", queue=True) == [called.id]
    assert found(target="102", module_id=module.id) == [second.id]
    assert found(statuses=[Status.UNCERTAIN]) == [called.id]
    assert len(found(statuses=[Status.WAITING])) == 3
    assert len(found()) == 4


def test_a_row_is_complete(database: Database) -> None:
    create_running_service(database)
    create_line(database, "101", state="in_call")
    module = create_module(database, retries=2)
    row = create_request(
        database, module, target="101", caller_name="Sara", note="in the morning", priority=1, created_by="omid"
    )
    (shown,) = load_pending(database, SUPERVISOR, NOW).active
    assert (shown.version, shown.priority, shown.note, shown.created_by) == (row.version, 1, "in the morning", "omid")
    assert (shown.module_id, shown.target, shown.number, shown.targets) == (module.id, "101", "09121234567", ("101",))
    assert shown.reason == Reason(ReasonCode.LINE_IN_CALL, subject="101")
    assert (shown.may_call, shown.may_cancel) == (True, True)


def test_a_row_has_its_attempts(database: Database) -> None:
    row = create_request(database, create_module(database), status="dialling")
    create_attempt(database, row, agent="102", started_at=NOW + MINUTE, manual=True)
    ended = {"ended_at": NOW + timedelta(seconds=20), "outcome": "agent_no_answer"}
    create_attempt(database, row, agent="101", started_at=NOW, **ended)
    create_attempt(database, create_request(database, number=numbered(9)), ended_at=NOW)
    shown = {found.id: found for found in load_pending(database, SUPERVISOR, NOW + HOUR).active}[row.id]
    first, second = shown.attempts
    assert (first.agent, first.started_at, first.outcome, first.manual) == ("101", NOW, Outcome.AGENT_NO_ANSWER, False)
    assert (second.agent, second.ended_at, second.outcome, second.manual) == ("102", None, None, True)
    assert shown.agent == "102"


def test_a_waiting_request_has_no_agent(database: Database) -> None:
    row = create_request(database, create_module(database))
    create_attempt(database, row, ended_at=NOW, outcome="agent_busy")
    assert load_pending(database, SUPERVISOR, NOW).active[0].agent == ""


def test_recently_ended_requests_are_shown_with_their_agent(database: Database) -> None:
    module = create_module(database)
    rows = [
        create_request(database, module, status="done", done_at=NOW - n * MINUTE, done_by="101")
        for n in range(0, 40, 3)
    ]
    create_attempt(database, rows[0], agent="101", ended_at=NOW, outcome="connected")
    shown = load_pending(database, SUPERVISOR, NOW).ended
    assert [row.id for row in shown] == [row.id for row in rows[:10]]
    assert (shown[0].agent, shown[0].done_by, shown[0].position, shown[0].reason) == ("101", "101", None, None)


def test_a_pause_comes_with_the_rows(database: Database) -> None:
    assert load_pending(database, SUPERVISOR, NOW).pause is None
    pause(database, SUPERVISOR, "maintenance", NOW)
    assert load_pending(database, OPERATOR, NOW).pause == Pause("sara", NOW, "maintenance")


def test_a_request_that_came_and_went_does_not_ring(database: Database) -> None:
    """A page that was frozen meanwhile compares the newest ids. Somebody else has handled the request."""
    module = create_module(database, targets=["101"])
    create_request(database, module, target="101", number=numbered(1))
    before = load_badge(database, SUPERVISOR)
    handled = create_request(database, module, target="101", number=numbered(2))
    with database.write() as session:
        session.get_one(CallRequest, handled.id).status = Status.DONE.value
    assert load_badge(database, SUPERVISOR) == before


def test_the_badge_counts_active_requests_and_has_the_newest_id(database: Database) -> None:
    module = create_module(database, targets=["101"])
    assert load_badge(database, OPERATOR) == Badge(0, 0)
    first = create_request(database, module, target="101", number=numbered(1))
    create_request(database, module, target="101", number=numbered(2), status="done")
    create_request(database, module, target="102", number=numbered(3))
    assert load_badge(database, OPERATOR) == Badge(1, first.id)
    second = create_request(database, module, target="101", number=numbered(4))
    assert load_badge(database, OPERATOR) == Badge(2, second.id)
    assert load_badge(database, SUPERVISOR).waiting == 3
