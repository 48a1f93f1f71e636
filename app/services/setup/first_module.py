"""The first module of an office, made from a template, with the scenario by which callers get there."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.routing import Destination, DestinationKind, Situation
from app.services.errors import Invalid
from app.services.modules.input import ModuleInput
from app.services.modules.list import suggest_code
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


class Template(StrEnum):
    EXTENSION = "extension"  # one person's, or several people's, extensions
    QUEUE = "queue"  # a team's queue
    SILENT = "silent"  # an extension's callers hear nothing and are noted


@dataclass(frozen=True)
class StarterInput:
    """What was filled in. `targets`: extensions, or the one queue of the template `queue`."""

    template: str
    name: str
    code: str
    targets: tuple[str, ...]
    language: str


def propose_code(database: Database) -> str:
    """Return a code that no module has yet."""
    with database.read() as session:
        return suggest_code(session)


def make(database: Database, settings: Settings, given: StarterInput, now: datetime, *, actor: str) -> int:
    """Store the module and lead callers to it, together or not at all; return its id. Raises Invalid.

    On FreePBX the scenarios are the exchange's own: there only the module is stored.
    """
    errors = _ask_exchange(database, settings, given, now, actor)
    if given.template not in set(Template):
        errors["template"] = "choice"
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        joined = Joined(database, session)
        module = save_module(joined, _module(given), now, actor=actor)
        if store_settings.exchange(session, settings).pbx_profile != "freepbx":
            for target in given.targets:
                scenario = _scenario(session, given, target)
                if scenario is not None:
                    save_scenario(joined, scenario, now=now, actor=actor)
    return module


def _ask_exchange(
    database: Database, settings: Settings, given: StarterInput, now: datetime, actor: str
) -> dict[str, str]:
    """Return what does not fit the exchange. Where it cannot be asked everything does."""
    errors = {}
    if lookup.find_code(database, settings, given.code, actor=actor, now=now):
        errors["code"] = "code_on_exchange"
    kind = DestinationKind.QUEUE if given.template == Template.QUEUE else DestinationKind.EXTENSION
    targets = [Destination(kind, target) for target in given.targets]
    results = (lookup.look_up(database, target, actor=actor, now=now) for target in targets if target.is_well_formed)
    if LookupResult.MISSING in results:
        errors["targets"] = "not_on_exchange"
    return errors


def _module(given: StarterInput) -> ModuleInput:
    return ModuleInput(
        name=given.name.strip(),
        code=given.code,
        target_kind="queue" if given.template == Template.QUEUE else "extension",
        targets=given.targets,
        silent=given.template == Template.SILENT,
        language=given.language,
    )


def _scenario(session: Session, given: StarterInput, target: str) -> ScenarioInput | None:
    """Return a target's scenario with the module as destination; None if it needs no change.

    Destinations that were chosen before stay.
    """
    module = Destination(DestinationKind.MODULE, given.code)
    if given.template == Template.QUEUE:
        queue = load_queue(session, target) or QueueInput(target)
        return None if queue.failed.kind else replace(queue, failed=module)
    extension = load_extension(session, target) or ExtensionInput(target)
    chosen = {s: extension.destination(s) if extension.destination(s).kind else module for s in Situation}
    return replace(extension, destinations=chosen)
