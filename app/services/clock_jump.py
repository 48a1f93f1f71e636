"""Move the stored moments when the wall clock jumps, so that waiting times and pauses go on as if nothing had happened.

A jump is a change of the wall clock that is not the passing of time: somebody set it, the time service corrected it, or
a virtual machine was resumed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, bindparam, false, or_, select, true, update
from sqlalchemy.orm import Session

from app.domain import missed_calls
from app.domain.lifecycle import ACTIVE
from app.domain.phone_calls import FINAL
from app.services.requests import pause as pausing
from app.store import pbx_state, waiting
from app.store import requests as store
from app.store.database import Database
from app.store.exchanges import SHARED_TABLES, exchange_of
from app.store.models import (
    ApiAnswer,
    ApiToken,
    Attempt,
    Base,
    CallRequest,
    Command,
    ExtensionRow,
    HistoryEntry,
    LoginFailures,
    MissedCall,
    Module,
    PendingLogin,
    PhoneCall,
    PushMessage,
    PushSubscription,
    QueueMemberRow,
    RouteTroubleRow,
    SecondFactor,
    UserSession,
    Webhook,
    WebhookMessage,
    WorkerState,
)
from app.store.webhooks import MessageState

MIN_JUMP = timedelta(seconds=3)  # a smaller difference is a correction of the clock, not a jump
STORING = timedelta(seconds=1)  # on PostgreSQL, the panel can store rows while others are moved
LONGEST_PAUSE = timedelta(minutes=15)  # of those that no module sets: a failing route, a request that cannot be dialled


@dataclass(frozen=True)
class Jump:
    """The wall clock jumped by `by` and says `at` since. By the old time, that was after `seen`."""

    by: timedelta
    at: datetime
    seen: datetime

    @property
    def before(self) -> datetime:
        """`at` by the old time."""
        return self.at - self.by

    def is_before(self, moment: datetime, now: datetime) -> bool:
        """Tell whether a past moment was stored before the jump, by the old time. `now` is by the new time.

        The panel stores moments by the new time before the worker notices the jump. After the clock was put back, a
        few moments can be either. They count as new: a request that seems too young does not expire.
        """
        first_after = self.seen + self.by
        if self.by > timedelta(0):
            return moment <= max(first_after, self.before)
        return not first_after < moment <= now + STORING


@dataclass(frozen=True)
class Running:
    """Columns of a table with moments that still count.

    `happened` are moments of the past. `ends` are moments until which something lasts. They count in `rows`, with
    `lasting` also in those in which one of `ends` has not come.
    """

    table: type[Base]
    happened: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    rows: ColumnElement[bool] = field(default_factory=false)
    lasting: bool = False

    def to_move(self, jump: Jump) -> ColumnElement[bool]:
        """Return the condition for the rows that a jump moves: also those that would be in the future by the new time.

        An end that has passed by the old time could be far in the future, too.
        """
        first = min(jump.before, jump.at)
        names = (*self.happened, *self.ends) if self.lasting else self.happened
        return or_(self.rows, *(getattr(self.table, name) > first for name in names))


_IS_ACTIVE = store.has_status(ACTIVE)
_OF_ACTIVE = select(CallRequest.id).where(_IS_ACTIVE)

# These moments do not move: postponed_until, which a person chose by the calendar; held_until, which the dispatcher
# sets again; and those of what is over.
RUNNING = (
    Running(
        CallRequest,
        happened=(
            "first_called_at",
            "registered_at",
            "registered_again_at",
            "reopened_at",
            "free_at",
            "call_now_at",
            "reached_at",
            "done_at",
        ),
        ends=("not_before",),
        rows=_IS_ACTIVE,
    ),
    Running(HistoryEntry, happened=("at",), rows=HistoryEntry.request_id.in_(_OF_ACTIVE)),
    Running(
        Attempt,
        happened=(
            "since",
            "started_at",
            "answered_at",
            "dialled_at",
            "waited_at",
            "connected_at",
            "talked_at",
            "stood_still_at",
            "ended_at",
        ),
        ends=("agent_pause_until", "request_pause_until"),
        rows=or_(Attempt.ended_at.is_(None), Attempt.request_id.in_(_OF_ACTIVE)),
        lasting=True,
    ),
    Running(MissedCall, happened=("at", "outcome_at"), rows=MissedCall.outcome == missed_calls.Outcome.OPEN.value),
    Running(RouteTroubleRow, happened=("since", "failed_at"), rows=true()),
    Running(ExtensionRow, happened=("since", "idle_since"), rows=true()),
    Running(QueueMemberRow, ends=("wrapup_until",), lasting=True),
    Running(WorkerState, happened=("heartbeat", "started_at", "booted_at"), rows=true()),
    Running(Command, happened=("created_at", "done_at"), ends=("expires_at",), rows=Command.done_at.is_(None)),
    Running(
        PhoneCall,
        happened=("created_at", "updated_at"),
        rows=PhoneCall.state.not_in([state.value for state in FINAL]),
    ),
    Running(UserSession, happened=("started_at", "used_at"), rows=true()),
    Running(LoginFailures, happened=("last_at",), rows=true()),
    Running(PendingLogin, happened=("started_at",), rows=true()),
    Running(PushSubscription, happened=("created_at", "sent_at", "failed_at"), rows=true()),
    Running(PushMessage, happened=("created_at",), ends=("next_at", "expires_at"), rows=~PushMessage.done),
    Running(ApiToken, happened=("used_at",), rows=true()),
    Running(ApiAnswer, happened=("created_at",), rows=true()),
    Running(Webhook, happened=("created_at", "failing_since", "paused_at", "sent_at"), ends=("next_at",), rows=true()),
    Running(
        WebhookMessage,
        happened=("at", "since", "tried_at"),
        ends=("next_at",),
        rows=WebhookMessage.state == MessageState.WAITING.value,
    ),
    Running(SecondFactor, happened=("started_at",), rows=SecondFactor.confirmed_at.is_(None)),
)


def apply(database: Database, jump: Jump, clock: Callable[[], datetime]) -> None:
    """Move all moments that still count by a jump, and note the jump for the panel. `clock` says the new time."""
    with database.write() as session:
        session.connection()  # on SQLite, nobody else writes from here on
        now = clock()
        for running in _running(session):
            _move(session, running, jump, now)
        pause = pausing.load_pause(session)
        if pause is not None and pause.at is not None and jump.is_before(pause.at, now):
            pausing.change_start(session, pause.at + jump.by)
        # What an undo would bring back are moments by the old time, so nothing before the jump is undone.
        session.execute(update(HistoryEntry).where(HistoryEntry.before.is_not(None)).values(before=None))
        _limit(session, now)
        state = pbx_state.writable_worker_state(session)
        state.jumped_at, state.jump_seconds = jump.at, round(jump.by.total_seconds())
        state.deletions += 1  # moved requests have no entry in their history


def limit(database: Database, now: datetime) -> None:
    """Set past moments that are in the future to `now`, and shorten pauses that are longer than their rule allows."""
    with database.write() as session:
        _limit(session, now)


def find_since_stop(database: Database, now: datetime, uptime: timedelta, boot_id: str) -> Jump | None:
    """Return the jump since the last worker has stopped, as far as it can be known.

    If the machine was not restarted, the uptime says it exactly. Otherwise, a clock that says less than the last
    heartbeat was put back by the difference or more; a jump forward looks like time that has passed.
    """
    with database.read() as session:
        state = pbx_state.worker_state(session)
    if state.heartbeat is None:
        return None
    if boot_id and state.boot_id == boot_id and state.booted_at is not None:
        by, seen = now - uptime - state.booted_at, state.heartbeat
    else:
        by = now - state.heartbeat
        seen = now - uptime - by  # the panel has stored nothing by the new time before the machine was started
        if by > timedelta(0):
            return None
    return Jump(by, now, seen) if abs(by) >= MIN_JUMP else None


def _move(session: Session, running: Running, jump: Jump, now: datetime) -> None:
    table = cast(Table, running.table.__table__)
    keys = [column.name for column in table.primary_key]
    names = (*running.happened, *running.ends)
    columns = [getattr(running.table, name) for name in (*keys, *names)]
    rows = session.execute(select(*columns).where(running.to_move(jump)).with_for_update(key_share=True)).mappings()

    def is_old(row: Mapping[Any, Any]) -> bool:
        return all(row[name] is None or jump.is_before(row[name], now) for name in running.happened)

    moved = [
        {f"key_{name}": row[name] for name in keys}
        | {f"new_{name}": row[name] + jump.by if row[name] is not None else None for name in names}
        for row in rows
        if is_old(row)
    ]
    if moved:
        found = [table.c[name] == bindparam(f"key_{name}") for name in keys]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        session.connection().execute(table.update().where(*found).values(values), moved)


def _running(session: Session) -> Iterator[Running]:
    """Yield what moves in the exchange of a session. The worker of the first one moves what belongs to the panel."""
    is_first = exchange_of(session).is_first
    yield from (running for running in RUNNING if is_first or running.table.__tablename__ not in SHARED_TABLES)


def _limit(session: Session, now: datetime) -> None:
    for running in _running(session):
        for name in running.happened:
            column = getattr(running.table, name)
            late = update(running.table).where(column > now, running.rows).values({name: now})
            session.execute(late, execution_options={"synchronize_session": False})
    waiting.release_all(session)
    for request, module in store.active(session):
        latest = now + max(store.rules_of(module).longest_retry_pause, LONGEST_PAUSE)
        if request.not_before is not None and request.not_before > latest:
            request.not_before = latest
    pauses = (
        select(Attempt, Module)
        .join(CallRequest, CallRequest.id == Attempt.request_id)
        .outerjoin(Module, Module.id == CallRequest.module_id)
        .where(or_(Attempt.agent_pause_until > now, Attempt.request_pause_until > now))
    )
    for attempt, module in session.execute(pauses):
        latest = now + max(store.rules_of(module).agent_pause, LONGEST_PAUSE)
        if attempt.agent_pause_until is not None:
            attempt.agent_pause_until = min(attempt.agent_pause_until, latest)
        if attempt.request_pause_until is not None:
            attempt.request_pause_until = min(attempt.request_pause_until, latest)
