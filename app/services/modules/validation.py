"""Validate a module: its fields, its destinations, and that modules do not lead callers in a circle."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS
from app.domain.routing import CALLER_ID_PATTERN, CODE_PATTERN, CODE_PATTERNS, Destination, DestinationKind
from app.domain.text import is_displayable
from app.services.errors import ErrorCode
from app.services.modules.input import BOUNDS, ModuleInput
from app.services.pbx.destinations import check_destination
from app.services.pbx.references import find_references
from app.services.prompts import voice
from app.services.prompts.input import PromptInput, PromptMode
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
        **_check_bounds(given),
        **({"language": ErrorCode.CHOICE} if given.language not in LANGUAGES else {}),
        **voice.validate(given.language, Speech(given.voice, given.rate, given.pitch)),
        **_check_caller_id(given.caller_id),
        **_check_targets(given),
        **_check_destination(session, "next", given.next, given.code, old_code),
        **_check_destination(session, "error", given.error, given.code, old_code),
        **_check_prompts(given),
    }


def _check_name(name: str) -> Errors:
    if not name.strip():
        return {"name": ErrorCode.REQUIRED}
    if len(name) > LONGEST_NAME:
        return {"name": ErrorCode.TOO_LONG}
    return {} if is_displayable(name) else {"name": ErrorCode.CHARACTERS}


def _check_code(session: Session, code: str, old_code: str, module_id: int | None) -> Errors:
    if not CODE_PATTERN.fullmatch(code):
        return {"code": ErrorCode.CODE}
    if session.scalar(select(func.count()).where(Module.code == code, Module.id != (module_id or 0))):
        return {"code": ErrorCode.TAKEN}
    return {"code": ErrorCode.IN_USE} if old_code and old_code in find_references(session) else {}


def _check_bounds(given: ModuleInput) -> Errors:
    return {
        name: ErrorCode.RANGE for name, (least, most) in BOUNDS.items() if not least <= getattr(given, name) <= most
    }


def _check_caller_id(caller_id: str) -> Errors:
    return {} if not caller_id or CALLER_ID_PATTERN.fullmatch(caller_id) else {"caller_id": ErrorCode.NUMBER}


def _check_targets(given: ModuleInput) -> Errors:
    if given.target_kind not in TARGET_KINDS:
        return {"target_kind": ErrorCode.CHOICE}
    if not given.targets:
        return {"targets": ErrorCode.REQUIRED}
    if given.target_kind == DestinationKind.QUEUE and len(given.targets) > 1:
        return {"targets": ErrorCode.ONE_QUEUE}
    return {} if all(target.is_well_formed for target in given.target_destinations) else {"targets": ErrorCode.CODE}


def _check_destination(session: Session, name: str, destination: Destination, code: str, old_code: str) -> Errors:
    error = check_destination(session, destination)
    if error is None and destination.kind == DestinationKind.MODULE:
        if destination.code == old_code:  # the module gives up this code now
            error = ErrorCode.NO_MODULE
        elif _leads_to(session, destination.code, code):
            error = ErrorCode.CYCLE
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


def _check_prompt(key: str, prompt: PromptInput) -> ErrorCode | None:
    if key not in PROMPT_KEYS or prompt.mode not in set(PromptMode):
        return ErrorCode.CHOICE
    if prompt.mode == PromptMode.FILE and not prompt.file:
        return ErrorCode.NO_FILE
    return ErrorCode.TOO_LONG if len(prompt.text) > LONGEST_TEXT else None
