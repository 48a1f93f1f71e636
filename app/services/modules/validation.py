"""Validate a module: its fields, its destinations, and that modules do not lead callers in a circle."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audio.prompts import LANGUAGES, PROMPT_KEYS
from app.domain.routing import CALLER_ID_PATTERN, CODE_PATTERN, CODE_PATTERNS, Destination, DestinationKind
from app.domain.text import is_displayable
from app.services.modules.input import BOUNDS, ModuleInput, PromptInput, PromptMode
from app.services.pbx.destinations import check_destination
from app.services.pbx.references import find_references
from app.services.prompts import voice
from app.store.models import Module
from app.store.settings import Speech

LONGEST_NAME = 80
LONGEST_TEXT = 1500  # of a prompt
TARGET_KINDS = (DestinationKind.EXTENSION, DestinationKind.QUEUE)

Errors = dict[str, str]


def check_module(session: Session, given: ModuleInput, module_id: int | None = None) -> Errors:
    """Return error codes by field; empty if the module is valid. `module_id`: of the module to be changed.

    A prompt's field is `prompt_` and its key.
    """
    stored = session.get(Module, module_id) if module_id is not None else None
    old_code = stored.code if stored is not None and stored.code != given.code else ""
    return {
        **_check_name(given.name),
        **_check_code(session, given.code, old_code, module_id),
        **{name: "range" for name, (least, most) in BOUNDS.items() if not least <= getattr(given, name) <= most},
        **({"language": "choice"} if given.language not in LANGUAGES else {}),
        **voice.check(given.language, Speech(given.voice, given.rate, given.pitch)),
        **({"caller_id": "number"} if given.caller_id and not CALLER_ID_PATTERN.fullmatch(given.caller_id) else {}),
        **_check_targets(given),
        **_check_destination(session, "next", given.next, given.code, old_code),
        **_check_destination(session, "error", given.error, given.code, old_code),
        **_check_prompts(given),
    }


def _check_name(name: str) -> Errors:
    if not name.strip():
        return {"name": "required"}
    if len(name) > LONGEST_NAME:
        return {"name": "too_long"}
    return {} if is_displayable(name) else {"name": "characters"}


def _check_code(session: Session, code: str, old_code: str, module_id: int | None) -> Errors:
    if not CODE_PATTERN.fullmatch(code):
        return {"code": "code"}
    if session.scalar(select(func.count()).where(Module.code == code, Module.id != (module_id or 0))):
        return {"code": "taken"}
    return {"code": "in_use"} if old_code and old_code in find_references(session) else {}


def _check_targets(given: ModuleInput) -> Errors:
    if given.target_kind not in TARGET_KINDS:
        return {"target_kind": "choice"}
    if not given.targets:
        return {"targets": "required"}
    if given.target_kind == DestinationKind.QUEUE and len(given.targets) > 1:
        return {"targets": "one_queue"}
    return {} if all(target.is_well_formed for target in given.target_destinations) else {"targets": "code"}


def _check_destination(session: Session, name: str, destination: Destination, code: str, old_code: str) -> Errors:
    error = check_destination(session, destination)
    if error is None and destination.kind == DestinationKind.MODULE:
        if destination.code == old_code:  # the module gives up this code now
            error = "no_module"
        elif _leads_to(session, destination.code, code):
            error = "cycle"
    if error is None:
        return {}
    is_known = destination.kind in CODE_PATTERNS
    return {f"{name}_{'code' if is_known else 'kind'}": error}


def _leads_to(session: Session, start: str, code: str) -> bool:
    """Tell whether callers of the module `start` can get from module to module to the module `code`."""
    modules = {module.code: module for module in session.scalars(select(Module))}
    seen: set[str] = set()
    pending = [start]
    while pending:
        current = pending.pop()
        if current == code:
            return True
        if current in modules and current not in seen:
            seen.add(current)
            onward = (modules[current].next, modules[current].error)
            pending += [destination.code for destination in onward if destination.kind == DestinationKind.MODULE]
    return False


def _check_prompts(given: ModuleInput) -> Errors:
    errors = {key: _check_prompt(key, prompt) for key, prompt in given.prompts.items()}
    return {f"prompt_{key}": error for key, error in errors.items() if error}


def _check_prompt(key: str, prompt: PromptInput) -> str:
    if key not in PROMPT_KEYS or prompt.mode not in set(PromptMode):
        return "choice"
    if prompt.mode == PromptMode.FILE and not prompt.file:
        return "no_file"
    return "too_long" if len(prompt.text) > LONGEST_TEXT else ""
