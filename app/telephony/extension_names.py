"""Ask the PBX for the name of an extension: FreePBX has it in its database, others in the phone's caller ID."""

import re
from collections.abc import Sequence

from app.domain.text import displayable
from app.telephony.ami import AmiRefused
from app.telephony.devices import is_agent_name
from app.telephony.dialer import Ami

LONGEST = 80
_DEVICE = re.compile(r"(PJSIP|SIP)/([A-Za-z0-9_.-]{1,80})")
_CALLER_ID = re.compile(r'\s*(?:"(?P<quoted>.*)"|(?P<bare>[^<>"]*?))\s*<[^<>]*>\s*')


async def ask_name(ami: Ami, extension: str, devices: Sequence[str], profile: str) -> str:
    """Return the name of an extension, "" if the PBX has none. Raises AmiError."""
    if not is_agent_name(extension):
        return ""
    if profile == "freepbx":
        name = await _database_name(ami, extension)
        if name:
            return clean_name(name, extension)
    for device in devices:
        match = _DEVICE.fullmatch(device)
        if match is None:
            continue
        technology, peer = match.groups()
        function = f"PJSIP_ENDPOINT({peer},callerid)" if technology == "PJSIP" else f"SIPPEER({peer},callerid_name)"
        try:
            answer = await ami.send("Getvar", {"Variable": function})
        except AmiRefused:
            continue  # this PBX has no such function
        name = clean_name(_name_of(str(answer.get("Value", ""))), extension)
        if name:
            return name
    return ""


async def _database_name(ami: Ami, extension: str) -> str:
    try:
        rows = await ami.collect("DBGet", {"Family": f"AMPUSER/{extension}", "Key": "cidname"})
    except AmiRefused:
        return ""  # no such extension
    return next((str(row.get("Val", "")) for row in rows if row.get("Event") == "DBGetResponse"), "")


def _name_of(caller_id: str) -> str:
    """Return the name in a caller ID such as `"Sara" <101>`, `Sara <101>` or `Sara`."""
    found = _CALLER_ID.fullmatch(caller_id)
    if found is None:
        return "" if "<" in caller_id else caller_id.strip('" ')
    return (found["quoted"] or found["bare"] or "").replace('\\"', '"')


def clean_name(name: str, *meaningless: str) -> str:
    """Return a displayable name, "" if it only repeats one of the `meaningless` words."""
    shown = displayable(name, LONGEST)
    return "" if shown.lower() in {"unknown", "anonymous", *(word.lower() for word in meaningless)} else shown
