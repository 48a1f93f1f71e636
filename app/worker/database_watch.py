"""Notice within a tenth of a second that another process has written to the database."""

import asyncio
import logging
import threading
from collections.abc import Callable

from sqlalchemy import Engine

from app.services.commands import channel_of

log = logging.getLogger(__name__)
SQLITE_INTERVAL = 0.05  # seconds; one query takes microseconds
NOTIFY_TIMEOUT = 1.0  # seconds; bounds the time until `stop` takes effect


class DatabaseWatch:
    """Call `on_change` in the event loop after each write. It uses a thread, because both ways of waiting block."""

    def __init__(self, engine: Engine, on_change: Callable[[], None]) -> None:
        self._engine, self._on_change = engine, on_change
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        watch = self._listen if engine.dialect.name == "postgresql" else self._compare_versions
        self._thread = threading.Thread(target=self._run, args=(watch,), name="database-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self, watch: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                watch()
            except Exception as error:
                log.error("cannot watch the database, retrying in 1 s: %s", error)
                self._stop.wait(1)

    def _notify(self) -> None:
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._on_change)

    def _compare_versions(self) -> None:
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            last = None
            while not self._stop.is_set():
                (version,) = cursor.execute("PRAGMA data_version").fetchone()
                if version != last:
                    last = version
                    self._notify()
                self._stop.wait(SQLITE_INTERVAL)
        finally:
            connection.close()

    def _listen(self) -> None:
        connection = self._engine.raw_connection()
        try:
            driver = connection.driver_connection
            assert driver is not None
            driver.autocommit = True
            driver.execute(f"LISTEN {channel_of(self._engine)}")
            self._notify()
            while not self._stop.is_set():
                for _notice in driver.notifies(timeout=NOTIFY_TIMEOUT, stop_after=1):
                    self._notify()
        finally:
            connection.invalidate()  # it still listens, so it must not return to the pool
