"""What the people in a scene do: be busy, knock, listen, press keys, take a call and talk."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import default_text
from app.services import commands
from app.services.requests.registration import Registration, register
from app.store.models import Attempt, CallRequest, Command, ExtensionRow
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone
from script.office.sound import RATE, find, read_ulaw

OWN = "09121234567"
OWN_E164 = "+989121234567"


@dataclass
class Scene:
    """An office with its phones, and the trunk behind which all customers are."""

    bazang: Bazang
    trunk: Phone
    phones: dict[str, Phone]
    _taken: set[Call] = field(default_factory=set)

    async def occupy(self, extension: str, number: str = "09120000001") -> "Talk":
        """Put an extension into a call with somebody outside."""
        inside = await self.phones[extension].call(number)
        outside = await self.customer(number)
        await outside.answer()
        await inside.wait_answered()
        return Talk(inside, outside)

    async def knock(self, number: str, *, caller: str = OWN, name: str = "", anonymous: bool = False) -> Call:
        """Call in from outside; return when somebody or something has answered."""
        call = await self.trunk.call(number, caller=caller, name=name, anonymous=anonymous)
        await call.wait_answered()
        return call

    async def register(self, number: str = "101", *, caller: str = OWN) -> None:
        """Leave a call request for one's own number, and hang up when it is confirmed."""
        count = len(self.bazang.requests())
        call = await self.knock(number, caller=caller)
        await self.hears(call, "intro")
        await call.press("1")
        await self.bazang.until(lambda: len(self.bazang.requests()) > count, PATIENCE, "the request is stored")
        await call.hang_up()

    def wish(self, number: str = OWN, *, module: int = 1, target: str = "101") -> int:
        """Store a call request as the dialogue does, for tests of what comes after it; return its id."""
        canonical = f"+98{number[1:]}" if number.startswith("0") else number
        wished = Registration(module, canonical, caller_number=number, extension=target)
        return register(self.bazang.database, wished, datetime.now(UTC))

    def wished(self, request: int) -> CallRequest:
        """Return a request as it is stored now."""
        return next(row for row in self.bazang.requests() if row.id == request)

    async def becomes(self, request: int, status: str, timeout: float = PATIENCE) -> CallRequest:
        """Return a request when it has this status."""
        await self.bazang.until(lambda: self.wished(request).status == status, timeout, f"request {request} {status}")
        return self.wished(request)

    async def tried(self, request: int, count: int = 1, timeout: float = PATIENCE) -> Attempt:
        """Return the `count`th attempt of a request when it has ended."""

        def ended() -> Attempt | None:
            rows = [row for row in self.bazang.attempts() if row.request_id == request and row.ended_at is not None]
            return rows[count - 1] if len(rows) >= count else None

        return await self.bazang.until(ended, timeout, f"attempt {count} of request {request} has ended")

    async def steps(self, request: int, step: str, timeout: float = PATIENCE) -> None:
        """Return when the attempt in flight for a request has come this far, as far as the database knows."""
        await self.bazang.until(lambda: self.wished(request).step == step, timeout, f"request {request} at {step}")

    def calls_to(self, number: str) -> list[Call]:
        """Return all calls that a customer has got, in their order; those of all customers where `number` is ""."""
        return [call for call in self.trunk.calls.values() if call.incoming and number in ("", call.dialled)]

    async def customer(self, number: str = "", timeout: float = PATIENCE) -> Call:
        """Return the next call of this customer (of any, where `number` is ""), whatever others get meanwhile."""

        def ringing() -> Call | None:
            return next((call for call in self.calls_to(number) if call not in self._taken), None)

        call = await self.bazang.until(ringing, timeout, f"{number} is rung")
        self._taken.add(call)
        return call

    async def talk_to(self, ring: Call, request: int, number: str = "") -> Call:
        """Let the customer of a request answer whom the agent has taken; return their call when they are connected."""
        customer = await self.customer(number or f"0{self.wished(request).number.removeprefix('+98')}")
        await customer.answer()
        await self.becomes(request, "connected")
        assert not ring.ended.is_set()
        return customer

    async def hang_up(self, number: str) -> None:
        """Let a customer end their calls."""
        for call in self.calls_to(number):
            await call.hang_up()

    def line(self, extension: str) -> str:
        """Return the state of a line as the pages see it, "" while it is unknown."""
        with self.bazang.database.read() as session:
            row = session.get(ExtensionRow, extension)
            return row.state if row is not None else ""

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Keep everybody else from writing, as a backup or a stuck process would."""
        file = self.bazang.database.engine.url.database
        assert file is not None
        other = sqlite3.connect(file, isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")
        finally:
            other.close()

    async def hears(self, call: Call, key: str, language: str = "en", timeout: float = PATIENCE) -> None:
        """Return when the beginning of this default prompt has been heard."""
        await self.hears_text(call, default_text(key, language), language, timeout)

    async def hears_text(self, call: Call, text: str, language: str = "en", timeout: float = PATIENCE) -> None:
        library = SoundLibrary(self.bazang.settings.prompts_path)
        clip = await asyncio.to_thread(library.synthesize, text, language)
        beginning = read_ulaw(clip.path)[: RATE // 2]
        deadline = time.monotonic() + timeout
        while find(bytes(call.rtp.received), beginning).share < 0.8:
            if time.monotonic() > deadline or call.ended.is_set():
                raise AssertionError(f"not heard: {text!r}\n{self.bazang.describe()}")
            await asyncio.sleep(0.03)

    async def take(self, extension: str, *, keys: str = "1", timeout: float = PATIENCE) -> Call:
        """Answer the ringing phone of an agent and press keys when asked."""
        return await self.accept(await self.phones[extension].next_call(timeout), keys=keys)

    async def accept(self, ring: Call, *, keys: str = "1") -> Call:
        """Answer an agent's phone that rings already, and press keys when asked."""
        await ring.answer()
        await self.hears(ring, "agent_intro")
        await ring.press(keys)
        return ring

    async def hear_each_other(self, one: Call, other: Call) -> None:
        """Return when what each of two sends has reached the other."""
        for call, there, key in ((one, other, "5"), (other, one, "7")):
            await call.press(key)
            await self.bazang.until(
                lambda there=there, key=key: there.rtp.keys_heard == key, PATIENCE, "they are connected"
            )

    async def talk_to_customer(self, ring: Call, *, timeout: float = PATIENCE) -> Call:
        """Let the customer answer; return their call when the two are connected."""
        customer = await self.customer(timeout=timeout)
        await customer.answer()
        await self.bazang.request("connected")
        return customer

    async def is_idle(self, extension: str) -> None:
        """Return when the exchange itself says that nobody uses the line."""
        async with asyncio.timeout(PATIENCE):
            while "State:Idle" not in await self.bazang.asterisk.cli(f"core show hint {extension}"):
                pass

    async def no_call(self, extension: str, seconds: float) -> None:
        """Watch for this long that a phone does not ring."""
        try:
            ring = await self.phones[extension].next_call(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"{extension} rings for {ring.remote}\n{self.bazang.describe()}")

    async def command(self, kind: str, **payload: object) -> Command:
        """Ask the worker for something as a page does; return its answer."""
        number = commands.send(self.bazang.database, kind, payload, actor="test", now=datetime.now(UTC))
        answered = await asyncio.to_thread(commands.wait_for_answer, self.bazang.database, number, seconds=PATIENCE)
        assert answered is not None, self.bazang.describe()
        return answered


@dataclass
class Talk:
    """An extension in a call with somebody outside."""

    inside: Call
    outside: Call

    async def end(self) -> float:
        """The extension hangs up; return the moment (monotonic seconds)."""
        return await self.inside.hang_up()
