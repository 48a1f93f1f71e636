"""Measure the time from an agent's hang-up to the INVITE at the agent's phone, with rest 0, and compare it with a bare
AMI client.

The bare client sends one Originate as soon as Asterisk reports that the extension is idle. It uses the same variables,
and does nothing else. It has two sides: through the guard of our dialplan, and through the guard with a LOCK that we
had before (`locked_guard.conf`). The ratio to the first is the cost of what Bazang does in between: decide and claim on
disk before it dials. The ratio to the second is the one that was aimed at: below 1. All sides are measured alternately
under the same load.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.domain.dial_order import DialOrder
from app.services import commands
from app.services.requests.registration import Registration, register
from app.store.models import ExtensionRow
from app.store.settings import REGISTRATION_LIMITS, write_setting
from app.telephony.attempts import AttemptFollower
from app.telephony.dialer import Dialer
from app.worker.prompts import PromptStore
from script.benchmarks.bare_client import BareClient
from script.office.asterisk import NoAsterisk
from script.office.bazang import Bazang
from script.office.demo_office import PHONES, Customers, build_office, configure_office, remove_bazang_environment
from script.office.phone import Call, Phone

AGENT, NUMBER, NATIONAL = "101", "+989121234567", "09121234567"
OTHER = "09120000001"  # the number that the agent talks to before
POLL_SECONDS = "5"  # the default of an installation; tests poll more often
TALK = (0.3, 0.8)  # seconds before the hang-up, random so that it does not coincide with the polls
SIDES = ("Bazang", "bare AMI client", "with a LOCK")
LOCKED_GUARD = Path(__file__).with_name("locked_guard.conf")


def run(runs: int) -> int:
    """Measure `runs` pairs, print the result and return the exit status."""
    remove_bazang_environment()
    try:
        times = asyncio.run(measure(runs))
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
        return 1
    _report(times)
    return 0


def _report(times: Mapping[str, list[float]]) -> None:
    medians = {side: statistics.median(times[side]) for side in SIDES}
    for side in SIDES:
        late = statistics.quantiles(times[side], n=20, method="inclusive")[18]
        print(
            f"{side + ':':<17} median {medians[side]:5.1f} ms, 95th percentile {late:5.1f} ms, n = {len(times[side])}"
        )
    print(f"ratio: {medians[SIDES[0]] / medians[SIDES[1]]:.2f} of the bare client through the same guard")
    print(f"ratio: {medians[SIDES[0]] / medians[SIDES[2]]:.2f} of the bare client through the guard with a LOCK")


async def measure(runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of each side, measured alternately in a new office."""
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        secrets = {number: f"secret{number}" for number in PHONES}
        bazang = build_office(Path(folder), secrets, POLL_SECONDS=POLL_SECONDS)
        configure_office(bazang, max_wait=5, rest=0)
        bazang.setup.extra_dialplan += LOCKED_GUARD.read_text()
        with bazang.database.write() as session:
            for limit in REGISTRATION_LIMITS:  # the same customer registers in each round
                write_setting(session, f"{limit}_limit", "0")
        async with bazang:
            bench = await Bench.open(bazang)
            print(
                f"From the agent's hang-up to the INVITE at the agent's phone, Asterisk {bazang.asterisk.build.version}"
            )
            for run in range(runs + 1):
                rounds = (bench.bazang_round, bench.bare_round, bench.locked_round)
                for side, measure_round in zip(SIDES, rounds, strict=True):
                    seconds = await measure_round()
                    if run > 0:  # the first round of each side warms up
                        times[side].append(seconds * 1000)
            await bench.bare.close()
    return times


class Bench:
    """A running office with the agent's phone, the customers and the bare client."""

    def __init__(self, bazang: Bazang, phone: Phone, customers: Customers, bare: BareClient) -> None:
        self.bazang, self.phone, self.customers, self.bare = bazang, phone, customers, bare
        self.sounds = PromptStore(bazang.settings, bazang.database)
        self.random = random.Random(1)

    @classmethod
    async def open(cls, bazang: Bazang) -> "Bench":
        """Start the phones and the worker, connect the bare client and synthesize the prompts."""
        office = bazang.asterisk
        customers = Customers(await office.trunk())
        phone = await office.phone(AGENT)
        await bazang.start_worker()
        bare = BareClient(AGENT)
        await bare.connect(office.ami_port, office.ami_username, office.ami_secret)
        bench = cls(bazang, phone, customers, bare)
        await bench.sounds.prepare(datetime.now(UTC))
        return bench

    async def bazang_round(self) -> float:
        """Return the seconds that Bazang needs."""
        call = await self._occupy_agent()
        module = 1  # the module for the agent's extension, see `configure_office`
        registration = Registration(module, NUMBER, extension=AGENT)
        request = await asyncio.to_thread(register, self.bazang.database, registration, datetime.now(UTC))
        seconds, ring = await self._measure_ring(call)
        commands.send(self.bazang.database, commands.CANCEL, {"request": request}, actor="bench", now=datetime.now(UTC))
        await ring.wait_ended()
        await self._until(lambda: all(attempt.ended_at is not None for attempt in self.bazang.attempts()))
        await self._until(lambda: self._line().state == "free")
        return seconds

    async def bare_round(self) -> float:
        """Return the seconds that the bare client needs."""
        return await self._bare_round(*await self._build_originate())

    async def locked_round(self) -> float:
        """Return the seconds that the bare client needs through the guard with a LOCK."""
        headers, variables = await self._build_originate()
        return await self._bare_round({**headers, "Channel": "Local/s@locked-agent/n"}, variables)

    async def _bare_round(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> float:
        call = await self._occupy_agent()
        self.bare.arm(headers, variables)
        seconds, ring = await self._measure_ring(call)
        ring.reject()
        await self._until(lambda: self._line().state == "free")
        return seconds

    async def _occupy_agent(self) -> Call:
        call = await self.customers.occupy(self.phone, OTHER)
        await self._until(lambda: self._line().state == "in_call")
        return call

    async def _measure_ring(self, call: Call) -> tuple[float, Call]:
        await asyncio.sleep(self.random.uniform(*TALK))
        freed = await call.hang_up()
        ring = await self.phone.next_call(10)
        return ring.began_at - freed, ring

    async def _build_originate(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the headers and variables that Bazang's dialer would send for the request."""
        line, now = self._line(), datetime.now(UTC)
        order = DialOrder(
            attempt=str(uuid.uuid4()),
            request_id=0,
            agent=AGENT,
            devices=line.devices,
            hint=f"{AGENT}@{line.context}",
            number=NUMBER,
            dialled=NATIONAL,
            internal_devices="",
            language="en",
            caller_id="",
            outbound_context="outbound",
            agent_ring=20,
            customer_ring=40,
            registered_at=now,
            spoken=NATIONAL,
        )
        capture = _OriginateCapture()
        await Dialer(capture, AttemptFollower()).originate(order, self.sounds.agent_prompt(order, now))
        return capture.headers, capture.variables

    def _line(self) -> ExtensionRow:
        with self.bazang.database.read() as session:
            return session.get_one(ExtensionRow, AGENT)

    async def _until(self, found: Callable[[], bool]) -> None:
        await self.bazang.until(found, 10, "the office is ready for the next round")


@dataclass
class _OriginateCapture:
    """An AMI client that stores the Originate instead of sending it."""

    headers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.headers, self.variables = headers, variables

    async def send(self, action: str, headers: Any = (), *, variables: Any = None) -> Any:
        raise NotImplementedError

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        raise NotImplementedError
