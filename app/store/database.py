"""Two kinds of session: one that reads, one that writes.

On SQLite a transaction that reads first and writes later loses updates or dies of "database is locked"; so a writer
says so at its beginning (BEGIN IMMEDIATE). On PostgreSQL rows are locked as they are read (`with_for_update`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session

from app.store.cache import VersionedCache
from app.store.version import DatabaseVersion

_WRITES = "bazang_writes"


def prepare_engine(engine: Engine) -> None:
    """Make the connections of an SQLite engine durable and safe for several processes."""
    if engine.dialect.name != "sqlite":
        return
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; _on_begin does
    cursor = connection.cursor()
    # synchronous=FULL: a request that the caller was told is registered survives a power cut.
    for pragma in ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Database:
    """Opens sessions and caches what was read. Never keep a session open during slow work."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.version = DatabaseVersion(engine)
        self.cache = VersionedCache()
        self._writer = engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads; what it loaded stays usable afterwards."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at its end, and rolls back when anything is raised."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session


class Joined(Database):
    """A database whose sessions belong to a transaction that is under way.

    What several services write by it is there together, or not at all.
    """

    def __init__(self, database: Database, session: Session) -> None:
        self.engine, self.version, self.cache = database.engine, database.version, database.cache
        self._session = session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """The session that is under way."""
        yield self._session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """The session that is under way, in a savepoint: what fails here alone is rolled back."""
        with self._session.begin_nested():
            yield self._session
