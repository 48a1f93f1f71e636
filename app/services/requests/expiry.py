"""Expire requests that have waited longer than their module allows."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from app.domain import lifecycle
from app.domain.lifecycle import Status
from app.services.requests.history import EventKind
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, Module


def expire(database: Database, now: datetime) -> None:
    """Expire every request whose time is over."""
    with database.write() as session:
        expire_rows(session, store.active(session, [Status.WAITING, Status.UNCERTAIN]), now)


def expire_rows(session: Session, rows: Iterable[tuple[CallRequest, Module | None]], now: datetime) -> None:
    """Expire those of these requests whose time is over."""
    for row, module in rows:
        decision = lifecycle.transition(store.to_domain(row, module), lifecycle.TimePassed(), now)
        store.apply_decision(session, row, decision, now, event=EventKind.EXPIRED)
