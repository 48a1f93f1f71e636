"""Originate and hang up calls, and read Asterisk's records of attempts."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.domain import numbers
from app.domain.dial_order import DialOrder
from app.domain.routing import Context
from app.telephony.ami import AmiError, AmiRefused
from app.telephony.attempts import ANSWER, AttemptFollower, agent_leg_id
from app.telephony.devices import channel_pattern, device_of_channel
from app.telephony.variables import FORBID, PROMPT_VARIABLES, RELEASE

log = logging.getLogger(__name__)
FAMILY = "bazang"  # family in Asterisk's database
_OUT_HALF = re.compile(rf"Local/[0-9]+@{Context.OUT}-[0-9a-f]+;2")
GRACE = 5  # seconds by which the Originate outlasts the ringing, so that the dialplan ends it


class Ami(Protocol):
    """The part of the AMI client that questions need."""

    async def send(self, action: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ...) -> Any: ...
    async def collect(self, action: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ...) -> list[Any]: ...
    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None: ...


class DialingAmi(Ami, Protocol):
    """The part of the AMI client that the dialer uses."""

    async def send(
        self,
        action: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = ...,
        *,
        variables: Mapping[str, str] | None = ...,
    ) -> Any: ...


@dataclass(frozen=True)
class CustomerSounds:
    """The sound files for the customer, as Asterisk sees them, "" for what is not played.

    `question`: what they are asked. `greeting` and `apology`: for those who are rung first, before they wait for the
    agent, and if no agent comes.
    """

    question: str = ""
    greeting: str = ""
    apology: str = ""


class MayNotDial(AmiError):
    """Another worker may lead by now. Nothing was sent."""


class Dialer:
    """Send the AMI actions of attempts. Keeps no state. It dials nothing while `may_dial` returns false.

    `interfaces` returns the interfaces by which an agent is a member of a queue.
    """

    def __init__(
        self,
        ami: DialingAmi,
        follower: AttemptFollower,
        *,
        may_dial: Callable[[], bool] = lambda: True,
        interfaces: Callable[[str, str], Iterable[str]] = lambda agent, queue: (),
    ) -> None:
        self._ami = ami
        self._follower = follower
        self._may_dial = may_dial
        self._interfaces = interfaces

    async def originate(
        self, order: DialOrder, prompt: Sequence[str], sounds: CustomerSounds = CustomerSounds()
    ) -> None:
        """Ring the agent, or the customer first. `prompt` are the sound files of the announcement.

        Return when Asterisk has accepted the order. Raises MayNotDial and the errors of the AMI client. After a refusal
        nothing rings.
        After a time-out or a lost connection it is unknown whether something rings.
        """
        await self._originate(
            order.attempt,
            {
                "Channel": f"Local/s@{Context.RESERVED if order.customer_first else Context.AGENT}/n",
                "Context": Context.FIRST if order.customer_first else Context.CUSTOMER,
                "Exten": "s",
                "Priority": "1",
                "CallerID": f'"Bazang" <{order.spoken}>',
                "Timeout": str((order.agent_ring + GRACE) * 1000),
            },
            variables(order, prompt, sounds, self._members_to_hold(order)),
        )

    def _members_to_hold(self, order: DialOrder) -> str:
        members = ((queue, each) for queue in order.held_queues for each in self._interfaces(order.agent, queue))
        return held_members(members)

    async def ring(self, call: str, extension: str, devices: str, hint: str, seconds: int) -> None:
        """Ring an extension for the phone call with the UUID `call`. Raises the errors of `originate`.

        `devices` and `hint` are as in `DialOrder`.
        """
        await self._originate(
            call,
            {
                "Channel": f"Local/s@{Context.AGENT}/n",
                "Context": Context.PHONE_CALL,
                "Exten": "s",
                "Priority": "1",
                "CallerID": '"Bazang" <Bazang>',
                "Timeout": str((seconds + GRACE) * 1000),
            },
            {
                "__BAZANG_ATTEMPT": call,
                "__BAZANG_AGENT": extension,
                **_line_variables(devices, hint),
                "__BAZANG_AGENT_RING": str(seconds),
            },
        )

    async def _originate(self, attempt: str, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        """Send the order. Nothing may be awaited between the question whether we may dial and the sending."""
        channels = {"ChannelId": attempt, "OtherChannelId": agent_leg_id(attempt)}
        if not self._may_dial():
            raise MayNotDial("this worker does not lead any more")
        self._follower.follow(attempt)
        await self._ami.originate({**headers, **channels}, variables)

    async def forbid(self, attempt: str) -> None:
        """Let the dialplan refuse an attempt that has not begun. One that has begun goes on. Raises AmiError.

        Its order may be on its way to Asterisk for as long as anything stands still: this worker, another one that led
        before, or Asterisk. The dialplan does it: Asterisk's database is closed to AMI users who may not run programs.
        The response comes when it is done.
        """
        call = {"Channel": f"Local/s@{FORBID}/n", "Context": FORBID, "Exten": "done", "Priority": "1"}
        await self._ami.send("Originate", call, variables={"__BAZANG_ATTEMPT": attempt})

    async def release(self, agent: str, members: Iterable[tuple[str, str]]) -> None:
        """End our pauses of an agent in queues. `members` are a queue and an interface each. Raises AmiError."""
        call = {"Channel": f"Local/s@{RELEASE}/n", "Context": RELEASE, "Exten": "done", "Priority": "1"}
        given = {"__BAZANG_AGENT": agent, "__BAZANG_HOLD": held_members(members)}
        await self._ami.send("Originate", call, variables=given)

    async def keep_paused(self, agent: str) -> None:
        """Let the dialplan not end the pause of an agent in queues: it is theirs by now. Raises AmiError."""
        await self._ami.send("Setvar", {"Variable": f"BAZANG_HELD_{agent}", "Value": ""})

    async def hang_up(self, attempt: str) -> None:
        """Hang up the call of an attempt, if there is one."""
        channel = self._follower.channel(attempt)
        if not channel:
            channels = [row.get("Channel", "") for row in await self._channels() if row.get("Uniqueid") == attempt]
            if not channels:
                return
            channel = channels[0]
        await self._ami.send("Hangup", {"Channel": channel})

    async def attempts_with_channels(self) -> dict[str, set[str]]:
        """Return the devices of all channels by Linkedid. The Linkedid of an attempt is its UUID."""
        found: dict[str, set[str]] = {}
        for row in await self._channels():
            found.setdefault(row.get("Linkedid", ""), set()).add(device_of_channel(row.get("Channel", "")))
        return found

    async def ask_for_response(self) -> None:
        """Return when Asterisk has responded. Raises AmiError."""
        await self._ami.send("Ping")

    async def customer_answered(self, attempt: str) -> bool:
        """Tell whether the customer has answered a call that the outbound context had answered before.

        Asterisk's record does not say it before the end of the call. Raises AmiError.
        """
        for row in await self._channels():
            channel = row.get("Channel", "")
            if row.get("Linkedid") != attempt or not _OUT_HALF.fullmatch(channel):
                continue
            status, peer = [await self._variable(channel, name) for name in ("DIALSTATUS", "DIALEDPEERNAME")]
            return status == ANSWER and not peer.startswith("Local/")
        return False

    async def _variable(self, channel: str, name: str) -> str:
        answer = await self._ami.send("Getvar", {"Channel": channel, "Variable": name})
        return str(answer.get("Value", ""))

    async def _channels(self) -> list[Any]:
        return await self._ami.collect("CoreShowChannels")

    async def record(self, attempt: str) -> str:
        """Return Asterisk's record of an attempt, "" if there is none. See `translate.record_outcome`."""
        return await read_record(self._ami, FAMILY, attempt)


async def read_record(ami: Ami, family: str, key: str) -> str:
    """Return a value of Asterisk's database, "" if there is none. Raises AmiError."""
    try:
        rows = await ami.collect("DBGet", {"Family": family, "Key": key})
    except AmiRefused as refusal:
        if "not found" in str(refusal).lower():
            return ""
        raise
    return next((row.get("Val", "") for row in rows if row.get("Event") == "DBGetResponse"), "")


def variables(
    order: DialOrder, prompt: Sequence[str], sounds: CustomerSounds = CustomerSounds(), hold: str = ""
) -> dict[str, str]:
    """Return the channel variables of an attempt. With two underscores, every leg inherits them.

    `hold`: the members who are paused meanwhile, see `held_members`.
    """
    return {
        "__BAZANG_ATTEMPT": order.attempt,
        "__BAZANG_AGENT": order.agent,
        **_line_variables(order.devices, order.hint),
        "__BAZANG_AGENT_RING": str(order.agent_ring),
        "__BAZANG_CUSTOMER_RING": str(order.customer_ring),
        # Without a number, nothing is dialled in the outbound context.
        "__BAZANG_NUMBER": "" if numbers.is_internal(order.number) else order.dialled,
        "__BAZANG_INSIDE": order.internal_devices,
        "__BAZANG_OUTBOUND": order.outbound_context,
        "__BAZANG_CALLER_ID": order.caller_id,
        "__BAZANG_FORGET": "&".join(order.forget),
        "__BAZANG_CONFIRMATION": order.agent_confirms,
        "__BAZANG_ASK": sounds.question,
        "__BAZANG_RESERVED": "1" if order.customer_first else "",
        "__BAZANG_GREETING": sounds.greeting,
        "__BAZANG_APOLOGY": sounds.apology,
        "__BAZANG_HOLD": hold,
        **_prompt_variables(prompt),
    }


def _line_variables(devices: str, hint: str) -> dict[str, str]:
    """Return the variables by which the guard checks whether the agent's line is free."""
    channels = channel_pattern(devices.split("&"))
    return {"__BAZANG_DEVICES": devices, "__BAZANG_CHANNELS": channels, "__BAZANG_HINT": hint}


_QUEUE_NAME, _INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,80}"), re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9_.@:/+*#-]{1,120}")
_HOLD_LENGTH = 900  # characters: Asterisk drops messages with a line of 1,024 bytes


def held_members(members: Iterable[tuple[str, str]]) -> str:
    """Return "queue/interface&…" for the dialplan. Members whose names it could misread are left out."""
    value = ""
    for queue, interface in members:
        fits = _QUEUE_NAME.fullmatch(queue) and _INTERFACE.fullmatch(interface)
        longer = f"{value}&{queue}/{interface}" if value else f"{queue}/{interface}"
        if fits and len(longer) <= _HOLD_LENGTH:
            value = longer
    return value


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
