"""A stamp differs as soon as anything was committed, on both databases, and not otherwise."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.database import Database
from app.store.settings import read_setting, write_setting
from app.store.stamp import Stamp
from tests.support.server_database import migrated_database, new_database, open_server_database


def _holds(database: Database) -> None:
    stamp = Stamp(database.engine)
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
