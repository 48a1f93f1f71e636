"""Whether anything in the database has changed, asked so cheaply that every open page may ask once a second."""

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from sqlalchemy import Engine, event, text

Value = TypeVar("Value")


class DatabaseVersion:
    """Gives a value that differs as soon as anything was committed since; it means something in this process alone.

    Read it before the data: what is read afterwards may be newer than the stamp, and is never older.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._watching: Any = None  # SQLite: a connection that never writes, and so sees what all others did
        self._process = 0
        event.listen(engine, "engine_disposed", self._close)

    def read(self) -> Hashable:
        """Return the stamp of this moment."""
        if self._engine.dialect.name == "sqlite":
            return self._data_version()
        with self._engine.connect() as connection:
            # Which transactions a reader sees: two readers who see the same ones see the same data.
            return str(connection.scalar(text("SELECT pg_current_snapshot()::text")))

    def _data_version(self) -> Hashable:
        with self._lock:
            if self._watching is None or self._process != os.getpid():  # no connection survives a fork
                self._watching, self._process = self._engine.raw_connection(), os.getpid()
                self._watching.detach()
            cursor = self._watching.cursor()
            try:
                (version,) = cursor.execute("PRAGMA data_version").fetchone()
            finally:
                cursor.close()
            return id(self._watching), version

    def _close(self, _engine: Engine) -> None:
        with self._lock:
            if self._watching is not None:
                self._watching.close()
                self._watching = None


class Kept:
    """What was read from the database, for as long as nothing in it changes. Nobody may change what is given."""

    MOST = 500  # values; there are few of a kind, but one for each user

    def __init__(self, stamp: DatabaseVersion) -> None:
        self._stamp = stamp
        self._lock = threading.Lock()
        self._as_of: Hashable = None
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """Return what `read` gives, or gave under this key since the last change."""
        now = self._stamp.read()
        with self._lock:
            if now != self._as_of:
                self._as_of, self._values = now, {}
            values = self._values
            if key in values:
                found: Value = values[key]
                return found
        value = read()
        with self._lock:
            if len(values) < self.MOST:
                values[key] = value  # among those of the stamp that was read before it
        return value
