"""How the C library shares memory among threads."""

import ctypes
import logging

log = logging.getLogger(__name__)
ARENAS = 2
_M_ARENA_MAX = -8  # malloc.h of glibc


def limit_arenas() -> None:
    """Let all threads of this process allocate from ARENAS arenas. Call it before threads start.

    glibc gives threads up to eight arenas for each core. Each keeps the most memory that a thread ever needed, so a
    process with many threads grows for hours. Threads of Python run one at a time, and seldom meet in an arena.
    """
    try:
        accepted = ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
    except (OSError, AttributeError):  # another C library
        accepted = 0
    if not accepted:
        log.debug("the C library has no limit of arenas")
