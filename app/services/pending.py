"""What the page of pending requests shows: each request with the reason why it is not being dialled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain import numbers, policy
from app.domain.lifecycle import ACTIVE, FINAL, Outcome, Request, Status, Step
from app.domain.policy import Reason
from app.store import lines as store_lines
from app.store import requests as store
from app.store.database import Database
from app.store.models import Attempt, CallRequest

JUST_DONE = timedelta(minutes=30)
MOST_DONE = 10


@dataclass(frozen=True)
class PendingRow:
    """A request as it is shown. `number` is as people of the country write it; `wanted` whom the caller wanted."""

    id: int
    status: Status
    step: Step | None
    number: str
    caller_name: str
    caller_number: str
    module: str
    queue: bool
    wanted: tuple[str, ...]
    first_called_at: datetime
    registered_at: datetime
    done_at: datetime | None
    customer_attempts: int
    customer_attempts_allowed: int
    agent_misses: int
    agent: str
    reason: Reason | None
    last_outcome: Outcome | None

    @property
    def may_call(self) -> bool:
        return self.status in (Status.WAITING, Status.UNCERTAIN)

    @property
    def may_cancel(self) -> bool:
        return self.status in ACTIVE and self.status is not Status.CONNECTED


@dataclass(frozen=True)
class Pending:
    """`active` in the order in which they are served; `done` are those that ended lately, the latest first."""

    active: Sequence[PendingRow]
    done: Sequence[PendingRow]


def pending(database: Database, now: datetime) -> Pending:
    """Return every active request and the ones that ended lately."""
    with database.read() as session:
        facts = store_lines.stored_facts(session, now)
        agents = {attempt.request_id: attempt.agent for attempt in store.attempts_in_flight(session)}
        rows = {row.id: (row, module) for row, module in store.active(session)}
        order = policy.in_order(store.to_domain(row, module) for row, module in rows.values())
        active = [_row(rows[r.id][0], r, policy.explain(r, facts, now), agents.get(r.id, "")) for r in order]
        ended = session.scalars(
            select(CallRequest)
            .where(CallRequest.status.in_([status.value for status in FINAL]), CallRequest.done_at > now - JUST_DONE)
            .order_by(CallRequest.done_at.desc())
            .limit(MOST_DONE)
        ).all()
        done = [
            _row(row, store.to_domain(row, module), None, _last_agent(session, row.id))
            for row, module in store.with_modules(session, ended)
        ]
    return Pending(active, done)


def _last_agent(session: Session, request_id: int) -> str:
    query = select(Attempt.agent).where(Attempt.request_id == request_id).order_by(Attempt.started_at.desc()).limit(1)
    return session.scalar(query) or ""


def _row(row: CallRequest, request: Request, reason: Reason | None, agent: str) -> PendingRow:
    return PendingRow(
        id=row.id,
        status=request.status,
        step=request.step,
        number=numbers.national(row.number),
        caller_name=row.caller_name,
        caller_number=row.caller_number,
        module=row.module_name,
        queue=row.queue,
        wanted=(row.target,) if row.target else request.extensions,
        first_called_at=row.first_called_at,
        registered_at=row.registered_at,
        done_at=row.done_at,
        customer_attempts=row.customer_attempts,
        customer_attempts_allowed=request.rules.retries + 1,
        agent_misses=row.agent_misses,
        agent=agent,
        reason=reason,
        last_outcome=request.last_outcome,
    )
