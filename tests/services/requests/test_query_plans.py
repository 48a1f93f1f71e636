"""The queries for active requests use an index in SQLite."""

from typing import Any

from sqlalchemy import event, text

from app.config import Settings
from app.demo_data import fill
from app.services.requests import pending
from app.store import requests as store
from app.store.database import Database
from tests.services.scene import SUPERVISOR
from tests.support.factories import NOW


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
    assert len(plans) >= 5 and not [plan for plan in plans if "SCAN call_requests" in plan and "_active" not in plan]


def _plan(database: Database, statement: str, values: Any) -> str:
    with database.engine.connect() as connection:
        return "; ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
