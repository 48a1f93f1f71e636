"""The queries for active requests use an index in SQLite."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from app.config import Settings
from app.demo_data import fill
from app.domain.hours import AtClosing
from app.domain.policy import Member, Queue
from app.services.requests import pending
from app.services.requests.attempts import claim_due
from app.services.requests.expiry import expire
from app.store import pbx_state
from app.store import requests as store
from app.store.database import Database
from app.store.hours import WEEK
from app.store.models import CallRequest, Module
from app.store.settings import write_setting
from tests.services.scene import SUPERVISOR
from tests.support.factories import NOW, create_module, make_facts, make_line

DAY = timedelta(days=1)


def test_active_requests_are_found_without_a_full_scan(database: Database, office: Settings) -> None:
    fill(database, office, 2000, NOW, waiting=5)
    with database.write() as session:
        session.execute(text("ANALYZE"))  # SQLite then knows the size of the table
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, values, *_: executed.append((statement, values)),
    )
    pending.load_pending(database, SUPERVISOR, NOW)
    pending.load_filter_choices(database, SUPERVISOR)
    pending.load_badge(database, SUPERVISOR)
    with database.read() as session:
        store.active(session)
        store.find_active(session, 1, False, "101", "+989121234567")
    plans = [
        _plan(database, statement, values) for statement, values in list(executed) if "FROM call_requests" in statement
    ]
    assert len(plans) >= 5 and not [plan for plan in plans if re.search(rf"SCAN call_requests (?!{_OF_ACTIVE})", plan)]


_OF_ACTIVE = r"USING (COVERING )?INDEX (ix_call_requests_active|ix_call_requests_order|uq_active_request)\b"


def test_decision_reads_a_few_rows_by_the_indexes_of_waiting_requests(database: Database, office: Settings) -> None:
    fill(database, office, 1000, NOW, waiting=5)
    modules = [create_module(database), create_module(database, target_kind="queue", targets=["sales"])]
    with database.write() as session:
        session.add_all(_waiting_request(modules[n % 2], n) for n in range(400))
        session.execute(text("DELETE FROM settings WHERE name = 'all_paused'"))
        session.execute(text("ANALYZE"))
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, values, *_: executed.append((statement, values)),
    )
    facts = make_facts([make_line("101")], queues={"sales": Queue((Member("101"),))})
    assert len(claim_due(database, office, facts, NOW).orders) == 1
    assert len(executed) <= 20  # however many wait
    plans = [_plan(database, *each) for each in list(executed) if each[0].startswith(("SELECT", "WITH", "UPDATE"))]
    assert sum("ix_call_requests_" in plan for plan in plans) >= 2
    assert not [plan for plan in plans if re.search(r"SCAN (r|first|call_requests)\b", plan)]
    assert all("ix_call_requests_status" not in plan and "ix_call_requests_active" not in plan for plan in plans)

    executed.clear()
    nobody = make_facts([make_line("109")])
    assert claim_due(database, office, nobody, NOW).orders == ()
    assert len(executed) <= 3 and not [statement for statement, _ in executed if "IMMEDIATE" in statement]


def test_preferred_agents_and_fallbacks_are_found_by_their_indexes(database: Database, office: Settings) -> None:
    fallback: dict[str, Any] = {"fallback_after": 60, "fallback_kind": "extension", "fallback_code": "103"}
    modules = [create_module(database, **fallback), create_module(database, targets=["104"], preferred_for=600)]
    with database.write() as session:
        for number in range(400):
            row = _waiting_request(modules[number % 2], number)
            row.fell_back, row.held_until = number % 2 == 0, NOW + timedelta(hours=1) if number % 2 else None
            row.preferred, row.held_for = ("104", "104") if number % 2 else ("", None)
            session.add(row)
        session.execute(text("ANALYZE"))
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, values, *_: executed.append((statement, values)),
    )
    facts = make_facts([make_line("103"), make_line("104")])
    assert sorted(order.agent for order in claim_due(database, office, facts, NOW).orders) == ["103", "104"]
    assert len(executed) <= 30  # however many wait
    plans = [_plan(database, *each) for each in list(executed) if each[0].startswith(("SELECT", "WITH", "UPDATE"))]
    assert any("ix_call_requests_preferred" in plan for plan in plans)
    assert any("ix_call_requests_fell_back" in plan for plan in plans)
    assert not [plan for plan in plans if re.search(r"SCAN (r|first|call_requests)\b", plan)]
    assert all("ix_call_requests_status" not in plan and "ix_call_requests_active" not in plan for plan in plans)


@pytest.mark.parametrize("at_closing", list(AtClosing))
def test_look_for_expired_requests_is_one_statement_that_reads_none_that_may_wait(
    database: Database, office: Settings, at_closing: AtClosing
) -> None:
    fill(database, office, 1000, NOW, waiting=5)
    modules = [create_module(database, expire_after=DAY.total_seconds(), at_closing=at_closing) for _ in range(2)]
    with database.write() as session:
        session.add_all(_waiting_request(modules[n % 2], n) for n in range(400))
        session.execute(text("ANALYZE"))
        pbx_state.worker_state(session).timezone = office.timezone
        write_setting(session, WEEK, "mon-sun 08:00-20:00")
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, values, *_: executed.append((statement, values)),
    )
    expire(database, NOW)
    (look,) = [each for each in executed if "call_requests" in each[0]]
    plan = _plan(database, *look)
    assert "ix_call_requests_expiry (module_id=? AND registered_at<?)" in plan and "SCAN" not in plan


def _waiting_request(module: Module, number: int) -> CallRequest:
    held = NOW + timedelta(hours=1) if number % 3 else None
    return CallRequest(
        module_id=module.id,
        module_name=module.name,
        queue=module.target_kind == "queue",
        target=module.targets[0],
        number=f"+98912000{number:04}",
        status="waiting",
        first_called_at=NOW,
        registered_at=NOW,
        free_at=NOW,
        not_before=held,
        held_until=held,
    )


def _plan(database: Database, statement: str, values: Any) -> str:
    with database.engine.connect() as connection:
        return "; ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
