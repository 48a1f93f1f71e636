"""What the office has, by name, and what leads where: who points at a module, and whom a module is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.policy import LineState
from app.services.modules.save import SITUATIONS
from app.store import requests
from app.store.models import (
    CallRequest,
    ExtensionRow,
    ExtensionScenario,
    Module,
    QueueMemberRow,
    QueueRow,
    QueueScenario,
)


@dataclass(frozen=True)
class Extension:
    """An extension as the exchange reports it. `own_hint`: only we gave it a hint, which proves no phone."""

    number: str
    name: str
    state: LineState
    own_hint: bool = False


@dataclass(frozen=True)
class ModuleName:
    id: int
    code: str
    name: str
    active: bool


@dataclass(frozen=True)
class Directory:
    """What there is to choose from, by number, name of the queue (with the count of its members), and code."""

    extensions: Mapping[str, Extension]
    queues: Mapping[str, int]
    modules: Mapping[str, ModuleName]


OWN_HINT_CONTEXT = "bazang-extensions"  # the context in which we give hints to extensions that have none


def directory(session: Session) -> Directory:
    """Return everything that a destination may name, in the order in which it is shown."""
    members = dict(session.execute(select(QueueMemberRow.queue, func.count()).group_by(QueueMemberRow.queue)).all())
    return Directory(
        extensions={
            row.extension: Extension(row.extension, row.name, LineState(row.state), row.context == OWN_HINT_CONTEXT)
            for row in session.scalars(
                select(ExtensionRow).order_by(func.length(ExtensionRow.extension), ExtensionRow.extension)
            )
        },
        queues={name: members.get(name, 0) for name in session.scalars(select(QueueRow.name).order_by(QueueRow.name))},
        modules={
            module.code: ModuleName(module.id, module.code, module.name, module.active)
            for module in session.scalars(select(Module).order_by(Module.code))
        },
    )


@dataclass(frozen=True)
class Reference:
    """Something that leads callers to a module: `kind` is module, extension or queue; `ways` say in which cases."""

    kind: str
    code: str
    ways: tuple[str, ...]
    name: str = ""
    id: int = 0  # of a module


_SOURCES: tuple[tuple[str, type[Any], str, tuple[str, ...]], ...] = (
    ("module", Module, "code", ("next", "error")),
    ("extension", ExtensionScenario, "extension", SITUATIONS),
    ("queue", QueueScenario, "queue", ("failed",)),
)


def references(session: Session) -> dict[str, list[Reference]]:
    """Return by the code of each module what leads to it."""
    found: dict[str, list[Reference]] = {}
    names = {row.extension: row.name for row in session.scalars(select(ExtensionRow))}
    for kind, table, key, sides in _SOURCES:
        for row in session.scalars(select(table).order_by(getattr(table, key))):
            ways: dict[str, list[str]] = {}
            for side in sides:
                if getattr(row, f"{side}_kind") == "module":
                    ways.setdefault(getattr(row, f"{side}_code"), []).append(side)
            code = getattr(row, key)
            name = row.name if kind == "module" else names.get(code, "") if kind == "extension" else ""
            for target, taken in ways.items():
                if kind != "module" or target != code:
                    pointer = Reference(kind, code, tuple(taken), name, row.id if kind == "module" else 0)
                    found.setdefault(target, []).append(pointer)
    return found


def modules_serving(session: Session) -> tuple[dict[str, list[ModuleName]], dict[str, list[ModuleName]]]:
    """Return which modules are for an extension, and which for a queue."""
    by_kind: dict[str, dict[str, list[ModuleName]]] = {"extension": {}, "queue": {}}
    for module in session.scalars(select(Module).order_by(Module.code)):
        for target in module.targets:
            named = ModuleName(module.id, module.code, module.name, module.active)
            by_kind.setdefault(module.target_kind, {}).setdefault(target, []).append(named)
    return by_kind["extension"], by_kind["queue"]


def open_requests(session: Session, module_id: int) -> int:
    """Return how many requests of a module are not settled yet."""
    of_module = select(func.count()).where(CallRequest.module_id == module_id, requests.has_status())
    return session.scalar(of_module) or 0


def free_code(session: Session) -> str:
    """Return the first code from *5001 on that no module has."""
    taken = set(session.scalars(select(Module.code)))
    number = 5001
    while f"*{number}" in taken:
        number += 1
    return f"*{number}"
