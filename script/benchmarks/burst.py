"""Measure how long it takes to ring 50 agents who become free at once while 300 requests wait, with a real Asterisk.

The agents are paused members of a queue, and are unpaused by one write to AMI. Measured is the time from that write to
the INVITE at each agent's phone. Nothing of the numbers was spoken before: agents hear their digits.

All agents are the same. So an inversion is a pair of orders to ring of which the first one is for the later request, or
a phone that rings for a request that is not among the first ones. In which order Asterisk rings the phones of orders
that it got within some milliseconds is its own affair; it is told, too.
"""

import asyncio
import itertools
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select, text

from app.domain.routing import Destination
from app.services.requests.registration import Registration, register
from app.store.models import QueueMemberRow
from app.store.settings import REGISTRATION_LIMITS, write_setting
from script.office.asterisk import NoAsterisk
from script.office.asterisk_config import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.demo_office import remove_bazang_environment
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone

MAX_SECONDS = 0.4  # until the last phone rings
AGENTS, WAITING = 50, 300
QUEUE = "800"
VERSION = 22
END = b"\r\n\r\n"
LOGIN_SECONDS = 5
_RINGING = re.compile(r"ringing \d+ for request (\d+)")  # in the worker's log, when Asterisk has accepted the order


@dataclass(frozen=True)
class Round:
    """When the phones rang, in seconds after the agents were free, in order, and how many pairs were inverted.

    `ordered` counts the pairs of orders, `rung` those of phones, `wrong` the requests that were not among the first
    ones. `decided` are the seconds until the last decision began.
    """

    seconds: list[float]
    decided: float
    ordered: int
    rung: int
    wrong: int


def run(runs: int) -> int:
    """Measure `runs` bursts and print the results. Return 1 if the aim is missed."""
    remove_bazang_environment()
    try:
        rounds = asyncio.run(measure(runs, AGENTS, WAITING))
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
        return 1
    pairs = AGENTS * (AGENTS - 1) // 2
    print(f"{AGENTS} agents free at once, {WAITING} wait, {len(rounds)} rounds, load {os.getloadavg()[0]:.1f}")
    times: list[tuple[str, Callable[[Round], float]]] = [
        ("the first phone rings after", lambda each: each.seconds[0]),
        ("the 25th", lambda each: each.seconds[len(each.seconds) // 2]),
        ("the last decision begins after", lambda each: each.decided),
        ("the last phone rings after", lambda each: each.seconds[-1]),
    ]
    for name, of_round in times:
        found = [of_round(each) * 1000 for each in rounds]
        print(f"  {name:<32} {statistics.median(found):5.0f} ms (from {min(found):.0f} to {max(found):.0f})")
    for name, counts in (("orders", [each.ordered for each in rounds]), ("phones", [each.rung for each in rounds])):
        inverted = statistics.median(counts)
        print(f"  inversions of {name}: {inverted:.0f} of {pairs} pairs ({inverted / pairs:.1%})")
    wrong = sum(each.wrong for each in rounds)
    print(f"  phones that rang for a request behind the first {AGENTS}: {wrong}")
    last = statistics.median(each.seconds[-1] for each in rounds)
    is_missed = last > MAX_SECONDS or wrong > 0 or any(each.ordered for each in rounds)
    line = f"ratio: {last / MAX_SECONDS:.2f} of the time that is allowed"
    print(line + (f"  MISSED: at most {MAX_SECONDS} s, and no inversions" if is_missed else ""))
    return int(is_missed)


async def measure(runs: int, agents: int, waiting: int) -> list[Round]:
    """Return the rounds of a new office; a first one warms up."""
    numbers = [str(201 + number) for number in range(agents)]
    setup = OfficeSetup(phones={number: f"secret{number}" for number in numbers})
    setup.queues = [QueueSetup(QUEUE, dict.fromkeys(numbers, 0))]
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        bazang = Bazang(VERSION, Path(folder), setup, POLL_SECONDS="5")
        bazang.module(code="*5002", name="Support", target_kind="queue", targets=(QUEUE,))
        bazang.queue(QUEUE, failed=Destination("module", "*5002"))
        with bazang.database.write() as session:
            for limit in REGISTRATION_LIMITS:
                write_setting(session, f"{limit}_limit", "0")
        async with bazang:
            office = await _Office.open(bazang, numbers)
            found = [await office.burst(waiting) for _ in range(runs + 1)]
            await office.close()
    return found[1:]


class _Office:
    """A running office with the phones of the agents."""

    def __init__(
        self, bazang: Bazang, phones: list[Phone], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._bazang, self._phones = bazang, phones
        self._reader, self._writer = reader, writer  # of AMI
        self._interfaces = [f"PJSIP/{phone.user}" for phone in phones]

    @classmethod
    async def open(cls, bazang: Bazang, numbers: list[str]) -> "_Office":
        """Register the phones, pause all agents, and start the worker."""
        phones = [await bazang.asterisk.phone(number) for number in numbers]
        async with asyncio.timeout(LOGIN_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", bazang.asterisk.ami_port)
            login = {"Username": bazang.asterisk.ami_username, "Secret": bazang.asterisk.ami_secret, "Events": "off"}
            writer.write(_action("Login", login))
            await reader.readuntil(END)
        office = cls(bazang, phones, reader, writer)
        await office._pause(True)
        await bazang.prepare_prompts()
        await bazang.start_worker()
        return office

    async def close(self) -> None:
        self._writer.close()
        for phone in self._phones:
            await phone.close()

    async def burst(self, waiting: int) -> Round:
        """Let all agents become free at once, and return when their phones rang. Then remove all requests."""
        bazang = self._bazang
        places = await asyncio.to_thread(self._register, waiting)
        told = len(bazang.worker_log())
        await bazang.until(self._all_paused, PATIENCE, "the worker knows that all agents are paused")
        await asyncio.sleep(1.0)  # nothing of what was before goes on
        freed, freed_at = time.monotonic(), datetime.now(UTC)
        unpausing = asyncio.create_task(self._pause(False))
        calls = await asyncio.gather(*(phone.next_call(PATIENCE) for phone in self._phones))
        await unpausing
        decided = max(attempt.started_at for attempt in bazang.attempts())
        await self._pause(True)
        await bazang.until(self._all_paused, PATIENCE, "the worker knows that all agents are paused")
        rung = [places[call.remote] for call in sorted(calls, key=lambda call: call.began_at)]
        requests = {request.id: places["0" + request.number.removeprefix("+98")] for request in bazang.requests()}

        def orders() -> list[str]:
            return _RINGING.findall(bazang.worker_log()[told:])

        # a phone can ring before the worker has read that its order was accepted
        await bazang.until(lambda: len(orders()) >= len(calls), PATIENCE, "each order is in the log")
        ordered = [requests[int(number)] for number in orders()]
        assert len(ordered) == len(calls), f"{len(calls)} phones rang by {len(ordered)} orders"
        await self._clean_up(calls)
        return Round(
            seconds=sorted(call.began_at - freed for call in calls),
            decided=(decided - freed_at).total_seconds(),
            ordered=_inversions(ordered),
            rung=_inversions(rung),
            wrong=sum(place >= len(calls) for place in rung),
        )

    def _register(self, waiting: int) -> dict[str, int]:
        """Store the requests. Return the place in line of each number as the phone shows it."""
        now = datetime.now(UTC) - timedelta(minutes=10)
        for place in range(waiting):
            registration = Registration(1, f"+98912{place:07}")
            register(self._bazang.database, registration, now + timedelta(seconds=place))
        return {f"0912{place:07}": place for place in range(waiting)}

    def _all_paused(self) -> bool:
        with self._bazang.database.read() as session:
            paused = session.scalars(select(QueueMemberRow.paused)).all()
        return paused == [True] * len(self._phones)

    async def _clean_up(self, calls: list[Call]) -> None:
        for call in calls:
            call.reject()
        await self._bazang.until(
            lambda: all(attempt.ended_at is not None for attempt in self._bazang.attempts()), PATIENCE, "all have ended"
        )
        with self._bazang.database.write() as session:
            for table in ("history", "attempts", "call_requests"):
                session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - texts of ours

    async def _pause(self, paused: bool) -> None:
        """Pause or unpause all agents by one write to AMI."""
        state = "true" if paused else "false"
        self._writer.write(
            b"".join(_action("QueuePause", {"Interface": each, "Paused": state}) for each in self._interfaces)
        )
        for _ in self._interfaces:
            await self._reader.readuntil(END)


def _inversions(places: list[int]) -> int:
    return sum(first > second for first, second in itertools.combinations(places, 2))


def _action(name: str, headers: dict[str, str]) -> bytes:
    lines = [f"Action: {name}", *(f"{header}: {value}" for header, value in headers.items())]
    return "\r\n".join(lines).encode() + END
