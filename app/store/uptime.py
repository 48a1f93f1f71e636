"""The time since the machine was started. Nobody can set it, so it goes on while the wall clock jumps."""

import time
from datetime import timedelta
from functools import cache
from pathlib import Path

# The time during which the machine was suspended counts, where the system says it.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> timedelta:
    """Return the time since the machine was started."""
    return timedelta(seconds=time.clock_gettime(_CLOCK))


@cache
def boot_id() -> str:
    """Return what identifies this start of the machine: uptimes can only be compared within it. "" if unknown."""
    try:
        return _BOOT_ID.read_text().strip()[:40]
    except OSError:
        return ""
