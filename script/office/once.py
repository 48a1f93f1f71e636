"""Make complete call-backs with real calls: register requests, free agents, connect customers.

The phones measure all times. All scenes run at the same time: two in a plain office, and on FreePBX and Issabel one for
each way that leads to a module.
"""

import asyncio
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import FIXED_KEYS, PROMPT_KEYS, age_text, default_text
from app.audio.spoken_numbers import group_text, number_groups
from app.services.prompts.voice import AGENT_RATE
from app.store.models import CallRequest
from script.office.asterisk import NoAsterisk
from script.office.bazang import Bazang
from script.office.demo_office import (
    BUSY,
    EXTENSION_CID,
    FOLLOWED,
    FORCED_CID,
    FREEPBX_MEMBERS,
    GROUP,
    GROUP_MEMBER,
    MEMBERS,
    MODULE_CID,
    OFF,
    PLAIN,
    QUEUE,
    SILENT,
    TRUNK_CID,
    Customers,
    build_office,
    configure_office,
    did,
    phones_of,
)
from script.office.hearing import PromptListener
from script.office.phone import Call, Phone
from script.office.sound import RATE, read_ulaw

LANGUAGE = "en"
START_LIMIT = 180  # seconds until the office is ready
TIME_LIMIT = 85  # seconds from then on until the result is printed in any case
TOO_SLOW = (
    f"The office was not ready after {START_LIMIT} seconds, or its calls were not over {TIME_LIMIT} seconds later, so "
    "they were ended. This happens on a machine that is busy with other work. Try again when it has less to do."
)
MAX_WAIT = 5  # seconds that a customer waits in the queue
TALK = 2 * RATE  # samples of speech from each side


@dataclass
class SceneResult:
    """The result of a scene. `free_to_ring_ms`: from the agent's hang-up to the INVITE at the agent's phone.

    `caller_id`: whether the customer saw the right number.
    """

    registered: bool = False
    agent_rang: bool = False
    connected: bool = False
    caller_id: bool = False
    free_to_ring_ms: float | None = None

    @property
    def is_good(self) -> bool:
        done = self.registered and self.agent_rang and self.connected and self.caller_id
        return done and self.free_to_ring_ms is not None


class StepFailed(Exception):
    """A step did not happen. The message says which."""


class OfficeRun:
    """A running office with its phones and customers, and the prompts heard so far."""

    def __init__(self, bazang: Bazang, phones: dict[str, Phone], customers: Customers, began: float) -> None:
        self.bazang, self.phones, self.customers, self.began = bazang, phones, customers, began
        self.library = SoundLibrary(bazang.settings.prompts_path)
        self.heard: dict[str, bool] = {}

    def print_event(self, who: str, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.2f} s  {who}: {text}", flush=True)

    async def clip(self, text: str, rate: int | None = None) -> Path:
        return (await asyncio.to_thread(self.library.synthesize, text, LANGUAGE, rate=rate)).path

    async def check_prompt(
        self, who: str, listener: PromptListener, name: str, text: str, rate: int | None = None
    ) -> None:
        """Wait until `who` has heard a whole prompt, and store whether it was heard. The scene continues either way."""
        heard = await listener.hears(await self.clip(text, rate))
        self.heard[f"{who} {name}"] = heard
        self.print_event(who, f'hears "{text}"' if heard else f"does NOT hear {name}")

    def request(self, number: str) -> CallRequest | None:
        """Return the request of a national number, or None."""
        return next((row for row in self.bazang.requests() if row.number == f"+98{number[1:]}"), None)

    async def wait_for_status(self, number: str, *statuses: str, timeout: float = 10) -> CallRequest:
        def found() -> CallRequest | None:
            row = self.request(number)
            return row if row is not None and row.status in statuses else None

        return await self.bazang.until(found, timeout, f"the request of {number} is {statuses}")

    async def wait_for_talk(self, number: str, timeout: float = 20) -> None:
        """Wait until agent and customer have talked so long that the request is done."""

        def lasted() -> bool:
            return any(attempt.talked_at for attempt in self.bazang.attempts() if attempt.number == row.number)

        row = await self.wait_for_status(number, "connected")
        await self.bazang.until(lasted, timeout, f"they have talked about the request of {number}")


Release = Callable[[], Awaitable[float]]  # makes the agent reachable; returns the time in monotonic seconds


@dataclass
class Scene:
    """One request from registration to completion. `dialled`: the called number. `agent`: the agent's extension.

    `shows`: the number that the customer must see, "" for any. `first_trunk_fails`: so the call goes by the second one.
    """

    office: OfficeRun
    name: str
    dialled: str
    agent: str
    number: str
    shows: str = ""
    first_trunk_fails: bool = False
    result: SceneResult = field(default_factory=SceneResult)

    async def play(self) -> None:
        """Play the scene. Raises StepFailed, or an error of a phone, if a required step fails."""
        release = await self.keep_away()
        await self.leave_request()
        ring = await self.free_agent(release)
        await self.answer_as_agent(ring)
        customer = await self.answer_as_customer()
        await self.check_connection(ring, customer)
        await self.office.wait_for_talk(self.number)
        await ring.hang_up()
        self.office.print_event(f"agent {self.agent}", "hangs up")
        await self.office.wait_for_status(self.number, "done")
        self.office.print_event("Bazang", f"the request of {self.number} is done")

    async def keep_away(self) -> Release:
        """Keep the agent from answering, by another call."""
        other = f"0912000{self.agent:0>4}"
        busy = await self.office.customers.occupy(self.office.phones[self.agent], other)
        self.office.print_event(f"agent {self.agent}", f"is in a call with {other}")

        async def hang_up() -> float:
            freed = await busy.hang_up()
            self.office.print_event(f"agent {self.agent}", "hangs up and is free")
            return freed

        return hang_up

    async def leave_request(self) -> None:
        office, who = self.office, f"customer {self.number}"
        for group in number_groups(self.number):  # as for the texts: nobody must wait for the synthesis
            await office.clip(group_text(group, LANGUAGE), AGENT_RATE)
        call = await office.customers.call(self.dialled, caller=self.number)
        office.print_event(who, f"calls {self.dialled} ({self.name})")
        await call.wait_answered()
        listener = PromptListener(call)
        await office.check_prompt(who, listener, "intro", default_text("intro", LANGUAGE))
        await call.press("1")
        office.print_event(who, "presses 1")
        for key in ("before_success", "after_success"):
            await office.check_prompt(who, listener, key, default_text(key, LANGUAGE))
        await office.wait_for_status(self.number, "waiting", "dialling")  # the agent may be free already
        self.result.registered = True
        office.print_event("Bazang", f"the request of {self.number} is registered ({self.name})")
        await call.wait_ended()
        office.print_event(who, "the call has ended")

    async def free_agent(self, release: Release) -> Call:
        """Make the agent reachable. Return the next call that rings at the agent's phone."""
        freed = await release()
        ring = await self.office.phones[self.agent].next_call(10)
        if ring.remote != self.number:
            raise StepFailed(f"{self.agent} rings for {ring.remote!r} instead of {self.number}")
        self.result.agent_rang = True
        self.result.free_to_ring_ms = round((ring.began_at - freed) * 1000, 1)
        self.office.print_event(f"agent {self.agent}", f"rings after {self.result.free_to_ring_ms} ms")
        return ring

    async def answer_as_agent(self, ring: Call) -> None:
        """Answer the call, listen to the announcement and press 1."""
        office, who = self.office, f"agent {self.agent}"
        await ring.answer()
        office.print_event(who, "answers")
        listener = PromptListener(ring)
        await office.check_prompt(who, listener, "agent_intro", default_text("agent_intro", LANGUAGE), AGENT_RATE)
        groups = number_groups(self.number)
        heard = [await listener.hears(await office.clip(group_text(g, LANGUAGE), AGENT_RATE), 3) for g in groups]
        office.heard[f"{who} number"] = all(heard)
        office.print_event(who, f"hears the number {' '.join(groups)}" if all(heard) else f"groups heard: {heard}")
        await office.check_prompt(who, listener, "age", age_text(self.age(), LANGUAGE), AGENT_RATE)
        await office.check_prompt(who, listener, "agent_keys", default_text("agent_keys", LANGUAGE), AGENT_RATE)
        await ring.press("1")
        office.print_event(who, "presses 1")

    def age(self) -> int:
        """Return the request's age in minutes at the time of dialling, as the announcement must give it."""
        request = self.office.request(self.number)
        attempts = [a for a in self.office.bazang.attempts() if request is not None and a.request_id == request.id]
        if request is None or not attempts:
            raise StepFailed(f"no attempt is stored for {self.number}")
        return int((attempts[-1].started_at - request.registered_at).total_seconds() // 60)

    async def answer_as_customer(self) -> Call:
        who = f"customer {self.number}"
        customer = await self.office.customers.wait_for_call(self.number)
        if self.first_trunk_fails:
            customer.reject(503)
            self.office.print_event(who, "the first trunk fails")
            customer = await self.office.customers.wait_for_call(f"2{self.number}")
        self.office.print_event(who, f"rings, and sees {customer.remote or 'no number'}")
        self.result.caller_id = not self.shows or customer.remote == self.shows
        await customer.answer()
        self.office.print_event(who, "answers")
        return customer

    async def check_connection(self, ring: Call, customer: Call) -> None:
        """Check that the request is connected and that each side hears the other."""
        await self.office.wait_for_status(self.number, "connected")
        agent_speech = read_ulaw(await self.office.clip(default_text("check_number", LANGUAGE)))[:TALK]
        customer_speech = read_ulaw(await self.office.clip(default_text("enter_number", LANGUAGE)))[:TALK]
        at_customer, at_agent = PromptListener(customer), PromptListener(ring)
        ring.rtp.speak(agent_speech)
        customer.rtp.speak(customer_speech)
        both = await asyncio.gather(at_customer.hears(agent_speech), at_agent.hears(customer_speech))
        self.result.connected = all(both)
        heard = {True: "hears", False: "does NOT hear"}
        self.office.print_event(f"customer {self.number}", f"{heard[both[0]]} the agent")
        self.office.print_event(f"agent {self.agent}", f"{heard[both[1]]} the customer")


class SilentScene(Scene):
    """The agent's phone rings for the customer, and nobody answers."""

    async def keep_away(self) -> Release:
        missed = asyncio.ensure_future(self.office.phones[self.agent].next_call(20))

        async def end() -> float:
            await (await missed).wait_ended()  # long ago; from then on the customer was in the module
            return time.monotonic()

        return end


class OffScene(Scene):
    """The agent's phone is not logged in, and logs in afterwards."""

    async def keep_away(self) -> Release:
        phone = self.office.phones[self.agent]
        await phone.register(expires=0)
        self.office.print_event(f"agent {self.agent}", "logs out")

        async def log_in() -> float:
            await phone.register()
            self.office.print_event(f"agent {self.agent}", "logs in")
            return time.monotonic()

        return log_in


PROMPTS_OF_SCENE = 3 + 4  # that a customer and an agent hear


def make_scenes(office: OfficeRun, profile: str) -> list[Scene]:
    """Return the scenes of an office, each with a customer and an agent of its own."""
    if profile == PLAIN:
        return [
            Scene(office, "extension", "101", "101", "09121234567"),
            Scene(office, "queue", QUEUE, MEMBERS[0], "09351112233"),
        ]
    number = "0935111{:0>4}".format
    return [
        Scene(office, "busy", did(BUSY), BUSY, number(BUSY), EXTENSION_CID),
        SilentScene(office, "no_answer", did(SILENT), SILENT, number(SILENT), TRUNK_CID),
        OffScene(office, "unavailable", did(OFF), OFF, number(OFF), TRUNK_CID),
        Scene(office, "queue", did(QUEUE), FREEPBX_MEMBERS[0], number(QUEUE), TRUNK_CID),
        Scene(office, "ring_group", did(GROUP), GROUP_MEMBER, number(GROUP), MODULE_CID),
        Scene(office, "follow_me", did(FOLLOWED), FOLLOWED, number(FOLLOWED), FORCED_CID, first_trunk_fails=True),
    ]


async def play_once(profile: str = PLAIN) -> int:
    """Play all scenes in a temporary folder and print the result as a JSON line. Return 0 if everything is good."""
    scenes: list[Scene] = []
    heard: dict[str, bool] = {}
    version = None
    limit: asyncio.Timeout | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
            async with asyncio.timeout(START_LIMIT) as limit:
                began = time.monotonic()
                secrets = {number: f"secret{number}" for number in phones_of(profile)}
                bazang = build_office(Path(folder), secrets, profile=profile)
                version = bazang.asterisk.build.version
                configure_office(bazang, profile=profile, max_wait=MAX_WAIT, rest=0)
                async with bazang:
                    await _play(bazang, profile, scenes, heard, began, limit)
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
    except Exception:
        if limit is not None and limit.expired():
            print(TOO_SLOW, file=sys.stderr)
        else:
            traceback.print_exc()
    prompts_heard = bool(scenes) and len(heard) == PROMPTS_OF_SCENE * len(scenes) and all(heard.values())
    report = {scene.name: asdict(scene.result) for scene in scenes}
    print(json.dumps(report | {"prompts_heard": prompts_heard, "asterisk": version}), flush=True)
    return 0 if prompts_heard and all(scene.result.is_good for scene in scenes) else 1


async def _play(
    bazang: Bazang, profile: str, scenes: list[Scene], heard: dict[str, bool], began: float, limit: asyncio.Timeout
) -> None:
    """Play the scenes of the office, and put them into `scenes`. `limit` is for the start; move it to that of calls."""
    customers = Customers(await bazang.asterisk.trunk())
    phones = {number: await bazang.asterisk.phone(number) for number in phones_of(profile)}
    office = OfficeRun(bazang, phones, customers, began)
    office.heard = heard
    office.print_event("office", "Asterisk runs, and the worker starts")
    await bazang.start_worker()
    office.print_event("office", "the sounds are made")
    for key in (*PROMPT_KEYS, *FIXED_KEYS):  # the first caller must not wait for the synthesis
        if text := default_text(key, LANGUAGE):
            await office.clip(text)
    office.print_event("office", f"Asterisk {bazang.asterisk.build.version} and the worker are ready")
    limit.reschedule(asyncio.get_running_loop().time() + TIME_LIMIT)
    second = MEMBERS[1] if profile == PLAIN else FREEPBX_MEMBERS[1]
    await customers.occupy(phones[second], "09120000003")
    office.print_event(f"agent {second}", "is in a call with 09120000003 and stays in it")
    scenes += make_scenes(office, profile)
    failures = [e for e in await asyncio.gather(*(s.play() for s in scenes), return_exceptions=True) if e is not None]
    for failure in failures:
        traceback.print_exception(failure)
    if failures:
        print(bazang.describe(), file=sys.stderr)
