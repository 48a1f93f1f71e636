"""Close requests when the office and the customer talk in another call than ours."""

from dataclasses import dataclass
from datetime import datetime

from app.domain import lifecycle
from app.services.requests.history import EventKind
from app.store import requests as store
from app.store.database import Database


@dataclass(frozen=True)
class Talk:
    """An answered call between `number` and the office, whose side is `extension` or `queue`."""

    number: str
    extension: str = ""
    queue: str = ""
    queues_of_extension: tuple[str, ...] = ()


def close_reached(database: Database, talk: Talk, now: datetime) -> list[str]:
    """Mark the active requests that this talk serves as done; return the attempts that must be hung up."""
    hang_up = []
    with database.write() as session:
        for row, module in store.active(session, lifecycle.ACTIVE):
            request = store.to_domain(row, module)
            if row.number != talk.number or not _serves(talk, request):
                continue
            decision = lifecycle.transition(request, lifecycle.Reached(), now)
            if decision.changed:
                row.done_by = talk.extension
            detail = talk.extension or talk.queue
            store.apply_decision(session, row, decision, now, event=EventKind.REACHED, detail=detail)
            if decision.hang_up:
                hang_up.append(decision.hang_up)
    return hang_up


def _serves(talk: Talk, request: lifecycle.Request) -> bool:
    if request.queue:
        return request.target == talk.queue or request.target in talk.queues_of_extension
    return bool(talk.extension) and talk.extension in request.wanted
