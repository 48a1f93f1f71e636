"""The extensions and queues for which a request can be."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.models import ExtensionRow, Module, QueueRow


def format_target(queue: bool, target: str) -> str:
    """Return a target as history and audit log store it: "101", "queue:sales", or "*" for any extension."""
    return f"queue:{target}" if queue else target or "*"


def parse_target(text: str) -> tuple[bool, str]:
    """Return (queue, target) of what `format_target` returned."""
    queue = text.startswith("queue:")
    return queue, text.removeprefix("queue:") if text != "*" else ""


def is_target(session: Session, module: Module | None, queue: bool, target: str) -> bool:
    """Tell whether a request of this module can be reassigned to this target."""
    if not target:
        return not queue and module is not None and module.target_kind == "extension"
    return target in (_queues(session) if queue else _extensions(session))


def _extensions(session: Session) -> set[str]:
    """Return the extensions of the PBX and, because it may not be connected, those of the modules."""
    return set(session.scalars(select(ExtensionRow.extension))) | module_targets(session, "extension")


def _queues(session: Session) -> set[str]:
    return set(session.scalars(select(QueueRow.name))) | module_targets(session, "queue")


def module_targets(session: Session, kind: str) -> set[str]:
    """Return the targets of all modules of a kind: "extension" or "queue"."""
    modules = session.scalars(select(Module.targets).where(Module.target_kind == kind))
    return {target for load_targets in modules for target in load_targets}


@dataclass(frozen=True)
class Targets:
    """Extensions as (number, name), and queues."""

    extensions: tuple[tuple[str, str], ...]
    queues: tuple[str, ...]


def load_targets(database: Database) -> Targets:
    """Return every target to which a request can be reassigned."""
    with database.read() as session:
        names = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
        extensions = sorted(_extensions(session), key=lambda extension: (len(extension), extension))
        return Targets(
            tuple((extension, names.get(extension, "")) for extension in extensions), tuple(sorted(_queues(session)))
        )
