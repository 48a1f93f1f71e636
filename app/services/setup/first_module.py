"""Create the first module from a template, together with the scenarios that lead callers to it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.services.errors import ErrorCode, Invalid
from app.services.modules import save as modules
from app.services.modules.save import SITUATIONS, ModuleInput
from app.services.pbx import lookup, scenarios
from app.services.pbx.scenarios import ExtensionInput, QueueInput
from app.store import settings as store_settings
from app.store.database import Database, Joined
from app.store.models import ExtensionScenario, Module, QueueScenario


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
        module_id = modules.save(joined, _module(given), now, actor=actor)
        if store_settings.pbx(session, settings).pbx_profile != "freepbx":
            for target in given.targets:
                _lead_to_module(joined, session, given, target, now, actor)
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
    if lookup.code_taken(database, settings, given.code, actor, now):
        errors["code"] = ErrorCode.CODE_ON_PBX
    kind = "queue" if given.template == Template.QUEUE else "extension"
    well_formed = [target for target in given.targets if lookup.PATTERNS[kind].fullmatch(target)]
    if any(lookup.exists(database, kind, target, actor, now) is False for target in well_formed):
        errors["targets"] = ErrorCode.NOT_ON_PBX
    return errors


def _module(given: FirstModuleInput) -> ModuleInput:
    return ModuleInput(
        name=given.name.strip(),
        code=given.code,
        target_kind="queue" if given.template == Template.QUEUE else "extension",
        targets=given.targets,
        next_kind="hangup",
        error_kind="hangup",
        silent=given.template == Template.SILENT,
        language=given.language,
    )


def _lead_to_module(
    database: Database, session: Session, given: FirstModuleInput, target: str, now: datetime, actor: str
) -> None:
    """Set the destinations of the target's scenario to the module. Destinations that are set already stay."""
    here = ("module", given.code)
    if given.template == Template.QUEUE:
        queue = session.get(QueueScenario, target)
        if queue is None or not queue.failed_kind:
            times = {} if queue is None else {"max_wait": queue.max_wait, "wrapup": queue.wrapup}
            scenarios.save_queue(database, QueueInput(target, **times, failed=here), now=now, actor=actor)
        return
    row = session.get(ExtensionScenario, target)
    ways = dict.fromkeys(SITUATIONS, here)
    if row is not None:
        chosen = {s: (getattr(row, f"{s}_kind"), getattr(row, f"{s}_code")) for s in SITUATIONS}
        ways |= {situation: way for situation, way in chosen.items() if way[0]}
    ring = {} if row is None else {"ring": row.ring}
    scenarios.save_extension(database, ExtensionInput(target, **ring, ways=ways), now=now, actor=actor)
