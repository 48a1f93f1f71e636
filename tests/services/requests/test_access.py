"""Visibility: the same rule for queries and single requests, and every service applies it."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.services.errors import Forbidden, Invalid, NotFound
from app.services.report import overview, own_requests, query, statistics
from app.services.report.periods import last_days
from app.services.report.query import Filter
from app.services.requests import create, detail, pending, perform
from app.services.requests.access import Scope, scope_of, visibility_of
from app.services.requests.actions import (
    Action,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Prioritise,
    Reassign,
    ShownRequest,
    Undo,
    WithdrawCallNow,
    WriteNote,
)
from app.services.requests.create import NewRequest
from app.store.database import Database
from app.store.models import CallRequest, Module, QueueMemberRow
from tests.services.scene import HOUR, OPERATOR, SUPERVISOR, ZONE
from tests.support.factories import (
    NOW,
    create_line,
    create_module,
    create_queue,
    create_request,
    create_running_service,
    history_of,
    log_of,
    reload,
)

ACTIONS: list[Action] = [
    Postpone(NOW + HOUR),
    Reassign(False, "102"),
    Prioritise(1),
    MarkDone("done"),
    WriteNote("a note"),
    Cancel(),
    CallNow(),
    CallNow("101"),
    WithdrawCallNow(),
    Undo(),
]


def two_offices(database: Database) -> tuple[list[CallRequest], list[CallRequest]]:
    """Create requests that an operator with extension 101 may see, and requests that they may not see."""
    sales = create_module(database, targets=["101", "102"])
    other = create_module(database, name="Accounts", targets=["102"])
    support = create_module(database, name="Support", target_kind="queue", targets=["support"])
    care = create_module(database, name="Care", target_kind="queue", targets=["care"])
    create_queue(database, "support", "101", "103")
    create_queue(database, "care", "103")
    for extension in ("101", "102", "103"):
        create_line(database, extension)
    n = iter(range(100))

    def request(module: Module | None, **kwargs: Any) -> CallRequest:
        return create_request(database, module, number=f"+9891200000{next(n):02}", **kwargs)

    fallback = create_module(
        database, targets=["102"], fallback_after=60, fallback_kind="queue", fallback_code="support"
    )
    own = [
        request(sales, target="101"),
        request(fallback, target="102", fell_back=True),
        request(sales),  # any extension of Sales
        request(support, queue=True, target="support"),
        request(other, target="101"),  # reassigned to 101
        request(sales, target="101", status="done", done_at=NOW, reached_at=NOW, done_by="101"),
    ]
    others = [
        request(sales, target="102"),
        request(other),
        request(fallback, target="102"),
        request(care, queue=True, target="care"),
        request(support, target="103"),
        request(care, queue=True, target="101"),  # a queue with the name of an extension
        request(sales, target="support"),
        request(None),
        request(other, status="failed", done_at=NOW, done_by="102"),
    ]
    return own, others


def test_an_operator_sees_the_requests_for_their_extensions_and_queues(database: Database) -> None:
    own, others = two_offices(database)
    with database.read() as session:
        found = session.scalars(select(CallRequest.id).where(visibility_of(session, OPERATOR).condition())).all()
        assert sorted(found) == [row.id for row in own]
        assert all(visibility_of(session, OPERATOR).covers(row) for row in own)
        assert not any(visibility_of(session, OPERATOR).covers(row) for row in others)


def test_a_queue_counts_only_while_the_extension_is_a_member(database: Database) -> None:
    two_offices(database)
    with database.write() as session:
        assert visibility_of(session, OPERATOR).queues == ("support",)
        session.delete(session.get_one(QueueMemberRow, ("support", "101")))
    with database.read() as session:
        assert visibility_of(session, OPERATOR).queues == ()


def test_administrators_and_supervisors_see_everything() -> None:
    def user(role: str) -> SimpleNamespace:
        return SimpleNamespace(name="sara", role=role, extensions=["101"])

    assert scope_of(user("administrator")) == Scope("sara", True, ("101",))
    assert scope_of(user("supervisor")).everything
    assert not scope_of(user("operator")).everything
    assert not scope_of(user("")).everything
    assert scope_of(user("supervisor")).own() == Scope("sara", False, ("101",))
    with pytest.raises(Forbidden):
        scope_of(user("operator")).require_everything()
    scope_of(user("supervisor")).require_everything()


def test_an_operator_without_extension_sees_nothing(database: Database) -> None:
    two_offices(database)
    with database.read() as session:
        nobody = visibility_of(session, Scope("omid"))
        assert session.scalars(select(CallRequest).where(nobody.condition())).all() == []


def test_the_condition_and_the_check_of_a_row_agree(database: Database) -> None:
    """For random combinations of modules, queues and targets."""
    rng = random.Random(5)
    names = ["101", "102", "support", "care", ""]
    modules = [
        create_module(database, target_kind=kind, targets=targets, fallback_after=60, **fallback)
        for kind, targets, fallback in (
            ("extension", ["101"], {"fallback_kind": "queue", "fallback_code": "support"}),
            ("extension", ["102", "103"], {"fallback_kind": "extension", "fallback_code": "101"}),
            ("queue", ["support"], {"fallback_kind": "queue", "fallback_code": "102"}),
        )
    ]
    create_queue(database, "support", "101")
    create_queue(database, "102", "102")
    for n in range(150):
        create_request(
            database,
            rng.choice([*modules, None]),
            number=f"+98912000{n:04}",
            queue=rng.random() < 0.4,
            target=rng.choice(names),
            fell_back=rng.random() < 0.3,
            status="done",
        )
    with database.read() as session:
        rows = session.scalars(select(CallRequest)).all()
        for extensions in ((), ("101",), ("102",), ("101", "103"), ("999",)):
            visibility = visibility_of(session, Scope("omid", False, extensions))
            for use_index in (True, False):
                found = set(session.scalars(select(CallRequest.id).where(visibility.condition(use_index=use_index))))
                assert found == {row.id for row in rows if visibility.covers(row)}, (extensions, use_index)


# -- every service -----------------------------------------------------------------------------------------------------


def test_services_show_an_operator_their_own_requests_only(database: Database) -> None:
    own, others = two_offices(database)
    create_running_service(database)
    ids = {row.id for row in own}
    active = {row.id for row in own if row.status == "waiting"}
    shown = pending.load_pending(database, OPERATOR, NOW)
    assert {row.id for row in shown.active} == active
    assert {row.id for row in shown.ended} == ids - active
    assert shown.total == len(active)
    assert pending.load_badge(database, OPERATOR) == pending.Badge(len(active), max(active))
    assert {row.id for row in query.read_page(database, OPERATOR, Filter()).rows} == ids
    assert {row.id for row in query.stream(database, OPERATOR, Filter())} == ids
    week = last_days(NOW, ZONE, 7)
    assert {row.id for row in own_requests.load_own_requests(database, OPERATOR, week, NOW).past.rows} == ids
    assert statistics.statistics(database, OPERATOR, Filter(), ZONE).total == len(ids)
    assert query.read_page(database, SUPERVISOR, Filter()).total == len(own) + len(others)
    now = overview.load_overview(database, OPERATOR, ZONE, NOW)
    assert (now.waiting, now.registered_today, now.served_today) == (len(active), len(ids), 1)
    assert [extension.extension for extension in now.extensions] == ["101"]
    assert [queue.name for queue in now.queues] == ["support"]
    for row in own:
        assert detail.load_detail(database, OPERATOR, row.id, NOW).request.id == row.id
    for row in others:
        with pytest.raises(NotFound):
            detail.load_detail(database, OPERATOR, row.id, NOW)


def test_filters_show_an_operator_no_requests_of_others(database: Database) -> None:
    _, others = two_offices(database)
    for row in others:
        by_operator = Filter(number=row.number, module_id=row.module_id, operator=row.done_by)
        by_target = Filter(number=row.number, target=row.target, queue=row.queue)
        assert query.read_page(database, OPERATOR, by_operator).rows == []
        assert list(query.stream(database, OPERATOR, by_target)) == []


def test_an_operator_cannot_change_requests_of_others(database: Database) -> None:
    _, others = two_offices(database)
    shown = [ShownRequest(row.id, row.version) for row in others]
    for action in ACTIONS:
        results = perform.perform(database, OPERATOR, action, shown, NOW)
        assert [result.code for result in results] == ["not_found"] * len(others), action
    assert [reload(database, row).version for row in others] == [row.version for row in others]
    assert not any(history_of(database, row.id) for row in others)
    assert log_of(database) == []


def test_an_operator_creates_requests_for_their_own_targets_only(database: Database, office: Settings) -> None:
    own, others = two_offices(database)
    allowed = NewRequest("09121234567", own[0].module_id or 0, "101")
    assert create.create_request(database, office, OPERATOR, allowed, NOW).code == "done"
    for given in (
        NewRequest("09121234567", others[0].module_id or 0, "102"),
        NewRequest("09121234567", others[1].module_id or 0),
        NewRequest("09121234567", others[2].module_id or 0),
    ):
        with pytest.raises(Invalid) as refused:
            create.create_request(database, office, OPERATOR, given, NOW)
        assert refused.value.errors == {"target": "not_yours"}


def test_an_operator_chooses_only_their_own_extensions_as_agent(database: Database) -> None:
    own, _ = two_offices(database)
    shown = [ShownRequest(own[0].id, own[0].version)]
    assert perform.perform(database, OPERATOR, CallNow("102"), shown, NOW)[0].code == "not_yours"
    assert perform.perform(database, OPERATOR, CallNow("101"), shown, NOW)[0].code == "sent"
    assert perform.perform(database, SUPERVISOR, CallNow("102"), shown, NOW)[0].code == "sent"
