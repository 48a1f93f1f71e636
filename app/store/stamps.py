"""A cheap sign of whether any request has changed: what was counted under the same sign need not be counted again."""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.store.models import CallRequest, HistoryEntry

Stamp = tuple[int, int]


def stamp(session: Session) -> Stamp | None:
    """Return the sign as of now, or None while something is being written that could still get an earlier one.

    Every change of a request adds a line to its history, and lines are only ever added, with rising numbers. On SQLite
    writers follow one another. On PostgreSQL one that took its number earlier may commit later, so nothing is a sign
    while any writer is at work. Ask before counting: what comes in between then makes the sign too old, never too new.
    """
    newest = (select(func.max(table.id)).scalar_subquery() for table in (HistoryEntry, CallRequest))
    history, requests = session.execute(select(*newest)).one()
    if session.get_bind().dialect.name == "postgresql":
        now = text("SELECT pg_snapshot_xmin(s) = pg_snapshot_xmax(s) FROM pg_current_snapshot() AS s")
        if not session.scalar(now):
            return None
    return history or 0, requests or 0
