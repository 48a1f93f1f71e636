"""Measure how fast the worker digests the events of a busy office with 1,000 phones, and compare it with panoramisk's
parsing of the same bytes. An hour's worth of events is digested; the memory must not grow.

The events are those of three real calls, recorded from Asterisk 22 with the rights that Bazang asks for. Each simulated
call has its own phones, channels and numbers, and the events of calls at the same time are mixed. What the worker
writes to the database and when it dials is left out. The result is processor time of one thread. The sides alternate.
"""

import asyncio
import gc
import itertools
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from app.telephony.ami import _Protocol
from app.worker.clock import utcnow
from app.worker.main import WANTED_EVENTS, Worker
from script.benchmarks.flood import memory_of
from script.office.database import build_database, make_settings, open_database

MIN_RATIO = 0.8
PHONES, QUEUES = 1_000, 100  # each phone is a member of two queues
CALLS_AT_ONCE, CALLS = 400, 12_000  # in an hour, each phone has twelve calls
HOUR = 3600.0
CHUNK = 65536  # bytes that the event loop reads at once
RECORDED = Path(__file__).with_name("recorded")
GREETING = b"Asterisk Call Manager/11.0.0\r\n"
END = "\r\n\r\n"

# What differs between two calls: identifiers, channels, bridges, phones, the queue and the customer's number.
_TOKENS = re.compile(
    r"(?P<unique>\b\d{10}\.\d+\b)|(?P<channel>(?<=-)[0-9a-f]{8}\b)"
    r"|(?P<bridge>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)"
    r"|(?P<phone>\b10[123]\b)|(?P<queue>\b80[01]\b)|(?P<number>\b0912\d{7}\b)"
)


class RecordedCall:
    """The events of a real call, of which each simulated call is a copy."""

    def __init__(self, path: Path) -> None:
        text = path.read_bytes().decode().replace("Local/102@from-phones/n", "PJSIP/102")
        self._kinds = {match[0]: match.lastgroup or "" for match in _TOKENS.finditer(text)}
        names = {token: f"{{t{number}}}" for number, token in enumerate(self._kinds)}
        template = _TOKENS.sub(lambda match: names[match[0]], text.replace("{", "{{").replace("}", "}}"))
        self._events = [event + END for event in template.split(END) if event.startswith("Event: ")]

    def copy(self, number: int, names: dict[str, str]) -> Iterator[bytes]:
        """Yield the events of the call of this number. `names` are those of its phones and queues."""
        values = {
            f"t{position}": names.get(token) or _replacement(kind, position, number)
            for position, (token, kind) in enumerate(self._kinds.items())
        }
        for event in self._events:
            yield event.format_map(values).encode()


def _replacement(kind: str, position: int, number: int) -> str:
    match kind:
        case "unique":
            return f"1764400000.{number * 20 + position}"
        case "channel":
            return f"{number * 20 + position:08x}"
        case "bridge":
            return f"{number:08x}-0000-4000-8000-{position:012x}"
    return f"0912{number % 10_000_000:07}"


def office_hour() -> Iterator[bytes]:
    """Yield the events of all calls, in chunks of about CHUNK bytes."""
    recorded = [RecordedCall(path) for path in sorted(RECORDED.glob("*.txt"))]
    numbers = itertools.count()

    def next_call(place: int) -> Iterator[bytes]:
        number = next(numbers)
        names = {"101": extension(2 * place), "102": extension(2 * place + 1), "103": "103"}
        names |= {"800": queue_of(2 * place + 1), "801": queue_of(2 * place + 2)}
        return recorded[number % len(recorded)].copy(number, names)

    calls = [next_call(place) for place in range(CALLS_AT_ONCE)]
    chunk = bytearray()
    left = CALLS - CALLS_AT_ONCE
    waiting = set(range(CALLS_AT_ONCE))
    while waiting:
        for place in sorted(waiting):
            event = next(calls[place], None)
            if event is not None:
                chunk += event
            elif left > 0:
                left -= 1
                calls[place] = next_call(place)
            else:
                waiting.discard(place)
        while len(chunk) >= CHUNK:
            yield bytes(chunk[:CHUNK])
            del chunk[:CHUNK]
    yield bytes(chunk)


def extension(number: int) -> str:
    return str(1001 + number)


def queue_of(number: int) -> str:
    return f"queue{number % QUEUES}"


class _Transport:
    """Stands for the connection: nobody writes to it."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class _FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be moved forward: an hour passes as fast as its events are digested."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run(runs: int) -> int:
    """Digest an hour's worth of events in `runs` parts and print the result. Return 1 if the limit is missed."""
    with asyncio.Runner(loop_factory=_FastLoop) as runner:
        return runner.run(_measure(runs))


async def _measure(runs: int) -> int:
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        database = open_database(build_database(Path(folder)))
        worker = Worker(make_settings(Path(folder)), database)
        worker.writes.put = lambda write: None  # type: ignore[method-assign]
        fill_snapshot(worker)
        ours, theirs = _Protocol(worker._on_event, WANTED_EVENTS), AMIProtocol()
        for protocol in (ours, theirs):
            protocol.connection_made(_Transport())  # type: ignore[arg-type]
            protocol.factory = Manager(loop=asyncio.get_running_loop())
            protocol.data_received(GREETING)
        ratios: list[float] = []
        memory: list[float] = []
        events = used = 0.0
        chunks = list(office_hour())
        gc.collect()
        gc.freeze()  # as the worker does
        size = -(-len(chunks) // runs)
        for start in range(0, len(chunks), size):
            part = chunks[start : start + size]
            seconds = await _digest(ours, part, HOUR * len(part) / len(chunks))
            ratios.append(await _digest(theirs, part, 0.0) / seconds)
            memory.append(memory_of())
            used += seconds
            events += sum(chunk.count(b"\r\n\r\n") for chunk in part)
        database.engine.dispose()
    ratio = statistics.median(ratios)
    print(f"digested: {events:,.0f} events of {CALLS:,} calls, {used / events * 1e6:.1f} µs each, in {used:.1f} s")
    print(f"memory: {memory[0]:.0f} MB after the first of {len(memory)} parts, {memory[-1]:.0f} MB after the last one")
    line = f"ratio: {ratio:.2f} of panoramisk's speed (from {min(ratios):.2f} to {max(ratios):.2f})"
    print(line + (f"  MISSED: at least {MIN_RATIO}" if ratio < MIN_RATIO else ""))
    return int(ratio < MIN_RATIO)


async def _digest(protocol: Any, chunks: list[bytes], duration: float) -> float:
    """Return the seconds of processor time for these chunks, which came within `duration` seconds."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _FastLoop)
    began = time.thread_time()
    for chunk in chunks:
        protocol.data_received(chunk)
        loop.ahead += duration / len(chunks)
        await asyncio.sleep(0)
    return time.thread_time() - began


def fill_snapshot(worker: Worker) -> None:
    """Let the worker know the office: its phones are free, and each is a member of two queues."""
    now, context = utcnow(), "office-hints"
    phones = [extension(number) for number in range(PHONES)]
    states = [{"Event": "DeviceStateChange", "Device": f"PJSIP/{phone}", "State": "NOT_INUSE"} for phone in phones]
    hints = [
        {"Event": "ExtensionStatus", "Exten": phone, "Context": context, "Hint": f"PJSIP/{phone}", "Status": "0"}
        for phone in phones
    ]
    queues = [{"Event": "QueueParams", "Queue": queue_of(number), "Calls": "0"} for number in range(QUEUES)]
    for number, queue in itertools.product(range(PHONES), range(2)):
        interface = f"PJSIP/{phones[number]}"
        row = {"Queue": queue_of(number + queue), "Location": interface, "Name": interface, "Status": "1"}
        queues.append({"Event": "QueueMember", **row})
    worker.snapshot.poll_devices(states)
    worker.snapshot.poll_extensions(hints, now)
    worker.snapshot.poll_queues(queues, now)
