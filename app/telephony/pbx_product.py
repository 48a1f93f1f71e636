"""Ask Asterisk which product writes its dialplan, and which of the usual contexts it has.

All questions need only the rights `call` and `reporting`. No global variable with a secret is read.
"""

from collections.abc import Iterable

from app.domain.outbound import OutboundResult
from app.domain.pbx_product import FREEPBX_GLOBALS, GENERATED, RINGING, Evidence, Product, recognize
from app.domain.routing import CONTEXT_PATTERN, LOCATION_PATTERN, is_module_context
from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami
from app.telephony.lookup import get_value, has_location, list_steps
from app.telephony.outbound import find_way_out

_OURS = "bazang-"
_DIALS = (OutboundResult.DIALLED, OutboundResult.PASSWORD)  # a route with a password is a route


async def find_product(ami: Ami) -> Product:
    """Return whose dialplan it is. Raises AmiError."""
    contexts = await existing_contexts(ami, GENERATED)
    if len(contexts) < len(GENERATED):
        return recognize(Evidence(contexts))
    names = [name for name in FREEPBX_GLOBALS if await get_value(ami, f"GLOBAL({name})")]
    try:
        steps = await list_steps(ami, RINGING, "s") or []
    except AmiRefused:
        return recognize(Evidence(contexts, names))
    return recognize(Evidence(contexts, names, {str(step.get("Application", "")) for step in steps}))


async def existing_contexts(ami: Ami, contexts: Iterable[str]) -> tuple[str, ...]:
    """Return those of the contexts that the dialplan has. Raises AmiError."""
    found = []
    for context in dict.fromkeys(contexts):
        if CONTEXT_PATTERN.fullmatch(context) and await get_value(ami, f"DIALPLAN_EXISTS({context})") == "1":
            found.append(context)
    return tuple(found)


async def list_contexts(ami: Ami) -> tuple[str, ...]:
    """Return the contexts of the whole dialplan except ours, in alphabetical order. Raises AmiError."""
    rows = await ami.collect("ShowDialPlan")
    names = {str(row.get("Context", "")) for row in rows}
    return tuple(sorted(name for name in names if CONTEXT_PATTERN.fullmatch(name) and not name.startswith(_OURS)))


async def dialling_contexts(ami: Ami, contexts: Iterable[str], number: str) -> tuple[str, ...]:
    """Return those of the contexts in which a number can be dialled; without a number, all that exist.

    Raises AmiError.
    """
    if not number:
        return await existing_contexts(ami, contexts)
    existing = [context for context in await existing_contexts(ami, contexts) if _is_askable(context, number)]
    return tuple([context for context in existing if await _dials(ami, context, number)])


def _is_askable(context: str, number: str) -> bool:
    return LOCATION_PATTERN.fullmatch(f"{context},{number},1") is not None


async def _dials(ami: Ami, context: str, number: str) -> bool:
    """Tell whether a context leads a number anywhere but to a refusal. What it includes counts."""
    try:
        found = await find_way_out(ami, context, number)
    except AmiRefused:  # the steps may not be read
        return await has_location(ami, f"{context},{number},1")
    return found.result in _DIALS and not is_module_context(found.context)
