"""Load and store the routes that fail."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.domain import routes
from app.domain.lifecycle import Outcome
from app.domain.routes import RouteTrouble
from app.store import webhooks
from app.store.models import RouteTroubleRow

_FAILING = select(*RouteTroubleRow.__table__.columns)


def failing(session: Session) -> dict[str, RouteTrouble]:
    """Return the routes that fail, by outbound context."""
    return {row.context: to_domain(row) for row in session.execute(_FAILING)}


def load(session: Session, context: str) -> RouteTroubleRow | None:
    """Return the trouble of a route, None if it works."""
    return session.get(RouteTroubleRow, context)


def to_domain(row: RouteTroubleRow | Row[Any]) -> RouteTrouble:
    """Convert a row to a domain object. It may be a row of the table's columns."""
    return RouteTrouble(row.failures, row.since, row.failed_at, Outcome(row.outcome))


def apply_outcome(
    session: Session,
    context: str,
    outcome: Outcome,
    now: datetime,
    *,
    claimed_at: datetime,
    dialled_at: datetime,
    cause: str,
) -> None:
    """Store what a call through a route says about it; see `routes.after`. `cause` is what the PBX reported."""
    row = session.get(RouteTroubleRow, context, with_for_update=True)
    before = to_domain(row) if row is not None else None
    trouble = routes.after(before, outcome, claimed_at, dialled_at, now)
    if trouble == before:
        return
    if trouble is None:
        session.delete(row)
        return
    if before is None:
        webhooks.tell_trouble(session, context, outcome, cause, now)
    row = row or RouteTroubleRow(context=context)
    row.failures, row.since, row.failed_at = trouble.failures, trouble.since, trouble.failed_at
    row.outcome, row.cause = trouble.outcome.value, cause
    session.add(row)
