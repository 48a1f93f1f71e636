"""Register the request that a caller leaves by phone."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain import lifecycle
from app.services.errors import NotFound
from app.services.requests.history import EventKind
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, Module

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registration:
    """A request from the dialogue with the caller.

    `number` is canonical. `extension` is the one that the caller dialled, "" for none. `uniqueid` is that of the call.
    """

    module_id: int
    number: str
    caller_number: str = ""
    caller_name: str = ""
    extension: str = ""
    uniqueid: str | None = None
    first_called_at: datetime | None = None
    created_by: str = ""


def register(database: Database, registration: Registration, now: datetime) -> int:
    """Store a request and return its id.

    If this call has registered a request before, or the same request is active, return the id of that one. Raises
    NotFound if the module does not exist.
    """
    for _ in range(2):
        try:
            with database.write() as session:
                return _register(session, registration, now)
        except IntegrityError:
            # Another call registered the same request in the same instant: the second attempt finds its row.
            log.info("duplicate registration: module %s number %s", registration.module_id, registration.number)
    raise RuntimeError("a duplicate prevents the registration, but cannot be found")


def _register(session: Session, registration: Registration, now: datetime) -> int:
    existing = _find_by_call(session, registration)
    if existing is not None:
        return existing.id
    module = session.get(Module, registration.module_id)
    if module is None:
        raise NotFound(f"module {registration.module_id}")
    queue, target = _target(module, registration)
    duplicate = store.find_active(session, module.id, queue, target, registration.number)
    if duplicate is not None:
        _register_again(session, duplicate, module, now)
        return duplicate.id
    row = store.add(
        session,
        module,
        queue,
        target,
        registration.number,
        now,
        caller_number=registration.caller_number[:40],
        caller_name=registration.caller_name[:80],
        call_uniqueid=registration.uniqueid,
        first_called_at=min(registration.first_called_at or now, now),
        created_by=registration.created_by,
    )
    return row.id


def _find_by_call(session: Session, registration: Registration) -> CallRequest | None:
    if not registration.uniqueid:
        return None
    return session.scalar(
        select(CallRequest).where(
            CallRequest.call_uniqueid == registration.uniqueid, CallRequest.module_id == registration.module_id
        )
    )


def _target(module: Module, registration: Registration) -> tuple[bool, str]:
    """Return whether the request is for a queue, and its target."""
    if module.target_kind == "queue":
        return True, module.targets[0]
    return False, registration.extension if registration.extension in module.targets else ""


def _register_again(session: Session, row: CallRequest, module: Module, now: datetime) -> None:
    """Record in the history that the caller registered again, even if this changes nothing else."""
    decision = lifecycle.transition(store.to_domain(row, module), lifecycle.Registered(), now)
    store.apply_decision(session, row, replace(decision, changed=True), now, event=EventKind.REGISTERED_AGAIN)
