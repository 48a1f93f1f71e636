"""Make time.sleep work under libfaketime, which refuses absolute times of the monotonic clock.

Python imports this module before all others.
"""

import threading
import time


def sleep(seconds: float) -> None:
    """Wait by a lock instead of by clock_nanosleep."""
    threading.Event().wait(seconds)


time.sleep = sleep  # type: ignore[assignment]
