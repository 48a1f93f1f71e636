"""How fast a free line is used: from the agent's hang-up to the INVITE at its phone, with rest 0, beside a bare client.

The bare client sends one Originate as soon as Asterisk says that the extension is idle: through the same guarded
channel, with the same variables, and with nothing else to do. So the ratio is the price of everything that Bazang does
in between: decide, claim on disk, and only then dial. Both are measured in pairs, turn about, under the same load.
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
from app.telephony.attempts import AttemptFollower
from app.telephony.dialer import Dialer
from app.worker.prompts import PromptStore
from script.benchmarks.bare_client import BareClient
from script.office.asterisk import NoAsterisk
from script.office.bazang import Bazang
from script.office.demo_office import PHONES, Customers, build_office, furnish, shelter
from script.office.phone import Call, Phone

AGENT, NUMBER, NATIONAL = "101", "+989121234567", "09121234567"
OTHER = "09120000001"  # with whom the agent talks before
POLL_SECONDS = "5"  # the default: the tests' own polls more often than an office does
TALK = (0.3, 0.8)  # seconds before the hang-up, by chance: no rhythm may meet that of the polls
SIDES = ("Bazang", "bare AMI client")


def run(runs: int) -> int:
    """Measure that many pairs and print what was found; return the exit status."""
    shelter()
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
    print(f"ratio: {medians[SIDES[0]] / medians[SIDES[1]]:.2f}")


async def measure(runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of each side, turn about, in an office of its own."""
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        secrets = {number: f"secret{number}" for number in PHONES}
        bazang = build_office(Path(folder), secrets, POLL_SECONDS=POLL_SECONDS)
        furnish(bazang, max_wait=5, rest=0)
        async with bazang:
            bench = await Bench.open(bazang)
            print(
                f"From the agent's hang-up to the INVITE at the agent's phone, Asterisk {bazang.asterisk.build.version}"
            )
            for run in range(runs + 1):
                for side, once in zip(SIDES, (bench.bazang_round, bench.bare_round), strict=True):
                    took = await once()
                    if run > 0:  # the first pair finds everything cold
                        times[side].append(took * 1000)
            await bench.bare.close()
    return times


class Bench:
    """The office, with the agent's phone and everybody outside."""

    def __init__(self, bazang: Bazang, phone: Phone, customers: Customers, bare: BareClient) -> None:
        self.bazang, self.phone, self.customers, self.bare = bazang, phone, customers, bare
        self.sounds = PromptStore(bazang.settings, bazang.database)
        self.random = random.Random(1)

    @classmethod
    async def open(cls, bazang: Bazang) -> "Bench":
        """Have everybody at work and every prompt ready."""
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
        """Return the seconds that Bazang takes."""
        talk = await self._talk()
        module = 1  # the one for the agent's extension, see `furnish`
        wish = Registration(module, NUMBER, extension=AGENT)
        request = await asyncio.to_thread(register, self.bazang.database, wish, datetime.now(UTC))
        took, ring = await self._free_to_ring(talk)
        commands.send(self.bazang.database, commands.CANCEL, {"request": request}, actor="bench", now=datetime.now(UTC))
        await ring.wait_ended()
        await self._until(lambda: all(attempt.ended_at is not None for attempt in self.bazang.attempts()))
        await self._until(lambda: self._line().state == "free")
        return took

    async def bare_round(self) -> float:
        """Return the seconds that the bare client takes."""
        talk = await self._talk()
        self.bare.arm(*await self._order())
        took, ring = await self._free_to_ring(talk)
        ring.reject()
        await self._until(lambda: self._line().state == "free")
        return took

    async def _talk(self) -> Call:
        talk = await self.customers.occupy(self.phone, OTHER)
        await self._until(lambda: self._line().state == "in_call")
        return talk

    async def _free_to_ring(self, talk: Call) -> tuple[float, Call]:
        await asyncio.sleep(self.random.uniform(*TALK))
        freed = await talk.hang_up()
        ring = await self.phone.next_call(10)
        return ring.began_at - freed, ring

    async def _order(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return what Bazang's own dialer would send for such a request."""
        line, now = self._line(), datetime.now(UTC)
        order = DialOrder(
            attempt=str(uuid.uuid4()),
            request_id=0,
            agent=AGENT,
            devices=line.devices,
            hint_context=line.context,
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
        told = _Told()
        await Dialer(told, AttemptFollower()).originate(order, self.sounds.agent_prompt(order, now))
        return told.headers, told.variables

    def _line(self) -> ExtensionRow:
        with self.bazang.database.read() as session:
            return session.get_one(ExtensionRow, AGENT)

    async def _until(self, found: Callable[[], bool]) -> None:
        await self.bazang.until(found, 10, "the office is ready for the next round")


@dataclass
class _Told:
    """An exchange that only takes note of what it is told to dial."""

    headers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.headers, self.variables = headers, variables

    async def send(self, action: str, headers: Any = ()) -> Any:
        raise NotImplementedError

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        raise NotImplementedError
