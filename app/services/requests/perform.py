"""What people do with requests: each act knows the request as the page showed it, and is done once or not at all.

A request that another person has changed since is left alone, and whoever asks is told who did what. What the exchange
does meanwhile (an attempt begins, a phone does not answer) is no reason to refuse: there the rules of the lifecycle say
what is still possible. An act for which a phone must ring or be hung up is left to the telephone service as a command;
everything else is done here, whether that service runs or not.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain import lifecycle, numbers
from app.domain.lifecycle import ACTIVE, Status
from app.services import audit, commands
from app.services.errors import Invalid, NotFound
from app.services.requests.access import Scope, visibility_of
from app.services.requests.actions import (
    Action,
    ActionResult,
    CallNow,
    Cancel,
    HistoryEvent,
    MarkDone,
    Note,
    Postpone,
    Prioritise,
    Reassign,
    ShownRequest,
    event_of,
    validate,
)
from app.services.requests.targets import is_target, target_name
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry, Module

ANSWER_WITHIN = 2.0  # seconds for which a page waits for the telephone service
ARROW = " → "  # between the old and the new value in a line of history


def perform(
    database: Database, scope: Scope, action: Action, rows: Sequence[ShownRequest], now: datetime
) -> list[ActionResult]:
    """Do one thing with each of these requests; return a result per row, in their order. Raises Invalid."""
    errors = validate(action, now)
    if errors:
        raise Invalid(errors)
    results: dict[int, ActionResult] = {}
    with database.write() as session:
        actor = _Performer(session, scope, now)
        for seen in sorted(rows, key=lambda seen: seen.id):  # always in the same order, so that nobody waits in a ring
            if seen.id not in results:
                results[seen.id] = actor.act(action, seen)
        if any(result.code == "done" for result in results.values()):
            commands.notify_worker(session)
    return [results[seen.id] for seen in rows]


class _Performer:
    """One person within one transaction."""

    def __init__(self, session: Session, scope: Scope, now: datetime) -> None:
        self._session, self._scope, self._now = session, scope, now
        self._reach = visibility_of(session, scope)

    def act(self, action: Action, seen: ShownRequest) -> ActionResult:
        loaded = store.load(self._session, seen.id, lock=True)
        if loaded is None or not self._reach.covers(loaded[0]):
            return ActionResult(seen.id, "not_found")
        row, module = loaded
        by = last_change_since(self._session, row.id, seen.version)
        if by is not None:
            return result_of(row, "changed", by=by)
        if isinstance(action, Note):
            return self._note(row, action.note.strip())
        rings = row.status == Status.DIALLING.value
        if isinstance(action, CallNow) or (rings and isinstance(action, Cancel | MarkDone)):
            return self._ask(row, module, action)
        return apply(self._session, self._scope.name, row, module, action, self._now)

    def _note(self, row: CallRequest, note: str) -> ActionResult:
        if note == row.note:
            return result_of(row, "same")
        actor, old = self._scope.name, row.note
        row.note = note
        self._session.flush()
        self._session.add(
            HistoryEntry(
                request_id=row.id,
                at=self._now,
                event="noted",
                old_status=row.status,
                new_status=row.status,
                detail=note[:200],
                actor=actor,
                version=row.version,
            )
        )
        audit.record(self._session, actor, "request_noted", subject(row), {"note": [old, note]}, self._now)
        return result_of(row, "done")

    def _ask(self, row: CallRequest, module: Module | None, action: CallNow | Cancel | MarkDone) -> ActionResult:
        """Leave it to the telephone service, unless the rules refuse it already."""
        if isinstance(action, CallNow) and action.agent is not None and not self._reach.has_extension(action.agent):
            return result_of(row, "not_yours")
        event = event_of(action)
        assert event is not None
        if not lifecycle.transition(store.to_domain(row, module), event, self._now).changed:
            return refusal(self._session, row)
        payload: dict[str, Any] = {"request": row.id, "version": row.version}
        match action:
            case CallNow(agent):
                kind, payload["agent"] = commands.CALL_NOW, agent
            case MarkDone(note):
                kind, payload["note"] = commands.MARK_DONE, note
            case _:
                kind = commands.CANCEL
        command = commands.send_in(self._session, kind, payload, actor=self._scope.name, now=self._now)
        return result_of(row, "asked", command=command)


def result_of(row: CallRequest, code: str, **values: Any) -> ActionResult:
    """Return a result that tells how the request stands now."""
    return ActionResult(row.id, code, Status(row.status), row.version, **values)


def last_change_since(session: Session, request_id: int, version: int) -> HistoryEvent | None:
    """Return what a person did last with a request after it had this version; None where nobody did anything."""
    query = (
        select(HistoryEntry)
        .where(HistoryEntry.request_id == request_id, HistoryEntry.version > version, HistoryEntry.actor != "")
        .order_by(HistoryEntry.id.desc())
    )
    entry = session.scalar(query.limit(1))
    return None if entry is None else HistoryEvent(entry.actor, entry.event, entry.detail, entry.at)


def refusal(session: Session, row: CallRequest) -> ActionResult:
    """Say that the status does not allow it, and what made it so."""
    query = select(HistoryEntry).where(HistoryEntry.request_id == row.id).order_by(HistoryEntry.id.desc())
    entry = session.scalar(query.limit(1))
    by = None if entry is None else HistoryEvent(entry.actor, entry.event, entry.detail, entry.at)
    if row.status == Status.WAITING.value:
        return result_of(row, "same")
    return result_of(row, f"is_{row.status}", by=by)


# act -> (its event in the history, its action in the log)
_NAMES: dict[type, tuple[str, str]] = {
    Postpone: ("postponed", "request_postponed"),
    Reassign: ("reassigned", "request_reassigned"),
    Prioritise: ("prioritised", "request_prioritised"),
    MarkDone: ("marked_done", "request_done"),
    Cancel: ("cancelled", "request_cancelled"),
    CallNow: ("call_now", "request_called"),
}


def apply(
    session: Session, actor: str, row: CallRequest, module: Module | None, action: Action, now: datetime
) -> ActionResult:
    """Do it, with a line of history and an entry of the log. The row is loaded for writing."""
    event = event_of(action)
    assert event is not None, "a note is written by itself"
    if isinstance(action, Reassign):
        if not is_target(session, module, action.queue, action.target):
            return result_of(row, "unknown_target")
        twin = _find_duplicate(session, row, action)
        if twin is not None:
            return result_of(row, "twin", twin=twin)
    decision = lifecycle.transition(store.to_domain(row, module), event, now)
    field, old, new = _values(row, action)
    if not decision.changed:
        settles = isinstance(action, Postpone | Reassign | Prioritise) and old == new and row.status in ACTIVE
        return result_of(row, "same") if settles else refusal(session, row)
    happened, logged = _NAMES[type(action)]
    try:
        with session.begin_nested():
            if isinstance(action, MarkDone | Cancel):
                row.done_by = actor
                row.note = getattr(action, "note", "").strip() or row.note
            detail = f"{old}{ARROW}{new}" if str(old) and field != "note" else str(new)
            store.apply_decision(session, row, decision, now, event=happened, detail=detail, actor=actor)
    except IntegrityError:  # the same wish was registered, or given to the same person, in this instant
        session.refresh(row)
        twin = _find_duplicate(session, row, action) if isinstance(action, Reassign) else None
        return result_of(row, "twin", twin=twin)
    audit.record(session, actor, logged, subject(row), {field: [old, new]} if old != new else {}, now)
    return result_of(row, "done")


def subject(row: CallRequest) -> str:
    """Name a request as people know it."""
    return f"#{row.id} {numbers.national(row.number)}"


def _values(row: CallRequest, action: Action) -> tuple[str, Any, Any]:
    """Return the field that an act changes, its old value and the new one, as history and log tell them."""
    match action:
        case Postpone(until):
            old = row.postponed_until
            return "postponed_until", old.isoformat() if old is not None else "", until.isoformat()
        case Reassign(queue, target):
            return "target", target_name(row.queue, row.target), target_name(queue, target)
        case Prioritise(priority):
            return "priority", row.priority, priority
        case MarkDone(note):
            return "note", row.note, note.strip() or row.note
        case CallNow(agent):
            return "agent", "", agent or ""
    return "", "", ""


def _find_duplicate(session: Session, row: CallRequest, to: Reassign) -> int | None:
    """Return the active request of the same caller that is there already."""
    query = select(CallRequest.id).where(
        CallRequest.module_id == row.module_id if row.module_id is not None else CallRequest.module_id.is_(None),
        CallRequest.queue.is_(to.queue),
        CallRequest.target == to.target,
        CallRequest.number == row.number,
        store.has_status(),
        CallRequest.id != row.id,
    )
    return session.scalar(query.limit(1))


# What the telephone service does


def execute(database: Database, kind: str, payload: dict[str, Any], actor: str, now: datetime) -> "CommandOutcome":
    """Do what a command asks, as the telephone service. Raises NotFound, and KeyError for a command without sense."""
    action: Action
    match kind:
        case commands.CALL_NOW:
            action = CallNow(payload.get("agent"))
        case commands.MARK_DONE:
            action = MarkDone(payload.get("note", ""))
        case commands.CANCEL:
            action = Cancel()
        case _:
            raise KeyError(kind)
    with database.write() as session:
        loaded = store.load(session, payload["request"], lock=True)
        if loaded is None:
            raise NotFound(f"request {payload['request']}")
        row, module = loaded
        version = payload.get("version")
        if version is not None and last_change_since(session, row.id, version) is not None:
            return CommandOutcome(False, "changed")
        attempt = row.attempt if row.status == Status.DIALLING.value else None
        result = apply(session, actor, row, module, action, now)
    ends = result.code == "done" and not isinstance(action, CallNow)
    return CommandOutcome(result.code == "done", _answer(result), hang_up=attempt if ends else None)


def _answer(result: ActionResult) -> str:
    return f"is_{result.status.value}" if result.code == "same" and result.status is not None else result.code


@dataclass(frozen=True)
class CommandOutcome:
    """What came of a command: its answer, and the attempt whose call must be ended."""

    ok: bool
    answer: str
    hang_up: str | None = None


def wait_for_results(
    database: Database,
    results: Sequence[ActionResult],
    *,
    seconds: float = ANSWER_WITHIN,
    pause: Callable[[float], None] = time.sleep,
) -> list[ActionResult]:
    """Wait for what the telephone service was asked, all of it together `seconds` at the most; return what came of it.

    A command that nobody answered may still be done until it expires, half a minute after it was asked.
    """
    deadline = time.monotonic() + seconds
    return [
        result if result.command is None else _settle(database, result, deadline - time.monotonic(), pause)
        for result in results
    ]


def _settle(database: Database, result: ActionResult, seconds: float, pause: Callable[[float], None]) -> ActionResult:
    assert result.command is not None
    answered = commands.wait_for_answer(database, result.command, seconds=seconds, pause=pause)
    if answered is None:
        return replace(result, code="no_answer")
    with database.read() as session:
        row = session.get(CallRequest, result.id)
        if row is None:
            return replace(result, code="not_found", status=None, version=None)
        if answered.result == "changed" and result.version is not None:
            return result_of(
                row, "changed", by=last_change_since(session, row.id, result.version), command=result.command
            )
        settled = result_of(row, answered.result, command=result.command)
        if answered.result.startswith("is_"):
            return replace(settled, by=refusal(session, row).by)
        return settled
