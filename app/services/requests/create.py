"""Requests that somebody types into the panel, for a customer who called otherwise."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.lifecycle import Status
from app.domain.numbers import NumberRefused, Refusal
from app.domain.text import is_displayable
from app.services import audit, commands
from app.services.errors import Invalid
from app.services.requests.access import Scope, visibility_of
from app.services.requests.actions import ActionResult, validate_note
from app.services.requests.perform import result_of, subject
from app.services.requests.targets import target_name
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import CallRequest, Module

LONGEST_NAME = 80


@dataclass(frozen=True)
class NewRequest:
    """A request as somebody types it. `target`: an extension of the module, or "" for any; of a queue, ""."""

    number: str
    module_id: int
    target: str = ""
    name: str = ""
    note: str = ""


def create(database: Database, settings: Settings, scope: Scope, given: NewRequest, now: datetime) -> ActionResult:
    """Register a request by hand. Code `twin` where the same wish waits already: then nothing is added.

    Raises Invalid.
    """
    errors = validate_note(given.note)
    if len(given.name) > LONGEST_NAME:
        errors["name"] = "too_long"
    elif not is_displayable(given.name):
        errors["name"] = "characters"
    try:
        with database.write() as session:
            return _add(session, settings, scope, given, errors, now)
    except IntegrityError as error:  # somebody else added the same in this instant: there it is
        twin = _find_twin(database, settings, given)
        if twin is None:
            raise error
        return ActionResult(twin.id, "twin", Status(twin.status), twin.version, twin=twin.id)


_NUMBER_ERRORS = {Refusal.EMPTY: "required", Refusal.INVALID: "number"}


def _add(
    session: Session, settings: Settings, scope: Scope, given: NewRequest, errors: dict[str, str], now: datetime
) -> ActionResult:
    number = ""
    try:
        rules = store_settings.number_rules(session, settings)
        number = numbers.normalize(given.number, rules, from_inside=True)
    except NumberRefused as refused:
        errors["number"] = _NUMBER_ERRORS.get(refused.refusal, refused.refusal.value)
    module = session.get(Module, given.module_id)
    if module is None:
        raise Invalid(errors | {"module_id": "choice"})
    queue, target = _wanted(module, given)
    if not queue and target and target not in module.targets:
        errors["target"] = "choice"
    elif not visibility_of(session, scope).reaches(module.id, queue, target):
        errors["target"] = "not_yours"
    if errors:
        raise Invalid(errors)
    twin = store.find_active(session, module.id, queue, target, number)
    if twin is not None:
        return result_of(twin, "twin", twin=twin.id)
    name, note = given.name.strip(), given.note.strip()
    row = store.add(session, module, queue, target, number, now, caller_name=name, created_by=scope.name, note=note)
    changed = {"target": ["", target_name(queue, target)], "module": ["", module.name]}
    audit.record(session, scope.name, "request_added", subject(row), changed, now)
    commands.wake(session)
    return result_of(row, "done")


def _wanted(module: Module, given: NewRequest) -> tuple[bool, str]:
    queue = module.target_kind == "queue"
    return queue, module.targets[0] if queue else given.target


def _find_twin(database: Database, settings: Settings, given: NewRequest) -> CallRequest | None:
    with database.read() as session:
        module = session.get_one(Module, given.module_id)
        number = numbers.normalize(given.number, store_settings.number_rules(session, settings), from_inside=True)
        return store.find_active(session, module.id, *_wanted(module, given), number)
