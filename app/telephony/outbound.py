"""Ask Asterisk whether a customer's number can be dialled in the outbound context."""

from collections.abc import Iterable
from dataclasses import replace

from app.domain.outbound import Outbound, OutboundResult, Step, judge
from app.domain.routing import CONTEXT_PATTERN, EXTENSION_PATTERN
from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami
from app.telephony.lookup import InvalidLookup, has_location, list_steps

# FreePBX and Issabel include the context of each route there. This extension is in no other context.
ALL_ROUTES, _ITS_EXTENSION = "outbound-allroutes", "foo"


async def find_way_out(ami: Ami, context: str, number: str, agents: Iterable[str] = ()) -> Outbound:
    """Return what becomes of a number that the agents' calls dial in a context.

    A password does not count if FreePBX lets all of the agents call without. Raises AmiError and InvalidLookup.
    """
    if not CONTEXT_PATTERN.fullmatch(context) or not EXTENSION_PATTERN.fullmatch(number.removeprefix("+")):
        raise InvalidLookup(f"not allowed in a lookup: {context!r}, {number!r}")
    steps = await matching_steps(ami, context, number)
    if steps is None:
        return Outbound(OutboundResult.NO_CONTEXT)
    found = judge(steps)
    if found.result is OutboundResult.NO_ROUTE:
        # Asterisk does not list what is included for some hours only, nor what a switch finds elsewhere.
        found = await _way_at_times(ami, context, number) or found
        if not found.context and await has_location(ami, f"{context},{number},1"):
            return Outbound(OutboundResult.DIALLED, context)
    if found.result is OutboundResult.PASSWORD:
        asked = tuple(agents)
        if asked and all([await _is_pinless(ami, agent) for agent in asked]):
            return replace(found, result=OutboundResult.DIALLED)
    return found


async def _way_at_times(ami: Ami, context: str, number: str) -> Outbound | None:
    """Return what becomes of the number by an include with hours, None if there is none that leads on."""
    contexts = [context]
    if any(step.context == ALL_ROUTES for step in await matching_steps(ami, context, _ITS_EXTENSION) or ()):
        contexts.append(ALL_ROUTES)
    for each in contexts:
        for row in await list_steps(ami, each) or ():
            name, hours, _ = str(row.get("IncludeContext", "")).partition(",")
            found = judge(await matching_steps(ami, name, number) or ()) if hours else None
            if found is not None and found.result is not OutboundResult.NO_ROUTE:
                return found
    return None


async def matching_steps(ami: Ami, context: str, extension: str) -> list[Step] | None:
    """Return the steps of an extension in a context and in what it includes, None if there is no such context.

    Raises AmiError.
    """
    rows = await list_steps(ami, context, extension)
    if rows is None:
        return None
    found = [[str(row.get(name, "")) for name in ("Context", "Extension", "Application", "AppData")] for row in rows]
    return [Step(*values) for values in found if values[2]]


async def _is_pinless(ami: Ami, agent: str) -> bool:
    """Tell whether FreePBX lets an extension call without a password (Pinless Dialing)."""
    if not EXTENSION_PATTERN.fullmatch(agent):
        return False
    try:
        rows = await ami.collect("DBGet", {"Family": f"AMPUSER/{agent}", "Key": "pinless"})
    except AmiRefused:
        return False  # it has no such entry
    # IssabelPBX stores it in quotation marks.
    return any(str(row.get("Val", "")).strip('"') == "NOPASSWD" for row in rows)
