"""The right to lead on a real PostgreSQL: it passes on when the leader is killed, frozen or cut off, and not before."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from app.store import workers
from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.worker.lease import Deposed, Lease, WorkerRunning
from script.office.patience import PATIENCE
from script.office.server_database import new_database, open_server_database
from tests.support.database_proxy import database_proxy
from tests.support.leaders import lead, start_leading


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_database(postgres_url, postgres_template) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with open_server_database(url) as opened:
        yield opened


@pytest.fixture
def standby(database: Database) -> Iterator[Lease]:
    lease = Lease(database, on_deposed=lambda: None)
    yield lease
    lease.release()


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(found):  # noqa: ASYNC110 - found out by a question
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("failure", ["killed", "frozen"])
def test_standby_leads_when_the_leader_is_gone(url: str, database: Database, standby: Lease, failure: str) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=lead, args=(url, there), daemon=True)
    process.start()
    try:
        assert here.poll(PATIENCE) and here.recv() == "leads"
        with pytest.raises(WorkerRunning):
            standby.acquire()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL if failure == "killed" else signal.SIGSTOP)
        standby.wait()  # its transaction holds nothing up
        assert standby.is_held()
        with database.write() as session:
            standby.check(session)
            assert read_setting(session, "stored by") == ""
        if failure == "frozen":
            os.kill(process.pid, signal.SIGCONT)
            process.join(PATIENCE)  # it ends by itself
            assert process.exitcode == 1
        assert standby.is_held()
    finally:
        process.kill()
        process.join(PATIENCE)
        here.close()


async def test_leader_that_is_cut_off_stops_before_another_leads(url: str, standby: Lease) -> None:
    deposed = threading.Event()
    async with database_proxy(url) as proxy:
        leader, its_database = await asyncio.to_thread(start_leading, proxy.url, on_deposed=deposed.set)
        taken: list[bool] = []

        def take_over() -> None:
            standby.wait()
            taken.append(leader.is_held())

        assert leader.is_held()
        proxy.cut()
        thread = threading.Thread(target=take_over)
        thread.start()
        await until(lambda: not leader.is_held() or bool(taken))
        assert not taken
        await until(lambda: bool(taken))
        assert taken == [False] and standby.is_held()
        proxy.mend()
        await until(deposed.is_set)
        assert not leader.is_held() and standby.is_held()
        with pytest.raises(Deposed):
            await asyncio.to_thread(store_something, its_database)
        await asyncio.to_thread(leader.release)
        await asyncio.to_thread(its_database.engine.dispose)


async def test_leader_that_was_cut_off_leads_again_if_nobody_else_does(url: str) -> None:
    async with database_proxy(url) as proxy:
        leader, its_database = await asyncio.to_thread(start_leading, proxy.url, on_deposed=pytest.fail)
        proxy.cut()
        await until(lambda: not leader.is_held())
        proxy.mend()
        await until(leader.is_held)
        await asyncio.to_thread(store_something, its_database)
        await asyncio.to_thread(leader.release)
        await asyncio.to_thread(its_database.engine.dispose)


def store_something(database: Database) -> None:
    with database.write() as session:
        write_setting(session, "something", "1")


async def test_leader_whose_session_the_server_has_ended_leads_again(url: str, database: Database) -> None:
    leader, its_database = await asyncio.to_thread(start_leading, url, on_deposed=pytest.fail)
    end = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE :name")

    def pids() -> set[int]:
        query = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE :n")
        with database.read() as session:
            return set(session.scalars(query, {"n": f"{workers.LEADER}%"}))

    (before,) = pids()
    with database.read() as session:
        assert session.scalar(end, {"name": f"{workers.LEADER}%"}) == 1
    await until(lambda: bool(pids() - {before}))
    await until(leader.is_held)
    await asyncio.to_thread(leader.release)
    its_database.engine.dispose()


async def test_nobody_leads_before_the_transactions_of_the_leader_have_ended(
    url: str, database: Database, standby: Lease
) -> None:
    leader, its_database = await asyncio.to_thread(start_leading, url)
    with its_database.write() as session:
        write_setting(session, "stored by", "the first leader")
        leader.release()
        waiting = asyncio.create_task(asyncio.to_thread(standby.wait))
        blocked = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        # The server would end a transaction in which nothing happens.
        await until(lambda: (session.scalar(text("SELECT 1")) or 0) <= count(database, blocked))
        assert not waiting.done()
    await asyncio.wait_for(waiting, PATIENCE)
    with database.read() as session:
        assert read_setting(session, "stored by") == "the first leader"
    with pytest.raises(Deposed), its_database.write() as session:
        write_setting(session, "stored by", "the first leader, too late")
    its_database.engine.dispose()


def count(database: Database, query: object) -> int:
    with database.read() as session:
        return int(session.scalar(query) or 0)  # type: ignore[call-overload]


async def test_standbys_are_seen(url: str, database: Database, standby: Lease) -> None:
    leader, its_database = await asyncio.to_thread(start_leading, url)
    with database.read() as session:
        assert workers.standbys(session) == []
    with pytest.raises(WorkerRunning):
        standby.acquire()
    with database.read() as session:
        assert len(workers.standbys(session) or ()) == 1
    leader.release()
    standby.wait()
    with database.read() as session:
        assert workers.standbys(session) == []
    its_database.engine.dispose()
