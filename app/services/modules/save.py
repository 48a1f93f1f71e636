"""Call request modules: checked as a whole, stored as a whole, and their sounds made ready."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS
from app.domain.text import is_displayable
from app.services import audit, commands
from app.services.errors import Invalid, NotFound
from app.services.prompts import recordings
from app.services.prompts import voice as speech
from app.services.prompts.input import PromptInput, PromptMode
from app.store.database import Database
from app.store.models import ExtensionScenario, Module, Prompt, QueueScenario
from app.store.settings import Speech

CODE = re.compile(r"[0-9*#]{1,20}")
TARGET = re.compile(r"[A-Za-z0-9_.-]{1,80}")
EXTENSION = re.compile(r"[0-9*#]{1,20}")
CUSTOM = re.compile(r"[A-Za-z0-9_.-]{1,40},[A-Za-z0-9_*#.+-]{1,30},[0-9]{1,4}")  # context,extension,priority
CALLER_ID = re.compile(r"\+?[0-9]{2,20}")
FORMS: Mapping[str, re.Pattern[str]] = {"extension": EXTENSION, "queue": TARGET, "module": CODE, "custom": CUSTOM}
DESTINATION_KINDS = ("extension", "queue", "module", "custom", "hangup")
SITUATIONS = ("no_answer", "busy", "unavailable")  # of an extension's scenario

# name of the field -> the least and the most it may be; durations are seconds
BOUNDS: Mapping[str, tuple[int, int]] = {
    "min_wait": (0, 24 * 3600),
    "rest": (0, 3600),
    "retries": (0, 20),
    "retry_pause": (10, 24 * 3600),
    "agent_pause": (5, 3600),
    "agent_ring": (5, 120),
    "customer_ring": (10, 180),
    "expire_after": (0, 90 * 24 * 3600),
}


@dataclass(frozen=True)
class ModuleInput:
    """Every field of a module, as the form or an imported file gives it."""

    name: str
    code: str
    target_kind: str
    targets: tuple[str, ...]
    next_kind: str
    error_kind: str
    next_code: str = ""
    error_code: str = ""
    active: bool = True
    silent: bool = False
    automatic: bool = True
    language: str = "fa"
    voice: str = ""
    rate: int | None = None
    pitch: int | None = None
    min_wait: int = 0
    rest: int = 10
    retries: int = 2
    retry_pause: int = 300
    agent_pause: int = 60
    agent_ring: int = 20
    customer_ring: int = 40
    expire_after: int = 0
    caller_id: str = ""
    prompts: Mapping[str, PromptInput] = field(default_factory=dict)


def save(
    database: Database,
    given: ModuleInput,
    now: datetime,
    *,
    module_id: int | None = None,
    actor: str = "",
    library: SoundLibrary | None = None,
) -> int:
    """Store a new module, or change one; return its id. Raises Invalid and NotFound.

    `library`: where its recordings must be, so that one which somebody deletes in this instant is not chosen unseen.
    The dialplan follows by a command to the telephone service.
    """
    with database.write() as session:
        module = _held(session, module_id) if module_id is not None else Module(created_at=now)
        errors = check(session, given, module_id)
        if errors:
            raise Invalid(errors)
        before = as_fields(as_input(module)) if module_id is not None else {}
        saved = store(session, given, module, now)
        if library is not None:
            _check_files(library, given)
        note_saved(session, module, before, now, actor=actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)
    return saved


def _held(session: Session, module_id: int) -> Module:
    """Return a module that nobody else changes or deletes until the session is over. Raises NotFound."""
    module = session.get(Module, module_id, with_for_update=True)
    if module is None:
        raise NotFound(f"module {module_id}")
    return module


def store(session: Session, given: ModuleInput, module: Module, now: datetime) -> int:
    """Put a module that was checked into the session; return its id. Raises Invalid; then the session is lost."""
    for name in _PLAIN:
        setattr(module, name, getattr(given, name))
    module.targets, module.updated_at = list(given.targets), now
    session.add(module)
    try:
        session.flush()
    except IntegrityError as error:  # somebody else took the code in this instant
        raise Invalid({"code": "taken"}) from error
    for key, prompt in given.prompts.items():
        session.merge(
            Prompt(
                module_id=module.id,
                key=key,
                mode=prompt.mode,
                text=prompt.text,
                file=recordings.ensure_recording(session, prompt.file, prompt.original_name, now)
                if prompt.mode == "file"
                else None,
                original_name=prompt.original_name[:200],
            )
        )
    return module.id


def _check_files(library: SoundLibrary, given: ModuleInput) -> None:
    """Raise Invalid for recordings that are gone. By now nobody can delete one: each is held by this session."""
    files = {key: prompt.file for key, prompt in given.prompts.items() if prompt.mode == "file"}
    lost = {f"prompt_{key}": "no_file" for key, file in files.items() if not recordings.has_file(library, file)}
    if lost:
        raise Invalid(lost)


def load(session: Session, module_id: int) -> ModuleInput:
    """Return a module as its form has it. Raises NotFound."""
    module = session.get(Module, module_id)
    if module is None:
        raise NotFound(f"module {module_id}")
    return as_input(module)


def codes(session: Session) -> list[tuple[str, str]]:
    """Return code and name of every module, for whoever chooses a destination."""
    return [(code, name) for code, name in session.execute(select(Module.code, Module.name).order_by(Module.code))]


def as_input(module: Module) -> ModuleInput:
    """See a stored module as its form has it."""
    plain = {name: getattr(module, name) for name in _PLAIN}
    prompts = {p.key: PromptInput(p.mode, p.text, p.file or "", p.original_name) for p in module.prompts}
    return ModuleInput(**plain, targets=tuple(module.targets), prompts=prompts)


def as_fields(given: ModuleInput) -> dict[str, Any]:
    """Return the fields of a module as the log has them: plain, and one for each prompt."""
    fields = {name: getattr(given, name) for name in _PLAIN} | {"targets": list(given.targets)}
    for key, prompt in given.prompts.items():
        fields[f"prompt_{key}"] = {"speech": prompt.text, "file": prompt.original_name or prompt.file}.get(
            prompt.mode, prompt.mode
        )
    return fields


def note_saved(session: Session, module: Module, before: Mapping[str, Any], now: datetime, *, actor: str) -> None:
    """Log what differs in a saved module from what it was `before`; nothing, where nothing differs."""
    session.flush()
    session.refresh(module)  # the prompts were stored beside it
    changed = audit.changes(before, as_fields(as_input(module)))
    if changed:
        audit.record(session, actor, "module_saved", _subject(module), changed, now)


def _subject(module: Module) -> str:
    return f"{module.name} ({module.code})"


def delete(database: Database, module_id: int, now: datetime, *, actor: str = "") -> None:
    """Delete a module. Its requests stay and are left to be called by hand. Raises NotFound, Invalid when in use."""
    with database.write() as session:
        module = _held(session, module_id)
        if references_to(session, module.code):
            raise Invalid({"code": "in_use"})
        audit.record(
            session, actor, "module_deleted", _subject(module), audit.changes(as_fields(as_input(module)), {}), now
        )
        session.delete(module)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def set_active(database: Database, module_id: int, active: bool, now: datetime, *, actor: str = "") -> None:
    """Switch a module on or off; the next caller is met accordingly. Raises NotFound."""
    with database.write() as session:
        module = _held(session, module_id)
        before = as_fields(as_input(module))
        module.active, module.updated_at = active, now
        note_saved(session, module, before, now, actor=actor)


_PLAIN = (
    "name", "code", "target_kind", "next_kind", "next_code", "error_kind", "error_code", "active", "silent",
    "automatic", "language", "voice", "rate", "pitch", "caller_id", *BOUNDS,
)  # fmt: skip


def check(session: Session, given: ModuleInput, module_id: int | None) -> dict[str, str]:
    """Return what is wrong with a module, by field; empty where all is well."""
    errors: dict[str, str] = {}
    if not given.name.strip() or len(given.name) > 80:
        errors["name"] = "required" if not given.name.strip() else "too_long"
    elif not is_displayable(given.name):
        errors["name"] = "characters"
    if not CODE.fullmatch(given.code):
        errors["code"] = "code"
    elif session.scalar(select(func.count()).where(Module.code == given.code, Module.id != (module_id or 0))):
        errors["code"] = "taken"
    own = session.get(Module, module_id) if module_id is not None else None
    renamed_from = own.code if own is not None and own.code != given.code else ""
    if renamed_from and references_to(session, renamed_from):
        errors.setdefault("code", "in_use")
    for name, (least, most) in BOUNDS.items():
        if not least <= getattr(given, name) <= most:
            errors[name] = "range"
    if given.language not in LANGUAGES:
        errors["language"] = "choice"
    errors |= speech.validate(given.language, Speech(given.voice, given.rate, given.pitch))
    if given.caller_id and not CALLER_ID.fullmatch(given.caller_id):
        errors["caller_id"] = "number"
    errors |= _check_targets(given)
    for side in ("next", "error"):
        kind, code = getattr(given, f"{side}_kind"), getattr(given, f"{side}_code")
        fault = check_destination(session, kind, code)
        if fault is None and kind == "module":
            if code == renamed_from:
                fault = "no_module"
            elif _goes_round(session, given, code):
                fault = "cycle"
        if fault is not None:
            errors[f"{side}_code" if kind in DESTINATION_KINDS else f"{side}_kind"] = fault
    for key, prompt in given.prompts.items():
        if key not in PROMPT_KEYS or prompt.mode not in tuple(PromptMode):
            errors[f"prompt_{key}"] = "choice"
        elif prompt.mode == "file" and not prompt.file:
            errors[f"prompt_{key}"] = "no_file"
        elif len(prompt.text) > 1500:
            errors[f"prompt_{key}"] = "too_long"
    return errors


def _check_targets(given: ModuleInput) -> dict[str, str]:
    if given.target_kind not in ("extension", "queue"):
        return {"target_kind": "choice"}
    if not given.targets:
        return {"targets": "required"}
    if given.target_kind == "queue" and len(given.targets) > 1:
        return {"targets": "one_queue"}
    pattern = TARGET if given.target_kind == "queue" else EXTENSION
    return {} if all(pattern.fullmatch(target) for target in given.targets) else {"targets": "code"}


def check_destination(session: Session, kind: str, code: str, *, optional: bool = False) -> str | None:
    """Return what is wrong with a destination as a short code, or None. What it names ends up in the dialplan."""
    if not kind and optional:
        return None
    if kind == "hangup":
        return None
    pattern = FORMS.get(kind)
    if pattern is None:
        return "choice"
    if not code:
        return "required"
    if not pattern.fullmatch(code):
        return "custom" if kind == "custom" else "code"
    if kind == "module" and not session.scalar(select(func.count()).where(Module.code == code)):
        return "no_module"
    return None


def _goes_round(session: Session, given: ModuleInput, code: str) -> bool:
    """Tell whether a chain of modules that starts at `code` leads back to the module that is being saved."""
    by_code = {module.code: module for module in session.scalars(select(Module))}
    seen: set[str] = set()
    open_codes = [code]
    while open_codes:
        current = open_codes.pop()
        if current == given.code:
            return True
        module = by_code.get(current)
        if module is None or current in seen:
            continue
        seen.add(current)
        open_codes += [c for k, c in _ways(module) if k == "module"]
    return False


def _ways(module: Module) -> list[tuple[str, str]]:
    return [(module.next_kind, module.next_code), (module.error_kind, module.error_code)]


def references_to(session: Session, code: str) -> list[str]:
    """Return what else leads to the module of this code: names of modules, numbers of extensions and queues."""
    target = ("module", code)
    names = [m.name for m in session.scalars(select(Module)) if target in _ways(m) and m.code != code]
    for scenario in session.scalars(select(ExtensionScenario)):
        ways = [(getattr(scenario, f"{s}_kind"), getattr(scenario, f"{s}_code")) for s in SITUATIONS]
        names += [scenario.extension] if target in ways else []
    for queue in session.scalars(select(QueueScenario)):
        names += [queue.queue] if target == (queue.failed_kind, queue.failed_code) else []
    return names
