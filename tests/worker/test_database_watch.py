"""On SQLite: writes of other processes are noticed, and one worker runs per database."""

import asyncio
import multiprocessing
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.worker.leadership import FileLock
from app.worker.lease import WorkerRunning
from script.office.database import open_database, open_engine
from script.office.patience import PATIENCE
from tests.support.watching import watching


def write(database: Database, word: str) -> None:
    with database.write() as session:
        write_setting(session, "word", word)


async def test_write_is_noticed_within_a_second(database: Database, database_file: Path) -> None:
    other = open_database(database_file)
    async with watching(database) as notices:
        for number in range(5):
            start = asyncio.get_running_loop().time()
            await asyncio.to_thread(write, other, str(number))
            async with asyncio.timeout(PATIENCE):
                assert await notices.get() - start < 1
    other.engine.dispose()


async def test_write_session_without_changes_is_not_noticed(database: Database, database_file: Path) -> None:
    """Otherwise a dispatcher without due requests would wake itself for ever."""
    other = open_database(database_file)
    async with watching(database) as notices:
        with other.write() as session:
            read_setting(session, "word")
        await asyncio.to_thread(write, other, "new")
        async with asyncio.timeout(PATIENCE):
            await notices.get()
        assert notices.empty()
    other.engine.dispose()


async def test_watch_can_be_stopped_while_it_waits(database: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        async with watching(database):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name == "database-watch"]


def test_second_worker_starts_only_after_the_first_has_stopped(database: Database, database_file: Path) -> None:
    first, second = FileLock(database.engine), FileLock(database.engine)
    first.acquire()
    for _ in range(2):
        with pytest.raises(WorkerRunning, match="another worker is running on this database"):
            second.acquire()
    first.release()
    second.acquire()
    second.release()
    second.release()
    assert database_file.with_name(f"{database_file.name}.worker").exists()


def hold_leadership(database_file: Path, pipe: Connection) -> None:
    """Be the worker of a database until the process is killed."""
    leadership = FileLock(open_engine(database_file))
    leadership.acquire()
    pipe.send("acquired")
    threading.Event().wait()


@pytest.mark.slow  # starts processes that import all of the program
def test_worker_can_start_after_another_was_killed(database: Database, database_file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold_leadership, args=(database_file, there), daemon=True)
    process.start()
    other = FileLock(database.engine)
    try:
        assert here.poll(PATIENCE) and here.recv() == "acquired"
        with pytest.raises(WorkerRunning):
            other.acquire()
    finally:
        process.kill()
        process.join(PATIENCE)
        process.close()
        here.close()
        there.close()
    other.acquire()
    other.release()
