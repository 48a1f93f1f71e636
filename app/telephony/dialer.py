"""Originate and hang up calls, and read Asterisk's records of attempts."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from app.domain.dial_order import DialOrder
from app.domain.routing import Context
from app.telephony.attempts import AttemptFollower, agent_leg
from app.telephony.variables import PROMPT_VARIABLES

log = logging.getLogger(__name__)
FAMILY = "bazang"  # family in Asterisk's database
GRACE = 5  # seconds by which the Originate outlasts the ringing, so that the dialplan ends it


class Ami(Protocol):
    """The part of the AMI client that this module uses."""

    async def send(self, action: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ...) -> Any: ...
    async def collect(self, action: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ...) -> list[Any]: ...
    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None: ...


class Dialer:
    """Send the AMI actions of attempts. Keeps no state."""

    def __init__(self, ami: Ami, follower: AttemptFollower) -> None:
        self._ami = ami
        self._follower = follower

    async def originate(self, order: DialOrder, prompt: Sequence[str]) -> None:
        """Ring the agent. `prompt` are the sound files of the announcement, as Asterisk sees them.

        Return when Asterisk has accepted the order. Raises the errors of the AMI client. After a refusal nothing rings.
        After a time-out or a lost connection it is unknown whether something rings.
        """
        self._follower.begin(order.attempt)
        await self._ami.originate(
            {
                "Channel": f"Local/s@{Context.AGENT}/n",
                "Context": Context.CUSTOMER,
                "Exten": "s",
                "Priority": "1",
                "CallerID": f'"Bazang" <{order.spoken}>',
                "Timeout": str((order.agent_ring + GRACE) * 1000),
                "ChannelId": order.attempt,
                "OtherChannelId": agent_leg(order.attempt),
            },
            variables(order, prompt),
        )

    async def ring(self, call: str, extension: str, devices: str, hint_context: str, seconds: int) -> None:
        """Ring an extension for the phone call with the UUID `call`. Raises the errors of `originate`."""
        self._follower.begin(call)
        await self._ami.originate(
            {
                "Channel": f"Local/s@{Context.AGENT}/n",
                "Context": Context.PHONE_CALL,
                "Exten": "s",
                "Priority": "1",
                "CallerID": '"Bazang" <Bazang>',
                "Timeout": str((seconds + GRACE) * 1000),
                "ChannelId": call,
                "OtherChannelId": agent_leg(call),
            },
            {
                "__BAZANG_ATTEMPT": call,
                "__BAZANG_AGENT": extension,
                "__BAZANG_DEVICES": devices,
                "__BAZANG_HINT": hint_context,
                "__BAZANG_AGENT_RING": str(seconds),
            },
        )

    async def hang_up(self, attempt: str) -> None:
        """Hang up the call of an attempt, if there is one."""
        channel = self._follower.channel(attempt)
        if not channel:
            channels = [row.get("Channel", "") for row in await self._channels() if row.get("Uniqueid") == attempt]
            if not channels:
                return
            channel = channels[0]
        await self._ami.send("Hangup", {"Channel": channel})

    async def attempts_with_channels(self) -> set[str]:
        """Return the Linkedids of all channels. The Linkedid of an attempt is its UUID."""
        return {row.get("Linkedid", "") for row in await self._channels()}

    async def _channels(self) -> list[Any]:
        return await self._ami.collect("CoreShowChannels")

    async def record(self, attempt: str) -> str:
        """Return Asterisk's record of an attempt, "" if there is none. See `translate.record_outcome`."""
        from app.telephony.ami import AmiRefused

        try:
            rows = await self._ami.collect("DBGet", {"Family": FAMILY, "Key": attempt})
        except AmiRefused as refusal:
            if "not found" in str(refusal).lower():
                return ""
            raise
        return next((row.get("Val", "") for row in rows if row.get("Event") == "DBGetResponse"), "")


def variables(order: DialOrder, prompt: Sequence[str]) -> dict[str, str]:
    """Return the channel variables of an attempt. With two underscores, every leg inherits them."""
    return {
        "__BAZANG_ATTEMPT": order.attempt,
        "__BAZANG_AGENT": order.agent,
        "__BAZANG_DEVICES": order.devices,
        "__BAZANG_HINT": order.hint_context,
        "__BAZANG_AGENT_RING": str(order.agent_ring),
        "__BAZANG_CUSTOMER_RING": str(order.customer_ring),
        "__BAZANG_NUMBER": order.dialled,
        "__BAZANG_INSIDE": order.internal_devices,
        "__BAZANG_OUTBOUND": order.outbound_context,
        "__BAZANG_CALLER_ID": order.caller_id,
        "__BAZANG_FORGET": "&".join(order.forget),
        **_prompt_variables(prompt),
    }


_PROMPT_LENGTH = 900  # characters per variable: Asterisk drops messages with a line of 1,024 bytes


def _prompt_variables(prompt: Sequence[str]) -> dict[str, str]:
    """Distribute the files over several variables. Concatenated, they read "a&b&c"."""
    values = [""]
    for file in prompt:
        piece = f"&{file}" if values != [""] else file
        if len(values[-1]) + len(piece) > _PROMPT_LENGTH:
            values.append("")
        values[-1] += piece
    if len(values) > PROMPT_VARIABLES:
        log.error("the prompt paths are too long: the agent hears only a part of the announcement")
    return {f"__BAZANG_PROMPT_{number}": value for number, value in enumerate(values[:PROMPT_VARIABLES], 1)}
