"""A value that is read now and then, however many ask for it."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Brief(Generic[Value]):
    """Keep the result of `read` for `seconds`, by `clock`. Safe for threads.

    One thread at a time reads. The others get the result before, for `oldest` seconds at most, and never wait: a
    database that does not answer must not hold all threads of a server.
    """

    def __init__(
        self,
        read: Callable[[], Value],
        *,
        seconds: float,
        oldest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._seconds, self._oldest, self._clock = read, seconds, oldest, clock
        self._reading = threading.Lock()
        self._last: tuple[float, Value] | None = None

    def get(self) -> Value | None:
        """Return the value, None if another thread is reading the first one. Raises what `read` raises."""
        known = self._known(self._seconds)
        if known is not None:
            return known
        if not self._reading.acquire(blocking=False):
            return self._known(self._oldest)
        try:
            value = self._read()
            self._last = (self._clock(), value)
            return value
        finally:
            self._reading.release()

    def _known(self, seconds: float) -> Value | None:
        last = self._last
        return last[1] if last is not None and self._clock() - last[0] < seconds else None
