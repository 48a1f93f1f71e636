"""Send notifications to browsers, in threads of their own, so that a slow push service delays nothing else."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.push.send import Fate, Message, Sender
from app.services.notifications import keys, outbox
from app.services.notifications.outbox import Delivery, Result
from app.store.database import Database
from app.worker.clock import CLOCK

log = logging.getLogger(__name__)
SECONDS = 3.0  # between two looks
THREADS = 3


@dataclass
class Notifications:
    """Finds new notifications and sends them."""

    settings: Settings
    database: Database
    sender: Sender = field(default_factory=Sender)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="push")

    async def run(self) -> None:
        """Store the notifications for what has happened, and send those that are due once."""
        loop = asyncio.get_running_loop()
        try:
            key = await loop.run_in_executor(self._threads, keys.private_key, self.database, self.settings)
            async with CLOCK.hold() as now:
                await loop.run_in_executor(self._threads, outbox.collect, self.database, self.settings, now)
                claimed = await loop.run_in_executor(self._threads, outbox.claim, self.database, self.settings, now)
            if not claimed:
                return
            sent = [loop.run_in_executor(self._threads, self._send, delivery, key) for delivery in claimed]
            results = await asyncio.gather(*sent)
            async with CLOCK.hold() as now:
                await loop.run_in_executor(self._threads, outbox.finish, self.database, results, now)
        except SQLAlchemyError as error:
            log.error("cannot send notifications, the database refuses: %s", error)

    def _send(self, delivery: Delivery, key: str) -> Result:
        now = CLOCK.now()
        assert delivery.payload is not None
        message = Message(
            delivery.endpoint,
            delivery.p256dh,
            delivery.auth,
            delivery.contact,
            delivery.payload,
            delivery.key,
            delivery.expires_at - now,
        )
        answer = self.sender.send(message, key, now)
        if answer.fate is not Fate.SENT:
            log.info("a notification was not sent (try %s): %s", delivery.tries, answer.detail)
        return Result(
            delivery,
            done=answer.fate is not Fate.LATER,
            gone=answer.fate is Fate.GONE,
            failure=answer.detail if answer.fate is not Fate.SENT else "",
            retry_after=answer.retry_after,
        )

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
