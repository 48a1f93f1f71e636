"""Measure what a decision costs for an agent whose line becomes free: from the event in memory to the committed claim.

A large office (1,000,000 requests stored, 50,000 of them waiting, 1,000 extensions, 100 queues) is compared with a
small one (1,000 stored, 50 waiting, 10 extensions, 2 queues), on SQLite and on PostgreSQL. Both sides are measured
alternately. No phone rings: the orders are not dialled.
"""

import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.policy import Facts
from app.services.requests.attempts import Dispatch, claim_due
from app.store.database import Database
from app.store.models import Module
from app.store.settings import write_setting
from app.telephony.snapshot import Snapshot
from script.lib.postgresql import NoPostgres
from script.office.database import build_database, make_settings, open_database
from script.office.postgres import PostgresServer
from script.office.server_database import migrated_database, open_server_database

MAX_RATIO = 1.5
CONTEXT = "hints"
YEAR = 365 * 24 * 3600  # seconds over which the ended requests are spread


@dataclass(frozen=True)
class Size:
    """How large an office is. Each agent is a member of two queues, and each module of extensions has ten."""

    stored: int
    waiting: int
    extensions: int
    queues: int

    @property
    def modules(self) -> int:
        return self.extensions // 10


SIZES = {
    "large": Size(stored=1_000_000, waiting=50_000, extensions=1_000, queues=100),
    "small": Size(stored=1_000, waiting=50, extensions=10, queues=2),
}


def run(runs: int) -> int:
    """Measure `runs` decisions of each office and print the results. Return 1 if a limit is missed."""
    missed = 0
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        with open_sqlite(Path(folder), SIZES) as offices:
            missed += _compare("SQLite", offices, runs)
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        try:
            with open_postgresql(Path(folder), SIZES) as offices:
                missed += _compare("PostgreSQL", offices, runs)
        except NoPostgres as missing:
            print(f"Left out, PostgreSQL: {missing}")
    return min(missed, 1)


def _compare(name: str, offices: dict[str, "Office"], runs: int) -> int:
    decisions: dict[str, list[float]] = {side: [] for side in offices}
    glances: dict[str, list[float]] = {side: [] for side in offices}
    for turn in range(runs + 2):
        for side, office in offices.items():
            seconds, dispatch = office.free_an_agent(turn)
            assert len(dispatch.orders) == 1, f"{side}: {dispatch}"
            idle, nothing = office.free_an_agent_without_requests()
            assert nothing.orders == ()
            if turn > 1:  # the first ones warm up
                decisions[side].append(seconds * 1000)
                glances[side].append(idle * 1000)
    _print(f"{name}, nobody waits for the agent", glances)
    return _print(f"{name}, a decision", decisions, at_most=MAX_RATIO)


def _print(name: str, times: dict[str, list[float]], at_most: float | None = None) -> int:
    large, small = (statistics.median(times[side]) for side in ("large", "small"))
    late = statistics.quantiles(times["large"], n=20, method="inclusive")[18]
    line = f"{name + ':':<42} {large:5.1f} ms (large, 95th percentile {late:.1f}), {small:5.1f} ms (small)"
    is_missed = at_most is not None and large / small > at_most
    print(f"{line}, ratio {large / small:.2f}" + (f"  MISSED: at most {at_most}" if is_missed else ""))
    return int(is_missed)


class Office:
    """An office whose lines are all in use. `free_an_agent` lets one become free and dispatches, as the worker does."""

    def __init__(self, database: Database, settings: Settings, size: Size) -> None:
        self.database, self.settings, self.size = database, settings, size
        self.now = datetime.now(UTC)
        self.snapshot = _busy_snapshot(size, self.now - timedelta(hours=1))

    def free_an_agent(self, turn: int) -> tuple[float, Dispatch]:
        """Return the seconds of the decision, and what was decided. The claim is taken back."""
        extension = extension_name(turn * 7 % self.size.extensions)
        seconds, dispatch = self._free(extension)
        with self.database.write() as session:
            for order in dispatch.orders:
                session.execute(text("DELETE FROM attempts WHERE id = :id"), {"id": order.attempt})
                session.execute(
                    text("UPDATE call_requests SET status = 'waiting', attempt = NULL, step = NULL WHERE id = :id"),
                    {"id": order.request_id},
                )
        return seconds, dispatch

    def free_an_agent_without_requests(self) -> tuple[float, Dispatch]:
        """Let a line become free for which nobody waits."""
        return self._free("9999")

    def _free(self, extension: str) -> tuple[float, Dispatch]:
        gc.collect()
        began = time.perf_counter()
        self._change(extension, "NOT_INUSE")
        facts = Facts(
            lines=self.snapshot.lines(), queues=self.snapshot.queue_facts(), heartbeat=self.now, outbound_context="out"
        )
        dispatch = claim_due(self.database, self.settings, facts, self.now)
        seconds = time.perf_counter() - began
        self._change(extension, "INUSE")
        return seconds, dispatch

    def _change(self, extension: str, state: str) -> None:
        event = {"Event": "DeviceStateChange", "Device": f"PJSIP/{extension}", "State": state}
        self.snapshot.handle(event, self.now - timedelta(minutes=10))


def extension_name(number: int) -> str:
    return str(1001 + number)


def _busy_snapshot(size: Size, now: datetime) -> Snapshot:
    snapshot = Snapshot("ours")
    extensions = [*map(extension_name, range(size.extensions)), "9999"]
    snapshot.poll_devices(
        [{"Event": "DeviceStateChange", "Device": f"PJSIP/{number}", "State": "INUSE"} for number in extensions]
    )
    snapshot.poll_extensions(
        [
            {"Event": "ExtensionStatus", "Exten": n, "Context": CONTEXT, "Hint": f"PJSIP/{n}", "Status": "0"}
            for n in extensions
        ],
        now,
    )
    queues: list[dict[str, str]] = []
    for number in range(size.queues):
        queues.append({"Event": "QueueParams", "Queue": queue_name(number), "Calls": "0"})
    for number in range(size.extensions):
        for queue in (number % size.queues, (number + 1) % size.queues):
            interface = f"PJSIP/{extension_name(number)}"
            queues.append(
                {"Event": "QueueMember", "Queue": queue_name(queue), "Location": interface, "Name": interface}
            )
    snapshot.poll_queues(queues, now)
    return snapshot


def queue_name(number: int) -> str:
    return f"queue{number}"


@contextmanager
def open_sqlite(folder: Path, sizes: dict[str, Size]) -> Iterator[dict[str, Office]]:
    """Build an office of each size on SQLite."""
    offices = {}
    for side, size in sizes.items():
        (folder / side).mkdir()
        database = open_database(build_database(folder / side))
        offices[side] = fill(database, make_settings(folder / side), size)
    yield offices
    for office in offices.values():
        office.database.engine.dispose()


@contextmanager
def open_postgresql(folder: Path, sizes: dict[str, Size]) -> Iterator[dict[str, Office]]:
    """Build an office of each size on a server of its own. Raises NoPostgres."""
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer())
        offices = {}
        for side, size in sizes.items():
            (folder / side).mkdir()
            name = stack.enter_context(migrated_database(server.url, folder / side))
            url = server.url.replace("/bazang?", f"/{name}?")
            database = stack.enter_context(open_server_database(url))
            offices[side] = fill(database, make_settings(folder / side, database_url=url), size)
        yield offices


def fill(database: Database, settings: Settings, size: Size) -> Office:
    """Store the modules and requests of an office of this size."""
    office = Office(database, settings, size)
    with database.write() as session:
        _store_modules(session, size, office.now)
        write_setting(session, "outbound_context", "out")
        write_setting(session, "daily_calls_limit", "10000")  # counting the calls of a day is a part of each decision
        moment = (
            "strftime('%Y-%m-%d %H:%M:%f000', :now - {seconds}, 'unixepoch')"
            if database.engine.dialect.name == "sqlite"
            else "to_timestamp(:now - {seconds})"
        )
        ended = size.stored - size.waiting
        values = {"now": office.now.timestamp(), "ended": ended, "waiting": size.waiting, "year": YEAR}
        values |= {"modules": size.modules, "extensions": size.extensions, "queues": size.queues}
        if database.engine.dialect.name == "sqlite":
            session.execute(text("PRAGMA cache_size = -600000"))  # 600 MB; with less, filling it takes many minutes
        for statement in (_ENDED, _ATTEMPTS, _WAITING):
            session.execute(text(_with_moments(statement, moment)), values)
        session.execute(text("ANALYZE"))
    return office


def _store_modules(session: Session, size: Size, now: datetime) -> None:
    """Store the modules of ten extensions each, and those of the queues behind them. Nobody has to rest or to wait."""
    targets = [("extension", [extension_name(10 * m + n) for n in range(10)]) for m in range(size.modules)]
    targets += [("queue", [queue_name(number)]) for number in range(size.queues)]
    for number, (kind, names) in enumerate(targets, 1):
        ends = {"next_kind": "hangup", "error_kind": "hangup", "created_at": now, "updated_at": now}
        session.add(
            Module(
                id=number, name=f"Module {number}", code=f"*{number}", target_kind=kind, targets=names, rest=0, **ends
            )
        )
    session.flush()


def _with_moments(statement: str, moment: str) -> str:
    """Replace `@(seconds)` by the moment that was so many seconds ago."""
    head, *rest = statement.split("@(")
    parts = [part.split(")@", 1) for part in rest]
    return head + "".join(moment.format(seconds=f"({seconds})") + tail for seconds, tail in parts)


_COLUMNS = """id, module_id, module_name, queue, target, number, number_source, caller_number, caller_name, created_by,
    status, priority, first_called_at, registered_at, free_at, not_before, held_until, call_now, customer_attempts,
    agent_misses, route_failures, again, note, done_by, reached_at, done_at, version"""
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
_MOBILE = "'+98912' || (1000000 + i * 7 % 9000000)"

# The ended requests are spread over a year.
_ENDED_AT = ":year * (1.0 - i * 1.0 / :ended)"
_ENDED = f"""
INSERT INTO call_requests ({_COLUMNS})
{_NUMBERS.format(count=":ended")}
SELECT i, 1 + i % :modules, 'Module', 1 = 0, CAST(1001 + i % :extensions AS VARCHAR(80)), {_MOBILE}, 'caller_id',
    {_MOBILE}, '', '', 'done', 0, @({_ENDED_AT} + 700)@, @({_ENDED_AT} + 600)@,
    NULL, NULL, NULL, 1 = 0, 0, 0, 0, 1 = 0, '', CAST(1001 + i % :extensions AS VARCHAR(80)),
    @({_ENDED_AT} + 300)@, @({_ENDED_AT} + 200)@, 3
FROM n
"""  # noqa: S608 - texts of ours
_ATTEMPTS = """
INSERT INTO attempts (id, request_id, agent, number, route, manual, started_at, dialled_at, ended_at, outcome, cause,
    repeats, trace_cleared)
SELECT 'attempt-' || id, id, done_by, number, 'out', 1 = 0, first_called_at, first_called_at, done_at, 'connected', '',
    1, 1 = 1
FROM call_requests
"""
# Of ten waiting requests, four are for extensions, five for queues, and one for any extension of a module. Half of all
# have failed before and wait for their next attempt: they are the first in line, but their time has not come.
_WAITING = f"""
INSERT INTO call_requests ({_COLUMNS})
{_NUMBERS.format(count=":waiting")}
SELECT :ended + i,
    CASE WHEN i % 10 < 5 THEN 1 + :modules + i / 10 % :queues ELSE 1 + i / 10 % :extensions / 10 END, 'Module',
    i % 10 < 5,
    CASE WHEN i % 10 < 5 THEN 'queue' || (i / 10 % :queues) WHEN i % 10 = 9 THEN ''
        ELSE CAST(1001 + i / 10 % :extensions AS VARCHAR(80)) END,
    {_MOBILE.replace("i *", "(:ended + i) *")}, 'caller_id', '', '', '', 'waiting', 0,
    @(7200 + CASE WHEN i / 2 % 2 = 0 THEN 3600 ELSE 0 END - i * 3600.0 / :waiting)@, @(3600)@, @(3600)@,
    CASE WHEN i / 2 % 2 = 0 THEN @(-3600 - i % 600)@ END, CASE WHEN i / 2 % 2 = 0 THEN @(-3600 - i % 600)@ END,
    1 = 0, 0, 0, 0, 1 = 0, '', '', NULL, NULL, 1
FROM n
"""  # noqa: S608 - texts of ours
