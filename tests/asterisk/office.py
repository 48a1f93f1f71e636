"""An office with phones on a real Asterisk. Its methods act as callers, agents and customers, and wait for results."""

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import default_text
from app.domain.pbx_connection import ConnectionReport
from app.domain.policy import Reason, ReasonCode
from app.domain.routing import Destination
from app.services import commands
from app.services.pbx import connection_commands
from app.services.prompts.voice import AGENT_RATE
from app.services.requests.access import Scope
from app.services.requests.pending import PendingRow, load_pending
from app.services.requests.registration import Registration, register
from app.store.models import Attempt, CallRequest, Command, ExtensionRow
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone
from script.office.sound import RATE, find, read_ulaw

# For what Bazang decides alone, if other tests make the same steps of the PBX on each version.
ONE_VERSION = pytest.mark.asterisk(22)
OWN = "09121234567"
OWN_E164 = "+989121234567"
MODULE = Destination("module", "*5001")

# The next and the error destination of modules. Each identifies itself to the caller by a key.
NEXT, ERROR = Destination("custom", "ends,next,1"), Destination("custom", "ends,error,1")
ENDS = OfficeSetup(
    extra_dialplan="""
[ends]
exten => next,1,Answer()
 same => n,SendDTMF(1)
 same => n,Wait(10)
exten => error,1,Answer()
 same => n,SendDTMF(9)
 same => n,Wait(10)
"""
)


def phone_secrets(extensions: Iterable[str]) -> dict[str, str]:
    """Return the phones of an `OfficeSetup` with these extensions."""
    return {extension: f"secret{extension}" for extension in extensions}


def customer_of(extension: str) -> str:
    """Return the number of the customer for this extension, if each extension has a different customer."""
    return f"0912{extension:0>7}"


def add_scenario(bazang: Bazang, extension: str = "101", *, ring: int = 25) -> None:
    """Send callers of an extension to the module `MODULE` if it is busy, unavailable or does not answer."""
    bazang.scenario(extension, busy=MODULE, no_answer=MODULE, unavailable=MODULE, ring=ring)


async def run_connection_test(
    office: "Office",
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    username: str | None = None,
    secret: str | None = None,
) -> ConnectionReport:
    """Run the connection test as the panel does. What is not given is that of the running Asterisk."""
    bazang, asterisk = office.bazang, office.bazang.asterisk
    report = await asyncio.to_thread(
        lambda: connection_commands.test(
            bazang.database,
            bazang.settings,
            host=host,
            port=asterisk.ami_port if port is None else port,
            username=asterisk.ami_username if username is None else username,
            secret=asterisk.ami_secret if secret is None else secret,
            actor="sara",
            now=datetime.now(UTC),
        )
    )
    assert report is not None, bazang.describe()
    return report


@dataclass
class Office:
    """`phones`: the phone of each extension. `trunk`: the phone of all customers."""

    bazang: Bazang
    trunk: Phone
    phones: dict[str, Phone]
    _taken: set[Call] = field(default_factory=set)

    # -- callers --------------------------------------------------------------------------------------------------

    async def occupy(self, extension: str, number: str = "09120000001") -> "OutsideCall":
        """Connect an extension with an outside number."""
        inside = await self.phones[extension].call(number)
        outside = await self.next_customer_call(number)
        await outside.answer()
        await inside.wait_answered()
        return OutsideCall(inside, outside)

    async def call_in(self, number: str, *, caller: str = OWN, name: str = "", anonymous: bool = False) -> Call:
        """Call `number` from outside. Return the call when it is answered."""
        call = await self.trunk.call(number, caller=caller, name=name, anonymous=anonymous)
        await call.wait_answered()
        return call

    async def leave_request(self, number: str = "101", *, caller: str = OWN) -> None:
        """Call `number`, leave a request for the caller's own number, and hang up when the request is stored."""
        count = len(self.bazang.requests())
        call = await self.call_in(number, caller=caller)
        await self.wait_for_prompt(call, "intro")
        await call.press("1")
        await self.bazang.until(lambda: len(self.bazang.requests()) > count, PATIENCE, "the request is stored")
        await call.hang_up()

    # -- requests -------------------------------------------------------------------------------------------------

    def add_request(self, number: str = OWN, *, module: int = 1, target: str = "101") -> int:
        """Store a call request without a phone call. Return its id."""
        canonical = f"+98{number[1:]}" if number.startswith("0") else number
        registration = Registration(module, canonical, caller_number=number, extension=target)
        return register(self.bazang.database, registration, datetime.now(UTC))

    def get_request(self, request: int) -> CallRequest:
        """Return a request as it is stored now."""
        return next(row for row in self.bazang.requests() if row.id == request)

    def pending(self, request: int, now: datetime | None = None) -> PendingRow:
        """Return an active request as the page has it."""
        rows = load_pending(self.bazang.database, Scope("", everything=True), now or datetime.now(UTC)).active
        return next(row for row in rows if row.id == request)

    def reason(self, request: int) -> ReasonCode | None:
        """Return why a request waits, as the page says it: from what the worker has stored by now."""
        reason = self.pending(request).reason
        return reason.code if reason is not None else None

    async def wait_for_reason(self, request: int, code: ReasonCode) -> Reason:
        """Wait until the page says that a request waits for this reason, and return the reason."""

        def find() -> Reason | None:
            reason = self.pending(request).reason
            return reason if reason is not None and reason.code is code else None

        return await self.bazang.until(find, PATIENCE, f"request {request} waits because of {code.value}")

    async def wait_for_status(self, request: int, status: str, timeout: float = PATIENCE) -> CallRequest:
        """Wait until a request has this status and return it."""
        await self.bazang.until(
            lambda: self.get_request(request).status == status, timeout, f"request {request} is {status}"
        )
        return self.get_request(request)

    async def wait_for_attempt(self, request: int, count: int = 1, timeout: float = PATIENCE) -> Attempt:
        """Wait until attempt number `count` of a request has ended and return it."""

        def find_ended() -> Attempt | None:
            rows = [row for row in self.bazang.attempts() if row.request_id == request and row.ended_at is not None]
            return rows[count - 1] if len(rows) >= count else None

        return await self.bazang.until(find_ended, timeout, f"attempt {count} of request {request} has ended")

    async def wait_for_step(self, request: int, step: str, timeout: float = PATIENCE) -> None:
        """Wait until the database has this step for the attempt in flight of a request."""
        await self.bazang.until(
            lambda: self.get_request(request).step == step, timeout, f"request {request} has reached step {step}"
        )

    # -- agents and customers -------------------------------------------------------------------------------------

    async def answer_agent(self, extension: str, *, keys: str = "1", timeout: float = PATIENCE) -> Call:
        """Wait until an agent's phone rings, answer it, and press keys after the announcement. Return the call."""
        return await self.answer_agent_call(await self.phones[extension].next_call(timeout), keys=keys)

    async def answer_agent_call(self, agent_call: Call, *, keys: str = "1") -> Call:
        """Answer a ringing call to an agent and press keys after the announcement. Return the call."""
        await agent_call.answer()
        await self.wait_for_announcement(agent_call)
        await agent_call.press(keys)
        return agent_call

    def calls_to(self, number: str) -> list[Call]:
        """Return all calls to a customer, oldest first. `number` "" means all customers."""
        return [call for call in self.trunk.calls.values() if call.incoming and number in ("", call.dialled)]

    async def next_customer_call(self, number: str = "", timeout: float = PATIENCE) -> Call:
        """Wait for the next call to a customer and return it. `number` "" means any customer."""

        def find_new() -> Call | None:
            return next((call for call in self.calls_to(number) if call not in self._taken), None)

        call = await self.bazang.until(find_new, timeout, f"the phone of {number or 'a customer'} rings")
        self._taken.add(call)
        return call

    async def connect_customer(self, agent_call: Call, request: int = 1, number: str = "") -> Call:
        """Answer as the customer of a request. Return the customer's call when agent and customer are connected.

        `number`: the number that is dialled, if it is not the stored number of the request.
        """
        dialled = number or f"0{self.get_request(request).number.removeprefix('+98')}"
        customer = await self.next_customer_call(dialled)
        await customer.answer()
        await self.wait_for_status(request, "connected")
        assert not agent_call.ended.is_set()
        return customer

    async def hang_up_customer(self, number: str) -> None:
        """Hang up all calls to a customer."""
        for call in self.calls_to(number):
            await call.hang_up()

    async def expect_no_call(self, extension: str, seconds: float) -> None:
        """Fail if an extension's phone rings within `seconds`."""
        try:
            call = await self.phones[extension].next_call(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"{extension} rings for {call.remote}\n{self.bazang.describe()}")

    # -- sounds ---------------------------------------------------------------------------------------------------

    async def wait_for_prompt(self, call: Call, key: str, language: str = "en", timeout: float = PATIENCE) -> None:
        """Wait until a call has received the beginning of this default prompt."""
        rate = AGENT_RATE if key.startswith("agent_") else None
        await self.wait_for_text(call, default_text(key, language), language, timeout, rate=rate)

    async def wait_for_announcement(self, call: Call, language: str = "en") -> None:
        """Wait until the agent's phone receives the beginning of the announcement, whoever was rung first."""
        heard = [
            asyncio.ensure_future(self.wait_for_prompt(call, key, language))
            for key in ("agent_intro", "agent_intro_waiting")
        ]
        await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
        results = [task.exception() for task in heard if task.done()]
        for task in heard:
            task.cancel()
        if None not in results:
            raise results[0] or AssertionError

    async def wait_for_text(
        self, call: Call, text: str, language: str = "en", timeout: float = PATIENCE, *, rate: int | None = None
    ) -> None:
        """Wait until a call has received the beginning of this synthesized text."""
        library = SoundLibrary(self.bazang.settings.prompts_path)
        clip = await asyncio.to_thread(library.synthesize, text, language, rate=rate)
        beginning = read_ulaw(clip.path)[: RATE // 2]
        deadline = time.monotonic() + timeout
        searched = 0  # bytes in which it does not begin
        while find(received := bytes(call.rtp.received[searched:]), beginning).share < 0.8:
            if time.monotonic() > deadline or call.ended.is_set():
                raise AssertionError(f"not heard: {text!r}\n{self.bazang.describe()}")
            searched += max(0, len(received) - 2 * len(beginning))
            await asyncio.sleep(0.03)

    async def check_audio_both_ways(self, one: Call, other: Call) -> None:
        """Press a key in each of two calls and wait until the other call receives it."""
        for sender, receiver, key in ((one, other, "5"), (other, one, "7")):
            await self.press_until_heard(sender, receiver, key)

    async def press_until_heard(self, sender: Call, receiver: Call, key: str) -> None:
        """Press a key again and again until the other call receives it, as people who hear nothing do.

        Asterisk drops a key that comes between the answer and the bridge. A phone sees the answer only.
        """
        deadline = time.monotonic() + PATIENCE
        while not receiver.rtp.key_heard.is_set():
            assert time.monotonic() < deadline, f"key {key} is not received\n{self.bazang.describe()}"
            await sender.press(key)
            with suppress(TimeoutError):
                await asyncio.wait_for(receiver.rtp.key_heard.wait(), 1)
        assert set(receiver.rtp.keys_heard) == {key}

    async def wait_for_key(self, call: Call, key: str) -> None:
        """Wait until a call has received this key and no other."""
        await self.bazang.until(lambda: call.rtp.keys_heard == key, PATIENCE, f"key {key} is received")

    # -- the PBX and the worker -----------------------------------------------------------------------------------

    def line_state(self, extension: str) -> str:
        """Return the stored state of a line, or "" if it is unknown."""
        with self.bazang.database.read() as session:
            row = session.get(ExtensionRow, extension)
            return row.state if row is not None else ""

    async def wait_for_poll(self) -> None:
        """Wait until the worker has polled the PBX once more."""
        asked = datetime.now(UTC)

        def has_polled() -> bool:
            state = self.bazang.worker_state()
            return state is not None and state.heartbeat is not None and state.heartbeat > asked

        await self.bazang.until(has_polled, PATIENCE, "a poll has passed")

    async def wait_until_idle(self, extension: str) -> None:
        """Wait until Asterisk reports a line as idle."""
        await self.bazang.asterisk.wait_for_output(f"core show hint {extension}", lambda shown: "State:Idle" in shown)

    async def wait_until_no_call(self) -> None:
        """Wait until Asterisk has no call. It still has one for an instant after a phone has hung up."""
        await self.bazang.asterisk.wait_for_output(
            "core show channels count", lambda shown: shown.startswith("0 active channels")
        )

    async def send_command(self, kind: str, **payload: object) -> Command:
        """Send a command to the worker as the panel does. Return the answer."""
        command_id = commands.send(self.bazang.database, kind, payload, actor="test", now=datetime.now(UTC))
        answer = await asyncio.to_thread(commands.wait_for_answer, self.bazang.database, command_id, seconds=PATIENCE)
        assert answer is not None, self.bazang.describe()
        return answer

    @contextmanager
    def lock_database(self) -> Iterator[None]:
        """Hold an exclusive lock on the SQLite database, as a backup or a stuck process does."""
        file = self.bazang.database.engine.url.database
        assert file is not None
        other = sqlite3.connect(file, isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")
        finally:
            other.close()


@dataclass
class OutsideCall:
    """A call between an extension and an outside number."""

    inside: Call
    outside: Call

    async def end(self) -> float:
        """Hang up at the extension. Return the time in monotonic seconds."""
        return await self.inside.hang_up()
