"""Turns to write, for databases that have one writer at a time.

SQLite has no queue of writers: the first to ask after a commit writes next, and another one may ask in vain until its
time-out. So the threads of a process take turns, and the one whose turn it is passes a turnstile between all processes.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from sqlalchemy.exc import TimeoutError as TookTooLong

PATIENCE = 1.0  # seconds; who has waited for longer comes before all who are more urgent
LONGEST_WAIT = 30.0  # seconds
LONGEST_PASSAGE = 6.0  # seconds for which somebody may stand in the turnstile; longer than SQLite's time-out
LOOK_EVERY = 0.005  # seconds


class Urgency(IntEnum):
    """What is written first if several threads want to write."""

    REGISTRATION = 0  # a caller waits on the line
    ATTEMPT = 1  # claims, and what became of attempts
    REST = 2


class Turns:
    """Let one thread of this process write at a time: the most urgent first, and those equally urgent as they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: list[_Waiting] = []  # as they came

    @property
    def waiting(self) -> int:
        """The number of threads that wait for their turn."""
        return len(self._waiting)

    @contextmanager
    def take(self, urgency: Urgency) -> Iterator[None]:
        """Wait for a turn, and have it until the end. Raises TookTooLong of SQLAlchemy after LONGEST_WAIT."""
        self._wait(urgency)
        try:
            yield
        finally:
            with self._lock:
                self._pass_on()

    def _wait(self, urgency: Urgency) -> None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = _Waiting(urgency)
            self._waiting.append(mine)
        if mine.comes.wait(LONGEST_WAIT):
            return
        with self._lock:
            if not mine.comes.is_set():
                self._waiting.remove(mine)
                raise TookTooLong(f"no turn to write within {LONGEST_WAIT:.0f} s")

    def _pass_on(self) -> None:
        if not self._waiting:
            self._is_taken = False
            return
        oldest = self._waiting[0]
        is_patient = time.monotonic() - oldest.since < PATIENCE
        following = min(self._waiting, key=lambda waiting: waiting.urgency) if is_patient else oldest
        self._waiting.remove(following)
        following.comes.set()


class _Waiting:
    def __init__(self, urgency: Urgency) -> None:
        self.urgency, self.since, self.comes = urgency, time.monotonic(), threading.Event()


class Turnstile:
    """Stand in it while you wait for the database: nobody else can be faster then.

    Otherwise a process that writes without a pause would take the database again before any other one notices that it
    is free. It is a lock on a file. It is for fairness only: who cannot get it goes on without.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    @contextmanager
    def stand(self) -> Iterator[None]:
        """Stand in the turnstile until the end. Only one thread of a process may call this at a time."""
        stands = self._enter()
        try:
            yield
        finally:
            if stands and self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _enter(self) -> bool:
        deadline = time.monotonic() + LONGEST_PASSAGE
        while True:
            try:
                if self._file is None:
                    self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:  # its process is frozen
                    return False
                time.sleep(LOOK_EVERY)
            except OSError:  # for example the file belongs to another user
                return False
