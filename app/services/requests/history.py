"""The history of a request: one event for each change, with its time and the user who made it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.store.models import CallRequest, HistoryEntry

ARROW = " → "  # between the old and the new value in an event's detail
MAX_DETAIL_LENGTH = 200


class EventKind(StrEnum):
    """What happened to a request. The steps of an attempt have the values of `Step`."""

    REGISTERED = "registered"
    REGISTERED_AGAIN = "registered_again"
    STANDING = "standing"  # the number has a standing priority; the detail is its fixed agent
    TIME_CHOSEN = "time_chosen"  # when it was registered
    NAME_SAID = "name_said"  # the caller has said their name
    CLAIMED = "claimed"
    AGENT_ANSWERED = "agent_answered"
    CUSTOMER_DIALLED = "customer_dialled"
    CUSTOMER_WAITS = "customer_waits"
    CONNECTED = "connected"
    ENDED = "ended"
    REACHED = "reached"
    EXPIRED = "expired"
    GIVEN_UP = "given_up"  # the customer was not reached before the office closed
    NOTED = "noted"
    POSTPONED = "postponed"
    REASSIGNED = "reassigned"
    PRIORITISED = "prioritised"
    MARKED_DONE = "marked_done"
    CANCELLED = "cancelled"
    REOPENED = "reopened"
    UNDONE = "undone"  # the detail is the event that was undone
    FELL_BACK = "fell_back"  # it has waited so long that the fallback may serve it, too
    CALL_NOW = "call_now"
    CALL_NOW_WITHDRAWN = "call_now_withdrawn"
    CALL_NOW_OVER = "call_now_over"  # nothing rang for so long that it is not tried at once any more


# Events whose detail is a value, or an old and a new one.
_WITH_VALUES = frozenset(
    {
        EventKind.STANDING,
        EventKind.TIME_CHOSEN,
        EventKind.POSTPONED,
        EventKind.REASSIGNED,
        EventKind.PRIORITISED,
    }
)


@dataclass(frozen=True)
class HistoryEvent:
    """A change of a request. `kind` is an `EventKind` unless an older version wrote it.

    `actor` is "" for the caller, the PBX and the telephone service. `old` and `new` are set for changes of a value.
    `version` is that of the request after it. `undoable`: it can be undone as long as the request has this version.
    """

    at: datetime
    kind: str
    actor: str
    old_status: Status | None
    new_status: Status
    attempt: str | None
    detail: str
    old: str = ""
    new: str = ""
    version: int = 0
    undoable: bool = False


def load_history(session: Session, request_id: int) -> list[HistoryEvent]:
    """Return everything that happened to a request, oldest first."""
    query = select(HistoryEntry).where(HistoryEntry.request_id == request_id).order_by(HistoryEntry.id)
    return [_to_event(entry) for entry in session.scalars(query)]


def last_event(session: Session, request_id: int, kind: EventKind | None = None) -> HistoryEvent | None:
    """Return the newest event of a request, or the newest of a kind."""
    query = select(HistoryEntry).where(HistoryEntry.request_id == request_id).order_by(HistoryEntry.id.desc())
    if kind is not None:
        query = query.where(HistoryEntry.event == kind.value)
    entry = session.scalar(query.limit(1))
    return _to_event(entry) if entry is not None else None


def last_change_since(session: Session, request_id: int, version: int) -> HistoryEvent | None:
    """Return the newest change that a user made after this version of the request; None if there is none."""
    query = (
        select(HistoryEntry)
        .where(HistoryEntry.request_id == request_id, HistoryEntry.version > version, HistoryEntry.actor != "")
        .order_by(HistoryEntry.id.desc())
    )
    entry = session.scalar(query.limit(1))
    return _to_event(entry) if entry is not None else None


def add_event(
    session: Session, row: CallRequest, kind: EventKind, detail: str, now: datetime, *, actor: str = ""
) -> None:
    """Add an event that changes no status. The row must be flushed, so that the event gets the new version."""
    session.add(
        HistoryEntry(
            request_id=row.id,
            at=now,
            event=kind.value,
            old_status=row.status,
            new_status=row.status,
            detail=detail[:MAX_DETAIL_LENGTH],
            actor=actor,
            version=row.version,
        )
    )


def _to_event(entry: HistoryEntry) -> HistoryEvent:
    old, arrow, new = entry.detail.partition(ARROW) if entry.event in _WITH_VALUES else ("", "", "")
    return HistoryEvent(
        at=entry.at,
        kind=entry.event,
        actor=entry.actor,
        old_status=Status(entry.old_status) if entry.old_status else None,
        new_status=Status(entry.new_status),
        attempt=entry.attempt,
        detail=entry.detail,
        old=old if arrow else "",
        new=new if arrow else old,
        version=entry.version,
        undoable=entry.before is not None,
    )
