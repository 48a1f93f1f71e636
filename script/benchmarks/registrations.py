"""Measure how many callers lose their request when many press 1 at once, on a machine that is busy with much else.

The worker's registrar, dispatcher, commands and write queue run here as in the worker. Beside them a process writes
what a panel writes, without a pause: four threads store small changes, and one changes hundreds of requests at once.
One process for each core computes. Nothing rings.
"""

import asyncio
import itertools
import logging
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.domain.lifecycle import Outcome, Status
from app.domain.policy import Facts, Line, LineState
from app.services import audit
from app.services.requests.access import Scope
from app.services.requests.actions import ShownRequest, WriteNote
from app.services.requests.perform import perform
from app.store.database import Database
from app.store.models import CallRequest, Module
from app.store.settings import REGISTRATION_LIMITS, write_setting
from app.telephony.ivr import CallerFacts, NotRegistered, Refused
from app.worker.database_watch import DatabaseWatch
from app.worker.dispatcher import Dispatcher
from app.worker.main import Worker
from script.lib.postgresql import NoPostgres
from script.office.database import build_database, make_settings, open_database
from script.office.postgres import PostgresServer
from script.office.server_database import migrated_database, open_server_database

log = logging.getLogger(__name__)
CALLERS = 200
AGENTS = 10
NOTED = 300  # requests that a user changes at once
GRACE = 4.0  # seconds after which Asterisk goes on without a service that does not answer


@dataclass
class Round:
    """What became of the callers of one round. `late`: stored, but not within GRACE. `seconds`: until the last one."""

    stored: int = 0
    late: int = 0
    seconds: float = 0.0


def run(runs: int) -> int:
    """Let CALLERS register at once, `runs` times on each database, and print the results. Return 1 if one is lost."""
    lost = 0
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        path = build_database(Path(folder))
        lost += measure("SQLite", open_database(path), make_settings(Path(folder)), runs, CALLERS)
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        try:
            server = stack.enter_context(PostgresServer())
            name = stack.enter_context(migrated_database(server.url, Path(folder)))
        except NoPostgres as missing:
            print(f"Left out, PostgreSQL: {missing}")
            return min(lost, 1)
        url = server.url.replace("/bazang?", f"/{name}?")
        database = stack.enter_context(open_server_database(url))
        lost += measure("PostgreSQL", database, make_settings(Path(folder), database_url=url), runs, CALLERS)
    return min(lost, 1)


def measure(name: str, database: Database, settings: Settings, runs: int, callers: int) -> int:
    """Print what became of the callers. Return how many were lost."""
    _fill(database)
    with _busy_machine(), _panel(settings):
        rounds = asyncio.run(_register(database, settings, runs, callers))
    total = runs * callers
    stored, late = sum(each.stored for each in rounds), sum(each.late for each in rounds)
    slowest = max(each.seconds for each in rounds)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    with database.read() as session:
        rows = session.scalar(select(func.count()).where(CallRequest.call_uniqueid.is_not(None))) or 0
    print(
        f"{name}: {callers} callers at once, {runs} times, load {load:.1f} per core: {total - stored} of {total} lost, "
        f"{rows - stored} stored but told no, {late} confirmed after more than {GRACE:.0f} s, the last one of a round "
        f"after {slowest:.0f} s"
    )
    return total - stored


async def _register(database: Database, settings: Settings, runs: int, callers: int) -> list[Round]:
    worker = Worker(settings, database)
    lines = {
        str(100 + n): Line(str(100 + n), LineState.FREE, datetime.now(UTC) - timedelta(hours=1), f"PJSIP/{100 + n}")
        for n in range(AGENTS)
    }

    def end_soon(attempt: str) -> None:
        asyncio.get_running_loop().call_later(0.5, dispatcher.end, attempt, Outcome.CUSTOMER_BUSY, "")

    dispatcher = Dispatcher(
        database,
        settings,
        _Answered(),  # type: ignore[arg-type]
        worker.follower,
        writes=worker.writes,
        tasks=worker.tasks,
        facts=lambda: Facts(lines=lines, heartbeat=datetime.now(UTC), outbound_context="out"),
        prompt=lambda order, now: (),
        rings=lambda order: end_soon(order.attempt),
    )
    worker.registrar._registered = dispatcher.wake

    def on_change() -> None:
        worker.tasks.spawn(worker.commands.run_open())
        dispatcher.wake()

    watch = DatabaseWatch(database.engine, on_change)
    for work in (worker.writes.run(), dispatcher.run()):
        worker.tasks.spawn(work)
    watch.start()
    rounds = []
    for number in range(runs):
        found = Round()
        await asyncio.gather(*(_call(worker, found, number * callers + n) for n in range(callers)))
        rounds.append(found)
    await watch.stop()
    await worker.tasks.cancel()
    return rounds


async def _call(worker: Worker, found: Round, number: int) -> None:
    call = CallerFacts(
        module_id=1,
        uniqueid=f"bench.{number}",
        channel="PJSIP/trunk-1",
        caller_number=f"0912{number:07}",
        caller_name="",
        wanted="",
        first_called_at=None,
    )
    began = time.monotonic()
    try:
        accepted = await worker.registrar.check(call, call.caller_number, False)
        assert not isinstance(accepted, Refused), accepted
        pressed = time.monotonic()
        await worker.registrar.register(call, accepted)
    except (SQLAlchemyError, NotRegistered, TimeoutError) as failure:
        log.info("caller %s: %s", number, str(failure).splitlines()[0])
        return
    now = time.monotonic()
    found.stored += 1
    found.late += now - pressed > GRACE
    found.seconds = max(found.seconds, now - began)


class _Answered:
    """A dialer whose orders Asterisk accepts."""

    async def originate(self, *_: Any) -> None:
        pass


def _fill(database: Database) -> None:
    now = datetime.now(UTC)
    with database.write() as session:
        ends = {"next_kind": "hangup", "error_kind": "hangup", "created_at": now, "updated_at": now}
        targets = [str(100 + n) for n in range(AGENTS)]
        session.add(Module(id=1, name="Sales", code="*51", target_kind="extension", targets=targets, rest=0, **ends))
        write_setting(session, "outbound_context", "out")
        for name in REGISTRATION_LIMITS:
            write_setting(session, f"{name}_limit", "0")  # none
        session.flush()
        for number in range(NOTED):
            session.add(
                CallRequest(
                    module_id=1,
                    module_name="Sales",
                    number=f"+98935{number:07}",
                    status=Status.CANCELLED.value,
                    first_called_at=now,
                    registered_at=now,
                )
            )


@contextmanager
def _busy_machine() -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_compute, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _compute() -> None:
    while True:
        sum(range(100_000))


@contextmanager
def _panel(settings: Settings) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_use_panel, args=(settings, there), daemon=True)
    process.start()
    assert here.recv() == "writing"
    try:
        yield
    finally:
        process.kill()
        process.join()


def _use_panel(settings: Settings, told: Any) -> None:
    with ExitStack() as stack:
        if settings.database_url.startswith("postgresql"):
            database = stack.enter_context(open_server_database(settings.database_url))
        else:
            database = open_database(settings.data_dir / "bazang.sqlite3")
        threads = [threading.Thread(target=_write_little, args=(database, number)) for number in range(4)]
        threads.append(threading.Thread(target=_write_much, args=(database,)))
        for thread in threads:
            thread.start()
        told.send("writing")
        for thread in threads:
            thread.join()


def _write_little(database: Database, number: int) -> None:
    count = 0
    while True:
        count += 1
        try:
            with database.write() as session:
                audit.record(
                    session, f"user{number}", "user_changed", "user", {"name": ["", str(count)]}, datetime.now(UTC)
                )
        except SQLAlchemyError:
            pass
        time.sleep(0.005)


def _write_much(database: Database) -> None:
    for count in itertools.count():
        with database.read() as session:
            numbers = select(CallRequest).where(CallRequest.status == Status.CANCELLED.value).limit(NOTED)
            shown = [ShownRequest(row.id, row.version) for row in session.scalars(numbers)]
        with suppress(SQLAlchemyError):
            perform(database, Scope("admin", everything=True), WriteNote(f"note {count}"), shown, datetime.now(UTC))
        time.sleep(0.5)
