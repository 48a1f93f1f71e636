"""The first module of an office, made from a template, with the scenario by which callers get there."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.services.errors import Invalid
from app.services.modules import save as modules
from app.services.modules.save import SITUATIONS, ModuleInput
from app.services.pbx import lookup, scenarios
from app.services.pbx.scenarios import ExtensionInput, QueueInput
from app.store import settings as store_settings
from app.store.database import Database, Joined
from app.store.models import ExtensionScenario, Module, QueueScenario

FIRST_CODE = 5001  # *5001, *5002, … are proposed


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
        taken = set(session.scalars(select(Module.code)))
    number = FIRST_CODE
    while f"*{number}" in taken:
        number += 1
    return f"*{number}"


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
        module = modules.save(joined, _module(given), now, actor=actor)
        if store_settings.exchange(session, settings).pbx_profile != "freepbx":
            for target in given.targets:
                _lead_there(joined, session, given, target, now, actor)
    return module


def _ask_exchange(
    database: Database, settings: Settings, given: StarterInput, now: datetime, actor: str
) -> dict[str, str]:
    """Return what does not fit the exchange. Where it cannot be asked everything does."""
    errors = {}
    if lookup.code_taken(database, settings, given.code, actor, now):
        errors["code"] = "code_on_exchange"
    kind = "queue" if given.template == Template.QUEUE else "extension"
    well_formed = [target for target in given.targets if lookup.PATTERNS[kind].fullmatch(target)]
    if any(lookup.exists(database, kind, target, actor, now) is False for target in well_formed):
        errors["targets"] = "not_on_exchange"
    return errors


def _module(given: StarterInput) -> ModuleInput:
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


def _lead_there(
    database: Database, session: Session, given: StarterInput, target: str, now: datetime, actor: str
) -> None:
    """Lead those to the module whom nobody serves. A destination that was chosen before stays as it is."""
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
