"""Dial due requests, and find out what became of attempts without reports.

A request is claimed in the database before anything rings.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Outcome, Step
from app.domain.policy import Facts
from app.services.requests import attempts
from app.store.database import Database
from app.telephony.ami import AmiDisconnected, AmiError, AmiRefused, AmiTimeout, AmiUnsafe
from app.telephony.attempts import AttemptFollower, EndReport, Report, StepReport, StrayReport
from app.telephony.dialer import CustomerSounds, Dialer
from app.telephony.translate import is_early_record, is_end_record, record_outcome
from app.worker.background import BackgroundTasks
from app.worker.clock import CLOCK, utcnow
from app.worker.write_queue import WriteQueue

log = logging.getLogger(__name__)
RETRY_SECONDS = 0.5  # after the database refused a claim
SILENT_AFTER = timedelta(seconds=3)  # an attempt of this age is reconciled at each poll


async def _no_name(request_id: int) -> str:
    return ""


class Dispatcher:
    """Claim and dial requests.

    `facts` returns the current facts. `prompt` returns the sound files of the agent's announcement, `sounds` those for
    the customer. `spoken_name` finds the file with the name of a request's caller, "" if there is none. `ready` tells
    whether the sounds are made: an agent who hears nothing hangs up, and a question that was added must be asked. Wake
    the dispatcher when they are.
    The dispatcher calls `rings` with each order before it is dialled.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        dialer: Dialer,
        follower: AttemptFollower,
        *,
        writes: WriteQueue,
        tasks: BackgroundTasks,
        facts: Callable[[], Facts],
        prompt: Callable[[DialOrder, datetime], Sequence[str]],
        sounds: Callable[[DialOrder], CustomerSounds] = lambda order: CustomerSounds(),
        spoken_name: Callable[[int], Awaitable[str]] = _no_name,
        ready: Callable[[], bool] = lambda: True,
        rings: Callable[[DialOrder], None] = lambda order: None,
    ) -> None:
        self._database, self._settings = database, settings
        self._dialer, self._follower, self._writes, self._tasks = dialer, follower, writes, tasks
        self._facts, self._prompt, self._sounds, self._ready = facts, prompt, sounds, ready
        self._spoken_name, self._rings = spoken_name, rings
        self._woken = asyncio.Event()
        self._records_to_delete: tuple[str, ...] = ()  # ended attempts; the next dial order carries them
        self._let_go: set[str] = set()  # customers may be rung first for these since the channels were read
        self._on_previous_pbx: frozenset[str] = frozenset()  # attempts in flight when the PBX was changed

    def wake(self) -> None:
        """Dispatch at once, because something has changed."""
        self._woken.set()

    async def run(self) -> None:
        """Dispatch for ever: when woken, and when a waiting time ends."""
        while True:
            self._woken.clear()
            await self._wait(await self._dispatch())

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _dispatch(self) -> float | None:
        """Claim and dial due requests. Return the seconds until the next dispatch, None to wait until woken."""
        try:
            async with CLOCK.hold() as now:
                facts = self._facts()
                if not facts.connected or facts.obstacle is not None or not self._ready():
                    return None
                dispatch = await asyncio.to_thread(attempts.claim_due, self._database, self._settings, facts, now)
        except SQLAlchemyError as error:
            log.error("cannot claim requests, the database refuses; retrying in %s s: %s", RETRY_SECONDS, error)
            return RETRY_SECONDS
        except Exception:  # a bug must not stop all calls
            log.exception("cannot claim requests, retrying in %s s", RETRY_SECONDS)
            return RETRY_SECONDS
        for order in dispatch.orders:
            self._rings(order)
            self._tasks.spawn(self._dial(order, now))
        if dispatch.wake_at is None:
            return None
        return max(0.0, (dispatch.wake_at - utcnow()).total_seconds())

    async def _dial(self, order: DialOrder, now: datetime) -> None:
        """Dial an order that was claimed at `now`."""
        records, self._records_to_delete = self._records_to_delete, ()
        spoken_name = await self._spoken_name(order.request_id) if order.asks_name else ""
        order = replace(order, forget=records, spoken_name=spoken_name)
        try:
            await self._dialer.originate(order, self._prompt(order, now), self._sounds(order))
        except (AmiRefused, AmiUnsafe) as refusal:
            log.error("attempt %s: the PBX refused to dial: %s", order.attempt, refusal)
            self.end(order.attempt, Outcome.NOT_STARTED, str(refusal), refused=True)
        except (AmiTimeout, AmiDisconnected) as error:
            # It may ring or not. It is not dialled again; `reconcile` finds out.
            log.warning("attempt %s: unknown whether it rings: %s", order.attempt, error)
        else:
            log.info("attempt %s: ringing %s for request %s", order.attempt, order.agent, order.request_id)
            if records:
                self._writes.put(lambda: attempts.mark_records_deleted(self._database, records))

    def let_go(self, attempt: str) -> bool:
        """Tell whether the customer of an attempt may be rung first now: it was not given up.

        After a start of the worker no attempt is followed before it is reconciled.
        """
        if not self._follower.follows(attempt):
            return False
        self._let_go.add(attempt)
        return True

    # -- reports ----------------------------------------------------------------------------------------------

    def handle_report(self, report: Report) -> None:
        """Store what the PBX reported of an attempt."""
        now = utcnow()
        match report:
            case StepReport(attempt, step):
                self._writes.put(lambda: attempts.progress(self._database, attempt, step, now))
                if step is Step.CONNECTED:  # a route that failed works again
                    self._wake_when_written()
            case EndReport(attempt, outcome, cause):
                self.end(attempt, outcome, cause)
            case StrayReport(attempt):
                self._hang_up_stray(attempt)

    def _hang_up_stray(self, attempt: str) -> None:
        """Hang up an attempt that has ended for us: a PBX that hung may dial an order long after we gave it up."""
        loop = asyncio.get_running_loop()

        def check() -> None:
            if attempts.has_ended(self._database, attempt):  # otherwise it belongs to another Bazang
                log.warning("attempt %s was given up but rings: hanging it up", attempt)
                loop.call_soon_threadsafe(lambda: self._tasks.spawn(self.hang_up(attempt)))

        self._writes.put(check)

    def end(self, attempt: str, outcome: Outcome, cause: str, *, refused: bool = False) -> None:
        """Store how an attempt ended, and dispatch again. `refused`: the PBX refused the dial order."""
        now = utcnow()
        log.info("attempt %s ended: %s (%s)", attempt, outcome, cause)
        self._follower.forget(attempt)
        self._writes.put(lambda: attempts.end(self._database, attempt, outcome, now, cause, refused=refused))
        self._wake_when_written()

    def _wake_when_written(self) -> None:
        """Dispatch again once everything that is queued so far is stored."""
        loop = asyncio.get_running_loop()
        self._writes.put(lambda: loop.call_soon_threadsafe(self.wake))

    async def hang_up(self, attempt: str) -> None:
        """Hang up an attempt's call. The status of its request is not changed by this."""
        try:
            await self._dialer.hang_up(attempt)
        except AmiError as error:
            log.warning("attempt %s: cannot hang up: %s", attempt, error)

    # -- reconciliation ---------------------------------------------------------------------------------------

    async def mark_pbx_changed(self) -> None:
        """Remember the attempts in flight: another PBX is used from now on, and the first one may still dial them."""
        in_flight = await asyncio.to_thread(attempts.in_flight, self._database)
        self._on_previous_pbx |= {attempt.attempt for attempt in in_flight}

    async def reconcile(self) -> None:
        """Find out what became of attempts without reports. Never dials. Raises AmiError."""
        self._records_to_delete = await asyncio.to_thread(attempts.records_to_delete, self._database)
        async with CLOCK.hold() as now:
            in_flight = await asyncio.to_thread(attempts.in_flight, self._database)
        self._on_previous_pbx &= {attempt.attempt for attempt in in_flight}
        silent = [attempt for attempt in in_flight if attempt.started_at + SILENT_AFTER <= now]
        if not silent:
            return
        self._let_go.clear()
        with_channels = await self._dialer.attempts_with_channels()
        for attempt in silent:
            devices = with_channels.get(attempt.attempt, set())
            left = bool(devices) and self._has_left(attempt.attempt, attempt.agent, devices)
            await self._reconcile(attempt.attempt, attempt.step, has_channels=bool(devices), agent_left=left)
            if attempt.withdrawn and devices:
                await self.hang_up(attempt.attempt)

    def _has_left(self, attempt: str, agent: str, devices: Collection[str]) -> bool:
        """Tell whether none of the devices is the agent's, or that of the colleague who picked up the call."""
        answered_by = self._follower.agent_device(attempt)
        if answered_by:
            return answered_by not in devices
        line = self._facts().lines.get(agent)
        return line is not None and bool(line.devices) and set(line.devices.split("&")).isdisjoint(devices)

    async def _reconcile(self, attempt: str, last_step: Step, *, has_channels: bool, agent_left: bool) -> None:
        try:
            record = await self._dialer.record(attempt)
        except AmiRefused as refusal:
            log.error("attempt %s: cannot read Asterisk's record: %s", attempt, refusal)
            if not has_channels:
                self.end(attempt, Outcome.UNCLEAR, str(refusal))
            return
        if attempt in self._let_go:  # its channel may be newer than the list, and its record than what was read
            return
        step, outcome = record_outcome(record, last_step)
        # After a transfer, channels with the attempt's Linkedid can outlive the attempt: the agent's talk is over.
        has_ended = not has_channels or is_end_record(record) or (step is Step.CONNECTED and agent_left)
        if not has_ended and is_early_record(record) and await self._dialer.customer_answered(attempt):
            step = Step.CONNECTED
        if not has_ended:
            self._follower.follow(attempt, answered=step is not Step.CLAIMED, early=is_early_record(record))
        if step is not last_step:
            self.handle_report(StepReport(attempt, step))
        is_unknown = not has_channels and not record and last_step is not Step.CONNECTED
        if is_unknown and attempt in self._on_previous_pbx:
            self.end(attempt, Outcome.UNCLEAR, "the PBX was changed during the call")
        elif has_ended:
            self.end(attempt, outcome, f"found out afterwards: {record or 'no record'}")
