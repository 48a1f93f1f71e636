"""Read which extensions and queues lead their callers to our modules.

Where callers go who get no answer is read on FreePBX and Issabel only, from their dialplan. Where callers go who leave
a queue by a key is read from queues.conf and the dialplan of any PBX.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.domain.routing import LOCATION_PATTERN, Context, DestinationKind, Situation
from app.telephony import queue_config
from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami
from app.telephony.lookup import list_steps

EXTENSIONS, QUEUES = "ext-local", "ext-queues"  # the contexts that FreePBX generates
FAILED = "failed"  # the situation of a queue
_KEY = re.compile(r"[0-9*#]")
_SITUATIONS = {
    "NOANSWER": Situation.NO_ANSWER,
    "BUSY": Situation.BUSY,
    "CHANUNAVAIL": Situation.UNAVAILABLE,
}
_QUESTION = re.compile(r'"(NOANSWER|BUSY|CHANUNAVAIL)"')
_CUSTOM = re.compile(r"customdests?")  # the context of custom destinations in newer versions
Place = tuple[DestinationKind, str, str]  # kind and code of the owner, and the situation


class DestinationReader:
    """Ask a PBX. `read` keeps what it has asked about custom destinations until it returns."""

    def __init__(self, ami: Ami) -> None:
        self._ami = ami
        self._followed: dict[str, str] = {}

    async def read(self) -> dict[Place, str] | None:
        """Return the code of the module to which each place leads, None if we may not read it. Raises AmiError.

        A place that leads elsewhere or nowhere is left out.
        """
        self._followed = {}
        found: dict[Place, str] = {}
        place: Place
        try:
            for row in await self._steps(EXTENSIONS):
                question = _QUESTION.search(row.get("AppData", ""))
                if row.get("Application") == "GotoIf" and question is not None:
                    place = DestinationKind.EXTENSION, row.get("Extension", ""), _SITUATIONS[question[1]]
                    await self._add(found, place, row.get("AppData", "").rpartition("?")[2].partition(":")[0])
            for row in await self._steps(QUEUES):
                if row.get("Application") == "Goto":
                    place = DestinationKind.QUEUE, row.get("Extension", ""), FAILED
                    await self._add(found, place, row.get("AppData", ""))
        except AmiRefused:
            return None
        return found

    async def read_offers(self) -> dict[str, str] | None:
        """Return the code of the module to which callers can leave each queue by a key. Raises AmiError.

        A queue without such a key is left out. None if we may not read queues.conf, which needs the AMI right `config`.
        """
        self._followed = {}
        try:
            contexts = queue_config.parse(await self._ami.send("GetConfig", {"Filename": queue_config.FILE}), "context")
            found = {queue: await self._offered(context) for queue, context in contexts.items() if context}
        except AmiRefused:
            return None
        return {queue: code for queue, code in found.items() if code}

    async def _offered(self, context: str) -> str:
        """Return the code of the first module to which a key leads in a context, "" if none does."""
        for row in await self._steps(context):
            if row.get("Application") == "Goto" and _KEY.fullmatch(row.get("Extension", "")):
                code = await self._module(row.get("AppData", ""))
                if code:
                    return code
        return ""

    async def _add(self, found: dict[Place, str], place: Place, location: str) -> None:
        code = await self._module(location)
        if code:
            found[place] = code

    async def _module(self, location: str) -> str:
        """Return the code of the module at a location, "" if there is none. A custom destination is followed."""
        if not LOCATION_PATTERN.fullmatch(location):
            return ""
        context, extension, _ = location.split(",")
        if context == Context.MODULES:
            return extension
        if not _CUSTOM.fullmatch(context):
            return ""
        if location not in self._followed:
            self._followed[location] = _first_module(await self._steps(context, extension))
        return self._followed[location]

    async def _steps(self, context: str, extension: str = "") -> list[Mapping[str, Any]]:
        """Return the steps of a context, or of one extension in it. There are none if it does not exist."""
        steps = await list_steps(self._ami, context, extension) or []
        return [row for row in steps if row.get("Context") == context]


def _first_module(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the code of the module to which the first Goto or Gosub of these steps leads, "" if none does."""
    pattern = re.compile(rf"{Context.MODULES},([^,()]+),1\b.*")
    for row in rows:
        found = pattern.fullmatch(row.get("AppData", "")) if row.get("Application") in ("Goto", "Gosub") else None
        if found is not None:
            return found[1]
    return ""
