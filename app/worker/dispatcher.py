"""Dial due requests, and find out what became of attempts without reports.

A request is claimed in the database before anything rings.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Outcome, Step
from app.domain.policy import Facts
from app.log import log_fields
from app.services.requests import attempts
from app.services.requests.attempts import AttemptInFlight
from app.services.requests.staged import Staged, stage
from app.store.database import Database
from app.telephony.ami import AmiDisconnected, AmiError, AmiRefused, AmiTimeout, AmiUnsafe
from app.telephony.attempts import AgentLeft, AttemptFollower, EndReport, Report, StepReport, StrayReport
from app.telephony.dialer import CustomerSounds, Dialer, MayNotDial
from app.telephony.translate import is_early_record, is_end_record, record_outcome, recorded_talk
from app.worker.background import BackgroundTasks
from app.worker.clock import CLOCK, utcnow
from app.worker.figures import WorkerFigures
from app.worker.standstills import Standstills, standstill_file
from app.worker.talk_times import PROMPT_SECONDS, TalkTimes
from app.worker.write_queue import WriteQueue

log = logging.getLogger(__name__)
RETRY_SECONDS = 0.5  # after the database refused a claim
# Seconds from a dispatch until what the next one needs is read: what an event changes is stored before. It also bounds
# how often that is read while the database changes all the time.
STAGE_DELAY = 0.1
TURN_SECONDS = 0.3  # an order waits no longer for the one before it
SILENT_AFTER = timedelta(seconds=3)  # an attempt of this age is reconciled at each poll
# An attempt without channels and without an end has ended if it still looks the same after these seconds. A PBX that
# stood still carries out its orders a moment after it responds again.
GONE_AFTER = 3.0


async def _no_name(request_id: int) -> str:
    return ""


async def _no_number(_order: DialOrder) -> None:
    pass


class Dispatcher:
    """Claim and dial requests.

    `facts` returns the current facts. `prompt` returns the sound files of the agent's announcement, `sounds` those for
    the customer. `spoken_name` finds the file with the name of a request's caller, "" if there is none.
    `prepare_number` makes what the announcement needs of the number, for a second at most. `ready` tells
    whether the sounds are made: an agent who hears nothing hangs up, and a question that was added must be asked. Wake
    the dispatcher when they are.
    The dispatcher calls `rings` with each order before it is dialled. `shortest_talk` returns the shortest talk of the
    office in seconds. `figures` get how fast it rings, and how attempts end.
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
        prepare_number: Callable[[DialOrder], Awaitable[None]] = _no_number,
        ready: Callable[[], bool] = lambda: True,
        rings: Callable[[DialOrder], None] = lambda order: None,
        figures: WorkerFigures | None = None,
        shortest_talk: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._database, self._settings = database, settings
        self._dialer, self._follower, self._writes, self._tasks = dialer, follower, writes, tasks
        self._facts, self._prompt, self._sounds, self._ready = facts, prompt, sounds, ready
        self._spoken_name, self._prepare_number, self._rings = spoken_name, prepare_number, rings
        self._talks = TalkTimes(
            shortest=shortest_talk,
            ask=dialer.ask_for_response,
            tasks=tasks,
            lasted=self._note_talk,
            over=lambda attempt: self.end(attempt, Outcome.CONNECTED, "agent hung up"),
            silent=self._note_standstill,
            doubtful=self._note_doubt,
        )
        self._standstills = Standstills(standstill_file(settings))
        self._figures = figures or WorkerFigures()
        self._woken = asyncio.Event()
        self._woken_at: float | None = None  # monotonic: the first time since the last dispatch
        self._turn = asyncio.Event()  # set when the newest order is sent
        self._turn.set()
        self._staged: Staged | None = None  # for the next claim
        self._stage_timer: asyncio.TimerHandle | None = None  # it will be staged soon
        self._records_to_delete: tuple[str, ...] = ()  # ended attempts; the next dial order carries them
        self._looks_gone: dict[str, tuple[str, float]] = {}  # attempts: their record, and since when (monotonic)
        self._ended: set[str] = set()  # attempts whose end is known here, but perhaps not stored yet
        self._requests: dict[str, int] = {}  # of the attempts in flight, for the log
        self._let_go: set[str] = set()  # customers may be rung first for these since the channels were read
        self._logged_in_late = False  # the PBX was silent before the log-in, and no attempt was reconciled since
        self._on_previous_pbx: frozenset[str] = frozenset()  # attempts in flight when the PBX was changed

    def wake(self) -> None:
        """Dispatch at once, because something has changed."""
        if self._woken_at is None:
            self._woken_at = time.monotonic()
        self._woken.set()

    async def run(self) -> None:
        """Dispatch for ever: when woken, and when a waiting time ends."""
        try:
            while True:
                self._woken.clear()
                since, self._woken_at = self._woken_at, None
                await self._wait(await self._dispatch(time.monotonic() if since is None else since))
        finally:
            if self._stage_timer is not None:
                self._stage_timer.cancel()

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _dispatch(self, since: float) -> float | None:
        """Claim and dial what is due since `since` (monotonic).

        Return the seconds until the next dispatch, None to wait until woken.
        """
        try:
            async with CLOCK.hold() as now:
                facts = self._facts()
                if not facts.connected or facts.obstacle is not None or not self._ready():
                    return None
                given = self._database, self._settings, facts, now, self._staged
                dispatch = await asyncio.to_thread(attempts.claim_due, *given)
        except SQLAlchemyError as error:
            self._woken_at = since
            log.error("cannot claim requests, the database refuses; retrying in %s s: %s", RETRY_SECONDS, error)
            return RETRY_SECONDS
        except Exception:  # a bug must not stop all calls
            self._woken_at = since
            log.exception("cannot claim requests, retrying in %s s", RETRY_SECONDS)
            return RETRY_SECONDS
        for order in dispatch.orders:
            self._requests[order.attempt] = order.request_id
            before, self._turn = self._turn, asyncio.Event()
            with self._log_fields(order.attempt):
                self._tasks.spawn(self._dial(order, now, since, before, self._turn))
            try:
                self._rings(order)
            except Exception:
                log.exception("attempt %s: cannot note that it rings", order.attempt)
        self._stage_soon()
        if dispatch.wake_at is None:
            return None
        return max(0.0, (dispatch.wake_at - utcnow()).total_seconds())

    def _stage_soon(self) -> None:
        if self._stage_timer is None:
            loop = asyncio.get_running_loop()
            self._stage_timer = loop.call_later(STAGE_DELAY, lambda: self._tasks.spawn(self._stage()))

    async def _stage(self) -> None:
        """Read what the next claim will need, so that it need not be read between a hang-up and the next ring."""
        try:
            async with CLOCK.hold() as now:
                given = self._database, self._settings, self._facts(), now, self._staged
                self._staged = await asyncio.to_thread(stage, *given)
        except Exception as error:  # the claim reads it itself
            self._staged = None
            log.warning("cannot read ahead what the next claim needs: %s", error)
        finally:
            self._stage_timer = None

    async def _dial(
        self, order: DialOrder, now: datetime, since: float, before: asyncio.Event, turn: asyncio.Event
    ) -> None:
        """Dial an order that was claimed at `now`, and is due since `since` (monotonic), after the order before.

        `before` is set when that is sent; this sets `turn`. What an order needs may take longer than for the next one.
        """
        records, self._records_to_delete = self._records_to_delete, ()
        spoken_name = await self._spoken_name(order.request_id) if order.asks_name else ""
        order = replace(order, forget=records, spoken_name=spoken_name)
        await self._prepare_number(order)
        if not before.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS):
                    await before.wait()
        turn.set()  # the next order goes on when this one is sent
        try:
            await self._dialer.originate(order, self._prompt(order, now), self._sounds(order))
        except (AmiRefused, AmiUnsafe) as refusal:
            log.error("attempt %s: the PBX refused to dial: %s", order.attempt, refusal)
            self.end(order.attempt, Outcome.NOT_STARTED, str(refusal), refused=True)
        except MayNotDial as error:  # who leads by then ends it
            log.warning("attempt %s: not dialled: %s", order.attempt, error)
        except (AmiTimeout, AmiDisconnected) as error:
            # It may ring or not. It is not dialled again; `reconcile` finds out.
            log.warning("attempt %s: unknown whether it rings: %s", order.attempt, error)
        else:
            log.info("attempt %s: ringing %s for request %s", order.attempt, order.agent, order.request_id)
            self._figures.free_to_ring.observe(time.monotonic() - since)
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
        with self._log_fields(report.attempt):
            self._handle_report(report)

    def _handle_report(self, report: Report) -> None:
        now = utcnow()
        match report:
            case StepReport(attempt, step):
                self._writes.put(lambda: attempts.progress(self._database, attempt, step, now))
                if step is Step.CONNECTED:
                    self._talks.begin(attempt)
                    self._wake_when_written()  # a route that failed works again
            case EndReport(attempt, outcome, cause, talk):
                self.end(attempt, outcome, cause, talk=talk)
            case AgentLeft(attempt):
                self._talks.leave(attempt)
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

    def connected(self, silence: float) -> None:
        """Note a log-in, for which the PBX was asked for `silence` seconds.

        A PBX that accepts no log-in for long perhaps stood still in the talks that nobody has watched.
        """
        self._logged_in_late = silence > PROMPT_SECONDS

    def connection_lost(self) -> None:
        """Judge no attempt by what was known of it before, because events are missed from now on."""
        self._talks.connection_lost()
        self._looks_gone.clear()

    def _note_talk(self, attempt: str) -> None:
        now = utcnow()
        self._writes.put(lambda: attempts.note_talk(self._database, attempt, now))

    def _note_standstill(self, attempt: str) -> None:
        log.warning("attempt %s: the PBX does not respond during the talk", attempt)
        self._standstills.add(attempt)
        now = utcnow()
        self._writes.put(lambda: attempts.note_standstill(self._database, attempt, now))

    def _note_doubt(self, attempt: str, is_doubtful: bool) -> None:
        if is_doubtful:
            self._standstills.doubt(attempt)
        else:
            self._standstills.dispel(attempt)

    def _has_stood_still(self, attempt: str) -> bool:
        return self._logged_in_late or attempt in self._standstills

    def end(
        self,
        attempt: str,
        outcome: Outcome,
        cause: str,
        *,
        talk: float | None = None,
        refused: bool = False,
    ) -> None:
        """Store how an attempt ended, and dispatch again. `refused`: the PBX refused the dial order.

        `talk` is how long agent and customer were connected, in seconds, None if unknown. The outcome CONNECTED only
        stands if that was long enough, and if the PBX is not known to have stood still in that time.
        """
        now = utcnow()
        is_news = attempt not in self._ended
        self._ended.add(attempt)
        by_talk = self._talks.end(attempt, talk, stood_still=self._has_stood_still(attempt))
        outcome = by_talk if outcome is Outcome.CONNECTED else outcome
        with self._log_fields(attempt):
            log.info("attempt %s ended: %s (%s)", attempt, outcome, cause)
            if is_news:
                self._figures.count_attempt(outcome)
            self._follower.forget(attempt)
            self._writes.put(lambda: attempts.end(self._database, attempt, outcome, now, cause, refused=refused))
        self._requests.pop(attempt, None)
        self._wake_when_written()

    def _log_fields(self, attempt: str) -> AbstractContextManager[None]:
        """Let the lines of the log that follow name an attempt and its request."""
        request = self._requests.get(attempt)
        return log_fields(attempt=attempt) if request is None else log_fields(attempt=attempt, request=request)

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

    def recall(self) -> None:
        """Follow the attempts of the worker before us, so that their reports are handled. Blocks."""
        found = attempts.in_flight(self._database)
        self._standstills.recall([attempt.attempt for attempt in found], _stood_still(found))
        for attempt in found:
            self._follower.follow(attempt.attempt, answered=attempt.step.rank > 0)

    async def reconcile(self) -> None:
        """Find out what became of attempts without reports. Never dials. Raises AmiError."""
        async with CLOCK.hold() as now:
            self._records_to_delete = await asyncio.to_thread(attempts.records_to_delete, self._database, now)
            in_flight = await asyncio.to_thread(attempts.in_flight, self._database)
        flying = {attempt.attempt for attempt in in_flight}
        self._requests |= {attempt.attempt: attempt.request for attempt in in_flight}
        self._on_previous_pbx &= flying
        self._ended &= flying
        self._standstills.keep(flying, _stood_still(in_flight))
        self._looks_gone = {attempt: look for attempt, look in self._looks_gone.items() if attempt in flying}
        silent = [attempt for attempt in in_flight if attempt.started_at + SILENT_AFTER <= now]
        if silent:
            await self._reconcile_all(silent)
        self._logged_in_late = False

    async def _reconcile_all(self, silent: Sequence[AttemptInFlight]) -> None:
        self._let_go.clear()
        with_channels = await self._dialer.attempts_with_channels()
        # Decided once: what is given up below has been forbidden before.
        long_gone = {attempt.attempt for attempt in silent if self._looks_gone_long(attempt.attempt)}
        absent = [each for each in silent if each.attempt in long_gone and each.attempt not in with_channels]
        if await self._forbid(absent):
            with_channels = await self._dialer.attempts_with_channels()  # one of them may have begun before
        for attempt in silent:
            devices = with_channels.get(attempt.attempt, set())
            left = bool(devices) and self._has_left(attempt.attempt, attempt.agent, devices)
            looked_gone = attempt.attempt in long_gone
            with self._log_fields(attempt.attempt):
                await self._reconcile(attempt, has_channels=bool(devices), agent_left=left, looked_gone=looked_gone)
                if attempt.withdrawn and devices:
                    await self.hang_up(attempt.attempt)

    async def _forbid(self, absent: Iterable[AttemptInFlight]) -> bool:
        """Let none of the attempts begin that are about to be given up without a sign. Return whether there are any.

        Otherwise an order that comes late could ring for a request that somebody else is called for meanwhile.
        """
        unseen = [attempt.attempt for attempt in absent if attempt.step is Step.CLAIMED]
        for attempt in unseen:
            try:
                await self._dialer.forbid(attempt)
            except AmiRefused as refusal:
                log.error("attempt %s: Asterisk does not let us forbid it: %s", attempt, refusal)
        return bool(unseen)

    def _has_left(self, attempt: str, agent: str, devices: Collection[str]) -> bool:
        """Tell whether none of the devices is the agent's, or that of the colleague who picked up the call."""
        answered_by = self._follower.agent_device(attempt)
        if answered_by:
            return answered_by not in devices
        line = self._facts().lines.get(agent)
        return line is not None and bool(line.devices) and set(line.devices.split("&")).isdisjoint(devices)

    async def _reconcile(
        self, in_flight: AttemptInFlight, *, has_channels: bool, agent_left: bool, looked_gone: bool
    ) -> None:
        attempt, last_step = in_flight.attempt, in_flight.step
        try:
            record = await self._dialer.record(attempt)
        except AmiRefused as refusal:
            log.error("attempt %s: cannot read Asterisk's record: %s", attempt, refusal)
            if self._note_look(attempt, f"refused: {refusal}", has_channels=has_channels) and looked_gone:
                self.end(attempt, Outcome.UNCLEAR, str(refusal))
            return
        if attempt in self._let_go:  # its channel may be newer than the list, and its record than what was read
            return
        if attempt in self._ended:  # an event was faster, and knows more
            return
        step, outcome = record_outcome(record, last_step)
        if in_flight.talked:
            outcome = Outcome.CONNECTED
        # After a transfer, channels with the attempt's Linkedid can outlive the attempt: the agent's talk is over.
        has_ended = is_end_record(record) or (in_flight.talked and agent_left)
        is_gone = self._note_look(attempt, record, has_channels=has_channels) and looked_gone
        if not (has_channels or has_ended or is_gone):
            return
        has_ended = has_ended or is_gone
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
            cause = f"found out afterwards: {record or 'no record'}"
            self.end(attempt, outcome, cause, talk=recorded_talk(record))
        elif step is Step.CONNECTED:
            if self._logged_in_late and not in_flight.talked and attempt not in self._standstills:
                self._note_standstill(attempt)
            self._talks.begin(attempt, stood_still=attempt in self._standstills)

    def _looks_gone_long(self, attempt: str) -> bool:
        """Tell whether an attempt has had no channel and the same record for `GONE_AFTER`."""
        look = self._looks_gone.get(attempt)
        return look is not None and asyncio.get_running_loop().time() - look[1] >= GONE_AFTER

    def _note_look(self, attempt: str, record: str, *, has_channels: bool) -> bool:
        """Tell whether an attempt has no channel and the same record as at the look before.

        The list of channels is older than the record, so a call of which only one of them tells may just be beginning.
        """
        before = self._looks_gone.pop(attempt, None)
        if has_channels:
            return False
        is_same = before is not None and before[0] == record
        since = before[1] if before is not None and is_same else asyncio.get_running_loop().time()
        self._looks_gone[attempt] = (record, since)
        return is_same


def _stood_still(in_flight: Iterable[AttemptInFlight]) -> list[str]:
    """Return the attempts in whose talk the PBX stood still, as far as the database knows."""
    return [attempt.attempt for attempt in in_flight if attempt.stood_still]
