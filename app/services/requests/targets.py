"""For whom a request can be: the exchange's extensions and queues, and how they are written down."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.models import ExtensionRow, Module, QueueRow


def target_name(queue: bool, target: str) -> str:
    """Write whom a request is for as history and log have it: "101", "queue:sales", or "*" for any extension."""
    return f"queue:{target}" if queue else target or "*"


def is_target(session: Session, module: Module | None, queue: bool, target: str) -> bool:
    """Tell whether a request of this module may be given there."""
    if not target:
        return not queue and module is not None and module.target_kind == "extension"
    return target in (_queues(session) if queue else _extensions(session))


def _extensions(session: Session) -> set[str]:
    """Return the extensions that there are: those of the exchange and, should it be out of reach, of the modules."""
    return set(session.scalars(select(ExtensionRow.extension))) | of_modules(session, "extension")


def _queues(session: Session) -> set[str]:
    return set(session.scalars(select(QueueRow.name))) | of_modules(session, "queue")


def of_modules(session: Session, kind: str) -> set[str]:
    """Return what the modules of a kind (extension, queue) call for."""
    modules = session.scalars(select(Module.targets).where(Module.target_kind == kind))
    return {target for targets in modules for target in targets}


@dataclass(frozen=True)
class Targets:
    """To whom a request may be given: extensions with their names, and queues."""

    extensions: tuple[tuple[str, str], ...]
    queues: tuple[str, ...]


def targets(database: Database) -> Targets:
    """Return everybody to whom a request may be given."""
    with database.read() as session:
        names = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
        extensions = sorted(_extensions(session), key=lambda extension: (len(extension), extension))
        return Targets(
            tuple((extension, names.get(extension, "")) for extension in extensions), tuple(sorted(_queues(session)))
        )
