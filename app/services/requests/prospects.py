"""What a caller can expect: how many come before a request, and how long it will probably wait."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.domain.estimated_wait import Estimate, estimate, same_hours
from app.domain.hours import Hours
from app.domain.lifecycle import Status
from app.domain.place_in_line import count_ahead
from app.services.requests.pause import is_paused
from app.store import pbx_state, waiting
from app.store import requests as store
from app.store.models import CallRequest, Module
from app.store.past_waits import load_past_waits
from app.store.settings import read_all


@dataclass(frozen=True)
class Prospect:
    """`ahead` is how many requests and live callers come before a request. Requests count up to waiting.MOST_BEFORE.

    `estimate` is how long it will probably wait, None if that cannot be said well enough.
    """

    ahead: int
    estimate: Estimate | None


def count_ahead_of(
    session: Session,
    module: Module,
    queue: bool,
    target: str,
    priority: int,
    first_called_at: datetime,
    now: datetime,
    request_id: int | None = None,
) -> int:
    """Return how many requests and live callers come before a request, which is new if it has no id."""
    requests = waiting.count_before(
        session,
        queue,
        target,
        module.id,
        priority=priority,
        first_called_at=first_called_at,
        now=now,
        request_id=request_id,
    )
    if not queue:
        return requests
    callers = pbx_state.waiting_callers(session, target)
    return count_ahead(first_called_at, priority, store.rules_of(module).place, callers, requests)


def find_prospect(session: Session, row: CallRequest, module: Module, hours: Hours, now: datetime) -> Prospect | None:
    """Return the prospect of a request, None if it does not wait in line now.

    There is no estimate if the office closes before. `hours` are those of the module.
    """
    own_times = [moment for moment in (row.postponed_until, row.not_before) if moment is not None]
    is_in_line = row.status == Status.WAITING.value and all(moment <= now for moment in own_times)
    if not is_in_line or not hours.is_open(now) or is_paused(read_all(session)):
        return None
    ahead = count_ahead_of(
        session, module, row.queue, row.target, row.priority, row.first_called_at, now, request_id=row.id
    )
    return Prospect(ahead, estimate_wait(session, row, module.id, ahead, hours, now))


def estimate_wait(
    session: Session, row: CallRequest, module_id: int, ahead: int, hours: Hours, now: datetime
) -> Estimate | None:
    """Return how much longer a request will probably wait, by the last days; the rest as `find_prospect`."""
    past = load_past_waits(session, module_id, row.queue, row.target, same_hours(now, hours.zone))
    found = estimate(
        (request for request in past if hours.is_open(request.registered_at)), now, ahead, now - row.registered_at
    )
    closing = hours.next_change(now)
    return found if found is not None and (closing is None or now + found.wait < closing) else None
