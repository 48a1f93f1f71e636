"""Turns to write: urgent writers first, nobody for ever last, and no process ahead of another one that waits."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from sqlalchemy.exc import TimeoutError as TookTooLong

from app.store import turns
from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.store.turns import Turns, Turnstile, Urgency
from script.office.database import open_database
from script.office.patience import PATIENCE


class Writers:
    """Threads that want to write, in a known order. `order` has their names as they came to write."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.order = turns, list[str]()
        self._threads: list[threading.Thread] = []

    def add(self, name: str, urgency: Urgency) -> None:
        """Start a thread and wait until it waits."""
        before = self.turns.waiting
        thread = threading.Thread(target=self._write, args=(name, urgency))
        thread.start()
        self._threads.append(thread)
        wait_until(lambda: self.turns.waiting > before)

    def _write(self, name: str, urgency: Urgency) -> None:
        with self.turns.take(urgency):
            self.order.append(name)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has waited for too long, however slow the machine is."""
    monkeypatch.setattr(turns, "PATIENCE", PATIENCE)


def test_the_most_urgent_one_writes_first(patient: None) -> None:
    writers = Writers(Turns())
    with writers.turns.take(Urgency.REST):
        for name, urgency in (("page", 2), ("end", 1), ("press 1", 0), ("other page", 2), ("claim", 1), ("press 1", 0)):
            writers.add(name, Urgency(urgency))
    writers.join()
    assert writers.order == ["press 1", "press 1", "end", "claim", "page", "other page"]


def test_who_has_waited_for_long_comes_before_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    writers = Writers(Turns())
    with writers.turns.take(Urgency.REGISTRATION):
        for name, urgency in (("page", 2), ("press 1", 0), ("end", 1)):
            writers.add(name, Urgency(urgency))
    writers.join()
    assert writers.order == ["page", "press 1", "end"]


def test_turn_passes_on_after_a_failure() -> None:
    writers = Writers(Turns())
    with pytest.raises(KeyError), writers.turns.take(Urgency.REST):
        writers.add("next", Urgency.REST)
        raise KeyError
    writers.join()
    with writers.turns.take(Urgency.REST):
        assert writers.order == ["next"]


def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.01)
    mine = Turns()
    with mine.take(Urgency.REST):
        with pytest.raises(TookTooLong), mine.take(Urgency.REGISTRATION):
            pytest.fail("two at once")
        assert mine.waiting == 0
    with mine.take(Urgency.REST):
        pass


def write_without_a_pause(path: Path, begun: Event, stop: Event) -> None:
    """Hold the database nearly all the time: the next transaction begins in the instant in which the last one ends."""
    database = open_database(path)

    def write() -> None:
        while not stop.is_set():
            with database.write() as session:
                write_setting(session, "other", str(int(read_setting(session, "other", "0")) + 1))
                begun.set()
                time.sleep(0.02)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_process_that_writes_without_a_pause_does_not_keep_others_out(database_file: Path, database: Database) -> None:
    """SQLite's own waiting looks ten times a second whether the database is free, which it then is for an instant."""
    context = get_context("spawn")
    begun, stop = context.Event(), context.Event()
    process = context.Process(target=write_without_a_pause, args=(database_file, begun, stop), daemon=True)
    process.start()
    try:
        assert begun.wait(PATIENCE)
        passed = []
        for _ in range(20):
            before = count(database)
            with database.write() as session:
                passed.append(int(read_setting(session, "other")) - before)
    finally:
        stop.set()
        process.join(PATIENCE)
    # One may be at it, and one may be faster at the turnstile; without it, up to fifty are.
    assert sum(passed) / len(passed) < 10


def count(database: Database) -> int:
    with database.read() as session:
        return int(read_setting(session, "other", "0"))


@contextmanager
def standing(path: Path) -> Iterator[None]:
    """Stand in the turnstile like a process that is frozen in it."""
    other = Turnstile(f"{path}.turnstile")
    with other.stand():
        yield
    other.close()


def test_frozen_process_in_the_turnstile_stops_nobody_for_ever(
    database_file: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LONGEST_PASSAGE", 0.01)
    with standing(database_file), database.write() as session:
        write_setting(session, "word", "written")
    with database.read() as session:
        assert read_setting(session, "word") == "written"


def test_database_can_be_written_without_a_turnstile(tmp_path: Path) -> None:
    turnstile = Turnstile(str(tmp_path / "missing" / "file"))
    with turnstile.stand():
        pass


def test_turnstile_is_free_after_a_write_that_could_not_begin(database_file: Path, database: Database) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        with database.read() as session:
            session.connection().exec_driver_sql("PRAGMA busy_timeout=10")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="locked"), database.write():
            pytest.fail("two at once")
        other.execute("ROLLBACK")
    with standing(database_file):
        pass
