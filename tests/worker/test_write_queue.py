"""The write queue: writes run in order and are repeated, unless the database can never accept them."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as TookTooLong
from sqlalchemy.orm.exc import StaleDataError

from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.worker import write_queue
from app.worker.write_queue import PAUSES, WriteQueue
from script.office.database import open_engine
from script.office.patience import PATIENCE


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before repeated writes, in seconds. Each is recorded and shortened."""
    recorded: list[float] = []
    sleep = asyncio.sleep

    async def record(seconds: float) -> None:
        recorded.append(seconds)
        await sleep(0.001)

    monkeypatch.setattr(asyncio, "sleep", record)
    return recorded


@pytest.fixture
async def queue() -> AsyncIterator[WriteQueue]:
    """A running write queue."""
    queue = WriteQueue()
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def refused(kind: type[DBAPIError]) -> DBAPIError:
    return kind("UPDATE", {}, sqlite3.DatabaseError("no"))


class Writes:
    """Makes writes that raise the given errors first, and records their calls in order."""

    def __init__(self) -> None:
        self.tries: list[str] = []
        self.done: list[str] = []
        self.threads: set[int] = set()

    def __call__(self, name: str, *failures: Exception) -> Callable[[], None]:
        remaining = list(failures)

        def write() -> None:
            self.threads.add(threading.get_ident())
            self.tries.append(name)
            if remaining:
                raise remaining.pop(0)
            self.done.append(name)

        return write


async def test_writes_run_in_order_and_in_another_thread(queue: WriteQueue) -> None:
    writes = Writes()
    for number in range(50):
        queue.put(writes(str(number)))
    await queue.drain(PATIENCE)
    assert writes.done == [str(number) for number in range(50)]
    assert threading.get_ident() not in writes.threads


@pytest.mark.parametrize(
    "error",
    [refused(OperationalError), refused(InterfaceError), StaleDataError("row"), TookTooLong("no connection is free")],
)
async def test_write_is_repeated_after_growing_pauses_before_the_next_one_runs(
    queue: WriteQueue, pauses: list[float], caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    writes = Writes()
    queue.put(writes("first", *[error] * 7))
    queue.put(writes("second", error))
    await queue.drain(PATIENCE)
    assert writes.tries == ["first"] * 8 + ["second"] * 2
    assert pauses == [0.1, 0.3, 1, 2, 5, 5, 5, 0.1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 8


@pytest.mark.parametrize("error", [refused(DataError), refused(IntegrityError), ValueError("nonsense"), KeyError(5)])
async def test_write_with_a_permanent_error_is_logged_and_dropped(
    queue: WriteQueue, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """An example is a text that is too long for its column. It must not block all later writes."""
    writes = Writes()
    queue.put(writes("first", error, error))
    queue.put(writes("second"))
    await queue.drain(PATIENCE)
    assert (writes.tries, writes.done) == (["first", "second"], ["second"])
    (record,) = caplog.records
    assert record.exc_info is not None


async def test_writes_are_stored_after_a_lock_is_released(
    queue: WriteQueue, database_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(database_file)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=10"))
    database = Database(engine)
    refusals = asyncio.Event()
    loop = asyncio.get_running_loop()

    def add(letter: str) -> None:
        try:
            with database.write() as session:
                write_setting(session, "word", read_setting(session, "word") + letter)
        except OperationalError:
            loop.call_soon_threadsafe(refusals.set)
            raise

    other = sqlite3.connect(database_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for letter in "abc":
        queue.put(partial(add, letter))
    async with asyncio.timeout(PATIENCE):
        await refusals.wait()
    other.execute("ROLLBACK")
    other.close()
    await queue.drain(PATIENCE)
    with database.read() as session:
        assert read_setting(session, "word") == "abc"
    engine.dispose()
    assert "locked" in caplog.text


async def test_drain_counts_the_write_that_runs_as_well(queue: WriteQueue, caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise a single write that hangs would be reported as none."""
    running, release = threading.Event(), threading.Event()

    def hang() -> None:
        running.set()
        assert release.wait(PATIENCE)

    queue.put(hang)
    await asyncio.to_thread(running.wait, PATIENCE)
    assert (queue.waiting, queue.unfinished) == (0, 1)
    assert await queue.drain(0.01) == 1
    assert "1 writes are not finished after 0.01 s" in caplog.text
    queue.put(lambda: None)
    assert await queue.drain(0.01) == 2
    release.set()
    assert await queue.drain(PATIENCE) == queue.unfinished == 0
    assert "0 writes" not in caplog.text


async def test_empty_queue_is_drained_at_once(queue: WriteQueue, caplog: pytest.LogCaptureFixture) -> None:
    await queue.drain(0.5)
    assert not caplog.records


def unknown_table(database: Database) -> Callable[[], None]:
    """Return a write that SQLite itself refuses, as after a downgrade."""

    def write() -> None:
        with database.write() as session:
            session.execute(text("UPDATE no_such_table SET x = 1"))

    return write


async def test_error_of_the_schema_is_not_repeated_for_ever(
    queue: WriteQueue, pauses: list[float], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """An upgrade may be running, so it is repeated for some seconds. After that it must not block all later writes."""
    writes = Writes()
    queue.put(unknown_table(database))
    queue.put(writes("of PostgreSQL", *[refused(ProgrammingError)] * 50))
    queue.put(writes("next"))
    await queue.drain(PATIENCE)
    assert writes.tries == ["of PostgreSQL"] * (len(PAUSES) + 1) + ["next"]
    assert pauses == [*PAUSES, *PAUSES]
    assert len([record for record in caplog.records if "given up" in record.message]) == 2


class Seen:
    """A snapshot: what is seen last is written."""

    def __init__(self, written: list[str], what: str) -> None:
        self.written, self.what = written, what

    def absorb(self, newer: "Seen") -> None:
        self.what += newer.what

    def __call__(self) -> None:
        self.written.append(self.what)


class Heard(Seen):
    """Another kind."""


async def test_snapshots_that_wait_are_one_write_and_nothing_else_is_lost() -> None:
    queue, written = WriteQueue(), list[str]()
    for number in range(1000):
        queue.put_snapshot(Seen(written, "s"))
        queue.put_snapshot(Heard(written, "h"))
        if number % 100 == 0:
            queue.put(lambda number=number: written.append(f"result {number}"))  # type: ignore[misc]
    assert queue.waiting == 12
    await run_to_the_end(queue)
    assert written == ["s" * 1000, "h" * 1000, *(f"result {number}" for number in range(0, 1000, 100))]


async def test_snapshot_of_after_a_jump_of_the_clock_is_not_written_before_its_moments_move() -> None:
    queue, written = WriteQueue(), list[str]()
    queue.put_snapshot(Seen(written, "before"))
    queue.put_between(lambda: written.append("jump"))
    queue.put_snapshot(Seen(written, "after"))
    queue.put_snapshot(Seen(written, ", too"))
    await run_to_the_end(queue)
    assert written == ["before", "jump", "after, too"]


async def test_snapshot_that_is_being_written_absorbs_nothing(queue: WriteQueue) -> None:
    written, inside, may_go_on = list[str](), threading.Event(), threading.Event()

    class Slow(Seen):
        def __call__(self) -> None:
            inside.set()
            may_go_on.wait(PATIENCE)
            super().__call__()

    queue.put_snapshot(Slow(written, "first"))
    await asyncio.to_thread(inside.wait, PATIENCE)
    queue.put_snapshot(Slow(written, "second"))
    may_go_on.set()
    await queue.drain(PATIENCE)
    assert written == ["first", "second"]


async def test_queue_is_bounded_but_results_of_attempts_are_never_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(write_queue, "MOST_NEWS", 10)
    queue, writes = WriteQueue(), Writes()
    for number in range(50):
        queue.put_news(writes(f"missed {number}"))
    queue.put(writes("result"))
    assert queue.waiting == 11
    assert len(caplog.records) == 1, "it is said once"
    await run_to_the_end(queue)
    assert writes.done == [*(f"missed {number}" for number in range(10)), "result"]
    queue.put_news(writes("later"))
    await run_to_the_end(queue)
    assert writes.done[-1] == "later"


async def run_to_the_end(queue: WriteQueue) -> None:
    task = asyncio.create_task(queue.run())
    await queue.drain(PATIENCE)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
