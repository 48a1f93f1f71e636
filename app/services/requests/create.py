"""Create requests that users type into the panel."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.lifecycle import Status
from app.domain.missed_calls import Outcome
from app.domain.number_policy import Rule, Source, judge
from app.domain.routing import CameBy
from app.domain.text import displayable
from app.services import audit, commands
from app.services.errors import ErrorCode, Invalid, check_line
from app.services.requests.access import Scope, visibility_of
from app.services.requests.actions import HIGH, validate_note, validate_time
from app.services.requests.chosen_times import find_free_for_user
from app.services.requests.perform import audit_subject
from app.services.requests.registration import is_for_themselves, note_chosen_time, note_standing
from app.services.requests.results import ActionResult, ResultCode, result_for
from app.services.requests.targets import format_target
from app.store import missed_calls
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import CallRequest, Module
from app.store.number_lists import load_lists
from app.store.number_policy import load_policy

MAX_NAME_LENGTH = 80

_NUMBER_ERRORS = {
    Rule.EMPTY: ErrorCode.REQUIRED,
    Rule.INVALID: ErrorCode.NUMBER,
    Rule.SHORT: ErrorCode.SHORT_NUMBER,
    Rule.EMERGENCY: ErrorCode.EMERGENCY,
    Rule.PREFIX_REFUSED: ErrorCode.PREFIX_REFUSED,
    Rule.COSTLY: ErrorCode.COSTLY,
    Rule.FOREIGN: ErrorCode.FOREIGN,
    Rule.KIND: ErrorCode.KIND,
}


@dataclass(frozen=True)
class NewRequest:
    """A request as the user typed it. `target` is an extension of the module, or "" for any; "" for a queue.

    `missed_at`: the request is made from missed calls, the first of which ended then. `call_at`: when the customer is
    to be called, None: as soon as possible.
    """

    number: str
    module_id: int
    target: str = ""
    name: str = ""
    note: str = ""
    missed_at: datetime | None = None
    call_at: datetime | None = None


@dataclass(frozen=True)
class TargetChoice:
    """A target for which the user may create a request. The target of a `NewRequest` is "" where `queue` is true."""

    module_id: int
    module_name: str
    queue: bool
    target: str


def load_target_choices(database: Database, scope: Scope) -> list[TargetChoice]:
    """Return the targets for which this user may create requests, in the order of the modules."""
    with database.read() as session:
        visibility = visibility_of(session, scope)
        modules = store.all_modules(session)
    return [
        TargetChoice(module.id, displayable(module.name), queue, target)
        for module in modules
        for queue, target in _targets_of(module)
        if visibility.covers_target(module.id, queue, target)
    ]


def _targets_of(module: Module) -> list[tuple[bool, str]]:
    """Return (queue, target) of each target that a request of this module can have."""
    if module.target_kind == "queue":
        return [(True, module.targets[0])]
    any_extension = [""] if len(module.targets) > 1 else []
    return [(False, target) for target in (*any_extension, *module.targets)]


def create_request(
    database: Database, settings: Settings, scope: Scope, given: NewRequest, now: datetime
) -> ActionResult:
    """Create a request. If the same request is active, return it with code DUPLICATE. Raises Invalid."""
    errors = validate_note(given.note) | check_line("name", given.name, MAX_NAME_LENGTH)
    if given.call_at is not None:
        errors |= validate_time("call_at", given.call_at, now)
    try:
        with database.write() as session:
            return _create(session, settings, scope, given, errors, now)
    except IntegrityError as error:  # somebody created the same request in the same instant
        existing = _find_duplicate(database, settings, given)
        if existing is None:
            raise error
        status = Status(existing.status)
        return ActionResult(existing.id, ResultCode.DUPLICATE, status, existing.version, duplicate=existing.id)


def _create(
    session: Session,
    settings: Settings,
    scope: Scope,
    given: NewRequest,
    errors: dict[str, ErrorCode],
    now: datetime,
) -> ActionResult:
    stored = store_settings.read_all(session)
    plan = store_settings.number_plan(session, settings, stored)
    policy = load_policy(session, plan.region, stored)
    verdict = judge(given.number, plan, policy, Source.PANEL, from_inside=True)
    number = verdict.number if verdict.allows else ""
    if not verdict.allows:
        errors["number"] = _NUMBER_ERRORS[verdict.rule]
    module = session.get(Module, given.module_id)
    if module is None:
        raise Invalid(errors | {"module_id": ErrorCode.CHOICE})
    queue, target = _target(module, given)
    if not queue and target and target not in module.targets:
        errors["target"] = ErrorCode.CHOICE
    elif not visibility_of(session, scope).covers_target(module.id, queue, target):
        errors["target"] = ErrorCode.NOT_YOURS
    elif number and is_for_themselves(session, module.id, target, number):
        errors["number"] = ErrorCode.SELF
    elif number and load_lists(session).is_blocked(number):
        errors["number"] = ErrorCode.BLOCKED
    free_at = None
    if given.call_at is not None and "call_at" not in errors:
        free_at = find_free_for_user(session, module, given.call_at, now)
        if free_at != given.call_at:
            errors["call_at"] = ErrorCode.NOT_FREE
    if errors:
        raise Invalid(errors, free_at=free_at)
    existing = store.find_active(session, module.id, queue, target, number)
    if existing is not None:
        store.trust_number(existing, Source.PANEL)
        missed_calls.mark_requested(session, [number], existing.id, Outcome.REQUESTED, now, by=scope.name)
        return result_for(existing, ResultCode.DUPLICATE, duplicate=existing.id)
    name, note = given.name.strip(), given.note.strip()
    standing = load_lists(session).find_standing([number])  # the user has chosen the target
    row = store.add(
        session,
        module,
        queue,
        target,
        number,
        now,
        number_source=Source.PANEL.value,
        caller_name=name,
        created_by=scope.name,
        note=note,
        first_called_at=given.missed_at or now,
        came_by=(CameBy.UNKNOWN if given.missed_at is None else CameBy.MISSED_CALL).value,
        postponed_until=given.call_at,
        time_chosen=given.call_at is not None,
        priority=0 if standing is None else HIGH,
    )
    note_standing(session, row, standing, now)
    note_chosen_time(session, row, now, actor=scope.name)
    missed_calls.mark_requested(session, [number], row.id, Outcome.REQUESTED, now, by=scope.name)
    changed = {"target": ["", format_target(queue, target)], "module": ["", module.name]}
    audit.record(session, scope.name, "request_added", audit_subject(session, row), changed, now)
    commands.notify_worker(session)
    return result_for(row, ResultCode.DONE)


def _target(module: Module, given: NewRequest) -> tuple[bool, str]:
    """Return whether the request is for a queue, and its target."""
    queue = module.target_kind == "queue"
    return queue, module.targets[0] if queue else given.target


def _find_duplicate(database: Database, settings: Settings, given: NewRequest) -> CallRequest | None:
    with database.read() as session:
        module = session.get_one(Module, given.module_id)
        number = numbers.normalize(given.number, store_settings.number_plan(session, settings))
        return store.find_active(session, module.id, *_target(module, given), number)
