"""Load, validate, save and delete the scenarios of extensions and queues."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.routing import (
    EXTENSION_PATTERN,
    NO_DESTINATION,
    QUEUE_PATTERN,
    Destination,
    DestinationKind,
    Situation,
)
from app.services import audit, commands
from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.pbx import destinations, queue_names
from app.services.pbx.destinations import DestinationsByField, SaveResult, check_destination
from app.store.database import Database
from app.store.models import ExtensionScenario, QueueScenario

RING_BOUNDS = (5, 300)  # seconds
MAX_WAIT_BOUNDS = (5, 7200)
WRAPUP_BOUNDS = (0, 3600)


@dataclass(frozen=True)
class ExtensionInput:
    """`ring` in seconds. A situation without a destination ends the call."""

    table: ClassVar[type[ExtensionScenario]] = ExtensionScenario
    audit_action: ClassVar[str] = "extension_saved"

    extension: str
    ring: int = 25
    destinations: Mapping[Situation, Destination] = field(default_factory=dict)

    @property
    def code(self) -> str:
        return self.extension

    def destination(self, situation: Situation) -> Destination:
        return self.destinations.get(situation, NO_DESTINATION)

    def by_field(self) -> DestinationsByField:
        return {situation: [self.destination(situation)] for situation in Situation}

    def audit_fields(self) -> dict[str, Any]:
        return {"ring": self.ring} | {s.value: _audit_value(self.destination(s)) for s in Situation}

    @classmethod
    def from_row(cls, row: ExtensionScenario) -> "ExtensionInput":
        return cls(row.extension, row.ring, {situation: getattr(row, situation) for situation in Situation})

    def write_to(self, row: ExtensionScenario) -> None:
        row.ring = self.ring
        for situation in Situation:
            setattr(row, situation, self.destination(situation))


@dataclass(frozen=True)
class QueueInput:
    """`max_wait` and `wrapup` in seconds. Without a `failed` destination the call ends."""

    table: ClassVar[type[QueueScenario]] = QueueScenario
    audit_action: ClassVar[str] = "queue_saved"

    queue: str
    max_wait: int = 60
    wrapup: int = 0
    failed: Destination = NO_DESTINATION

    @property
    def code(self) -> str:
        return self.queue

    def by_field(self) -> DestinationsByField:
        return {"failed": [self.failed]}

    def audit_fields(self) -> dict[str, Any]:
        return {"max_wait": self.max_wait, "wrapup": self.wrapup, "failed": _audit_value(self.failed)}

    @classmethod
    def from_row(cls, row: QueueScenario) -> "QueueInput":
        return cls(row.queue, row.max_wait, row.wrapup, row.failed)

    def write_to(self, row: QueueScenario) -> None:
        row.max_wait, row.wrapup, row.failed = self.max_wait, self.wrapup, self.failed


ScenarioInput = ExtensionInput | QueueInput


def _audit_value(destination: Destination) -> str:
    return f"{destination.kind} {destination.code}".strip()


# -- load -------------------------------------------------------------------------------------------------------------


def load_extension(session: Session, extension: str) -> ExtensionInput | None:
    """Return the scenario of an extension, None if it has none."""
    row = session.get(ExtensionScenario, extension)
    return ExtensionInput.from_row(row) if row is not None else None


def load_queue(session: Session, queue: str) -> QueueInput | None:
    """Return the scenario of a queue, None if it has none."""
    row = session.get(QueueScenario, queue)
    return QueueInput.from_row(row) if row is not None else None


def _load(session: Session, given: ScenarioInput) -> ScenarioInput | None:
    return load_queue(session, given.queue) if isinstance(given, QueueInput) else load_extension(session, given.code)


# -- validate ---------------------------------------------------------------------------------------------------------


def check_without_pbx(database: Database, given: ScenarioInput, *, confirmed: Collection[str] = ()) -> SaveResult:
    """Validate a scenario without asking the PBX or saving. The result repeats the confirmed warnings."""
    with database.read() as session:
        errors = check_scenario(session, given)
        warnings = destinations.repeat_confirmed(_new_destinations(session, given), confirmed)
    return SaveResult(errors, warnings)


def check_scenario(session: Session, given: ScenarioInput) -> dict[str, ErrorCode]:
    """Return error codes by field; empty if the scenario is valid."""
    return _check_queue(session, given) if isinstance(given, QueueInput) else _check_extension(session, given)


def _check_extension(session: Session, given: ExtensionInput) -> dict[str, ErrorCode]:
    errors = {} if EXTENSION_PATTERN.fullmatch(given.extension) else {"extension": ErrorCode.CODE}
    errors |= _check_bounds("ring", given.ring, RING_BOUNDS)
    own = Destination(DestinationKind.EXTENSION, given.extension)
    for situation in Situation:
        errors |= _check_destination(session, situation, given.destination(situation), own)
    return errors


def _check_queue(session: Session, given: QueueInput) -> dict[str, ErrorCode]:
    errors = {}
    if not QUEUE_PATTERN.fullmatch(given.queue):
        errors["queue"] = ErrorCode.QUEUE_NAME
    elif queue_names.is_taken_for_another(session, given.queue):
        errors["queue"] = ErrorCode.SAME_EXTENSION
    errors |= _check_bounds("max_wait", given.max_wait, MAX_WAIT_BOUNDS)
    errors |= _check_bounds("wrapup", given.wrapup, WRAPUP_BOUNDS)
    own = Destination(DestinationKind.QUEUE, given.queue)
    return errors | _check_destination(session, "failed", given.failed, own)


def _check_bounds(name: str, value: int, bounds: tuple[int, int]) -> dict[str, ErrorCode]:
    return {} if bounds[0] <= value <= bounds[1] else {name: ErrorCode.RANGE}


def _check_destination(session: Session, name: str, destination: Destination, own: Destination) -> dict[str, ErrorCode]:
    error = check_destination(session, destination, optional=True) or (ErrorCode.CYCLE if destination == own else None)
    return {} if error is None else {f"{name}_code": error}


def _new_destinations(session: Session, given: ScenarioInput) -> DestinationsByField:
    stored = _load(session, given)
    before = [destination for group in stored.by_field().values() for destination in group] if stored else []
    return destinations.without_stored(given.by_field(), before)


# -- save -------------------------------------------------------------------------------------------------------------


def check_and_save_scenario(
    database: Database, given: ScenarioInput, *, confirmed: Collection[str], now: datetime, actor: str
) -> SaveResult:
    """Validate a scenario, ask the PBX about its new destinations, and save it.

    Nothing is saved if there are errors, or warnings without their key in `confirmed`. Waits for the PBX.
    """
    checked = check_without_pbx(database, given, confirmed=confirmed)
    if checked.errors:
        return checked
    with database.read() as session:
        named = _new_destinations(session, given)
    found = destinations.find_warnings(database, named, confirmed, actor=actor, now=now)
    return destinations.save_if_confirmed(found, lambda: save_scenario(database, given, now=now, actor=actor))


def save_scenario(database: Database, given: ScenarioInput, *, now: datetime, actor: str = "") -> None:
    """Validate and store a scenario without asking the PBX. Raises Invalid. The worker writes the dialplan."""
    with database.write() as session:
        errors = store_scenario(session, given, now=now, actor=actor)
        if errors:
            raise Invalid(errors)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def store_scenario(session: Session, given: ScenarioInput, *, now: datetime, actor: str) -> dict[str, ErrorCode]:
    """Write a scenario and its audit entry to the session; return error codes by field if it is not valid."""
    errors = check_scenario(session, given)
    if not errors:
        before = _load(session, given)
        given.write_to(_lock_or_add(session, given))
        _record(session, given, before.audit_fields() if before else {}, given.audit_fields(), now, actor)
    return errors


def _lock_or_add(session: Session, given: ScenarioInput) -> Any:
    """Return the row, locked until the transaction ends; add one if there is none.

    Two people can save the first scenario of an extension at the same time.
    """
    table, key = given.table, given.code
    row = session.get(table, key, with_for_update=True, populate_existing=True)
    if row is not None:
        return row
    new: Any = ExtensionScenario(extension=key) if table is ExtensionScenario else QueueScenario(queue=key)
    try:
        with session.begin_nested():
            session.add(new)
    except IntegrityError:
        return session.get_one(table, key, with_for_update=True, populate_existing=True)
    return new


def delete_scenario(
    database: Database, kind: type[ExtensionInput] | type[QueueInput], code: str, *, now: datetime, actor: str = ""
) -> None:
    """Delete the scenario of an extension or a queue. Raises NotFound."""
    with database.write() as session:
        row: Any = session.get(kind.table, code)
        if row is None:
            raise NotFound(f"scenario {code}")
        given = kind.from_row(row)
        session.delete(row)
        _record(session, given, given.audit_fields(), {}, now, actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def _record(
    session: Session, given: ScenarioInput, before: dict[str, Any], after: dict[str, Any], now: datetime, actor: str
) -> None:
    changed = audit.changes(before, after)
    if changed:
        audit.record(session, actor, given.audit_action, given.code, changed, now)
