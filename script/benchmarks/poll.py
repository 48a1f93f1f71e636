"""Measure what a poll of a PBX with 1,000 phones and 100 queues costs when nothing has changed since the last one, and
compare it with panoramisk's parsing of the same lists.

The PBX is simulated in the same process. What a poll reads from the database is included, and its writes, if there are
any: an unchanged PBX must cause none. The result is processor time of the process. The sides alternate.
"""

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from app.telephony.ami import _Protocol
from app.worker.main import WANTED_EVENTS, Worker
from script.benchmarks.events import GREETING, PHONES, QUEUES, extension, queue_of
from script.office.database import build_database, make_settings, open_database

MAX_RATIO = 1.0
MEMBERS = 20  # of each queue
CONTEXT = "office-hints"
BATCH = 65536  # bytes that the event loop reads at once


def rows_of(action: str) -> Iterator[str]:
    """Yield the rows of a list, without their ActionID."""
    phones = [extension(number) for number in range(PHONES)]
    match action:
        case "DeviceStateList":
            for phone in phones:
                yield f"Event: DeviceStateChange\r\nDevice: PJSIP/{phone}\r\nState: NOT_INUSE\r\n"
        case "ExtensionStateList":
            for phone in phones:
                yield (
                    f"Event: ExtensionStatus\r\nExten: {phone}\r\nContext: {CONTEXT}\r\nHint: PJSIP/{phone}\r\n"
                    "Status: 0\r\nStatusText: Idle\r\n"
                )
        case "QueueStatus":
            for number in range(QUEUES):
                name = queue_of(number)
                yield (
                    f"Event: QueueParams\r\nQueue: {name}\r\nMax: 0\r\nStrategy: rrmemory\r\nCalls: 0\r\n"
                    "Holdtime: 12\r\nTalkTime: 95\r\nCompleted: 210\r\nAbandoned: 9\r\n"
                    "ServiceLevel: 60\r\nServicelevelPerf: 97.1\r\nServicelevelPerf2: 97.1\r\nWeight: 0\r\n"
                )
                for place in range(MEMBERS):
                    phone = phones[(number * PHONES // QUEUES + place) % PHONES]
                    yield (
                        f"Event: QueueMember\r\nQueue: {name}\r\nName: Agent {phone}\r\n"
                        f"Location: Local/{phone}@agents/n\r\nStateInterface: PJSIP/{phone}\r\n"
                        "Membership: static\r\nPenalty: 0\r\nCallsTaken: 3\r\nLastCall: 1764400000\r\nLastPause: 0\r\n"
                        "LoginTime: 1764390000\r\nInCall: 0\r\nStatus: 1\r\nPaused: 0\r\n"
                        "PausedReason: \r\nWrapuptime: 10\r\n"
                    )


def answer(action: str, action_id: str) -> bytes:
    """Return what the PBX sends for an action."""
    rows = LISTS.get(action)
    head = f"ActionID: {action_id}\r\n"
    if rows is None:
        return f"Response: Error\r\n{head}Message: Invalid/unknown command\r\n\r\n".encode()
    events = [row.replace("\r\n", f"\r\n{head}", 1) + "\r\n" for row in rows]
    end = f"Event: {action}Complete\r\n{head}EventList: Complete\r\nListItems: {len(rows)}\r\n\r\n"
    return f"Response: Success\r\n{head}EventList: start\r\n\r\n{''.join(events)}{end}".encode()


LISTS: dict[str, list[str]] = {"BridgeList": [], "CoreShowChannels": []}
LISTS |= {action: list(rows_of(action)) for action in ("DeviceStateList", "ExtensionStateList", "QueueStatus")}


class _Exchange:
    """A transport that answers actions. `sent` is what it sent, `making` the processor time for that, in seconds."""

    def __init__(self) -> None:
        self.protocol: Any = None
        self.sent: list[bytes] = []
        self.making = 0.0

    def write(self, data: bytes) -> None:
        began = time.thread_time()
        fields = dict(line.split(": ", 1) for line in data.decode().split("\r\n") if ": " in line)
        reply = answer(fields["Action"], fields["ActionID"])
        batches = [reply[start : start + BATCH] for start in range(0, len(reply), BATCH)]
        self.making += time.thread_time() - began
        self.sent += batches
        for batch in batches:
            asyncio.get_running_loop().call_soon(self.protocol.data_received, batch)

    def close(self) -> None: ...

    def abort(self) -> None: ...


def run(runs: int) -> int:
    """Poll `runs` times and print the result. Return 1 if the limit is missed."""
    return asyncio.run(_measure(runs))


async def _measure(runs: int) -> int:
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        database = open_database(build_database(Path(folder)))
        worker = Worker(make_settings(Path(folder)), database)
        writing = asyncio.create_task(worker.writes.run())
        exchange, theirs = _Exchange(), AMIProtocol()
        protocol = worker.ami._protocol = exchange.protocol = _Protocol(worker._on_event, WANTED_EVENTS)
        worker.ami._connected.set()
        for each in (protocol, theirs):
            each.connection_made(exchange)  # type: ignore[arg-type]
            each.factory = Manager(loop=asyncio.get_running_loop())
            each.data_received(GREETING)
        for _ in range(2):  # the first poll stores everything, the second one what the first has taught
            await worker._read_snapshot()
        await worker.writes.drain(600.0)  # on a busy machine a poll does not wait for all of it
        gc.collect()
        gc.freeze()  # as the worker does
        writes = 0

        def count(write: Any) -> None:
            nonlocal writes
            writes += 1

        worker.writes.put_snapshot = count  # type: ignore[method-assign]
        ours: list[float] = []
        ratios: list[float] = []
        for _ in range(runs):
            exchange.sent, exchange.making = [], 0.0
            began = time.process_time()
            await worker._read_snapshot()
            ours.append(time.process_time() - began - exchange.making)
            began = time.process_time()
            for batch in exchange.sent:
                theirs.data_received(batch)
            ratios.append(ours[-1] / (time.process_time() - began))
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        database.engine.dispose()
    rows, ratio = sum(map(len, LISTS.values())), statistics.median(ratios)
    milliseconds = sorted(seconds * 1000 for seconds in ours)
    print(
        f"polled: {rows:,} rows, {runs} times, {statistics.median(milliseconds):.0f} ms of processor time "
        f"(from {milliseconds[0]:.0f} to {milliseconds[-1]:.0f}), {writes} writes"
    )
    line = f"ratio: {ratio:.2f} of panoramisk's parsing (from {min(ratios):.2f} to {max(ratios):.2f})"
    print(line + (f"  MISSED: at most {MAX_RATIO}, and no writes" if ratio > MAX_RATIO or writes else ""))
    return int(ratio > MAX_RATIO or writes > 0)
