"""A whole Bazang for tests, demo and bench: a real Asterisk office, a database, and the worker as its own process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import flask_migrate
from sqlalchemy import select

from app import create_app
from app.config import Settings, load_settings
from app.domain.routing import NO_DESTINATION, Destination, Situation
from app.server.process import kill, spawn, terminate
from app.services.modules.input import ModuleInput
from app.services.modules.save import save_module
from app.services.pbx.scenarios import ExtensionInput, QueueInput, save_scenario
from app.store.database import Database
from app.store.models import Attempt, CallRequest, HistoryEntry, WorkerState
from script.office.asterisk import AsteriskOffice, OfficeSetup, free_port
from script.office.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
LOOK_EVERY = 0.01
T = TypeVar("T")


class Bazang:
    """`folder` holds everything of this office. `prompts`: a folder of finished sounds that offices may share.

    `environment` are more BAZANG_ settings (without the prefix), None for one that is not given at all. Ports are free
    ones unless given there.
    """

    def __init__(
        self,
        version: int,
        folder: Path,
        setup: OfficeSetup | None = None,
        *,
        prompts: Path | None = None,
        **environment: str | None,
    ) -> None:
        self.folder = folder
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
        self._worker: subprocess.Popen[bytes] | None = None
        settings: dict[str, Any] = {name.lower(): value for name, value in values.items()}
        self.settings: Settings = load_settings(_env_file=None, **settings)
        self.app = create_app(self.settings)
        self.database: Database = self.app.extensions["bazang"]["database"]
        with self.app.app_context():
            flask_migrate.upgrade()

    # -- life -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.asterisk.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_worker()
        await self.asterisk.__aexit__()
        self.database.engine.dispose()

    async def start_worker(self) -> None:
        """Start the telephone service; return when it is connected and Asterisk runs the dialplan it wrote."""
        began = datetime.now(UTC)
        self.launch_worker()

        def runs() -> bool:
            state = self.worker_state()
            if self._worker is not None and self._worker.poll() is not None:
                raise RuntimeError(f"the worker ended at once:\n{self.worker_log()[-3000:]}")
            return bool(
                state is not None
                and state.heartbeat is not None
                and state.heartbeat > began
                and state.ami_status == "connected"
                and state.dialplan_running
                and state.dialplan_running == state.dialplan_written
                and not state.obstacle
            )

        await self.until(runs, PATIENCE, "the worker is ready")

    def launch_worker(self) -> None:
        """Start the telephone service and do not wait for anything."""
        command = [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), "worker"]
        log = self.folder / "worker.log"
        self._worker = spawn(command, log, environment=self.process_environment(), folder=self.folder)

    def process_environment(self) -> dict[str, str]:
        """Return the environment of this office's processes: nothing of a real office's settings gets into it.

        They must run in `folder`, too: a `.env` of the current folder would be read.
        """
        others = {k: v for k, v in os.environ.items() if not k.startswith("BAZANG_")}
        return others | self.environment | {"FLASK_SKIP_DOTENV": "1"}

    async def stop_worker(self) -> None:
        """End it as an administrator would."""
        process, self._worker = self._worker, None
        if process is not None:
            await asyncio.to_thread(terminate, process, 10)

    async def kill_worker(self) -> None:
        """End it as a power cut would."""
        process, self._worker = self._worker, None
        if process is not None:
            await asyncio.to_thread(kill, process)

    def freeze_worker(self) -> None:
        """Stop it where it stands, its connections open (SIGSTOP)."""
        self.worker.send_signal(signal.SIGSTOP)

    def thaw_worker(self) -> None:
        """Let it go on."""
        self.worker.send_signal(signal.SIGCONT)

    @staticmethod
    def now() -> float:
        """Return the moment in monotonic seconds, as the phones have it."""
        return time.monotonic()

    def elapsed(self, since: float) -> float:
        return time.monotonic() - since

    @property
    def worker(self) -> subprocess.Popen[bytes]:
        assert self._worker is not None, "the worker does not run"
        return self._worker

    def worker_log(self) -> str:
        """Return what the worker has said so far."""
        return (self.folder / "worker.log").read_text(errors="replace")

    # -- the office -------------------------------------------------------------------------------------------

    def module(self, *, name: str = "Sales", code: str = "*5001", **fields: Any) -> int:
        """Store a module (rest and waiting time 0, English, unless said otherwise) and return its id."""
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
        """Store the scenario of an extension: `busy=Destination("module", "*5001")`."""
        by_situation = {Situation(name): destination for name, destination in destinations.items()}
        save_scenario(self.database, ExtensionInput(extension, ring, by_situation), now=datetime.now(UTC))

    def queue(self, queue: str, *, max_wait: int = 5, wrapup: int = 0, failed: Destination = NO_DESTINATION) -> None:
        """Store the scenario of a queue. `max_wait` and `wrapup` in seconds."""
        save_scenario(self.database, QueueInput(queue, max_wait, wrapup, failed), now=datetime.now(UTC))

    async def dialplan_is_current(self) -> None:
        """Return when Asterisk runs what was stored last."""
        from app.worker.dialplan_file import render

        wanted = await asyncio.to_thread(render, self.settings, self.database, self.settings.agi_port)

        def runs() -> bool:
            state = self.worker_state()
            return state is not None and state.dialplan_running == wanted.revision

        await self.until(runs, PATIENCE, "Asterisk runs the dialplan")

    # -- what is stored ---------------------------------------------------------------------------------------

    def worker_state(self) -> WorkerState | None:
        with self.database.read() as session:
            return session.get(WorkerState, 1)

    def requests(self) -> list[CallRequest]:
        with self.database.read() as session:
            return list(session.scalars(select(CallRequest).order_by(CallRequest.id)))

    def attempts(self) -> list[Attempt]:
        with self.database.read() as session:
            return list(session.scalars(select(Attempt).order_by(Attempt.started_at)))

    def history(self) -> list[HistoryEntry]:
        with self.database.read() as session:
            return list(session.scalars(select(HistoryEntry).order_by(HistoryEntry.id)))

    async def request(self, status: str, *, index: int = 0, timeout: float = PATIENCE) -> CallRequest:
        """Return a request (the first, by its registration) when it has this status."""

        def found() -> CallRequest | None:
            rows = self.requests()
            return rows[index] if len(rows) > index and rows[index].status == status else None

        return await self.until(found, timeout, f"request {index} is {status}")

    async def ended_attempts(self, count: int, timeout: float = PATIENCE) -> list[Attempt]:
        """Return the attempts when `count` of them have ended."""

        def found() -> list[Attempt] | None:
            rows = [row for row in self.attempts() if row.ended_at is not None]
            return rows if len(rows) >= count else None

        return await self.until(found, timeout, f"{count} attempts have ended")

    async def until(self, found: Callable[[], T], timeout: float, what: str) -> T:
        """Return what `found` gives as soon as that is true. Raises AssertionError with what is known by then."""
        deadline = time.monotonic() + timeout
        while True:
            result = found()
            if result:
                return result
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s: {what}\n{self.describe()}")
            await asyncio.sleep(LOOK_EVERY)

    def describe(self) -> str:
        """Return what one needs to find a fault: requests, history, the ends of both logs."""
        state = self.worker_state()
        shown = {k: str(v) for k, v in vars(state).items() if not k.startswith("_")} if state is not None else {}
        lines = [json.dumps(shown)]
        lines += [f"{r.id} {r.status} {r.number} for {r.target} {r.last_outcome}" for r in self.requests()]
        lines += [f"{h.at:%H:%M:%S.%f} {h.event} {h.old_status}->{h.new_status} {h.detail}" for h in self.history()]
        log = self.asterisk.log_file
        exchange = log.read_text(errors="replace").splitlines()[-60:] if log.exists() else []
        worker = self.worker_log().splitlines()[-40:] if (self.folder / "worker.log").exists() else []
        return "\n".join([*lines, "--- worker", *worker, "--- exchange", *exchange])
