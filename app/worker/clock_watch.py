"""Notice within a second that the wall clock has jumped, and go on as if nothing had happened."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from app.services import clock_jump
from app.services.clock_jump import MIN_JUMP, Jump
from app.store.database import Database
from app.store.uptime import boot_id
from app.worker.background import BackgroundTasks
from app.worker.clock import CLOCK
from app.worker.write_queue import WriteQueue

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0


class ClockWatch:
    """Compare the worker's clock with the wall clock.

    `move` moves the moments in memory by a jump. `resume` is called when the stored moments are moved, too.
    """

    def __init__(
        self,
        database: Database,
        *,
        writes: WriteQueue,
        tasks: BackgroundTasks,
        move: Callable[[timedelta], None],
        resume: Callable[[], None],
    ) -> None:
        self._database, self._writes, self._tasks = database, writes, tasks
        self._move, self._resume = move, resume

    def start(self) -> None:
        """Set the clock. Move the stored moments by a jump that happened while no worker ran. Blocks."""
        CLOCK.set_to_wall()
        now = CLOCK.now()
        jump = clock_jump.find_since_stop(self._database, now, now - CLOCK.booted_at, boot_id())
        if jump is None:
            clock_jump.limit(self._database, now)
        else:
            _report(jump)
            clock_jump.apply(self._database, jump, CLOCK.now)

    async def run(self) -> None:
        """Look at the wall clock for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Look at the wall clock. After a jump, `hold` waits from now on until all moments are moved."""
        if not CLOCK.is_being_set and CLOCK.has_jumped():
            CLOCK.begin_setting()
            self._tasks.spawn(self._follow())

    async def _follow(self) -> None:
        try:
            await CLOCK.wait_until_released()
            jump = CLOCK.jump()
            if abs(jump.by) >= MIN_JUMP:  # otherwise it has jumped back meanwhile
                _report(jump)
                self._move(jump.by)
                await self._move_stored(jump)
        finally:
            CLOCK.end_setting()
        self._resume()

    async def _move_stored(self, jump: Jump) -> None:
        """Move the stored moments between the writes from before the jump and those after it."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._writes.put_between(lambda: clock_jump.apply(self._database, jump, CLOCK.now))
        self._writes.put(lambda: loop.call_soon_threadsafe(done.set))
        await done.wait()


def _report(jump: Jump) -> None:
    log.warning("the clock of the machine jumped by %+.0f s: all times were moved", jump.by.total_seconds())
