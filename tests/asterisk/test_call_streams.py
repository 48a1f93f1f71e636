"""The model of the calls follows real calls of both versions of Asterisk, without a worker."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.telephony.ami import AmiClient
from app.telephony.calls import Calls, Talk
from script.office.asterisk import AsteriskOffice, OfficeSetup, QueueSetup
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone
from tests.telephony import call_streams
from tests.telephony.call_streams import CUSTOMER, TALKS, describe, make_calls, number_of

RECORD = os.environ.get("BAZANG_RECORD_STREAMS") == "1"
OUTSIDE, MOBILE, THIRD = "09121234567", "09350000001", "09360000001"
INSIDE = """
exten => _10X,1,Dial(PJSIP/${EXTEN},60,tT)
exten => 201,1,Dial(PJSIP/101&Local/09350000001@outbound,60)
exten => 300,1,Dial(Local/101@mailbox)
exten => 301,1,Answer()
 same => n,Wait(60)
exten => 302,1,Answer()
 same => n,BridgeWait()
exten => 400,1,Set(CALLERID(num)=09121234567)
 same => n,Dial(PJSIP/101,60)
exten => 500,1,Dial(PJSIP/09360000001@trunk,60)
exten => _80X,1,Answer()
 same => n,Queue(${EXTEN})
"""
DIALPLAN = f"""
[from-phones](+)
exten => _9X.,1,Dial(PJSIP/${{EXTEN:1}}@trunk,60)
exten => *7,1,PickupChan(PJSIP/101,p)
{INSIDE}
[from-trunk](+)
{INSIDE}
[mailbox]
exten => 101,1,Answer()
 same => n,Wait(60)
"""
SETUP: dict[str, Any] = {
    "extra_dialplan": DIALPLAN,
    "include_in_callers": False,
    "queues": [
        QueueSetup("800", {"102": 0}),
        QueueSetup("801", {"102": 0}, interface="Local/{number}@from-phones/n"),
    ],
}


@dataclass
class Exchange:
    """An Asterisk with its phones, and the model that is fed with its events."""

    asterisk: AsteriskOffice
    trunk: Phone
    phones: dict[str, Phone]
    ami: AmiClient
    calls: Calls = field(default_factory=make_calls)
    events: list[Any] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, event: Any) -> None:
        self.events.append(event)
        now = asyncio.get_running_loop().time()
        self.calls.handle(event, now)
        self.talks += self.calls.due(now)
        self.arrived.set()

    async def until(self, found: Callable[[], object], what: str) -> None:
        """Return when `found` is true. Whatever it depends on, an event brings it."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not found():
            assert asyncio.get_running_loop().time() < deadline, what
            self.arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.arrived.wait()

    async def talk(self, *extensions: str) -> None:
        """Return when the model has found a talk of each extension with the customer."""
        wanted = {(extension, CUSTOMER) for extension in extensions}
        await self.until(lambda: wanted <= {(e, n) for e, _, n in describe(self.talks)}, f"{wanted} talk")

    async def call_in(self, number: str) -> Call:
        return await self.trunk.call(number, caller=OUTSIDE)

    async def answer(self, phone: Phone) -> Call:
        call = await phone.next_call(PATIENCE)
        await call.answer()
        return call

    async def originate(self, channel: str, context: str, exten: str) -> None:
        headers = {"Channel": channel, "Context": context, "Exten": exten, "Priority": "1", "CallerID": "Click <101>"}
        await self.ami.originate(headers, {})


async def call_in(at: Exchange) -> None:
    await at.call_in("101")
    await at.answer(at.phones["101"])
    await at.talk("101")


async def prefix(at: Exchange) -> None:
    await at.phones["101"].call(f"9{OUTSIDE}")
    await at.answer(at.trunk)
    await at.talk("101")


async def late_caller_id(at: Exchange) -> None:
    await at.trunk.call("400", anonymous=True)
    await at.answer(at.phones["101"])
    await at.talk("101")


def click_to_call(channel: str) -> Callable[[Exchange], Awaitable[None]]:
    async def click(at: Exchange) -> None:
        await at.originate(channel, "outbound", OUTSIDE)
        await at.answer(at.phones["101"])
        await at.answer(at.trunk)
        await at.talk("101")

    return click


async def customer_first(at: Exchange) -> None:
    await at.originate(f"PJSIP/{OUTSIDE}@trunk", "from-phones", "101")
    await at.answer(at.trunk)
    await at.answer(at.phones["101"])
    await at.talk("101")


async def attended_transfer(at: Exchange) -> None:
    await at.call_in("102")
    first = await at.answer(at.phones["102"])
    await at.talk("102")
    second = await at.phones["102"].call("101")
    await at.answer(at.phones["101"])
    await second.wait_answered()
    await at.until(lambda: ("101", "", "102") in describe(at.talks), "102 asks 101")
    await first.transfer_to(second)
    await at.talk("101")


async def blind_transfer(at: Exchange) -> None:
    await at.call_in("102")
    first = await at.answer(at.phones["102"])
    await at.talk("102")
    await first.transfer("101")
    await at.answer(at.phones["101"])
    await at.talk("101")


async def feature_code(at: Exchange) -> None:
    await at.call_in("102")
    first = await at.answer(at.phones["102"])
    await at.talk("102")
    await first.press("#")
    await at.until(lambda: len(describe(at.talks)) and _is_held(at), "the customer hears music")
    await first.press("101")
    await at.answer(at.phones["101"])
    await at.talk("101")


def _is_held(at: Exchange) -> bool:
    return any(event.get("Event") == "MusicOnHoldStart" for event in at.events)


async def pickup(at: Exchange) -> None:
    await at.call_in("101")
    await at.phones["101"].next_call(PATIENCE)
    await (await at.phones["102"].call("*7")).wait_answered()
    await at.talk("102")


async def follow_me(at: Exchange) -> None:
    await at.call_in("201")
    await at.phones["101"].next_call(PATIENCE)
    await at.answer(at.trunk)
    await at.talk("101")


def nobody(number: str) -> Callable[[Exchange], Awaitable[None]]:
    async def call(at: Exchange) -> None:
        """The machine that answered is all that there is."""
        await (await at.call_in(number)).wait_answered()
        await at.until(lambda: CUSTOMER in {number_of(party) for party in at.calls.on_line()}, "the caller is known")

    return call


async def holding(at: Exchange) -> None:
    await at.call_in("302")
    await at.phones["101"].call("302")
    await at.until(lambda: _entered(at) == 2, "both wait")


def _entered(at: Exchange) -> int:
    return sum(event.get("Event") == "BridgeEnter" for event in at.events)


def queue(number: str) -> Callable[[Exchange], Awaitable[None]]:
    async def call(at: Exchange) -> None:
        await at.call_in(number)
        await at.answer(at.phones["102"])
        await at.talk("102")

    return call


async def inside(at: Exchange) -> None:
    await at.phones["101"].call("102")
    await at.answer(at.phones["102"])
    await at.until(lambda: len(at.talks) == 2, "they talk")


async def outside(at: Exchange) -> None:
    """A caller is sent to a number outside, on behalf of nobody."""
    await at.call_in("500")
    await at.answer(at.trunk)
    await at.until(lambda: _entered(at) == 2, "they talk")
    assert {number_of(party) for party in at.calls.on_line()} == {CUSTOMER, "+989360000001"}


CASES: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "call in": call_in,
    "prefix 9": prefix,
    "caller ID after Newchannel": late_caller_id,
    "click-to-call": click_to_call("PJSIP/101"),
    "click-to-call by Local": click_to_call("Local/101@from-phones"),
    "click-to-call by Local that stays": click_to_call("Local/101@from-phones/n"),
    "click-to-call, customer first": customer_first,
    "attended transfer": attended_transfer,
    "blind transfer": blind_transfer,
    "transfer by feature code": feature_code,
    "pickup": pickup,
    "follow-me": follow_me,
    "mailbox": nobody("300"),
    "announcement": nobody("301"),
    "holding bridge": holding,
    "queue": queue("800"),
    "queue of Local members": queue("801"),
    "inside": inside,
    "to the outside and back": outside,
}

# The lists hold neither the number of a channel that an Originate dialled, nor on whose behalf a mobile was dialled.
UNKNOWN_TO_LISTS = {"click-to-call, customer first", "follow-me"}


async def test_model_follows_real_calls(asterisk_version: int, tmp_path: Path) -> None:
    streams = {}
    async with AsteriskOffice(asterisk_version, tmp_path, OfficeSetup(**SETUP)) as asterisk:
        at: Exchange
        ami = AmiClient(
            "127.0.0.1",
            asterisk.ami_port,
            asterisk.ami_username,
            asterisk.ami_secret,
            on_event=lambda event: at.on_event(event),
        )
        at = Exchange(asterisk, await asterisk.trunk(), {n: await asterisk.phone(n) for n in call_streams.PHONES}, ami)
        await ami.start()
        await ami.wait_connected(PATIENCE)
        assert CASES.keys() == TALKS.keys()
        for case, play in CASES.items():
            at.events.clear()
            at.talks.clear()
            await play(at)
            if case not in UNKNOWN_TO_LISTS:
                await agrees_with_the_lists(at)
            for phone in (at.trunk, *at.phones.values()):
                for call in list(phone.active):
                    await call.hang_up()
            await at.until(lambda: len(at.calls) == 0, "all calls have ended")
            assert describe(at.talks) == TALKS[case], case
            streams[case] = call_streams.compact(at.events)
        await ami.stop()
    if RECORD:
        call_streams.save(asterisk_version, streams)


async def agrees_with_the_lists(at: Exchange) -> None:
    """A model that is filled from the lists knows the same talks as one that has seen all events.

    The lists are repeated until they agree: a channel that ends just then is in them, or in only one of them.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        channels, bridges = await at.ami.collect("CoreShowChannels"), await at.ami.collect("BridgeList")
        filled = make_calls()
        filled.fill(channels, bridges, 0.0)
        if describe(filled.due(0.0)) == describe(at.calls.current()):
            return
        assert time.monotonic() < deadline, [dict(row) for row in channels]
