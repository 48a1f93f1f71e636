"""Run a database watch in a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.store.database import Database
from app.worker.database_watch import DatabaseWatch
from script.office.patience import PATIENCE


@asynccontextmanager
async def watching(database: Database) -> AsyncIterator[asyncio.Queue[float]]:
    """Run a watch. Yield the times of its callbacks."""
    loop = asyncio.get_running_loop()
    notices: asyncio.Queue[float] = asyncio.Queue()
    watch = DatabaseWatch(database.engine, lambda: notices.put_nowait(loop.time()))
    watch.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await notices.get()  # the watch calls back at its start, because of earlier writes
        yield notices
    finally:
        await watch.stop()
