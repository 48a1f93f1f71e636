"""The detail of one request: its facts, every attempt with both legs, and its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Outcome, Side
from app.services.errors import NotFound
from app.services.requests.access import Scope, visibility_of
from app.services.requests.history import EventKind, HistoryEvent, load_history
from app.services.requests.pending import PendingRow, load_row
from app.services.requests.prospects import Prospect, find_prospect
from app.store import pbx_state
from app.store import requests as store
from app.store.database import Database
from app.store.hours import load_hours
from app.store.models import Attempt, CallRequest, ExtensionRow, Module
from app.store.settings import read_all

# Events that the timeline leaves out, because the entry of their attempt shows them.
_OF_ATTEMPT = frozenset(
    {
        EventKind.CLAIMED,
        EventKind.AGENT_ANSWERED,
        EventKind.CUSTOMER_DIALLED,
        EventKind.CUSTOMER_WAITS,
        EventKind.CONNECTED,
        EventKind.ENDED,
    }
)


@dataclass(frozen=True)
class AttemptDetail:
    """An attempt, or several in which nothing rang: `repeats` of them since `since`, the last one at `started_at`.

    `agent_rang`, `customer_rang` and `talked` are durations, None for what did not happen or goes on.

    `cause` is the text of the PBX about the end of the call.
    """

    id: str
    agent: str
    agent_name: str
    manual: bool
    since: datetime
    repeats: int
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
    """Everything about one request. `attempts` and `history` have the oldest first.

    `prospect` is None if it is not in line now.
    `spoken_name`: the file of the name that the caller has said, "" if there is none.
    """

    request: PendingRow
    prospect: Prospect | None
    reached_at: datetime | None
    attempts: Sequence[AttemptDetail]
    history: Sequence[HistoryEvent]
    spoken_name: str = ""

    @property
    def undoable(self) -> HistoryEvent | None:
        """The last change, if it can be undone: nothing has happened to the request since."""
        last = next((event for event in reversed(self.history) if event.version == self.request.version), None)
        return last if last is not None and last.undoable else None

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
        return sorted(entries, key=lambda entry: entry.at)[::-1]


def load_detail(database: Database, scope: Scope, request_id: int, now: datetime) -> RequestDetail:
    """Return everything about a request. Raises NotFound if it does not exist or this user may not see it."""
    with database.read() as session:
        loaded = store.load(session, request_id)
        if loaded is None or not visibility_of(session, scope).covers(loaded[0]):
            raise NotFound(f"request {request_id}")
        row, module = loaded
        return RequestDetail(
            request=load_row(session, row, module, now),
            prospect=_find_prospect(session, row, module, now),
            reached_at=row.reached_at,
            attempts=_load_attempts(session, request_id),
            history=load_history(session, request_id),
            spoken_name=store.spoken_name(session, request_id),
        )


def _find_prospect(session: Session, row: CallRequest, module: Module | None, now: datetime) -> Prospect | None:
    state = pbx_state.worker_state(session)
    if module is None or not state.timezone:
        return None
    hours = load_hours(session, state.timezone, state.region, read_all(session), now).of(module)
    return find_prospect(session, row, module, hours, now)


def _load_attempts(session: Session, request_id: int) -> list[AttemptDetail]:
    query = (
        select(Attempt, ExtensionRow.name)
        .outerjoin(ExtensionRow, ExtensionRow.extension == Attempt.agent)
        .where(Attempt.request_id == request_id)
        .order_by(Attempt.started_at, Attempt.id)
    )
    return [_attempt(attempt, name or "") for attempt, name in session.execute(query)]


def _attempt(row: Attempt, name: str) -> AttemptDetail:
    outcome = Outcome(row.outcome) if row.outcome else None
    dialled_at = None if outcome is not None and outcome.side is Side.ROUTE else row.dialled_at
    nothing_rang = outcome is not None and not outcome.rang
    # A customer who is rung first waits before the agent's phone rings. Otherwise the agent has answered before.
    may_have_rung = not nothing_rang and (row.dialled_at is None or row.waited_at or row.answered_at)
    return AttemptDetail(
        id=row.id,
        agent=row.agent,
        agent_name=name,
        manual=row.manual,
        since=row.since or row.started_at,
        repeats=row.repeats,
        started_at=row.started_at,
        answered_at=row.answered_at,
        dialled_at=row.dialled_at,
        connected_at=row.connected_at,
        ended_at=row.ended_at,
        outcome=outcome,
        cause=row.cause,
        agent_rang=_between(row.waited_at or row.started_at, row.answered_at or row.ended_at)
        if may_have_rung
        else None,
        customer_rang=_between(dialled_at, row.waited_at or row.connected_at or row.ended_at),
        talked=_between(row.connected_at, row.ended_at),
    )


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    return end - start if start is not None and end is not None else None
