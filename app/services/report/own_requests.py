"""Load a user's own requests: for the user's extensions, and for the queues that the user serves now."""

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
class OwnRequests:
    """A user's own requests.

    `active` are the first active requests, after which `following` others come. `ended` are those that ended just now.
    `past` is one page of the requests registered in the period.
    """

    active: Sequence[PendingRow]
    following: int
    ended: Sequence[PendingRow]
    past: ReportPage


def load_own_requests(database: Database, scope: Scope, period: Period, now: datetime, *, page: int = 1) -> OwnRequests:
    """Return a user's own requests, even if the user may see all requests."""
    own = scope.own()
    wanted = Filter(registered_from=period.start, registered_to=period.end)
    pending = load_pending(database, own, now)
    return OwnRequests(
        pending.active, pending.following, pending.ended, query.read_page(database, own, wanted, Sort(), page=page)
    )
