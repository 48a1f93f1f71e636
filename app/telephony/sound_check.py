"""Ask Asterisk itself whether it can read a sound: no other answer counts more.

A channel of ours reads the beginning of the file in the context READABLE and tells by an event how much it got. That
needs the rights `originate` and `user`. `Getvar` may not read files unless asterisk.conf has `live_dangerously`.
"""

import asyncio
from enum import StrEnum
from typing import Any

from app.telephony.ami import AmiUnsafe
from app.telephony.dialer import Ami
from app.telephony.variables import READABLE, READABLE_FILE

EVENT_SECONDS = 2.0
_HERE, _HEAD = "1", 4  # what the event says of a file that exists, and the bytes that are read of it


class Readable(StrEnum):
    YES = "yes"
    MISSING = "missing"  # there is no such file for Asterisk, or a folder above it is closed
    CLOSED = "closed"  # it is there, but cannot be read
    UNKNOWN = "unknown"  # Asterisk did not say


class SoundCheck:
    """Ask about one file after the other. `add` gets the events of the client."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def add(self, event: Any) -> None:
        if event.get("UserEvent") == READABLE:
            self._events.put_nowait(event)

    async def ask(self, ami: Ami, file: str) -> Readable:
        """Tell whether Asterisk can read a file, which is named as Asterisk sees it. Raises AmiError."""
        while not self._events.empty():
            self._events.get_nowait()
        call = {"Channel": f"Local/s@{READABLE}/n", "Application": "NoOp", "Timeout": "1000"}
        try:
            await ami.originate(call, {f"__{READABLE_FILE}": file})
        except AmiUnsafe:
            return Readable.UNKNOWN  # a comma in the path, for example
        try:
            async with asyncio.timeout(EVENT_SECONDS):
                event = await self._events.get()
        except TimeoutError:
            return Readable.UNKNOWN  # no right to see it, or an older dialplan of ours
        if event.get("Root") != _HERE:
            return Readable.UNKNOWN  # this Asterisk has no functions for files
        if event.get("Exists") != _HERE:
            return Readable.MISSING
        return Readable.YES if event.get("Read") == str(_HEAD) else Readable.CLOSED
