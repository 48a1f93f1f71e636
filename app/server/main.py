"""Run the panel and the worker with the settings of the environment and of .env. Restart either if it dies."""

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
from app.config import UMASK, ConfigError, Settings, command, load_settings
from app.server.panel import panel_answers, start_panel
from app.server.ports import describe_replacement, free_port_near
from app.server.process import spawn, terminate, wait_for_end
from app.services.setup import first_administrator

ROOT = Path(__file__).resolve().parents[2]
RESTART_PAUSES = (1, 2, 5, 10, 30)  # seconds before the first, second, ... restart
HEALTHY_AFTER = 60  # seconds: a process that ran this long starts again with the shortest pause
STOP_SECONDS = 10
ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


def main(arguments: list[str]) -> int:
    """Parse the arguments and serve. Return the exit code."""
    parser = argparse.ArgumentParser(prog="script/server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address the panel listens on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port of the panel (default: %(default)s)")
    options = parser.parse_args(arguments)
    os.umask(UMASK)
    try:
        settings = load_settings()
        port = free_port_near(options.port, options.host)
        if port != options.port:
            print(describe_replacement("panel", options.port, port), flush=True)
        invitation = _prepare_database(settings, options.host, port)
    except (ConfigError, OSError, OverflowError) as error:
        print(f"script/server: {error}", file=sys.stderr)
        return 1
    return asyncio.run(serve(options.host, port, invitation))


def _prepare_database(settings: Settings, host: str, port: int) -> str:
    """Migrate the database. Return lines with the setup link if there is no administrator yet, otherwise ""."""
    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade()
    database = app.extensions["bazang"]["database"]
    invitation = ""
    if first_administrator.is_open(database):
        token = first_administrator.make_token(database, datetime.now(UTC))
        host_name = socket.gethostname() if host in ALL_INTERFACES else host
        invitation = (
            "There is no user yet. Open this address within a day to set Bazang up:\n"
            f"  {setup_address(host_name, port, token)}\n"
            f"Or create an administrator by hand: {command('create-admin NAME')}"
        )
    database.engine.dispose()
    return invitation


async def serve(host: str, port: int, invitation: str = "") -> int:
    """Keep the panel and the worker running until SIGTERM or Ctrl-C.

    When the panel answers, print its address and the `invitation` to set it up.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    environment = dict(os.environ)
    worker = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]
    panel = Supervisor("The panel", lambda: start_panel(host, port, environment, ROOT, None))
    service = Supervisor("The worker", lambda: spawn(worker, None, environment=environment, folder=ROOT))
    tasks = [asyncio.create_task(part.run()) for part in (panel, service)]
    tasks.append(asyncio.create_task(_print_address(panel, host, port, invitation)))
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(panel.stop(), service.stop())
    return 0


async def _print_address(panel: "Supervisor", host: str, port: int, invitation: str) -> None:
    """Print where the panel is when it answers: before, the setup link would open nothing."""
    shown = f"[{host}]" if ":" in host else host
    print("Starting the panel and the worker.", flush=True)
    try:
        answers = await panel_answers(panel.process, host, port)
    except TimeoutError:
        print("The panel has not answered yet.", file=sys.stderr, flush=True)
        answers = await panel_answers(panel.process, host, port, seconds=None)
    if answers:
        print(f"The panel answers at http://{shown}:{port}/", flush=True)
    if invitation:
        print(invitation, flush=True)


class Supervisor:
    """Start a process and restart it when it ends."""

    def __init__(self, name: str, start: Callable[[], Popen[bytes]]) -> None:
        self._name, self._start = name, start
        self.process: Popen[bytes] = start()

    async def run(self) -> None:
        """Restart the process for ever, after longer pauses while it keeps ending."""
        restarts = 0
        while True:
            started = time.monotonic()
            code = await wait_for_end(self.process)
            restarts = 0 if time.monotonic() - started > HEALTHY_AFTER else restarts
            pause = RESTART_PAUSES[min(restarts, len(RESTART_PAUSES) - 1)]
            restarts += 1
            print(f"{self._name} ended ({_describe_exit(code)}); restarting in {pause} s.", file=sys.stderr, flush=True)
            await asyncio.sleep(pause)
            self.process = self._start()

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if the process does not end in time."""
        await asyncio.to_thread(terminate, self.process, STOP_SECONDS)


def _describe_exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
