"""Cheap checks whether the database has changed, as versions for cached values.

Read a version before the data: the data may then be newer than its version, but never older.
"""

import os
import re
import secrets
import threading
import time
from collections.abc import Hashable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, event, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from app.store.models import (
    Base,
    CallRequest,
    HistoryEntry,
    ListedNumber,
    Module,
    NumberRule,
    Setting,
    SpecialDay,
    WorkerState,
)
from app.store.once import read_once

RequestsVersion = tuple[int, int, int]

_POSTGRESQL_WRITERS = text(
    """
    SELECT EXISTS (
        SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE datname = current_database() AND mode = 'RowExclusiveLock'
        AND relation IN ('history'::regclass, 'call_requests'::regclass)
    )
    """
)


KEPT_FOR = 0.2  # seconds


@dataclass(frozen=True)
class _Kept:
    """The versions that a thread keeps for some seconds, each with when it was read, by their owner."""

    seconds: float
    versions: "dict[DatabaseVersion, tuple[float, Hashable]]" = field(default_factory=dict)


_KEPT: ContextVar[_Kept | None] = ContextVar("kept_versions", default=None)


def keep_versions(seconds: float = KEPT_FOR) -> None:
    """Read each version once until `read_versions_anew`, a write of this thread, or for some seconds.

    A page asks for the version for each of its parts, and on PostgreSQL each time costs several round trips. What is
    cached under a kept version is as new as the beginning of the page.
    """
    _KEPT.set(_Kept(seconds))


def read_versions_anew() -> None:
    """Read each version whenever this thread asks for it."""
    _KEPT.set(None)


class DatabaseVersion:
    """The version of everything in a database. It changes with every commit, and has a meaning in this process only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # One statement needs no transaction, which would cost two more round trips.
        self._no_transaction = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lock = threading.Lock()
        self._connection: Any = None  # of SQLite; it never writes, so it notices the commits of all others
        self._process = self._opened = 0
        event.listen(engine, "engine_disposed", self._close)

    def read(self) -> Hashable:
        """Return the current version, or the one that this thread keeps."""
        kept = _KEPT.get()
        if kept is None:
            return self._read()
        read_at, version = kept.versions.get(self, (0.0, None))
        now = time.monotonic()
        if version is None or now - read_at > kept.seconds:
            version = self._read()
            kept.versions[self] = now, version
        return version

    def _read(self) -> Hashable:
        if self._engine.dialect.name == "sqlite":
            return self._data_version()
        with self._no_transaction.connect() as connection:
            # The transactions that a reader sees: readers who see the same transactions see the same data.
            return str(connection.scalar(text("SELECT pg_current_snapshot()::text")))

    def _data_version(self) -> Hashable:
        with self._lock:
            if self._connection is None or self._process != os.getpid():  # a connection must not be used after a fork
                self._connection, self._process = self._engine.raw_connection(), os.getpid()
                self._connection.detach()
                self._opened += 1
            cursor = self._connection.cursor()
            try:
                (version,) = cursor.execute("PRAGMA data_version").fetchone()
            finally:
                cursor.close()
            return self._process, self._opened, version

    def _close(self, _engine: Engine) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def requests_version(session: Session) -> RequestsVersion | None:
    """Return the version of all call requests, or None if it cannot be told while someone writes requests.

    Every change of a request adds a row to its history, and ids only rise. Deletions are counted. SQLite has one writer
    at a time. On PostgreSQL a writer may commit later than another one that took a higher id, so there is no version
    while any writer holds its lock.
    """
    return read_once(session, "requests_version", lambda: _requests_version(session))


def _requests_version(session: Session) -> RequestsVersion | None:
    newest = [select(func.max(table.id)).scalar_subquery() for table in (HistoryEntry, CallRequest)]
    deleted = select(WorkerState.deletions).where(WorkerState.id == 1).scalar_subquery()
    history, requests, deletions = session.execute(select(newest[0], newest[1], deleted)).one()
    if session.get_bind().dialect.name == "postgresql" and session.scalar(_POSTGRESQL_WRITERS):
        return None
    return history or 0, requests or 0, deletions or 0


# What people configure, apart from users, scenarios and sounds.
CONFIGURATION = (Setting, Module, NumberRule, SpecialDay, ListedNumber)
_CONFIGURATION_VERSION = "configuration_version"  # a row of the settings, with a value that never returns
_CONFIGURATION_TABLES = frozenset(model.__tablename__ for model in CONFIGURATION)
_CHANGE = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.IGNORECASE)
_IS_CHANGED = "bazang_configuration_is_changed"
_STORE_CONFIGURATION_VERSION = text(
    "INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
).bindparams(name=_CONFIGURATION_VERSION)
_Settings = Base.metadata.tables[Setting.__tablename__]
_READ_CONFIGURATION_VERSION = select(_Settings.c.value).where(
    _Settings.c.name == bindparam("name", _CONFIGURATION_VERSION)
)


def watch_configuration(engine: Engine) -> None:
    """Give the configuration a new version with each commit through this engine that changes a table of it."""
    if not event.contains(engine, "commit", _on_commit):
        event.listen(engine, "before_cursor_execute", _before_execute)
        event.listen(engine, "commit", _on_commit)
        event.listen(engine, "rollback", _on_rollback)


def _before_execute(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    change = _CHANGE.match(statement)
    if change is not None and change[1] in _CONFIGURATION_TABLES:
        connection.info[_IS_CHANGED] = True


def _on_commit(connection: Connection) -> None:
    if connection.info.get(_IS_CHANGED):
        connection.execute(_STORE_CONFIGURATION_VERSION, {"value": secrets.token_hex(8)})
        connection.info.pop(_IS_CHANGED)


def _on_rollback(connection: Connection) -> None:
    connection.info.pop(_IS_CHANGED, None)


def renew_configuration_version(session: Session, table: Table) -> None:
    """Give the configuration that has its settings in another table a new version."""
    row = postgresql.insert(table).values(name=_CONFIGURATION_VERSION, value=secrets.token_hex(8))
    session.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))


def configuration_version(session: Session) -> str:
    """Return the version of the configuration. The session itself must not have changed it."""
    return session.connection().scalar(_READ_CONFIGURATION_VERSION) or ""
