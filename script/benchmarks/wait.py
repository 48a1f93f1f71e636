"""Measure how wrong the estimated wait is, and compare it with a constant: the median of the office's earlier waits.

Five kinds of offices are simulated for six weeks, each several times: callers who give up in the queue leave requests,
and the agents serve callers and requests by the time of the first call. Days differ by chance, hours by a plan that
repeats. Then the requests of the last week come one after the other, and each is estimated as Bazang does it, from a
database that has only those that had ended before. The simulation is the same in every run.
"""

import heapq
import math
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from app.domain.estimated_wait import MORE_MINUTES, SAID_MINUTES, Estimate, PastWait
from app.domain.hours import Hours, parse_week
from app.domain.lifecycle import Outcome, Status
from app.services.requests.prospects import estimate_wait
from app.store.database import Database
from app.store.models import CallRequest, Module
from script.office.database import build_database, open_database

MAX_RATIO = 0.75
DAYS, TESTED_DAYS, TESTED = 42, 7, 120  # of the requests of the last days, so many are estimated
ZONE = ZoneInfo("Asia/Tehran")
FIRST_DAY = datetime(2026, 1, 5, tzinfo=ZONE)  # a Monday
OPENS, CLOSES, CLOSED_DAY = 8, 17, 4
HOURS = Hours(ZONE, parse_week("; ".join(f"{day} 08:00-17:00" for day in ("mon", "tue", "wed", "thu", "sat", "sun"))))
PATIENCE, LISTENS = (20.0, 60.0), 25.0  # seconds: that every caller waits, the mean beyond it, and the dialogue
RINGS, DIALS, NO_ANSWER, RETRY, TRIES = (13.0, 20.0), (5.0, 20.0), 0.2, 300.0, 3
TARGET = "sales"


@dataclass(frozen=True)
class Kind:
    """A kind of office: its agents and calls in each hour of a day, and the seconds of a call.

    `spread` is the standard deviation of the logarithm of a call's duration, `day_spread` that of a day's calls.
    `leaves` is the share of those who give up in the queue that leave a request.
    """

    name: str
    agents: Sequence[int]
    calls: Sequence[int]
    talk: float
    spread: float
    day_spread: float
    leaves: float


KINDS = (
    Kind("shop", (1,) * 9, (6, 9, 10, 10, 7, 7, 8, 8, 5), 230, 0.8, 0.25, 0.7),
    Kind("clinic", (2, 3, 3, 3, 2, 2, 3, 3, 2), (45, 55, 45, 35, 22, 22, 30, 30, 20), 170, 0.7, 0.2, 0.6),
    Kind("support", (4, 5, 5, 5, 3, 4, 5, 5, 4), (35, 50, 50, 45, 35, 40, 45, 40, 30), 360, 0.9, 0.2, 0.6),
    Kind(
        "call centre",
        (10, 14, 14, 14, 9, 12, 14, 14, 10),
        (190, 280, 290, 260, 200, 220, 260, 250, 170),
        190,
        0.8,
        0.12,
        0.5,
    ),
    Kind("unsteady", (2,) * 9, (10, 16, 19, 16, 10, 11, 14, 16, 11), 260, 1.1, 0.45, 0.7),
)


@dataclass
class _Request:
    first_called_at: float
    registered_at: float
    ahead: int
    tries: int = 0


class Simulation:
    """An office of a kind. Moments are seconds since midnight of the first day."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self._kind, self._random = kind, random.Random(f"{kind.name} {seed}")
        self._events: list[tuple[float, int, str, object]] = []
        self._callers: dict[int, float] = {}  # by id, when they called
        self._line: list[tuple[float, int, _Request]] = []  # the requests that wait, a heap
        self._busy = self._agents = self._count = 0
        self.waits: list[PastWait] = []

    def run(self) -> list[PastWait]:
        """Return the requests whose customer answered the first call, in the order of registration."""
        for day in range(DAYS):
            if day % 7 != CLOSED_DAY:
                self._run_day(day * 86400.0)
        return sorted(self.waits, key=lambda wait: wait.registered_at)

    def _add(self, at: float, what: str, about: object = None) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, what, about))

    def _run_day(self, midnight: float) -> None:
        busyness = self._random.lognormvariate(-(self._kind.day_spread**2) / 2, self._kind.day_spread)
        for hour, (agents, calls) in enumerate(zip(self._kind.agents, self._kind.calls, strict=True), OPENS):
            start = midnight + hour * 3600
            self._add(start, "agents", agents)
            at = start + self._random.expovariate(calls * busyness / 3600)
            while at < start + 3600:
                self._add(at, "call")
                at += self._random.expovariate(calls * busyness / 3600)
        closing = midnight + CLOSES * 3600
        while self._events:
            now, number, what, about = heapq.heappop(self._events)
            if what == "free":
                self._busy -= 1
            elif what == "retry":
                self._line_up(about)
            elif now < closing:
                self._handle(now, number, what, about)
            if now < closing:
                self._serve(now)
        self._callers.clear()

    def _handle(self, now: float, number: int, what: str, about: object) -> None:
        if what == "agents":
            self._agents = about  # type: ignore[assignment]
        elif what == "call":
            self._callers[number] = now
            self._add(now + PATIENCE[0] + self._random.expovariate(1 / PATIENCE[1]), "gives up", number)
        elif (called_at := self._callers.pop(about, None)) is not None:  # type: ignore[call-overload]
            if self._random.random() < self._kind.leaves:
                self._add(now + LISTENS, "registers", called_at)
        elif what == "registers":
            first: float = about  # type: ignore[assignment]
            ahead = sum(called < first for called, *_ in self._line) + sum(c < first for c in self._callers.values())
            self._line_up(_Request(first, now, ahead))

    def _line_up(self, request: object) -> None:
        assert isinstance(request, _Request)
        self._count += 1
        heapq.heappush(self._line, (request.first_called_at, self._count, request))

    def _serve(self, now: float) -> None:
        """Give the free agents to those who called first."""
        while self._busy < self._agents and (self._callers or self._line):
            caller = min(self._callers, key=self._callers.__getitem__, default=None)
            self._busy += 1
            if caller is None or (self._line and self._line[0][0] < self._callers[caller]):
                self._call_back(now, heapq.heappop(self._line)[2])
            else:
                del self._callers[caller]
                self._add(now + self._talk(), "free")

    def _call_back(self, now: float, request: _Request) -> None:
        rung_until = now + self._random.uniform(*RINGS)
        if self._random.random() < NO_ANSWER:
            request.tries += 1
            self._add(rung_until + 40, "free")
            if request.tries < TRIES:
                self._add(rung_until + 40 + RETRY, "retry", request)
            return
        connected_at = rung_until + self._random.uniform(*DIALS)
        ended_at = connected_at + self._talk()
        self._add(ended_at + 10, "free")
        if not request.tries:
            waited = timedelta(seconds=connected_at - request.registered_at)
            wait = PastWait(_moment(request.registered_at), waited, _moment(ended_at), request.ahead)
            self.waits.append(wait)

    def _talk(self) -> float:
        spread = self._kind.spread
        return self._random.lognormvariate(math.log(self._kind.talk) - spread**2 / 2, spread)


def _moment(seconds: float) -> datetime:
    return FIRST_DAY.astimezone(UTC) + timedelta(seconds=seconds)


# -- the measurement --------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What was estimated in offices of a kind. Values are minutes, but `seconds` of an estimate."""

    asked: int = 0
    waits: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    constant_errors: list[float] = field(default_factory=list)
    right: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        self.asked, self.right = self.asked + other.asked, self.right + other.right
        for name in ("waits", "errors", "constant_errors", "seconds"):
            getattr(self, name).extend(getattr(other, name))

    def __str__(self) -> str:
        if not self.errors:
            return f"{self.asked} requests, nothing said"
        error, constant = statistics.median(self.errors), statistics.median(self.constant_errors)
        said, right = 100 * len(self.errors) / self.asked, 100 * self.right / len(self.errors)
        wait = statistics.median(self.waits)
        return (
            f"{self.asked:5} requests, {said:3.0f} % told, {right:3.0f} % of these as said; "
            f"median wait {wait:4.1f} min; median absolute error {error:4.2f} min, "
            f"of a constant {constant:4.2f} min, ratio {error / constant:.2f}"
        )


def run(runs: int) -> int:
    """Measure `runs` histories of each kind of office and print the results. Return 1 if the limit is missed."""
    total = Result()
    for kind in KINDS:
        result = Result()
        for seed in range(runs):
            result.add(measure(kind, seed))
        print(f"{kind.name + ':':<13}{result}")
        total.add(result)
    print(f"An estimate takes {statistics.median(total.seconds) * 1000:.1f} ms (median), with all that it reads.")
    ratio = statistics.median(total.errors) / statistics.median(total.constant_errors)
    print(f"{'all:':<13}{total}" + (f"  MISSED: at most {MAX_RATIO}" if ratio > MAX_RATIO else ""))
    return int(ratio > MAX_RATIO)


def measure(kind: Kind, seed: int) -> Result:
    """Estimate requests of the last days of an office."""
    waits = Simulation(kind, seed).run()
    start = _moment((DAYS - TESTED_DAYS) * 86400.0)
    tested = [wait for wait in waits if wait.registered_at >= start]
    result = Result()
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        database = open_database(build_database(Path(folder)))
        store = _Store(database, waits)
        for wait in tested[:: max(1, len(tested) // TESTED)]:
            earlier = store.add_until(wait.registered_at)
            began = time.perf_counter()
            estimate = store.estimate(wait)
            result.seconds.append(time.perf_counter() - began)
            _note(result, _minutes(wait.waited), estimate, statistics.median(earlier))
        database.engine.dispose()
    return result


def _note(result: Result, waited: float, estimate: Estimate | None, constant: float) -> None:
    result.asked += 1
    if estimate is None:
        return
    result.waits.append(waited)
    result.errors.append(abs(_minutes(estimate.wait) - waited))
    result.constant_errors.append(abs(constant - waited))
    result.right += is_right(estimate.rough_minutes, waited)


def is_right(said: int, waited: float) -> bool:
    """Tell whether a caller who waited so many minutes would agree with what was said: "about" is half of it around."""
    if said == SAID_MINUTES[0]:
        return waited <= said
    return waited > 60 if said == MORE_MINUTES else said / 2 <= waited <= said * 1.5


def _minutes(duration: timedelta) -> float:
    return duration / timedelta(minutes=1)


class _Store:
    """The requests that have ended, in a database. They are added as time goes on."""

    def __init__(self, database: Database, waits: Sequence[PastWait]) -> None:
        self._database = database
        self._coming = deque(sorted(waits, key=lambda wait: wait.known_at))
        self._waited: list[float] = []
        ends = {"next_kind": "hangup", "error_kind": "hangup", "created_at": _moment(0), "updated_at": _moment(0)}
        with database.write() as session:
            session.add(Module(id=1, name="Sales", code="*5001", target_kind="queue", targets=[TARGET], **ends))

    def add_until(self, now: datetime) -> Sequence[float]:
        """Store what has ended by now. Return how many minutes each of these and the earlier ones waited."""
        ended = list(self._take(now))
        self._waited += [_minutes(wait.waited) for wait in ended]
        with self._database.write() as session:
            session.add_all(map(_row, ended))
        return self._waited

    def _take(self, now: datetime) -> Iterator[PastWait]:
        while self._coming and self._coming[0].known_at < now:
            yield self._coming.popleft()

    def estimate(self, wait: PastWait) -> Estimate | None:
        with self._database.read() as session:
            assert wait.ahead is not None
            return estimate_wait(session, _row(wait), 1, wait.ahead, HOURS, wait.registered_at)


def _row(wait: PastWait) -> CallRequest:
    return CallRequest(
        module_id=1,
        module_name="Sales",
        queue=True,
        target=TARGET,
        number="+989121234567",
        status=Status.DONE.value,
        last_outcome=Outcome.CONNECTED.value,
        first_called_at=wait.registered_at,
        registered_at=wait.registered_at,
        reached_at=wait.registered_at + wait.waited,
        done_at=wait.known_at,
        ahead=wait.ahead,
    )
