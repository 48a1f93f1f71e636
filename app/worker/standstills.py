"""Talks in which the PBX stood still, in a file: a worker may be killed while the database is locked."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from app.config import Settings

log = logging.getLogger(__name__)
_LONGEST = 64 * 1024  # bytes of it that are read: far more than there can be talks at once


def standstill_file(settings: Settings) -> Path:
    """Return the file of an exchange. Workers of several exchanges may share DATA_DIR."""
    return settings.data_dir / f"standstills-{settings.exchange}"


class Standstills:
    """The attempts in whose talk the PBX stood still. Only those of a worker before us are read from the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._attempts: frozenset[str] = frozenset()

    def __contains__(self, attempt: str) -> bool:
        return attempt in self._attempts

    def add(self, attempt: str) -> None:
        """Write an attempt down. It is on disk when this returns; a disk that fails is logged."""
        self._attempts |= {attempt}
        try:
            with self._path.open("ab") as file:
                file.write(f"{attempt}\n".encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.error("attempt %s: its standstill cannot be written to a file: %s", attempt, error)

    def recall(self, in_flight: Iterable[str]) -> None:
        """Read what the worker before us has written about attempts that have not ended. Forget the others."""
        try:
            with self._path.open("rb") as file:
                written = file.read(_LONGEST).decode("ascii", "replace").split("\n")
            self._attempts = frozenset(written) & frozenset(in_flight)
            if not self._attempts:
                self._path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            log.error("cannot read in which talks the PBX stood still: %s", error)
