"""Run the worker's regular work. APScheduler sets the pace."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger


class Every(BaseTrigger):  # type: ignore[misc]
    """Fire at an interval after the last time.

    APScheduler's own trigger counts every time that was missed, which takes minutes after a jump of years: a machine
    without a battery for its clock starts in 1970.
    """

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now + self._interval


class Metronome:
    """Run work at intervals. Work that still runs is not started again."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def add(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Run `work` every so many seconds, for the first time after this time."""
        self._scheduler.add_job(work, Every(seconds), max_instances=1, coalesce=True, misfire_grace_time=None)

    def start(self) -> None:
        self._scheduler.start()

    def restart_intervals(self) -> None:
        """Begin all intervals now. Call this when the wall clock has jumped, because APScheduler goes by it."""
        for job in self._scheduler.get_jobs():
            job.reschedule(job.trigger)

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
