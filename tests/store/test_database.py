"""Many hands on one file: nothing is lost, nothing is given twice, and what was told to be stored survives."""

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
    """What a test raises to see what becomes of a transaction."""


def count_up(database: Database, turns: int) -> None:
    """Read, add one, write: the way in which updates are lost where readers become writers."""
    for _ in range(turns):
        with database.write() as session:
            write_setting(session, "counter", str(int(read_setting(session, "counter", "0")) + 1))


def count_up_in_file(path: Path, turns: int) -> None:
    database = open_database(path)
    count_up(database, turns)
    database.engine.dispose()


def test_eight_threads_count_together_and_lose_nothing(database: Database) -> None:
    run_at_once([lambda: count_up(database, TURNS)] * THREADS)
    with database.read() as session:
        assert read_setting(session, "counter") == str(THREADS * TURNS)


def test_several_processes_count_together_and_lose_nothing(database_file: Path, database: Database) -> None:
    # The panel and the telephone service are processes; spawned ones share no connection with us.
    context = get_context("spawn")
    processes = [context.Process(target=count_up_in_file, args=(database_file, TURNS)) for _ in range(3)]
    for process in processes:
        process.start()
    count_up(database, TURNS)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with database.read() as session:
        assert read_setting(session, "counter") == str(4 * TURNS)


def test_each_request_is_claimed_by_one_hand_only(database: Database) -> None:
    module = create_module(database)
    wanted = {create_request(database, module, number=f"+98912000{n:04}").id for n in range(60)}

    claims = Counter(claim for mine in run_at_once([lambda: claim_all(database)] * THREADS) for claim in mine)
    assert claims == Counter(wanted)


def test_a_writer_keeps_the_others_out_from_its_beginning(database: Database) -> None:
    """The second writer is let in only when the first is done, so it reads what the first has written."""
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
        read_setting(session, "word")  # a read only, yet the other one has to wait already
        inside.set()
        assert not entered.wait(0.3)
        write_setting(session, "word", "first")
    thread.join(30)
    assert order == ["second reads first"]


def test_readers_are_not_kept_waiting_by_a_writer_and_see_the_last_commit(database: Database) -> None:
    with database.write() as session:
        write_setting(session, "word", "old")
    with database.write() as writer:
        write_setting(writer, "word", "new")
        writer.flush()
        with database.read() as reader:
            assert read_setting(reader, "word") == "old"
    with database.read() as reader:
        assert read_setting(reader, "word") == "new"


def test_a_read_session_sees_one_moment_throughout(database: Database) -> None:
    with database.read() as reader:
        assert read_setting(reader, "word", "none") == "none"
        with database.write() as writer:
            write_setting(writer, "word", "new")
        reader.expire_all()
        assert read_setting(reader, "word", "none") == "none"


def test_whatever_is_raised_takes_everything_back(database: Database) -> None:
    with pytest.raises(Deliberate), database.write() as session:
        write_setting(session, "word", "lost")
        session.flush()
        raise Deliberate
    with database.read() as session:
        assert session.scalars(select(Setting)).all() == []
    count_up(database, 1)  # and leaves no lock behind


def test_a_row_that_another_hand_has_changed_is_refused(database: Database) -> None:
    request = create_request(database, create_module(database))
    stale = reload(database, request)
    with database.write() as session:
        session.get_one(CallRequest, request.id).priority = 5
    stale.priority = 7
    with pytest.raises(StaleDataError), database.write() as session:
        session.add(stale)
    assert reload(database, request).priority == 5


def test_the_rows_of_a_session_stay_readable_after_it(database: Database) -> None:
    request = create_request(database, create_module(database))
    with database.read() as session:
        row = session.get_one(CallRequest, request.id)
    assert row.number == request.number


def test_every_connection_is_durable_and_holds_to_foreign_keys(database: Database) -> None:
    with database.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_a_request_of_a_module_that_never_was_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        create_request(database, module_id=4711)


def test_a_database_that_somebody_else_keeps_locked_says_so(database_file: Path, database: Database) -> None:
    """After the time-out a writer fails loudly; it neither waits for ever nor loses its word silently."""
    with database.read() as session:
        session.execute(text("PRAGMA busy_timeout=50"))  # the pool gives the writer this same connection
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"), database.write() as session:
            write_setting(session, "word", "never")
        other.execute("ROLLBACK")
    count_up(database, 1)
