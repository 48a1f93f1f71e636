"""The figures are valid for Prometheus, right, and cheap however many requests are stored."""

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, text

from app.config import Settings
from app.demo_data import fill
from app.domain.lifecycle import Outcome
from app.services.monitoring import figures
from app.store.database import Database
from app.store.models import WorkerState
from app.worker.figures import WorkerFigures
from script.office.database import open_database
from tests.support.factories import NOW, create_attempt, create_module, create_request, store

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
DEPLOY = Path(__file__).parents[3] / "deploy"
# Of a histogram and of a counter, Prometheus makes these names.
ENDINGS = ("", "_total", "_bucket", "_sum", "_count")


def samples(found: str) -> Samples:
    """Parse figures, as Prometheus does. Each series is there once."""
    rows = [sample for family in text_string_to_metric_families(found) for sample in family.samples]
    parsed = {(row.name, tuple(sorted(row.labels.items()))): row.value for row in rows}
    assert len(parsed) == len(rows)
    return parsed


def of_module(name: str, values: Samples) -> dict[str, float]:
    return {dict(labels)["name"]: value for (found, labels), value in values.items() if found == name}


def run_worker(database: Database, text: str = "", **values: Any) -> None:
    store(database, WorkerState(id=1, **{"heartbeat": NOW, "ami_status": "connected", "figures": text, **values}))


def test_requests_that_wait_are_counted_by_module(database: Database) -> None:
    sales = create_module(database, name='Sales "1"\n\\')
    create_module(database, name="Idle")
    postponed = create_module(database, name="Later")
    create_request(database, sales, number="+981", registered_at=NOW - timedelta(seconds=90))
    create_request(database, sales, number="+982", registered_at=NOW - timedelta(seconds=10))
    later = {"registered_at": NOW - timedelta(days=1), "postponed_until": NOW + timedelta(hours=1)}
    create_request(database, sales, number="+983", **later)
    create_request(database, postponed, number="+986", **later)
    create_request(database, sales, number="+984", status="done", done_at=NOW, registered_at=NOW - timedelta(days=9))
    create_request(database, None, number="+985", registered_at=NOW)
    values = samples(figures.render(database, NOW))
    assert of_module("bazang_requests_waiting", values) == {'Sales "1"\n\\': 3, "Idle": 0, "Later": 1, "deleted": 1}
    assert of_module("bazang_oldest_wait_seconds", values) == {'Sales "1"\n\\': 90, "Idle": 0, "Later": 0, "deleted": 0}
    assert values["bazang_requests_registered_total", ()] == 6


def test_the_state_of_worker_and_pbx_is_told(database: Database) -> None:
    before = samples(figures.render(database, NOW))
    assert before["bazang_worker_up", ()] == before["bazang_pbx_connected", ()] == 0
    assert ("bazang_worker_heartbeat_age_seconds", ()) not in before
    run_worker(database, heartbeat=NOW - timedelta(seconds=4))
    create_attempt(database, create_request(database))
    values = samples(figures.render(database, NOW))
    assert values["bazang_worker_up", ()] == values["bazang_pbx_connected", ()] == values["bazang_database_up", ()] == 1
    assert values["bazang_worker_heartbeat_age_seconds", ()] == 4
    assert values["bazang_attempts_in_flight", ()] == 1
    assert values["bazang_database_bytes", ()] > 100_000


def test_figures_of_a_worker_that_has_stopped_are_not_told(database: Database) -> None:
    run_worker(database, WorkerFigures().text())
    assert "bazang_poll_seconds" in figures.render(database, NOW)
    later = samples(figures.render(database, NOW + timedelta(minutes=10)))
    assert later["bazang_worker_heartbeat_age_seconds", ()] == 600
    assert later["bazang_worker_up", ()] == later["bazang_pbx_connected", ()] == 0
    assert not [name for name, _ in later if "poll" in name or name == "bazang_attempts_total"]


def test_a_broken_database_is_a_figure(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE worker_state"))
    assert samples(figures.render(database, NOW)) == {("bazang_database_up", ()): 0.0}


def test_figures_of_the_worker_are_valid_and_complete() -> None:
    found = WorkerFigures()
    found.count_attempt(Outcome.CONNECTED)
    found.free_to_ring.observe(0.03)
    found.poll.observe(0.2)
    found.ami_lag.set(0.002)
    values = samples(found.text())
    assert values["bazang_attempts_total", (("outcome", "connected"),)] == 1
    assert {dict(labels)["outcome"] for name, labels in values if name == "bazang_attempts_total"} == set(Outcome)
    assert values["bazang_free_to_ring_seconds_bucket", (("le", "0.05"),)] == 1
    assert values["bazang_poll_seconds_sum", ()] == 0.2
    assert not [name for name, _ in values if name.endswith("_created")]


def names_of(values: Iterable[tuple[str, object]]) -> set[str]:
    return {name for name, _ in values}


def test_the_dashboard_and_the_alerts_use_figures_that_exist(database: Database) -> None:
    create_module(database)
    run_worker(database, WorkerFigures().text())
    known = names_of(samples(figures.render(database, NOW)))
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    alerts = re.findall(r"^\s+expr: (.+)$", (DEPLOY / "prometheus-alerts.yml").read_text(), re.MULTILINE)
    assert len(queries) >= 10 and len(alerts) >= 4
    used = set(re.findall(r"bazang_\w+", " ".join([*queries, *alerts])))
    assert used - known == set()
    families = {family.name for family in text_string_to_metric_families(figures.render(database, NOW))}
    # and each figure is shown
    assert {family for family in families if not used & {family + ending for ending in ENDINGS}} == set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_many_stored_requests_are_not_read(office: Settings, database_file: Path) -> None:
    database = open_database(database_file)
    fill(database, office, 2000, NOW, waiting=5)
    with database.write() as session:
        session.execute(text("ANALYZE"))
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, values, *_: executed.append((statement, values)),
    )
    figures.render(database, NOW)
    plans = []
    with database.engine.connect() as connection:
        for statement, values in list(executed):
            if statement.startswith("SELECT"):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                plans.append("; ".join(row[-1] for row in rows))
    assert len([plan for plan in plans if "call_requests" in plan or "attempts" in plan]) == 3
    # max(id) is the end of the table, whatever SQLite calls it
    scans = [plan for plan in plans if re.search(r"SCAN (call_requests|attempts)", plan)]
    assert [plan for plan in scans if "uq_attempt" not in plan] == []
