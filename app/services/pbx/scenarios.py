"""Where a caller goes whom an extension or a queue does not serve: the seed's "optional destinations"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services import audit, commands
from app.services.errors import Invalid, NotFound
from app.services.modules.save import EXTENSION, SITUATIONS, TARGET, check_destination
from app.store.database import Database
from app.store.models import ExtensionScenario, QueueScenario

RING = (5, 300)  # seconds
MAX_WAIT = (5, 7200)
WRAPUP = (0, 3600)
Row = TypeVar("Row", ExtensionScenario, QueueScenario)


@dataclass(frozen=True)
class ExtensionInput:
    """`ways` maps a situation to a destination (kind, code); an empty kind ends the call. `ring` in seconds."""

    extension: str
    ring: int = 25
    ways: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class QueueInput:
    """`max_wait` and `wrapup` in seconds; `failed` is a destination (kind, code), an empty kind ends the call."""

    queue: str
    max_wait: int = 60
    wrapup: int = 0
    failed: tuple[str, str] = ("", "")


def save_extension(database: Database, given: ExtensionInput, *, now: datetime, actor: str = "") -> None:
    """Store an extension's scenario. Raises Invalid. The dialplan follows by a command to the telephone service."""
    with database.write() as session:
        before = extension_fields(session, given.extension)
        errors = store_extension(session, given)
        if errors:
            raise Invalid(errors)
        note_extension(session, given.extension, before, now, actor=actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def save_queue(database: Database, given: QueueInput, *, now: datetime, actor: str = "") -> None:
    """Store a queue's failed-call destination. Raises Invalid."""
    with database.write() as session:
        before = queue_fields(session, given.queue)
        errors = store_queue(session, given)
        if errors:
            raise Invalid(errors)
        note_queue(session, given.queue, before, now, actor=actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def extension_fields(session: Session, extension: str) -> dict[str, Any]:
    """Return an extension's scenario as the log has it; empty where there is none."""
    row = session.get(ExtensionScenario, extension)
    if row is None:
        return {}
    ways = {s: _way(getattr(row, f"{s}_kind"), getattr(row, f"{s}_code")) for s in SITUATIONS}
    return {"ring": row.ring} | ways


def queue_fields(session: Session, queue: str) -> dict[str, Any]:
    """Return a queue's scenario as the log has it; empty where there is none."""
    row = session.get(QueueScenario, queue)
    if row is None:
        return {}
    return {"max_wait": row.max_wait, "wrapup": row.wrapup, "failed": _way(row.failed_kind, row.failed_code)}


def _way(kind: str, code: str) -> str:
    return f"{kind} {code}".strip()


def note_extension(session: Session, extension: str, before: dict[str, Any], now: datetime, *, actor: str) -> None:
    """Log what differs in an extension's scenario from what it was `before`."""
    changed = audit.changes(before, extension_fields(session, extension))
    if changed:
        audit.record(session, actor, "extension_saved", extension, changed, now)


def note_queue(session: Session, queue: str, before: dict[str, Any], now: datetime, *, actor: str) -> None:
    """Log what differs in a queue's scenario from what it was `before`."""
    changed = audit.changes(before, queue_fields(session, queue))
    if changed:
        audit.record(session, actor, "queue_saved", queue, changed, now)


def forget_extension(database: Database, extension: str, *, now: datetime, actor: str = "") -> None:
    """Let callers whom the extension does not take go nowhere any more. Raises NotFound."""
    with database.write() as session:
        before = extension_fields(session, extension)
        _delete(session, ExtensionScenario, extension)
        note_extension(session, extension, before, now, actor=actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def forget_queue(database: Database, queue: str, *, now: datetime, actor: str = "") -> None:
    """Let callers whom the queue does not serve go nowhere any more. Raises NotFound."""
    with database.write() as session:
        before = queue_fields(session, queue)
        _delete(session, QueueScenario, queue)
        note_queue(session, queue, before, now, actor=actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def _delete(session: Session, table: type[Any], key: str) -> None:
    row = session.get(table, key)
    if row is None:
        raise NotFound(f"{table.__tablename__} {key}")
    session.delete(row)
    session.flush()


def check_extension(database: Database, given: ExtensionInput) -> dict[str, str]:
    """Return what is wrong with an extension's scenario, by field; empty where all is well."""
    with database.read() as session:
        return _faults_of_extension(session, given)


def check_queue(database: Database, given: QueueInput) -> dict[str, str]:
    """Return what is wrong with what is set for a queue, by field; empty where all is well."""
    with database.read() as session:
        return _faults_of_queue(session, given)


def store_extension(session: Session, given: ExtensionInput) -> dict[str, str]:
    """Put the scenario into the session; return what is wrong with it, by field."""
    errors = _faults_of_extension(session, given)
    if not errors:
        row = _held(session, ExtensionScenario(extension=given.extension), given.extension)
        row.ring = given.ring
        for situation in SITUATIONS:
            kind, code = given.ways.get(situation, ("", ""))
            setattr(row, f"{situation}_kind", kind)
            setattr(row, f"{situation}_code", code)
    return errors


def _held(session: Session, new: Row, key: str) -> Row:
    """Return the row of this key, which nobody else changes until the session is over; the new one, if there is none.

    Two people may save the first scenario of the same extension in the same instant.
    """
    table = type(new)
    row = session.get(table, key, with_for_update=True, populate_existing=True)
    if row is not None:
        return row
    try:
        with session.begin_nested():
            session.add(new)
    except IntegrityError:
        return session.get_one(table, key, with_for_update=True, populate_existing=True)
    return new


def _faults_of_extension(session: Session, given: ExtensionInput) -> dict[str, str]:
    errors: dict[str, str] = {}
    if not EXTENSION.fullmatch(given.extension):
        errors["extension"] = "code"
    if not RING[0] <= given.ring <= RING[1]:
        errors["ring"] = "range"
    for situation in SITUATIONS:
        kind, code = given.ways.get(situation, ("", ""))
        fault = check_destination(session, kind, code, optional=True)
        if fault is not None:
            errors[f"{situation}_code"] = fault
        elif kind == "extension" and code == given.extension:
            errors[f"{situation}_code"] = "cycle"
    return errors


def store_queue(session: Session, given: QueueInput) -> dict[str, str]:
    """Put the queue's destination into the session; return what is wrong with it, by field."""
    errors = _faults_of_queue(session, given)
    if not errors:
        kind, code = given.failed
        row = _held(session, QueueScenario(queue=given.queue), given.queue)
        row.max_wait, row.wrapup, row.failed_kind, row.failed_code = given.max_wait, given.wrapup, kind, code
    return errors


def _faults_of_queue(session: Session, given: QueueInput) -> dict[str, str]:
    errors: dict[str, str] = {}
    if not TARGET.fullmatch(given.queue):
        errors["queue"] = "code"
    for name, (least, most) in (("max_wait", MAX_WAIT), ("wrapup", WRAPUP)):
        if not least <= getattr(given, name) <= most:
            errors[name] = "range"
    kind, code = given.failed
    fault = check_destination(session, kind, code, optional=True)
    if fault is not None:
        errors["failed_code"] = fault
    elif kind == "queue" and code == given.queue:
        errors["failed_code"] = "cycle"
    return errors
