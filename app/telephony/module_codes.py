"""Ask Asterisk where its dialplan sends callers to the codes of our modules, and whether phones can dial the codes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.outbound import Step
from app.domain.routing import CODE_PATTERN, CONTEXT_PATTERN, EXTENSION_PATTERN, Context
from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami
from app.telephony.lookup import get_value, has_location
from app.telephony.outbound import matching_steps

_OURS = "bazang-"
_LEADS = re.compile(rf"{Context.MODULES},([0-9*#]{{1,20}}),1|Local/([0-9*#]{{1,20}})@{Context.MODULES}")
_MISC, _FROM_INTERNAL = "ext-miscdests", "from-internal"  # contexts of FreePBX and Issabel
_NAMES = re.compile(rf"{_OURS}[a-z-]+")
_DIALS = re.compile(rf"{_FROM_INTERNAL},([0-9*#]{{1,20}}),1")


@dataclass(frozen=True)
class Lead:
    """An extension of the PBX's dialplan that sends its callers to a code of a module."""

    context: str
    extension: str
    code: str


async def find_leads(ami: Ami, dialplan: Iterable[Mapping[str, Any]]) -> tuple[Lead, ...]:
    """Return all places outside our dialplan that send callers to a code, in the order of the dialplan.

    `dialplan`: the rows of ShowDialPlan. Of the Misc Destinations of FreePBX, also those that dial what leads nowhere
    there: it may have been a code. Raises AmiError.
    """
    found: dict[Lead, None] = {}
    for row in dialplan:
        context, extension, data = (str(row.get(name, "")) for name in ("Context", "Extension", "AppData"))
        if context.startswith(_OURS):
            continue
        for code in (one or other for one, other in _LEADS.findall(data)):
            found[Lead(context, extension, code)] = None
        for code in _DIALS.findall(data) if context == _MISC else ():
            if (await leads_to(ami, _FROM_INTERNAL, code)) is None:
                found[Lead(context, extension, code)] = None
    return tuple(found)


def find_revisions(dialplan: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the revisions of our dialplan that the PBX has. `dialplan`: the rows of ShowDialPlan."""
    found = {str(row.get("Extension", "")) for row in dialplan if row.get("Context") == Context.REVISION}
    return frozenset(name.removeprefix("r") for name in found if name)


async def leads_to(ami: Ami, context: str, code: str) -> Step | None:
    """Return the first step of a code that is dialled in a context, None if it leads nowhere. Raises AmiError."""
    steps = await matching_steps(ami, context, code) or []
    return next((step for step in steps if not step.refuses), None)


async def missing_codes(ami: Ami, codes: Iterable[str]) -> tuple[str, ...]:
    """Return the codes of modules that our dialplan, as Asterisk runs it, does not have. Raises AmiError."""
    known = [code for code in codes if CODE_PATTERN.fullmatch(code)]
    return tuple([code for code in known if not await has_location(ami, f"{Context.MODULES},{code},1")])


async def phone_contexts(ami: Ami, extensions: Iterable[str]) -> tuple[str, ...]:
    """Return the contexts in which the phones of extensions dial, as far as Asterisk tells. Raises AmiError."""
    found: dict[str, None] = {}
    for extension in filter(EXTENSION_PATTERN.fullmatch, extensions):
        context = await _value(ami, f"PJSIP_ENDPOINT({extension},context)")
        found[context or await _value(ami, f"SIPPEER({extension},context)")] = None
    return tuple(context for context in found if CONTEXT_PATTERN.fullmatch(context))


async def _value(ami: Ami, question: str) -> str:
    """Return what a function says, "" if this PBX has no such phone or function."""
    try:
        return await get_value(ami, question)
    except AmiRefused:
        return ""
