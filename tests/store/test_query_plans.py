"""PostgreSQL, too, finds the requests whose turn it is by the indexes of those that wait (SQLite: see services)."""

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from app.config import Settings
from app.domain.hours import AtClosing
from app.domain.policy import Facts, Member, Queue
from app.services.requests.attempts import claim_due
from app.store import requests as store
from app.store.database import Database
from app.store.models import Module
from script.office.database import make_settings
from script.office.server_database import new_database, open_server_database
from tests.support.factories import NOW, create_module, make_facts, make_line

STORED, ENDED = 12_000, 10_000
MOST_READ = 100  # rows of the requests by one step of a plan: a few for each of the two agents
EXTENSIONS = [str(1001 + number) for number in range(100)]
LARGE = ("call_requests", "attempts")

# Those that have ended are spread over a year. Every other request is for a queue. Of those that wait, every third one
# waits for its next attempt.
FILL = """
WITH numbered AS (
    SELECT n, n > :ended AS waits, n % 2 = 0 AS of_queue, CAST(:now AS TIMESTAMPTZ) - (:stored - n)
        * CASE WHEN n > :ended THEN INTERVAL '1 second' ELSE INTERVAL '50 minutes' END AS at
    FROM generate_series(1, :stored) AS n
), timed AS (
    SELECT *, CASE WHEN waits AND n % 3 = 0 THEN CAST(:now AS TIMESTAMPTZ) + INTERVAL '1 hour' END AS next FROM numbered
)
INSERT INTO call_requests (module_id, module_name, queue, target, number, number_source, caller_number, caller_name,
    created_by, status, priority, first_called_at, registered_at, free_at, not_before, held_until, call_now,
    customer_attempts, agent_misses, route_failures, again, note, done_by, done_at, version)
SELECT CASE WHEN of_queue THEN 2 ELSE 1 END, 'Module', of_queue,
    CASE WHEN of_queue THEN 'sales' ELSE CAST(1001 + n % 100 AS VARCHAR) END, '+98912' || (1000000 + n), 'caller_id',
    '', '', '', CASE WHEN waits THEN 'waiting' ELSE 'done' END, 0, at, at, at, next, next, false,
    0, 0, 0, false, '', '', CASE WHEN waits THEN NULL ELSE at END, 1
FROM timed
"""
ATTEMPTS = """
INSERT INTO attempts (id, request_id, agent, number, route, manual, started_at, dialled_at, ended_at, outcome, cause,
    repeats, trace_cleared)
SELECT 'attempt-' || id, id, '101', number, 'out', false, done_at, done_at, done_at, 'connected', '', 1, true
FROM call_requests WHERE status = 'done'
"""


@pytest.fixture(scope="session")
def server(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    """A database with so many requests that PostgreSQL reads a whole table only where it has no index."""
    with (
        new_database(postgres_url, postgres_template) as url,
        open_server_database(url) as database,
    ):
        create_module(database, code="*5001", targets=EXTENSIONS)
        create_module(database, code="*5002", target_kind="queue", targets=["sales"])
        with database.write() as session:
            session.execute(text(FILL), {"stored": STORED, "ended": ENDED, "now": NOW})
            session.execute(text(ATTEMPTS))
            session.execute(text("ANALYZE"))
        yield database


def test_decision_on_postgresql_reads_a_few_rows_by_indexes(server: Database, tmp_path: Path) -> None:
    facts = make_facts([make_line("1002"), make_line("1003")], queues={"sales": Queue((Member("1003"),))})
    steps = explain_decision(server, make_settings(tmp_path), facts, orders=2)
    assert {"ix_call_requests_turn", "ix_call_requests_held", "ix_call_requests_call_now"} <= used_indexes(steps)
    assert not {"ix_call_requests_status", "ix_call_requests_active"} & used_indexes(steps)
    check_cheap(steps)


def test_glance_on_postgresql_for_agents_without_requests_reads_no_rows(server: Database, tmp_path: Path) -> None:
    nobody = make_facts([make_line("2001")])
    steps = explain_decision(server, make_settings(tmp_path), nobody, orders=0)
    assert steps
    check_cheap(steps)


def test_look_for_expired_requests_on_postgresql_uses_their_index(server: Database) -> None:
    """With two modules it may read all that wait for one of them as well: they are few enough."""
    modules = [
        Module(id=number, expire_after=3 * 24 * 3600, at_closing=at_closing)
        for number, at_closing in ((1, AtClosing.EXPIRE), (2, AtClosing.GIVE_UP))
    ]

    def look() -> None:
        with server.read() as session:
            closings = {1: NOW - timedelta(days=1), 2: NOW - timedelta(days=1)}
            assert store.find_perhaps_over(session, modules, closings, NOW) == []

    steps = explain(server, look)
    assert "ix_call_requests_expiry" in used_indexes(steps)
    assert not [step for step in steps if step["Node Type"] == "Seq Scan" and step["Relation Name"] in LARGE]


def explain_decision(database: Database, office: Settings, facts: Facts, *, orders: int) -> list[dict[str, Any]]:
    """Decide, and return the steps of the plans of all statements."""

    def decide() -> None:
        assert len(claim_due(database, office, facts, NOW).orders) == orders

    return explain(database, decide)


def explain(database: Database, work: Callable[[], None]) -> list[dict[str, Any]]:
    """Return the steps of the plans of all statements of this work. SELECT statements are also measured."""
    plans: list[dict[str, Any]] = []

    def explain_one(connection: Any, _: Any, statement: str, values: Any, __: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "WITH", "UPDATE", "INSERT")):
            analyze = "ANALYZE, " if statement.startswith(("SELECT", "WITH")) else ""
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN ({analyze}FORMAT JSON) {statement}", values[0] if many else values)
                ((found,),) = cursor.fetchall()
            plans.extend(plan["Plan"] for plan in (json.loads(found) if isinstance(found, str) else found))

    event.listen(database.engine, "before_cursor_execute", explain_one)
    try:
        work()
    finally:
        event.remove(database.engine, "before_cursor_execute", explain_one)
    return list(itertools.chain.from_iterable(map(steps_of, plans)))


def steps_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from steps_of(part)


def used_indexes(steps: list[dict[str, Any]]) -> set[str]:
    return {step["Index Name"] for step in steps if "Index Name" in step}


def check_cheap(steps: list[dict[str, Any]]) -> None:
    for step in steps:
        if step.get("Relation Name") in LARGE and step["Node Type"] != "ModifyTable":
            assert step["Node Type"] != "Seq Scan", step
            read = (step.get("Actual Rows", 0) + step.get("Rows Removed by Filter", 0)) * step.get("Actual Loops", 1)
            assert read <= MOST_READ, step
