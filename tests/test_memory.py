import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.memory import ARENAS, TUNABLES

# Eight threads allocate at the same time; malloc_stats then writes one "Arena" for each.
THREADS = """
import ctypes, threading
from app.memory import tune_allocator
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
{tune}
together = threading.Barrier(8)
def allocate():
    together.wait()
    for _ in range(50):
        libc.malloc(ctypes.c_size_t(1000))
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_stats()
"""
FIGURES = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"  # malloc.h of glibc
class Figures(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES.split()]
libc.mallinfo2.restype = Figures
"""
# A block of 4 MB comes and goes, then 4 MB of small ones. Writes the free bytes that are kept at the end of the arena.
BLOCKS = """
from app.memory import tune_allocator
{tune}
blocks = [0] * 1024
libc.free(libc.malloc(ctypes.c_size_t(4 * 1024 * 1024)))
for index in range(1024):
    blocks[index] = libc.malloc(ctypes.c_size_t(4096))
for index in reversed(range(1024)):
    libc.free(blocks[index])
print(libc.mallinfo2().keepcost)
"""
# Small blocks of all sizes come and go in eight threads. Writes the bytes that these keep for themselves.
SIZES = """
import threading
before = libc.mallinfo2().uordblks
together = threading.Barrier(9)
def come_and_go():
    blocks = [libc.malloc(ctypes.c_size_t(size)) for size in range(24, 1033, 16) for _ in range(7)]
    for block in blocks: libc.free(block)
    together.wait()
    together.wait()
threads = [threading.Thread(target=come_and_go, daemon=True) for _ in range(8)]
for thread in threads: thread.start()
together.wait()
print(libc.mallinfo2().uordblks - before)
together.wait()
"""
# 4 MB of blocks come and go below one that lasts. Writes the memory of no file, in kB, before and after.
PEAK = """
from pathlib import Path
from app.memory import give_back, tune_allocator
def anonymous():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Anonymous:"))
tune_allocator()
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
blocks = [libc.malloc(ctypes.c_size_t(4096)) for _ in range(1024)]
for block in blocks: libc.memset(block, 1, 4096)
lasting = libc.malloc(ctypes.c_size_t(4096))
for block in blocks: libc.free(block)
before = anonymous()
give_back()
print(before, anonymous())
"""
# An object that refers to itself becomes garbage. Writes whether it is gone.
CYCLE = """
import gc, weakref
from app.memory import give_back
class Cycle: pass
cycle = Cycle()
cycle.itself, found = cycle, weakref.ref(cycle)
gc.collect()
del cycle
give_back()
print(int(found() is None))
"""
# There are many objects, and then some garbage that has lived for a while. Writes how often all objects were collected.
GARBAGE = """
import gc
from collections import deque
from app.memory import freeze_lasting
lasting = [[] for _ in range(400_000)]
gc.collect()
{freeze}
before = gc.get_stats()[2]["collections"]
lately = deque(maxlen=500)
for _ in range(800_000):
    cycle = []
    cycle.append(cycle)
    lately.append(cycle)
print(gc.get_stats()[2]["collections"] - before)
"""


DEPLOY = Path(__file__).parents[1] / "deploy"


def run(program: str, tunables: str = "") -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "-c", program], os.environ | {"GLIBC_TUNABLES": tunables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)


@pytest.mark.parametrize(("tune", "at_most"), [("tune_allocator()", ARENAS), ("pass", None)], ids=["tuned", "as it is"])
def test_threads_share_arenas(tune: str, at_most: int | None) -> None:
    said = run(THREADS.format(tune=tune)).stderr
    arenas = sum(line.startswith("Arena ") for line in said.splitlines())
    if at_most is None:
        assert arenas > ARENAS, "this C library has no arenas: the other case proves nothing"
    else:
        assert 0 < arenas <= at_most


def test_a_large_block_does_not_let_the_process_keep_free_memory() -> None:
    kept, kept_as_it_is = (int(run(FIGURES + BLOCKS.format(tune=tune)).stdout) for tune in ("tune_allocator()", "pass"))
    assert kept_as_it_is > 2_000_000, "this C library keeps nothing: the other case proves nothing"
    assert kept < 500_000


def test_threads_keep_no_free_blocks_for_themselves() -> None:
    kept, kept_as_it_is = (int(run(FIGURES + SIZES, tunables).stdout) for tunables in (TUNABLES, ""))
    assert kept_as_it_is > 1_500_000, "this C library keeps nothing: the other case proves nothing"
    assert kept < 200_000


def test_what_a_peak_needed_is_given_back() -> None:
    before, after = map(int, run(FIGURES + PEAK).stdout.split())
    assert before - after > 3000


def test_garbage_is_collected_before_memory_is_given_back() -> None:
    assert run(CYCLE).stdout == "1\n"


@pytest.mark.parametrize("file", ["bazang-worker.service", "bazang-panel.service", "Containerfile"])
def test_what_starts_the_processes_tells_the_c_library(file: str) -> None:
    assert re.search(rf"^(Environment=|ENV )GLIBC_TUNABLES={re.escape(TUNABLES)}$", (DEPLOY / file).read_text(), re.M)


def test_garbage_is_found_among_many_objects_that_last() -> None:
    found, found_as_it_is = (int(run(GARBAGE.format(freeze=freeze)).stdout) for freeze in ("freeze_lasting()", "pass"))
    assert found_as_it_is == 0, "Python has changed: the other case proves nothing"
    assert found > 0
