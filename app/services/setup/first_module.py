"""Create the first module from a template, together with the scenarios that lead callers to it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.routing import Destination, DestinationKind, Situation
from app.services.errors import ErrorCode, Invalid
from app.services.modules.input import ModuleInput
from app.services.modules.save import save_module
from app.services.pbx import lookup
from app.services.pbx.lookup import LookupResult
from app.services.pbx.scenarios import (
    ExtensionInput,
    QueueInput,
    ScenarioInput,
    load_extension,
    load_queue,
    save_scenario,
)
from app.store import settings as store_settings
from app.store.database import Database, Joined
from app.store.models import Module


class Template(StrEnum):
    EXTENSION = "extension"  # for one or several extensions
    QUEUE = "queue"
    SILENT = "silent"  # for extensions; callers hear nothing, only their number is registered


@dataclass(frozen=True)
class FirstModuleInput:
    """The values of the form. `targets` are extensions, or one queue for the template `queue`."""

    template: str
    name: str
    code: str
    targets: tuple[str, ...]
    language: str


def create(database: Database, settings: Settings, given: FirstModuleInput, now: datetime, *, actor: str) -> int:
    """Store the module and the scenarios in one transaction; return the module's id. Raises Invalid.

    FreePBX has its own scenarios, so only the module is stored there.
    """
    errors = _check_with_pbx(database, settings, given, now, actor)
    if given.template not in set(Template):
        errors["template"] = ErrorCode.CHOICE
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        joined = Joined(database, session)
        module_id = save_module(joined, _module(given), now, actor=actor)
        if store_settings.pbx(session, settings).pbx_profile != "freepbx":
            for target in given.targets:
                scenario = _scenario(session, given, target)
                if scenario is not None:
                    save_scenario(joined, scenario, now=now, actor=actor)
    return module_id


def suggest_test_extension(database: Database) -> str:
    """Return an extension that the first module serves; "" if there is none."""
    with database.read() as session:
        module = session.scalar(select(Module).where(Module.target_kind == "extension").order_by(Module.id))
    return module.targets[0] if module is not None else ""


def _check_with_pbx(
    database: Database, settings: Settings, given: FirstModuleInput, now: datetime, actor: str
) -> dict[str, ErrorCode]:
    """Return errors by field: a code that is in use on the PBX, targets that do not exist there.

    If the PBX cannot be asked, there are no errors.
    """
    errors: dict[str, ErrorCode] = {}
    if lookup.find_code(database, settings, given.code, actor=actor, now=now):
        errors["code"] = ErrorCode.CODE_ON_PBX
    is_queue = given.template == Template.QUEUE
    kind = DestinationKind.QUEUE if is_queue else DestinationKind.EXTENSION
    targets = [Destination(kind, target) for target in given.targets]
    results = (lookup.look_up(database, target, actor=actor, now=now) for target in targets if target.is_well_formed)
    if LookupResult.MISSING in results:
        errors["targets"] = ErrorCode.NOT_ON_PBX if is_queue else ErrorCode.NO_PHONE
    return errors


def _module(given: FirstModuleInput) -> ModuleInput:
    return ModuleInput(
        name=given.name.strip(),
        code=given.code,
        target_kind="queue" if given.template == Template.QUEUE else "extension",
        targets=given.targets,
        silent=given.template == Template.SILENT,
        language=given.language,
    )


def _scenario(session: Session, given: FirstModuleInput, target: str) -> ScenarioInput | None:
    """Return the target's scenario with the module as its destination; None if it needs no change.

    Destinations that are set already stay.
    """
    module = Destination(DestinationKind.MODULE, given.code)
    if given.template == Template.QUEUE:
        queue = load_queue(session, target) or QueueInput(target)
        return None if queue.failed.kind else replace(queue, failed=module)
    extension = load_extension(session, target) or ExtensionInput(target)
    destinations = {s: extension.destination(s) if extension.destination(s).kind else module for s in Situation}
    return replace(extension, destinations=destinations)
