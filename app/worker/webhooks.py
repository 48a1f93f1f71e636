"""Send messages to webhooks and by e-mail, each destination in a thread of its own: a slow one delays nothing else."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.domain.webhooks import Fate
from app.push.mail import MailSender
from app.push.webhook import Answer, Post, WebhookSender
from app.services.webhooks import mail_test, outbox, summaries
from app.services.webhooks.mail_test import TestResult
from app.services.webhooks.outbox import Delivery, Result
from app.store.database import Database
from app.worker.clock import CLOCK, Clock

log = logging.getLogger(__name__)
SECONDS = 2.0  # between two looks
OLD_EVERY = timedelta(minutes=1)  # a look for messages that are too old, and for summaries that are due
THREADS = 4
AT_ONCE = 50  # messages to one destination until the others have their turn


@dataclass
class Webhooks:
    """Sends the messages that are due, in order for each destination."""

    settings: Settings
    database: Database
    sender: WebhookSender = field(default_factory=WebhookSender)
    clock: Clock = CLOCK
    mail_sender: MailSender = field(default_factory=MailSender)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._closed = False
        self._looked_at: datetime | None = None  # for old messages
        self._running: dict[int, asyncio.Task[None]] = {}  # by the id of the destination

    async def run(self) -> None:
        """Begin to send what is due. Destinations to which something is being sent are left out."""
        loop = asyncio.get_running_loop()
        try:
            async with self.clock.hold() as now:
                if self._looked_at is None or abs(now - self._looked_at) >= OLD_EVERY:
                    await loop.run_in_executor(None, outbox.give_up_old, self.database, now)
                    await loop.run_in_executor(None, summaries.store_due, self.database, self.settings, now)
                    self._looked_at = now
                due = await loop.run_in_executor(None, outbox.due, self.database, now)
        except SQLAlchemyError as error:
            log.error("cannot send to webhooks, the database refuses: %s", error)
            return
        for webhook_id in due:
            if webhook_id not in self._running:
                self._running[webhook_id] = loop.create_task(self._send_to(webhook_id))

    async def settle(self) -> None:
        """Wait until nothing is being sent."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _send_to(self, webhook_id: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            for _turn in range(AT_ONCE):
                async with self.clock.hold() as now:
                    delivery = await loop.run_in_executor(
                        self._threads, outbox.claim, self.database, self.settings, webhook_id, now
                    )
                if delivery is None:
                    return
                result = await loop.run_in_executor(self._threads, self._send, delivery)
                async with self.clock.hold() as now:
                    await loop.run_in_executor(self._threads, outbox.finish, self.database, delivery, result, now)
        except SQLAlchemyError as error:
            log.error("cannot send to a webhook, the database refuses: %s", error)
        except Exception:
            if not self._closed:  # otherwise there are no threads any more
                log.exception("cannot send to webhook %s", webhook_id)
        finally:
            del self._running[webhook_id]

    def _send(self, delivery: Delivery) -> Result:
        if delivery.fault:
            return Result(Fate.REFUSED if delivery.fault == "error" else Fate.LATER, delivery.fault)
        try:
            answer = self._hand_over(delivery)
        except Exception:  # what it cannot foresee must not end up being sent again at once, for ever
            log.exception("cannot send message %s", delivery.uid)
            return Result(Fate.LATER, "error")
        return Result(answer.fate, answer.result, answer.reply, answer.took, answer.retry_after)

    def _hand_over(self, delivery: Delivery) -> Answer:
        if delivery.server is not None and delivery.letter is not None:
            return self.mail_sender.send(delivery.server, delivery.letter)
        post = Post(
            delivery.uid,
            delivery.url,
            delivery.secret,
            delivery.inside,
            delivery.content_type,
            delivery.body,
            delivery.headers,
        )
        return self.sender.send(post, self.clock.now())

    async def test_mail(self, payload: dict[str, Any]) -> str:
        """Send a test to an address, and return what came of it. Raises KeyError for a bad payload."""
        loop = asyncio.get_running_loop()
        async with self.clock.hold() as now:
            made = await loop.run_in_executor(None, mail_test.prepare, self.database, self.settings, payload, now)
        if isinstance(made, TestResult):
            return mail_test.pack(made)
        send = partial(self.mail_sender.send, *made, longest=mail_test.LONGEST)
        answer = await loop.run_in_executor(None, send)
        log.info("tested the mail server: %s", answer.result)
        return mail_test.pack(TestResult(answer.fate is Fate.SENT, answer.result, answer.reply))

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
