"""A connection of FastAGI as a protocol of asyncio: the headers, then one line of reply after each command.

Streams would do the same with a task for each port scan, and with several objects for each line.
"""

import asyncio
import re
from collections.abc import Callable
from typing import cast

HEADER_LINES = 100
HEADER_BYTES = 32 * 1024
LONGEST_LINE = 8 * 1024  # bytes
_END_OF_HEADERS = re.compile(rb"(?:\A|\n)[^\S\n]*\n")


class HeadersTooLong(Exception):
    """The headers have more than HEADER_LINES lines or HEADER_BYTES bytes, or a line is too long."""


def parse_headers(data: bytes) -> tuple[dict[str, str], bytes] | None:
    """Return the headers and what follows their empty line, None if that has not come. Raises HeadersTooLong."""
    end = _END_OF_HEADERS.search(data)
    lines = data[: end.start() if end is not None else None].split(b"\n")
    size = end.end() if end is not None else len(data)
    if size > HEADER_BYTES or len(lines) > HEADER_LINES or max(map(len, lines)) > LONGEST_LINE:
        raise HeadersTooLong
    if end is None:
        return None
    text = data[: end.start()].decode("utf-8", "replace")
    pairs = (line.rstrip("\r").partition(": ") for line in text.split("\n") if line)
    return {name: value for name, _, value in pairs}, data[end.end() :]


class AgiConnection(asyncio.Protocol):
    """`on_open` is called when it is made, `on_data` with all that came until `take_lines`, `on_lost` at its end."""

    def __init__(
        self,
        on_open: "Callable[[AgiConnection], None]",
        on_data: "Callable[[AgiConnection, bytes], None]",
        on_lost: "Callable[[AgiConnection], None]",
    ) -> None:
        self._on_open, self._on_data, self._on_lost = on_open, on_data, on_lost
        self._data = b""
        self._takes_lines = self._paused = self._at_end = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0  # loop time at which the line must have come
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio calls this)."""
        self.transport = cast(asyncio.Transport, transport)  # that of uvloop is none by its class
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Keep what came (asyncio calls this). Who sends without being asked is not read any more."""
        self._data = self._data + data if self._data else data
        if not self._takes_lines:
            if b"\n" in data or len(self._data) > HEADER_BYTES:
                self._on_data(self, self._data)
            return
        self._wake()
        if len(self._data) > LONGEST_LINE and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Go on (asyncio calls this): the other side may still read."""
        self._at_end = True
        self._wake()
        return self._takes_lines

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio calls this)."""
        self._at_end, self._failure = True, exc
        self._wake()
        if self._timer is not None:
            self._timer.cancel()
        self._on_lost(self)

    @property
    def has_more(self) -> bool:
        """Whether there is something to read, or something may still come."""
        return bool(self._data) or not self._at_end

    def take_lines(self, rest: bytes) -> None:
        """Keep for `read_line` what comes from now on. `rest` has come already, behind the headers."""
        self._data, self._takes_lines = rest, True

    def send(self, line: str) -> None:
        """Send a line. Raises ConnectionError if the connection is lost."""
        if self.transport.is_closing():
            raise self._failure or ConnectionResetError("the connection is lost")
        self.transport.write(f"{line}\n".encode())

    async def read_line(self, seconds: float) -> str:
        """Return the next line, "" at the end of the connection.

        Raises TimeoutError if it takes longer, OSError as the connection was lost, ValueError for a line that is too
        long or not UTF-8.
        """
        while (end := self._data.find(b"\n")) < 0:
            if len(self._data) > LONGEST_LINE:
                self._data = b""
                raise ValueError("a line is too long")
            if self._failure is not None:
                raise self._failure
            if self._at_end:
                line, self._data = self._data, b""
                return line.decode()
            await self._wait(seconds)
        line, self._data = self._data[:end], self._data[end + 1 :]
        if self._paused and len(self._data) <= LONGEST_LINE:
            self._paused = False
            self.transport.resume_reading()
        if end > LONGEST_LINE:
            raise ValueError("a line is too long")
        return line.decode()

    async def _wait(self, seconds: float) -> None:
        """Wait until something comes. One timer serves all commands of a call, since most replies come at once."""
        if self._waiter is not None:
            raise RuntimeError("two commands at a time")
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer(loop)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._deadline, self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        if self._waiter is None or self._waiter.done():
            return
        if loop.time() < self._deadline:
            self._set_timer(loop)
        else:
            self._waiter.set_exception(TimeoutError("no reply"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
