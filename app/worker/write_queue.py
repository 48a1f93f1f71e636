"""Writes what happened, in order, one thing at a time, off the event loop; a write that the database refuses for now
is repeated until it succeeds, so that no outcome of a call is lost to a locked or absent database."""

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
        """Have `write` called, after everything that was put before."""
        self._queue.put_nowait(write)

    async def run(self) -> None:
        while True:
            write = await self._queue.get()
            try:
                await self._insist(write)
            finally:
                self._queue.task_done()

    async def drain(self, timeout: float) -> None:
        """Return when everything is written, or after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._queue.join()
        except TimeoutError:
            log.error("%d records were not written in time; the next start reconciles them", self._queue.qsize())

    @staticmethod
    async def _insist(write: Callable[[], object]) -> None:
        failures = 0
        while True:
            try:
                await asyncio.to_thread(write)
                return
            except (DataError, IntegrityError):  # it is refused for what it says: again would be for ever
                log.exception("the database does not take a record")
                return
            except (DBAPIError, StaleDataError) as error:  # the latter: another hand was quicker, so look anew
                pause = PAUSES[min(failures, len(PAUSES) - 1)]
                failures += 1
                log.error("the database refused a record, again in %s s: %s", pause, getattr(error, "orig", error))
                await asyncio.sleep(pause)
            except Exception:
                log.exception("a record could not be made; the next look at the attempt puts it right")
                return
