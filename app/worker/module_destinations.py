"""Find out which extensions and queues of the PBX lead to our modules, in the background and seldom."""

import time
from collections.abc import Mapping

from app.services.pbx.module_destinations import store_destinations
from app.store.database import Database
from app.telephony.ami import AmiClient, AmiError
from app.telephony.module_destinations import DestinationReader, Place
from app.worker.write_queue import WriteQueue

ASK_AGAIN = 30.0  # seconds


class ModuleDestinations:
    """Store what the PBX says whenever it has changed."""

    def __init__(self, ami: AmiClient, database: Database, writes: WriteQueue) -> None:
        self._reader, self._database, self._writes = DestinationReader(ami), database, writes
        self._read_at: float | None = None  # monotonic
        self._stored: tuple[Mapping[Place, str] | None, Mapping[str, str] | None] | None = None

    def mark_outdated(self) -> None:
        """Read everything at the next `refresh`: it may be another PBX."""
        self._read_at = None

    async def refresh(self, profile: str) -> None:
        """Read the dialplan of FreePBX and the queues of any PBX, at most once in ASK_AGAIN."""
        if self._read_at is not None and time.monotonic() - self._read_at < ASK_AGAIN:
            return
        self._read_at = time.monotonic()
        try:
            places = await self._reader.read() if profile == "freepbx" else None
            offers = await self._reader.read_offers()
        except AmiError:
            self._read_at = None
            return
        if self._stored != (places, offers):
            self._stored = places, offers
            self._writes.put(lambda: store_destinations(self._database, places, offers))
