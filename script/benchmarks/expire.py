"""Measure what the look for expired requests costs while 50,000 requests wait, compared with 50, and for how long
another writer waits while 5,000 of them expire at once.

The offices are those of `dispatch`. The look is that of the worker's housekeeping, every 20 seconds. Both sides are
measured alternately, on SQLite and on PostgreSQL.
"""

import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text

from app.services.requests.expiry import expire
from app.store.database import Database
from app.store.models import CallRequest
from app.store.turns import Urgency
from script.benchmarks.dispatch import Office, Size, open_postgresql, open_sqlite
from script.lib.postgresql import NoPostgres

MAX_RATIO = 1.5
MAX_WAIT = 0.5  # seconds for which a registration may wait while requests expire
EXPIRING = 5_000
DAY = 24 * 3600
SIZES = {
    "large": Size(stored=200_000, waiting=50_000, extensions=1_000, queues=100),
    "small": Size(stored=200_000, waiting=50, extensions=1_000, queues=100),
}


def run(runs: int) -> int:
    """Measure `runs` looks at each office and print the results. Return 1 if a limit is missed."""
    missed = 0
    for name, open_offices in (("SQLite", open_sqlite), ("PostgreSQL", open_postgresql)):
        with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
            try:
                offices = stack.enter_context(open_offices(Path(folder), SIZES))
            except NoPostgres as missing:
                print(f"Left out, PostgreSQL: {missing}")
                continue
            missed += measure(name, offices, runs, EXPIRING)
    return min(missed, 1)


def measure(name: str, offices: dict[str, Office], runs: int, expiring: int) -> int:
    """Print the times of both sides. Return how many limits are missed."""
    times: dict[str, list[float]] = {side: [] for side in offices}
    for office in offices.values():
        _let_expire(office.database, 0)
    for turn in range(runs + 2):
        for side, office in offices.items():
            began = time.perf_counter()
            expire(office.database, datetime.now(UTC))
            if turn > 1:  # the first ones warm up
                times[side].append((time.perf_counter() - began) * 1000)
    large, small = (statistics.median(times[side]) for side in ("large", "small"))
    line = f"{name}, nothing has expired: {large:.1f} ms while 50,000 wait, {small:.1f} ms while 50 wait"
    is_slow = large / small > MAX_RATIO
    print(f"{line}, ratio {large / small:.2f}" + (f"  MISSED: at most {MAX_RATIO}" if is_slow else ""))
    database = offices["large"].database
    _let_expire(database, expiring)
    seconds, waits = _expire_beside_a_writer(database)
    with database.read() as session:
        ended = session.scalar(select(func.count()).where(CallRequest.status == "expired")) or 0
    longest, median = max(waits) * 1000, statistics.median(waits) * 1000
    line = f"{name}, {ended:,} expire at once: {seconds:.1f} s; another writer waits for {longest:.0f} ms at most"
    is_held = max(waits) > MAX_WAIT or ended != expiring
    line += f" (median {median:.0f} ms)"
    print(line + (f"  MISSED: at most {MAX_WAIT * 1000:.0f} ms" if is_held else ""))
    return is_slow + is_held


def _let_expire(database: Database, number: int) -> None:
    """Let requests expire after three days, and be so old that `number` of those that wait have expired."""
    with database.write() as session:
        session.execute(text("UPDATE modules SET expire_after = :three"), {"three": 3 * DAY})
        ids = session.scalars(select(CallRequest.id).where(CallRequest.status == "waiting").limit(number)).all()
        for start in range(0, len(ids), 500):
            part = select(CallRequest).where(CallRequest.id.in_(ids[start : start + 500]))
            for row in session.scalars(part):
                row.registered_at -= timedelta(days=4)
        session.execute(text("ANALYZE"))


def _expire_beside_a_writer(database: Database) -> tuple[float, list[float]]:
    """Return how long it takes, and how long each of the writes took that another thread made meanwhile."""
    waits: list[float] = []
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            with database.write(Urgency.REGISTRATION) as session:
                session.execute(text("UPDATE modules SET name = name WHERE id = 1"))
                waits.append(time.perf_counter() - began)
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    began = time.perf_counter()
    try:
        expire(database, datetime.now(UTC))
    finally:
        ended.set()
        writer.join()
    return time.perf_counter() - began, waits
