"""Delete finished data by its age, in small batches, so that callers who register meanwhile do not wait.

What will go is counted before anybody decides. What is open is never deleted, whatever its age.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, literal_column, select, update
from sqlalchemy.orm import Session

from app.domain.lifecycle import FINAL
from app.domain.retention import Kind, Retention
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid
from app.services.requests.history import EventKind
from app.services.settings.save import save_values
from app.store import pbx_state
from app.store import settings as store
from app.store.database import Database
from app.store.models import AuditEntry, CallRequest, HistoryEntry, SpokenName

log = logging.getLogger(__name__)
DAY = timedelta(days=1)
LONGEST_GAP, DOUBT = 30 * DAY, 3 * DAY
_SEEN, _WAIT = "retention_seen", "retention_wait"  # settings: the last look, and until when the clock is doubted
BATCH = 50  # requests, or other rows, in a transaction
_HAS_NOTE = CallRequest.note != literal_column("''")  # as in the index
_QUIET: Any = {"synchronize_session": False}


@dataclass(frozen=True)
class Amount:
    """How much of a kind is stored, and how much of it will be deleted. `oldest` is None if there is nothing."""

    kind: Kind
    stored: int
    oldest: datetime | None
    going: int


def load(database: Database) -> Retention:
    """Return for how long data is kept."""
    with database.read() as session:
        return store.retention(store.read_all(session))


def count(database: Database, given: Retention, now: datetime) -> list[Amount]:
    """Return how much of each kind is stored, and how much would be deleted at `now`."""
    with database.read() as session:
        return [_count(session, kind, given, now) for kind in Kind]


def save(database: Database, given: Retention, *, actor: str, now: datetime) -> None:
    """Store for how long data is kept. The worker deletes the rest within the hour. Raises Invalid."""
    faults = given.faults()
    if faults:
        raise Invalid({kind.value: ErrorCode.RANGE for kind in faults})
    with database.write() as session:
        values = {f"{store.KEEP}{name}": str(days) for name, days in asdict(given).items()}
        save_values(session, values, now, actor=actor)


def delete_some(
    database: Database,
    now: datetime,
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Mapping[Kind, int], bool]:
    """Delete old requests, notes and log entries for so many seconds. Return how many, and whether there is more.

    After each batch it pauses for as long as the batch took: others can write then. Spoken names, which are files as
    well, are deleted by the worker's own clean-up.
    """
    given = load(database)
    until, deleted = clock() + seconds, Counter[Kind]()
    if not any(given.days(kind) for kind in _DELETED) or not _trusts_clock(database, now):
        return deleted, False
    for kind, delete_batch in _DELETED.items():
        before = given.before(kind, now)
        while before is not None:
            if clock() >= until:
                return deleted, True
            began = clock()
            batch = delete_batch(database, before)
            deleted[kind] += batch.deleted
            if not batch.is_full:
                break
            pause(clock() - began)
    return +deleted, False


def _trusts_clock(database: Database, now: datetime) -> bool:
    """Tell whether data may be judged by its age now.

    A machine that starts with a clock far ahead would delete everything. So after LONGEST_GAP without a look, nothing
    is deleted for DOUBT: by then somebody has seen the wrong dates, or the machine has only been off for long.
    """
    with database.read() as session:
        stored = store.read_all(session)
    seen, wait = (datetime.fromisoformat(stored[name]) if stored.get(name) else None for name in (_SEEN, _WAIT))
    if seen is not None and now - seen > LONGEST_GAP:
        wait = now + DOUBT
        days = (now - seen).days
        log.warning("the last look at old data was %s days ago by the clock; nothing is deleted before %s", days, wait)
    elif seen is not None and now < seen - DAY:
        wait = None  # the clock was put right
    if seen is None or abs(now - seen) >= DAY:
        with database.write() as session:
            store.write_setting(session, _SEEN, now.isoformat())
            store.write_setting(session, _WAIT, "" if wait is None else wait.isoformat())
    return wait is None or now >= wait


def record(database: Database, deleted: Mapping[Kind, int], now: datetime) -> None:
    """Write into the log what was deleted."""
    audit.add(database, "", AuditAction.DATA_DELETED, {_FIELDS[kind]: number for kind, number in deleted.items()}, now)


_FIELDS = {Kind.REQUESTS: "requests", Kind.NOTES: "notes", Kind.NAMES: "names", Kind.LOG: "log_entries"}


# -- what is old ------------------------------------------------------------------------------------------------------


def _has_ended(before: datetime | None = None) -> ColumnElement[bool]:
    """Whether a request has ended, by this moment. Only an index is read for this."""
    return CallRequest.done_at.is_not(None) if before is None else CallRequest.done_at <= before


def _may_go(before: datetime) -> ColumnElement[bool]:
    """Whether a request may be deleted. One that was reopened meanwhile, or is called, may not.

    Nor may the newest one, and the one with the newest event: SQLite would give their numbers away again, and what
    comes later counts by these numbers.
    """
    newest = select(func.max(CallRequest.id)).scalar_subquery()
    last_changed = select(HistoryEntry.request_id).order_by(HistoryEntry.id.desc()).limit(1).scalar_subquery()
    return and_(
        _has_ended(before),
        CallRequest.status.in_(sorted(status.value for status in FINAL)),
        CallRequest.attempt.is_(None),
        CallRequest.id != newest,
        CallRequest.id != func.coalesce(last_changed, 0),
    )


def _count(session: Session, kind: Kind, given: Retention, now: datetime) -> Amount:
    before = given.before(kind, now)
    stored, oldest = _read_count(session, kind, None)
    going, _ = _read_count(session, kind, before) if before is not None else (0, None)
    return Amount(kind, stored, oldest, going)


def _read_count(session: Session, kind: Kind, before: datetime | None) -> tuple[int, datetime | None]:
    """Return how many there are of a kind (older than `before`), and since when."""
    if kind is Kind.LOG:
        query: Select[Any, Any] = select(func.count(), func.min(AuditEntry.at))
        query = query.where(AuditEntry.at <= before) if before is not None else query
    else:
        query = select(func.count(), func.min(CallRequest.done_at)).where(_has_ended(before))
        if kind is Kind.NOTES:
            query = query.where(_HAS_NOTE)
        elif kind is Kind.NAMES:
            query = query.join(SpokenName, SpokenName.request_id == CallRequest.id)
    number, oldest = session.execute(query).one()
    return number or 0, oldest


# -- deleting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Batch:
    """How many rows were deleted of those that were found."""

    deleted: int
    found: int

    @property
    def is_full(self) -> bool:
        """Whether there may be more. Nothing more goes if all that was found must stay."""
        return self.found == BATCH and self.deleted > 0


def _find(database: Database, *conditions: ColumnElement[bool]) -> list[int]:
    """Return some ended requests, oldest first. They are looked for before the transaction, which is short then."""
    query = select(CallRequest.id).where(*conditions).order_by(CallRequest.done_at).limit(BATCH)
    with database.read() as session:
        return list(session.scalars(query))


def _delete_requests(database: Database, before: datetime) -> _Batch:
    """Delete some requests with all that belongs to them."""
    found = _find(database, _has_ended(before))
    if not found:
        return _Batch(0, 0)
    with database.write() as session:
        going = list(session.scalars(select(CallRequest.id).where(CallRequest.id.in_(found), _may_go(before))))
        session.execute(delete(CallRequest).where(CallRequest.id.in_(going)), execution_options=_QUIET)
        _note_deletion(session)
    return _Batch(len(going), len(found))


def _delete_notes(database: Database, before: datetime) -> _Batch:
    """Empty the notes of some requests, also in their history. Their last change cannot be undone any more."""
    with_note = (_has_ended(before), _HAS_NOTE)
    found = _find(database, *with_note)
    if not found:
        return _Batch(0, 0)
    texts = HistoryEntry.event.in_((EventKind.NOTED.value, EventKind.MARKED_DONE.value))
    with database.write() as session:
        going = list(session.scalars(select(CallRequest.id).where(CallRequest.id.in_(found), *with_note)))
        history = update(HistoryEntry).where(HistoryEntry.request_id.in_(going))
        session.execute(history.values(before=None), execution_options=_QUIET)
        session.execute(history.where(texts).values(detail=""), execution_options=_QUIET)
        notes = update(CallRequest).where(CallRequest.id.in_(going))
        session.execute(notes.values(note="", version=CallRequest.version + 1), execution_options=_QUIET)
        _note_deletion(session)
    return _Batch(len(going), len(found))


def _note_deletion(session: Session) -> None:
    """Let the caches of reports know: they follow the history, which grows with every other change of a request."""
    state = pbx_state.writable_worker_state(session)
    state.deletions = state.deletions + 1


def _delete_log(database: Database, before: datetime) -> _Batch:
    """Delete some log entries."""
    query = select(AuditEntry.id).where(AuditEntry.at <= before).order_by(AuditEntry.at).limit(BATCH)
    with database.read() as session:
        found = list(session.scalars(query))
    if found:
        with database.write() as session:
            gone = delete(AuditEntry).where(AuditEntry.id.in_(found))
            session.execute(gone, execution_options=_QUIET)
    return _Batch(len(found), len(found))


_DELETED: Mapping[Kind, Callable[[Database, datetime], _Batch]] = {
    Kind.REQUESTS: _delete_requests,
    Kind.NOTES: _delete_notes,
    Kind.LOG: _delete_log,
}
