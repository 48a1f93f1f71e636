"""Run database writes in order, one at a time, outside the event loop.

A write is repeated until it succeeds, so that no result of a call is lost while the database is locked or down.
"""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm.exc import StaleDataError

log = logging.getLogger(__name__)
PAUSES = (0.1, 0.3, 1.0, 2.0, 5.0)  # seconds


class WriteQueue:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[Callable[[], object]] = asyncio.Queue()

    def put(self, write: Callable[[], object]) -> None:
        """Queue `write`. Writes run in the order in which they were queued."""
        self._queue.put_nowait(write)

    async def run(self) -> None:
        while True:
            write = await self._queue.get()
            try:
                await self._write_until_done(write)
            finally:
                self._queue.task_done()

    async def drain(self, timeout: float) -> None:
        """Wait until the queue is empty, for `timeout` seconds at most."""
        try:
            async with asyncio.timeout(timeout):
                await self._queue.join()
        except TimeoutError:
            log.error("%d writes were not finished in time; the next start reconciles them", self._queue.qsize())

    @staticmethod
    async def _write_until_done(write: Callable[[], object]) -> None:
        failures = 0
        while True:
            try:
                await asyncio.to_thread(write)
                return
            except (DataError, IntegrityError):  # the data itself is refused: a repeat would fail, too
                log.exception("the database refuses a write for its data")
                return
            except (DBAPIError, StaleDataError) as error:  # StaleDataError: another session was faster, so read again
                pause = PAUSES[min(failures, len(PAUSES) - 1)]
                failures += 1
                log.error("a database write failed, retrying in %s s: %s", pause, getattr(error, "orig", error))
                await asyncio.sleep(pause)
            except Exception:
                log.exception("a database write failed; reconciliation corrects the attempt")
                return
