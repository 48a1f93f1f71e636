"""Claim, progress and end call attempts. Each function runs in its own transaction."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import lifecycle, numbers, policy
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Decision, Ended, Outcome, Progressed, Status, Step
from app.domain.policy import Facts
from app.services.requests.expiry import expire_rows
from app.services.requests.history import EventKind
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module
from app.store.settings import OfficeSettings

log = logging.getLogger(__name__)
UNDIALLABLE_PAUSE = timedelta(minutes=15)
MAX_CAUSE_LENGTH = 80

# step -> the column with its time
_STEP_TIMES = {
    Step.AGENT_ANSWERED: "answered_at",
    Step.CUSTOMER_DIALLED: "dialled_at",
    Step.CONNECTED: "connected_at",
}


@dataclass(frozen=True)
class Dispatch:
    """The attempts to dial now, and when to look at the waiting requests again (None: when something changes)."""

    orders: tuple[DialOrder, ...]
    wake_at: datetime | None


def claim_due(database: Database, settings: Settings, facts: Facts, now: datetime) -> Dispatch:
    """Claim every request that may be dialled now. The claims are committed before the caller may dial them."""
    with database.write() as session:
        rows = {row.id: (row, module) for row, module in store.active(session, [Status.WAITING], lock=True)}
        if not rows:
            return Dispatch((), None)
        stored = store_settings.read_all(session)
        facts = _with_attempts(session, facts, stored, now)
        expire_rows(session, rows.values(), now)  # after an outage this may not have run yet
        requests = [_with_free_at(row, module, facts) for row, module in rows.values()]
        plan = policy.decide(requests, facts, now)
        office = store_settings.office(session, settings, stored)
        orders = []
        for dial in plan.dials:
            row, module = rows[dial.request.id]
            try:
                order = _make_order(row, module, dial.agent, office, facts.lines)
            except Exception:  # one bad request must not block the others
                log.exception("request %s cannot be dialled, postponing it", row.id)
                row.not_before = now + UNDIALLABLE_PAUSE
                continue
            _claim(session, row, dial, order, now)
            orders.append(order)
        return Dispatch(tuple(orders), plan.wake_at)


def _with_attempts(session: Session, facts: Facts, stored: Mapping[str, str], now: datetime) -> Facts:
    """Complete the facts with what the database knows of attempts and of a pause."""
    occupied = store.occupied(session, now)
    return replace(
        facts,
        numbers_in_flight=occupied.numbers,
        agents_in_flight=occupied.agents,
        agent_pauses=occupied.agent_pauses,
        all_paused=stored.get("all_paused") == "1",
    )


def _with_free_at(row: CallRequest, module: Module | None, facts: Facts) -> lifecycle.Request:
    """Store the first time at which an extension was free: the minimum waiting time is counted from it."""
    request = store.to_domain(row, module)
    if not request.queue and request.free_at is None:
        row.free_at = policy.freed_at(request, facts)
    return replace(request, free_at=row.free_at)


def _claim(session: Session, row: CallRequest, dial: policy.Dial, order: DialOrder, now: datetime) -> None:
    decision = lifecycle.transition(dial.request, lifecycle.Claimed(order.attempt), now)
    assert decision.changed, "the policy picks waiting requests only"
    manual = dial.request.call_now
    session.add(
        Attempt(id=order.attempt, request_id=row.id, agent=dial.agent, number=row.number, manual=manual, started_at=now)
    )
    store.apply_decision(session, row, decision, now, event=EventKind.CLAIMED, detail=dial.agent)
    session.flush()  # a violated unique index raises here, before anything is dialled


def _make_order(
    row: CallRequest, module: Module | None, agent: str, office: OfficeSettings, lines: Mapping[str, policy.Line]
) -> DialOrder:
    line, callee = lines[agent], lines.get(row.number)
    return DialOrder(
        attempt=str(uuid.uuid4()),
        request_id=row.id,
        agent=agent,
        devices=line.devices,
        hint_context=line.context,
        number=row.number,
        dialled=numbers.dialled(row.number, office.outbound_format, office.outbound_prefix),
        internal_devices=callee.devices if callee is not None else "",
        language=module.language if module is not None else office.locale,
        caller_id=(module.caller_id if module is not None else "") or office.caller_id,
        outbound_context=office.outbound_context,
        agent_ring=module.agent_ring if module is not None else 20,
        customer_ring=module.customer_ring if module is not None else 40,
        registered_at=row.registered_at,
        spoken=numbers.national(row.number),
    )


def progress(database: Database, attempt_id: str, step: Step, now: datetime) -> None:
    """Record that an attempt has reached a step. Late and repeated steps change nothing."""
    with database.write() as session:
        attempt = session.get(Attempt, attempt_id)
        if attempt is None or attempt.ended_at is not None:
            return
        column = _STEP_TIMES.get(step)
        if column is not None and getattr(attempt, column) is None:
            setattr(attempt, column, now)
        _apply(session, attempt.request_id, Progressed(attempt_id, step), now, event=step.value)


def end(database: Database, attempt_id: str, outcome: Outcome, now: datetime, cause: str = "") -> None:
    """Record how an attempt ended. The first outcome counts, unless it is UNCLEAR: a later one corrects it once."""
    with database.write() as session:
        attempt = session.get(Attempt, attempt_id)
        if attempt is None:
            return
        corrects = attempt.outcome == Outcome.UNCLEAR.value and outcome is not Outcome.UNCLEAR
        if attempt.ended_at is not None and not corrects:
            return
        ended = Ended(attempt_id, outcome)
        decision = _apply(session, attempt.request_id, ended, now, event=EventKind.ENDED, detail=outcome.value)
        if decision is not None and decision.changed:
            outcome = decision.request.last_outcome or outcome
            attempt.agent_pause_until = decision.agent_pause_until
            if decision.request.status in (Status.DONE, Status.FAILED):
                session.get_one(CallRequest, attempt.request_id).done_by = attempt.agent
        elif decision is not None and _is_withdrawn(decision, outcome) and not corrects:
            outcome = Outcome.WITHDRAWN
        attempt.ended_at, attempt.outcome, attempt.cause = now, outcome.value, cause[:MAX_CAUSE_LENGTH]


def _is_withdrawn(decision: Decision, outcome: Outcome) -> bool:
    """Tell whether we hung up, because the request had ended before its attempt."""
    return decision.request.status in lifecycle.FINAL and outcome is not Outcome.CONNECTED


def _apply(
    session: Session, request_id: int, news: lifecycle.Event, now: datetime, *, event: str, detail: str = ""
) -> Decision | None:
    """Apply news of an attempt to its request. `event` and `detail` are for the history."""
    loaded = store.load(session, request_id, lock=True)
    if loaded is None:
        return None
    row, module = loaded
    decision = lifecycle.transition(store.to_domain(row, module), news, now)
    store.apply_decision(session, row, decision, now, event=event, detail=detail)
    return decision


@dataclass(frozen=True)
class AttemptInFlight:
    """An attempt that has not ended. `withdrawn`: its request has ended, so its call must be hung up."""

    attempt: str
    step: Step
    started_at: datetime
    withdrawn: bool


def in_flight(database: Database) -> list[AttemptInFlight]:
    """Return the attempts that have not ended, oldest first."""
    with database.read() as session:
        return [_to_in_flight(session, attempt) for attempt in store.attempts_in_flight(session)]


def _to_in_flight(session: Session, attempt: Attempt) -> AttemptInFlight:
    if attempt.connected_at is not None:
        step = Step.CONNECTED
    elif attempt.dialled_at is not None:
        step = Step.CUSTOMER_DIALLED
    else:
        step = Step.AGENT_ANSWERED if attempt.answered_at is not None else Step.CLAIMED
    request = session.get(CallRequest, attempt.request_id)
    return AttemptInFlight(attempt.id, step, attempt.started_at, request is None or request.attempt != attempt.id)


def has_ended(database: Database, attempt_id: str) -> bool:
    """Tell whether this attempt exists in our database and has ended."""
    with database.read() as session:
        attempt = session.get(Attempt, attempt_id)
        return attempt is not None and attempt.ended_at is not None


def records_to_delete(database: Database, limit: int = 3) -> tuple[str, ...]:
    """Return some ended attempts whose records Asterisk still has in its own database."""
    with database.read() as session:
        return store.uncleared_traces(session, limit)


def mark_records_deleted(database: Database, attempt_ids: tuple[str, ...]) -> None:
    """Note that Asterisk has deleted its records of these attempts."""
    with database.write() as session:
        session.execute(update(Attempt).where(Attempt.id.in_(attempt_ids)).values(trace_cleared=True))
