"""What one user has to do: the requests for their own extensions, and for the queues in which they serve now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.services.report import query
from app.services.report.periods import Period
from app.services.report.query import Filter, ReportPage, Sort
from app.services.requests.access import Scope
from app.services.requests.pending import PendingRow, load_pending
from app.store.database import Database


@dataclass(frozen=True)
class Mine:
    """`active`: what waits, of whatever age; `ended`: what ended just now; `past`: a page of what was registered in the
    period."""

    active: Sequence[PendingRow]
    ended: Sequence[PendingRow]
    past: ReportPage


def mine(database: Database, scope: Scope, period: Period, now: datetime, *, page: int = 1) -> Mine:
    """Return a user's own requests, also for whoever may see everything."""
    own = scope.own()
    wanted = Filter(registered_from=period.start, registered_to=period.end)
    pending = load_pending(database, own, now)
    return Mine(pending.active, pending.ended, query.read_page(database, own, wanted, Sort(), page=page))
