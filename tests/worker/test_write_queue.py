"""The queue: in order, until it is written; and what can never be written stands in nobody's way."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm.exc import StaleDataError

from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.worker import write_queue as recorders
from app.worker.write_queue import WriteQueue
from script.office.database import open_engine
from script.office.patience import PATIENCE


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "PAUSES", (0.0, 0.001))


@pytest.fixture
async def queue() -> AsyncIterator[WriteQueue]:
    """A queue at work."""
    made = WriteQueue()
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def refused(kind: type[DBAPIError]) -> DBAPIError:
    return kind("UPDATE", {}, sqlite3.DatabaseError("no"))


class Writes:
    """What was written, in order; a write fails as often as it is told to."""

    def __init__(self) -> None:
        self.tries: list[str] = []
        self.done: list[str] = []
        self.threads: set[int] = set()

    def __call__(self, name: str, *failures: Exception) -> Callable[[], None]:
        left = list(failures)

        def write() -> None:
            self.threads.add(threading.get_ident())
            self.tries.append(name)
            if left:
                raise left.pop(0)
            self.done.append(name)

        return write


async def test_everything_is_written_in_order_and_off_the_event_loop(queue: WriteQueue) -> None:
    writes = Writes()
    for number in range(50):
        queue.put(writes(str(number)))
    await queue.drain(PATIENCE)
    assert writes.done == [str(number) for number in range(50)]
    assert threading.get_ident() not in writes.threads


@pytest.mark.parametrize("error", [refused(OperationalError), refused(InterfaceError), StaleDataError("row")])
async def test_what_is_refused_for_now_is_repeated_and_the_rest_waits_behind_it(
    queue: WriteQueue, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    writes = Writes()
    queue.put(writes("first", *[error] * 5))
    queue.put(writes("second"))
    await queue.drain(PATIENCE)
    assert writes.tries == ["first"] * 6 + ["second"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 5


@pytest.mark.parametrize("error", [refused(DataError), refused(IntegrityError), ValueError("nonsense"), KeyError(5)])
async def test_what_can_never_be_written_is_told_and_left(
    queue: WriteQueue, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A text too long for its column, say: repeated for ever, no outcome of any call would be recorded again."""
    writes = Writes()
    queue.put(writes("first", error, error))
    queue.put(writes("second"))
    await queue.drain(PATIENCE)
    assert (writes.tries, writes.done) == (["first", "second"], ["second"])
    (record,) = caplog.records
    assert record.exc_info is not None


async def test_a_database_that_somebody_keeps_locked_gets_everything_in_the_end(
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
        queue.put(lambda letter=letter: add(letter))
    async with asyncio.timeout(PATIENCE):
        await refusals.wait()
    other.execute("ROLLBACK")
    other.close()
    await queue.drain(PATIENCE)
    with database.read() as session:
        assert read_setting(session, "word") == "abc"
    engine.dispose()
    assert "locked" in caplog.text


async def test_draining_gives_up_in_time_and_says_so(queue: WriteQueue, caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    queue.put(lambda: gate.wait(PATIENCE))
    queue.put(lambda: None)
    queue.put(lambda: None)
    await queue.drain(0.05)
    assert [record.args for record in caplog.records] == [(2,)]
    gate.set()
    await queue.drain(PATIENCE)


async def test_nothing_to_write_is_written_at_once(queue: WriteQueue, caplog: pytest.LogCaptureFixture) -> None:
    await queue.drain(0.5)
    assert not caplog.records
