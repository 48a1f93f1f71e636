"""Store what the worker knows of the PBX and of itself, so that pages can explain waiting requests."""

import asyncio
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from app.config import Settings
from app.domain.policy import ReasonCode
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database
from app.store.uptime import boot_id
from app.telephony.ami import AmiClient
from app.telephony.snapshot import Snapshot
from app.worker.background import BackgroundTasks
from app.worker.clock import CLOCK, utcnow
from app.worker.dialplan_file import DialplanFile
from app.worker.extension_names import ExtensionNames
from app.worker.write_queue import WriteQueue

DELAY = 0.02  # seconds; all events of one call are stored together
INTERVAL = 0.1  # seconds between two writes of changes; a flood of events must not become one of writes


@dataclass
class _Changes:
    """A write of changed extensions and queues, and of the numbers on the line, None if they have not changed.

    `complete`: these are all extensions and queues, so all other rows are deleted if `may_delete`. Otherwise their
    lines become unknown at `now`.
    """

    database: Database
    extensions: dict[str, pbx_state.ExtensionReport]
    queues: dict[str, pbx_state.QueueReport]
    numbers: frozenset[str] | None
    complete: bool
    may_delete: bool
    now: datetime

    def absorb(self, newer: Self) -> None:
        before = self.extensions
        if newer.complete:
            self.extensions, self.queues = {}, {}
            self.complete, self.may_delete, self.now = True, newer.may_delete, newer.now
        for extension, report in newer.extensions.items():
            if report.name is None and extension in before:
                report = replace(report, name=before[extension].name)
            self.extensions[extension] = report
        self.queues |= newer.queues
        if newer.numbers is not None:
            self.numbers = newer.numbers

    def __call__(self) -> None:
        complete = self.complete and self.may_delete
        with self.database.write() as session:
            pbx_state.store_extensions(session, self.extensions.values(), complete=complete)
            pbx_state.store_queues(session, self.queues.values(), complete=complete)
            if self.complete and not self.may_delete:
                pbx_state.mark_unknown(session, self.extensions.keys(), self.now)
            if self.numbers is not None:
                pbx_state.store_numbers_on_line(session, self.numbers)


class StateStore:
    """Store changed extensions and queues, and the worker's heartbeat.

    `may_delete`: the PBX has reported all its extensions and queues. Otherwise rows that it does not report stay.
    `obstacle` blocks every call although the PBX is connected. None if calls can be made. `numbers_on_line` are the
    numbers that are in a call with the office. `figures` returns what a monitoring system gets.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        ami: AmiClient,
        snapshot: Snapshot,
        dialplan_file: DialplanFile,
        *,
        writes: WriteQueue,
        tasks: BackgroundTasks,
        figures: Callable[[], str] = lambda: "",
    ) -> None:
        self._settings, self._database, self._figures = settings, database, figures
        self._ami, self._snapshot, self._dialplan_file = ami, snapshot, dialplan_file
        self._writes, self._tasks = writes, tasks
        self.names = ExtensionNames(ami, self._on_name)
        self.obstacle: ReasonCode | None = ReasonCode.NO_DIALPLAN
        self.outbound_context = ""
        self.may_delete = False
        self.numbers_on_line: frozenset[str] = frozenset()
        self._stored_numbers: frozenset[str] | None = None  # None: unknown
        self._started_at: datetime = utcnow()
        self._timer: asyncio.TimerHandle | None = None
        self._next_at = 0.0  # loop time from which changes may be written again

    def _on_name(self, extension: str) -> None:
        self._snapshot.changed_lines.add(extension)
        self.store_changes_soon()

    def store_changes_soon(self) -> None:
        """Store the changes of the snapshot and of the numbers on the line, if there are any.

        That is after DELAY, and INTERVAL after the last time.
        """
        if self._timer is not None:
            return
        changed = self._snapshot.changed_lines or self._snapshot.changed_queues
        if changed or self.numbers_on_line != self._stored_numbers:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time() + DELAY, self._next_at), self.store_changes)

    def store_changes(self, *, complete: bool = False) -> None:
        """Queue a write of the snapshot's changes.

        With `complete`, write everything and delete all other rows. If they must stay, their lines become unknown.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._next_at = None, asyncio.get_running_loop().time() + INTERVAL
        extensions, self._snapshot.changed_lines = self._snapshot.changed_lines, set()
        queues, self._snapshot.changed_queues = self._snapshot.changed_queues, set()
        configured, everything = self._snapshot.configured_wrapups or {}, self._snapshot.extensions
        # A row can only be deleted by a complete write.
        complete = complete or not extensions <= everything.keys() or not queues <= self._snapshot.queues.keys()
        facts = self._snapshot.queue_facts(None if complete else queues)
        extension_reports = {
            e.extension: pbx_state.ExtensionReport(
                e.extension,
                e.state,
                e.since,
                self.names.name(e.extension),
                e.context,
                "&".join(e.devices),
                self._snapshot.idle_since.get(e.extension),
            )
            for e in (everything.values() if complete else map(everything.__getitem__, extensions))
        }
        queue_reports = {
            name: pbx_state.QueueReport(name, queue.callers, queue.members, configured.get(name))
            for name, queue in facts.items()
        }
        numbers = self.numbers_on_line if self.numbers_on_line != self._stored_numbers else None
        self._stored_numbers = self.numbers_on_line
        if extension_reports or queue_reports or numbers is not None or complete:
            self._writes.put_snapshot(
                _Changes(self._database, extension_reports, queue_reports, numbers, complete, self.may_delete, utcnow())
            )

    def store_worker_state_soon(self) -> None:
        """Store the worker's state in the background."""
        self._tasks.spawn(self.store_worker_state())

    async def store_worker_state(self) -> None:
        """Store the state of the connection and the dialplan, and the heartbeat."""
        async with CLOCK.hold() as now:
            await asyncio.to_thread(self._write_worker_state, now)

    def move_times(self, by: timedelta) -> None:
        """Move the moments in memory, because the clock has jumped."""
        self._started_at += by

    def _write_worker_state(self, now: datetime) -> None:
        state, figures = self._ami.state, self._figures()
        with self._database.write() as session:
            row = pbx_state.writable_worker_state(session)
            # Before the next query, or they would be an UPDATE of their own.
            row.figures = figures
            row.heartbeat, row.started_at = now, self._started_at
            row.host, row.boot_id, row.booted_at = platform.node()[:80], boot_id(), CLOCK.booted_at
            row.ami_status, row.ami_detail, row.asterisk_version = state.status, state.detail[:200], state.version[:40]
            if not store_settings.pbx_is_given(self._settings, store_settings.read_all(session)):
                row.ami_status = pbx_state.PBX_NOT_GIVEN
            row.poll_seconds = self._settings.poll_seconds
            row.dialplan_written, row.dialplan_running = self._dialplan_file.written, self._dialplan_file.running
            row.dialplan_detail = self._dialplan_file.detail[:200]
            row.obstacle = self.obstacle.value if self.obstacle is not None else ""
            row.outbound_context = self.outbound_context
            office = store_settings.office(session, self._settings)
            row.region, row.timezone = office.region, office.timezone
