"""A model of the exchange: the calls that our dialplan makes, their events and records, and how the people behave.

It follows `app/telephony/dialplan.conf.jinja`. What must not happen is found out from what rings here, not from what
Bazang believes.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from app.domain.routing import Context
from app.telephony.ami import AmiRefused
from app.telephony.attempts import agent_leg_id
from app.telephony.variables import FORBID, GIVEN_UP

Row = dict[str, str]
HINTS = "hints"  # the context of the hints
EPOCH = 1_772_352_000.0  # the exchange's clock at the beginning
NOBODY = "nobody"  # hung up, neither by the agent nor by the customer
KEYS = ("1", "1", "1", "1", "1", "1", "1", "2", "", "hang_up")
AGENTS = ("answers",) * 8 + ("no_answer", "busy", "rejects", "offline")
CUSTOMERS = ("answers",) * 6 + ("no_answer", "no_answer", "busy", "rejects", "congested", "unreachable")
# how a leg ends unanswered: DIALSTATUS, cause (Q.850), and the SIP status
UNANSWERED = {
    "no_answer": ("NOANSWER", "0", "180"),
    "busy": ("BUSY", "17", "486"),
    "rejects": ("BUSY", "21", "603"),
    "congested": ("CONGESTION", "34", "503"),
    "unreachable": ("NOANSWER", "1", "404"),
    "offline": ("CHANUNAVAIL", "20", "0"),
}
DEVICE_STATES = {"NOT_INUSE": "0", "INUSE": "1", "RINGING": "8"}  # and the bits of an ExtensionStatus


@dataclass
class Call:
    """A call of ours. `channels` are the names of its channels and their Uniqueids."""

    attempt: str
    agent: str
    number: str
    agent_ring: float
    customer_ring: float
    forget: tuple[str, ...]
    people: Random
    started: float
    is_aimed_at: bool = False  # the agent hangs up just when the worker has logged in again
    channels: dict[str, str] = field(default_factory=dict)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    customer: str = ""  # "ringing", "talking"; at the end of a call only if it died with the exchange
    rang_from: float = 0.0
    talked_from: float = 0.0

    @property
    def first(self) -> str:
        return f"Local/s@{Context.AGENT}-{self.attempt[:8]};1"

    @property
    def second(self) -> str:
        return f"Local/s@{Context.AGENT}-{self.attempt[:8]};2"

    @property
    def phone(self) -> str:
        return f"PJSIP/{self.agent}-{self.attempt[:8]}"

    @property
    def trunk(self) -> str:
        return f"PJSIP/trunk-{self.attempt[:8]}"


class Exchange:
    """The exchange and its phones. `emit` gives an event to who listens, `now` is the time in seconds.

    `on_agent_rings`, `on_customer_rings` and `on_talk` are called as soon as that happens.
    """

    def __init__(self, seed: str, agents: tuple[str, ...]) -> None:
        self._seed, self._loop = seed, asyncio.get_running_loop()
        self.calls: dict[str, Call] = {}
        self.states = dict.fromkeys(agents, "NOT_INUSE")
        self.records: dict[str, str] = {}
        self._journal: list[tuple[float, str, str | None]] = []  # what records were before they were written
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tried: dict[str, int] = {}
        self.is_dead = False
        self.deaths = 0
        self.frozen_until = 0.0
        self.aim: Callable[[], None] | None = None  # called when the next agent answers, before anybody is told
        self.logged_in = asyncio.Event()
        self.emit: Callable[[Row, bool], None] = lambda event, of_device: None
        self.on_agent_rings: Callable[[Call], None] = lambda call: None
        self.on_customer_rings: Callable[[Call], None] = lambda call: None
        self.on_talk: Callable[[Call], None] = lambda call: None
        self.on_end: Callable[[Call], None] = lambda call: None

    # -- what the manager interface does ---------------------------------------------------------------------------

    def carry_out(self, action: str, headers: Mapping[str, str], variables: Mapping[str, str]) -> list[Row]:
        """Carry out an action and return the rows of its answer. Raises AmiRefused."""
        match action:
            case "Originate" if headers["Context"] == FORBID:
                self._record(f"{GIVEN_UP}/{variables['__BAZANG_ATTEMPT']}", "1")
                return [{}]
            case "Originate":
                self._originate(headers, variables)
                return [{}]
            case "Ping":
                return [{}]
            case "Hangup":
                call = next((call for call in self.calls.values() if headers["Channel"] in call.channels), None)
                if call is None:
                    raise AmiRefused("No such channel")
                call.hung_up.set()
                return [{}]
            case "CoreShowChannels":
                return [
                    {"Event": "CoreShowChannel", "Channel": name, "Uniqueid": uniqueid, "Linkedid": call.attempt}
                    for call in self.calls.values()
                    for name, uniqueid in call.channels.items()
                ]
            case "DBGet":
                record = self.records.get(headers["Key"])
                if record is None:
                    raise AmiRefused("Database entry not found")
                return [{"Event": "DBGetResponse", "Val": record}]
            case "DeviceStateList":
                return [self._device_event(agent) for agent in self.states]
            case "ExtensionStateList":
                return [self._extension_event(agent) for agent in self.states]
        raise AssertionError(f"the model has no {action}")

    def _originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        number, attempt = variables["__BAZANG_NUMBER"], headers["ChannelId"]
        tried = self._tried[number] = self._tried.get(number, 0) + 1
        self.calls[attempt] = call = Call(
            attempt,
            variables["__BAZANG_AGENT"],
            number,
            float(variables["__BAZANG_AGENT_RING"]),
            float(variables["__BAZANG_CUSTOMER_RING"]),
            tuple(filter(None, variables["__BAZANG_FORGET"].split("&"))),
            Random(f"{self._seed}/{number}/{tried}"),
            self._loop.time(),
        )
        self._tasks[attempt] = self._loop.create_task(self._run(call))

    # -- a call ----------------------------------------------------------------------------------------------------

    async def _run(self, call: Call) -> None:
        try:
            await self._thawed()
            self._open_channel(call, call.first, call.attempt)
            self._open_channel(call, call.second, agent_leg_id(call.attempt))
            if f"{GIVEN_UP}/{call.attempt}" in self.records or self.states[call.agent] != "NOT_INUSE":
                self._agent_ended(call, guard="taken")
            elif await self._ring_agent(call):
                await self._serve(call)
            for channel in (call.second, call.first):
                self._close_channel(call, channel)
        finally:
            self.calls.pop(call.attempt, None)
            self._tasks.pop(call.attempt, None)
            self.on_end(call)

    async def _ring_agent(self, call: Call) -> bool:
        """Ring the agent. Return whether they answer."""
        does = call.people.choice(AGENTS)
        after = call.people.uniform(0.5, 15)
        self._record(call.attempt, "agent_dialled")
        if does == "offline":
            self._agent_ended(call, "CHANUNAVAIL", "20")
            return False
        self._open_channel(call, call.phone, f"{call.attempt}-3")
        self._set_state(call.agent, "RINGING")
        self.on_agent_rings(call)
        status, cause, _ = UNANSWERED.get(does, ("ANSWER", "16", "200"))
        if await self._wait(call, min(after, call.agent_ring) if does != "no_answer" else call.agent_ring):
            status, cause = "CANCEL", "26"
        elif does == "answers" and after < call.agent_ring:
            self._dial_end(call, call.phone, agent_leg_id(call.attempt), "ANSWER")
            self._set_state(call.agent, "INUSE")
            return True
        elif does in ("answers", "no_answer"):
            status, cause = "NOANSWER", "0"
        self._dial_end(call, call.phone, agent_leg_id(call.attempt), status)
        self._close_channel(call, call.phone, cause)
        self._set_state(call.agent, "NOT_INUSE")
        self._agent_ended(call, status, cause)
        return False

    def _agent_ended(self, call: Call, status: str = "", cause: str = "0", *, guard: str = "") -> None:
        """Run the hangup handler of the half that dials the agent."""
        if self.records.get(call.attempt) == "agent_dialled":
            self._record(call.attempt, "agent_answered" if status == "ANSWER" else f"agent_ended {status} {cause}")
        self._report(call, "agent_ended", Guard=guard, Status=status, Cause=cause)
        for attempt in call.forget:
            self._record(attempt, None)
            self._record(f"{GIVEN_UP}/{attempt}", None)

    async def _serve(self, call: Call) -> None:
        """Run the dialplan from the agent's answer on."""
        if self.aim is not None:
            aim, self.aim, call.is_aimed_at = self.aim, None, True
            aim()
        self._record(call.attempt, "agent_answered")
        self._report(call, "agent_answered")
        key = call.people.choice(KEYS)
        if await self._wait(call, call.people.uniform(1, 8)) or key == "hang_up":
            return await self._end(call, NOBODY if call.hung_up.is_set() else "agent", "agent_gone")
        if key != "1":
            await self._wait(call, 20 if not key else 0)
            return await self._end(call, NOBODY, "agent_refused" if key else "agent_silent")
        self._record(call.attempt, "customer_dialled")
        self._report(call, "customer_dialled")
        does = call.people.choice(CUSTOMERS)
        after = call.people.uniform(0.2, 20)
        abandons = call.people.random() < 0.05 and does != "congested"
        talks_for = call.people.choice((0.3, 3, 10, 60)) * call.people.uniform(0.8, 1.2)
        by_agent = call.people.random() < 0.5
        if does != "congested":
            call.customer, call.rang_from = "ringing", self._loop.time()
            self.on_customer_rings(call)
        self._open_channel(call, call.trunk, f"{call.attempt}-4")
        limit = call.customer_ring if does == "no_answer" else min(after, call.customer_ring)
        if await self._wait(call, limit / 2 if abandons else limit) or abandons:
            call.customer = ""
            self._dial_end(call, call.trunk, f"{call.attempt}-5", "CANCEL")
            self._close_channel(call, call.trunk)
            return await self._end(call, "agent", "customer", "CANCEL", "0", "far/CANCEL/0/180/")
        if does == "answers":
            return await self._talk(call, talks_for, "agent" if by_agent else "customer")
        status, cause, sip = UNANSWERED[does]
        call.customer = ""
        self._dial_end(call, call.trunk, f"{call.attempt}-5", status)
        self._close_channel(call, call.trunk, cause)
        await self._end(call, "customer", "customer", status, cause, f"far/{status}/{cause}/{sip}/1")

    async def _talk(self, call: Call, seconds: float, ends: str) -> None:
        self._dial_end(call, call.trunk, f"{call.attempt}-5", "ANSWER")
        call.customer, call.talked_from = "talking", self._loop.time()
        self.on_talk(call)
        self._record(call.attempt, f"connected {self._clock():.3f}")
        self._report(call, "connected")
        if await self._wait(call, seconds):
            ends = NOBODY
        elif call.is_aimed_at:
            await self.logged_in.wait()
            await asyncio.sleep(call.people.uniform(0, 0.1))
            ends = "agent"
        call.customer = ""
        if ends != "agent":
            self._close_channel(call, call.trunk)
        await self._end(call, ends, "customer", "ANSWER", "16")
        self._close_channel(call, call.trunk)

    async def _end(self, call: Call, ends: str, end: str, status: str = "", cause: str = "16", far: str = "") -> None:
        """End a call whose agent had answered. Both halves of the Local channel end in threads of their own."""

        async def first_half() -> None:
            record = self.records.get(call.attempt)
            talk = ""
            if record is not None:
                if record.startswith("connected "):
                    talk = f"{self._clock() - float(record.removeprefix('connected ')):.3f}"
                self._record(call.attempt, f"ended {end} {status} {cause} {far} {talk}")
            self._report(call, "ended", End=end, Status=status, Cause=cause, Far=far, Talk=talk)

        async def second_half() -> None:
            self._agent_ended(call, "ANSWER", "16")

        if ends == "agent":
            self._close_channel(call, call.phone)
            self._set_state(call.agent, "NOT_INUSE")
        halves = [first_half, second_half]
        if call.people.random() < (0.8 if ends == "agent" else 0.2):
            halves.reverse()
        for half in halves:
            await asyncio.sleep(call.people.uniform(0, 0.02))
            await self._thawed()
            await half()
        if ends != "agent":
            self._close_channel(call, call.phone)
            self._set_state(call.agent, "NOT_INUSE")

    async def _wait(self, call: Call, seconds: float) -> bool:
        """Wait for what somebody does. Return whether the call was hung up from outside before."""
        try:
            async with asyncio.timeout(seconds):
                await call.hung_up.wait()
        except TimeoutError:
            pass
        await self._thawed()
        return call.hung_up.is_set()

    async def _thawed(self) -> None:
        if (left := self.frozen_until - self._loop.time()) > 0:
            await asyncio.sleep(left)

    def _clock(self) -> float:
        """Return the seconds of the exchange's own clock."""
        return EPOCH + self._loop.time()

    # -- other calls -----------------------------------------------------------------------------------------------

    async def use_phone(self, agent: str, seconds: float) -> None:
        """Let an agent make another call, if the phone is free."""
        if self.is_dead or self.states[agent] != "NOT_INUSE":
            return
        self._set_state(agent, "INUSE")
        key = f"{agent}/{self._loop.time()}"

        async def run() -> None:
            try:
                await asyncio.sleep(seconds)
                await self._thawed()
                self._set_state(agent, "NOT_INUSE")
            finally:
                self._tasks.pop(key, None)

        self._tasks[key] = self._loop.create_task(run())

    # -- death and life --------------------------------------------------------------------------------------------

    def die(self, lost_seconds: float) -> None:
        """Die: all calls end without a word. What was written in the last seconds is not on the disk."""
        self.is_dead = True
        self.deaths += 1
        for task in list(self._tasks.values()):
            task.cancel()
        since = self._loop.time() - lost_seconds
        while self._journal and self._journal[-1][0] > since:
            _, key, before = self._journal.pop()
            if before is None:
                self.records.pop(key, None)
            else:
                self.records[key] = before
        self.states = dict.fromkeys(self.states, "NOT_INUSE")

    def come_back(self) -> None:
        self.is_dead = False

    # -- events ----------------------------------------------------------------------------------------------------

    def _record(self, attempt: str, value: str | None) -> None:
        self._journal.append((self._loop.time(), attempt, self.records.get(attempt)))
        if value is None:
            self.records.pop(attempt, None)
        else:
            self.records[attempt] = value

    def _report(self, call: Call, step: str, **fields: str) -> None:
        event = {"Event": "UserEvent", "UserEvent": "Bazang", "Attempt": call.attempt, "Step": step}
        self.emit({**event, **fields}, False)

    def _open_channel(self, call: Call, channel: str, uniqueid: str) -> None:
        call.channels[channel] = uniqueid
        event = {"Event": "Newchannel", "Channel": channel, "Uniqueid": uniqueid, "Linkedid": call.attempt}
        self.emit({**event, "ChannelState": "5"}, False)

    def _close_channel(self, call: Call, channel: str, cause: str = "16") -> None:
        uniqueid = call.channels.pop(channel, None)
        if uniqueid is not None:
            event = {"Event": "Hangup", "Channel": channel, "Uniqueid": uniqueid, "Linkedid": call.attempt}
            self.emit({**event, "Cause": cause}, False)

    def _dial_end(self, call: Call, channel: str, uniqueid: str, status: str) -> None:
        event = {"Event": "DialEnd", "Uniqueid": uniqueid, "DestChannel": channel, "DestLinkedid": call.attempt}
        self.emit({**event, "DialStatus": status}, False)

    def _set_state(self, agent: str, state: str) -> None:
        self.states[agent] = state
        self.emit(self._device_event(agent), True)
        self.emit(self._extension_event(agent), True)

    def _device_event(self, agent: str) -> Row:
        return {"Event": "DeviceStateChange", "Device": f"PJSIP/{agent}", "State": self.states[agent]}

    def _extension_event(self, agent: str) -> Row:
        status = DEVICE_STATES[self.states[agent]]
        return {
            "Event": "ExtensionStatus",
            "Exten": agent,
            "Context": HINTS,
            "Hint": f"PJSIP/{agent}",
            "Status": status,
        }
