"""Save, delete and switch modules. Each function runs in its own transaction, unless it gets a session."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.routing import Destination, DestinationKind
from app.services import audit, commands
from app.services.errors import ChangedMeanwhile, ErrorCode, Invalid, NotFound
from app.services.modules import former_codes
from app.services.modules.input import SHARED_FIELDS, ModuleInput, audit_fields, fingerprint, from_row
from app.services.modules.list import load_module
from app.services.modules.validation import check_module
from app.services.pbx import destinations, lookup
from app.services.pbx.destinations import DestinationsByField, PbxWarning, SaveResult, warning_key
from app.services.pbx.references import find_references
from app.services.prompts import recordings
from app.services.prompts.input import PromptInput, PromptMode
from app.store import waiting
from app.store.database import Database
from app.store.models import Module, Prompt


def check_and_save_module(
    database: Database,
    settings: Settings,
    given: ModuleInput,
    now: datetime,
    *,
    confirmed: Collection[str],
    module_id: int | None = None,
    shown: str = "",
    actor: str = "",
    library: SoundLibrary | None = None,
) -> SaveResult:
    """Validate a module, ask the PBX about what is new in it, and save it. Raises NotFound and ChangedMeanwhile.

    `shown`: the fingerprint of the module that the user was shown. Nothing is saved if there are errors, or warnings
    without their key in `confirmed`. Waits for the PBX.
    """
    checked = check_without_pbx(database, given, module_id, confirmed=confirmed)
    if checked.errors:
        return checked
    checked = _find_warnings(database, settings, given, module_id, confirmed, actor=actor, now=now)
    return destinations.save_if_confirmed(
        checked,
        lambda: save_module(database, given, now, module_id=module_id, shown=shown, actor=actor, library=library),
    )


def check_without_pbx(
    database: Database, given: ModuleInput, module_id: int | None = None, *, confirmed: Collection[str] = ()
) -> SaveResult:
    """Validate a module without asking the PBX or saving. Raises NotFound.

    The result repeats the warnings that the user confirmed.
    """
    with database.read() as session:
        errors = check_module(session, given, module_id)
        stored = load_module(session, module_id) if module_id is not None else None
    warnings = destinations.repeat_confirmed(_new_destinations(given, stored), confirmed)
    code = _code_warning(given, confirmed)
    return SaveResult(errors, warnings | ({"code": [code]} if code.confirmed else {}))


def _find_warnings(
    database: Database,
    settings: Settings,
    given: ModuleInput,
    module_id: int | None,
    confirmed: Collection[str],
    *,
    actor: str,
    now: datetime,
) -> SaveResult:
    with database.read() as session:
        stored = load_module(session, module_id) if module_id is not None else None
    found = destinations.find_warnings(database, _new_destinations(given, stored), confirmed, actor=actor, now=now)
    if not found.pbx_answered or (stored is not None and stored.code == given.code):
        return found
    context = lookup.find_code(database, settings, given.code, actor=actor, now=now)
    if context is None:
        return replace(found, pbx_answered=False)
    if not context:
        return found
    return replace(found, warnings={**found.warnings, "code": [_code_warning(given, confirmed, context)]})


def _new_destinations(given: ModuleInput, stored: ModuleInput | None) -> DestinationsByField:
    named = {"targets": given.target_destinations, "next": [given.next], "error": [given.error]}
    named |= {"fallback": [given.fallback]} if given.fallback.kind else {}
    before = [*stored.target_destinations, stored.next, stored.error, stored.fallback] if stored is not None else []
    return destinations.without_stored(named, before)


def _code_warning(given: ModuleInput, confirmed: Collection[str], context: str = "") -> PbxWarning:
    code = Destination(DestinationKind.MODULE, given.code)
    return PbxWarning(code, warning_key(code, code_taken=True) in confirmed, code_taken=True, context=context)


def save_module(
    database: Database,
    given: ModuleInput,
    now: datetime,
    *,
    module_id: int | None = None,
    shown: str = "",
    actor: str = "",
    library: SoundLibrary | None = None,
) -> int:
    """Validate and store a module without asking the PBX; return its id. Raises Invalid, NotFound, ChangedMeanwhile.

    `module_id` None: a new module. `shown`: the fingerprint of the module that the user was shown, "": do not compare.
    `library`: refuse recordings that are not in it. The worker writes the dialplan.
    """
    with database.write() as session:
        module = _load_locked(session, module_id) if module_id is not None else Module(created_at=now)
        if shown and module_id is not None and fingerprint(from_row(module)) != shown:
            raise ChangedMeanwhile(module.name)
        errors = check_module(session, given, module_id)
        if errors:
            raise Invalid(errors)
        before = audit_fields(from_row(module)) if module_id is not None else {}
        saved = store_module(session, given, module, now)
        if library is not None:
            _check_files(library, given)
        record_saved(session, module, before, now, actor=actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)
    return saved


def delete_module(database: Database, module_id: int, now: datetime, *, actor: str = "") -> None:
    """Delete a module. Raises NotFound, and Invalid if something points to it.

    Its requests stay and can be called by hand. Its code leads callers to its error destination until it is removed.
    """
    with database.write() as session:
        module = _load_locked(session, module_id)
        if module.code in find_references(session):
            raise Invalid({"code": ErrorCode.IN_USE})
        former_codes.keep_deleted(session, module)
        deleted = audit.changes(audit_fields(from_row(module)), {})
        audit.record(session, actor, "module_deleted", _subject(module), deleted, now)
        session.delete(module)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def set_active(database: Database, module_id: int, active: bool, now: datetime, *, actor: str = "") -> None:
    """Switch a module on or off, from the next caller on. Raises NotFound."""
    with database.write() as session:
        module = _load_locked(session, module_id)
        before = audit_fields(from_row(module))
        module.active, module.updated_at = active, now
        record_saved(session, module, before, now, actor=actor)


def _load_locked(session: Session, module_id: int) -> Module:
    """Return a module that no one else can change or delete until the transaction ends. Raises NotFound."""
    module = session.get(Module, module_id, with_for_update=True)
    if module is None:
        raise NotFound(f"module {module_id}")
    return module


def store_module(session: Session, given: ModuleInput, module: Module, now: datetime) -> int:
    """Write a valid module to the session; return its id. Raises Invalid, after which the session is unusable.

    Prompts that `given` does not name stay.
    """
    code_before = module.code or ""  # a new module has none
    for name in SHARED_FIELDS:
        setattr(module, name, getattr(given, name))
    module.targets, module.retry_pauses = list(given.targets), list(given.retry_pauses)
    module.updated_at = now
    if module.id is not None:
        waiting.release_all(session, module.id)  # their times may differ now
    session.add(module)
    try:
        session.flush()
    except IntegrityError as error:  # another transaction took the code after the check
        raise Invalid({"code": ErrorCode.TAKEN}) from error
    former_codes.keep(session, module, code_before)
    for key, prompt in given.prompts.items():
        session.merge(_prompt_row(session, module.id, key, prompt, now))
    return module.id


def _prompt_row(session: Session, module_id: int, key: str, prompt: PromptInput, now: datetime) -> Prompt:
    file = None
    if prompt.mode == PromptMode.FILE:
        file = recordings.ensure_recording(session, prompt.file, prompt.original_name, now)
    values = {"mode": prompt.mode, "text": prompt.text, "file": file, "original_name": prompt.original_name[:200]}
    return Prompt(module_id=module_id, key=key, **values)


def _check_files(library: SoundLibrary, given: ModuleInput) -> None:
    """Raise Invalid for recordings whose file is missing. The session locks their rows, so none can be deleted now."""
    files = {key: prompt.file for key, prompt in given.prompts.items() if prompt.mode == PromptMode.FILE}
    lost = {f"prompt_{key}": ErrorCode.NO_FILE for key, file in files.items() if not recordings.has_file(library, file)}
    if lost:
        raise Invalid(lost)


def record_saved(session: Session, module: Module, before: Mapping[str, Any], now: datetime, *, actor: str) -> None:
    """Write an audit entry with the fields that differ from `before`, if there are any."""
    session.flush()
    session.refresh(module)  # its prompts were stored separately
    changed = audit.changes(before, audit_fields(from_row(module)))
    if changed:
        audit.record(session, actor, "module_saved", _subject(module), changed, now)


def _subject(module: Module) -> str:
    return f"{module.name} ({module.code})"
