"""The names of extensions, queues and modules, for choosing and for showing a destination."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.policy import LineState
from app.domain.routing import EXTENSION_PATTERN, Context, Destination, DestinationKind
from app.services.pbx.references import codes_of_destinations
from app.store.models import ExtensionRow, Module, QueueMemberRow, QueueRow


@dataclass(frozen=True)
class Extension:
    """An extension that the PBX reports. `own_hint`: the PBX itself has no hint for it, which would prove a phone."""

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
    """Extensions by number, the number of members by queue, modules by code; each in the order of display.

    `locations` are those of the PBX's dialplan that are a destination already.
    """

    extensions: Mapping[str, Extension]
    queues: Mapping[str, int]
    modules: Mapping[str, ModuleName]
    locations: Sequence[str] = ()

    def has(self, destination: Destination) -> bool:
        """Tell whether a destination exists for sure. False: it does not exist, or only the PBX can tell."""
        code = destination.code
        match destination.kind:
            case DestinationKind.EXTENSION:
                return code in self.extensions and not self.extensions[code].own_hint
            case DestinationKind.QUEUE:
                return code in self.queues
            case DestinationKind.MODULE:
                return code in self.modules
        return False


def load_directory(session: Session) -> Directory:
    """Return the extensions and queues that the PBX reports, and all modules."""
    members = dict(session.execute(select(QueueMemberRow.queue, func.count()).group_by(QueueMemberRow.queue)).all())
    extensions = select(ExtensionRow).order_by(func.length(ExtensionRow.extension), ExtensionRow.extension)
    modules = select(Module).order_by(Module.code)
    return Directory(
        extensions={
            row.extension: Extension(
                row.extension, row.name, LineState(row.state), row.context in ("", Context.EXTENSIONS)
            )
            for row in session.scalars(extensions)
            if EXTENSION_PATTERN.fullmatch(row.extension)  # a queue member without an extension has a name
        },
        queues={name: members.get(name, 0) for name in session.scalars(select(QueueRow.name).order_by(QueueRow.name))},
        modules={module.code: _module_name(module) for module in session.scalars(modules)},
        locations=sorted(codes_of_destinations(session, DestinationKind.CUSTOM)),
    )


def load_modules_by_target(session: Session) -> dict[Destination, list[ModuleName]]:
    """Return the modules of each extension and queue that is the target of one, ordered by code."""
    found: dict[Destination, list[ModuleName]] = {}
    for module in session.scalars(select(Module).order_by(Module.code)):
        for target in module.targets:
            found.setdefault(Destination(module.target_kind, target), []).append(_module_name(module))
    return found


def _module_name(module: Module) -> ModuleName:
    return ModuleName(module.id, module.code, module.name, module.active)
