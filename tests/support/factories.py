"""Factories for rows, domain objects and form input with default values.

Each factory takes the values that matter to a test by keyword and fills in the others.
"""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select

from app.domain.contacts import search_text
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Decision, Event, Outcome, Request, Rules, Status, Step, transition
from app.domain.missed_calls import Outcome as MissedOutcome
from app.domain.policy import Facts, Line, LineState, Queue
from app.services.modules.input import ModuleInput
from app.store import requests as store_requests
from app.store.database import Database
from app.store.models import (
    Attempt,
    AuditEntry,
    Base,
    CallRequest,
    Contact,
    ContactNumber,
    ExtensionRow,
    HistoryEntry,
    MissedCall,
    MissedCallRule,
    Module,
    QueueMemberRow,
    QueueRow,
    Recording,
    Webhook,
    WebhookMessage,
    WebsiteForm,
    WorkerState,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
NUMBER = "+989121234567"

_counter = itertools.count(100)  # tests choose codes below *5100 themselves
Row = TypeVar("Row", bound=Base)
Result = TypeVar("Result")


# Rows


def create_module(database: Database, *, name: str = "Sales", **kwargs: Any) -> Module:
    values: dict[str, Any] = {
        "code": f"*5{next(_counter):03}",
        "target_kind": "extension",
        "targets": ["101"],
        "next_kind": "hangup",
        "error_kind": "hangup",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return store(database, Module(name=name, **(values | kwargs)))


def create_request(
    database: Database, module: Module | None = None, *, number: str = NUMBER, **kwargs: Any
) -> CallRequest:
    values: dict[str, Any] = {
        "module_id": module.id if module is not None else None,
        "module_name": module.name if module is not None else "Deleted",
        "status": Status.WAITING.value,
        "first_called_at": NOW,
        "registered_at": NOW,
    }
    return store(database, CallRequest(number=number, **(values | kwargs)))


def create_past_requests(
    database: Database, module_id: int, count: int, waited: timedelta, now: datetime, **kwargs: Any
) -> None:
    """Store requests of the last days, one a day at this hour, whose customers were connected after `waited`."""
    for days in range(1, count + 1):
        registered_at = now - timedelta(days=days)
        reached_at = registered_at + waited
        values: dict[str, Any] = {
            "module_id": module_id,
            "module_name": "Past",
            "number": NUMBER,
            "status": Status.DONE.value,
            "last_outcome": Outcome.CONNECTED.value,
            "first_called_at": registered_at,
            "registered_at": registered_at,
            "reached_at": reached_at,
            "done_at": reached_at + timedelta(minutes=1),
        }
        store(database, CallRequest(**(values | kwargs)))


def create_attempt(database: Database, request: CallRequest, *, agent: str = "101", **kwargs: Any) -> Attempt:
    values: dict[str, Any] = {"id": str(uuid.uuid4()), "number": request.number, "started_at": NOW}
    return store(database, Attempt(request_id=request.id, agent=agent, **(values | kwargs)))


def create_line(database: Database, extension: str = "101", **kwargs: Any) -> ExtensionRow:
    values: dict[str, Any] = {
        "context": "hints",
        "devices": f"PJSIP/{extension}",
        "state": LineState.FREE.value,
        "since": LONG_AGO,
    }
    return store(database, ExtensionRow(extension=extension, **(values | kwargs)))


def create_queue(database: Database, name: str, *members: str, live_callers: int = 0) -> QueueRow:
    """Store the PBX state of a queue and its members."""
    for member in members:
        store(database, QueueMemberRow(queue=name, extension=member))
    return store(database, QueueRow(name=name, live_callers=live_callers))


def create_contact(database: Database, name: str, *numbers: str, organisation: str = "", note: str = "") -> Contact:
    """Store a contact with normalized numbers."""
    row = Contact(name=name, organisation=organisation, note=note, search_key=search_text(name, organisation))
    row.created_at = row.updated_at = NOW
    contact = store(database, row)
    for number in numbers:
        store(database, ContactNumber(number=number, contact_id=contact.id))
    return contact


def create_website_form(database: Database, module: Module, **values: Any) -> WebsiteForm:
    """Store a form for the website https://shop.example, with the key "form"."""
    defaults: dict[str, Any] = {
        "name": "Shop",
        "key": "form",
        "module_id": module.id,
        "origins": ["https://shop.example"],
        "language": "en",
        "daily_limit": 50,
        "created_at": NOW,
    }
    return store(database, WebsiteForm(**(defaults | values)))


def create_webhook(database: Database, *, name: str = "CRM", **kwargs: Any) -> Webhook:
    """Store a destination. Its URL and its secret are as an older version would have stored them: not encrypted."""
    values: dict[str, Any] = {
        "url": "https://crm.example.org/hook",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "events": " request.registered request.failed ",
        "lasts": 30 * 3600,
        "created_at": NOW,
    }
    return store(database, Webhook(name=name, **(values | kwargs)))


def create_mail_destination(database: Database, *, address: str = "sara@example.org", **kwargs: Any) -> Webhook:
    """Store somebody who gets e-mail."""
    values: dict[str, Any] = {"channel": "mail", "recipient": address, "language": "en", "url": "", "secret": ""}
    return create_webhook(database, name=address, **(values | kwargs))


def create_webhook_message(database: Database, webhook: Webhook, **kwargs: Any) -> WebhookMessage:
    values: dict[str, Any] = {
        "uid": f"msg_{next(_counter):032}",
        "event": "request.registered",
        "at": NOW,
        "since": NOW,
        "next_at": NOW,
        "data": {},
        "state": "waiting",
    }
    return store(database, WebhookMessage(webhook_id=webhook.id, **(values | kwargs)))


def create_missed_call(database: Database, *, number: str = NUMBER, **kwargs: Any) -> MissedCall:
    values: dict[str, Any] = {
        "call_uniqueid": str(uuid.uuid4()),
        "queue": False,
        "target": "101",
        "at": NOW,
        "outcome": MissedOutcome.OPEN.value,
    }
    return store(database, MissedCall(number=number, **(values | kwargs)))


def create_missed_call_rule(database: Database, target: str = "101", **kwargs: Any) -> MissedCallRule:
    values: dict[str, Any] = {"queue": False}
    return store(database, MissedCallRule(target=target, **(values | kwargs)))


def log_of(database: Database) -> list[AuditEntry]:
    """Return the audit log, oldest entry first."""
    with database.read() as session:
        return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


def apply_event(
    database: Database, request_id: int, event: Event, actor: str = "sara", now: datetime = NOW
) -> Decision:
    """Apply a lifecycle event to a request directly, without a page or the worker."""
    with database.write() as session:
        loaded = store_requests.load(session, request_id, lock=True)
        assert loaded is not None, f"request {request_id} is gone"
        row, module = loaded
        decision = transition(store_requests.to_domain(row, module), event, now)
        store_requests.apply_decision(session, row, decision, now, event="test", actor=actor)
    return decision


def create_recording(database: Database, file: str, **kwargs: Any) -> Recording:
    values: dict[str, Any] = {"name": "Recording", "origin": "upload", "created_at": NOW}
    return store(database, Recording(file=file, **(values | kwargs)))


def create_running_service(database: Database, **kwargs: Any) -> WorkerState:
    """Store the state of a connected worker with a fresh heartbeat and a current dialplan."""
    values: dict[str, Any] = {
        "heartbeat": datetime.now(UTC) + timedelta(minutes=5),
        "ami_status": "connected",
        "asterisk_version": "22.10.1",
        "dialplan_written": "1",
        "dialplan_running": "1",
    }
    return store(database, WorkerState(id=1, **(values | kwargs)))


def store(database: Database, row: Row) -> Row:
    """Store a row and return it. It stays readable after the transaction."""
    with database.write() as session:
        session.add(row)
    return row


def reload(database: Database, row: Row) -> Row:
    """Return the row from the database. Fails if it does not exist any more."""
    with database.read() as session:
        key = tuple(getattr(row, column.key) for column in row.__table__.primary_key)
        found = session.get(type(row), key)
    assert found is not None, f"{row.__tablename__} {key} is gone"
    return found


def history_of(database: Database, request_id: int) -> list[HistoryEntry]:
    """Return the history events of a request, oldest first."""
    with database.read() as session:
        query = select(HistoryEntry).where(HistoryEntry.request_id == request_id).order_by(HistoryEntry.id)
        return list(session.scalars(query))


# Domain objects


def make_request(**kwargs: Any) -> Request:
    values: dict[str, Any] = {"id": 1, "number": NUMBER, "registered_at": NOW, "target": "101"}
    return Request(**(values | kwargs))


def make_dialling(attempt: str = "a1", **kwargs: Any) -> Request:
    """Return a request with an attempt in flight."""
    return make_request(**({"status": Status.DIALLING, "attempt": attempt, "step": Step.CLAIMED} | kwargs))


def make_rules(**kwargs: Any) -> Rules:
    return Rules(**kwargs)


def make_order(**kwargs: Any) -> DialOrder:
    values: dict[str, Any] = {
        "attempt": "a1",
        "request_id": 1,
        "agent": "101",
        "devices": "PJSIP/101",
        "hint": "101@hints",
        "number": NUMBER,
        "dialled": "09121234567",
        "internal_devices": "",
        "language": "fa",
        "caller_id": "",
        "outbound_context": "from-internal",
        "agent_ring": 20,
        "customer_ring": 40,
        "registered_at": NOW,
        "spoken": "09121234567",
    }
    return DialOrder(**(values | kwargs))


def make_line(
    extension: str = "101",
    state: LineState = LineState.FREE,
    since: datetime = LONG_AGO,
    devices: str = "",
    context: str = "hints",
    hint: str = "",
    idle_since: datetime | None = None,
) -> Line:
    return Line(extension, state, since, devices or f"PJSIP/{extension}", context, hint, idle_since)


def make_facts(
    lines: Iterable[Line] = (), *, queues: Mapping[str, Queue] | None = None, now: datetime = NOW, **kwargs: Any
) -> Facts:
    """Return facts of a working PBX with a worker heartbeat at `now`."""
    values: dict[str, Any] = {"heartbeat": now}
    return Facts(lines={line.extension: line for line in lines}, queues=queues or {}, **(values | kwargs))


# Form input


def make_module_input(**kwargs: Any) -> ModuleInput:
    values: dict[str, Any] = {
        "name": "Sales",
        "code": "*5001",
        "target_kind": "extension",
        "targets": ("101",),
    }
    return ModuleInput(**(values | kwargs))


# Threads


def run_at_once(functions: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run functions in threads that start at the same instant. Return their results or raise the first error."""
    gate = threading.Barrier(len(functions))

    def run(function: Callable[[], Result]) -> Result:
        gate.wait(timeout=30)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, function) for function in functions]]
