"""Do the faults of a plan to the processes, the connection, the database, the clock and the trunk of an office."""

import asyncio
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg

from app.server.panel import start_panel
from app.server.process import kill, terminate
from script.chaos_run.ami_proxy import AmiProxy, Cut
from script.chaos_run.history import Entry, History
from script.chaos_run.people import People
from script.chaos_run.plan import RESOURCES, Fault
from script.chaos_run.workers import Workers
from script.lib.package_files import FAKETIME, NoPackageFile
from script.office.bazang import Bazang
from script.office.ports import free_port
from script.office.postgres import PostgresServer

FULL = 4096  # bytes; a process with this limit can write nothing behind them, so neither the database nor its WAL
ORDER_SECONDS = 15.0  # to wait for an order to dial
DOWN_SECONDS = 2.0  # the longest time that a process is down
JUMP = timedelta(hours=3.5)
STANDSTILL = 2  # times as long as other faults: longer than a customer listens to silence
MOVED_SECONDS = 22.0  # until the clock may be moved again; meanwhile the worker looks for expired requests
_CUTS = {
    "ami_cut_before_order": Cut.BEFORE_ORDER,
    "ami_cut_after_order": Cut.AFTER_ORDER,
    "ami_cut_behind_reply": Cut.BEHIND_REPLY,
}


def impossible(kinds: tuple[str, ...], *, postgres: bool) -> dict[str, str]:
    """Return the kinds of faults that this machine or office cannot have, and why."""
    found = {}
    if postgres:
        found["worker_disk_full"] = "the server of PostgreSQL writes the database, not the worker"
    else:
        found["database_restart"] = "needs --database postgres"
    try:
        FAKETIME.find()
    except NoPackageFile as missing:
        found["clock"] = str(missing)
    return {kind: why for kind, why in found.items() if kind in kinds}


class Panel:
    """The panel as a process."""

    def __init__(self, bazang: Bazang) -> None:
        self._bazang, self.port = bazang, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, None if it does not run."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        folder = self._bazang.folder
        environment = self._bazang.process_environment()
        self._process = start_panel("127.0.0.1", self.port, environment, folder, folder / "panel.log")

    async def stop(self, *, hard: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            await (asyncio.to_thread(kill, process) if hard else asyncio.to_thread(terminate, process, 10))


class Faults:
    """Does each fault at its moment. `server`: that of PostgreSQL, None with SQLite."""

    def __init__(
        self,
        faults: tuple[Fault, ...],
        history: History,
        bazang: Bazang,
        panel: Panel,
        proxy: AmiProxy,
        people: People,
        server: PostgresServer | None,
        workers: Workers,
    ) -> None:
        self._faults, self._history, self._bazang, self._panel = faults, history, bazang, panel
        self._workers = workers
        self._proxy, self._people, self._server = proxy, people, server
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._moved = asyncio.Event()
        self._hang_up: float | None = None
        history.listeners.append(self._note)

    def _note(self, entry: Entry) -> None:
        if entry["moment"]:
            self._moved.set()
            self._moved = asyncio.Event()

    async def run(self) -> None:
        """Do all faults, and return when they are over."""
        async with asyncio.TaskGroup() as group:
            for fault in self._faults:
                group.create_task(self._run(fault))

    def note_login(self) -> None:
        """The worker has logged in: agents in a talk hang up in this instant, if a fault wants that."""
        delay, self._hang_up = self._hang_up, None
        if delay is not None:
            asyncio.get_running_loop().call_later(delay, self._people.hang_up_talking_agents)

    async def _run(self, fault: Fault) -> None:
        while self._history.moments[fault.moment] < fault.number:
            left = fault.latest - self._history.elapsed
            if left <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._moved.wait()
        await asyncio.sleep(fault.delay)
        async with self._locks[RESOURCES[fault.kind]]:
            self._history.write("fault", fault=fault.kind, phase="begin", seconds=fault.seconds, moment_of=fault.moment)
            await self._do(fault)
            self._history.write("fault", fault=fault.kind, phase="end")

    async def _do(self, fault: Fault) -> None:
        kind, seconds = fault.kind, fault.seconds
        if kind.startswith(("worker_kill", "worker_term", "ami_cut")) and fault.hang_up is not None:
            self._hang_up = fault.hang_up
            self._people.may_leave.clear()
        if kind in _CUTS:
            await self._cut_at_order(_CUTS[kind])
            return
        work: dict[str, Callable[[], Awaitable[object]]] = {
            "worker_kill": lambda: self._restart_worker(seconds, hard=True),
            "worker_term": lambda: self._restart_worker(seconds, hard=False),
            "worker_stop": lambda: self._stop_worker(seconds),
            "worker_disk_full": lambda: self._fill_disk(seconds),
            "panel_kill": lambda: self._restart_panel(hard=True),
            "panel_term": lambda: self._restart_panel(hard=False),
            "asterisk_kill": lambda: self._kill_asterisk(seconds),
            "asterisk_stop": lambda: self._stop_asterisk(seconds),
            "dialplan_reload": lambda: self._bazang.asterisk.reload(),
            "ami_cut": lambda: self._cut(seconds),
            "ami_mute": lambda: self._mute(seconds),
            "database_lock": lambda: self._lock_database(seconds),
            "database_restart": lambda: self._restart_database(seconds),
            "clock": lambda: self._move_clock(fault.number),
            "route_down": lambda: self._fail_route(seconds),
        }
        await work[kind]()

    async def _restart_worker(self, seconds: float, *, hard: bool) -> None:
        machine = await self._workers.leader()
        await machine.stop(hard=hard)
        await asyncio.sleep(min(seconds, DOWN_SECONDS))
        machine.launch()

    async def _stop_worker(self, seconds: float) -> None:
        await (await self._workers.leader()).stand_still(seconds)

    async def _fill_disk(self, seconds: float) -> None:
        await (await self._workers.leader()).fill_disk(seconds, FULL)

    async def _restart_panel(self, *, hard: bool) -> None:
        await self._panel.stop(hard=hard)
        self._panel.start()

    async def _kill_asterisk(self, seconds: float) -> None:
        await self._bazang.asterisk.kill()
        self._people.cut_all()
        await asyncio.sleep(min(seconds, DOWN_SECONDS))
        await self._bazang.asterisk.start()

    async def _stop_asterisk(self, seconds: float) -> None:
        self._bazang.asterisk.pause()
        await asyncio.sleep(STANDSTILL * seconds)
        self._bazang.asterisk.resume()

    async def _cut(self, seconds: float) -> None:
        self._proxy.go_down()
        await asyncio.sleep(seconds)
        self._proxy.come_back()

    async def _cut_at_order(self, cut: Cut) -> None:
        self._proxy.arm(cut)
        with suppress(TimeoutError):
            async with asyncio.timeout(ORDER_SECONDS):
                await self._proxy.struck.wait()
        self._proxy.armed = None

    async def _mute(self, seconds: float) -> None:
        self._proxy.mute()
        await asyncio.sleep(seconds)
        self._proxy.unmute()

    async def _lock_database(self, seconds: float) -> None:
        url = self._bazang.database.engine.url
        if self._server is not None:
            await asyncio.to_thread(_lock_tables, self._server.url, seconds)
        else:
            assert url.database is not None
            await asyncio.to_thread(_lock_file, Path(url.database), seconds)

    async def _restart_database(self, seconds: float) -> None:
        assert self._server is not None
        self._server.halt()
        await asyncio.sleep(min(seconds, DOWN_SECONDS))
        self._server.launch()

    async def _move_clock(self, number: int) -> None:
        """Put the clock forward and back in turn, so that it never goes far away."""
        clock = self._bazang.wall_clock
        assert clock is not None
        clock.move(-JUMP if clock.offset > timedelta(0) else JUMP if number % 2 else -JUMP)
        await asyncio.sleep(MOVED_SECONDS)

    async def _fail_route(self, seconds: float) -> None:
        self._people.route_is_down = True
        await asyncio.sleep(seconds)
        self._people.route_is_down = False


def _lock_file(file: Path, seconds: float) -> None:
    other = sqlite3.connect(file, timeout=5, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
    except sqlite3.OperationalError:  # the others leave no gap
        pass
    finally:
        other.close()


def _lock_tables(url: str, seconds: float) -> None:
    with suppress(psycopg.Error), psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as other:
        other.execute("LOCK TABLE call_requests, attempts IN ACCESS EXCLUSIVE MODE")
        time.sleep(seconds)
