"""An event loop whose time is simulated: where nothing is left to do now, it is the time of the next timer at once."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

Call = Callable[[], Any]


class Deadlock(Exception):
    """Nothing will ever happen again."""


class _Counted(deque[Any]):
    """The callbacks that are ready. It counts those that were run, and calls `strike` before number `strikes_at`."""

    run = strikes_at = 0
    strike: Call = lambda: None

    def popleft(self) -> Any:
        self.run += 1
        if self.run == self.strikes_at:
            self.strike()
        return super().popleft()


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop without input and output. The same callbacks run in the same order each time.

    What would run in a thread (`asyncio.to_thread`) runs in the loop, as `in_thread` does it: by default at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self  # the base class asks it how long to wait
        self._ready = _Counted()
        self.in_thread: Callable[[Call, asyncio.Future[Any]], None] = settle

    @property
    def steps(self) -> int:
        """How many callbacks have run."""
        return self._ready.run

    def strike_at(self, step: int, call: Call) -> None:
        """Make a call before callback number `step`: all that waits is at an await then."""
        self._ready.strikes_at, self._ready.strike = step, call

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Wait, as a selector does."""
        if timeout is None:
            raise Deadlock
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        """Wake the loop: it never sleeps."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        future = self.create_future()
        self.in_thread(lambda: func(*args), future)
        return future


def settle(call: Call, future: asyncio.Future[Any]) -> None:
    """Make a call and give its result or its error to the future."""
    try:
        result = call()
    except Exception as error:
        if not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)
