"""Notices within a tenth of a second that another process has written to the database."""

import asyncio
import fcntl
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from sqlalchemy import Engine, PoolProxiedConnection

from app.services.commands import CHANNEL

log = logging.getLogger(__name__)
LOOK_EVERY = 0.05  # seconds, SQLite: one look costs some microseconds
WAIT = 1.0  # seconds, PostgreSQL: how long one wait for a notice lasts, so that `stop` is heard


class DatabaseWatch:
    """Calls `on_change` in the event loop. Has a thread of its own, since both ways of waiting block."""

    def __init__(self, engine: Engine, on_change: Callable[[], None]) -> None:
        self._engine, self._on_change = engine, on_change
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        look = self._listen if engine.dialect.name == "postgresql" else self._look
        self._thread = threading.Thread(target=self._run, args=(look,), name="database-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self, look: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                look()
            except Exception as error:
                log.error("watching the database failed, again in 1 s: %s", error)
                self._stop.wait(1)

    def _tell(self) -> None:
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._on_change)

    def _look(self) -> None:
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            known = None
            while not self._stop.is_set():
                (version,) = cursor.execute("PRAGMA data_version").fetchone()
                if version != known:
                    known = version
                    self._tell()
                self._stop.wait(LOOK_EVERY)
        finally:
            connection.close()

    def _listen(self) -> None:
        connection = self._engine.raw_connection()
        try:
            driver = connection.driver_connection
            assert driver is not None
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            self._tell()
            while not self._stop.is_set():
                for _notice in driver.notifies(timeout=WAIT, stop_after=1):
                    self._tell()
        finally:
            connection.invalidate()  # it still listens: not for the pool


class OnlyOne(Exception):
    """Another worker serves this database already."""


class Leadership:
    """The right to be the worker of a database: held by one process, and lost with it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: TextIO | PoolProxiedConnection | None = None

    def take(self) -> None:
        """Take the right. Raises OnlyOne."""
        self._held = self._lock_server() if self._engine.dialect.name == "postgresql" else self._lock_file()

    def is_held(self) -> bool:
        """Tell whether the right is still ours: a server that was restarted has forgotten its locks. Blocks."""
        held = self._held
        if not isinstance(held, PoolProxiedConnection) or held.driver_connection is None:
            return held is not None
        try:
            held.driver_connection.execute("SELECT 1")
        except Exception as error:  # the driver's own kinds
            log.error("the right to be the worker was lost: %s", error)
            return False
        return True

    def release(self) -> None:
        """Give the right up, if it was taken."""
        held, self._held = self._held, None
        if isinstance(held, PoolProxiedConnection):
            held.invalidate()  # its end is what the server takes the lock back by
        elif held is not None:
            held.close()

    def _lock_file(self) -> TextIO:
        database = self._engine.url.database
        assert database is not None
        file = Path(f"{database}.worker").open("w")  # noqa: SIM115 - held as long as the process lives
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise OnlyOne("another worker is running on this database") from error
        return file

    def _lock_server(self) -> PoolProxiedConnection:
        connection = self._engine.raw_connection()
        driver = connection.driver_connection
        assert driver is not None
        driver.autocommit = True
        taken = driver.execute("SELECT pg_try_advisory_lock(hashtext('bazang worker'))").fetchone()[0]
        if not taken:
            connection.invalidate()
            raise OnlyOne("another worker is running on this database")
        return connection
