"""A fake AMI server on a loopback socket. It can be slow, silent, refuse actions and close connections.

It runs in the event loop of the test. A test sets the answer of each action (`fake.answers["Originate"] = drop`). The
received data is stored as bytes and as actions, so a test can also check what was not sent.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import md5
from typing import Any, TypeVar

from script.office.patience import PATIENCE

GREETING = "Asterisk Call Manager/9.0.0\r\n"
LIST_END = "Complete"

Pairs = Iterable[tuple[str, str]]
Value = TypeVar("Value")
Found = TypeVar("Found")


class Received(list[Value]):
    """A list of received values in order. A test can wait for a value."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def append(self, thing: Value) -> None:
        super().append(thing)
        self._news.set()

    async def until(self, found: Callable[["Received[Value]"], Found], timeout: float = PATIENCE) -> Found:
        """Wait until `found(list)` returns a true value and return it. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while not (result := found(self)):
                self._news.clear()
                await self._news.wait()
        return result

    async def count(self, number: int, timeout: float = PATIENCE) -> None:  # type: ignore[override]
        await self.until(lambda received: len(received) >= number, timeout)


@dataclass(frozen=True)
class Action:
    """An action as the client sent it."""

    pairs: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return next((value for key, value in self.pairs if key.lower() == name.lower()), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    @property
    def name(self) -> str:
        return self.get("Action")

    @property
    def id(self) -> str:
        return self.get("ActionID")


class Connection:
    """One connection of a client."""

    def __init__(self, fake: "FakeAmi", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._fake, self._reader, self._writer = fake, reader, writer
        self._sending = asyncio.Lock()
        self.closed = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Send data in pieces of `fake.chunk` bytes, or at once if it is 0. Send nothing if the fake is mute."""
        if self._fake.mute:
            return
        step = self._fake.chunk or max(len(data), 1)
        async with self._sending:
            for start in range(0, len(data), step):
                self._writer.write(data[start : start + step])
                await self._writer.drain()
                if self._fake.chunk:
                    # Client and fake share a loop. After two turns the client has read this piece alone.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)

    async def send(self, *messages: Pairs) -> None:
        for pairs in messages:
            await self.write("".join(f"{key}: {value}\r\n" for key, value in pairs).encode() + b"\r\n")

    async def respond(self, action: Action, response: str, *more: tuple[str, str]) -> None:
        await self.send([("Response", response), ("ActionID", action.id), *more])

    def drop(self) -> None:
        """Close at once, as in a crash."""
        self._writer.transport.abort()

    async def serve(self) -> None:
        try:
            await self.write(self._fake.greeting)
            while True:
                block = await self._reader.readuntil(b"\r\n\r\n")
                self._fake.received += block
                lines = [line.partition(": ") for line in block.decode().split("\r\n") if line]
                action = Action(tuple((key, value) for key, _, value in lines))
                self._fake.actions.append(action)
                await self._fake.answers.get(action.name, success)(self, action)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writer.close()
            self.closed.set()


Answer = Callable[[Connection, Action], Awaitable[None]]


async def success(connection: Connection, action: Action) -> None:
    await connection.respond(action, "Success", ("Message", "Done"))


async def no_reply(connection: Connection, action: Action) -> None:
    """Send no reply to the action."""


async def drop(connection: Connection, action: Action) -> None:
    """Close before the reply, so the client cannot know whether the action was done."""
    connection.drop()


def refuse(why: str) -> Answer:
    async def answer(connection: Connection, action: Action) -> None:
        await connection.respond(action, "Error", ("Message", why))

    return answer


def listing(rows: Sequence[Pairs], *, complete: str, end: str = LIST_END) -> Answer:
    """Answer with a list of events, as for DeviceStateList. `end`: Complete or cancelled."""

    async def answer(connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success", ("EventList", "start"), ("Message", "A list will follow"))
        for row in rows:
            event, *rest = row
            await connection.send([event, ("ActionID", action.id), *rest])
        await connection.send([("Event", complete), ("ActionID", action.id), ("EventList", end)])

    return answer


class FakeAmi:
    """`secret` is the accepted secret. `booted`: send FullyBooted after the log-in, as for a user with that right.

    `tls`: the certificate of an AMI with TLS.
    """

    def __init__(
        self,
        *,
        secret: str = "secret",
        booted: bool = True,
        version: str = "22.10.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self.secret, self.booted, self.version = secret, booted, version
        self.greeting = GREETING.encode()
        self.mute = False
        self.chunk = 0
        self.host, self.port = "127.0.0.1", 0
        self.received = b""
        self.actions = Received[Action]()
        self.connections = Received[Connection]()
        self.challenge = "841415273"
        self.answers: dict[str, Answer] = {
            "Challenge": self._challenge,
            "Login": self._login,
            "Logoff": _logoff,
            "CoreSettings": self._settings,
        }
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self.connections:
            connection.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def named(self, name: str) -> list[Action]:
        return [action for action in self.actions if action.name == name]

    async def wait_for(self, name: str, count: int = 1) -> Action:
        """Wait for action number `count` of this name and return it."""
        await self.actions.until(lambda _: len(self.named(name)) >= count)
        return self.named(name)[count - 1]

    @property
    def connection(self) -> Connection:
        """The newest connection."""
        return self.connections[-1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        task = asyncio.create_task(connection.serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections.append(connection)

    async def _login(self, connection: Connection, action: Action) -> None:
        key = md5(f"{self.challenge}{self.secret}".encode(), usedforsecurity=False).hexdigest()
        if (action.get("AuthType"), action.get("Key")) != ("MD5", key):
            await connection.respond(action, "Error", ("Message", "Authentication failed"))
            connection._writer.close()  # as Asterisk does
            return
        await connection.respond(action, "Success", ("Message", "Authentication accepted"))
        if self.booted:
            await connection.send([("Event", "FullyBooted"), ("Privilege", "system,all"), ("Status", "Fully Booted")])

    async def _challenge(self, connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success", ("Challenge", self.challenge))

    async def _settings(self, connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success", ("AMIversion", "9.0.0"), ("AsteriskVersion", self.version))


async def _logoff(connection: Connection, action: Action) -> None:
    await connection.respond(action, "Goodbye", ("Message", "Thanks for all the fish."))
    connection._writer.close()


@asynccontextmanager
async def fake_ami(**settings: Any) -> AsyncIterator[FakeAmi]:
    fake = FakeAmi(**settings)
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()
