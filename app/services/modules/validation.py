"""Validate a module: its fields, its destinations, and that modules do not lead callers in a circle."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audio.prompt_texts import LANGUAGES, NAME, PROMPT_KEYS
from app.domain.agent_order import AgentOrder
from app.domain.dial_order import Confirmation
from app.domain.hours import AtClosing, Outside, parse_week
from app.domain.place_in_line import Place
from app.domain.routing import CALLER_ID_PATTERN, CODE_PATTERN, CODE_PATTERNS, Destination, DestinationKind
from app.services.errors import ErrorCode, check_line
from app.services.modules import former_codes
from app.services.modules.input import BOUNDS, MOST_RETRY_PAUSES, OFFER_KEYS, RETRY_PAUSE_BOUNDS, ModuleInput
from app.services.pbx.destinations import CODE_ERRORS, check_destination
from app.services.pbx.references import find_references
from app.services.prompts import voice
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput, PromptMode
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
        **check_line("name", given.name, LONGEST_NAME, required=True),
        **_check_code(session, given.code, old_code, module_id),
        **_check_bounds(given),
        **_check_retry_pauses(given),
        **({"place": ErrorCode.CHOICE} if given.place not in set(Place) else {}),
        **({"language": ErrorCode.CHOICE} if given.language not in LANGUAGES else {}),
        **voice.validate(given.language, Speech(given.voice, given.rate, given.pitch)),
        **_check_caller_id(given.caller_id),
        **_check_confirmations(given),
        **_check_hours(given),
        **({"agent_order": ErrorCode.CHOICE} if given.agent_order not in set(AgentOrder) else {}),
        **_check_targets(given),
        **_check_offer(session, given, module_id),
        **_check_destination(session, "next", given.next, given.code, old_code),
        **_check_destination(session, "error", given.error, given.code, old_code),
        **_check_fallback(session, given),
        **_check_prompts(given),
    }


def _check_code(session: Session, code: str, old_code: str, module_id: int | None) -> Errors:
    if not CODE_PATTERN.fullmatch(code):
        return {"code": ErrorCode.CODE}
    if session.scalar(select(func.count()).where(Module.code == code, Module.id != (module_id or 0))):
        return {"code": ErrorCode.TAKEN}
    if former_codes.is_of_another(session, code, module_id):
        return {"code": ErrorCode.FORMER}
    return {"code": ErrorCode.IN_USE} if old_code and old_code in find_references(session) else {}


def _check_bounds(given: ModuleInput) -> Errors:
    return {
        name: ErrorCode.RANGE for name, (least, most) in BOUNDS.items() if not least <= getattr(given, name) <= most
    }


def _check_retry_pauses(given: ModuleInput) -> Errors:
    least, most = RETRY_PAUSE_BOUNDS
    errors: Errors = {}
    if not 0 < len(given.retry_pauses) <= MOST_RETRY_PAUSES:
        errors["retry_pauses"] = ErrorCode.PAUSES
    if not all(least <= pause <= most for pause in given.retry_pauses):
        errors["retry_pauses"] = ErrorCode.PAUSES
    if given.busy_pause and not least <= given.busy_pause <= most:
        errors["busy_pause"] = ErrorCode.RANGE
    return errors


def _check_caller_id(caller_id: str) -> Errors:
    return {} if not caller_id or CALLER_ID_PATTERN.fullmatch(caller_id) else {"caller_id": ErrorCode.NUMBER}


def _check_confirmations(given: ModuleInput) -> Errors:
    errors: Errors = {}
    speaks = _speaks_office_name(given)
    errors |= check_line("office_name", given.office_name, LONGEST_NAME, required=speaks)
    if given.agent_confirms not in set(Confirmation):
        errors["agent_confirms"] = ErrorCode.CHOICE
    if given.asks_customer and _prompt(given, "ask_customer").mode == PromptMode.NONE:
        errors["prompt_ask_customer"] = ErrorCode.NO_QUESTION
    return errors


def _speaks_office_name(given: ModuleInput) -> bool:
    heard = {"ask_customer": given.asks_customer, "greet_customer": given.customer_first}
    prompts = [_prompt(given, key) for key, is_heard in heard.items() if is_heard]
    return any(prompt.mode == PromptMode.SPEECH and (not prompt.text or NAME in prompt.text) for prompt in prompts)


def _prompt(given: ModuleInput, key: str) -> PromptInput:
    return given.prompts.get(key, DEFAULT_PROMPT)


def _check_hours(given: ModuleInput) -> Errors:
    errors: Errors = {} if given.outside in set(Outside) else {"outside": ErrorCode.CHOICE}
    errors |= {} if given.at_closing in set(AtClosing) else {"at_closing": ErrorCode.CHOICE}
    try:
        parse_week(given.hours)
    except ValueError:
        errors["hours"] = ErrorCode.HOURS
    return errors


def _check_targets(given: ModuleInput) -> Errors:
    if given.target_kind not in TARGET_KINDS:
        return {"target_kind": ErrorCode.CHOICE}
    if not given.targets:
        return {"targets": ErrorCode.REQUIRED}
    if given.target_kind == DestinationKind.QUEUE and len(given.targets) > 1:
        return {"targets": ErrorCode.ONE_QUEUE}
    if not all(target.is_well_formed for target in given.target_destinations):
        return {"targets": CODE_ERRORS[given.target_kind]}
    return {}


def _check_offer(session: Session, given: ModuleInput, module_id: int | None) -> Errors:
    """A queue has one context to which its callers can leave, so one module is offered to them."""
    if not given.offer_key:
        return {}
    if len(given.offer_key) != 1 or given.offer_key not in OFFER_KEYS:
        return {"offer_key": ErrorCode.CHOICE}
    others = session.scalars(select(Module).where(Module.offer_key != "", Module.id != (module_id or 0)))
    queues = [tuple(other.targets) for other in others if other.target_kind == DestinationKind.QUEUE]
    is_taken = given.target_kind == DestinationKind.QUEUE and given.targets in queues
    return {"offer_key": ErrorCode.OFFERED} if is_taken else {}


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


def _check_fallback(session: Session, given: ModuleInput) -> Errors:
    fallback = given.fallback
    if not given.fallback_after:
        return {"fallback_after": ErrorCode.REQUIRED} if fallback.kind else {}
    if fallback.kind not in TARGET_KINDS:
        return {"fallback_kind": ErrorCode.CHOICE}
    error = check_destination(session, fallback)
    if error is None and fallback.kind == DestinationKind.QUEUE and fallback in given.target_destinations:
        error = ErrorCode.CYCLE
    return {"fallback_code": error} if error is not None else {}


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
