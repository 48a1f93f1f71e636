"""Store the requests of callers, those who press 1 at the same time together.

A commit waits for the disk, so one for each of many callers would take too long for the last of them.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from app.services.requests.registration import Registration
from app.services.requests.together import register_together
from app.store.database import PASSING_FAILURES, Database
from app.worker.at_once import Gathering

log = logging.getLogger(__name__)
STORE_SECONDS = 15.0  # without any request being stored, after which those who wait are told no
LONGEST_WAIT = 100.0  # seconds for which a caller waits in a long line that moves
RETRY_SECONDS = 0.1
MOST_AT_ONCE = 50  # requests in one transaction; all other writers wait for it


class _Waiting:
    def __init__(self, registration: Registration, now: datetime) -> None:
        loop = asyncio.get_running_loop()
        self.registration, self.now = registration, now
        self.stored: asyncio.Future[int] = loop.create_future()
        self.since = loop.time()

    def until(self, stored_at: float) -> float:
        """Return how long it is tried, in loop time. `stored_at` is when a request was last stored."""
        return min(max(self.since, stored_at) + STORE_SECONDS, self.since + LONGEST_WAIT)

    def end(self, result: int | Exception) -> None:
        if self.stored.done():  # nobody waits any more
            return
        if isinstance(result, Exception):
            self.stored.set_exception(result)
        else:
            self.stored.set_result(result)


class Registrations:
    """Store requests, all in one thread of its own. `store` runs in the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Waiting] = []
        self._at_once, self._stored_at = MOST_AT_ONCE, 0.0  # loop time
        self._gathering = Gathering()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="registrations")

    async def store(self, registration: Registration, now: datetime) -> int:
        """Store a request and return its id. It is on disk when this returns. Raises what `register` raises.

        It is tried until nothing could be stored for STORE_SECONDS; then this raises TimeoutError, and the request will
        not be stored. Who is being stored at that time has to wait until that has succeeded or failed.
        """
        mine = _Waiting(registration, now)
        self._waiting.append(mine)
        if self._task is None:
            self._task = asyncio.create_task(self._store_all())
        self._watch()
        return await mine.stored

    def close(self) -> None:
        """End the thread when it has nothing to do."""
        self._executor.shutdown(wait=False)

    def _watch(self) -> None:
        """Look after those who wait when the time of the first one is over. One timer serves all of them."""
        if self._timer is None and self._waiting:
            first = min(waiting.until(self._stored_at) for waiting in self._waiting)
            self._timer = asyncio.get_running_loop().call_at(first, self._look)

    def _look(self) -> None:
        self._timer = None
        self._end_late()
        self._watch()

    def _end_late(self) -> None:
        """Tell those no who have waited for too long. Who is being stored does not wait here."""
        now = asyncio.get_running_loop().time()
        late = {waiting for waiting in self._waiting if waiting.until(self._stored_at) <= now}
        self._waiting = [waiting for waiting in self._waiting if waiting not in late]
        for waiting in late:
            waiting.end(_too_late())

    async def _store_all(self) -> None:
        try:
            while self._waiting:
                await self._gathering.wait(self._waiting, self._at_once)
                self._end_late()
                group, self._waiting = self._waiting[: self._at_once], self._waiting[self._at_once :]
                if not group:
                    break
                if await self._store_group(group):
                    self._at_once = MOST_AT_ONCE
                    continue
                self._at_once = 1  # perhaps a single one is to blame: it must not stop the others
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._task = None

    async def _store_group(self, group: list[_Waiting]) -> bool:
        """Store requests. Return False if that failed, and they wait for another try."""
        work = [(waiting.registration, waiting.now) for waiting in group]
        loop = asyncio.get_running_loop()
        results: Sequence[int | Exception]
        try:
            results = await loop.run_in_executor(self._executor, register_together, self._database, work)
        except PASSING_FAILURES as failure:
            log.error("%d requests are not stored yet: %s", len(group), getattr(failure, "orig", failure))
            for waiting in group:
                if waiting.until(self._stored_at) > loop.time():
                    self._waiting.append(waiting)
                else:
                    waiting.end(_too_late())
            self._watch()
            return False
        except Exception as failure:
            results = [failure] * len(group)
        self._stored_at = loop.time()
        for waiting, result in zip(group, results, strict=True):
            waiting.end(result)
        return True


def _too_late() -> Exception:
    return TimeoutError("the database did not store the request in time")
