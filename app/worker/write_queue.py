"""Run database writes in order, one at a time, outside the event loop.

A write is repeated until it succeeds, so that no result of a call is lost while the database is locked or down.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as TookTooLong
from sqlalchemy.orm.exc import StaleDataError

from app.log import current_fields, log_fields

log = logging.getLogger(__name__)
PAUSES = (0.1, 0.3, 1.0, 2.0, 5.0)  # seconds
MOST_NEWS = 5000  # waiting writes, after which news that can be lost are lost

Write = Callable[[], object]


class Snapshot(Protocol):
    """A write of what is so now. What was so before matters to nobody."""

    def __call__(self) -> object: ...

    def absorb(self, newer: Self) -> None:
        """Write also what `newer` would write."""


class WriteQueue:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Write, Mapping[str, Any]]] = asyncio.Queue()  # each with its log fields
        self._snapshots: dict[type, Snapshot] = {}  # those that wait and can still absorb newer ones
        self._loses_news = self._is_writing = False

    @property
    def waiting(self) -> int:
        """The number of writes that wait. The one that runs now does not count."""
        return self._queue.qsize()

    @property
    def unfinished(self) -> int:
        """The number of writes that wait or run."""
        return self.waiting + self._is_writing

    def put(self, write: Write) -> None:
        """Queue `write`. It is never lost. Writes run in the order in which they were queued."""
        self._queue.put_nowait((write, current_fields()))

    def put_news(self, write: Write) -> None:
        """Queue `write`, of a call that is not ours. It is dropped if MOST_NEWS wait: the database was long away."""
        is_full = self.waiting >= MOST_NEWS
        if is_full and not self._loses_news:
            log.error("%d writes are waiting, so calls that were missed from now on are not noted", self.waiting)
        self._loses_news = is_full
        if not is_full:
            self.put(write)

    def put_snapshot(self, write: Snapshot) -> None:
        """Queue `write`. If one of its type waits already, that one absorbs it and keeps its place."""
        waiting = self._snapshots.get(type(write))
        if waiting is not None:
            waiting.absorb(write)
            return
        self._snapshots[type(write)] = write
        self.put(write)

    def separate(self, kind: type[Snapshot]) -> None:
        """Write snapshots of this type that come from now on after what is queued until now."""
        self._snapshots.pop(kind, None)

    def put_between(self, write: Write) -> None:
        """Queue `write`. What is queued from now on is written after it, also if it is a snapshot."""
        self._snapshots.clear()
        self.put(write)

    async def run(self) -> None:
        while True:
            write, fields = await self._queue.get()
            self._is_writing = True
            if self._snapshots.get(type(write)) is write:
                del self._snapshots[type(write)]
            try:
                with log_fields(**fields):
                    await self._write_until_done(write)
            finally:
                self._is_writing = False
                self._queue.task_done()

    async def drain(self, timeout: float) -> int:
        """Wait until the queue is empty, for `timeout` seconds at most. Return how many writes are not finished."""
        try:
            async with asyncio.timeout(timeout):
                await self._queue.join()
        except TimeoutError:
            log.warning(
                "%d writes are not finished after %g s: the database is slow or locked", self.unfinished, timeout
            )
        return self.unfinished

    @staticmethod
    async def _write_until_done(write: Write) -> None:
        failures = 0
        while True:
            try:
                await asyncio.to_thread(write)
                return
            except (DataError, IntegrityError):  # the data itself is refused: a repeat would fail, too
                log.exception("the database refuses a write for its data")
                return
            except (DBAPIError, StaleDataError, TookTooLong) as error:
                # StaleDataError: another session was faster, so read again.
                if _is_of_schema(error) and failures == len(PAUSES):
                    log.exception("the database has another schema than this version of Bazang; a write is given up")
                    return
                pause = PAUSES[min(failures, len(PAUSES) - 1)]
                failures += 1
                log.error("a database write failed, retrying in %s s: %s", pause, getattr(error, "orig", error))
                await asyncio.sleep(pause)
            except Exception:
                log.exception("a database write failed; reconciliation corrects the attempt")
                return


def _is_of_schema(error: Exception) -> bool:
    """Tell whether the database does not understand the statement. That passes only if an upgrade is running."""
    driver_error = getattr(error, "orig", None)
    if isinstance(driver_error, sqlite3.OperationalError):
        return getattr(driver_error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return isinstance(error, ProgrammingError | NotSupportedError)
