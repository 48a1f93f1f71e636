"""The fields of a module, as a form or an imported file gives them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.routing import HANG_UP, Destination
from app.services.prompts.input import PromptInput, PromptMode
from app.store.models import Module

# field -> its smallest and largest value; durations are in seconds
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
# Fields that a ModuleInput and a row of the table have in common, in the order of the audit log.
SHARED_FIELDS = (
    "name", "code", "target_kind", "next", "error", "active", "silent", "automatic", "language", "voice", "rate",
    "pitch", "caller_id", *BOUNDS,
)  # fmt: skip


@dataclass(frozen=True)
class ModuleInput:
    """`targets` are extensions or one queue. `rate` and `pitch` None: those of the office."""

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

    @property
    def target_destinations(self) -> list[Destination]:
        return [Destination(self.target_kind, target) for target in self.targets]


def from_row(module: Module) -> ModuleInput:
    """Return the fields of a stored module."""
    shared = {name: getattr(module, name) for name in SHARED_FIELDS}
    prompts = {p.key: PromptInput(p.mode, p.text, p.file or "", p.original_name) for p in module.prompts}
    return ModuleInput(**shared, targets=tuple(module.targets), prompts=prompts)


def audit_fields(given: ModuleInput) -> dict[str, Any]:
    """Return the fields of a module as the audit log stores them: destinations in two fields, prompts in one each."""
    fields: dict[str, Any] = {}
    for name in SHARED_FIELDS:
        value = getattr(given, name)
        if isinstance(value, Destination):
            fields |= {f"{name}_kind": value.kind, f"{name}_code": value.code}
        else:
            fields[name] = value
    fields["targets"] = list(given.targets)
    return fields | {f"prompt_{key}": _audit_value(prompt) for key, prompt in given.prompts.items()}


def _audit_value(prompt: PromptInput) -> str:
    if prompt.mode == PromptMode.SPEECH:
        return prompt.text
    return prompt.original_name or prompt.file if prompt.mode == PromptMode.FILE else prompt.mode
