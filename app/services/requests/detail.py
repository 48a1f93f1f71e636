"""Everything about one request: what happened to it, every attempt with both legs, and who did what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from app.domain.lifecycle import Outcome, Status
from app.services.errors import NotFound
from app.services.requests.access import Scope, visibility_of
from app.services.requests.pending import PendingRow, one
from app.services.requests.perform import ARROW
from app.store import requests as store
from app.store.database import Database
from app.store.models import Attempt, ExtensionRow, HistoryEntry

TWO_VALUES = frozenset({"postponed", "reassigned", "prioritised"})  # events whose detail has the old and the new value


@dataclass(frozen=True)
class AttemptDetail:
    """An attempt; `agent_rang`, `customer_rang` and `talked` are how long each part of it took, as far as it came.

    `cause` is in the exchange's own words, for the technician.
    """

    id: str
    agent: str
    agent_name: str
    manual: bool
    started_at: datetime
    answered_at: datetime | None
    dialled_at: datetime | None
    connected_at: datetime | None
    ended_at: datetime | None
    outcome: Outcome | None
    cause: str
    agent_rang: timedelta | None
    customer_rang: timedelta | None
    talked: timedelta | None


@dataclass(frozen=True)
class TimelineEvent:
    """A line of the history; `actor` "" is the system or the caller. `old` and `new`: values that were changed."""

    at: datetime
    event: str
    actor: str
    old_status: Status | None
    new_status: Status
    attempt: str | None
    detail: str
    old: str = ""
    new: str = ""


@dataclass(frozen=True)
class RequestDetail:
    request: PendingRow
    reached_at: datetime | None
    attempts: Sequence[AttemptDetail]
    history: Sequence[TimelineEvent]


def load_detail(database: Database, scope: Scope, request_id: int, now: datetime) -> RequestDetail:
    """Return everything about a request. Raises NotFound, also where it is not this user's to see."""
    with database.read() as session:
        loaded = store.load(session, request_id)
        if loaded is None or not visibility_of(session, scope).covers(loaded[0]):
            raise NotFound(f"request {request_id}")
        row, module = loaded
        attempts = session.execute(
            select(Attempt, ExtensionRow.name)
            .outerjoin(ExtensionRow, ExtensionRow.extension == Attempt.agent)
            .where(Attempt.request_id == request_id)
            .order_by(Attempt.started_at, Attempt.id)
        ).all()
        history = session.scalars(
            select(HistoryEntry).where(HistoryEntry.request_id == request_id).order_by(HistoryEntry.id)
        ).all()
        return RequestDetail(
            request=one(session, row, module, now),
            reached_at=row.reached_at,
            attempts=[_attempt(attempt, name or "") for attempt, name in attempts],
            history=[_happening(entry) for entry in history],
        )


def _attempt(row: Attempt, name: str) -> AttemptDetail:
    return AttemptDetail(
        id=row.id,
        agent=row.agent,
        agent_name=name,
        manual=row.manual,
        started_at=row.started_at,
        answered_at=row.answered_at,
        dialled_at=row.dialled_at,
        connected_at=row.connected_at,
        ended_at=row.ended_at,
        outcome=Outcome(row.outcome) if row.outcome else None,
        cause=row.cause,
        agent_rang=_between(row.started_at, row.answered_at or row.ended_at),
        customer_rang=_between(row.dialled_at, row.connected_at or row.ended_at),
        talked=_between(row.connected_at, row.ended_at),
    )


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    return end - start if start is not None and end is not None else None


def _happening(entry: HistoryEntry) -> TimelineEvent:
    old, arrow, new = entry.detail.partition(ARROW) if entry.event in TWO_VALUES else ("", "", "")
    return TimelineEvent(
        at=entry.at,
        event=entry.event,
        actor=entry.actor,
        old_status=Status(entry.old_status) if entry.old_status else None,
        new_status=Status(entry.new_status),
        attempt=entry.attempt,
        detail=entry.detail,
        old=old if arrow else "",
        new=new if arrow else old,
    )
