"""The clock of the worker. Rules and services get the time as an argument.

The wall clock can jump. The worker's time does not: it goes on with the uptime of the machine, until the worker sets it
to the wall clock and moves all moments that still count in the same instant (`clock_watch.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from app.services.clock_jump import MIN_JUMP, Jump
from app.store.uptime import uptime

QUICK = timedelta(milliseconds=50)  # two clocks that are read within this time are read at once


class Clock:
    """A clock that goes evenly.

    Call `hold` to store the time outside the write queue, or to compare it with stored moments. The clock is not set
    meanwhile.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        uptime: Callable[[], timedelta] = uptime,
    ) -> None:
        self._wall, self._uptime = wall, uptime
        self._last_jump: Jump | None = None
        self._holders = 0
        self._released: asyncio.Event | None = None
        self._set: asyncio.Event | None = None  # it is being set, until this event
        self.set_to_wall()

    @property
    def booted_at(self) -> datetime:
        """When the machine was started, by this clock."""
        return self._booted_at

    def now(self) -> datetime:
        return self._booted_at + self._uptime()

    def set_to_wall(self) -> None:
        """Set the clock to the wall clock."""
        self._booted_at = self._booted_by_wall()
        self._seen = self.now()

    def has_jumped(self) -> bool:
        """Compare the clock with the wall clock, and follow a small difference. Tell whether there is a large one."""
        booted_at = self._booted_by_wall()
        if abs(booted_at - self._booted_at) >= MIN_JUMP:
            return True
        self._booted_at = booted_at
        self._seen = self.now()
        return False

    def jump(self) -> Jump:
        """Set the clock to the wall clock after a jump, and return the jump."""
        before, seen = self._booted_at, self._seen
        self.set_to_wall()
        self._last_jump = Jump(self._booted_at - before, self.now(), seen)
        return self._last_jump

    def translate(self, moment: datetime) -> datetime:
        """Return a past moment that somebody else took from the wall clock, perhaps before it was put forward."""
        jump = self._last_jump
        if jump is not None and jump.by > timedelta(0) and moment <= jump.before:
            moment += jump.by
        return min(moment, self.now())

    # -- setting it while it is in use --------------------------------------------------------------------------

    @property
    def is_being_set(self) -> bool:
        return self._set is not None

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[datetime]:
        """Return the time, and keep the clock from being set."""
        while self._set is not None:
            await self._set.wait()
        self._holders += 1
        try:
            yield self.now()
        finally:
            self._holders -= 1
            if self._holders == 0 and self._released is not None:
                self._released.set()

    def begin_setting(self) -> None:
        """Let nobody else hold the clock until `end_setting`."""
        self._set = asyncio.Event()

    async def wait_until_released(self) -> None:
        """Wait until nobody holds the clock."""
        while self._holders:
            self._released = asyncio.Event()
            await self._released.wait()
        self._released = None

    def end_setting(self) -> None:
        being_set, self._set = self._set, None
        if being_set is not None:
            being_set.set()

    def _booted_by_wall(self) -> datetime:
        """Return when the machine was started, by the wall clock."""
        while True:
            uptime = self._uptime()
            wall = self._wall()
            if self._uptime() - uptime < QUICK:
                return wall - uptime


CLOCK = Clock()


def utcnow() -> datetime:
    """Return the worker's time."""
    return CLOCK.now()
