"""A cheap sign of whether any request has changed: what was counted under the same sign need not be counted again."""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.store.models import CallRequest, HistoryEntry

Stamp = tuple[int, int]

_WRITERS = text(
    """
    SELECT EXISTS (
        SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE datname = current_database() AND mode = 'RowExclusiveLock'
        AND relation IN ('history'::regclass, 'call_requests'::regclass)
    )
    """
)


def requests_version(session: Session) -> Stamp | None:
    """Return the sign as of now, or None while something is being written that could still get an earlier one.

    Every change of a request adds a line to its history, and lines are only ever added, with rising numbers. On SQLite
    writers follow one another. On PostgreSQL one that took its number earlier may commit later, so nothing is a sign
    while anybody who writes there is at work: they hold their lock until they commit. Ask before counting: what comes
    in between then makes the sign too old, never too new.
    """
    newest = (select(func.max(table.id)).scalar_subquery() for table in (HistoryEntry, CallRequest))
    history, requests = session.execute(select(*newest)).one()
    if session.get_bind().dialect.name == "postgresql" and session.scalar(_WRITERS):
        return None
    return history or 0, requests or 0
