"""A stamp differs as soon as anything was committed, on both databases, and not otherwise."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.store.stamp import DatabaseVersion, Kept
from tests.support.server_database import migrated_database, new_database, open_server_database


def _holds(database: Database) -> None:
    stamp = DatabaseVersion(database.engine)
    first = stamp.read()
    with database.read() as session:
        read_setting(session, "x")
    assert stamp.read() == first, "reading changes nothing"
    with database.write() as session:
        write_setting(session, "x", "1")
        session.flush()
        under_way = stamp.read()
    committed = stamp.read()
    assert committed not in (first, under_way)
    assert stamp.read() == committed
    for turn in range(20):
        with database.write() as session:
            write_setting(session, "x", str(turn))
        assert stamp.read() != committed
        committed = stamp.read()
    database.engine.dispose()
    stamp.read()
    database.engine.dispose()


def test_a_stamp_follows_what_is_committed(database: Database) -> None:
    _holds(database)


@pytest.fixture
def server_database(postgres_url: str, tmp_path: Path) -> Iterator[Database]:
    with migrated_database(postgres_url, tmp_path) as template, new_database(postgres_url, template) as url:
        with open_server_database(url) as opened:
            yield opened


def test_a_stamp_follows_what_is_committed_on_a_server(server_database: Database) -> None:
    _holds(server_database)


class Reader:
    """Reads a setting, and counts how often."""

    def __init__(self, database: Database) -> None:
        self.database, self.times = database, 0

    def __call__(self) -> str:
        self.times += 1
        with self.database.read() as session:
            return read_setting(session, "x")


def test_what_was_read_is_kept_until_something_changes(database: Database) -> None:
    kept, read = Kept(DatabaseVersion(database.engine)), Reader(database)
    assert [kept.get("x", read) for _ in range(3)] == ["", "", ""] and read.times == 1
    with database.write() as session:
        write_setting(session, "x", "1")
        assert kept.get("x", read) == "", "it is not committed yet"
    assert [kept.get("x", read) for _ in range(2)] == ["1", "1"] and read.times == 2


def test_what_is_read_while_something_changes_is_read_again(database: Database) -> None:
    kept = Kept(DatabaseVersion(database.engine))

    def read_and_be_overtaken() -> str:
        with database.read() as session:
            before = read_setting(session, "x")
        with database.write() as session:
            write_setting(session, "x", "1")
        return before

    assert kept.get("x", read_and_be_overtaken) == ""
    assert kept.get("x", Reader(database)) == "1"


def test_a_failed_reading_leaves_nothing(database: Database) -> None:
    kept = Kept(DatabaseVersion(database.engine))
    with pytest.raises(ZeroDivisionError):
        kept.get("x", lambda: str(1 // 0))
    assert kept.get("x", Reader(database)) == ""


def test_no_more_is_kept_than_there_is_room_for(database: Database) -> None:
    kept, read = Kept(DatabaseVersion(database.engine)), Reader(database)
    for number in range(Kept.MOST):
        kept.get(number, lambda: "")
    assert [kept.get("one more", read) for _ in range(2)] == ["", ""] and read.times == 2
