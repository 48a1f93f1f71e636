"""Count the requests of callers that limits refused, and store the counts together."""

from collections import Counter

from app.domain.limits import LimitReason
from app.store.database import Database
from app.store.number_lists import add_refusals
from app.worker.clock import utcnow
from app.worker.write_queue import WriteQueue


class RefusalCounter:
    """Each poll stores the counts, so that a flood of calls does not become a flood of writes."""

    def __init__(self, database: Database, writes: WriteQueue) -> None:
        self._database, self._writes = database, writes
        self._counts: Counter[LimitReason] = Counter()

    def add(self, reason: LimitReason) -> None:
        self._counts[reason] += 1

    def store(self) -> None:
        """Queue a write of the counts since the last one."""
        counts, self._counts = self._counts, Counter()
        if counts:
            self._writes.put_snapshot(_Counts(self._database, counts))


class _Counts:
    """A write of counts."""

    def __init__(self, database: Database, counts: Counter[LimitReason]) -> None:
        self._database, self._counts = database, counts

    def absorb(self, newer: "_Counts") -> None:
        self._counts += newer._counts

    def __call__(self) -> None:
        with self._database.write() as session:
            add_refusals(session, self._counts, utcnow())
