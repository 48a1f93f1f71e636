"""Measure the time from an agent's hang-up to the INVITE at the agent's phone while the PBX sends 100,000 events a
second, and compare it with the time while it sends only its own. Both are measured alternately, with a real Asterisk.
"""

import asyncio
import resource
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path

from app.store.settings import REGISTRATION_LIMITS, write_setting
from script.benchmarks.latency import POLL_SECONDS, Bench
from script.office.asterisk import NoAsterisk
from script.office.demo_office import PHONES, build_office, configure_office, remove_bazang_environment
from script.office.ports import free_port

RATE = 100_000  # events per second
SIDES = {"quiet": 0, "flood": RATE}
SETTLE = 0.5  # seconds between a change of the rate and the measurement


@dataclass
class Result:
    """Milliseconds of each side, the rates that were reached, and the worker's memory in MB after each pair."""

    times: dict[str, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})
    rates: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def run(runs: int) -> int:
    """Measure `runs` pairs, print the result and return the exit status."""
    remove_bazang_environment()
    try:
        result = asyncio.run(measure(runs))
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
        return 1
    medians = {side: statistics.median(times) for side, times in result.times.items()}
    for side, times in result.times.items():
        late = statistics.quantiles(times, n=20, method="inclusive")[18]
        print(f"{side + ':':<6} median {medians[side]:5.1f} ms, 95th percentile {late:5.1f} ms, n = {len(times)}")
    print(
        f"ratio: {medians['flood'] / medians['quiet']:.2f}, at {statistics.median(result.rates):,.0f} events a second"
    )
    first, last = result.memory[0], result.memory[-1]
    print(f"memory of the worker: {first:.0f} MB after the first flood, {last:.0f} MB after the last one")
    return 0


async def measure(runs: int) -> Result:
    """Return the result of a new office whose worker is connected through a busy exchange."""
    result, port = Result(), free_port()
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        secrets = {number: f"secret{number}" for number in PHONES}
        bazang = build_office(Path(folder), secrets, POLL_SECONDS=POLL_SECONDS, AMI_PORT=str(port))
        configure_office(bazang, max_wait=5, rest=0)
        with bazang.database.write() as session:
            for limit in REGISTRATION_LIMITS:  # the same customer registers in each round
                write_setting(session, f"{limit}_limit", "0")
        exchange = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("busy_exchange.py")),
            *map(str, (port, bazang.asterisk.ami_port)),
            stdin=PIPE,
            stdout=PIPE,
        )
        try:
            await _read(exchange)
            async with bazang:
                bench = await Bench.open(bazang)
                for number in range(runs + 1):
                    for side, rate in SIDES.items():
                        seconds, reached = await _round(bench, exchange, rate)
                        if number > 0:  # the first pair warms up
                            result.times[side].append(seconds * 1000)
                            result.rates += [reached] if rate else []
                    result.memory.append(memory_of(bazang.worker.pid))
                await bench.bare.close()
        finally:
            exchange.kill()
            await exchange.wait()
    return result


async def _round(bench: Bench, exchange: Process, rate: int) -> tuple[float, float]:
    """Return the seconds of a round, and the events per second that were added meanwhile."""
    loop = asyncio.get_running_loop()
    await _set_rate(exchange, rate)
    began = loop.time()
    await asyncio.sleep(SETTLE)
    seconds = await bench.bazang_round()
    return seconds, await _set_rate(exchange, 0) / (loop.time() - began)


async def _set_rate(exchange: Process, rate: int) -> int:
    assert exchange.stdin is not None
    exchange.stdin.write(b"%d\n" % rate)
    return int(await _read(exchange))


async def _read(exchange: Process) -> bytes:
    assert exchange.stdout is not None
    return await exchange.stdout.readline()


def memory_of(pid: int | str = "self") -> float:
    """Return what a process holds, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
