"""Expire requests that have waited longer than their module allows, and give up those not reached by the closing."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from app.domain import lifecycle
from app.domain.hours import AtClosing
from app.domain.lifecycle import Status
from app.services.requests.history import EventKind
from app.store import pbx_state
from app.store import requests as store
from app.store.database import Database
from app.store.hours import OfficeHours, load_hours
from app.store.models import CallRequest, Module
from app.store.settings import read_all

# The status of a request whose time is over -> the event of its history.
_EVENTS = {Status.EXPIRED: EventKind.EXPIRED, Status.FAILED: EventKind.GIVEN_UP}
BATCH = 50  # requests in one transaction, so that other writers are not blocked


def expire(database: Database, now: datetime) -> None:
    """End every request whose time is over."""
    with database.read() as session:
        over = _find_perhaps_over(session, now)
    for start in range(0, len(over), BATCH):
        with database.write() as session:
            rows = store.load_perhaps_over(session, over[start : start + BATCH])
            expire_rows(session, rows, _load_hours(session, now), now)


def _find_perhaps_over(session: Session, now: datetime) -> list[int]:
    """Return the ids of the requests that may have expired."""
    hours, modules = _load_hours(session, now), store.all_modules(session)
    closings = {
        module.id: closed_at for module in modules if (closed_at := last_closing(module, hours, now)) is not None
    }
    return store.find_perhaps_over(session, modules, closings, now)


def _load_hours(session: Session, now: datetime) -> OfficeHours | None:
    """Return the office hours, None if they are not known."""
    state = pbx_state.worker_state(session)
    return load_hours(session, state.timezone, state.region, read_all(session), now) if state.timezone else None


def last_closing(module: Module | None, hours: OfficeHours | None, now: datetime) -> datetime | None:
    """Return when the office last closed, if what was open then may have ended with it."""
    if module is None or module.at_closing == AtClosing.CARRY_OVER or hours is None:
        return None
    return hours.of(module).last_closing(now)


def expire_rows(
    session: Session, rows: Iterable[tuple[CallRequest, Module | None]], hours: OfficeHours | None, now: datetime
) -> None:
    """End those of these requests whose time is over, and end what was asked for now but did not ring for long.

    `hours` are None if they are not known.
    """
    closings: dict[int | None, datetime | None] = {}
    for row, module in rows:
        if row.module_id not in closings:
            closings[row.module_id] = last_closing(module, hours, now)
        passed = lifecycle.TimePassed(closings[row.module_id])
        decision = lifecycle.transition(store.to_domain(row, module), passed, now)
        event = _EVENTS.get(decision.request.status, EventKind.CALL_NOW_OVER)
        store.apply_decision(session, row, decision, now, event=event)
