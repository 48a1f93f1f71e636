"""The fields of a module, as a form or an imported file gives them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from app.domain import module_defaults
from app.domain.place_in_line import MOST_SHARE
from app.domain.routing import HANG_UP, NO_DESTINATION, Destination
from app.services.prompts.input import PromptInput, PromptMode
from app.store.models import Module

# field -> its smallest and largest value; durations are in seconds
BOUNDS: Mapping[str, tuple[int, int]] = {
    "min_wait": (0, 24 * 3600),
    "rest": (0, 3600),
    "retries": (0, 20),
    "agent_pause": (5, 3600),
    "agent_ring": (5, 120),
    "customer_ring": (10, 180),
    "expire_after": (0, 90 * 24 * 3600),
    "stop_before": (0, 12 * 3600),
    "preferred_for": (0, 24 * 3600),
    "fallback_after": (0, 7 * 24 * 3600),
    "callers_lead": (0, 24 * 3600),
    "callers_share": (1, MOST_SHARE),
    "quarter_limit": (0, 100),
    "offer_after": (10, 3600),
    "offer_callers": (0, 999),
    "offer_callers_per_agent": (0, 99),
}
RETRY_PAUSE_BOUNDS = (10, 7 * 24 * 3600)  # of each of `retry_pauses`, and of `busy_pause` unless it is 0
MOST_RETRY_PAUSES = 10
OFFER_KEYS = "1234567890*#"
# Fields that a ModuleInput and a row of the table have in common, in the order of the audit log.
SHARED_FIELDS = (
    "name", "code", "target_kind", "next", "error", "active", "silent", "automatic", "language", "voice", "rate",
    "pitch", "caller_id", "hours", "holidays", "outside", "at_closing", "agent_order", "place", "offers_times",
    "tells_place", "tells_wait", "asks_name", "keeps_while_down", "offer_key", *BOUNDS, "busy_pause", "agent_confirms",
    "asks_customer", "customer_first", "office_name", "fallback",
)  # fmt: skip


@dataclass(frozen=True)
class ModuleInput:
    """`targets` are extensions or one queue. `rate` and `pitch` None: those of the office.

    `retry_pauses` has one pause for each retry, and the last one for all further retries. `busy_pause` 0: a busy
    customer makes no difference.
    `place` is a value of `place_in_line.Place`; with `callers_lead` 0, callers come first however long it takes.
    `agent_confirms` is a value of `dial_order.Confirmation`. `office_name` is what customers hear who are
    asked, or rung first.
    `hours` is as `hours.parse_week` reads it, "": those of the office. `outside` is a value of `hours.Outside`,
    `at_closing` one of `hours.AtClosing`, `agent_order` one of `AgentOrder`. `fallback` is an extension or a queue,
    without a kind if `fallback_after` is 0.
    `offer_key` is one of OFFER_KEYS, "": callers who wait in the queue are not offered a call. They hear of it
    every `offer_after` seconds. They hear it at once if `offer_callers` wait already, or `offer_callers_per_agent` for
    each agent who is logged in and not paused; 0: never at once.
    """

    name: str
    code: str
    target_kind: str
    targets: tuple[str, ...]
    next: Destination = HANG_UP
    error: Destination = HANG_UP
    active: bool = True
    silent: bool = False
    automatic: bool = True
    language: str = "fa"
    voice: str = ""
    rate: int | None = None
    pitch: int | None = None
    min_wait: int = module_defaults.MIN_WAIT
    rest: int = module_defaults.REST
    retries: int = module_defaults.RETRIES
    retry_pauses: tuple[int, ...] = module_defaults.RETRY_PAUSES
    busy_pause: int = module_defaults.BUSY_PAUSE
    agent_pause: int = module_defaults.AGENT_PAUSE
    agent_ring: int = module_defaults.AGENT_RING
    customer_ring: int = module_defaults.CUSTOMER_RING
    agent_confirms: str = module_defaults.AGENT_CONFIRMS
    asks_customer: bool = False
    customer_first: bool = False
    office_name: str = ""
    expire_after: int = module_defaults.EXPIRE_AFTER
    hours: str = ""
    holidays: bool = True
    outside: str = module_defaults.OUTSIDE
    stop_before: int = module_defaults.STOP_BEFORE
    at_closing: str = module_defaults.AT_CLOSING
    agent_order: str = module_defaults.AGENT_ORDER
    preferred_for: int = module_defaults.PREFERRED_FOR
    fallback_after: int = module_defaults.FALLBACK_AFTER
    fallback: Destination = NO_DESTINATION
    place: str = module_defaults.PLACE
    callers_lead: int = module_defaults.CALLERS_LEAD
    callers_share: int = module_defaults.CALLERS_SHARE
    offers_times: bool = False
    quarter_limit: int = module_defaults.QUARTER_LIMIT
    tells_place: bool = False
    tells_wait: bool = False
    asks_name: bool = False
    keeps_while_down: bool = False
    offer_key: str = ""
    offer_after: int = module_defaults.OFFER_AFTER
    offer_callers: int = module_defaults.OFFER_CALLERS
    offer_callers_per_agent: int = module_defaults.OFFER_CALLERS_PER_AGENT
    caller_id: str = ""
    prompts: Mapping[str, PromptInput] = field(default_factory=dict)

    @property
    def target_destinations(self) -> list[Destination]:
        return [Destination(self.target_kind, target) for target in self.targets]


def from_row(module: Module) -> ModuleInput:
    """Return the fields of a stored module."""
    shared = {name: getattr(module, name) for name in SHARED_FIELDS}
    prompts = {p.key: PromptInput(p.mode, p.text, p.file or "", p.original_name) for p in module.prompts}
    return ModuleInput(
        **shared, targets=tuple(module.targets), retry_pauses=tuple(module.retry_pauses), prompts=prompts
    )


def fingerprint(stored: ModuleInput) -> str:
    """Return a text that differs if the module has been changed, except that it was switched on or off."""
    prompts = sorted(stored.prompts.items())
    return sha256(repr((replace(stored, active=True, prompts={}), prompts)).encode()).hexdigest()[:32]


def audit_fields(given: ModuleInput) -> dict[str, Any]:
    """Return the fields of a module as the audit log stores them: destinations in two fields, prompts in one each."""
    fields: dict[str, Any] = {}
    for name in SHARED_FIELDS:
        value = getattr(given, name)
        if isinstance(value, Destination):
            fields |= {f"{name}_kind": value.kind, f"{name}_code": value.code}
        else:
            fields[name] = value
    fields |= {"retry_pauses": list(given.retry_pauses), "targets": list(given.targets)}
    return fields | {f"prompt_{key}": _audit_value(prompt) for key, prompt in given.prompts.items()}


def _audit_value(prompt: PromptInput) -> str:
    if prompt.mode == PromptMode.SPEECH:
        return prompt.text
    return prompt.original_name or prompt.file if prompt.mode == PromptMode.FILE else prompt.mode
