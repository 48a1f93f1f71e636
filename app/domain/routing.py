"""Where calls go: destinations, the patterns of their codes, and the plans from which the dialplan is rendered."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.dialplan_numbers import CallerCheck, NumberCheck

# -- contexts of our dialplan -----------------------------------------------------------------------------------------


class Context(StrEnum):
    """Contexts of our dialplan that the PBX, the panel or the worker refer to."""

    MODULES = "bazang-modules"
    EXTENSIONS = "bazang-extensions"  # also holds the hints that we add for extensions without one
    QUEUES = "bazang-queues"
    AGENT = "bazang-agent"
    CUSTOMER = "bazang-customer"
    RESERVED = "bazang-reserved"  # the agent's side, if the customer is rung first
    FIRST = "bazang-customer-first"
    OUT = "bazang-out"  # leads to the outbound context
    NUMBERS = "bazang-numbers"  # says which numbers may be dialled there
    KEPT = "bazang-kept"  # forgets what was kept while our service was down
    PHONE_CALL = "bazang-studio"
    REVISION = "bazang-revision"


def module_context(module_id: int) -> str:
    """Return the context that handles the calls to one module."""
    return f"bazang-module-{module_id}"


def offer_context(module_id: int) -> str:
    """Return the context to which callers leave a queue by a key when they are offered a module."""
    return f"bazang-offer-{module_id}"


def extension_context(extension: str) -> str:
    """Return the context that handles the calls to one extension."""
    return f"bazang-extension-{extension}"


def plain_extension_context(extension: str) -> str:
    """Return the context that handles the calls to an extension without a scenario.

    It is another one, so that a call that is inside the scenario while it is deleted goes on there.
    """
    return f"bazang-plain-extension-{extension}"


def is_module_context(context: str) -> bool:
    """Tell whether a context holds the modules' codes or handles the calls to one module."""
    return context == Context.MODULES or re.fullmatch(r"bazang-module-[0-9]+", context) is not None


# -- patterns ---------------------------------------------------------------------------------------------------------

_LOCATION = r"[A-Za-z0-9_.-]{{1,{longest_context}}},[A-Za-z0-9_*#.+-]{{1,30}},[0-9]{{1,4}}"

EXTENSION_PATTERN = re.compile(r"[0-9*#]{1,20}")
CODE_PATTERN = EXTENSION_PATTERN  # of a module
# Letters and digits of all languages, spaces within the name, and the joiners of Persian. Other characters may have a
# meaning in the dialplan, of which the name becomes a part.
QUEUE_PATTERN = re.compile(r"(?! )[\w\u200c\u200d .-]{1,80}(?<! )")
CONTEXT_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,80}")
LOCATION_PATTERN = re.compile(_LOCATION.format(longest_context=80))  # context,extension,priority
CALLER_ID_PATTERN = re.compile(r"\+?[0-9]{2,20}")
CUSTOM_PATTERN = re.compile(_LOCATION.format(longest_context=40))  # as LOCATION_PATTERN, but it fits its column
# Contexts that dial whatever digits they get: our own, and those of FreePBX and Issabel.
_DIALLING_CONTEXT = re.compile(r"bazang-out|from-internal(-.*)?|outbound-allroutes(-.*)?|outrt-.*")
LONGEST_INSIDE = 6  # digits; more are a telephone number, whatever the context is


def dials_number(location: str, outbound_contexts: Collection[str], inside: Collection[str]) -> bool:
    """Tell whether a location "context,extension,priority" would dial a telephone number of its own.

    Any context may include one that dials. So long digits count in all of them, and shorter ones in those that are
    known to dial, unless they are one of the extensions and queues `inside`. Feature codes (*97) do not count.
    """
    context, extension, _ = location.split(",")
    if not re.fullmatch(r"[0-9*#.+-]+", extension):
        return False
    digits = re.sub(r"[^0-9]", "", extension)
    if len(digits) > LONGEST_INSIDE or extension.startswith("+"):
        return True
    dials = context in outbound_contexts or _DIALLING_CONTEXT.fullmatch(context) is not None
    return dials and extension.isdecimal() and extension not in inside


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


class CameBy(StrEnum):
    """How a caller came to a module. The values are stored."""

    UNKNOWN = ""  # on a plain Asterisk, or before this was stored
    EXTENSION = "extension"  # that did not answer
    FOLLOW_ME = "follow_me"  # of an extension
    RING_GROUP = "ring_group"
    CODE = "code"  # or a queue: nobody in particular was called
    MODULE = "module"  # another one before, in the same call
    MISSED_CALL = "missed_call"  # not at all: they hung up, and the request was made from the missed call
    WEBSITE = "website"  # not at all: they filled in a form of a website


# -- what the dialplan is rendered from -------------------------------------------------------------------------------


@dataclass(frozen=True)
class DayPlan:
    """When the office is open on a day: `spans` are from a minute after its midnight to another one, not included.

    `key` is what the dialplan looks for: the date as 20261201, or the weekday as "0" (Sunday) to "6".
    """

    key: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class HoursPlan:
    """Office hours for the dialplan: the days of the week, and the dates that differ from them, in a time zone."""

    zone: str
    days: tuple[DayPlan, ...]


@dataclass(frozen=True)
class DownPlan:
    """How the dialplan takes requests for a module while our service is down.

    The sounds are as Asterisk plays them, "" for none: the question, and what is said before and after the
    registration. A `silent` module asks nothing. `hours`: outside of them none is taken.
    """

    silent: bool = False
    intro: str = ""
    before: str = ""
    after: str = ""
    hours: HoursPlan | None = None


@dataclass(frozen=True)
class ModulePlan:
    """`next` is for callers who left a request, `error` for all others.

    `down` says how the dialplan takes requests alone, None: it takes none.
    """

    id: int
    code: str
    next: Destination
    error: Destination
    down: DownPlan | None = None

    @property
    def context(self) -> str:
        return module_context(self.id)

    @property
    def hours_context(self) -> str:
        return f"bazang-hours-{self.id}"


@dataclass(frozen=True)
class FormerCodePlan:
    """A code that a module had before, and where it leads."""

    code: str
    destination: Destination


@dataclass(frozen=True)
class ExtensionPlan:
    """`devices` as in a hint ("PJSIP/101&SIP/7"); `add_hint`: the PBX has no hint for it; `ring` in seconds.

    `has_scenario`: people have saved what happens to its callers.
    """

    extension: str
    devices: str
    hint_context: str
    add_hint: bool
    ring: int
    no_answer: Destination
    busy: Destination
    unavailable: Destination
    has_scenario: bool = True

    @property
    def context(self) -> str:
        return extension_context(self.extension) if self.has_scenario else plain_extension_context(self.extension)


@dataclass(frozen=True)
class QueuePlan:
    """`max_wait` in seconds."""

    queue: str
    max_wait: int
    failed: Destination


@dataclass(frozen=True)
class OfferPlan:
    """How the callers who wait in a queue get to its module, whose id and code these are.

    `key`: the one by which they leave the queue, "" if there is none. `callers`: from so many waiting callers on, those
    who come hear `sound` before they wait, 0: never. `callers_per_agent`: the same for each agent who is logged in and
    not paused. `sound`: as Asterisk plays it, "" for none.
    """

    module: int
    code: str
    queue: str
    key: str
    callers: int = 0
    callers_per_agent: int = 0
    sound: str = ""

    @property
    def context(self) -> str:
        """The context to which callers leave the queue."""
        return offer_context(self.module)

    @property
    def first_context(self) -> str:
        """The context in which callers hear the offer before they join the queue."""
        return f"bazang-first-offer-{self.module}"


@dataclass(frozen=True)
class Dialplan:
    """Everything the dialplan is rendered from. The two contexts are where calls to extensions and queues go.

    `agi_host`: the addresses of our workers, with commas between. `agi_secret` shows our service that a call comes from
    this dialplan. `numbers`: what may be dialled outside.
    `callers`: who may leave a request while our service is down.
    """

    modules: tuple[ModulePlan, ...]
    extensions: tuple[ExtensionPlan, ...]
    queues: tuple[QueuePlan, ...]
    profile: str  # asterisk or freepbx
    agi_host: str
    agi_port: int
    agi_secret: str
    extension_context: str
    queue_context: str
    numbers: NumberCheck
    former_codes: tuple[FormerCodePlan, ...] = ()
    offers: tuple[OfferPlan, ...] = ()
    callers: CallerCheck = field(default_factory=CallerCheck)
