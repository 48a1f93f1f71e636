"""Versions change with each commit, on SQLite and PostgreSQL, and not otherwise."""

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import ProgrammingError

from app.domain.lifecycle import Cancelled
from app.store.database import Database, read_apart, read_together
from app.store.models import CallRequest, Setting
from app.store.settings import read_all, read_setting, write_setting
from app.store.version import DatabaseVersion, RequestsVersion, keep_versions, read_versions_anew, requests_version
from script.office.server_database import new_database, open_server_database
from tests.support.factories import NOW, apply_event, create_module, create_request


@pytest.fixture
def server(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    with new_database(postgres_url, postgres_template) as url:
        with open_server_database(url) as opened:
            yield opened


def check_version(database: Database) -> None:
    version = DatabaseVersion(database.engine)
    first = version.read()
    with database.read() as session:
        read_setting(session, "x")
    assert version.read() == first, "reading changes nothing"
    with database.write() as session:
        write_setting(session, "x", "1")
        session.flush()
        uncommitted = version.read()
    committed = version.read()
    assert committed not in (first, uncommitted)
    assert version.read() == committed
    for turn in range(20):
        with database.write() as session:
            write_setting(session, "x", str(turn))
        assert version.read() != committed
        committed = version.read()
    database.engine.dispose()
    version.read()
    database.engine.dispose()


def test_version_changes_with_each_commit(database: Database) -> None:
    check_version(database)


def test_version_changes_with_each_commit_on_postgresql(server: Database) -> None:
    check_version(server)


@pytest.fixture
def page() -> Iterator[None]:
    """The time in which a page is built, which keeps versions."""
    keep_versions()
    yield
    read_versions_anew()


def write_elsewhere(database: Database) -> None:
    """Write as another thread does."""
    with ThreadPoolExecutor(1) as other:
        other.submit(write, database).result(10)


def write(database: Database) -> None:
    with database.write() as session:
        write_setting(session, "x", secrets.token_hex(4))


def test_a_page_keeps_the_version_until_it_writes(database: Database, page: None) -> None:
    keep_versions(3600)
    first = database.version.read()
    write_elsewhere(database)
    assert database.version.read() == first
    write(database)
    after = database.version.read()
    assert after != first
    write_elsewhere(database)
    assert database.version.read() != after, "nothing is kept after a write"


def test_a_page_that_takes_long_reads_the_version_again(database: Database, page: None) -> None:
    keep_versions(0)
    first = database.version.read()
    write_elsewhere(database)
    assert database.version.read() != first


def test_another_thread_keeps_nothing(database: Database, page: None) -> None:
    with ThreadPoolExecutor(1) as other:
        first = other.submit(database.version.read).result(10)
        write(database)
        assert other.submit(database.version.read).result(10) != first


def test_value_read_before_a_commit_is_outdated_after_it(database: Database) -> None:
    def read() -> str:
        with database.read() as session:
            return read_setting(session, "x")

    def read_and_write() -> str:
        before = read()
        with database.write() as session:
            write_setting(session, "x", "1")
        return before

    assert database.cache.get("x", database.version.read(), read_and_write) == ""
    assert database.cache.get("x", database.version.read(), read) == "1"


def read_requests_version(database: Database) -> RequestsVersion | None:
    with database.read() as session:
        return requests_version(session)


def test_requests_version_changes_with_each_change_of_a_request(database: Database) -> None:
    versions = [read_requests_version(database)]
    create_request(database, create_module(database))
    versions.append(read_requests_version(database))
    apply_event(database, 1, Cancelled())
    versions.append(read_requests_version(database))
    assert len(set(versions)) == 3 and None not in versions
    with database.write() as session:
        write_setting(session, "x", "1")
    assert read_requests_version(database) == versions[-1]


def test_requests_have_no_version_during_a_write_on_postgresql(server: Database) -> None:
    """A writer with a lower id may commit later, so data read before that must not be cached."""
    module = create_module(server)
    flushed, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with server.write() as session:
            times = {"first_called_at": NOW, "registered_at": NOW}
            number = "+989120000001"
            session.add(CallRequest(module_id=module.id, module_name="Sales", number=number, status="waiting", **times))
            session.flush()
            flushed.set()
            assert may_commit.wait(10)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert flushed.wait(10)
    assert read_requests_version(server) is None
    create_request(server, module, number="+989120000002")
    assert read_requests_version(server) is None
    may_commit.set()
    writer.join(10)
    assert read_requests_version(server) is not None


# -- reading together -------------------------------------------------------------------------------------------------


@pytest.fixture
def together() -> Iterator[None]:
    """The time in which a page is built whose reads are one session."""
    read_together()
    yield
    read_apart()


def read_x(database: Database) -> str:
    with database.read() as session:
        return read_setting(session, "x")


def check_reading_together(database: Database) -> None:
    """Check that reads share a session until this thread writes, and read the new state after that."""
    begun: list[object] = []
    event.listen(database.engine, "begin", begun.append)
    read_together()
    write_elsewhere(database)
    begun.clear()
    first = database.cached("x", lambda: read_x(database))
    with database.read() as one, database.read() as other:
        assert one is other
        stored = read_all(one)
        assert read_all(other) is stored
    assert read_x(database) == first and len(begun) <= 2, "one for the version on PostgreSQL"
    write(database)
    assert read_x(database) != first
    assert database.cached("x", lambda: read_x(database)) == read_x(database)
    read_apart()


def test_reads_together_are_one_session(database: Database) -> None:
    check_reading_together(database)


def test_reads_together_are_one_session_on_postgresql(server: Database) -> None:
    check_reading_together(server)


def test_what_is_read_together_is_never_cached_under_a_later_version(database: Database, together: None) -> None:
    """Its transaction goes on, so it does not see what others write meanwhile."""
    before = read_x(database)
    write_elsewhere(database)
    assert database.cached("x", lambda: read_x(database)) == before
    read_apart()
    assert database.cached("x", lambda: read_x(database)) != before


def test_reading_goes_on_after_a_failure(server: Database, together: None) -> None:
    """PostgreSQL answers nothing more in a transaction in which something has failed."""
    with pytest.raises(ProgrammingError), server.read() as session:
        session.execute(text("SELECT nothing FROM nowhere"))
    assert read_x(server) == ""


def test_what_a_page_changes_for_itself_is_not_stored(database: Database, together: None) -> None:
    write_elsewhere(database)
    with database.read() as session:
        row = session.get_one(Setting, "x")
        stored, row.value = row.value, "changed"
        session.execute(text("SELECT 1"))
    read_apart()
    assert read_x(database) == stored
