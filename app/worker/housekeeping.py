"""Regular work that is not urgent: prepare sounds, expire requests, care for missed calls, delete what is old."""

import asyncio
import logging
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.domain.retention import Kind
from app.memory import give_back
from app.services import commands, retention, sounds
from app.services.contacts import importing, lookup
from app.services.missed import automatic as missed_automatic
from app.services.missed import calls as missed_calls
from app.services.notifications import outbox
from app.services.prompts import phone_calls
from app.services.requests.expiry import expire
from app.services.requests.fallback import fall_back
from app.services.requests.kept import forget_old
from app.services.webhooks import outbox as webhook_outbox
from app.store import last_talks
from app.store.database import Database
from app.store.uptime import uptime
from app.worker.clock import CLOCK
from app.worker.dispatcher import Dispatcher
from app.worker.prompts import PromptStore
from app.worker.spoken_names import SpokenNames

log = logging.getLogger(__name__)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
RETENTION_SECONDS = SHARE_SECONDS = 5.0  # of each run


class Housekeeping:
    def __init__(
        self,
        settings: Settings,
        database: Database,
        prompts: PromptStore,
        names: SpokenNames,
        dispatcher: Dispatcher,
    ) -> None:
        self._settings, self._database, self._dispatcher = settings, database, dispatcher
        self._prompts, self._names = prompts, names
        self._deleted_at: timedelta | None = None  # by the uptime
        self._look_at = timedelta()  # for data that is too old, by the uptime
        self._share_at = timedelta()  # the sounds of this machine, by the uptime
        self._gone: Counter[Kind] = Counter()  # deleted, and not written into the log yet

    async def run(self) -> None:
        """Prepare sounds, expire requests or let fallbacks serve them, and make requests of missed calls.

        Once a day, delete what is old, and look each hour for what the settings say is too old. If one of these fails,
        the others are done all the same.
        """
        first = (self._prepare, self._expire, self._fall_back, self._make_requests)
        for work in (*first, self._delete, self._retain, self._share, self._give_back):
            try:
                await work()
            except SQLAlchemyError as error:
                log.error("housekeeping failed, the database refuses: %s", error)
            except Exception:
                log.exception("housekeeping failed")

    async def _prepare(self) -> None:
        await self._prompts.prepare(CLOCK.now())
        self._dispatcher.wake()

    async def _expire(self) -> None:
        async with CLOCK.hold() as now:
            await asyncio.to_thread(expire, self._database, now)

    async def _fall_back(self) -> None:
        async with CLOCK.hold() as now:
            fell_back = await asyncio.to_thread(fall_back, self._database, now)
        if fell_back:
            self._dispatcher.wake()

    async def _make_requests(self) -> None:
        async with CLOCK.hold() as now:
            made = await asyncio.to_thread(missed_automatic.make_requests, self._database, self._settings, now)
        if made:
            self._dispatcher.wake()

    async def _delete(self) -> None:
        await asyncio.to_thread(self._delete_old, CLOCK.now())

    async def _retain(self) -> None:
        """Delete a part of what the settings let go. The next run goes on, so the other work does not wait."""
        if uptime() < self._look_at:
            return
        now = CLOCK.now()
        deleted, is_more = await asyncio.to_thread(
            retention.delete_some, self._database, now, seconds=RETENTION_SECONDS
        )
        self._gone.update(deleted)
        self._look_at = uptime() + (timedelta() if is_more else HOUR)
        if self._gone and not is_more:
            log.info("deleted because of its age: %s", ", ".join(f"{n} {kind}" for kind, n in self._gone.items()))
            await asyncio.to_thread(retention.record, self._database, dict(self._gone), now)
            self._gone.clear()

    async def _share(self) -> None:
        """Let the database have all sounds of this machine, some at a time, and remove files that are deleted in it."""
        if uptime() < self._share_at:
            return
        library = self._prompts.library
        adopted = await asyncio.to_thread(
            sounds.adopt, self._database, library.root, seconds=SHARE_SECONDS, look_inside=True
        )
        if adopted.is_more:
            return
        self._share_at = uptime() + DAY
        if adopted.lost:
            some = ", ".join(adopted.lost[:10])
            log.warning("%s sounds are neither here nor in the database, such as %s", len(adopted.lost), some)
        await asyncio.to_thread(self._prompts.stored.remove_deleted)

    async def _give_back(self) -> None:
        await asyncio.to_thread(give_back)

    def _delete_old(self, now: datetime) -> None:
        if self._deleted_at is not None and uptime() < self._deleted_at + DAY:
            return
        deleted = (
            commands.delete_old(self._database, now),
            phone_calls.delete_old(self._database, now),
            self._prompts.remove_unused(),
            missed_calls.delete_old(self._database, now),
            self._names.delete_old(now),
        )
        with self._database.write() as session:
            last_talks.delete_old(session, now)
            forget_old(session, now)
            outbox.delete_old(session, now)
            webhook_outbox.delete_old(session, now)
            importing.delete_old(session, now)
            lookup.delete_old(session, now)
        self._deleted_at = uptime()
        if any(deleted):
            kinds = "%s old commands, %s old phone calls, %s unused sounds, %s old missed calls and %s spoken names"
            log.info(f"deleted {kinds}", *deleted)
