"""Whose extension it is, as the exchange has it: on FreePBX in its database, else in the phone's own caller ID."""

import re
from collections.abc import Sequence

from app.domain.routing import EXTENSION_PATTERN
from app.domain.text import displayable
from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami

LONGEST = 80
_DEVICE = re.compile(r"(PJSIP|SIP)/([A-Za-z0-9_.-]{1,80})")
_CALLER_ID = re.compile(r'\s*(?:"(?P<quoted>.*)"|(?P<bare>[^<>"]*?))\s*<[^<>]*>\s*')


async def ask_name(ami: Ami, extension: str, devices: Sequence[str], profile: str) -> str:
    """Return the name of an extension, "" where the exchange has none. Raises AmiError."""
    if not EXTENSION_PATTERN.fullmatch(extension):
        return ""
    if profile == "freepbx":
        name = await _database_name(ami, extension)
        if name:
            return tidy(name, extension)
    for device in devices:
        known = _DEVICE.fullmatch(device)
        if known is None:
            continue
        technology, peer = known.groups()
        function = f"PJSIP_ENDPOINT({peer},callerid)" if technology == "PJSIP" else f"SIPPEER({peer},callerid_name)"
        try:
            answer = await ami.send("Getvar", {"Variable": function})
        except AmiRefused:
            continue  # the exchange has no such function
        name = tidy(_name_of(str(answer.get("Value", ""))), extension)
        if name:
            return name
    return ""


async def _database_name(ami: Ami, extension: str) -> str:
    try:
        rows = await ami.collect("DBGet", {"Family": f"AMPUSER/{extension}", "Key": "cidname"})
    except AmiRefused:
        return ""  # nobody of that number is there
    return next((str(row.get("Val", "")) for row in rows if row.get("Event") == "DBGetResponse"), "")


def _name_of(caller_id: str) -> str:
    """Return the name of `"Sara" <101>`, `Sara <101>` and `Sara`."""
    found = _CALLER_ID.fullmatch(caller_id)
    if found is None:
        return "" if "<" in caller_id else caller_id.strip('" ')
    return (found["quoted"] or found["bare"] or "").replace('\\"', '"')


def tidy(name: str, *meaningless: str) -> str:
    """Return a name as it may be stored and shown; "" for one that says no more than the number or device does."""
    shown = displayable(name, LONGEST)
    return "" if shown.lower() in {"unknown", "anonymous", *(word.lower() for word in meaningless)} else shown
