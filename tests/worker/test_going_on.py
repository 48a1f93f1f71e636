"""The worker goes on: a fault in one part, or a database that refuses for a moment, ends nothing for ever."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.domain.lifecycle import Status
from app.domain.policy import LineState
from app.domain.routing import Context
from app.services import commands
from app.store.database import Database
from app.store.models import CallRequest, Command, ExtensionRow, NumberOnLine
from app.store.pbx_state import worker_state
from app.telephony.ami import AmiClient
from app.worker import state
from app.worker.main import Worker
from script.office.patience import PATIENCE
from tests.services.monitoring.test_figures import samples
from tests.support.factories import create_module, create_request

LOCKED = OperationalError("BEGIN IMMEDIATE", {}, Exception("database is locked"))


@pytest.fixture
async def worker(office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """A worker without a PBX, whose writes are written."""
    worker = Worker(office, database)
    monkeypatch.setattr(worker, "_poll_pbx", nothing)
    worker.tasks.spawn(worker.writes.run())
    yield worker
    await worker.tasks.cancel()
    worker.registrar.close()


async def nothing(*_: Any) -> None:
    pass


async def fail(*_: Any) -> None:
    raise KeyError("a bug")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await asyncio.to_thread(condition):
                return
            await asyncio.sleep(0.005)


async def test_fault_in_a_poll_stops_neither_the_heartbeat_nor_the_dispatcher(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "_poll_pbx", fail)
    woken: list[None] = []
    monkeypatch.setattr(worker.dispatcher, "wake", lambda: woken.append(None))
    await worker.poll()
    with database.read() as session:
        assert worker_state(session).heartbeat is not None
    assert woken
    assert "a bug" in caplog.text


async def test_figures_of_the_worker_are_stored_with_the_heartbeat(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker.poll()  # without the PBX nothing is read
    monkeypatch.setattr(AmiClient, "connected", True)
    await worker.poll()
    with database.read() as session:
        values = samples(worker_state(session).figures)
    assert values["bazang_poll_seconds_count", ()] == 1
    assert values["bazang_writes_waiting", ()] == 0


async def test_failed_look_at_commands_is_repeated_by_the_poll(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = commands.open_commands, list[int]()

    def look_in_vain_first(database: Database, now: datetime) -> list[Command]:
        looks.append(len(looks))
        if len(looks) == 1:
            raise LOCKED
        return look(database, now)

    monkeypatch.setattr(commands, "open_commands", look_in_vain_first)
    sent = commands.send(database, "unknown", {}, actor="sara", now=datetime.now(UTC))
    await worker.commands.run_open()
    assert looks == [0]
    await worker.poll()
    await until(lambda: answer_of(database, sent) == "unknown_command")


def answer_of(database: Database, command: int) -> str:
    with database.read() as session:
        return session.get_one(Command, command).result or ""


async def test_looks_at_commands_do_not_pile_up(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change of the database asks for one. A look that has not begun yet finds what all of them want."""
    look, looks, may_end = commands.open_commands, list[None](), asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_slowly(database: Database, now: datetime) -> list[Command]:
        looks.append(None)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(PATIENCE)
        return look(database, now)

    monkeypatch.setattr(commands, "open_commands", look_slowly)
    first = asyncio.create_task(worker.commands.run_open())
    await until(lambda: looks)
    others = [asyncio.create_task(worker.commands.run_open()) for _ in range(20)]
    await asyncio.sleep(0)
    sent = commands.send(database, "unknown", {}, actor="sara", now=datetime.now(UTC))
    may_end.set()
    await asyncio.gather(first, *others)
    assert len(looks) == 2
    await until(lambda: answer_of(database, sent) == "unknown_command")


async def test_fault_in_one_part_of_housekeeping_does_not_stop_the_others(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=30)
    module = create_module(database, expire_after=3600)
    request = create_request(database, module, registered_at=long_ago, first_called_at=long_ago)
    monkeypatch.setattr(worker.prompts, "prepare", fail)
    await worker.housekeeping.run()
    with database.read() as session:
        assert session.get_one(CallRequest, request.id).status == Status.EXPIRED.value
    assert "a bug" in caplog.text


# -- snapshots ------------------------------------------------------------------------------------------------


def event(extension: str, status: int) -> dict[str, str]:
    return {
        "Event": "ExtensionStatus",
        "Exten": extension,
        "Context": Context.EXTENSIONS,
        "Hint": f"PJSIP/{extension}",
        "Status": str(status),
    }


def stored_lines(database: Database) -> dict[str, str]:
    with database.read() as session:
        return {row.extension: row.state for row in session.scalars(select(ExtensionRow))}


async def test_flood_of_events_does_not_become_a_flood_of_writes(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is locked, one write stands in line, and it has the newest state of each line."""
    locked, inside = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(locked.wait(), loop).result(PATIENCE)

    worker.writes.put(wait)
    async with asyncio.timeout(PATIENCE):
        await inside.wait()
    lines = [str(100 + number) for number in range(20)]
    for turn in range(50):
        worker.snapshot.poll_extensions([event(extension, turn % 2) for extension in lines], datetime.now(UTC))
        for extension in lines:
            worker.snapshot.changed_lines.add(extension)
            worker.state.numbers_on_line = frozenset([f"+98912000{turn:04}"])
            worker.state.store_changes()
        assert worker.writes.waiting == 1
    locked.set()
    await worker.writes.drain(PATIENCE)
    assert stored_lines(database) == dict.fromkeys(lines, LineState.IN_CALL.value)
    with database.read() as session:
        assert list(session.scalars(select(NumberOnLine.number))) == ["+989120000049"]


async def test_changes_are_written_ten_times_a_second_at_most(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at: list[float] = []
    loop = asyncio.get_running_loop()
    put = worker.writes.put_snapshot

    def note(write: Any) -> None:
        at.append(loop.time())
        put(write)

    monkeypatch.setattr(worker.writes, "put_snapshot", note)
    turn = 0
    async with asyncio.timeout(PATIENCE):
        while len(at) < 5:
            turn += 1
            worker.snapshot.poll_extensions([event("101", turn % 2)], datetime.now(UTC))
            worker.state.store_changes_soon()
            await asyncio.sleep(0.001)
    pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert min(pauses) > state.INTERVAL * 0.9
    assert turn > len(at)


async def test_complete_snapshot_deletes_what_the_older_one_had(worker: Worker, database: Database) -> None:
    """An extension of an older snapshot that still waits is gone by now. One that came later is not."""
    locked, inside = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(locked.wait(), loop).result(PATIENCE)

    worker.writes.put(wait)
    await inside.wait()
    now = datetime.now(UTC)
    worker.snapshot.poll_extensions([event("101", 0), event("102", 0)], now)
    worker.state.store_changes()
    worker.snapshot.poll_extensions([event("102", 0)], now)
    worker.state.may_delete = True
    worker.state.store_changes(complete=True)
    worker.snapshot.poll_extensions([event("102", 0), event("103", 1)], now)
    worker.state.store_changes()
    assert worker.writes.waiting == 1
    locked.set()
    await worker.writes.drain(PATIENCE)
    assert stored_lines(database) == {"102": LineState.FREE.value, "103": LineState.IN_CALL.value}
