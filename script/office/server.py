"""The panel and the telephone service together, for real use, with the settings of the environment and of .env."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

import flask_migrate

from app import create_app
from app.cli import setup_address
from app.config import ConfigError, Settings, load_settings
from app.services.setup import first_administrator
from script.office.near import free_port_near, said
from script.office.panel import panel_answers, start_panel
from tests.support.process import spawn, terminate

ROOT = Path(__file__).resolve().parents[2]
PAUSES = (1, 2, 5, 10, 30)  # seconds before a part that died is started anew
HEALTHY = 60  # seconds: what lived so long begins again with the shortest pause
END_SECONDS = 10
EVERYWHERE = ("0.0.0.0", "::")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where the panel listens (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="of the panel (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings()
        port = free_port_near(given.port, given.host)
        if port != given.port:
            print(said("panel", given.port, port), flush=True)
        _prepare_database(settings, given.host, port)
    except (ConfigError, OSError, OverflowError) as error:
        print(f"script/server: {error}", file=sys.stderr)
        return 1
    return asyncio.run(serve(given.host, port))


def _prepare_database(settings: Settings, host: str, port: int) -> None:
    """Bring the database up to date; say how the first administrator is made, if there is none."""
    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade()
    database = app.extensions["bazang"]["database"]
    if first_administrator.is_open(database):
        token = first_administrator.make_token(database, datetime.now(UTC))
        reached_at = socket.gethostname() if host in EVERYWHERE else host
        print(
            "Nobody may log in yet. Open this address within a day to set Bazang up:\n"
            f"  {setup_address(reached_at, port, token)}\n"
            "Or make an administrator by hand: .venv/bin/flask --app wsgi create-admin NAME",
            flush=True,
        )
    database.engine.dispose()


async def serve(host: str, port: int) -> int:
    """Keep both running until told to end (SIGTERM, Ctrl-C)."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    environment = dict(os.environ)
    worker = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]
    parts = (
        Kept("The panel", lambda: start_panel(host, port, environment, ROOT, None)),
        Kept("The telephone service", lambda: spawn(worker, None, environment=environment, folder=ROOT)),
    )
    tasks = [asyncio.create_task(part.keep()) for part in parts]
    tasks.append(asyncio.create_task(_tell_address(parts[0], host, port)))
    await told.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(part.end() for part in parts))
    return 0


async def _tell_address(panel: "Kept", host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    try:
        if panel.process is not None and await panel_answers(panel.process, host, port):
            print(f"The panel answers at http://{shown}:{port}/", flush=True)
    except TimeoutError:
        print("The panel has not answered yet.", file=sys.stderr, flush=True)


class Kept:
    """A process that is started anew when it dies."""

    def __init__(self, name: str, start: Callable[[], Popen[bytes]]) -> None:
        self._name, self._start = name, start
        self.process: Popen[bytes] | None = start()

    async def keep(self) -> None:
        deaths = 0
        while True:
            began = time.monotonic()
            assert self.process is not None
            code = await _ended(self.process)
            deaths = 0 if time.monotonic() - began > HEALTHY else deaths
            pause = PAUSES[min(deaths, len(PAUSES) - 1)]
            deaths += 1
            print(f"{self._name} ended ({_reason(code)}); again in {pause} s.", file=sys.stderr, flush=True)
            await asyncio.sleep(pause)
            self.process = self._start()

    async def end(self) -> None:
        """End it politely, and after some seconds by force."""
        if self.process is not None:
            await asyncio.to_thread(terminate, self.process, END_SECONDS)


async def _ended(process: Popen[bytes]) -> int:
    """Return the exit code when the process ends; a cancelled wait leaves nothing behind."""
    descriptor = os.pidfd_open(process.pid)
    try:
        readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, readable.set)
        await readable.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
