"""Find what points where: the destinations of all modules and scenarios, and the references to each module."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.routing import Destination, DestinationKind, Situation
from app.store.models import ExtensionRow, ExtensionScenario, Module, QueueScenario

# kind of the owner, its table, the column with its code, and its destinations
_OWNERS: tuple[tuple[DestinationKind, type[Any], str, tuple[str, ...]], ...] = (
    (DestinationKind.MODULE, Module, "code", ("next", "error")),
    (DestinationKind.EXTENSION, ExtensionScenario, "extension", tuple(Situation)),
    (DestinationKind.QUEUE, QueueScenario, "queue", ("failed",)),
)


@dataclass(frozen=True)
class StoredDestination:
    """The destination that a module, or the scenario of an extension or a queue, has in one of its fields."""

    owner: Destination
    row: Module | ExtensionScenario | QueueScenario
    field: str  # next, error, failed or a Situation
    destination: Destination


@dataclass(frozen=True)
class Reference:
    """Something that points to a module: another module, an extension or a queue, by one or more of its fields."""

    kind: DestinationKind
    code: str
    fields: tuple[str, ...]
    name: str = ""
    module_id: int = 0  # 0 if it is no module


def stored_destinations(session: Session) -> Iterator[StoredDestination]:
    """Yield all destinations that are stored, those of modules first; each kind of owner ordered by its code."""
    for kind, table, key, fields in _OWNERS:
        for row in session.scalars(select(table).order_by(getattr(table, key))):
            owner = Destination(kind, getattr(row, key))
            for field in fields:
                yield StoredDestination(owner, row, field, getattr(row, field))


def codes_of_destinations(session: Session, kind: DestinationKind) -> set[str]:
    """Return the codes that destinations of this kind have anywhere."""
    return {stored.destination.code for stored in stored_destinations(session) if stored.destination.kind == kind}


def find_references(session: Session) -> dict[str, list[Reference]]:
    """Return the references to each module, by its code. A module that points to itself is no reference."""
    names = {row.extension: row.name for row in session.scalars(select(ExtensionRow))}
    found: dict[str, dict[Destination, Reference]] = {}
    for stored in stored_destinations(session):
        owner, target = stored.owner, stored.destination
        if target.kind != DestinationKind.MODULE or owner == target:
            continue
        references = found.setdefault(target.code, {})
        before = references[owner].fields if owner in references else ()
        references[owner] = _reference(stored, (*before, stored.field), names)
    return {code: list(references.values()) for code, references in found.items()}


def _reference(stored: StoredDestination, fields: tuple[str, ...], names: dict[str, str]) -> Reference:
    kind, code = DestinationKind(stored.owner.kind), stored.owner.code
    if isinstance(stored.row, Module):
        return Reference(kind, code, fields, stored.row.name, stored.row.id)
    return Reference(kind, code, fields, names.get(code, "") if kind is DestinationKind.EXTENSION else "")
