"""The worker process: joins its parts, runs them, and polls the PBX.

APScheduler sets the pace of the polls. Events of the PBX make everything faster, and a poll corrects what an event
missed. The worker keeps nothing in memory that it could not read again from the database or the PBX.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.config import AGI_PORTS, Settings, agi_secret
from app.domain.dial_order import DialOrder
from app.domain.pbx_connection import is_too_old
from app.domain.policy import Facts, ReasonCode
from app.domain.routing import Context
from app.memory import freeze_lasting
from app.services.pbx.wanted import wanted_extensions
from app.services.settings.pbx import encrypt_stored
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database
from app.systemd import READY, Pulse, notify
from app.telephony.agi import AgiServer, AgiSession
from app.telephony.agi_access import AgiAccess, Upgrade, to_networks
from app.telephony.ami import AmiClient, AmiDisconnected, AmiError, AmiRefused, AmiState
from app.telephony.ami_tls import make_tls
from app.telephony.attempts import AttemptFollower
from app.telephony.calls import Calls
from app.telephony.dialer import Dialer
from app.telephony.hints import HintFinder
from app.telephony.ivr import converse
from app.telephony.lookup import InvalidLookup, shown_number, withholds_number
from app.telephony.lost_calls import LostCalls
from app.telephony.phone_calls import AGI_PATH as PHONE_CALL_PATH
from app.telephony.phone_calls import handle_phone_call
from app.telephony.queue_config import WrapupReader
from app.telephony.snapshot import Snapshot
from app.telephony.variables import ATTEMPT_PATH, GO
from app.telephony.watchdog import Watchdog
from app.worker import agi_peers
from app.worker.background import BackgroundTasks
from app.worker.clock import utcnow
from app.worker.clock_watch import ClockWatch
from app.worker.commands import CommandRunner
from app.worker.database_watch import DatabaseWatch
from app.worker.dialplan_file import DialplanFile, agi_port, pbx_is_given, pbx_settings
from app.worker.dispatcher import Dispatcher
from app.worker.figures import WorkerFigures
from app.worker.housekeeping import Housekeeping
from app.worker.kept import KeptRegistrations
from app.worker.leadership import leadership_of
from app.worker.metronome import Metronome
from app.worker.module_destinations import ModuleDestinations
from app.worker.names import SECONDS as NAME_SECONDS
from app.worker.names import NameLookup
from app.worker.notifications import SECONDS as NOTIFICATION_SECONDS
from app.worker.notifications import Notifications
from app.worker.pbx_product import ProductFinder
from app.worker.pbx_queries import PbxQueries
from app.worker.phone_calls import PhoneCalls
from app.worker.prompts import PromptStore
from app.worker.queue_holds import QueueHolds
from app.worker.recording_inbox import RecordingInbox
from app.worker.refusals import RefusalCounter
from app.worker.registrar import Registrar
from app.worker.spoken_names import SpokenNames, StandbyCare
from app.worker.state import StateStore
from app.worker.talks import TalkWatch
from app.worker.webhooks import SECONDS as WEBHOOK_SECONDS
from app.worker.webhooks import Webhooks
from app.worker.write_queue import WriteQueue

log = logging.getLogger(__name__)
DRAIN_SECONDS = 5.0  # to finish queued writes
HOUSEKEEPING_SECONDS = 20
# Seconds until customers who have hung up may be dialled. Mostly the same hang-up frees an agent, and the dispatch for
# that must not wait for this one to end.
LINE_LEFT_DELAY = 0.09
LINE_DELAY = 0.01  # seconds until the numbers on the line are compared
WANTED_EVENTS = Snapshot.handled | AttemptFollower.handled | Calls.handled | LostCalls.handled
# How long a thread waits for its turn. A claim takes many turns, and a flood of events keeps the event loop busy.
SETTLED_AFTER = 60.0  # seconds
SWITCH_SECONDS = 0.0005
BOOT_SECONDS = 300.0  # after this, a PBX counts as fully booted without any proof
# Seconds after which a poll counts as one that never ends. Each of its questions to the PBX has a time-out.
POLL_LIMIT = 120.0


@dataclass(frozen=True)
class _Needs:
    """What the database says of the PBX: wrap-up times of queues, the extensions in use, and two contexts."""

    wrapups: dict[str, int]
    extensions: set[str]
    extension_context: str
    outbound_context: str


class Worker:
    """The worker of a database. It dials nothing, and answers no callers, while `is_leader` returns false."""

    def __init__(self, settings: Settings, database: Database, *, is_leader: Callable[[], bool] = lambda: True) -> None:
        self.settings, self.database = settings, database
        self.tasks, self.writes = BackgroundTasks(), WriteQueue()
        self.figures = WorkerFigures()
        self.snapshot = Snapshot(Context.EXTENSIONS)
        self.follower = AttemptFollower()
        self.prompts = PromptStore(settings, database)
        self.inbox = RecordingInbox(settings)
        self.names = SpokenNames(database, self.prompts, self.inbox, tasks=self.tasks)
        self.ami = AmiClient(
            settings.ami_host,
            settings.ami_port,
            settings.ami_username,
            settings.ami_secret,
            tls=make_tls(settings.ami_tls, settings.ami_ca, settings.ami_fingerprint),
            on_event=self._on_event,
            on_state=self._on_state,
            wanted=WANTED_EVENTS,
        )
        self.hints = HintFinder(self.ami, Context.EXTENSIONS)
        self.wrapups = WrapupReader(self.ami)
        self.module_destinations = ModuleDestinations(self.ami, database, self.writes)
        self.product = ProductFinder(self.ami, database, self.writes)
        dialer = Dialer(self.ami, self.follower, may_dial=is_leader, interfaces=self.snapshot.interfaces)
        self.holds = QueueHolds(database, self.snapshot, dialer, self.tasks)
        self.dispatcher = Dispatcher(
            database,
            settings,
            dialer,
            self.follower,
            writes=self.writes,
            tasks=self.tasks,
            facts=self.facts,
            prompt=self.prompts.agent_prompt,
            sounds=self.prompts.customer_sounds,
            prepare_number=self.prompts.prepare_number,
            spoken_name=self.names.find,
            ready=lambda: self.prompts.prepared and is_leader(),
            rings=self._on_ring,
            figures=self.figures,
            shortest_talk=lambda: self.talks.shortest_talk,
        )
        self.refusals = RefusalCounter(database, self.writes)
        # PostgreSQL notifies of commands only, so the registrar wakes the dispatcher itself.
        self.registrar = Registrar(
            settings,
            database,
            self.prompts,
            self.snapshot,
            self.names,
            registered=self.dispatcher.wake,
            refused=self.refusals.add,
            learn=self._learn_extension,
            shown_number=self._find_shown_number,
            entered=lambda call: self.talks.enter_module(call),
            left=lambda call: self.talks.leave_request(call),
            hang_up=lambda attempt: self.tasks.spawn(self.dispatcher.hang_up(attempt)),
        )
        self.kept = KeptRegistrations(self.ami, self.registrar)
        self.talks = TalkWatch(
            database,
            settings,
            self.snapshot,
            writes=self.writes,
            hang_up=lambda attempt: self.tasks.spawn(self.dispatcher.hang_up(attempt)),
            line_changed=self._on_line_change,
            ask_withheld=lambda uniqueid, channel: self.tasks.spawn(self._note_withheld(uniqueid, channel)),
        )
        self.agi_access = AgiAccess(
            agi_secret(settings), networks=to_networks(settings.agi_allow), on_upgrade=self._on_agi_upgrade
        )
        self.agi = AgiServer(
            settings.agi_bind,
            settings.agi_port,
            self._on_agi_session,
            self.agi_access,
            on_refused=self._on_agi_refused,
            serves=is_leader,
            watchdog=Watchdog(self.ami),
        )
        self._refused_address = ""
        self._agi_port = settings.agi_port  # on which the server should listen; 0: any free port
        self.dialplan_file = DialplanFile(settings, database, self.ami, has_sounds=self.prompts.were_made)
        self.phone_calls = PhoneCalls(database, self.ami, self.prompts, self.snapshot, self.inbox, may_dial=is_leader)
        self.state = StateStore(
            settings,
            database,
            self.ami,
            self.snapshot,
            self.dialplan_file,
            writes=self.writes,
            tasks=self.tasks,
            figures=self._measure,
        )
        self.webhooks = Webhooks(settings, database)
        self.commands = CommandRunner(
            database,
            dispatcher=self.dispatcher,
            prompts=self.prompts,
            phone_calls=self.phone_calls,
            queries=PbxQueries(settings, self.ami, self.snapshot, self.dialplan_file),
            poll=self.poll,
            reload_dialplan=self.reload_dialplan,
            test_mail=self.webhooks.test_mail,
            writes=self.writes,
            tasks=self.tasks,
        )
        self.housekeeping = Housekeeping(settings, database, self.prompts, self.names, self.dispatcher)
        self.notifications = Notifications(settings, database)
        self.name_lookup = NameLookup(settings, database)
        self.metronome = Metronome()
        self.clock_watch = ClockWatch(
            database, writes=self.writes, tasks=self.tasks, move=self._move_times, resume=self._resume
        )
        self._polled = False  # whether the PBX state was read since the connection was made
        self._booted = False  # whether the PBX is known to be fully booted; until then its lists may be incomplete
        self._stored_completely = False  # since the connection was made
        self._connected_at = 0.0  # monotonic
        self._event_handlers = self._make_event_handlers()
        self._batch_at: datetime | None = None  # the time of the events that have just come, None if none have
        self._compares_line = False  # it will be found out who has come to the line or left it
        self._poll_lock = asyncio.Lock()
        self._poll_ended = time.monotonic()
        self._stopped = asyncio.Event()

    # -- start and stop ---------------------------------------------------------------------------------------

    def stop(self) -> None:
        self._stopped.set()

    def is_going_on(self) -> bool:
        """Tell whether the last poll ended lately. If not, something waits for ever, and only a new start helps."""
        return time.monotonic() - self._poll_ended < POLL_LIMIT + self.settings.poll_seconds

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Run until `stop`. `ready` is called once callers can be answered."""
        await asyncio.to_thread(self.clock_watch.start)
        await asyncio.to_thread(self._load_idle_times)
        await asyncio.to_thread(self.dispatcher.recall)
        await self.talks.read_settings()  # before an event can end a talk
        self.agi_access.upgrade = await asyncio.to_thread(agi_peers.load_upgrade, self.database)
        await self._use_pbx_settings()
        await self._find_pbx_address()
        await self.phone_calls.start()
        self._agi_port = self.agi.port = await asyncio.to_thread(agi_port, self.settings, self.database)
        await self._listen()
        self.dialplan_file.agi_port = self.agi.port
        watch = DatabaseWatch(self.database.engine, self._on_database_change)
        self.metronome.add(self.poll, self.settings.poll_seconds)
        self.metronome.add(self._keep_house, HOUSEKEEPING_SECONDS)
        self.metronome.add(self.notifications.run, NOTIFICATION_SECONDS)
        self.metronome.add(self.webhooks.run, WEBHOOK_SECONDS)
        self.metronome.add(self.name_lookup.run, NAME_SECONDS)
        for work in (
            self.writes.run(),
            self.clock_watch.run(),
            self.dispatcher.run(),
            self._keep_house(),
            self.names.recover(),
            self.poll(),
        ):
            self.tasks.spawn(work)
        await self._start_ami()
        self.metronome.start()
        watch.start()
        ready()
        try:
            await self._stopped.wait()
        finally:
            self.metronome.stop()
            await watch.stop()
            await self.phone_calls.stop()
            await self.agi.stop()
            await self.ami.stop()
            self.refusals.store()
            if lost := await self.writes.drain(DRAIN_SECONDS):
                log.error("%d writes are given up; the next start asks the PBX what became of the attempts", lost)
            self.prompts.close()
            self.names.close()
            self.registrar.close()
            self.notifications.close()
            self.webhooks.close()
            self.name_lookup.close()
            await self.tasks.cancel()

    def _load_idle_times(self) -> None:
        with self.database.read() as session:
            self.snapshot.idle_since = pbx_state.idle_since(session, utcnow())

    async def _keep_house(self) -> None:
        await self.housekeeping.run()

    def _move_times(self, by: timedelta) -> None:
        """Move the moments in memory, because the clock has jumped."""
        self.snapshot.move_times(by)
        self.state.move_times(by)

    def _resume(self) -> None:
        """Go on after a jump of the clock."""
        self.metronome.restart_intervals()
        self.tasks.spawn(self.poll())

    # -- the PBX ----------------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        return Facts(
            lines=self.snapshot.lines(),
            queues=self.snapshot.queue_facts(),
            connected=self.ami.connected and self._polled,
            obstacle=self.state.obstacle,
            heartbeat=utcnow(),
            numbers_on_line=self.talks.numbers_on_line(),
        )

    def _measure(self) -> str:
        """Return what a monitoring system gets of this worker."""
        self.figures.writes.set(self.writes.waiting)
        return self.figures.text()

    def _on_state(self, state: AmiState) -> None:
        if state.status == "connected":
            self._connected_at = asyncio.get_running_loop().time()
            self.dispatcher.connected(self.ami.login_seconds)
            self.tasks.spawn(self._find_pbx_address())
            self.tasks.spawn(self.poll())
        else:
            self._polled = self._booted = self._stored_completely = False
            self.wrapups.forget()
            self.module_destinations.mark_outdated()
            self.product.mark_outdated()
            self.follower.connection_lost()
            self.dispatcher.connection_lost()
            self.talks.connection_lost()
            self.phone_calls.connection_lost()
            self.state.store_worker_state_soon()

    def _on_event(self, event: Any) -> None:
        if self._batch_at is None:
            self._begin_batch()
        for handle in self._event_handlers.get(event.get("Event"), ()):
            handle(event)

    def _begin_batch(self) -> None:
        """Prepare for events. What they share is done once for all that came at once: a busy PBX sends hundreds."""
        self._batch_at = utcnow()
        asyncio.get_running_loop().call_soon(self._end_batch)
        self.talks.begin_batch()

    def _end_batch(self) -> None:
        self._batch_at = None
        self.holds.keep_others()
        self.talks.end_batch()
        self.state.store_changes_soon()

    def _make_event_handlers(self) -> dict[str, tuple[Callable[[Any], None], ...]]:
        """Return who handles an event, by its name, in this order."""
        by_handler: list[tuple[Callable[[Any], None], Collection[str]]] = [
            (self._note_booted, {"FullyBooted"}),
            (self._follow_attempt, AttemptFollower.handled),
            (self._update_snapshot, Snapshot.handled),
            (self.talks.handle, TalkWatch.handled),
        ]
        names = {name for _, handled in by_handler for name in handled}
        return {name: tuple(handle for handle, handled in by_handler if name in handled) for name in names}

    def _note_booted(self, event: Any) -> None:
        if self.ami.connected:
            self.tasks.spawn(self.poll())

    def _follow_attempt(self, event: Any) -> None:
        if self.phone_calls.handle_event(event):
            return
        report = self.follower.handle(event)
        if report is not None:
            self.dispatcher.handle_report(report)

    def _update_snapshot(self, event: Any) -> None:
        assert self._batch_at is not None
        if self.snapshot.handle(event, self._batch_at):
            self.dispatcher.wake()

    def _on_ring(self, order: DialOrder) -> None:
        self.snapshot.note_ring(order.agent, utcnow())
        if order.queue:
            self.snapshot.note_called(order.queue)
        self.state.store_changes_soon()

    def _on_line_change(self) -> None:
        if not self._compares_line:  # one comparison for all events of a call
            self._compares_line = True
            asyncio.get_running_loop().call_later(LINE_DELAY, self._compare_line)

    def _compare_line(self) -> None:
        self._compares_line = False
        before, self.state.numbers_on_line = self.state.numbers_on_line, self.talks.numbers_on_line()
        if before - self.state.numbers_on_line:
            # a customer has hung up, so they can be called back
            asyncio.get_running_loop().call_later(LINE_LEFT_DELAY, self.dispatcher.wake)
        self.state.store_changes_soon()

    async def _note_withheld(self, uniqueid: str, channel: str) -> None:
        try:
            if await withholds_number(self.ami, channel):
                self.talks.withhold_number(uniqueid)
        except (AmiError, InvalidLookup) as error:
            log.debug("cannot ask whether the number of %s is withheld: %s", uniqueid, error)

    async def _on_agi_session(self, session: AgiSession) -> None:
        if session.path.startswith(PHONE_CALL_PATH):
            await handle_phone_call(session, self.phone_calls)
        elif session.path.startswith(ATTEMPT_PATH):
            if self.dispatcher.let_go(session.path.removeprefix(ATTEMPT_PATH)):
                await session.set_variable(GO, "1")
        else:
            await converse(session, self.registrar)

    def _on_agi_upgrade(self, upgrade: Upgrade) -> None:
        self.writes.put(lambda: agi_peers.store_upgrade(self.database, upgrade))

    def _on_agi_refused(self, address: str) -> None:
        if address != self._refused_address:
            self._refused_address = address
            self.writes.put(lambda: agi_peers.store_refused(self.database, address))

    async def _find_pbx_address(self) -> None:
        """Let FastAGI connections come from the address of the PBX, unless the environment gives their addresses."""
        if self.agi_access.networks:
            return
        found = await agi_peers.resolve(self.ami.address[0])
        self.agi_access.addresses = found or self.agi_access.addresses

    def _on_database_change(self) -> None:
        self.clock_watch.look()  # before a command is judged whose time is that of the wall clock
        self.tasks.spawn(self.commands.run_open())
        self.dispatcher.wake()

    # -- polls ------------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Read the PBX settings and the whole PBX state, reconcile attempts, and store the heartbeat."""
        async with self._poll_lock:
            self.refusals.store()
            self.tasks.spawn(self.commands.run_open())  # perhaps the look at the last change failed
            began = time.monotonic()
            try:
                await self._poll_pbx()
                if self.ami.connected:
                    self.figures.poll.observe(time.monotonic() - began)
                self.figures.ami_lag.set(self.ami.take_lag())
            except AmiError as error:
                log.warning("cannot read the state of the PBX: %s", error)
            except SQLAlchemyError as error:
                log.error("the poll failed, the database refuses: %s", error)
            except Exception:  # the rest must go on: without a heartbeat the pages say that the worker has stopped
                log.exception("the poll failed")
            try:
                await self.state.store_worker_state()
            except SQLAlchemyError as error:
                log.error("cannot store the heartbeat: %s", error)
            self._poll_ended = time.monotonic()
            self.dispatcher.wake()

    async def reload_dialplan(self) -> None:
        """Read the state of the PBX, then write and reload the dialplan. Raises AmiError and SQLAlchemyError.

        The dialplan is never written before the PBX has been asked for hints: one of ours would hide what a pattern of
        the PBX says of an extension.
        """
        async with self._poll_lock:
            if not self.ami.connected:
                raise AmiDisconnected("not connected to the PBX")
            await self._poll_pbx(reload_dialplan=True)
            await self.state.store_worker_state()
        self.dispatcher.wake()

    async def _poll_pbx(self, *, reload_dialplan: bool = False) -> None:
        if await self._use_pbx_settings():
            self.product.forget()
            await self.dispatcher.mark_pbx_changed()
        await self._start_ami()
        await self._use_agi_port()
        if self.ami.connected:
            await self._read_snapshot()
            await self.dispatcher.reconcile()
            await self.holds.clean_up()
            await self.kept.register()
            await self._update_dialplan(force=reload_dialplan)
            await self.phone_calls.clean_up()
            self.tasks.spawn(self.state.names.refresh(self.snapshot.extensions, self.dialplan_file.profile))
            self.tasks.spawn(self.module_destinations.refresh(self.dialplan_file.profile))
            if self._booted:
                self.tasks.spawn(self.product.refresh())

    async def _use_pbx_settings(self) -> bool:
        """Connect with the effective settings. Return whether the address has changed."""
        pbx = await asyncio.to_thread(pbx_settings, self.settings, self.database)
        before, address = self.ami.address, (pbx.ami_host, pbx.ami_port)
        if await self.ami.use(*address, pbx.ami_username, pbx.ami_secret):
            log.info("connecting to the PBX at %s:%s as %s", *address, pbx.ami_username)
            self.state.names.mark_outdated()
        if address != before:
            self.tasks.spawn(self._find_pbx_address())
        return address != before

    async def _start_ami(self) -> None:
        """Start connecting to the PBX as soon as its settings are given."""
        if await asyncio.to_thread(pbx_is_given, self.settings, self.database) and not self._stopped.is_set():
            await self.ami.start()

    async def _listen(self) -> None:
        """Start the FastAGI server. Raises OSError.

        FreePBX has a service on the usual port of a plain Asterisk. As long as nobody has chosen the profile, ours has
        to run beside it, or it could not find out that this is FreePBX.
        """
        try:
            await self.agi.start()
        except OSError as error:
            others = [port for port in AGI_PORTS.values() if port != self.agi.port]
            if self.settings.from_environment("agi_port"):
                raise
            log.error("cannot listen on port %s, so listening on %s: %s", self.agi.port, others[0], error)
            self.agi.port = others[0]
            await self.agi.start()

    async def _use_agi_port(self) -> None:
        """Listen on the port of the PBX profile, which an administrator may have changed."""
        wanted = await asyncio.to_thread(agi_port, self.settings, self.database)
        if wanted == self._agi_port:
            return
        self._agi_port = wanted  # if it is in use, we are at the old one until the next start
        if wanted == self.agi.port:
            return
        try:
            await self.agi.move(wanted)
        except OSError as error:
            log.error("cannot listen on port %s, so still listening on %s: %s", wanted, self.agi.port, error)
        self.dialplan_file.agi_port = self.agi.port

    async def _read_snapshot(self) -> None:
        needs = await asyncio.to_thread(self._stored_needs)
        await self.talks.read_settings()
        self.snapshot.use_wrapups(needs.wrapups, await self.wrapups.read())
        self.snapshot.use_context(needs.extension_context, pbx_may_differ=not self._polled)
        has_dialplan = self._booted or self.ami.fully_booted or await self.dialplan_file.is_loaded()
        complete = [await self._list("DeviceStateList", lambda rows, _: self.snapshot.poll_devices(rows))]
        complete += [await self._list_extensions(), await self._list("QueueStatus", self.snapshot.poll_queues)]
        self._booted = self._booted or self._is_booted(has_all=has_dialplan and all(complete))
        await self._find_hints(needs)
        if not self._booted:
            self.hints.forget_missing()  # they may still be loading
        await self._list_calls()
        self.state.may_delete = self._booted
        self.state.store_changes(complete=not self._stored_completely)
        await self.writes.drain(DRAIN_SECONDS)  # the dialplan is rendered from the stored rows
        self._polled, self._stored_completely = True, self._booted

    def _is_booted(self, *, has_all: bool) -> bool:
        """Tell whether the PBX is fully booted. `has_all`: it has our dialplan, thus all hints, and all its lists.

        A booting Asterisk answers before its modules are loaded, and reports the end of its start only to users who may
        read `system`. Hints come with the dialplan. app_queue, which has a list, is loaded after it.
        """
        since = asyncio.get_running_loop().time() - self._connected_at
        return self.ami.fully_booted or has_all or since >= BOOT_SECONDS

    async def _list(self, action: str, apply: Callable[[Sequence[Any], datetime], object]) -> bool:
        """Read a list of the PBX. It is empty if the module for it is not loaded; return whether it is."""
        try:
            await self.ami.apply_list(action, lambda rows: apply(rows, utcnow()))
        except AmiRefused as refusal:
            if "unknown command" not in str(refusal).lower():
                raise
            log.debug("the PBX has no %s: %s", action, refusal)
            apply([], utcnow())
            return False
        return True

    async def _list_extensions(self, answered: Collection[str] = ()) -> bool:
        poll = partial(self.snapshot.poll_extensions, answered=answered)
        return await self._list("ExtensionStateList", poll)

    async def _list_calls(self) -> None:
        """Read the channels and bridges, once per poll for all who follow them, unless our AMI user may not."""
        bridges: list[Any] = []

        def apply(channels: Sequence[Any]) -> None:
            self.snapshot.poll_channels(channels, utcnow())
            self.talks.fill(channels, bridges)

        try:
            bridges = await self.ami.collect("BridgeList")
            await self.ami.apply_list("CoreShowChannels", apply)
        except AmiRefused as refusal:
            log.warning("cannot read the calls of the PBX: %s", refusal)
            self.talks.do_without_lists()

    async def _find_hints(self, needs: _Needs) -> None:
        """Ask for the hints that the list does not show or does not decide."""
        for extension, hint in (await self.hints.find(self.snapshot.ambiguous(), [needs.extension_context])).items():
            self.snapshot.reach(extension, hint, utcnow())
        await self._find_missing(self.snapshot.without_hint(needs.extensions), needs)

    async def _find_missing(self, extensions: Collection[str], needs: _Needs) -> bool:
        contexts = [needs.extension_context, *self.snapshot.member_contexts(), needs.outbound_context]
        contexts += sorted({context for context, _ in self.snapshot.hints})
        found = await self.hints.find(extensions, contexts)
        if found or self.snapshot.unlisted:
            await self._list_extensions(answered=extensions)
        self.snapshot.remember_patterns(found)
        for extension, hint in found.items():
            self.snapshot.reach(extension, hint, utcnow())
        return bool(found)

    async def _learn_extension(self, extension: str) -> bool:
        """Find the hint of a caller's extension. Return whether it has one; it is stored then.

        No poll runs meanwhile. It could reload the dialplan between the question and the list.
        """
        if not self.ami.connected:
            return False
        async with self._poll_lock:
            missing = self.snapshot.without_hint({extension}) & {extension}
            try:
                if missing and not await self._find_missing(missing, await asyncio.to_thread(self._stored_needs)):
                    return False
            except AmiError as error:
                log.warning("cannot ask the PBX for extension %s: %s", extension, error)
                return False
            self.state.store_changes()
            await self.writes.drain(DRAIN_SECONDS)
            return True

    async def _find_shown_number(self, device: str) -> str:
        try:
            return await shown_number(self.ami, device)
        except (AmiError, InvalidLookup) as error:
            log.warning("cannot ask the PBX for the caller ID of %s: %s", device, error)
            return ""

    def _stored_needs(self) -> _Needs:
        with self.database.read() as session:
            pbx = store_settings.pbx(session, self.settings)
            return _Needs(
                pbx_state.wrapups(session), wanted_extensions(session), pbx.extension_context, pbx.outbound_context
            )

    async def _update_dialplan(self, *, force: bool) -> None:
        await self.dialplan_file.update(force=force)
        if self.dialplan_file.running:
            self.agi_access.dialplan_runs()
        outbound = self.state.outbound_context = await asyncio.to_thread(self._outbound_context)
        if is_too_old(self.ami.state.version):
            self.state.obstacle = ReasonCode.TOO_OLD
        elif not self.dialplan_file.usable:
            self.state.obstacle = ReasonCode.NO_DIALPLAN
        elif self.dialplan_file.number_check_is_old:
            self.state.obstacle = ReasonCode.OLD_NUMBER_CHECK
        else:
            self.state.obstacle = None if outbound else ReasonCode.NO_OUTBOUND

    def _outbound_context(self) -> str:
        with self.database.read() as session:
            return store_settings.office(session, self.settings).outbound_context


async def show_life(is_going_on: Callable[[], bool], pulse: Pulse) -> None:
    """Send signs of life to systemd for ever. It kills and restarts the worker if they stop.

    They stop when the event loop stands still, because this runs in it, and while `is_going_on` returns false.
    """
    was_going_on = True
    while True:
        if goes_on := is_going_on():
            pulse.beat()
        elif was_going_on:
            log.error("no poll has ended for more than %.0f s: signs of life for systemd are withheld", POLL_LIMIT)
        was_going_on = goes_on
        await asyncio.sleep(pulse.seconds)


def run_worker(settings: Settings, database: Database, ready: Callable[[], None] = lambda: None) -> None:
    """Run the worker of this process until SIGTERM or SIGINT. On PostgreSQL, wait first until no other one leads.

    Raises WorkerRunning.
    """
    pulse, leadership = Pulse(), leadership_of(database)
    care = StandbyCare(database, settings.prompts_path)

    def wait_as_standby() -> None:
        notify(READY, "STATUS=The standby: another worker leads, or the database does not answer")
        pulse.beat()
        care.turn()

    leadership.wait(wait_as_standby)
    database.fence = leadership.check
    encrypt_stored(database, settings)
    freeze_lasting()
    sys.setswitchinterval(SWITCH_SECONDS)

    async def work() -> None:
        worker = Worker(settings, database, is_leader=leadership.is_held)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        loop.call_later(SETTLED_AFTER, freeze_lasting)  # statements, prompts, phones: what the first minute has built
        worker.tasks.spawn(show_life(worker.is_going_on, pulse))
        await worker.run(ready)

    try:
        asyncio.run(work())
    finally:
        leadership.release()
