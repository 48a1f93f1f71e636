"""A proxy between the worker and AMI that can cut or mute the connection, also around the order to dial."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

_ACTION_ID = re.compile(rb"^ActionID: *(\S+)", re.IGNORECASE | re.MULTILINE)
ACCEPTED = b"Authentication accepted"
_CHUNK = 65536


class Cut(StrEnum):
    """Where the connection is cut at the next order to dial."""

    BEFORE_ORDER = "before_order"  # Asterisk never gets it
    AFTER_ORDER = "after_order"  # Asterisk has got it, and its reply is lost
    BEHIND_REPLY = "behind_reply"  # the worker has got the reply, and no event after it


class AmiProxy:
    """Listens at `port` and forwards to AMI at `ami_port`, on loopback. `logged_in` is called after each log-in."""

    def __init__(self, port: int, ami_port: int, logged_in: Callable[[], None]) -> None:
        self._port, self._ami_port, self._logged_in = port, ami_port, logged_in
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_down = False
        self._flows = asyncio.Event()
        self._flows.set()
        self.armed: Cut | None = None
        self.struck = asyncio.Event()  # the armed cut has happened

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.unmute()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, cut: Cut) -> None:
        """Cut the connection at the next order to dial."""
        self.struck.clear()
        self.armed = cut

    def cut(self) -> None:
        """Close all connections."""
        for link in list(self._links):
            link.close()

    def go_down(self) -> None:
        """Close all connections and refuse new ones until `come_back`."""
        self._is_down = True
        self.cut()

    def come_back(self) -> None:
        self._is_down = False

    def mute(self) -> None:
        """Forward nothing in either direction until `unmute`."""
        self._flows.clear()

    def unmute(self) -> None:
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._is_down:
            writer.close()
            return
        try:
            ami = await asyncio.open_connection("127.0.0.1", self._ami_port)
        except OSError:
            writer.close()
            return
        link = _Link(self, (reader, writer), ami)
        self._links.add(link)
        try:
            await link.forward()
        finally:
            self._links.discard(link)
            link.close()
            await link.wait_closed()

    async def flow(self) -> None:
        await self._flows.wait()

    def strike(self) -> None:
        self.armed = None
        self.struck.set()

    def note_login(self) -> None:
        self._logged_in()


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection of the worker, and the one to AMI that belongs to it."""

    def __init__(self, proxy: AmiProxy, worker: _Streams, ami: _Streams) -> None:
        self._proxy, self._worker, self._ami = proxy, worker, ami
        self._awaited: bytes | None = None  # the ActionID whose reply is the last that the worker gets

    def close(self) -> None:
        for _, writer in (self._worker, self._ami):
            writer.close()

    async def wait_closed(self) -> None:
        for _, writer in (self._worker, self._ami):
            with suppress(OSError):
                await writer.wait_closed()

    async def forward(self) -> None:
        ways = [asyncio.ensure_future(way) for way in (self._to_ami(), self._to_worker())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _to_ami(self) -> None:
        reader, writer = self._worker[0], self._ami[1]
        while True:
            try:
                message = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
                return
            await self._proxy.flow()
            armed = self._proxy.armed if b"originate" in message[:40].lower() else None
            if armed is Cut.BEFORE_ORDER:
                self._proxy.strike()
                return
            if armed is Cut.BEHIND_REPLY:
                found = _ACTION_ID.search(message)
                self._awaited = found[1] if found else b""
            writer.write(message)
            await writer.drain()
            if armed is Cut.AFTER_ORDER:
                self._proxy.strike()
                return

    async def _to_worker(self) -> None:
        reader, writer = self._ami[0], self._worker[1]
        tail = b""
        while True:
            try:
                chunk = await reader.read(_CHUNK)
            except OSError:
                return
            if not chunk:
                return
            await self._proxy.flow()
            writer.write(chunk)
            await writer.drain()
            recent = tail + chunk
            if ACCEPTED in recent:
                recent = recent.partition(ACCEPTED)[2]
                self._proxy.note_login()
            if self._awaited and b"ActionID: " + self._awaited in recent:
                self._proxy.strike()
                return
            tail = recent[-4096:]
