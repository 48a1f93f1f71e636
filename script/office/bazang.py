"""A complete Bazang for tests, demo and bench: a real Asterisk, a database, and the worker as a process."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import flask_migrate
from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app import create_app
from app.config import FIRST_EXCHANGE, Settings, load_settings
from app.domain.routing import NO_DESTINATION, Destination, Situation
from app.server.process import kill, spawn, terminate
from app.services.modules.input import ModuleInput
from app.services.modules.save import save_module
from app.services.pbx.scenarios import ExtensionInput, QueueInput, save_scenario
from app.store import encryption
from app.store.database import Database
from app.store.models import Attempt, CallRequest, HistoryEntry, WorkerState
from app.store.settings import write_setting
from script.office.asterisk import AsteriskOffice, OfficeSetup, free_port
from script.office.fake_clock import FakeClock
from script.office.patience import PATIENCE
from script.office.warm_worker import WarmWorker, start_worker

ROOT = Path(__file__).resolve().parents[2]
WORKER_COMMAND = [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), "worker"]
CHECK_INTERVAL = 0.03  # seconds; a check usually reads the database, so a shorter interval costs processor time
T = TypeVar("T")


class Bazang:
    """An office with Bazang. `folder` contains all its files. `prompts`: a folder of clips that offices can share.

    `database`: an SQLite file to copy, from `build_database`. Without it, the migrations build the database.
    `warm_start`: fork workers from a process with all imports, instead of starting them as an installation does.
    With EXCHANGE it is that of a further exchange, which must exist.
    `environment`: additional settings without the prefix BAZANG_. None leaves a setting out. Free ports are used unless
    given there.
    """

    def __init__(
        self,
        version: int,
        folder: Path,
        setup: OfficeSetup | None = None,
        *,
        prompts: Path | None = None,
        database: Path | None = None,
        warm_start: bool = False,
        **environment: str | None,
    ) -> None:
        self.folder = folder
        self._warm_start = warm_start
        self.setup = setup or OfficeSetup()
        self.setup.include = folder / "dialplan/bazang.conf"
        self.asterisk = AsteriskOffice(version, folder / "asterisk", self.setup)
        wanted: dict[str, str | None] = {
            "DATA_DIR": str(folder),
            "DIALPLAN_FILE": str(self.setup.include),
            "PROMPTS_DIR": str(prompts or folder / "prompts"),
            "AMI_PORT": str(self.asterisk.ami_port),
            "AMI_USERNAME": self.asterisk.ami_username,
            "AMI_SECRET": self.asterisk.ami_secret,
            "AGI_PORT": str(free_port()),
            "OUTBOUND_CONTEXT": "outbound",
            "DEFAULT_LOCALE": "en",
            "POLL_SECONDS": "1",
            **environment,
        }
        values = {name: value for name, value in wanted.items() if value is not None}
        self.environment = {f"BAZANG_{name}": value for name, value in values.items()}
        self.wall_clock: FakeClock | None = None  # of the worker; None: the real one
        self._worker: subprocess.Popen[bytes] | WarmWorker | None = None
        settings: dict[str, Any] = {name.lower(): value for name, value in values.items()}
        of_panel = load_settings(_env_file=None, **settings)
        code = of_panel.exchange
        self.settings: Settings = of_panel.for_exchange(code)
        self.setup.include = self.settings.dialplan_path
        if database is not None:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(database, folder / "bazang.sqlite3")
        self.app = create_app(of_panel)
        if database is None:
            with self.app.app_context():
                flask_migrate.upgrade()
        self.database: Database = self.app.extensions["bazang"]["exchanges"].find(code)
        if code != FIRST_EXCHANGE:
            self._store_settings(values)

    def _store_settings(self, values: dict[str, str]) -> None:
        """Store what the environment gives to the first exchange only."""
        names = ("AMI_HOST", "AMI_PORT", "AMI_USERNAME", "OUTBOUND_CONTEXT")
        stored = {name.lower(): values[name] for name in names if name in values}
        stored |= {"ami_secret": encryption.encrypt(self.settings, values["AMI_SECRET"])}
        stored |= {"locale": values["DEFAULT_LOCALE"]}
        with self.database.write() as session:
            for name, value in stored.items():
                write_setting(session, name, value)

    # -- process ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.asterisk.start()
        return self

    async def abandon(self) -> None:
        """Kill the worker and Asterisk at once: nothing is looked at any more, so nothing ends in an orderly way."""
        await self.kill_worker()
        await self.asterisk.abandon()

    async def __aexit__(self, *_: object) -> None:
        await self.stop_worker()
        await self.asterisk.__aexit__()
        self.app.extensions["bazang"]["database"].engine.dispose()

    async def start_worker(self, patience: float = PATIENCE) -> None:
        """Start the worker and wait until it is connected and Asterisk runs its dialplan.

        Raises RuntimeError if it ends before, AssertionError after `patience` seconds.
        """
        began = self.wall_clock.now() if self.wall_clock is not None else datetime.now(UTC)
        self.launch_worker()

        def runs() -> bool:
            if self._worker is not None and self._worker.poll() is not None:
                raise RuntimeError(f"the worker ended during the start:\n{self.worker_log()[-3000:]}")
            return self.worker_runs(began)

        await self.until(runs, patience, "the worker is ready")

    def worker_runs(self, began: datetime) -> bool:
        """Tell whether a worker was connected and Asterisk ran its dialplan at a heartbeat after `began`."""
        state = self.worker_state()
        return bool(
            state is not None
            and state.heartbeat is not None
            and state.heartbeat > began
            and state.ami_status == "connected"
            and state.dialplan_running
            and state.dialplan_running == state.dialplan_written
            and not state.obstacle
        )

    def launch_worker(self) -> None:
        """Start the worker without waiting for it."""
        log = self.folder / "worker.log"
        if self._warm_start and self.wall_clock is None:  # a library is preloaded only at a start
            self._worker = start_worker(log, self.process_environment(), self.folder)
            return
        self._worker = spawn(WORKER_COMMAND, log, environment=self.process_environment(), folder=self.folder)

    def process_environment(self) -> dict[str, str]:
        """Return the environment of the processes, without the settings of a real office.

        The processes must run in `folder`, because they read a `.env` file of the current folder.
        """
        others = {k: v for k, v in os.environ.items() if not k.startswith("BAZANG_")}
        clock = self.wall_clock.environment if self.wall_clock is not None else {}
        return others | self.environment | clock | {"FLASK_SKIP_DOTENV": "1"}

    async def stop_worker(self) -> None:
        """Terminate the worker."""
        process, self._worker = self._worker, None
        if process is not None:
            await asyncio.to_thread(terminate, process, 10)

    async def kill_worker(self) -> None:
        """Kill the worker, as in a power cut."""
        process, self._worker = self._worker, None
        if process is not None:
            await asyncio.to_thread(kill, process)

    def adopt_worker(self, process: subprocess.Popen[bytes] | WarmWorker) -> None:
        """Take over a worker that somebody else has started, such as a standby. It is stopped with the office."""
        self._worker = process

    def freeze_worker(self) -> None:
        """Stop the worker with SIGSTOP. Its connections stay open."""
        self.worker.send_signal(signal.SIGSTOP)

    def thaw_worker(self) -> None:
        """Resume the worker after `freeze_worker`."""
        self.worker.send_signal(signal.SIGCONT)

    @staticmethod
    def now() -> float:
        """Return the time in monotonic seconds, like the times of phones."""
        return time.monotonic()

    def elapsed(self, since: float) -> float:
        return time.monotonic() - since

    @property
    def worker(self) -> subprocess.Popen[bytes] | WarmWorker:
        assert self._worker is not None, "the worker does not run"
        return self._worker

    def worker_log(self) -> str:
        """Return the log of the worker."""
        return (self.folder / "worker.log").read_text(errors="replace")

    # -- the office -------------------------------------------------------------------------------------------

    def module(self, *, name: str = "Sales", code: str = "*5001", **fields: Any) -> int:
        """Store a module and return its id. By default it is in English, with rest and waiting time 0."""
        defaults: dict[str, Any] = {
            "target_kind": "extension",
            "targets": ("101",),
            "language": "en",
            "rest": 0,
            "agent_pause": 5,
        }
        given = ModuleInput(name=name, code=code, **(defaults | fields))
        return save_module(self.database, given, datetime.now(UTC))

    def scenario(self, extension: str, *, ring: int = 25, **destinations: Destination) -> None:
        """Store the scenario of an extension, for example `busy=Destination("module", "*5001")`."""
        by_situation = {Situation(name): destination for name, destination in destinations.items()}
        save_scenario(self.database, ExtensionInput(extension, ring, by_situation), now=datetime.now(UTC))

    def queue(self, queue: str, *, max_wait: int = 5, wrapup: int = 0, failed: Destination = NO_DESTINATION) -> None:
        """Store the scenario of a queue. `max_wait` and `wrapup` are in seconds."""
        save_scenario(self.database, QueueInput(queue, max_wait, wrapup, failed), now=datetime.now(UTC))

    def min_talk(self, seconds: int) -> None:
        """Store how long a talk must last to count as reached."""
        with self.database.write() as session:
            write_setting(session, "min_talk", str(seconds))

    async def prepare_prompts(self) -> None:
        """Synthesize the prompts of all modules, so that the first caller hears them however busy the machine is."""
        from app.worker.prompts import PromptStore

        store = PromptStore(self.settings, self.database)
        await store.prepare(datetime.now(UTC))
        store.close()

    async def wait_for_dialplan(self) -> None:
        """Wait until Asterisk runs the dialplan for the stored settings."""
        from app.worker.dialplan_file import render

        wanted = await asyncio.to_thread(render, self.settings, self.database, self.settings.agi_port)

        def runs() -> bool:
            state = self.worker_state()
            return state is not None and state.dialplan_running == wanted.revision

        await self.until(runs, PATIENCE, "Asterisk runs the dialplan")

    # -- stored data ------------------------------------------------------------------------------------

    # A test that waits reads these thirty times a second, so they are cached until the database changes.

    def worker_state(self) -> WorkerState | None:
        return self.database.cached_query(("office", WorkerState), lambda session: session.get(WorkerState, 1))

    def requests(self) -> list[CallRequest]:
        return self._rows(CallRequest, CallRequest.id)

    def attempts(self) -> list[Attempt]:
        return self._rows(Attempt, Attempt.started_at)

    def history(self) -> list[HistoryEntry]:
        return self._rows(HistoryEntry, HistoryEntry.id)

    def _rows(self, table: type[T], order: InstrumentedAttribute[Any]) -> list[T]:
        def read(session: Session) -> Sequence[T]:
            return session.scalars(select(table).order_by(order)).all()

        return list(self.database.cached_query(("office", table), read))

    async def request(self, status: str, *, index: int = 0, timeout: float = PATIENCE) -> CallRequest:
        """Wait until a request has this status and return it. `index` is its position by registration."""

        def found() -> CallRequest | None:
            rows = self.requests()
            return rows[index] if len(rows) > index and rows[index].status == status else None

        return await self.until(found, timeout, f"request {index} is {status}")

    async def ended_attempts(self, count: int, timeout: float = PATIENCE) -> list[Attempt]:
        """Wait until `count` attempts have ended and return the ended ones."""

        def found() -> list[Attempt] | None:
            rows = [row for row in self.attempts() if row.ended_at is not None]
            return rows if len(rows) >= count else None

        return await self.until(found, timeout, f"{count} attempts have ended")

    async def until(self, found: Callable[[], T | None], timeout: float, what: str) -> T:
        """Wait until `found` returns a true value and return it. Raises AssertionError with `describe()`."""
        deadline = time.monotonic() + timeout
        while True:
            result = found()
            if result:
                return result
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s: {what}\n{self.describe()}")
            await asyncio.sleep(CHECK_INTERVAL)

    def describe(self) -> str:
        """Return requests, history and the ends of both logs, to find a fault."""
        state = self.worker_state()
        shown = {k: str(v) for k, v in vars(state).items() if not k.startswith("_")} if state is not None else {}
        lines = [json.dumps(shown)]
        lines += [f"{r.id} {r.status} {r.number} for {r.target} {r.last_outcome}" for r in self.requests()]
        lines += [f"{h.at:%H:%M:%S.%f} {h.event} {h.old_status}->{h.new_status} {h.detail}" for h in self.history()]
        log = self.asterisk.log_file
        asterisk = log.read_text(errors="replace").splitlines()[-60:] if log.exists() else []
        worker = self.worker_log().splitlines()[-40:] if (self.folder / "worker.log").exists() else []
        return "\n".join([*lines, "--- worker", *worker, "--- asterisk", *asterisk])
