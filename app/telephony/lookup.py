"""Ask Asterisk whether it has something. Questions become AMI headers, so each value must match its pattern."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.domain.routing import (
    CONTEXT_PATTERN,
    EXTENSION_PATTERN,
    LOCATION_PATTERN,
    QUEUE_PATTERN,
    is_module_context,
)
from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami

_DEVICE = re.compile(r"[A-Za-z0-9]{1,20}/[A-Za-z0-9_.*#@+/:-]{1,80}")
_CHANNEL = re.compile(r"[A-Za-z0-9]{1,20}/[A-Za-z0-9_.*#@+/:;-]{1,100}")
TECHNOLOGIES = ("PJSIP", "SIP")
MISSING_STATES = frozenset({"", "INVALID", "UNKNOWN"})  # of a device that does not exist


class InvalidLookup(ValueError):
    """A value does not match its pattern, so Asterisk must not be asked about it."""


async def device_state(ami: Ami, device: str) -> str:
    """Return Asterisk's state of a device such as "PJSIP/101". Raises AmiError and InvalidLookup."""
    return await get_value(ami, f"DEVICE_STATE({_validated(_DEVICE, device)})")


async def has_extension(ami: Ami, extension: str, context: str) -> bool:
    """Tell whether a phone of this number is set up, or `context` has the extension ("": no context).

    Raises AmiError and InvalidLookup.
    """
    _validated(EXTENSION_PATTERN, extension)
    for technology in TECHNOLOGIES:
        if await device_state(ami, f"{technology}/{extension}") not in MISSING_STATES:
            return True
    return bool(context) and await has_location(ami, f"{context},{extension},1")


async def withholds_number(ami: Ami, channel: str) -> bool:
    """Tell whether the caller on a channel withholds their number, which the trunk may report all the same.

    Events don't say it. Raises AmiError and InvalidLookup.
    """
    headers = {"Channel": _validated(_CHANNEL, channel), "Variable": "CALLERID(num-pres)"}
    answer = await ami.send("Getvar", headers)
    return str(answer.get("Value", "")).startswith("prohib")


async def shown_number(ami: Ami, device: str) -> str:
    """Return the number that the PBX gives to all calls of a phone such as "PJSIP/101"; "" if it gives none.

    Raises AmiError and InvalidLookup.
    """
    technology, _, name = _validated(_DEVICE, device).partition("/")
    field = {"PJSIP": f"PJSIP_ENDPOINT({name},callerid)", "SIP": f"SIPPEER({name},callerid_num)"}.get(technology)
    if field is None:
        return ""
    _, bracket, number = (await get_value(ami, field)).rpartition("<")
    return number.removesuffix(">") if bracket else number


async def has_queue(ami: Ami, queue: str) -> bool:
    """Tell whether there is such a queue. Raises AmiError and InvalidLookup."""
    return await get_value(ami, f"QUEUE_EXISTS({_validated(QUEUE_PATTERN, queue)})") == "1"


async def has_location(ami: Ami, location: str) -> bool:
    """Tell whether the dialplan has this context,extension,priority. Raises AmiError and InvalidLookup."""
    return await get_value(ami, f"DIALPLAN_EXISTS({_validated(LOCATION_PATTERN, location)})") not in ("", "0")


async def find_context(ami: Ami, contexts: Iterable[str], code: str) -> str:
    """Return the context in which a code leads to something other than our modules; "" if there is none.

    A context with exactly this code comes before one with a pattern. Raises AmiError and InvalidLookup.
    """
    _validated(EXTENSION_PATTERN, code)
    found: list[Mapping[str, Any]] = []
    for context in contexts:
        rows = await list_steps(ami, _validated(CONTEXT_PATTERN, context), code) or []
        found += [row for row in rows if row.get("Context") and not is_module_context(row["Context"])]
    found.sort(key=lambda row: row.get("Extension") != code)
    return str(found[0]["Context"]) if found else ""


async def list_steps(ami: Ami, context: str, extension: str = "") -> list[Mapping[str, Any]] | None:
    """Return the steps of a context and of those it includes, or only those for one extension.

    None if there is no such context. Raises AmiError.
    """
    headers = {"Context": context} | ({"Extension": extension} if extension else {})
    try:
        return await ami.collect("ShowDialPlan", headers)
    except AmiRefused as refusal:
        text = str(refusal).lower()
        if "did not find context" in text:
            return None
        if "did not find" in text:
            return []
        raise


async def get_value(ami: Ami, expression: str) -> str:
    """Return the value of a variable or function, "" if it has none. Raises AmiError."""
    answer = await ami.send("Getvar", {"Variable": expression})
    return str(answer.get("Value", ""))


def _validated(pattern: re.Pattern[str], value: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidLookup(f"not allowed in a lookup: {value!r}")
    return value
