"""Postpone the watchdog of a dialogue through AMI, while a command of FastAGI runs and no other can be sent.

A caller whose dialogue has stopped waits for the rest of the watchdog. So it never ends much later than the next step,
however long a sound is.
"""

import logging
from dataclasses import dataclass

from app.telephony.ami import AmiClient, AmiError, AmiRefused
from app.telephony.variables import DIALOGUE, WATCHDOG

log = logging.getLogger(__name__)
REPLY_SECONDS = 2.0


@dataclass
class DialogueChannel:
    """The channel that runs a dialogue. `dialogue` is its Uniqueid when the dialogue began.

    An attended transfer gives the dialogue another caller's channel, with another name and Uniqueid.
    """

    name: str
    dialogue: str


class Watchdog:
    def __init__(self, ami: AmiClient) -> None:
        self._ami = ami

    @property
    def available(self) -> bool:
        """Whether it can be postponed. Otherwise it has to last as long as the command."""
        return self._ami.connected

    async def postpone(self, channel: DialogueChannel, seconds: float) -> bool:
        """Let the watchdog of a channel end in so many seconds. Return whether the PBX has confirmed it."""
        return await self.set_variable(channel, WATCHDOG, f"{seconds:.1f}")

    async def set_variable(self, channel: DialogueChannel, name: str, value: str) -> bool:
        """Set a variable of a channel. Return whether the PBX has confirmed it."""
        try:
            try:
                await self._set(channel.name, name, value)
            except AmiRefused:
                channel.name = await self._find(channel.dialogue)
                await self._set(channel.name, name, value)
        except AmiError as error:
            log.info("cannot set %s of %s: %s", name, channel.name, error)
            return False
        return True

    async def _set(self, channel: str, name: str, value: str) -> None:
        if not channel:
            raise AmiRefused("the channel has no name")  # without one, Setvar sets a global variable
        headers = {"Channel": channel, "Variable": name, "Value": value}
        await self._ami.send("Setvar", headers, timeout=REPLY_SECONDS)

    async def _find(self, dialogue: str) -> str:
        """Return the name of the channel that has the variables of a dialogue. Raises AmiRefused if there is none."""
        wanted = f"{DIALOGUE}={dialogue}"
        for row in await self._ami.collect("Status", {"Variables": DIALOGUE}, timeout=REPLY_SECONDS):
            if row.get("Variable") == wanted and row.get("Channel"):
                return str(row["Channel"])
        raise AmiRefused("the channel is gone")
