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

_DEVICE = re.compile(r"[A-Za-z0-9]{1,20}/[A-Za-z0-9_.*#@-]{1,80}")
TECHNOLOGIES = ("PJSIP", "SIP")
MISSING_STATES = frozenset({"", "INVALID", "UNKNOWN"})  # of a device that does not exist


class InvalidLookup(ValueError):
    """A value does not match its pattern, so Asterisk must not be asked about it."""


async def device_state(ami: Ami, device: str) -> str:
    """Return Asterisk's state of a device such as "PJSIP/101". Raises AmiError and InvalidLookup."""
    return await _get(ami, f"DEVICE_STATE({_validated(_DEVICE, device)})")


async def has_extension(ami: Ami, extension: str, context: str) -> bool:
    """Tell whether a phone of this number is set up, or `context` has the extension ("": no context).

    Raises AmiError and InvalidLookup.
    """
    _validated(EXTENSION_PATTERN, extension)
    for technology in TECHNOLOGIES:
        if await device_state(ami, f"{technology}/{extension}") not in MISSING_STATES:
            return True
    return bool(context) and await has_location(ami, f"{context},{extension},1")


async def has_queue(ami: Ami, queue: str) -> bool:
    """Tell whether there is such a queue. Raises AmiError and InvalidLookup."""
    return await _get(ami, f"QUEUE_EXISTS({_validated(QUEUE_PATTERN, queue)})") == "1"


async def has_location(ami: Ami, location: str) -> bool:
    """Tell whether the dialplan has this context,extension,priority. Raises AmiError and InvalidLookup."""
    return await _get(ami, f"DIALPLAN_EXISTS({_validated(LOCATION_PATTERN, location)})") not in ("", "0")


async def find_context(ami: Ami, contexts: Iterable[str], code: str) -> str:
    """Return the context in which a code leads to something other than our modules; "" if there is none.

    A context with exactly this code comes before one with a pattern. Raises AmiError and InvalidLookup.
    """
    _validated(EXTENSION_PATTERN, code)
    found: list[Mapping[str, Any]] = []
    for context in contexts:
        headers = {"Context": _validated(CONTEXT_PATTERN, context), "Extension": code}
        try:
            rows = await ami.collect("ShowDialPlan", headers)
        except AmiRefused as refusal:
            if "did not find" in str(refusal).lower():
                continue
            raise
        found += [row for row in rows if row.get("Context") and not is_module_context(row["Context"])]
    found.sort(key=lambda row: row.get("Extension") != code)
    return str(found[0]["Context"]) if found else ""


async def _get(ami: Ami, expression: str) -> str:
    answer = await ami.send("Getvar", {"Variable": expression})
    return str(answer.get("Value", ""))


def _validated(pattern: re.Pattern[str], value: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidLookup(f"not allowed in a lookup: {value!r}")
    return value
