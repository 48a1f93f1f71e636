"""Register the request that a caller leaves by phone."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain import lifecycle, numbers
from app.domain.lifecycle import Cancelled, Status
from app.domain.limits import LimitReason, Standing, find_reason
from app.domain.missed_calls import Outcome
from app.domain.number_policy import Source
from app.domain.routing import CameBy
from app.domain.text import masked
from app.services.errors import NotFound
from app.services.requests.actions import HIGH
from app.services.requests.history import EventKind, add_event
from app.services.requests.prospects import count_ahead_of
from app.services.requests.targets import is_target
from app.store import missed_calls
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry, Module, QueueMemberRow
from app.store.number_lists import load_lists
from app.store.settings import read_all, registration_limits
from app.store.turns import Urgency

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registration:
    """A request from the dialogue with the caller.

    `number` is canonical and came from `source`. `extension` is the one that the caller dialled, "" for none.
    `uniqueid` is that of the dialogue: one call can register once in each module that it enters. `caller` is the
    caller's number, normalized, "" if it is unknown. `call_at` is the time that they chose, None: as soon as possible.
    """

    module_id: int
    number: str
    source: Source = Source.CALLER_ID
    caller_number: str = ""
    caller_name: str = ""
    extension: str = ""
    uniqueid: str | None = None
    first_called_at: datetime | None = None
    created_by: str = ""
    caller: str = ""
    came_by: CameBy = CameBy.UNKNOWN
    call_at: datetime | None = None
    website: str = ""  # the name of the form, if a visitor of a website left it


class RegistrationRefused(Exception):
    """A limit or the block list does not allow the request."""

    def __init__(self, reason: LimitReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def register(database: Database, registration: Registration, now: datetime) -> int:
    """Store a request and return its id.

    If this dialogue has registered a request before, or the same request is active, return the id of that one. Raises
    NotFound if the module does not exist, and RegistrationRefused.
    """
    for _ in range(2):
        try:
            with database.write(Urgency.REGISTRATION) as session:
                return register_in(session, registration, now)
        except IntegrityError:
            # Another call registered the same request in the same instant: the second attempt finds its row.
            number = masked(registration.number)
            log.info("duplicate registration: module %s number %s", registration.module_id, number)
    raise RuntimeError("a duplicate prevents the registration, but cannot be found")


def register_in(session: Session, registration: Registration, now: datetime) -> int:
    """Do what `register` does, in a transaction. Raises IntegrityError, too, if the request is registered meanwhile."""
    existing = _find_by_dialogue(session, registration)
    if existing is not None:
        return existing.id
    module = session.get(Module, registration.module_id)
    if module is None:
        raise NotFound(f"module {registration.module_id}")
    lists = load_lists(session)
    standing = lists.find_standing(numbers_of(registration))
    queue, target = _target_for(session, module, registration, standing)
    duplicate = store.find_active(session, module.id, queue, target, registration.number)
    if duplicate is not None:
        if any(map(lists.is_blocked, numbers_of(registration))):
            raise RegistrationRefused(LimitReason.BLOCKED)
        store.trust_number(duplicate, registration.source)
        _register_again(session, duplicate, module, registration.call_at, now)
        _mark_missed_calls(session, registration, duplicate.id, now)
        return duplicate.id
    reason = _find_reason(session, registration, now)
    if reason is not None:
        raise RegistrationRefused(reason)
    priority, first_called_at = 0 if standing is None else HIGH, min(registration.first_called_at or now, now)
    row = store.add(
        session,
        module,
        queue,
        target,
        registration.number,
        now,
        ahead=count_ahead_of(session, module, queue, target, priority, first_called_at, now),
        number_source=registration.source.value,
        caller_number=registration.caller_number[:40],
        caller_name=registration.caller_name[:80],
        call_uniqueid=registration.uniqueid,
        first_called_at=first_called_at,
        created_by=registration.created_by,
        came_by=registration.came_by.value,
        website=registration.website,
        postponed_until=registration.call_at,
        time_chosen=registration.call_at is not None,
        priority=priority,
    )
    note_standing(session, row, standing, now)
    note_chosen_time(session, row, now)
    _mark_missed_calls(session, registration, row.id, now)
    return row.id


def _mark_missed_calls(session: Session, registration: Registration, request_id: int, now: datetime) -> None:
    """Note in the caller's missed calls that there is a request now."""
    is_made = registration.came_by is CameBy.MISSED_CALL
    outcome = Outcome.REQUESTED if is_made else Outcome.LEFT
    missed_calls.mark_requested(session, numbers_of(registration), request_id, outcome, now)


def find_refusal(session: Session, registration: Registration, now: datetime) -> LimitReason | None:
    """Return why `register` would refuse this request now, None if it would not."""
    module = session.get(Module, registration.module_id)
    if module is None or _find_by_dialogue(session, registration) is not None:
        return None
    lists = load_lists(session)
    target = _target_for(session, module, registration, lists.find_standing(numbers_of(registration)))
    if _is_active(session, module.id, *target, registration.number):
        return LimitReason.BLOCKED if any(map(lists.is_blocked, numbers_of(registration))) else None
    return _find_reason(session, registration, now)


def withdraw(database: Database, registration: Registration, now: datetime) -> str | None:
    """Cancel the request that `find_open` finds. Return its attempt in flight, whose calls must be hung up, if any."""
    with database.write(Urgency.REGISTRATION) as session:
        row = find_open(session, registration, lock=True)
        if row is None:
            return None
        attempt = row.attempt if row.status == Status.DIALLING.value else None
        decision = lifecycle.transition(store.to_domain(row, session.get(Module, row.module_id)), Cancelled(), now)
        store.apply_decision(session, row, decision, now, event=EventKind.CANCELLED)
        return attempt


def find_open(session: Session, registration: Registration, *, lock: bool = False) -> CallRequest | None:
    """Return the request that `register` would find again, None if there is none or they talk. `lock` locks it."""
    module = session.get(Module, registration.module_id)
    if module is None:
        return None
    standing = load_lists(session).find_standing(numbers_of(registration))
    target = _target_for(session, module, registration, standing)
    row = store.find_active(session, module.id, *target, registration.number, lock=lock)
    return row if row is not None and row.status != Status.CONNECTED.value else None


def _is_active(session: Session, module_id: int, queue: bool, target: str, number: str) -> bool:
    return store.find_active(session, module_id, queue, target, number, lock=False) is not None


def numbers_of(registration: Registration) -> list[str]:
    """Return the number to call back and that of the caller, as far as they are known."""
    return [number for number in (registration.number, registration.caller) if number]


def _find_reason(session: Session, registration: Registration, now: datetime) -> LimitReason | None:
    limits = registration_limits(read_all(session))
    counts = store.count_for_limits(
        session, registration.module_id, registration.number, registration.caller_number[:40], now
    )
    return find_reason(numbers_of(registration), load_lists(session), limits, counts)


def _find_by_dialogue(session: Session, registration: Registration) -> CallRequest | None:
    if not registration.uniqueid:
        return None
    return session.scalar(
        select(CallRequest).where(
            CallRequest.call_uniqueid == registration.uniqueid, CallRequest.module_id == registration.module_id
        )
    )


def is_for_themselves(session: Session, module_id: int, extension: str, number: str) -> bool:
    """Tell whether nobody but the customer themselves would be rung for this request.

    `extension` is the wanted one, "" for none. `number` is canonical.
    """
    module = session.get(Module, module_id)
    if module is None or not numbers.is_internal(number):
        return False
    queue, target = target_of(module, extension)
    if queue:
        members = set(session.scalars(select(QueueMemberRow.extension).where(QueueMemberRow.queue == target)))
    else:
        members = {target} if target else set(module.targets)
    return members == {number}


def target_of(module: Module, extension: str) -> tuple[bool, str]:
    """Return whether a request is for a queue, and its target. `extension` is the one that the caller dialled."""
    if module.target_kind == "queue":
        return True, module.targets[0]
    return False, extension if extension in module.targets else ""


def note_chosen_time(session: Session, row: CallRequest, now: datetime, *, actor: str = "") -> None:
    """Add the time that was chosen for a call to the history. The row must be flushed."""
    if row.time_chosen and row.postponed_until is not None:
        add_event(session, row, EventKind.TIME_CHOSEN, row.postponed_until.isoformat(), now, actor=actor)


def _target_for(
    session: Session, module: Module, registration: Registration, standing: Standing | None
) -> tuple[bool, str]:
    """Return whether a request is for a queue, and its target: the fixed agent of the number, if there is a choice.

    Nobody is called back to themselves, and an agent whom neither the PBX nor a module knows would never be rung.
    """
    agent = standing.agent if standing is not None else ""
    has_choice = module.target_kind == "queue" or len(module.targets) > 1
    if agent and has_choice and agent != registration.number and is_target(session, module, False, agent):
        return False, agent
    return target_of(module, registration.extension)


def note_standing(session: Session, row: CallRequest, standing: Standing | None, now: datetime) -> None:
    """Add the standing priority of a number to the history of its request, with the fixed agent if it has this target.

    The row must be flushed.
    """
    if standing is not None:
        is_fixed = not row.queue and row.target == standing.agent
        add_event(session, row, EventKind.STANDING, standing.agent if is_fixed else "", now)


def _register_again(
    session: Session, row: CallRequest, module: Module, call_at: datetime | None, now: datetime
) -> None:
    """Record in the history that the caller registered again, even if this changes nothing else.

    Registrations with nothing between them are one entry, whose detail counts them.
    """
    decision = lifecycle.transition(store.to_domain(row, module), lifecycle.Registered(call_at), now)
    before = _last_entry(session, row.id)
    store.apply_decision(session, row, replace(decision, changed=True), now, event=EventKind.REGISTERED_AGAIN)
    session.flush()
    if before is not None and before.event == EventKind.REGISTERED_AGAIN:
        entry = _last_entry(session, row.id)
        assert entry is not None
        entry.detail = str(int(before.detail or 1) + 1)
        session.delete(before)
    if call_at is not None:
        note_chosen_time(session, row, now)


def _last_entry(session: Session, request_id: int) -> HistoryEntry | None:
    query = select(HistoryEntry).where(HistoryEntry.request_id == request_id).order_by(HistoryEntry.id.desc())
    return session.scalar(query.limit(1))
