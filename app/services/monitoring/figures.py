"""The figures for Prometheus.

What the database knows, the panel reads from it when it is asked: it is right also while the worker does not run. What
only the worker knows (how fast it rings, polls and writes), the worker measures, and stores as text with each
heartbeat, so nothing is written more often than before. The panel adds that text as long as the heartbeat is fresh.
Each panel tells the same.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Select, case, func, literal_column, or_, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.store import pbx_state
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module, WorkerState

log = logging.getLogger(__name__)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SIZE = {
    "sqlite": text("SELECT (SELECT * FROM pragma_page_count) * (SELECT * FROM pragma_page_size)"),
    "postgresql": text("SELECT pg_database_size(current_database())"),
}


def render(database: Database, now: datetime) -> str:
    """Return the figures in the text format of Prometheus. Raises nothing that a database can raise."""
    try:
        with database.read() as session:
            families = list(_families(session, now))
            of_worker = _figures_of_worker(session, now)
    except SQLAlchemyError as error:
        log.error("the database does not answer: %s", getattr(error, "orig", error))
        return _to_text([_database_up(False)])
    return _to_text([_database_up(True), *families]) + of_worker


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _to_text(families: list[Metric]) -> str:
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry).decode()


def _database_up(up: bool) -> Metric:
    return GaugeMetricFamily("bazang_database_up", "Whether the database answers.", float(up))


def _figures_of_worker(session: Session, now: datetime) -> str:
    if not pbx_state.has_heartbeat(pbx_state.worker_state(session), now):
        return ""  # they would look as if all were well
    return session.scalar(select(WorkerState.figures).where(WorkerState.id == 1)) or ""


def _families(session: Session, now: datetime) -> Iterator[Metric]:
    state = pbx_state.worker_state(session)
    runs = pbx_state.has_heartbeat(state, now)
    yield GaugeMetricFamily("bazang_worker_up", "Whether the worker's heartbeat is fresh.", float(runs))
    age = pbx_state.heartbeat_age(state, now)
    if age is not None:
        yield GaugeMetricFamily(
            "bazang_worker_heartbeat_age_seconds", "Seconds since the worker's last heartbeat.", age.total_seconds()
        )
    connected = runs and state.ami_status == "connected"
    yield GaugeMetricFamily("bazang_pbx_connected", "Whether the worker is connected to the PBX.", float(connected))
    yield from _waiting(session, now)
    in_flight = session.scalar(select(func.count()).where(Attempt.ended_at.is_(None))) or 0
    yield GaugeMetricFamily("bazang_attempts_in_flight", "Attempts that have not ended.", in_flight)
    yield CounterMetricFamily(
        "bazang_requests_registered",
        "Requests that were ever registered, by the number of the newest. PostgreSQL may skip a few numbers.",
        session.scalar(select(func.max(CallRequest.id))) or 0,
    )
    size = session.scalar(_SIZE[session.get_bind().dialect.name]) or 0
    yield GaugeMetricFamily("bazang_database_bytes", "Size of the database. On SQLite without its journal.", size)


def _waiting(session: Session, now: datetime) -> Iterator[Metric]:
    """Yield how many requests of each module wait, and the oldest wait of those that may be called now."""
    count = GaugeMetricFamily("bazang_requests_waiting", "Requests that wait.", labels=["module", "name"])
    oldest = GaugeMetricFamily(
        "bazang_oldest_wait_seconds",
        "Seconds since the oldest waiting request was registered. Postponed ones do not count. 0: none waits.",
        labels=["module", "name"],
    )
    modules = {row.id: row.name for row in session.execute(select(Module.id, Module.name).order_by(Module.id))}
    waiting = {row.module_id: row for row in session.execute(_select_waiting(now))}
    gone = {None: "deleted"} if None in waiting else {}
    for module, name in {**modules, **gone}.items():
        labels = ["" if module is None else str(module), name]
        row = waiting.get(module)
        count.add_metric(labels, 0 if row is None else row.number)
        since = None if row is None else row.since
        oldest.add_metric(labels, 0.0 if since is None else max(0.0, (now - since).total_seconds()))
    yield from (count, oldest)


def _select_waiting(now: datetime) -> Select[int | None, int, Any]:
    """Select how many requests of each module wait, and since when the oldest of them that may be called at `now`."""
    may_be_called = or_(CallRequest.postponed_until.is_(None), CallRequest.postponed_until <= now)
    when = case((may_be_called, CallRequest.registered_at))
    # An expression: SQLite would read the whole index of modules to have the rows in its order.
    module = (CallRequest.module_id + literal_column("0")).label("module_id")
    return (
        select(module, func.count().label("number"), func.min(when).label("since"))
        .where(CallRequest.status == Status.WAITING.value)
        .group_by(module)
    )
