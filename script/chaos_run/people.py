"""Play the customers and agents of a plan on their phones, and write what the phones see into the history."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress

from script.chaos_run.history import History
from script.chaos_run.judge import (
    CONFIRMATION,
    GONE,
    LEAVES,
    PRESSES_1,
    PRESSES_9,
    SILENCE,
    TRANSFERS,
    WITHDRAWN,
    identity,
)
from script.chaos_run.plan import AGENTS, ENTRIES, Customer, Plan
from script.office.hearing import KnownPrompt, Recognizer
from script.office.phone import Call, CallFailed, Phone
from script.office.sound import RATE

LOOK_SECONDS = 0.1  # between two looks at the sound of a call
SEARCHED = 3 * RATE  # samples; a look is never so late
REPEAT_SECONDS = 0.7  # between two presses of one's identity
RING_SECONDS = 0.4  # until somebody picks up
SILENT_SECONDS = 8.0  # after which a customer hangs up who hears nobody
AGENT_WAITS = 45.0  # seconds for the customer
DIALOGUE_SECONDS = 60.0
STAY_SECONDS = 25.0
TRANSFER_SECONDS = 2.0  # after which the phone leaves the call
UNPLUGGED_SECONDS = 12.0
HANG_UP_SECONDS = 5.0  # until a phone gives up a call whose end nobody confirms
CALLS_AGAIN_AFTER = 4.0  # seconds
TRIES = 6  # calls of a customer who is not registered; each pause is longer by CALLS_AGAIN_AFTER
OURS = '"Bazang"'  # the display name of the calls that Bazang makes to agents


class Line:
    """A call at a phone, and what its person hears. `number` is the customer's."""

    def __init__(self, people: "People", call: Call, phone: str, number: str) -> None:
        self.people, self.call, self.phone, self.number = people, call, phone, number
        self.id = next(people.ids)
        self.ours = call.incoming and call.invite is not None and call.invite["from"].startswith(OURS)
        self.heard: list[str] = []
        self.talks = False  # the other side is heard
        self.by = "pbx"
        self.news = asyncio.Event()
        side = "customer" if phone == "trunk" else "agent"
        self._moments = side if self.ours or (side == "customer" and call.incoming) else ""
        people.history.write(
            "call",
            at=call.began_at,
            moment=f"{self._moments}_rings" if self._moments else "",
            call=self.id,
            phone=phone,
            incoming=call.incoming,
            number=number,
            dialled="" if call.incoming else call.remote,
            ours=self.ours,
        )

    @property
    def is_over(self) -> bool:
        return self.call.ended.is_set()

    def act(self, act: str, moment: str = "") -> None:
        self.people.history.write("act", moment=moment, call=self.id, act=act)

    async def watch(self) -> None:
        """Write what happens in this call until it ends."""
        history, recognizer = self.people.history, Recognizer(self.people.prompts, SEARCHED)
        answered, keys = False, ""
        while True:
            over = self.is_over
            if self.call.answered.is_set() and not answered:
                answered = True
                moment = f"{self._moments}_answers" if self._moments else ""
                history.write("answered", at=self.call.answered_at, moment=moment, call=self.id)
            if self.call.rtp.keys_heard != keys:
                keys = self.call.rtp.keys_heard
                self._hear_keys(keys)
            # who has heard the other side needs no prompt any more
            prompt = recognizer.hear(self.call.rtp.received) if answered and not self.talks else None
            if prompt is not None:
                self.heard.append(prompt.key)
                moment = "acknowledged" if prompt.key == CONFIRMATION else ""
                history.write("prompt", moment=moment, call=self.id, prompt=prompt.key)
                self.news.set()
            if over:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.call.ended.wait()
        moment = "talk_ends" if self.talks and self._moments == "customer" else ""
        by, status = self.by, self.call.status
        history.write("ended", at=self.call.ended_at, moment=moment, call=self.id, by=by, status=status)
        self.news.set()

    def _hear_keys(self, keys: str) -> None:
        others = AGENTS if self.phone == "trunk" else (identity(self.number),)
        begins = not self.talks and any(other in keys for other in others)
        self.talks = self.talks or begins
        moment = "talk" if begins and self._moments == "customer" else ""
        self.people.history.write("keys", moment=moment, call=self.id, keys=keys)
        self.news.set()

    async def wait(self, seconds: float, *until: str) -> str:
        """Return the next of these prompts, "talk" when the other side is heard, "" after the time or the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.is_over:
                    if self.talks and "talk" in until:
                        return "talk"
                    found = next((prompt for prompt in self.heard if prompt in until), "")
                    if found:
                        self.heard = self.heard[self.heard.index(found) + 1 :]
                        return found
                    self.news.clear()
                    await self.news.wait()
        return ""

    async def wait_over(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await self.call.wait_ended(seconds)

    async def press(self, keys: str, act: str = "", moment: str = "") -> None:
        if not self.is_over:
            if act:
                self.act(act, moment)
            await self.call.press(keys)

    def reject(self, status: int, act: str) -> None:
        if not self.is_over:
            self.act(act)
            self.by = "phone"
            self.call.reject(status)

    async def hang_up(self, act: str = "hangs up") -> None:
        """Hang up. A phone whose PBX does not react gives the call up."""
        if self.is_over:
            return
        self.act(act)
        self.by = "phone"
        try:
            async with asyncio.timeout(HANG_UP_SECONDS):
                await self.call.hang_up()
        except TimeoutError:
            self.call.end(0)

    def cut(self) -> None:
        """End the call because the PBX died."""
        if not self.is_over:
            self.by = "cut"
            self.call.end(0)


class People:
    """Everybody with a phone. `trunk` is the phone of all customers."""

    def __init__(
        self, plan: Plan, history: History, trunk: Phone, phones: Mapping[str, Phone], prompts: Sequence[KnownPrompt]
    ) -> None:
        self.plan, self.history, self.prompts = plan, history, prompts
        self.ids = itertools.count(1)
        self.lines: dict[Call, Line] = {}
        self.route_is_down = False
        self.may_leave = asyncio.Event()  # cleared: nobody who talks hangs up
        self.may_leave.set()
        self.is_quiet = False  # from now on, everybody answers
        self.errors: list[BaseException] = []
        self._trunk, self._phones = trunk, phones
        self._customers = {customer.number: customer for customer in plan.customers}
        self._counts: Counter[str] = Counter()  # calls that a person got
        self._served: set[str] = set()  # numbers of customers who have talked
        self._tasks: set[asyncio.Task[None]] = set()
        trunk.on_call = self._ring_customer
        for phone in phones.values():
            phone.call_waiting = True  # a second call is seen here, and rejected
            phone.on_call = self._ring_agent

    def open_lines(self) -> list[Line]:
        return [line for line in self.lines.values() if not line.is_over]

    def spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception as error:
            self.errors.append(error)

    def cut_all(self) -> None:
        """The PBX has died: phones notice that no sound comes any more."""
        for line in self.open_lines():
            line.cut()

    def hang_up_talking_agents(self) -> None:
        self.may_leave.set()
        for line in self.open_lines():
            if line.ours and line.talks:
                self.spawn(line.hang_up("hangs up just after the log-in"))

    def _open(self, call: Call, phone: str, number: str) -> Line:
        line = self.lines[call] = Line(self, call, phone, number)
        self.spawn(line.watch())
        return line

    # -- customers ------------------------------------------------------------------------------------------------

    async def play_callers(self) -> None:
        """Let all customers call in, and return when all dialogues are over."""
        async with asyncio.TaskGroup() as group:
            for customer in self.plan.customers:
                group.create_task(self._guarded(self._play_caller(customer)))

    async def _play_caller(self, customer: Customer) -> None:
        await asyncio.sleep(max(0, customer.at - self.history.elapsed))
        for number in range(TRIES):
            if await self._call_in(customer, customer.entry, customer.dialogue):
                break
            await self._wait_for_callback(customer)
            if customer.number in self._served:
                break
            if number + 1 < TRIES:
                await asyncio.sleep(CALLS_AGAIN_AFTER * (number + 1))
        if customer.dialogue in ("register_again", "withdraw"):
            await asyncio.sleep(CALLS_AGAIN_AFTER)
            code = ENTRIES[customer.entry] if customer.entry in ("800", "801") else customer.entry
            await self._call_in(customer, code, customer.dialogue, again=True)
        elif customer.dialogue == "second_module":
            await self._call_in(customer, customer.second_entry, "register")

    async def _wait_for_callback(self, customer: Customer) -> None:
        """Nobody calls in while they are called."""
        for line in self.open_lines():
            if line.number == customer.number and line.phone == "trunk":
                await line.wait_over(DIALOGUE_SECONDS)

    async def _call_in(self, customer: Customer, entry: str, dialogue: str, *, again: bool = False) -> bool:
        """Play a dialogue. Return whether the customer has got what they wanted."""
        call = await self._trunk.call(entry, caller=customer.number)
        line = self._open(call, "trunk", customer.number)
        try:
            await call.wait_answered(25)
            async with asyncio.timeout(DIALOGUE_SECONDS):
                return await self._converse(line, customer, dialogue, again)
        except (CallFailed, TimeoutError):
            return False
        finally:
            await line.hang_up()

    async def _converse(self, line: Line, customer: Customer, dialogue: str, again: bool) -> bool:
        found = await line.wait(30, "intro", "has_open", "talk")
        if found == "talk":
            await self._talk_as_customer(line, customer)
            return True
        if found == "has_open":
            withdraws = again and dialogue == "withdraw"
            await line.press("9" if withdraws else "1", PRESSES_9 if withdraws else PRESSES_1)
            await line.wait(10, WITHDRAWN if withdraws else CONFIRMATION)
            await line.wait_over(3)
            return True
        if found == "intro":
            if dialogue == "hang_up_at_intro":
                await line.hang_up()
                return True
            if dialogue == "decline" or again:
                await line.press("0", "presses 0")
                await line.wait_over(5)
                return True
            await line.press("1", PRESSES_1, "presses_1")
            if dialogue == "hang_up_at_key":
                await line.hang_up()
                return True
            found = await line.wait(20, CONFIRMATION)
            if found and dialogue != "hang_up_at_success":
                await line.wait_over(4)
        return bool(found)

    async def _ring_customer(self, call: Call) -> None:
        line = self._open(call, "trunk", call.dialled)
        customer = self._customers.get(call.dialled)
        self.spawn(self._answer_as_customer(line, customer) if customer is not None else line.wait_over(60))

    async def _answer_as_customer(self, line: Line, customer: Customer) -> None:
        count, self._counts[customer.number] = self._counts[customer.number], self._counts[customer.number] + 1
        act = customer.calls[count] if count < len(customer.calls) and not self.is_quiet else "answer"
        if self.route_is_down or act == "no_route":
            line.reject(503, "no route")
            return
        await asyncio.sleep(RING_SECONDS)
        if act in ("busy", "reject"):
            line.reject(486 if act == "busy" else 603, act)
            return
        if act == "no_answer":
            await line.wait_over(60)
            return
        if line.is_over:
            return
        await line.call.answer()
        if act in ("gone", "gone_early"):
            await asyncio.sleep(0 if act == "gone" else 0.5)
            await line.hang_up(GONE)
        elif act == "mailbox":
            line.act("says nothing")
            await line.wait_over(15)
            await line.hang_up()
        else:
            await self._listen_as_customer(line, customer, act)

    async def _listen_as_customer(self, line: Line, customer: Customer, act: str) -> None:
        patience = SILENT_SECONDS
        while not line.is_over:
            found = await line.wait(patience, "talk", "ask_customer", "greet_customer", "apology")
            if found == "talk":
                await self._talk_as_customer(line, customer)
            elif found == "ask_customer":
                key = {"later": "2", "declines": "9"}.get(act, "1")
                await line.press(key, f"presses {key}")
            elif found == "greet_customer":
                patience = 30.0  # music
            elif not found:
                await line.hang_up(SILENCE)

    async def _talk_as_customer(self, line: Line, customer: Customer) -> None:
        self._served.add(customer.number)
        for _ in range(2):
            await line.press(identity(customer.number))
            await asyncio.sleep(0.2)
        if customer.hangs_up:
            await line.wait_over(customer.talk)
        else:
            await line.wait_over(customer.talk + 20)
        if not self.may_leave.is_set():
            await self._stay()
            await line.wait_over(1)  # the agent hangs up
        await line.hang_up()

    # -- agents -----------------------------------------------------------------------------------------------------

    async def _ring_agent(self, call: Call) -> None:
        phone = call.phone
        line = self._open(call, phone.user, call.remote)
        if any(other is not call for other in phone.active):
            line.reject(486, "is in a call")
        else:
            self.spawn(self._answer_as_agent(line, phone))

    async def _answer_as_agent(self, line: Line, phone: Phone) -> None:
        acts = self.plan.agents[phone.user]
        count, self._counts[phone.user] = self._counts[phone.user], self._counts[phone.user] + 1
        act = acts[count] if count < len(acts) and not self.is_quiet else "accept"
        await asyncio.sleep(RING_SECONDS)
        if act == "reject":
            line.reject(603, "rejects")
        elif act == "miss":
            await line.wait_over(60)
        elif act == "unplug":
            await self.unplug(line, phone)
        elif not line.is_over:
            await line.call.answer()
            await self._serve(line, act)

    async def unplug(self, line: Line, phone: Phone) -> None:
        """The phone loses its network, and its call with it."""
        line.act("is unplugged")
        phone.plugged_in = False
        await asyncio.sleep(UNPLUGGED_SECONDS)
        phone.plugged_in = True
        line.by = "phone"
        line.call.end(0)

    async def _serve(self, line: Line, act: str) -> None:
        if line.ours:
            if not await line.wait(SILENT_SECONDS, "agent_intro"):
                await line.hang_up(SILENCE)
                return
            if act == "leave_announcement":
                await line.hang_up("leaves the announcement")
                return
            if act == "refuse":
                await line.press("2", "presses 2")
                await line.wait_over(10)
                await line.hang_up()
                return
            await line.press("1", PRESSES_1, "agent_confirms")
            if act == "leave_dialling":
                await asyncio.sleep(RING_SECONDS)
                await line.hang_up(LEAVES)
                return
        await self._talk_as_agent(line, act)

    async def _talk_as_agent(self, line: Line, act: str) -> None:
        begun = self.history.elapsed
        while not line.talks and not line.is_over and self.history.elapsed - begun < AGENT_WAITS:
            await line.press(line.phone)
            await line.wait(REPEAT_SECONDS, "talk")
        customer = self._customers.get(line.number)
        if line.talks and act == "transfer" and not line.is_over:
            colleague = self.plan.agents.keys() - {line.phone}
            to = sorted(colleague)[self._counts[line.phone] % len(colleague)]
            line.act(f"{TRANSFERS}{to}")
            await line.call.transfer(to)
            await line.wait_over(TRANSFER_SECONDS)
        elif line.talks and customer is not None:
            await line.wait_over(customer.talk + (20 if customer.hangs_up else 0))
            await self._stay()
        await line.hang_up()

    async def _stay(self) -> None:
        """Talk on, if a fault wants the agents to hang up at the worker's log-in."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STAY_SECONDS):
                await self.may_leave.wait()
