"""Find out which product manages the PBX, in the background and seldom."""

import time

from app.domain.pbx_product import Product
from app.services.pbx.product import store_product
from app.store.database import Database
from app.telephony.ami import AmiClient, AmiError
from app.telephony.pbx_product import find_product
from app.worker.write_queue import WriteQueue

ASK_AGAIN = 30.0  # seconds


class ProductFinder:
    """Store what the PBX says whenever it has changed. What is stored stays while the PBX is out of reach."""

    def __init__(self, ami: AmiClient, database: Database, writes: WriteQueue) -> None:
        self._ami, self._database, self._writes = ami, database, writes
        self._asked_at: float | None = None  # monotonic
        self._stored: Product | None = None

    def mark_outdated(self) -> None:
        """Ask at the next `refresh`: the connection is a new one."""
        self._asked_at = None

    def forget(self) -> None:
        """It is another PBX now, of which nothing is known."""
        self.mark_outdated()
        self._store(None)

    async def refresh(self) -> None:
        """Ask the PBX, at most once in ASK_AGAIN. It must be fully booted."""
        if self._asked_at is not None and time.monotonic() - self._asked_at < ASK_AGAIN:
            return
        try:
            found = await find_product(self._ami)
        except AmiError:
            return
        self._asked_at = time.monotonic()
        if found is not self._stored:
            self._store(found)

    def _store(self, product: Product | None) -> None:
        self._stored = product
        self._writes.put(lambda: store_product(self._database, product))
