"""Read sessions and write sessions.

On SQLite, a transaction that reads first and writes later can lose updates or fail with "database is locked". So a
write session starts with BEGIN IMMEDIATE, and the threads of a process take turns (`turns.py`). On PostgreSQL, rows are
locked when they are read (`with_for_update`).
"""

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeVar

from cachetools import LRUCache
from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as TookTooLong
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from app.domain.text import search_key
from app.store.cache import VersionedCache
from app.store.once import shared_info
from app.store.turns import Turns, Turnstile, Urgency
from app.store.version import DatabaseVersion, keep_versions, read_versions_anew, watch_configuration

Value = TypeVar("Value")
_WRITES = "bazang_writes"
MAX_LARGE_VALUES = 20
# What may succeed if it is tried again: the database is locked, full or away, or another session was faster.
PASSING_FAILURES = (OperationalError, InterfaceError, InternalError, TookTooLong, StaleDataError)


def hide_password(url: str) -> str:
    """Return a database URL with its password replaced by `***`."""
    return make_url(url).render_as_string(hide_password=True)


def prepare_engine(engine: Engine) -> None:
    """Configure an SQLite engine for durability and for several processes. Do nothing for PostgreSQL."""
    if engine.dialect.name != "sqlite":
        return
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # _on_begin starts the transactions, not the driver
    connection.create_function("search_key", 1, search_key, deterministic=True)
    cursor = connection.cursor()
    # synchronous=FULL: a request survives a power cut once the caller hears that it is registered.
    # secure_delete: deleted numbers and secrets do not stay in the file.
    for pragma in (
        "journal_mode=WAL",
        "busy_timeout=5000",
        "foreign_keys=ON",
        "synchronous=FULL",
        "secure_delete=FAST",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_session(connection: Any, _record: Any) -> None:
    """Let PostgreSQL not compile queries: that takes up to a second, and ours read a few rows by an index.

    Let it end the transactions of a process that is frozen or cut off: they would hold their rows for hours.
    """
    connection.execute("SET jit = off")
    connection.execute("SET idle_in_transaction_session_timeout = '30s'")
    connection.commit()


class _Together:
    """The open sessions of a thread that reads together, by their database."""

    def __init__(self) -> None:
        self._sessions: dict[Database, Session] = {}

    def session_of(self, database: "Database") -> Session:
        session = self._sessions.get(database)
        if session is None:
            database.version.read()  # before the data
            # Nothing is written: an object that a page changes for itself must not be flushed by the next query.
            session = Session(database.engine, expire_on_commit=False, autoflush=False, info=shared_info())
            self._sessions[database] = session
        return session

    def close(self) -> None:
        while self._sessions:
            _database, session = self._sessions.popitem()
            session.close()


_TOGETHER: ContextVar[_Together | None] = ContextVar("reading_together", default=None)


def read_together() -> None:
    """Let the read sessions of this thread be one for each database until `read_apart`, or a write of this thread.

    A page has some ten reads, and the begin and end of each costs as much as a query. Their transaction goes on until
    then, so nothing between may wait for others. A row that was read stays as it is for all who read it again.
    """
    read_apart()
    keep_versions(math.inf)  # a newer version would be wrong for what the transaction reads
    _TOGETHER.set(_Together())


def read_apart() -> None:
    """Let each read session of this thread be one of its own, and read each version when it asks for it."""
    together = _TOGETHER.get()
    if together is not None:
        _TOGETHER.set(None)
        together.close()
    read_versions_anew()


def _make_turnstile(engine: Engine) -> Turnstile | None:
    """Return the turnstile of an SQLite file, None if several can write at a time."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    turnstile = Turnstile(f"{engine.url.database}.turnstile")
    event.listen(engine, "engine_disposed", lambda _engine: turnstile.close())
    return turnstile


class Database:
    """Provide sessions and a cache of what they read. Do not keep a session open during slow work.

    `fence` may refuse a write session before it does anything, by raising.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        if engine.dialect.name == "postgresql":
            event.listen(engine, "connect", _prepare_session)
        self.version = DatabaseVersion(engine)
        self.cache = VersionedCache()
        self.large_values = VersionedCache(LRUCache(MAX_LARGE_VALUES))
        self.turns = Turns()
        self._turnstile = _make_turnstile(engine)
        self.fence: Callable[[Session], None] = lambda session: None
        self._writer = engine.execution_options(**{_WRITES: True})
        watch_configuration(self._writer)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a read session. Loaded objects stay usable after it closes."""
        together = _TOGETHER.get()
        if together is None:
            with Session(self.engine, expire_on_commit=False) as session:
                yield session
            return
        try:
            yield together.session_of(self)
        except BaseException:  # PostgreSQL answers nothing more in a transaction that has failed
            together.close()
            raise

    @contextmanager
    def write(self, urgency: Urgency = Urgency.REST) -> Iterator[Session]:
        """Open a write session. It commits at the end and rolls back if anything is raised.

        On SQLite all others of this process wait for its end, so it must be short. Never open one within another one.
        """
        turnstile = self._turnstile
        read_apart()
        with self._turn(urgency), Session(self._writer, expire_on_commit=False) as session, session.begin():
            if turnstile is not None:
                with turnstile.stand():
                    session.connection()  # begins
            self.fence(session)
            yield session

    def _turn(self, urgency: Urgency) -> AbstractContextManager[None]:
        return self.turns.take(urgency) if self._turnstile is not None else nullcontext()

    @property
    def has_one_writer(self) -> bool:
        """Whether nobody else can write during a write session, so that the version stays the same in it."""
        return self._turnstile is not None

    def cached(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """Return the result of `read`, cached until the database changes. It must not be modified."""
        return self.cache.get(key, self.version.read(), read)

    def cached_query(self, key: Hashable, query: Callable[[Session], Value]) -> Value:
        """Return the result of `query` in a read session, cached until the database changes."""

        def read() -> Value:
            with self.read() as session:
                return query(session)

        return self.cached(key, read)


class Joined(Database):
    """A database whose sessions join an open transaction.

    Several services can write in one transaction with it.
    """

    def __init__(self, database: Database, session: Session) -> None:
        self.engine, self.version, self.cache = database.engine, database.version, database.cache
        self.large_values = database.large_values
        self._session = session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Return the session of the open transaction."""
        yield self._session

    @contextmanager
    def write(self, urgency: Urgency = Urgency.REST) -> Iterator[Session]:
        """Return the session of the open transaction in a savepoint. A failure rolls back to the savepoint."""
        with self._session.begin_nested():
            yield self._session
