"""Measure how many callers a second can leave a request when 50 of them talk to FastAGI at once, and compare it with a
bare FastAGI server.

The callers are simulated: each connects, answers the commands of the dialogue at once and presses 1. The worker runs in
a process of its own, with its registrar and a database that commits to the disk. The bare server is plain asyncio and
sends two commands. Both sides are measured alternately, with no, 600 and 1,200 requests that wait.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text

from app.config import Settings, agi_secret
from app.domain.lifecycle import Status
from app.store.database import Database
from app.store.models import CallRequest, Module
from app.store.settings import REGISTRATION_LIMITS, write_setting
from app.worker.main import run_worker
from script.lib.postgresql import NoPostgres
from script.office.database import build_database, make_settings, open_database
from script.office.ports import free_port
from script.office.postgres import PostgresServer
from script.office.server_database import migrated_database, open_server_database

MIN_RATIO = 0.25
MOST_DECLINE = 0.1  # by which the rate may be lower while many wait
AT_ONCE = 50
CALLERS = 300  # of one measurement
LEVELS = (0, 600, 1200)  # requests that wait
NO_LIMIT = "1000000"  # limits are counted, but not met
START_SECONDS = 60
HEADERS_END = b"\n\n"


def run(runs: int) -> int:
    """Measure `runs` rounds on each database and print the results. Return 1 if the aim is missed."""
    missed = 0
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        settings = make_settings(Path(folder), agi_port=free_port(), agi_bind="127.0.0.1")
        database = open_database(build_database(Path(folder)))
        missed += measure("SQLite", database, settings, runs)
        database.engine.dispose()
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        try:
            server = stack.enter_context(PostgresServer(fsync=True))
            name = stack.enter_context(migrated_database(server.url, Path(folder)))
        except NoPostgres as missing:
            print(f"Left out, PostgreSQL: {missing}")
            return min(missed, 1)
        url = server.url.replace("/bazang?", f"/{name}?")
        settings = make_settings(Path(folder), agi_port=free_port(), agi_bind="127.0.0.1", database_url=url)
        missed += measure("PostgreSQL", stack.enter_context(open_server_database(url)), settings, runs)
    return min(missed, 1)


def measure(name: str, database: Database, settings: Settings, runs: int, callers: int = CALLERS) -> int:
    """Print the rates. Return 1 if the aim is missed, or if a caller was not stored."""
    _fill(database)
    with _worker(settings), _bare_server() as bare_port, Callers() as played:
        path = f"{agi_secret(settings)}/module/1"
        rates: dict[int, list[float]] = {level: [] for level in LEVELS}
        ratios: dict[int, list[float]] = {level: [] for level in LEVELS}
        bare: list[float] = []
        number = commands = lost = 0
        while not played.play(settings.agi_port, path, 1, number)["registered"]:  # the prompts are being made
            number += 1
        number += 1
        for turn in range(runs + 1):
            for level in LEVELS:
                _let_wait(database, level)
                ours = played.play(settings.agi_port, path, callers, number)
                theirs = played.play(bare_port, "bare", callers, number)
                number += callers
                lost += callers - min(int(ours["registered"]), _count(database) - level)
                commands = int(ours["commands"]) // callers
                if turn > 0:  # the first round warms up
                    rates[level].append(callers / ours["seconds"])
                    ratios[level].append(theirs["seconds"] / ours["seconds"])
                    bare.append(callers / theirs["seconds"])
    load = os.getloadavg()[0]
    print(f"{name}: {AT_ONCE} callers at once, {callers} in each of {runs} rounds, load {load:.1f}")
    print(f"  bare server, 2 commands: {statistics.median(bare):6.0f} calls a second")
    for level in LEVELS:
        rate, ratio = statistics.median(rates[level]), statistics.median(ratios[level])
        print(
            f"  Bazang, {commands} commands, {level:5,} wait: {rate:4.0f} registrations a second, "
            f"ratio {ratio:.3f} (from {min(ratios[level]):.3f} to {max(ratios[level]):.3f})"
        )
    return _judge(ratios, lost)


def _judge(ratios: dict[int, list[float]], lost: int) -> int:
    medians = [statistics.median(ratios[level]) for level in LEVELS]
    missed = []
    if lost:
        missed.append(f"{lost} callers were not stored")
    if min(medians) < MIN_RATIO:
        missed.append(f"at least {MIN_RATIO} of a bare server")
    if medians[-1] < medians[0] * (1 - MOST_DECLINE):
        missed.append("not falling while more wait")
    kept = f"{medians[-1] / medians[0]:.2f} of that with none when {LEVELS[-1]:,} wait"
    line = f"ratio: {min(medians):.3f} of a bare server at least, {kept}"
    print(line + (f"  MISSED: {'; '.join(missed)}" if missed else ""))
    return int(bool(missed))


class Callers:
    """The process that plays the callers. Use `with`."""

    def __enter__(self) -> "Callers":
        program = [sys.executable, str(Path(__file__).with_name("callers.py"))]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def play(self, port: int, path: str, callers: int, first: int) -> dict[str, float]:
        """Let callers come, AT_ONCE at once. `first` is the number of the first one. See `callers.py`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{port} {path} {callers} {AT_ONCE} {first}\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found


def _fill(database: Database) -> None:
    now = datetime.now(UTC)
    with database.write() as session:
        ends = {"next_kind": "hangup", "error_kind": "hangup", "created_at": now, "updated_at": now}
        session.add(Module(id=1, name="Sales", code="*51", target_kind="extension", targets=["101"], rest=0, **ends))
        for name in REGISTRATION_LIMITS:
            write_setting(session, f"{name}_limit", NO_LIMIT)


def _let_wait(database: Database, level: int) -> None:
    """Replace all requests by as many as are to wait. They were registered a moment ago."""
    now = datetime.now(UTC)
    with database.write() as session:
        for table in ("history", "call_requests"):
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - texts of ours
        columns = {
            "module_id": 1,
            "module_name": "Sales",
            "queue": False,
            "target": "101",
            "status": Status.WAITING.value,
            "first_called_at": now,
            "registered_at": now,
        }
        if level:
            session.execute(insert(CallRequest), [{**columns, "number": f"+98935{n:07}"} for n in range(level)])
        if session.get_bind().dialect.name == "postgresql":
            return
        session.execute(text("PRAGMA optimize"))


def _count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(CallRequest)) or 0


@contextmanager
def _worker(settings: Settings) -> Iterator[None]:
    """Run the worker in a process of its own."""
    with _process(_work, settings):
        yield


def _work(settings: Settings, told: Any) -> None:
    with ExitStack() as stack:
        if settings.database_url.startswith("postgresql"):
            database = stack.enter_context(open_server_database(settings.database_url))
        else:
            database = open_database(settings.data_dir / "bazang.sqlite3")
        run_worker(settings, database, lambda: told.send(settings.agi_port))


@contextmanager
def _bare_server() -> Iterator[int]:
    """Run the bare server in a process of its own, and yield its port."""
    with _process(_serve) as port:
        yield port


def _serve(told: Any) -> None:
    async def serve() -> None:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=512)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a FastAGI server that does as little as one can: it answers the call and says how it went."""
    await reader.readuntil(HEADERS_END)
    for command in (b"ANSWER\n", b'SET VARIABLE BAZANG_RESULT "next"\n'):
        writer.write(command)
        await reader.readline()
    writer.close()


@contextmanager
def _process(target: Any, *arguments: Any) -> Iterator[int]:
    """Run a process, and yield what it tells first."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*arguments, there), daemon=True)
    process.start()
    try:
        assert here.poll(START_SECONDS), "the server did not start"
        yield here.recv()
    finally:
        process.kill()
        process.join()
