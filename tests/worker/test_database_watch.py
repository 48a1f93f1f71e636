"""On SQLite: a write of another process is noticed, and there is one worker per database."""

import asyncio
import multiprocessing
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.worker.database_watch import DatabaseWatch
from app.worker.leadership import Leadership, WorkerRunning
from script.office.database import open_database, open_engine
from script.office.patience import PATIENCE


def write(database: Database, word: str) -> None:
    with database.write() as session:
        write_setting(session, "word", word)


@asynccontextmanager
async def watching(database: Database) -> AsyncIterator[asyncio.Queue[float]]:
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[float] = asyncio.Queue()
    watch = DatabaseWatch(database.engine, lambda: told.put_nowait(loop.time()))
    watch.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await told.get()  # at its beginning: what was written before is to be looked at, too
        yield told
    finally:
        await watch.stop()


async def test_a_write_is_noticed_within_a_second(database: Database, database_file: Path) -> None:
    other = open_database(database_file)
    async with watching(database) as told:
        for turn in range(5):
            began = asyncio.get_running_loop().time()
            await asyncio.to_thread(write, other, str(turn))
            async with asyncio.timeout(PATIENCE):
                assert await told.get() - began < 1
    other.engine.dispose()


async def test_nothing_is_noticed_where_nothing_was_written(database: Database, database_file: Path) -> None:
    """Else a dispatcher that looks in vain would wake itself for ever."""
    other = open_database(database_file)
    async with watching(database) as told:
        with other.write() as session:
            read_setting(session, "word")
        await asyncio.to_thread(write, other, "new")
        async with asyncio.timeout(PATIENCE):
            await told.get()
        assert told.empty()
    other.engine.dispose()


async def test_a_watch_ends_although_nothing_happens(database: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        async with watching(database):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name == "database-watch"]


def test_there_is_one_leader_and_its_place_is_free_afterwards(database: Database, database_file: Path) -> None:
    first, second = Leadership(database.engine), Leadership(database.engine)
    first.acquire()
    for _ in range(2):
        with pytest.raises(WorkerRunning, match="another worker is running on this database"):
            second.acquire()
    first.release()
    second.acquire()
    second.release()
    second.release()
    assert database_file.with_name(f"{database_file.name}.worker").exists()


def lead(database_file: Path, told: Connection) -> None:
    """Be the worker of a database until somebody ends us."""
    leadership = Leadership(open_engine(database_file))
    leadership.acquire()
    told.send("taken")
    threading.Event().wait()


def test_the_place_of_a_worker_that_was_killed_is_free(database: Database, database_file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=lead, args=(database_file, there), daemon=True)
    process.start()
    other = Leadership(database.engine)
    try:
        assert here.poll(PATIENCE) and here.recv() == "taken"
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
