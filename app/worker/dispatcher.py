"""Dials what is due: claims it in the database first, and only then lets a phone ring; and finds out what became of
attempts of which nothing was heard."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Outcome, Step
from app.domain.policy import Facts
from app.services.requests import attempts
from app.store.database import Database
from app.telephony.ami import AmiDisconnected, AmiError, AmiRefused, AmiTimeout, AmiUnsafe
from app.telephony.attempts import AttemptFollower, EndNews, News, StepNews, StrayNews
from app.telephony.dialer import Dialer
from app.telephony.translate import record_has_ended, record_outcome
from app.worker.write_queue import WriteQueue

log = logging.getLogger(__name__)
AGAIN = 0.5  # seconds until the next look after the database refused one
UNHEARD = timedelta(seconds=3)  # an attempt this old without a channel is looked into


def utcnow() -> datetime:
    return datetime.now(UTC)


class Dispatcher:
    """`facts` tells what is known now; `prompt` gives the sound files by which an agent hears who it is about, and
    `ready` whether these have been made: an agent who hears nothing hangs up."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        dialer: Dialer,
        follower: AttemptFollower,
        recorder: WriteQueue,
        *,
        facts: Callable[[], Facts],
        prompt: Callable[[DialOrder, datetime], Sequence[str]],
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database, self._settings = database, settings
        self._dialer, self._follower, self._recorder = dialer, follower, recorder
        self._facts, self._prompt, self._ready = facts, prompt, ready
        self._awake = asyncio.Event()
        self._traces: tuple[str, ...] = ()  # ended attempts whose record Asterisk may delete with the next one
        self._calls: set[asyncio.Task[None]] = set()
        self._left: frozenset[str] = frozenset()  # attempts under way when another exchange was settled

    def wake(self) -> None:
        """Look again, at once: something changed that may let a request go."""
        self._awake.set()

    async def run(self) -> None:
        while True:
            self._awake.clear()
            await self._sleep(await self._look())

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _look(self) -> float | None:
        """Claim and dial what is due; return in how many seconds to look again, None for "when woken"."""
        facts = self._facts()
        if not facts.connected or facts.obstacle is not None or not self._ready():
            return None
        now = utcnow()
        try:
            dispatch = await asyncio.to_thread(attempts.claim_due, self._database, self._settings, facts, now)
        except SQLAlchemyError as error:
            log.error("the database refused to claim, again in %s s: %s", AGAIN, error)
            return AGAIN
        except Exception:  # a fault of ours must not end all calls for good
            log.exception("nothing can be claimed, again in %s s", AGAIN)
            return AGAIN
        for order in dispatch.orders:
            self._keep(self._dial(order))
        if dispatch.wake_at is None:
            return None
        return max(0.0, (dispatch.wake_at - utcnow()).total_seconds())

    async def _dial(self, order: DialOrder) -> None:
        forget, self._traces = self._traces, ()
        order = replace(order, forget=forget)
        try:
            await self._dialer.originate(order, self._prompt(order, utcnow()))
        except (AmiRefused, AmiUnsafe) as refusal:
            log.error("attempt %s was refused by the exchange: %s", order.attempt, refusal)
            self.end(order.attempt, Outcome.NOT_STARTED, str(refusal))
        except (AmiTimeout, AmiDisconnected) as doubt:
            # It may ring or not. It is not dialled again: `reconcile` finds out.
            log.warning("attempt %s: nobody knows yet whether it rings: %s", order.attempt, doubt)
        else:
            log.info("attempt %s: ringing %s for request %s", order.attempt, order.agent, order.request_id)
            if forget:
                self._recorder.put(lambda: attempts.mark_records_deleted(self._database, forget))

    def take_news(self, news: News) -> None:
        """Record what the exchange told of an attempt."""
        now = utcnow()
        match news:
            case StepNews(attempt, step):
                self._recorder.put(lambda: attempts.progress(self._database, attempt, step, now))
            case EndNews(attempt, outcome, cause):
                self.end(attempt, outcome, cause)
            case StrayNews(attempt):
                self._recorder.put(self._stop_stray(attempt))

    def _stop_stray(self, attempt: str) -> Callable[[], object]:
        """An order may lie in an exchange that hangs, and be carried out when we have long given the attempt up."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            if attempts.has_ended(self._database, attempt):  # else it is another Bazang's, and none of our business
                log.warning("attempt %s had been given up and rings all the same: hanging it up", attempt)
                loop.call_soon_threadsafe(lambda: self._keep(self.hang_up(attempt)))

        return look

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def end(self, attempt: str, outcome: Outcome, cause: str) -> None:
        now = utcnow()
        log.info("attempt %s ended: %s (%s)", attempt, outcome, cause)
        self._follower.forget(attempt)

        def record() -> None:
            attempts.end(self._database, attempt, outcome, now, cause)

        self._recorder.put(record)
        self._recorder.put(self._wake_from_thread())

    def _wake_from_thread(self) -> Callable[[], object]:
        loop = asyncio.get_running_loop()
        return lambda: loop.call_soon_threadsafe(self.wake)

    async def hang_up(self, attempt: str) -> None:
        """End an attempt's call; what becomes of the request is settled already."""
        try:
            await self._dialer.hang_up(attempt)
        except AmiError as error:
            log.warning("attempt %s could not be hung up: %s", attempt, error)

    async def leave(self) -> None:
        """Another exchange serves from now on, or the same by another name: who knows what the first one still does."""
        flights = await asyncio.to_thread(attempts.in_flight, self._database)
        self._left |= {flight.attempt for flight in flights}

    async def reconcile(self) -> None:
        """Find out what became of attempts of which we have heard nothing. Never dials. Raises AmiError."""
        self._traces = await asyncio.to_thread(attempts.records_to_delete, self._database)
        flights = await asyncio.to_thread(attempts.in_flight, self._database)
        self._left &= {flight.attempt for flight in flights}
        suspects = [flight for flight in flights if flight.started_at + UNHEARD <= utcnow()]
        if not suspects:
            return
        alive = await self._dialer.attempts_with_channels()
        for flight in suspects:
            await self._settle(flight.attempt, flight.step, alive=flight.attempt in alive)
            if flight.withdrawn and flight.attempt in alive:
                await self.hang_up(flight.attempt)

    async def _settle(self, attempt: str, known: Step, *, alive: bool) -> None:
        try:
            record = await self._dialer.record(attempt)
        except AmiRefused as refusal:
            log.error("Asterisk's record of attempt %s cannot be read: %s", attempt, refusal)
            if not alive:
                self.end(attempt, Outcome.UNCLEAR, str(refusal))
            return
        step, outcome = record_outcome(record, known)
        # After a transfer, channels with the attempt's Linkedid live on when the attempt has ended.
        over = not alive or record_has_ended(record)
        if not over:
            self._follower.begin(attempt, answered=step is not Step.CLAIMED)
        if step is not known:
            self.take_news(StepNews(attempt, step))
        if not alive and not record and attempt in self._left and known is not Step.CONNECTED:
            self.end(attempt, Outcome.UNCLEAR, "the exchange was changed during the call")
        elif over:
            self.end(attempt, outcome, f"found out afterwards: {record or 'no record'}")
