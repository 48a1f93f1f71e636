"""Gathers from the tables what the dialplan is made of. Rendering and writing it is the telephone side's."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.services.modules.save import SITUATIONS
from app.store.database import Database
from app.store.models import ExtensionRow, ExtensionScenario, Module, QueueScenario

DEFAULT_WAIT = 60  # seconds a caller waits in a queue for which nobody said how long
_SIDES: tuple[tuple[type[Any], tuple[str, ...]], ...] = (
    (Module, ("next", "error")),
    (ExtensionScenario, SITUATIONS),
    (QueueScenario, ("failed",)),
)


@dataclass(frozen=True)
class Way:
    """A destination: kind and code as the forms have them."""

    kind: str
    code: str


@dataclass(frozen=True)
class ModuleWays:
    id: int
    code: str
    next: Way
    error: Way


@dataclass(frozen=True)
class ExtensionWays:
    """`devices` and `context` of the exchange's hint; both "" where it has none that is not ours."""

    extension: str
    devices: str
    context: str
    ring: int
    no_answer: Way
    busy: Way
    unavailable: Way


@dataclass(frozen=True)
class QueueWays:
    queue: str
    max_wait: int
    failed: Way


@dataclass(frozen=True)
class Ways:
    modules: tuple[ModuleWays, ...]
    extensions: tuple[ExtensionWays, ...]
    queues: tuple[QueueWays, ...]


def gather(database: Database, own_context: str) -> Ways:
    """Return all modules, scenarios of extensions and queues. `own_context`: a hint that stands there is our own."""
    with database.read() as session:
        return Ways(
            modules=tuple(
                ModuleWays(m.id, m.code, Way(m.next_kind, m.next_code), Way(m.error_kind, m.error_code))
                for m in session.scalars(select(Module).order_by(Module.id))
            ),
            extensions=tuple(_extensions(session, own_context)),
            queues=tuple(_queues(session)),
        )


def _queues(session: Session) -> list[QueueWays]:
    """The queues with a failed-call destination, and those that a destination names, so that all can be reached."""
    ways = {
        q.queue: QueueWays(q.queue, q.max_wait, Way(q.failed_kind, q.failed_code))
        for q in session.scalars(select(QueueScenario))
    }
    for queue in _named(session, "queue"):
        ways.setdefault(queue, QueueWays(queue, DEFAULT_WAIT, Way("", "")))
    return [ways[queue] for queue in sorted(ways)]


def _named(session: Session, kind: str) -> set[str]:
    """Return the codes that any destination of this kind names."""
    ways = [
        (getattr(row, f"{side}_kind"), getattr(row, f"{side}_code"))
        for table, sides in _SIDES
        for row in session.scalars(select(table))
        for side in sides
    ]
    return {code for named, code in ways if named == kind}


def _extensions(session: Session, own_context: str) -> list[ExtensionWays]:
    """The extensions with a scenario, and those that a destination or a module names, so that all of them ring."""
    lines = {row.extension: row for row in session.scalars(select(ExtensionRow)) if row.context != own_context}
    scenarios = {row.extension: row for row in session.scalars(select(ExtensionScenario))}
    named = set(scenarios) | _named(session, "extension")
    for module in session.scalars(select(Module).where(Module.target_kind == "extension")):
        named.update(module.targets)
    return [_extension(extension, lines.get(extension), scenarios.get(extension)) for extension in sorted(named)]


def _extension(extension: str, line: ExtensionRow | None, scenario: ExtensionScenario | None) -> ExtensionWays:
    scenario = scenario or ExtensionScenario(
        ring=25,
        no_answer_kind="",
        no_answer_code="",
        busy_kind="",
        busy_code="",
        unavailable_kind="",
        unavailable_code="",
    )
    return ExtensionWays(
        extension=extension,
        devices=line.devices if line is not None else "",
        context=line.context if line is not None else "",
        ring=scenario.ring,
        no_answer=Way(scenario.no_answer_kind, scenario.no_answer_code),
        busy=Way(scenario.busy_kind, scenario.busy_code),
        unavailable=Way(scenario.unavailable_kind, scenario.unavailable_code),
    )
