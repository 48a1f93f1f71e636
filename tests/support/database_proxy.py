"""A proxy between a client and PostgreSQL. A test can cut the network with it: connections stay, and nothing comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import make_url

from script.office.ports import free_port


class DatabaseProxy:
    """Forwards connections to a server. `url`: the address of its database through the proxy."""

    def __init__(self, server_url: str) -> None:
        self.port = free_port()
        server = make_url(server_url)
        self._socket = Path(str(server.query["host"])) / ".s.PGSQL.5432"
        through = server.set(host="127.0.0.1", port=self.port).difference_update_query(["host"])
        self.url = through.render_as_string(hide_password=False)
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Forward nothing any more. New connections get no answer."""
        self._whole.clear()

    def mend(self) -> None:
        """Forward again, and first what has come since `cut`."""
        self._whole.set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            upstream, upward = await asyncio.open_unix_connection(str(self._socket))
            writers.append(upward)
            copies = [asyncio.ensure_future(self._copy(*ends)) for ends in ((reader, upward), (upstream, writer))]
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in writers:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
        await self._whole.wait()  # the end of a connection does not come through either


@asynccontextmanager
async def database_proxy(server_url: str) -> AsyncIterator[DatabaseProxy]:
    proxy = DatabaseProxy(server_url)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
