"""Make sure that one worker runs per database."""

import fcntl
import logging
from pathlib import Path
from typing import TextIO

from sqlalchemy import Engine, PoolProxiedConnection

log = logging.getLogger(__name__)


class WorkerRunning(Exception):
    """Another worker is running on this database."""


class Leadership:
    """The right to be the one worker of a database. It ends with the process or its connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock: TextIO | PoolProxiedConnection | None = None

    def acquire(self) -> None:
        """Acquire the right. Raises WorkerRunning."""
        self._lock = self._lock_server() if self._engine.dialect.name == "postgresql" else self._lock_file()

    def is_held(self) -> bool:
        """Tell whether the lock still exists: a restarted server loses its locks. Blocks."""
        lock = self._lock
        if not isinstance(lock, PoolProxiedConnection) or lock.driver_connection is None:
            return lock is not None
        try:
            lock.driver_connection.execute("SELECT 1")
        except Exception as error:  # any error of the driver
            log.error("the worker's lock was lost: %s", error)
            return False
        return True

    def release(self) -> None:
        """Release the right, if it was acquired."""
        lock, self._lock = self._lock, None
        if isinstance(lock, PoolProxiedConnection):
            lock.invalidate()  # the server releases the lock when the connection closes
        elif lock is not None:
            lock.close()

    def _lock_file(self) -> TextIO:
        database = self._engine.url.database
        assert database is not None
        file = Path(f"{database}.worker").open("w")  # noqa: SIM115 - open as long as the process runs
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise WorkerRunning("another worker is running on this database") from error
        return file

    def _lock_server(self) -> PoolProxiedConnection:
        connection = self._engine.raw_connection()
        driver = connection.driver_connection
        assert driver is not None
        driver.autocommit = True
        acquired = driver.execute("SELECT pg_try_advisory_lock(hashtext('bazang worker'))").fetchone()[0]
        if not acquired:
            connection.invalidate()
            raise WorkerRunning("another worker is running on this database")
        return connection
