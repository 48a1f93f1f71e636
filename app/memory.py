"""How much memory a process keeps that it does not use."""

import ctypes
import gc
import logging
from contextlib import suppress

log = logging.getLogger(__name__)
ARENAS = 2
BLOCK = 128 * 1024  # bytes
# For the environment, because glibc reads it before a process can say anything: let threads keep no free blocks of
# their own. Each keeps up to seven of each size, 0.23 MB, and those of rare sizes come in the course of hours.
TUNABLES = "glibc.malloc.tcache_count=0"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc


def tune_allocator() -> None:
    """Let this process keep little memory that it does not use. Call it before threads start.

    Let all threads allocate from ARENAS arenas. glibc gives threads up to eight arenas for each core. Each keeps the
    most memory that a thread ever needed, so a process with many threads grows for hours. Threads of Python run one at
    a time, and seldom meet in an arena.

    Let the system have each block of BLOCK bytes back that is free. glibc begins like this, but raises both limits when
    it frees a larger block, up to 32 and 64 MB. Then pages of the panel, of more than 100 kB each, leave holes in the
    arenas, and what is free at their ends is kept.
    """
    wanted = {_M_ARENA_MAX: ARENAS, _M_MMAP_THRESHOLD: BLOCK, _M_TRIM_THRESHOLD: BLOCK}
    try:
        mallopt = ctypes.CDLL(None).mallopt
        accepted = [mallopt(option, value) for option, value in wanted.items()]
    except (OSError, AttributeError):  # another C library
        accepted = [0]
    if not all(accepted):
        log.debug("the C library cannot be told how much memory to keep")


def give_back() -> None:
    """Collect garbage, and let the system have the free pages between blocks that last. Takes some milliseconds.

    Python collects all garbage every few minutes. Objects that last come to lie among it, so ever more pages are used.
    glibc gives back what is free at the end of an arena only. What a peak needed, such as many claims at once, is kept
    for hours if anything that lasts was allocated behind it.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def freeze_lasting() -> None:
    """Let the garbage collector pass over all objects that there are now. Call it when nearly all of them will last.

    There are 250,000 after the imports. A full collection would scan them, which delays a call. And Python waits with
    it until there are a quarter as many new objects: the garbage of an hour.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what there is to scan: nothing yet
