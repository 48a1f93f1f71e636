"""Requests of any status, newest first, in steps that stay right while requests arrive."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.services.report.query import Filter, conditions
from app.services.requests.access import Scope, visibility_of
from app.services.requests.pending import PendingRow, load_rows
from app.store.database import Database
from app.store.models import CallRequest


@dataclass(frozen=True)
class Newest:
    """Some requests, newest first. `following`: the id before which the next ones come, None if these are the last."""

    rows: Sequence[PendingRow]
    following: int | None


def load_newest(
    database: Database, scope: Scope, wanted: Filter, now: datetime, *, before: int | None = None, limit: int = 50
) -> Newest:
    """Return the newest requests that this user may see and that match the filter.

    `before`: only those with a smaller id. A request that arrives meanwhile has a larger one.
    """
    with database.read() as session:
        query = select(CallRequest.id).where(*conditions(session, visibility_of(session, scope), wanted))
        if before is not None:
            query = query.where(CallRequest.id < before)
        ids = session.scalars(query.order_by(CallRequest.id.desc()).limit(limit + 1)).all()
    shown = ids[:limit]
    rows = load_rows(database, scope, shown, now)[::-1]
    return Newest(rows, shown[-1] if len(ids) > limit else None)
