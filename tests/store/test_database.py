"""SQLite with concurrent threads and processes: no lost update, no double claim, durable commits."""

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm.exc import StaleDataError

from app.store.database import Database
from app.store.models import CallRequest, Setting
from app.store.settings import read_setting, write_setting
from script.office.database import open_database
from tests.store.claims import claim_all
from tests.support.factories import create_module, create_request, reload, run_at_once

THREADS = 8
TURNS = 50


class Deliberate(Exception):
    """Raised within a transaction by a test."""


def count_up(database: Database, turns: int) -> None:
    """Read, add one, write. Updates are lost if a transaction starts as a reader."""
    for _ in range(turns):
        with database.write() as session:
            write_setting(session, "counter", str(int(read_setting(session, "counter", "0")) + 1))


def count_up_in_file(path: Path, turns: int) -> None:
    database = open_database(path)
    count_up(database, turns)
    database.engine.dispose()


def test_concurrent_threads_lose_no_update(database: Database) -> None:
    run_at_once([lambda: count_up(database, TURNS)] * THREADS)
    with database.read() as session:
        assert read_setting(session, "counter") == str(THREADS * TURNS)


@pytest.mark.slow
def test_concurrent_processes_lose_no_update(database_file: Path, database: Database) -> None:
    # Spawned processes share no connection with this one, like the panel and the worker.
    context = get_context("spawn")
    processes = [context.Process(target=count_up_in_file, args=(database_file, TURNS)) for _ in range(2)]
    for process in processes:
        process.start()
    count_up(database, TURNS)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with database.read() as session:
        assert read_setting(session, "counter") == str(3 * TURNS)


def test_each_request_is_claimed_once(database: Database) -> None:
    module = create_module(database)
    ids = {create_request(database, module, number=f"+98912000{n:04}").id for n in range(60)}
    results = run_at_once([lambda: claim_all(database)] * THREADS)
    assert Counter(claim for claims in results for claim in claims) == Counter(ids)


def test_write_session_blocks_other_writers_from_its_start(database: Database) -> None:
    """The second writer starts after the first has committed, so it reads what the first has written."""
    inside, entered = threading.Event(), threading.Event()
    order: list[str] = []

    def second() -> None:
        assert inside.wait(30)
        with database.write() as session:
            word = read_setting(session, "word")
            entered.set()
            order.append(f"second reads {word}")

    thread = threading.Thread(target=second)
    thread.start()
    with database.write() as session:
        read_setting(session, "word")  # only a read, but the other writer must wait already
        inside.set()
        assert not entered.wait(0.3)
        write_setting(session, "word", "first")
    thread.join(30)
    assert order == ["second reads first"]


def test_readers_do_not_wait_for_a_writer_and_see_the_last_commit(database: Database) -> None:
    with database.write() as session:
        write_setting(session, "word", "old")
    with database.write() as writer:
        write_setting(writer, "word", "new")
        writer.flush()
        with database.read() as reader:
            assert read_setting(reader, "word") == "old"
    with database.read() as reader:
        assert read_setting(reader, "word") == "new"


def test_read_session_sees_a_single_snapshot(database: Database) -> None:
    with database.read() as reader:
        assert read_setting(reader, "word", "none") == "none"
        with database.write() as writer:
            write_setting(writer, "word", "new")
        reader.expire_all()
        assert read_setting(reader, "word", "none") == "none"


def test_exception_rolls_the_transaction_back(database: Database) -> None:
    with pytest.raises(Deliberate), database.write() as session:
        write_setting(session, "word", "lost")
        session.flush()
        raise Deliberate
    with database.read() as session:
        assert session.scalars(select(Setting)).all() == []
    count_up(database, 1)  # no lock is left


def test_stale_row_is_refused(database: Database) -> None:
    request = create_request(database, create_module(database))
    stale = reload(database, request)
    with database.write() as session:
        session.get_one(CallRequest, request.id).priority = 5
    stale.priority = 7
    with pytest.raises(StaleDataError), database.write() as session:
        session.add(stale)
    assert reload(database, request).priority == 5


def test_rows_stay_readable_after_their_session(database: Database) -> None:
    request = create_request(database, create_module(database))
    with database.read() as session:
        row = session.get_one(CallRequest, request.id)
    assert row.number == request.number


def test_connections_are_durable_and_check_foreign_keys(database: Database) -> None:
    with database.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_request_of_an_unknown_module_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        create_request(database, module_id=4711)


def test_write_to_a_locked_database_fails_after_the_time_out(database_file: Path, database: Database) -> None:
    with database.read() as session:
        session.execute(text("PRAGMA busy_timeout=50"))  # the pool gives the writer this same connection
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"), database.write() as session:
            write_setting(session, "word", "never")
        other.execute("ROLLBACK")
    count_up(database, 1)
