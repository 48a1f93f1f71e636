"""A proxy between a client and AMI. A test can cut the connection with it and wait for the next log-in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from script.office.ports import free_port


class AmiProxy:
    """Forwards connections. `logged_in` is set when Asterisk accepts a log-in, before the client reads the answer.

    `sent` is what the clients have sent. `replace`: what Asterisk says, and what the client reads instead. `held`: what
    is on its way to Asterisk, since `hold`.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.logged_in = asyncio.Event()
        self.sent = b""
        self.replace = (b"", b"")
        self.held = b""
        self._awaited = b""
        self._passes = asyncio.Event()
        self._passes.set()
        self._target_port = target_port
        self._open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Abort all connections and refuse new ones until `restore`."""
        self._open = False
        self.logged_in.clear()
        for writer in self._writers:
            writer.transport.abort()

    def hold(self, what: bytes) -> None:
        """Keep back what a client sends from `what` on, until `let_go`. It is not lost if the client ends."""
        self._awaited = what

    def let_go(self) -> None:
        self._awaited = b""
        self._passes.set()

    def restore(self) -> None:
        self._open = True

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            upstream, upward = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(upward)
        copies = [
            asyncio.ensure_future(self._copy(reader, upward, watch=False)),
            asyncio.ensure_future(self._copy(upstream, writer, watch=True)),
        ]
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        if not self._passes.is_set():  # the client has ended, but not what is on its way
            await asyncio.wait(copies[:1])
        for end in (writer, upward):
            end.transport.abort()
            self._writers.discard(end)
        await asyncio.gather(*copies, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watch: bool) -> None:
        seen, watch_replies = b"", watch
        while data := await reader.read(65536):
            if not watch_replies:
                self.sent += data
                if self._awaited and self._awaited in data:
                    self._passes.clear()
                    self.held = data
                await self._passes.wait()
            writer.write(data.replace(*self.replace) if watch_replies and self.replace[0] else data)
            await writer.drain()
            if watch:
                seen += data
                if b"Authentication accepted" in seen:
                    watch = False
                    if self._open:
                        self.logged_in.set()


@asynccontextmanager
async def ami_proxy(target_port: int) -> AsyncIterator[AmiProxy]:
    proxy = AmiProxy(target_port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
