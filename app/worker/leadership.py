"""Make sure that one worker leads per database. Only the leader talks to the PBX."""

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.store.database import Database
from app.worker.lease import Lease, WorkerRunning, end_process


class Leadership(Protocol):
    """The right to be the one worker of a database. It ends with the process."""

    def acquire(self) -> None:
        """Acquire the right. Raises WorkerRunning."""

    def wait(self, turn: Callable[[], None] = lambda: None) -> None:
        """Wait until the right is ours. Raises WorkerRunning if that makes no sense. Blocks.

        `turn` is called twice a second meanwhile.
        """

    def is_held(self) -> bool:
        """Tell whether we may dial now. Does not block."""

    def check(self, session: Session) -> None:
        """Make sure that a transaction is that of the leader. Raises Deposed."""

    def release(self) -> None:
        """Release the right, if it was acquired."""


def leadership_of(database: Database, *, on_deposed: Callable[[], None] = end_process) -> Leadership:
    """Return the right to lead a database. `on_deposed` is called when another worker has taken it."""
    if database.engine.dialect.name == "postgresql":
        return Lease(database, on_deposed=on_deposed)
    return FileLock(database.engine)


class FileLock:
    """The right on SQLite, which is on one machine: the process has it as long as it lives. A second one is refused.

    It would not help to wait: a worker that is frozen keeps the lock, and one that dies is started again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._file: TextIO | None = None

    def acquire(self) -> None:
        database = self._engine.url.database
        assert database is not None
        file = Path(f"{database}.worker").open("w")  # noqa: SIM115 - open as long as the process runs
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise WorkerRunning("another worker is running on this database") from error
        self._file = file

    def wait(self, turn: Callable[[], None] = lambda: None) -> None:
        self.acquire()

    def is_held(self) -> bool:
        return self._file is not None

    def check(self, session: Session) -> None:
        """Do nothing: nobody can take the right from us."""

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
