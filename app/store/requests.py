"""Load call requests and attempts as domain objects, and store the domain's decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, union_all
from sqlalchemy.orm import Session

from app.domain.lifecycle import ACTIVE, FINAL, IN_FLIGHT, Decision, Outcome, Request, Rules, Status, Step
from app.store.models import Attempt, CallRequest, HistoryEntry, Module

# The columns that a transition may change. The others are fixed at the registration.
_MUTABLE = (
    "queue",
    "target",
    "free_at",
    "not_before",
    "postponed_until",
    "call_now",
    "call_now_agent",
    "priority",
    "customer_attempts",
    "agent_misses",
    "attempt",
)


def rules_of(module: Module | None) -> Rules:
    """Return the rules of a module. Requests of a deleted module are called by hand only."""
    if module is None:
        return Rules(automatic=False)
    return Rules(
        automatic=module.automatic,
        min_wait=timedelta(seconds=module.min_wait),
        rest=timedelta(seconds=module.rest),
        retries=module.retries,
        retry_pause=timedelta(seconds=module.retry_pause),
        agent_pause=timedelta(seconds=module.agent_pause),
        expire_after=timedelta(seconds=module.expire_after) if module.expire_after else None,
    )


def to_domain(row: CallRequest, module: Module | None) -> Request:
    """Convert a row to a domain object."""
    return Request(
        id=row.id,
        number=row.number,
        registered_at=row.registered_at,
        queue=row.queue,
        target=row.target,
        extensions=tuple(module.targets) if module is not None and module.target_kind == "extension" else (),
        status=Status(row.status),
        first_called_at=row.first_called_at,
        free_at=row.free_at,
        priority=row.priority,
        customer_attempts=row.customer_attempts,
        agent_misses=row.agent_misses,
        attempt=row.attempt,
        step=Step(row.step) if row.step else None,
        not_before=row.not_before,
        postponed_until=row.postponed_until,
        call_now=row.call_now,
        call_now_agent=row.call_now_agent,
        last_outcome=Outcome(row.last_outcome) if row.last_outcome else None,
        rules=rules_of(module),
    )


def add(
    session: Session, module: Module, queue: bool, target: str, number: str, now: datetime, **details: Any
) -> CallRequest:
    """Store a new waiting request and its first history entry. `details` are further columns."""
    row = CallRequest(
        module_id=module.id,
        module_name=module.name,
        queue=queue,
        target=target,
        number=number,
        status=Status.WAITING.value,
        registered_at=now,
        **{"first_called_at": now, **details},
    )
    session.add(row)
    session.flush()
    session.add(
        HistoryEntry(
            request_id=row.id,
            at=now,
            event="registered",
            old_status="",
            new_status=row.status,
            detail=number,
            actor=row.created_by,
            version=row.version,
        )
    )
    return row


def apply_decision(
    session: Session,
    row: CallRequest,
    decision: Decision,
    now: datetime,
    *,
    event: str,
    detail: str = "",
    actor: str = "",
) -> None:
    """Store a decision and add a history entry. Raises StaleDataError if the row has changed meanwhile."""
    request = decision.request
    if not decision.changed:
        return
    old_attempt = row.attempt
    old_status, row.status = row.status, request.status.value
    for name in _MUTABLE:
        setattr(row, name, getattr(request, name))
    row.step = request.step.value if request.step else None
    row.last_outcome = request.last_outcome.value if request.last_outcome else None
    row.done_at = now if request.status in FINAL else None
    if request.status in (Status.CONNECTED, Status.DONE) and row.reached_at is None:
        row.reached_at = now
    session.add(
        HistoryEntry(
            request_id=row.id,
            at=now,
            event=event,
            old_status=old_status,
            new_status=row.status,
            attempt=request.attempt or old_attempt,
            detail=detail[:200],
            actor=actor,
            version=row.version + session.is_modified(row),
        )
    )


def load(session: Session, request_id: int, *, lock: bool = False) -> tuple[CallRequest, Module | None] | None:
    """Return a request with its module, or None. `lock` locks the row in a write session."""
    query = select(CallRequest).where(CallRequest.id == request_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        return None
    return row, session.get(Module, row.module_id) if row.module_id else None


def with_modules(session: Session, rows: Sequence[CallRequest]) -> list[tuple[CallRequest, Module | None]]:
    """Return each row with its module. Load all modules in one query."""
    ids = {row.module_id for row in rows if row.module_id is not None}
    modules = {module.id: module for module in session.scalars(select(Module).where(Module.id.in_(ids)))} if ids else {}
    return [(row, modules.get(row.module_id) if row.module_id else None) for row in rows]


def has_status(statuses: Iterable[Status] = ACTIVE) -> ColumnElement[bool]:
    """Return a condition for requests of these statuses.

    The statuses are literals in the statement, not parameters. With parameters, SQLite cannot see that the partial
    index of active requests covers them, and may read the whole table.
    """
    values = sorted(status.value for status in statuses)
    return CallRequest.status.in_(bindparam("statuses", values, unique=True, expanding=True, literal_execute=True))


def active(
    session: Session, statuses: Iterable[Status] = ACTIVE, *, lock: bool = False
) -> list[tuple[CallRequest, Module | None]]:
    """Return all requests of these statuses with their modules, earliest caller first."""
    query = (
        select(CallRequest, Module)
        .outerjoin(Module, CallRequest.module_id == Module.id)
        .where(has_status(statuses))
        .order_by(CallRequest.first_called_at, CallRequest.id)
    )
    if lock:
        query = query.with_for_update(of=CallRequest, skip_locked=True)
    return [(row, module) for row, module in session.execute(query)]


def find_active(session: Session, module_id: int, queue: bool, target: str, number: str) -> CallRequest | None:
    """Return the active request of this module, target and number, or None."""
    return session.scalar(
        select(CallRequest)
        .where(
            CallRequest.module_id == module_id,
            CallRequest.queue == queue,
            CallRequest.target == target,
            CallRequest.number == number,
            has_status(),
        )
        .with_for_update()
    )


def attempts_in_flight(session: Session) -> list[Attempt]:
    return list(session.scalars(select(Attempt).where(Attempt.ended_at.is_(None)).order_by(Attempt.started_at)))


@dataclass(frozen=True)
class Occupied:
    """Numbers and agents that attempts occupy, and the time until which each agent is paused."""

    numbers: frozenset[str]
    agents: frozenset[str]
    agent_pauses: dict[str, datetime]


def occupied(session: Session, now: datetime) -> Occupied:
    """Return what attempts occupy. This is one query, because it runs between a hang-up and the next ring."""
    columns = select(Attempt.number, Attempt.agent, Attempt.ended_at, Attempt.agent_pause_until)
    # UNION instead of OR: with OR, SQLite reads all attempts.
    rows = session.execute(
        union_all(columns.where(Attempt.ended_at.is_(None)), columns.where(Attempt.agent_pause_until > now))
    ).all()
    flying = [row for row in rows if row.ended_at is None]
    pauses: dict[str, datetime] = {}
    for row in rows:
        if row.agent_pause_until is not None and row.agent_pause_until > now:
            pauses[row.agent] = max(row.agent_pause_until, pauses.get(row.agent, row.agent_pause_until))
    return Occupied(frozenset(row.number for row in flying), frozenset(row.agent for row in flying), pauses)


def in_flight_requests(session: Session) -> list[tuple[CallRequest, Module | None]]:
    return active(session, IN_FLIGHT)


def uncleared_traces(session: Session, limit: int) -> tuple[str, ...]:
    """Return ended attempts whose record Asterisk still has."""
    query = select(Attempt.id).where(~Attempt.trace_cleared, Attempt.ended_at.is_not(None)).limit(limit)
    return tuple(session.scalars(query))


def load_module(session: Session, module_id: int) -> Module | None:
    return session.get(Module, module_id)


def all_modules(session: Session) -> list[Module]:
    return list(session.scalars(select(Module).order_by(Module.id)))
