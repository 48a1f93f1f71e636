"""Let the fallbacks of modules serve the requests that have waited too long."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from app.domain import lifecycle
from app.domain.lifecycle import Status
from app.services.requests.history import EventKind
from app.services.requests.targets import format_target
from app.store import pbx_state
from app.store import requests as store
from app.store.database import Database
from app.store.hours import OfficeHours, load_hours
from app.store.models import CallRequest, Module
from app.store.settings import read_all

BATCH = 500  # requests in one transaction, so that other writers are not blocked


def fall_back(database: Database, now: datetime) -> int:
    """Let the fallback serve each request that has waited for so long. Return how many they are."""
    with database.read() as session:
        due = [(module.id, condition) for module, condition in _find_due(session, now)]
    count = 0
    for module_id, condition in due:
        while found := _fall_back_some(database, module_id, condition, now):
            count += found
    return count


def _find_due(session: Session, now: datetime) -> Iterator[tuple[Module, Select[Any]]]:
    """Yield the modules for whose requests it is time, and the query for these requests."""
    modules = session.scalars(select(Module).where(Module.fallback_after > 0, Module.automatic)).all()
    hours = _load_hours(session, now) if modules else None
    for module in modules:
        latest = _latest(module, hours, now)
        if latest is None:
            continue
        query = select(CallRequest).where(*_conditions(module, latest)).order_by(CallRequest.id).limit(BATCH)
        if session.scalars(query.limit(1)).first() is not None:
            yield module, query


def _load_hours(session: Session, now: datetime) -> OfficeHours | None:
    state = pbx_state.worker_state(session)
    return load_hours(session, state.timezone, state.region, read_all(session), now) if state.timezone else None


def _latest(module: Module, hours: OfficeHours | None, now: datetime) -> datetime | None:
    """Return since when requests have waited long enough, None if the office has not been open for so long."""
    latest = now - timedelta(seconds=module.fallback_after)
    opening = hours.openings([module], now)[module.id] if hours is not None else None
    if opening is not None and (not opening.is_open or (opening.since is not None and opening.since > latest)):
        return None
    return latest


def _conditions(module: Module, latest: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions for the requests of a module that have waited since `latest` or longer.

    Somebody who assigned a request to another target than those of the module wants that one.
    """
    since = (CallRequest.registered_at, CallRequest.reopened_at, CallRequest.postponed_until)
    is_queue = module.target_kind == "queue"
    return [
        store.has_status([Status.WAITING]),
        CallRequest.module_id == module.id,
        CallRequest.fell_back.is_(False),
        CallRequest.queue.is_(is_queue),
        CallRequest.target.in_(module.targets if is_queue else ["", *module.targets]),
        *(func.coalesce(column, CallRequest.registered_at) <= latest for column in since),
    ]


def _fall_back_some(database: Database, module_id: int, query: Select[Any], now: datetime) -> int:
    with database.write() as session:
        module = session.get(Module, module_id)
        fallback = store.fallback_of(module) if module is not None else None
        if fallback is None:
            return 0
        rows = session.scalars(query.with_for_update(skip_locked=True)).all()
        detail = format_target(fallback.queue, fallback.target)
        for row in rows:
            decision = lifecycle.transition(store.to_domain(row, module), lifecycle.FellBack(), now)
            store.apply_decision(session, row, decision, now, event=EventKind.FELL_BACK, detail=detail)
        return len(rows)
