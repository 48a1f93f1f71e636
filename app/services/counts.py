"""Count in the database, so that a limit holds for all web processes together.

A process reserves several hits at a time, so most hits cost no write. What it has reserved and not used when the span
ends is lost: the limit is never exceeded, and may be missed by a few.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from cachetools import LRUCache
from sqlalchemy import delete, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.models import Count

LONGEST_SPAN = timedelta(days=2)  # a row whose span ends later was stored before the clock was put back
_MOST_KEYS = 10_000


@dataclass(frozen=True)
class Limit:
    """At most `most` hits in a span of time. A process reserves `block` of them at a time."""

    name: str
    most: int
    span: timedelta
    block: int = 1


@dataclass(frozen=True)
class _Reserved:
    """What a process may still use of a span. 0: all hits of the span are gone."""

    until: datetime
    left: int


class Counts:
    """The counts of one process. It may be used by several threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = Lock()
        self._reserved: MutableMapping[tuple[str, str], _Reserved] = LRUCache(_MOST_KEYS)

    def hit(self, limit: Limit, key: str, now: datetime) -> timedelta | None:
        """Count a hit. Return None if the limit allows it, or the time until it would."""
        until = end_of_span(now, limit.span)
        allowed = self._use_reserved(limit, key, until)
        if allowed is None:
            allowed = self._reserve(limit, key, until, now)
        return None if allowed else until - now

    def _use_reserved(self, limit: Limit, key: str, until: datetime) -> bool | None:
        """Return whether a reserved hit was used, or None if this process must ask the database."""
        with self._lock:
            found = self._reserved.get((limit.name, key))
            if found is None or found.until != until:
                return None
            if found.left > 1:
                self._reserved[limit.name, key] = _Reserved(until, found.left - 1)
            elif found.left == 1:
                del self._reserved[limit.name, key]
            return found.left > 0

    def _reserve(self, limit: Limit, key: str, until: datetime, now: datetime) -> bool:
        with self.database.write() as session:
            hits = count(session, f"{limit.name} {key}", until, now, by=limit.block)
        allowed = min(limit.block, limit.most - (hits - limit.block))
        with self._lock:
            if allowed <= 0:
                self._reserved[limit.name, key] = _Reserved(until, 0)  # a flood costs no further writes
            elif allowed > 1:
                before = self._reserved.get((limit.name, key))  # another thread has reserved some meanwhile
                also = before.left if before is not None and before.until == until else 0
                self._reserved[limit.name, key] = _Reserved(until, allowed - 1 + also)
        return allowed > 0


def end_of_span(now: datetime, span: timedelta) -> datetime:
    """Return when the span ends in which a moment lies. All processes have the same spans."""
    seconds = span.total_seconds()
    return datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, UTC)


def count(session: Session, name: str, until: datetime, now: datetime, *, by: int = 1) -> int:
    """Add hits to the count of a span, and return all that it has. Delete counts whose span is over."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(Count).values(name=name, until=until, hits=by)
    added = insert.on_conflict_do_update(index_elements=["name", "until"], set_={"hits": Count.hits + by})
    hits = session.scalar(added.returning(Count.hits)) or 0
    if hits == by:
        session.execute(delete(Count).where(or_(Count.until <= now, Count.until > now + LONGEST_SPAN)))
    return hits
