"""Measure the page of pending requests and its poll while 50, 1,000 and 5,000 requests wait, after each change.

Flask's test client calls the application in this process, without network and browser, on SQLite and on PostgreSQL.
The offices take turns. The database is changed before each request, so no answer comes from a cache. The result is
processor time, including that of SQLite and of PostgreSQL's processes, so other processes hardly influence it.
"""

import gc
import gzip
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from app.config import Settings
from app.domain.place_in_line import WaitingCallers
from app.domain.policy import LineState, Member
from app.store import pbx_state
from app.store.database import Database
from script.benchmarks.dispatch import Size, extension_name, fill, queue_name
from script.benchmarks.pages import Office, open_panel
from script.lib.postgresql import NoPostgres
from script.office.database import build_database, make_settings, open_database
from script.office.postgres import PostgresServer
from script.office.server_database import migrated_database, open_server_database

WAITING = (50, 1_000, 5_000)
STORED, EXTENSIONS, QUEUES = 20_000, 100, 10
MAX_MILLISECONDS, MAX_BYTES = 60, 80_000  # aims, which are printed and not enforced: they depend on the machine
MAX_RATIO = 1.3
POLL = "/requests/rows"


@dataclass
class Cost:
    """What an answer costs: milliseconds, one for each run, and its bytes, as they are and compressed by gzip."""

    times: list[float]
    size: int = 0
    compressed: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.times)


def run(runs: int) -> int:
    """Measure `runs` answers of each office and print the results. Return 1 if a limit is missed."""
    missed = 0
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        with _on_sqlite(Path(folder)) as offices:
            missed += _compare("SQLite", offices, runs)
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        try:
            with _on_postgresql(Path(folder)) as offices:
                missed += _compare("PostgreSQL", offices, runs)
        except NoPostgres as missing:
            print(f"Left out, PostgreSQL: {missing}")
    return min(missed, 1)


def _compare(name: str, offices: dict[int, Office], runs: int) -> int:
    missed = 0
    for what, address in (("page", "/requests"), ("poll", POLL), ("poll of the last page", f"{POLL}?page=1000000")):
        costs = {waiting: Cost([]) for waiting in offices}
        for turn in range(runs + 2):
            for waiting, office in offices.items():
                _measure(office, address, costs[waiting], counts=turn > 1)  # the first ones warm up
        missed += _print(f"{name}, {what}", costs)
    return missed


def _measure(office: Office, address: str, cost: Cost, *, counts: bool) -> None:
    office.change()
    gc.collect()
    servers = _server_processes(office.database)
    began = _processor_time(servers)
    answer = office.client.get(address)
    seconds = _processor_time(servers) - began
    assert answer.status_code == 200, f"{address}: {answer.status}"
    if counts:
        cost.times.append(seconds * 1000)
    cost.size, cost.compressed = len(answer.data), len(gzip.compress(answer.data, 6))


def _server_processes(database: Database) -> list[Path]:
    """Return what the kernel counts of PostgreSQL's processes for this database, nothing on SQLite."""
    if database.engine.dialect.name == "sqlite":
        return []
    with database.read() as session:
        pids = session.scalars(text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"))
        return [Path(f"/proc/{pid}/schedstat") for pid in pids]


def _processor_time(servers: list[Path]) -> float:
    """Return the seconds of processor time of this process and of those of PostgreSQL."""
    return time.process_time() + sum(int(server.read_text().split()[0]) for server in servers) / 1e9


def _print(name: str, costs: dict[int, Cost]) -> int:
    few = costs[WAITING[0]].median
    missed = 0
    for waiting, cost in costs.items():
        ratio = cost.median / few
        misses = [
            *([f"more than {MAX_MILLISECONDS} ms"] if cost.median > MAX_MILLISECONDS else []),
            *([f"more than {MAX_BYTES / 1000:.0f} kB"] if cost.compressed > MAX_BYTES else []),
            *([f"at most {MAX_RATIO}"] if ratio > MAX_RATIO else []),
        ]
        line = (
            f"{name + ',':<36} {waiting:>5,} wait: {cost.median:6.1f} ms, {cost.size / 1000:6.1f} kB, compressed "
            f"{cost.compressed / 1000:5.1f} kB, ratio {ratio:.2f}"
        )
        print(line + (f"  MISSED: {', '.join(misses)}" if misses else ""))
        missed += ratio > MAX_RATIO
    return missed


@contextmanager
def _on_sqlite(folder: Path) -> Iterator[dict[int, Office]]:
    offices = {}
    for waiting in WAITING:
        place = folder / str(waiting)
        path = build_database(place)
        offices[waiting] = _build(open_database(path), make_settings(place), waiting)
    yield offices


@contextmanager
def _on_postgresql(folder: Path) -> Iterator[dict[int, Office]]:
    """Build the offices on a server of their own. Raises NoPostgres."""
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer())
        offices = {}
        for waiting in WAITING:
            place = folder / str(waiting)
            place.mkdir()
            name = stack.enter_context(migrated_database(server.url, place))
            url = server.url.replace("/bazang?", f"/{name}?")
            database = stack.enter_context(open_server_database(url))
            offices[waiting] = _build(database, make_settings(place, database_url=url), waiting)
        yield offices


def _build(database: Database, settings: Settings, waiting: int) -> Office:
    """Return an office with a running worker, all of whose lines are in use."""
    size = Size(STORED, waiting, EXTENSIONS, QUEUES)
    fill(database, settings, size)
    now = datetime.now(UTC)
    queues = {
        queue_name(number): [
            Member(extension_name(each)) for each in range(EXTENSIONS) if number in (each % QUEUES, (each + 1) % QUEUES)
        ]
        for number in range(QUEUES)
    }
    with database.write() as session:
        lines = (
            pbx_state.ExtensionReport(
                extension_name(number),
                LineState.IN_CALL,
                now - timedelta(minutes=3),
                context="hints",
                devices=f"PJSIP/{number}",
            )
            for number in range(EXTENSIONS)
        )
        pbx_state.store_extensions(session, lines, complete=True)
        reports = [pbx_state.QueueReport(name, WaitingCallers(), tuple(members)) for name, members in queues.items()]
        pbx_state.store_queues(session, reports, complete=True)
    return open_panel(settings)
