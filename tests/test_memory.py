import subprocess
import sys

import pytest

from app.memory import ARENAS

# Eight threads allocate at the same time; malloc_stats then writes one "Arena" for each.
PROGRAM = """
import ctypes, threading
from app.memory import tune_allocator
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
{limit}
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


@pytest.mark.parametrize(
    ("limit", "at_most"), [("tune_allocator()", ARENAS), ("pass", None)], ids=["limited", "as it is"]
)
def test_threads_share_arenas(limit: str, at_most: int | None) -> None:
    program = [sys.executable, "-c", PROGRAM.format(limit=limit)]
    said = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stderr
    arenas = sum(line.startswith("Arena ") for line in said.splitlines())
    if at_most is None:
        assert arenas > ARENAS, "this C library has no arenas: the other case proves nothing"
    else:
        assert 0 < arenas <= at_most
