"""Perform the users' actions on requests.

Each action names the version of the request that the user saw. If another user has changed the request since, nothing
is done and the result tells who changed it. Changes by the PBX since then are no reason to refuse: the lifecycle
decides what is still possible. Actions that ring or hang up a phone are sent to the telephone service as commands, and
everything else is done here, so it works while that service is down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain import lifecycle, numbers
from app.domain.lifecycle import ACTIVE, Status
from app.domain.number_policy import Source, Verdict, judge_number
from app.services import audit, commands
from app.services.errors import Invalid, NotFound
from app.services.requests.access import Scope, visibility_of
from app.services.requests.actions import (
    Action,
    Block,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Prioritise,
    Reassign,
    Reopen,
    ShownRequest,
    Undo,
    WithdrawCallNow,
    WriteNote,
    lifecycle_event,
    validate,
)
from app.services.requests.chosen_times import find_free_for_user
from app.services.requests.history import ARROW, EventKind, add_event, last_change_since, last_event
from app.services.requests.number_lists import block_number
from app.services.requests.results import ActionResult, ResultCode, refusal_for, result_for
from app.services.requests.targets import format_target, is_target
from app.store import pbx_state
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import CallRequest, Module
from app.store.number_lists import load_lists
from app.store.number_policy import load_policy

BATCH = 20  # requests in one transaction


def perform(
    database: Database, scope: Scope, action: Action, rows: Sequence[ShownRequest], now: datetime
) -> list[ActionResult]:
    """Perform one action on each of these requests; return the results in the same order. Raises Invalid.

    Many are changed in several transactions, so that no caller has to wait for the end of all of them.
    """
    errors = validate(action, now)
    if errors:
        raise Invalid(errors)
    results: dict[int, ActionResult] = {}
    once: dict[int, ShownRequest] = {}
    for shown in sorted(rows, key=lambda row: row.id):  # always in the same order, which prevents deadlocks
        once.setdefault(shown.id, shown)
    in_order = list(once.values())
    for start in range(0, len(in_order), BATCH):
        with database.write() as session:
            performer = _Performer(session, scope, now)
            found = {shown.id: performer.perform(action, shown) for shown in in_order[start : start + BATCH]}
            if any(result.code is ResultCode.DONE for result in found.values()):
                commands.notify_worker(session)
        results |= found
    return [results[shown.id] for shown in rows]


class _Performer:
    """Performs actions for one user in one transaction."""

    def __init__(self, session: Session, scope: Scope, now: datetime) -> None:
        self._session, self._scope, self._now = session, scope, now
        self._visibility = visibility_of(session, scope)

    def perform(self, action: Action, shown: ShownRequest) -> ActionResult:
        loaded = store.load(self._session, shown.id, lock=True)
        if loaded is None or not (self._visibility.covers(loaded[0]) or self._may_take_back(action, loaded[0])):
            return ActionResult(shown.id, ResultCode.NOT_FOUND)
        row, module = loaded
        if isinstance(action, CallNow) and is_called_now(row, action):
            asked = last_event(self._session, row.id, EventKind.CALL_NOW)
            return result_for(row, ResultCode.SAME, by=asked)  # also if the page does not show it yet
        change = last_change_since(self._session, row.id, shown.version)
        if change is not None:
            return result_for(row, ResultCode.CHANGED, by=change)
        if isinstance(action, Undo):
            return self._undo(row, module, shown)
        if isinstance(action, WriteNote):
            return self._write_note(row, action.note.strip())
        if isinstance(action, Block):
            if not self._scope.everything:
                return result_for(row, ResultCode.NOT_ALLOWED)
            note = action.note.strip()
            block_number(self._session, row.number, note, actor=self._scope.name, now=self._now)
            if row.status not in ACTIVE or row.status == Status.CONNECTED:
                return result_for(row, ResultCode.DONE)
            action = Cancel()
        rings = row.status == Status.DIALLING.value
        if isinstance(action, CallNow) or (rings and isinstance(action, Cancel | MarkDone)):
            return self._send_command(row, module, action)
        return _apply(self._session, self._scope.name, row, module, action, self._now)

    def _may_take_back(self, action: Action, row: CallRequest) -> bool:
        """Tell whether the user's own last change has moved the request to where they do not see it."""
        entry = store.last_undoable(self._session, row) if isinstance(action, Undo) else None
        if entry is None or entry.actor != self._scope.name:
            return False
        before = store.values_before(entry)
        queue, target = before.get("queue", row.queue), before.get("target", row.target)
        return self._visibility.covers_target(row.module_id, queue, target)

    def _undo(self, row: CallRequest, module: Module | None, shown: ShownRequest) -> ActionResult:
        """Undo the last change, if it led to the version that the user saw."""
        session, now = self._session, self._now
        entry = store.last_undoable(session, row)
        if entry is None or entry.version != shown.version:
            return result_for(row, ResultCode.TOO_LATE)
        values = store.values_before(entry)
        request = store.to_domain(row, module)
        decision = lifecycle.transition(request, lifecycle.Undone(store.with_values(request, values)), now)
        if not decision.changed:
            return result_for(row, ResultCode.TOO_LATE)
        before = decision.request
        target = (before.queue, before.target)
        refusal = _find_obstacle(session, row, target, may_be_called=request.status not in lifecycle.FINAL)
        if refusal is not None:
            return refusal
        if before.time_chosen and before.postponed_until is not None and before.postponed_until > now:
            free_at = find_free_for_user(session, module, before.postponed_until, now, but=row.id)
            if free_at != before.postponed_until:
                return result_for(row, ResultCode.NOT_FREE, free_at=free_at)
        also: dict[str, Any] = {name: values[name] for name in ("done_by", "note", "reached_at") if name in values}
        detail = _audit_undo(row, before)
        try:
            with session.begin_nested():
                store.apply_decision(
                    session,
                    row,
                    decision,
                    now,
                    event=EventKind.UNDONE,
                    detail=entry.event,
                    actor=self._scope.name,
                    also=also,
                )
        except IntegrityError:  # a duplicate was registered in the same instant
            session.refresh(row)
            return result_for(row, ResultCode.DUPLICATE, duplicate=_find_duplicate(session, row, *target))
        subject = audit_subject(session, row)
        audit.record(session, self._scope.name, "request_undone", subject, detail, now)
        return result_for(row, ResultCode.DONE)

    def _write_note(self, row: CallRequest, note: str) -> ActionResult:
        if note == row.note:
            return result_for(row, ResultCode.SAME)
        actor, old = self._scope.name, row.note
        row.note = note
        self._session.flush()
        add_event(self._session, row, EventKind.NOTED, note, self._now, actor=actor)
        audit.record(
            self._session, actor, "request_noted", audit_subject(self._session, row), {"note": [old, note]}, self._now
        )
        return result_for(row, ResultCode.DONE)

    def _send_command(
        self, row: CallRequest, module: Module | None, action: CallNow | Cancel | MarkDone
    ) -> ActionResult:
        """Send the action to the telephone service, unless it is refused already."""
        if isinstance(action, CallNow) and action.agent is not None and not self._visibility.may_ring(action.agent):
            return result_for(row, ResultCode.NOT_YOURS)
        if not lifecycle.transition(store.to_domain(row, module), lifecycle_event(action), self._now).changed:
            return refusal_for(self._session, row)
        payload: dict[str, Any] = {"request": row.id, "version": row.version}
        match action:
            case CallNow(agent):
                kind, payload["agent"] = commands.CALL_NOW, agent
            case MarkDone(note):
                kind, payload["note"] = commands.MARK_DONE, note
            case _:
                kind = commands.CANCEL
        if token := audit.api_token():
            payload["api_token"] = token
        command = commands.send_in(self._session, kind, payload, actor=self._scope.name, now=self._now)
        return result_for(row, ResultCode.SENT, command=command)


_UNDOABLE = (MarkDone, Cancel, Postpone, Reassign)

# action -> (its event in the history, its action in the audit log)
_NAMES: dict[type, tuple[EventKind, str]] = {
    Postpone: (EventKind.POSTPONED, "request_postponed"),
    Reassign: (EventKind.REASSIGNED, "request_reassigned"),
    Prioritise: (EventKind.PRIORITISED, "request_prioritised"),
    MarkDone: (EventKind.MARKED_DONE, "request_done"),
    Cancel: (EventKind.CANCELLED, "request_cancelled"),
    Reopen: (EventKind.REOPENED, "request_reopened"),
    CallNow: (EventKind.CALL_NOW, "request_called"),
    WithdrawCallNow: (EventKind.CALL_NOW_WITHDRAWN, "request_call_withdrawn"),
}


@dataclass(frozen=True)
class _Change:
    """The field that an action changes, with its old and its new value."""

    field: str
    old: Any
    new: Any

    @property
    def history_detail(self) -> str:
        return f"{self.old}{ARROW}{self.new}" if str(self.old) and self.field != "note" else str(self.new)

    @property
    def audit_detail(self) -> audit.Detail:
        return {self.field: [self.old, self.new]} if self.old != self.new else {}


def _apply(
    session: Session, actor: str, row: CallRequest, module: Module | None, action: Action, now: datetime
) -> ActionResult:
    """Apply an action to a locked row, and record it in the history and in the audit log."""
    refusal = _find_refusal(session, row, module, action)
    if refusal is not None:
        return refusal
    moved_to = None
    if isinstance(action, Postpone) and row.status in (Status.WAITING, Status.UNCERTAIN):
        free_at = find_free_for_user(session, module, action.until, now, but=row.id)
        if free_at != action.until:
            if free_at is None or not action.may_move:
                return result_for(row, ResultCode.NOT_FREE, free_at=free_at)
            action, moved_to = Postpone(free_at), free_at
    request = store.to_domain(row, module)
    decision = lifecycle.transition(request, _event_of(session, row, action), now)
    change = _change_by(action, row)
    if not decision.changed:
        return _unchanged(session, row, action, change)
    event, audit_action = _NAMES[type(action)]
    undoable = isinstance(action, _UNDOABLE) and request.status in lifecycle.UNDOABLE
    also: dict[str, Any] = {}
    if isinstance(action, MarkDone | Cancel | Reopen):
        also["done_by"] = "" if isinstance(action, Reopen) else actor
    if isinstance(action, MarkDone):
        also["note"] = action.note.strip() or row.note
    try:
        with session.begin_nested():
            store.apply_decision(
                session,
                row,
                decision,
                now,
                event=event,
                detail=change.history_detail,
                actor=actor,
                also=also,
                undoable=undoable,
            )
    except IntegrityError:  # a duplicate was registered, reassigned or reopened in the same instant
        session.refresh(row)
        return result_for(row, ResultCode.DUPLICATE, duplicate=_find_duplicate(session, row, *_new_target(row, action)))
    audit.record(session, actor, audit_action, audit_subject(session, row), change.audit_detail, now)
    return result_for(row, ResultCode.DONE, free_at=moved_to, undoable=undoable)


def _audit_undo(row: CallRequest, before: lifecycle.Request) -> dict[str, Any]:
    """Return what an undo changes, as the audit log has it."""
    old, new = (
        {
            "status": status,
            "target": format_target(queue, target),
            "postponed_until": until.isoformat() if until is not None else "",
        }
        for status, queue, target, until in (
            (row.status, row.queue, row.target, row.postponed_until),
            (before.status.value, before.queue, before.target, before.postponed_until),
        )
    )
    return {field: [old[field], new[field]] for field in old if old[field] != new[field]}


def is_called_now(row: CallRequest, action: CallNow) -> bool:
    """Tell whether somebody wants the same call already, and nothing has rung since."""
    return row.status == Status.WAITING and row.call_now and row.call_now_agent == action.agent


def _event_of(session: Session, row: CallRequest, action: Action) -> lifecycle.Event:
    if not isinstance(action, WithdrawCallNow):
        return lifecycle_event(action)
    asked = last_event(session, row.id, EventKind.CALL_NOW)
    return lifecycle.CallNowWithdrawn(asked is not None and asked.old_status is Status.UNCERTAIN)


def _find_refusal(session: Session, row: CallRequest, module: Module | None, action: Action) -> ActionResult | None:
    """Return why a request cannot get this target or be reopened, whatever its status; None if it can."""
    match action:
        case Reassign(queue, target):
            if not is_target(session, module, queue, target):
                return result_for(row, ResultCode.UNKNOWN_TARGET)
            return _find_obstacle(session, row, (queue, target), may_be_called=True)
        case Reopen() if row.status in lifecycle.REOPENABLE:
            return _find_obstacle(session, row, (row.queue, row.target), may_be_called=False)
    return None


def _find_obstacle(
    session: Session, row: CallRequest, target: tuple[bool, str], *, may_be_called: bool
) -> ActionResult | None:
    """Return why a request cannot wait for this target, None if it can. `may_be_called`: its number is in order."""
    if not may_be_called:
        if load_lists(session).is_blocked(row.number):
            return result_for(row, ResultCode.BLOCKED)
        verdict = _judge(session, row)
        if verdict is not None and not verdict.allows:
            return result_for(row, ResultCode.NUMBER_REFUSED, verdict=verdict)
    duplicate = _find_duplicate(session, row, *target)
    return None if duplicate is None else result_for(row, ResultCode.DUPLICATE, duplicate=duplicate)


def _judge(session: Session, row: CallRequest) -> Verdict | None:
    """Return whether the number may be called by the present rules, None if the worker has never run."""
    region = pbx_state.office_region(session)
    if not region:
        return None
    return judge_number(
        row.number, load_policy(session, region, store_settings.read_all(session)), Source(row.number_source)
    )


def _new_target(row: CallRequest, action: Action) -> tuple[bool, str]:
    """Return whether the request is for a queue, and its target, after an action."""
    return (action.queue, action.target) if isinstance(action, Reassign) else (row.queue, row.target)


def _unchanged(session: Session, row: CallRequest, action: Action, change: _Change) -> ActionResult:
    """Return why the lifecycle changed nothing: it was so before, or the status does not allow the action."""
    same = isinstance(action, Postpone | Reassign | Prioritise) and change.old == change.new
    return result_for(row, ResultCode.SAME) if same and row.status in ACTIVE else refusal_for(session, row)


def audit_subject(session: Session, row: CallRequest) -> str:
    """Return the name of a request in the audit log."""
    return f"#{row.id} {numbers.national(row.number, pbx_state.office_region(session))}"


def _change_by(action: Action, row: CallRequest) -> _Change:
    match action:
        case Postpone(until):
            old = row.postponed_until
            return _Change("postponed_until", old.isoformat() if old is not None else "", until.isoformat())
        case Reassign(queue, target):
            return _Change("target", format_target(row.queue, row.target), format_target(queue, target))
        case Prioritise(priority):
            return _Change("priority", row.priority, priority)
        case MarkDone(note):
            return _Change("note", row.note, note.strip() or row.note)
        case CallNow(agent):
            return _Change("agent", "", agent or "")
    return _Change("", "", "")


def _find_duplicate(session: Session, row: CallRequest, queue: bool, target: str) -> int | None:
    """Return the id of another active request of this caller for a target."""
    query = select(CallRequest.id).where(
        CallRequest.module_id == row.module_id if row.module_id is not None else CallRequest.module_id.is_(None),
        CallRequest.queue.is_(queue),
        CallRequest.target == target,
        CallRequest.number == row.number,
        store.has_status(),
        CallRequest.id != row.id,
    )
    return session.scalar(query.limit(1))


@dataclass(frozen=True)
class CommandOutcome:
    """The answer to a command, and the attempt whose call the worker must hang up."""

    ok: bool
    answer: ResultCode
    hang_up: str | None = None


def execute(database: Database, kind: str, payload: dict[str, Any], actor: str, now: datetime) -> CommandOutcome:
    """Execute a command for the worker. Raises NotFound, and KeyError if the kind or the payload is wrong."""
    action = _action_of(kind, payload)
    with audit.from_api(payload.get("api_token", "")), database.write() as session:
        loaded = store.load(session, payload["request"], lock=True)
        if loaded is None:
            raise NotFound(f"request {payload['request']}")
        row, module = loaded
        if isinstance(action, CallNow) and is_called_now(row, action):
            return CommandOutcome(True, ResultCode.SAME)
        version = payload.get("version")
        if version is not None and last_change_since(session, row.id, version) is not None:
            return CommandOutcome(False, ResultCode.CHANGED)
        attempt = row.attempt if row.status == Status.DIALLING.value else None
        result = _apply(session, actor, row, module, action, now)
    if result.code is ResultCode.DONE:
        return CommandOutcome(True, result.code, hang_up=None if isinstance(action, CallNow) else attempt)
    return CommandOutcome(False, result.code)


def _action_of(kind: str, payload: dict[str, Any]) -> Action:
    match kind:
        case commands.CALL_NOW:
            return CallNow(payload.get("agent"))
        case commands.MARK_DONE:
            return MarkDone(payload.get("note", ""))
        case commands.CANCEL:
            return Cancel()
    raise KeyError(kind)
