"""Asks the exchange whether it has something. What is asked for ends up in an AMI header, so its form is held."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami

_EXTENSION = re.compile(r"[0-9*#]{1,20}")
_QUEUE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_PLACE = re.compile(r"[A-Za-z0-9_.-]{1,80},[A-Za-z0-9_*#.+-]{1,30},[0-9]{1,4}")
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_DEVICE = re.compile(r"[A-Za-z0-9]{1,20}/[A-Za-z0-9_.*#@-]{1,80}")
_OURS = re.compile(r"bazang-modules?(-[0-9]+)?")  # the contexts of the modules
TECHNOLOGIES = ("PJSIP", "SIP")
NOT_THERE = frozenset({"", "INVALID", "UNKNOWN"})  # states of a device that does not exist


class InvalidLookup(ValueError):
    """What is to be looked up has no form that the exchange may be asked by."""


async def device_state(ami: Ami, device: str) -> str:
    """Return the state of a device ("PJSIP/101") in the exchange's words. Raises AmiError."""
    return await _get(ami, f"DEVICE_STATE({_validated(_DEVICE, device)})")


async def has_extension(ami: Ami, extension: str, context: str) -> bool:
    """Tell whether a phone of this number is set up, or `context` ("": none) leads somewhere from it."""
    _validated(_EXTENSION, extension)
    for technology in TECHNOLOGIES:
        if await device_state(ami, f"{technology}/{extension}") not in NOT_THERE:
            return True
    return bool(context) and await has_destination(ami, f"{context},{extension},1")


async def has_queue(ami: Ami, queue: str) -> bool:
    return await _get(ami, f"QUEUE_EXISTS({_validated(_QUEUE, queue)})") == "1"


async def has_destination(ami: Ami, place: str) -> bool:
    """Tell whether the dialplan has this context,extension,priority."""
    return await _get(ami, f"DIALPLAN_EXISTS({_validated(_PLACE, place)})") not in ("", "0")


async def context_with(ami: Ami, contexts: Iterable[str], code: str) -> str:
    """Return the context in which something other than our modules answers at a code, "" if nothing does.

    One that has exactly this code is named before one that has it by a pattern. Raises AmiError.
    """
    _validated(_EXTENSION, code)
    found: list[Mapping[str, Any]] = []
    for context in contexts:
        try:
            rows = await ami.collect("ShowDialPlan", {"Context": _validated(_CONTEXT, context), "Extension": code})
        except AmiRefused as refusal:
            if "did not find" in str(refusal).lower():
                continue
            raise
        found += [row for row in rows if row.get("Context") and not _OURS.fullmatch(row["Context"])]
    found.sort(key=lambda row: row.get("Extension") != code)
    return str(found[0]["Context"]) if found else ""


async def _get(ami: Ami, expression: str) -> str:
    answer = await ami.send("Getvar", {"Variable": expression})
    return str(answer.get("Value", ""))


def _validated(pattern: re.Pattern[str], value: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidLookup(f"not to be looked up: {value!r}")
    return value
