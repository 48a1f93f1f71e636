"""The worker: feeds the snapshot, wakes the dispatcher, answers the pages' commands, and keeps the dialplan written.

APScheduler is the metronome of the polls; the exchange's events make everything sooner, and a poll puts right what an
event missed. Nothing here is remembered that the database or the exchange could not tell again.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.domain import numbers
from app.domain.policy import Facts, ReasonCode
from app.domain.routing import Context
from app.services import commands
from app.services.commands import CommandResult
from app.services.errors import NotFound
from app.services.prompts import phone_calls
from app.services.requests import attempts, perform
from app.services.requests.expiry import expire
from app.services.requests.reached import Talk, close_reached
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Command
from app.telephony.agi import AgiServer, AgiSession
from app.telephony.ami import AmiClient, AmiError, AmiState
from app.telephony.attempts import AttemptFollower, is_ours
from app.telephony.calls import Answered, CallFollower
from app.telephony.dialer import Dialer
from app.telephony.ivr import converse
from app.telephony.phone_calls import AGI_PATH as PHONE_CALL_PATH
from app.telephony.phone_calls import handle_phone_call
from app.telephony.snapshot import Snapshot
from app.worker import pbx_queries
from app.worker.database_watch import DatabaseWatch
from app.worker.dialplan_file import DialplanFile, pbx_settings
from app.worker.dispatcher import Dispatcher, utcnow
from app.worker.extension_names import ExtensionNames
from app.worker.leadership import Leadership
from app.worker.pbx_queries import PbxQueries
from app.worker.phone_calls import PhoneCalls
from app.worker.prompts import PromptStore
from app.worker.registrar import Registrar
from app.worker.write_queue import WriteQueue

log = logging.getLogger(__name__)
STORE_DELAY = 0.02  # seconds: several events of one call make one write
DRAIN = 5.0  # seconds to write what is left at the end
DAY = timedelta(days=1)
# What takes its time, or has nothing to do with requests: nobody waits behind it.
ASIDE = pbx_queries.KINDS | {commands.WRITE_DIALPLAN, commands.APPLY_SETTINGS, commands.CANCEL_PHONE_CALL}


class Worker:
    """One per database: `leads` tells whether we still are. `run` returns when `stop` is called."""

    def __init__(self, settings: Settings, database: Database, *, leads: Callable[[], bool] = lambda: True) -> None:
        self.settings, self.database, self._leads = settings, database, leads
        self.snapshot = Snapshot(Context.EXTENSIONS)
        self.follower = AttemptFollower()
        self.calls = CallFollower(self.snapshot.extension_of_channel, is_ours)
        self.recorder = WriteQueue()
        self.sounds = PromptStore(settings, database)
        self.ami = AmiClient(
            settings.ami_host,
            settings.ami_port,
            settings.ami_username,
            settings.ami_secret,
            on_event=self._on_event,
            on_state=self._on_state,
        )
        self.dialer = Dialer(self.ami, self.follower)
        self.dispatcher = Dispatcher(
            database,
            settings,
            self.dialer,
            self.follower,
            self.recorder,
            facts=self.facts,
            prompt=self.sounds.agent_prompt,
            ready=lambda: self.sounds.prepared,
        )
        # PostgreSQL tells of commands only, so the desk says by itself that there is a new request.
        self.desk = Registrar(settings, database, self.sounds, self.snapshot, registered=self.dispatcher.wake)
        self.agi = AgiServer(settings.agi_bind, settings.agi_port, self._on_caller)
        self.dialplan_file = DialplanFile(settings, database, self.ami)
        self.names = ExtensionNames(self.ami, self._on_name)
        self.inquiry = PbxQueries(self.ami, self.snapshot, self.dialplan_file)
        self.phone_calls = PhoneCalls(settings, database, self.ami, self.sounds, self.snapshot)
        self._polled = False  # since the connection was made: before that nothing is known
        self._polling = asyncio.Lock()
        self._obstacle: ReasonCode | None = ReasonCode.NO_DIALPLAN
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._commanding = asyncio.Lock()
        self._begun: set[int] = set()  # the commands that were taken: each is done once
        self._store_due: asyncio.TimerHandle | None = None
        self._started_at = utcnow()
        self._forgot_at: datetime | None = None

    # -- life -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop`. `ready` is called when callers can be answered."""
        await asyncio.to_thread(self._recall)
        await self._settle_connection()
        await self.phone_calls.start()
        await self.agi.start()
        self.dialplan_file.agi_port = self.agi.port
        watch = DatabaseWatch(self.database.engine, self._on_database_change)
        scheduler = AsyncIOScheduler()
        scheduler.add_job(
            self.poll,
            "interval",
            seconds=self.settings.poll_seconds,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        scheduler.add_job(self._tend, "interval", seconds=20, max_instances=1, coalesce=True, misfire_grace_time=None)
        self._spawn(self.recorder.run())
        self._spawn(self.dispatcher.run())
        self._spawn(self._tend())
        self._spawn(self.poll())
        await self.ami.start()
        scheduler.start()
        watch.start()
        ready()
        try:
            await self._stopping.wait()
        finally:
            scheduler.shutdown(wait=False)
            await watch.stop()
            await self.phone_calls.stop()
            await self.agi.stop()
            await self.ami.stop()
            await self.recorder.drain(DRAIN)
            self.sounds.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _recall(self) -> None:
        """Know the attempts of the worker before us, so that news of them is heard."""
        for flight in attempts.in_flight(self.database):
            self.follower.begin(flight.attempt, answered=flight.step.rank > 0)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a part of the worker failed", exc_info=task.exception())

    # -- the exchange -----------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        return Facts(
            lines=self.snapshot.lines(),
            queues=self.snapshot.queue_facts(),
            connected=self.ami.connected and self._polled,
            obstacle=self._obstacle,
            heartbeat=utcnow(),
        )

    def _on_state(self, state: AmiState) -> None:
        if state.status == "connected":
            self._spawn(self.poll())
        else:
            self._polled = False
            self.follower.connection_lost()
            self.phone_calls.connection_lost()
            self._spawn(asyncio.to_thread(self._store_state))

    async def _settle_connection(self) -> bool:
        """Reach the exchange as the environment and the settings page say now; tell whether it is at another place."""
        exchange = await asyncio.to_thread(pbx_settings, self.settings, self.database)
        before, address = self.ami.address, (exchange.ami_host, exchange.ami_port)
        if await self.ami.use(*address, exchange.ami_username, exchange.ami_secret):
            log.info("the exchange is reached at %s:%s as %s from now on", *address, exchange.ami_username)
            self.names.mark_outdated()
        return address != before

    def _on_event(self, event: Any) -> None:
        now = utcnow()
        news = None if self.phone_calls.handle_event(event) else self.follower.take(event)
        if news is not None:
            self.dispatcher.take_news(news)
        if self.snapshot.handle(event, now):
            self.dispatcher.wake()
        answered = self.calls.handle(event)
        if answered is not None:
            self._note_reached(answered, now)
        if self.snapshot.changed_lines or self.snapshot.changed_queues:
            self._store_soon()

    async def poll(self) -> None:
        """Ask the exchange for everything, look after attempts nothing was heard of, and show that we live."""
        async with self._polling:
            if not await asyncio.to_thread(self._leads):
                self.stop()  # whoever starts us again finds out whether another has the right
                return
            try:
                if await self._settle_connection():
                    await self.dispatcher.leave()
                if self.ami.connected:
                    await self._ask_all()
                    await self.dispatcher.reconcile()
                    await self._check_dialplan()
                    await self.phone_calls.clean_up()
                    self._spawn(self.names.refresh(self.snapshot.extensions, self.dialplan_file.profile))
            except AmiError as error:
                log.warning("the exchange could not be asked: %s", error)
            except SQLAlchemyError as error:
                log.error("the database refused: %s", error)
            try:
                await asyncio.to_thread(self._store_state)
            except SQLAlchemyError as error:
                log.error("the heartbeat could not be written: %s", error)
            self.dispatcher.wake()

    async def _ask_all(self) -> None:
        self.snapshot.wrapups = await asyncio.to_thread(self._wrapups)
        self.snapshot.poll_devices(await self.ami.collect("DeviceStateList"))
        self.snapshot.poll_extensions(await self.ami.collect("ExtensionStateList"), utcnow())
        self.snapshot.poll_queues(await self.ami.collect("QueueStatus"), utcnow())
        await self._store_changes(complete=not self._polled)
        await self.recorder.drain(DRAIN)  # the dialplan is made from the rows
        self._polled = True

    def _wrapups(self) -> dict[str, int]:
        with self.database.read() as session:
            return pbx_state.wrapups(session)

    async def _check_dialplan(self) -> None:
        await self.dialplan_file.update()
        outbound = await asyncio.to_thread(self._outbound_context)
        self._obstacle = (
            ReasonCode.NO_DIALPLAN if not self.dialplan_file.usable else None if outbound else ReasonCode.NO_OUTBOUND
        )

    def _outbound_context(self) -> str:
        with self.database.read() as session:
            return store_settings.office(session, self.settings).outbound_context

    # -- what the tables are told -----------------------------------------------------------------------------

    def _store_soon(self) -> None:
        if self._store_due is None:
            loop = asyncio.get_running_loop()
            self._store_due = loop.call_later(STORE_DELAY, lambda: self._spawn(self._store_changes()))

    def _on_name(self, extension: str) -> None:
        self.snapshot.changed_lines.add(extension)
        self._store_soon()

    async def _store_changes(self, *, complete: bool = False) -> None:
        self._store_due = None
        changed_lines, self.snapshot.changed_lines = self.snapshot.changed_lines, set()
        changed_queues, self.snapshot.changed_queues = self.snapshot.changed_queues, set()
        if complete:
            changed_lines, changed_queues = set(self.snapshot.extensions), set(self.snapshot.queues)
        reports = [
            pbx_state.ExtensionReport(
                e.extension, e.state, e.since, self.names.name(e.extension), e.context, "&".join(e.devices)
            )
            for e in self.snapshot.extensions.values()
            if e.extension in changed_lines
        ]
        facts = self.snapshot.queue_facts()
        queues = [
            pbx_state.QueueReport(name, queue.live_callers, queue.members)
            for name, queue in facts.items()
            if name in changed_queues
        ]
        gone = not complete and (changed_lines - set(self.snapshot.extensions) or changed_queues - set(facts))
        if gone:
            await self._store_changes(complete=True)
            return

        def write() -> None:
            with self.database.write() as session:
                pbx_state.store_extensions(session, reports, complete=complete)
                pbx_state.store_queues(session, queues, complete=complete)

        if reports or queues or complete:
            self.recorder.put(write)

    def _store_state(self) -> None:
        state = self.ami.state
        with self.database.write() as session:
            row = pbx_state.worker_state(session)
            row.heartbeat, row.started_at = utcnow(), self._started_at
            row.ami_status, row.ami_detail, row.asterisk_version = state.status, state.detail[:200], state.version
            row.poll_seconds = self.settings.poll_seconds
            row.dialplan_written, row.dialplan_running = self.dialplan_file.written, self.dialplan_file.running
            row.dialplan_detail = self.dialplan_file.detail[:200]
            row.obstacle = self._obstacle.value if self._obstacle is not None else ""
            session.add(row)

    # -- what people do ---------------------------------------------------------------------------------------

    async def _on_caller(self, session: AgiSession) -> None:
        if session.path.startswith(PHONE_CALL_PATH):
            await handle_phone_call(session, self.phone_calls)
        else:
            await converse(session, self.desk)

    def _note_reached(self, answered: Answered, now: datetime) -> None:
        """The office and a number talked by themselves: whoever waits for exactly that is done."""
        queues = self.snapshot.queues_of(answered.extension)
        loop = asyncio.get_running_loop()

        def close() -> None:
            try:
                number = numbers.normalize(answered.outside, self.desk.number_rules(), from_inside=True)
            except numbers.NumberRefused:
                return
            talk = Talk(number, answered.extension, answered.queue, queues)
            for attempt in close_reached(self.database, talk, now):
                loop.call_soon_threadsafe(self._hang_up, attempt)

        self.recorder.put(close)

    def _hang_up(self, attempt: str) -> None:
        self._spawn(self.dispatcher.hang_up(attempt))

    def _on_database_change(self) -> None:
        self._spawn(self._do_commands())
        self.dispatcher.wake()

    async def _do_commands(self) -> None:
        async with self._commanding:  # in the order in which they were asked
            for command in await asyncio.to_thread(commands.open_commands, self.database, utcnow()):
                if command.id in self._begun:
                    continue  # it is open because its answer is not written yet
                self._begun.add(command.id)
                if command.kind in ASIDE:
                    self._spawn(self._carry_out(command))
                else:
                    await self._carry_out(command)

    async def _carry_out(self, command: Command) -> None:
        try:
            ok, result = await self._do(command)
        except (NotFound, KeyError, TypeError, ValueError) as error:
            log.warning("command %s makes no sense: %s", command.id, error)
            ok, result = False, CommandResult.NOT_FOUND
        except AmiError as error:  # should it have been the dialplan's reload, the next poll asks for it again
            log.warning("the exchange could not be asked for command %s: %s", command.id, error)
            ok, result = False, CommandResult.NOT_CONNECTED
        except SQLAlchemyError as error:  # nothing was done, so the next look may take it again
            log.error("the database refused command %s: %s", command.id, error)
            self._begun.discard(command.id)
            return
        now = utcnow()
        self.recorder.put(lambda: commands.answer(self.database, command.id, ok=ok, result=result, now=now))

    async def _do(self, command: Command) -> tuple[bool, str]:
        payload, actor = command.payload, command.actor
        match command.kind:
            case commands.CALL_NOW | commands.CANCEL | commands.MARK_DONE:
                carried = await asyncio.to_thread(
                    perform.execute, self.database, command.kind, payload, actor, utcnow()
                )
                self.dispatcher.wake()
            case commands.WRITE_DIALPLAN:
                self.sounds.reset()
                await self.sounds.prepare(utcnow())  # before callers can get there
                await self.dialplan_file.update(force=True)
                await asyncio.to_thread(self._store_state)
                return True, CommandResult.WRITTEN
            case commands.APPLY_SETTINGS:
                await self.poll()
                return True, CommandResult.APPLIED
            case commands.MAKE_PHONE_CALL:
                self._spawn(self.phone_calls.make_call(payload["call"]))
                return True, CommandResult.TAKEN
            case commands.CANCEL_PHONE_CALL:
                await self.phone_calls.cancel(payload["call"])
                return True, CommandResult.DONE
            case kind if kind in pbx_queries.KINDS:
                return await self.inquiry.answer(command)
            case _:
                return False, CommandResult.UNKNOWN_COMMAND
        if carried.hang_up is not None:
            await self.dispatcher.hang_up(carried.hang_up)
        return carried.ok, carried.answer

    async def _tend(self) -> None:
        """What need not be done at once: spoken ages made before they are needed, old requests ended, and once a
        day the traces of what was done long ago removed, and sounds that nothing plays any more.
        """
        try:
            await self.sounds.prepare(utcnow())
            self.dispatcher.wake()
            await asyncio.to_thread(expire, self.database, utcnow())
            await asyncio.to_thread(self._forget_old, utcnow())
        except SQLAlchemyError as error:
            log.error("the database refused: %s", error)

    def _forget_old(self, now: datetime) -> None:
        if self._forgot_at is not None and now < self._forgot_at + DAY:
            return
        gone = (
            commands.delete_old(self.database, now),
            phone_calls.delete_old(self.database, now),
            self.sounds.remove_unused(),
        )
        self._forgot_at = now
        if any(gone):
            log.info("removed %s old commands, %s old phone calls and %s sounds that nobody plays", *gone)


def run_worker(settings: Settings, database: Database, ready: Callable[[], None] = lambda: None) -> None:
    """Run the worker of this process until it is told to end (SIGTERM, SIGINT). Raises WorkerRunning."""
    leadership = Leadership(database.engine)
    leadership.acquire()
    gc.collect()
    gc.freeze()  # what was imported stays: no need to look it over while a phone waits to ring

    async def work() -> None:
        worker = Worker(settings, database, leads=leadership.is_held)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run(ready)

    try:
        asyncio.run(work())
    finally:
        leadership.release()
