"""Where calls go: destinations, the patterns of their codes, and the plans from which the dialplan is rendered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# -- contexts of our dialplan -----------------------------------------------------------------------------------------


class Context(StrEnum):
    """Contexts of our dialplan that the PBX, the panel or the worker refer to."""

    MODULES = "bazang-modules"
    EXTENSIONS = "bazang-extensions"  # also holds the hints that we add for extensions without one
    QUEUES = "bazang-queues"
    AGENT = "bazang-agent"
    CUSTOMER = "bazang-customer"
    PHONE_CALL = "bazang-studio"
    REVISION = "bazang-revision"


def module_context(module_id: int) -> str:
    """Return the context that handles the calls to one module."""
    return f"bazang-module-{module_id}"


def extension_context(extension: str) -> str:
    """Return the context that handles the calls to one extension."""
    return f"bazang-extension-{extension}"


def is_module_context(context: str) -> bool:
    """Tell whether a context holds the modules' codes or handles the calls to one module."""
    return context == Context.MODULES or re.fullmatch(r"bazang-module-[0-9]+", context) is not None


# -- patterns ---------------------------------------------------------------------------------------------------------

_LOCATION = r"[A-Za-z0-9_.-]{{1,{longest_context}}},[A-Za-z0-9_*#.+-]{{1,30}},[0-9]{{1,4}}"

EXTENSION_PATTERN = re.compile(r"[0-9*#]{1,20}")
CODE_PATTERN = EXTENSION_PATTERN  # of a module
QUEUE_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,80}")
CONTEXT_PATTERN = QUEUE_PATTERN
LOCATION_PATTERN = re.compile(_LOCATION.format(longest_context=80))  # context,extension,priority
CALLER_ID_PATTERN = re.compile(r"\+?[0-9]{2,20}")
CUSTOM_PATTERN = re.compile(_LOCATION.format(longest_context=40))  # as LOCATION_PATTERN, but it fits its column


# -- destinations -----------------------------------------------------------------------------------------------------


class DestinationKind(StrEnum):
    """What a destination is. The values are stored and are the values of the forms' fields."""

    NONE = ""  # an optional destination that is not set: the call ends
    EXTENSION = "extension"
    QUEUE = "queue"
    MODULE = "module"
    CUSTOM = "custom"  # a location in the PBX's dialplan
    HANGUP = "hangup"


CODE_PATTERNS: Mapping[str, re.Pattern[str]] = {
    DestinationKind.EXTENSION: EXTENSION_PATTERN,
    DestinationKind.QUEUE: QUEUE_PATTERN,
    DestinationKind.MODULE: CODE_PATTERN,
    DestinationKind.CUSTOM: CUSTOM_PATTERN,
}


@dataclass(frozen=True)
class Destination:
    """A place where a call can go. `kind` is a DestinationKind, or any text if a form or a file is not checked yet."""

    kind: str = DestinationKind.NONE
    code: str = ""

    @property
    def ends_call(self) -> bool:
        return self.kind in (DestinationKind.NONE, DestinationKind.HANGUP)

    @property
    def is_well_formed(self) -> bool:
        """Tell whether the code matches the pattern of its kind. A destination without a code is not well-formed."""
        pattern = CODE_PATTERNS.get(self.kind)
        return pattern is not None and pattern.fullmatch(self.code) is not None


HANG_UP = Destination(DestinationKind.HANGUP)
NO_DESTINATION = Destination()


class Situation(StrEnum):
    """Why an extension does not answer a call. Its scenario has a destination for each situation."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


# -- what the dialplan is rendered from -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModulePlan:
    """`next` is for callers who left a request, `error` for all others."""

    id: int
    code: str
    next: Destination
    error: Destination

    @property
    def context(self) -> str:
        return module_context(self.id)


@dataclass(frozen=True)
class ExtensionPlan:
    """`devices` as in a hint ("PJSIP/101&SIP/7"); `add_hint`: the PBX has no hint for it; `ring` in seconds."""

    extension: str
    devices: str
    hint_context: str
    add_hint: bool
    ring: int
    no_answer: Destination
    busy: Destination
    unavailable: Destination

    @property
    def context(self) -> str:
        return extension_context(self.extension)


@dataclass(frozen=True)
class QueuePlan:
    """`max_wait` in seconds."""

    queue: str
    max_wait: int
    failed: Destination


@dataclass(frozen=True)
class Dialplan:
    """Everything the dialplan is rendered from. The two contexts are where calls to extensions and queues go."""

    modules: tuple[ModulePlan, ...]
    extensions: tuple[ExtensionPlan, ...]
    queues: tuple[QueuePlan, ...]
    profile: str  # asterisk or freepbx
    agi_host: str
    agi_port: int
    extension_context: str
    queue_context: str
