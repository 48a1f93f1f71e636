"""Close the requests that a talk between the office and the customer answers."""

from dataclasses import dataclass, replace
from datetime import datetime

from app.domain import lifecycle
from app.services.requests.history import EventKind
from app.store import last_talks, missed_calls
from app.store import requests as store
from app.store.database import Database
from app.store.turns import Urgency


@dataclass(frozen=True)
class Talk:
    """A talk between `number` and the office, whose side is `extension` or `queue`, since `since`.

    `attempts` are our own attempts to which the call belongs, if any.
    """

    number: str
    extension: str = ""
    queue: str = ""
    queues_of_extension: tuple[str, ...] = ()
    since: datetime | None = None
    attempts: frozenset[str] = frozenset()


def close_reached(database: Database, talk: Talk, now: datetime) -> list[str]:
    """Mark the active requests that this talk serves as done; return the attempts that must be hung up.

    The talk also marks the missed calls of the number as reached. The agent may be anybody in the office. If a module
    prefers the last agent, that agent becomes the preferred agent of later requests.

    The request of an attempt by which they talk ends by the attempt's own report. A request that was registered during
    the talk, for the first time or again, is about something else.
    """
    hang_up: list[str] = []
    with database.read() as session:
        is_missed = missed_calls.are_listed(session, talk.number, now)
        is_kept = bool(talk.extension) and last_talks.are_kept(session)
        if not is_missed and not is_kept and not store.active_of_number(session, talk.number):
            return hang_up
    with database.write(Urgency.ATTEMPT) as session:
        if is_kept:
            last_talks.keep(session, talk.number, talk.extension, talk.since or now)
        by = talk.extension or talk.queue
        missed_calls.mark_reached(session, talk.number, talk.since or now, by=by, now=now)
        for row, module in store.active_of_number(session, talk.number):
            request = store.to_domain(row, module)
            serves = _serves(talk, request) or _serves_as_fallback(talk, request)
            if not serves or row.attempt in talk.attempts:
                continue
            registered = row.registered_again_at or row.registered_at
            if talk.since is not None and registered > talk.since:
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


def _serves_as_fallback(talk: Talk, request: lifecycle.Request) -> bool:
    fallback = request.fallback
    if fallback is None:
        return False
    return _serves(talk, replace(request, queue=fallback.queue, target=fallback.target))
