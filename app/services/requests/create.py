"""Create requests that users type into the panel."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.lifecycle import Status
from app.domain.numbers import NumberRefused, Refusal
from app.domain.text import displayable, is_displayable
from app.services import audit, commands
from app.services.errors import ErrorCode, Invalid
from app.services.requests.access import Scope, visibility_of
from app.services.requests.actions import validate_note
from app.services.requests.perform import audit_subject
from app.services.requests.results import ActionResult, ResultCode, result_for
from app.services.requests.targets import format_target
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import CallRequest, Module

MAX_NAME_LENGTH = 80

_NUMBER_ERRORS = {
    Refusal.EMPTY: ErrorCode.REQUIRED,
    Refusal.INVALID: ErrorCode.NUMBER,
    Refusal.FOREIGN: ErrorCode.FOREIGN,
    Refusal.KIND: ErrorCode.KIND,
    Refusal.EMERGENCY: ErrorCode.EMERGENCY,
}


@dataclass(frozen=True)
class NewRequest:
    """A request as the user typed it. `target` is an extension of the module, or "" for any; "" for a queue."""

    number: str
    module_id: int
    target: str = ""
    name: str = ""
    note: str = ""


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
    errors = validate_note(given.note)
    if len(given.name) > MAX_NAME_LENGTH:
        errors["name"] = ErrorCode.TOO_LONG
    elif not is_displayable(given.name):
        errors["name"] = ErrorCode.CHARACTERS
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
    number = ""
    try:
        rules = store_settings.number_rules(session, settings)
        number = numbers.normalize(given.number, rules, from_inside=True)
    except NumberRefused as refused:
        errors["number"] = _NUMBER_ERRORS[refused.refusal]
    module = session.get(Module, given.module_id)
    if module is None:
        raise Invalid(errors | {"module_id": ErrorCode.CHOICE})
    queue, target = _target(module, given)
    if not queue and target and target not in module.targets:
        errors["target"] = ErrorCode.CHOICE
    elif not visibility_of(session, scope).covers_target(module.id, queue, target):
        errors["target"] = ErrorCode.NOT_YOURS
    if errors:
        raise Invalid(errors)
    existing = store.find_active(session, module.id, queue, target, number)
    if existing is not None:
        return result_for(existing, ResultCode.DUPLICATE, duplicate=existing.id)
    name, note = given.name.strip(), given.note.strip()
    row = store.add(session, module, queue, target, number, now, caller_name=name, created_by=scope.name, note=note)
    changed = {"target": ["", format_target(queue, target)], "module": ["", module.name]}
    audit.record(session, scope.name, "request_added", audit_subject(row), changed, now)
    commands.notify_worker(session)
    return result_for(row, ResultCode.DONE)


def _target(module: Module, given: NewRequest) -> tuple[bool, str]:
    """Return whether the request is for a queue, and its target."""
    queue = module.target_kind == "queue"
    return queue, module.targets[0] if queue else given.target


def _find_duplicate(database: Database, settings: Settings, given: NewRequest) -> CallRequest | None:
    with database.read() as session:
        module = session.get_one(Module, given.module_id)
        number = numbers.normalize(given.number, store_settings.number_rules(session, settings), from_inside=True)
        return store.find_active(session, module.id, *_target(module, given), number)
