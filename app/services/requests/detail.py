"""The detail of one request: its facts, every attempt with both legs, and its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Outcome
from app.services.errors import NotFound
from app.services.requests.access import Scope, visibility_of
from app.services.requests.history import EventKind, HistoryEvent, load_history
from app.services.requests.pending import PendingRow, load_row
from app.store import requests as store
from app.store.database import Database
from app.store.models import Attempt, ExtensionRow

# Events that the timeline leaves out, because the entry of their attempt shows them.
_OF_ATTEMPT = frozenset(
    {
        EventKind.CLAIMED,
        EventKind.AGENT_ANSWERED,
        EventKind.CUSTOMER_DIALLED,
        EventKind.CONNECTED,
        EventKind.ENDED,
    }
)


@dataclass(frozen=True)
class AttemptDetail:
    """An attempt. `agent_rang`, `customer_rang` and `talked` are durations, None for what did not happen or goes on.

    `cause` is the text of the PBX about the end of the call.
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
class TimelineEntry:
    """Either an attempt or an event of the history."""

    at: datetime
    attempt: AttemptDetail | None = None
    event: HistoryEvent | None = None


@dataclass(frozen=True)
class RequestDetail:
    """Everything about one request. `attempts` and `history` have the oldest first."""

    request: PendingRow
    reached_at: datetime | None
    attempts: Sequence[AttemptDetail]
    history: Sequence[HistoryEvent]

    @property
    def timeline(self) -> list[TimelineEntry]:
        """The attempts and the other events, newest first."""
        shown = {attempt.id for attempt in self.attempts}
        entries = [TimelineEntry(attempt.started_at, attempt=attempt) for attempt in self.attempts]
        entries += [
            TimelineEntry(event.at, event=event)
            for event in self.history
            if event.kind not in _OF_ATTEMPT or event.attempt not in shown
        ]
        return sorted(entries, key=lambda entry: entry.at, reverse=True)


def load_detail(database: Database, scope: Scope, request_id: int, now: datetime) -> RequestDetail:
    """Return everything about a request. Raises NotFound if it does not exist or this user may not see it."""
    with database.read() as session:
        loaded = store.load(session, request_id)
        if loaded is None or not visibility_of(session, scope).covers(loaded[0]):
            raise NotFound(f"request {request_id}")
        row, module = loaded
        return RequestDetail(
            request=load_row(session, row, module, now),
            reached_at=row.reached_at,
            attempts=_load_attempts(session, request_id),
            history=load_history(session, request_id),
        )


def _load_attempts(session: Session, request_id: int) -> list[AttemptDetail]:
    query = (
        select(Attempt, ExtensionRow.name)
        .outerjoin(ExtensionRow, ExtensionRow.extension == Attempt.agent)
        .where(Attempt.request_id == request_id)
        .order_by(Attempt.started_at, Attempt.id)
    )
    return [_attempt(attempt, name or "") for attempt, name in session.execute(query)]


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
