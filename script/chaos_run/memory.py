"""The memory of worker and panel during a run."""

import asyncio
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from script.chaos_run.history import Entry, History

SAMPLE_SECONDS = 10.0
SHORTEST_HALF = 600.0  # seconds: a process that has just started grows


def resident(pid: int) -> float:
    """Return the memory of a process and its children that belongs to no file, in MB. Raises OSError if it is gone.

    The pages of libraries do not count: whose they are changes whenever another program starts or ends.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Anonymous:")) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(resident(int(child)) for child in children)


async def sample(history: History, processes: Callable[[], dict[str, int]]) -> None:
    """Write the memory of processes, by name, to the history for ever."""
    while True:
        for name, pid in processes().items():
            try:
                megabytes = await asyncio.to_thread(resident, pid)
            except OSError:  # it has just been killed
                continue
            history.write("memory", process=name, pid=pid, megabytes=round(megabytes, 3))
        await asyncio.sleep(SAMPLE_SECONDS)


def growth(entries: Sequence[Entry]) -> dict[str, float]:
    """Return how fast each process grew in the second half of the run, in MB an hour.

    Processes that were started again in it are left out, and so are short runs.
    """
    found: dict[str, float] = {}
    samples = [entry for entry in entries if entry["kind"] == "memory"]
    for name in sorted({entry["process"] for entry in samples}):
        mine = [entry for entry in samples if entry["process"] == name]
        half = [entry for entry in mine if entry["at"] >= mine[-1]["at"] / 2]
        lasted = mine[-1]["at"] - half[0]["at"]
        if lasted >= SHORTEST_HALF and len({entry["pid"] for entry in half}) == 1:
            slope = statistics.linear_regression([e["at"] for e in half], [e["megabytes"] for e in half]).slope
            found[name] = round(slope * 3600, 2)
    return found
