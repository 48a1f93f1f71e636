"""The main job once, with real calls: two requests are left, two agents become free, two customers are called back.

Everything is measured where it happens: at the phones. The two scenes run side by side, as they would in an office.
"""

import asyncio
import json
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import FIXED_KEYS, PROMPT_KEYS, age_text, default_text
from app.store.models import CallRequest
from script.office.asterisk import NoAsterisk
from script.office.bazang import Bazang
from script.office.demo_office import MEMBERS, PHONES, QUEUE, Customers, build_office, configure_office
from script.office.hearing import PromptListener
from script.office.phone import Call, Phone
from script.office.sound import RATE, read_ulaw

LANGUAGE = "en"
LONGEST = 85  # seconds: whatever goes wrong, the verdict comes
MAX_WAIT = 5  # seconds that a customer waits in the queue
TALK = 2 * RATE  # samples that each side says


@dataclass
class SceneResult:
    """What a scene has shown. `free_to_ring_ms`: from the agent's hang-up to the INVITE at the agent's phone."""

    registered: bool = False
    agent_rang: bool = False
    connected: bool = False
    free_to_ring_ms: float | None = None

    @property
    def good(self) -> bool:
        return self.registered and self.agent_rang and self.connected and self.free_to_ring_ms is not None


class StepFailed(Exception):
    """A step did not happen; the message says which."""


class OfficeRun:
    """The office with everybody in it, and what has been seen so far."""

    def __init__(self, bazang: Bazang, phones: dict[str, Phone], customers: Customers, began: float) -> None:
        self.bazang, self.phones, self.customers, self.began = bazang, phones, customers, began
        self.library = SoundLibrary(bazang.settings.prompts_path)
        self.heard: dict[str, bool] = {}

    def say(self, who: str, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.2f} s  {who}: {what}", flush=True)

    async def clip(self, text: str) -> Path:
        return (await asyncio.to_thread(self.library.synthesize, text, LANGUAGE)).path

    async def hears(self, who: str, ear: PromptListener, name: str, text: str) -> None:
        """Have `who` listen to a whole prompt. It is noted when it is not heard, and the scene goes on."""
        heard = await ear.hears(await self.clip(text))
        self.heard[f"{who} {name}"] = heard
        self.say(who, f'hears "{text}"' if heard else f"does NOT hear {name}")

    def request(self, number: str) -> CallRequest | None:
        """Return the request for a number in its national form."""
        return next((row for row in self.bazang.requests() if row.number == f"+98{number[1:]}"), None)

    async def request_is(self, number: str, *statuses: str, timeout: float = 10) -> CallRequest:
        def found() -> CallRequest | None:
            row = self.request(number)
            return row if row is not None and row.status in statuses else None

        return await self.bazang.until(found, timeout, f"the request of {number} is {statuses}")


@dataclass
class Scene:
    """One request from beginning to end: `dialled` is what the customer wants, `agent` serves it."""

    show: OfficeRun
    dialled: str
    agent: str
    number: str
    busy_with: str
    verdict: SceneResult

    async def play(self) -> None:
        """Play it. Raises Failed, and what the phones raise, at the first step without which it cannot go on."""
        busy = await self.show.customers.occupy(self.show.phones[self.agent], self.busy_with)
        self.show.say(f"agent {self.agent}", f"is in a call with {self.busy_with}")
        await self.leave_request()
        ring = await self.become_free(busy)
        await self.take(ring)
        customer = await self.reach_customer()
        await self.talk(ring, customer)
        await ring.hang_up()
        self.show.say(f"agent {self.agent}", "hangs up")
        await self.show.request_is(self.number, "done")
        self.show.say("Bazang", f"the request of {self.number} is done")

    async def leave_request(self) -> None:
        show, who = self.show, f"customer {self.number}"
        call = await show.customers.call(self.dialled, caller=self.number)
        show.say(who, f"calls {self.dialled}")
        await call.wait_answered()
        ear = PromptListener(call)
        if self.dialled == QUEUE:
            show.say(who, f"waits in queue {QUEUE}: all its members are in calls")
        await show.hears(who, ear, "intro", default_text("intro", LANGUAGE))
        await call.press("1")
        show.say(who, "presses 1")
        for key in ("before_success", "after_success"):
            await show.hears(who, ear, key, default_text(key, LANGUAGE))
        await show.request_is(self.number, "waiting")
        self.verdict.registered = True
        show.say("Bazang", f"the request of {self.number} is on record, for {self.dialled}")
        await call.wait_ended()
        show.say(who, "the call is over")

    async def become_free(self, busy: Call) -> Call:
        """The agent hangs up; return the call that rings at that phone thereupon."""
        freed = await busy.hang_up()
        self.show.say(f"agent {self.agent}", "hangs up and is free")
        ring = await self.show.phones[self.agent].next_call(10)
        if ring.remote != self.number:
            raise StepFailed(f"{self.agent} rings for {ring.remote!r} instead of {self.number}")
        self.verdict.agent_rang = True
        self.verdict.free_to_ring_ms = round((ring.began_at - freed) * 1000, 1)
        self.show.say(f"agent {self.agent}", f"rings, {self.verdict.free_to_ring_ms} ms after the hang-up")
        return ring

    async def take(self, ring: Call) -> None:
        """Answer, listen to who it is about, and press 1."""
        show, who = self.show, f"agent {self.agent}"
        await ring.answer()
        show.say(who, "answers")
        ear = PromptListener(ring)
        await show.hears(who, ear, "agent_intro", default_text("agent_intro", LANGUAGE))
        digits = [await ear.hears(await show.clip(digit), 2) for digit in self.number]
        show.heard[f"{who} digits"] = all(digits)
        show.say(who, f"hears the digits {' '.join(self.number)}" if all(digits) else f"digits heard: {digits}")
        await show.hears(who, ear, "age", age_text(self.age(), LANGUAGE))
        await show.hears(who, ear, "agent_keys", default_text("agent_keys", LANGUAGE))
        await ring.press("1")
        show.say(who, "presses 1")

    def age(self) -> int:
        """Return the age in minutes that the announcement had to tell: that of the moment of the dialling."""
        request = self.show.request(self.number)
        attempts = [a for a in self.show.bazang.attempts() if request is not None and a.request_id == request.id]
        if request is None or not attempts:
            raise StepFailed(f"no attempt is on record for {self.number}")
        return int((attempts[-1].started_at - request.registered_at).total_seconds() // 60)

    async def reach_customer(self) -> Call:
        who = f"customer {self.number}"
        customer = await self.show.customers.called(self.number)
        self.show.say(who, "rings")
        await customer.answer()
        self.show.say(who, "answers")
        return customer

    async def talk(self, ring: Call, customer: Call) -> None:
        """They are connected when the database says so and each hears what the other says."""
        await self.show.request_is(self.number, "connected")
        agent_says = read_ulaw(await self.show.clip(default_text("check_number", LANGUAGE)))[:TALK]
        customer_says = read_ulaw(await self.show.clip(default_text("enter_number", LANGUAGE)))[:TALK]
        customer_ear, agent_ear = PromptListener(customer), PromptListener(ring)
        ring.rtp.speak(agent_says)
        customer.rtp.speak(customer_says)
        both = await asyncio.gather(customer_ear.hears(agent_says), agent_ear.hears(customer_says))
        self.verdict.connected = all(both)
        heard = {True: "hears", False: "does NOT hear"}
        self.show.say(f"customer {self.number}", f"{heard[both[0]]} the agent")
        self.show.say(f"agent {self.agent}", f"{heard[both[1]]} the customer")


EXPECTED = 2 * 3 + 2 * 4  # prompts of two customers and two agents


async def play_once() -> int:
    """Play it in a folder of its own; the last line printed is the verdict. Return 0 if all of it is good."""
    verdicts = {"extension": SceneResult(), "queue": SceneResult()}
    heard: dict[str, bool] = {}
    version = None
    try:
        with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
            async with asyncio.timeout(LONGEST):
                began = time.monotonic()
                bazang = build_office(Path(folder), {number: f"secret{number}" for number in PHONES})
                version = bazang.asterisk.build.version
                configure_office(bazang, max_wait=MAX_WAIT, rest=0)
                async with bazang:
                    await _play(bazang, verdicts, heard, began)
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    prompts_heard = len(heard) == EXPECTED and all(heard.values())
    report = {name: asdict(verdict) for name, verdict in verdicts.items()}
    print(json.dumps(report | {"prompts_heard": prompts_heard, "asterisk": version}), flush=True)
    return 0 if prompts_heard and all(verdict.good for verdict in verdicts.values()) else 1


async def _play(bazang: Bazang, verdicts: dict[str, SceneResult], heard: dict[str, bool], began: float) -> None:
    customers = Customers(await bazang.asterisk.trunk())
    phones = {number: await bazang.asterisk.phone(number) for number in PHONES}
    await bazang.start_worker()
    show = OfficeRun(bazang, phones, customers, began)
    show.heard = heard
    for key in (*PROMPT_KEYS, *FIXED_KEYS):  # the first caller need not wait until they are spoken for the first time
        if text := default_text(key, LANGUAGE):
            await show.clip(text)
    show.say("office", f"Asterisk {bazang.asterisk.build.version} and the telephone service are ready")
    second = MEMBERS[1]
    await customers.occupy(phones[second], "09120000003")
    show.say(f"agent {second}", "is in a call with 09120000003, and stays in it")
    scenes = [
        Scene(show, "101", "101", "09121234567", "09120000001", verdicts["extension"]),
        Scene(show, QUEUE, MEMBERS[0], "09351112233", "09120000002", verdicts["queue"]),
    ]
    failures = [e for e in await asyncio.gather(*(s.play() for s in scenes), return_exceptions=True) if e is not None]
    for failure in failures:
        traceback.print_exception(failure)
    if failures:
        print(bazang.describe(), file=sys.stderr)
