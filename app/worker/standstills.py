"""Talks in which the PBX stood still, in a file: a worker may be killed while the database is locked, or before it is
sure.
"""

import logging
import os
from collections.abc import Collection
from pathlib import Path

from app.config import Settings

log = logging.getLogger(__name__)
_LONGEST = 64 * 1024  # bytes of it that are read: far more than there can be talks at once


def standstill_file(settings: Settings) -> Path:
    """Return the file of an exchange. Workers of several exchanges may share DATA_DIR."""
    return settings.data_dir / f"standstills-{settings.exchange}"


class Standstills:
    """The attempts in whose talk the PBX stood still.

    The file has the doubtful ones, too: the PBX did not respond for a moment, and perhaps this worker never learns
    whether it does. For the next worker they are standstills.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._attempts: frozenset[str] = frozenset()
        self._doubts: frozenset[str] = frozenset()

    def __contains__(self, attempt: str) -> bool:
        return attempt in self._attempts

    def add(self, attempt: str) -> None:
        """Write an attempt down. It is on disk when this returns; a disk that fails is logged."""
        self._attempts |= {attempt}
        self._write(sync=True)

    def doubt(self, attempt: str) -> None:
        """Write down that the PBX may be standing still. It outlives this worker, but perhaps not the machine."""
        self._doubts |= {attempt}
        self._write()

    def dispel(self, attempt: str) -> None:
        """Take a doubt back: the PBX has responded."""
        self._doubts -= {attempt}
        self._write()

    def recall(self, in_flight: Collection[str], stored: Collection[str]) -> None:
        """Read what the worker before us has written about attempts that have not ended. Forget the others.

        `stored`: those whose standstill is in the database.
        """
        try:
            with self._path.open("rb") as file:
                written = file.read(_LONGEST).decode("ascii", "replace").split("\n")
            self._attempts = frozenset(written)
            self.keep(in_flight, stored)
        except FileNotFoundError:
            self._attempts = frozenset(stored)
        except OSError as error:
            log.error("cannot read in which talks the PBX stood still: %s", error)

    def keep(self, in_flight: Collection[str], stored: Collection[str]) -> None:
        """Forget the attempts that have ended, and add those whose standstill is in the database."""
        kept = self._attempts & frozenset(in_flight) | frozenset(stored)
        if kept != self._attempts:
            self._attempts = kept
            self._write()

    def _write(self, *, sync: bool = False) -> None:
        """Write the file as a whole, so that a worker that is killed meanwhile leaves the old one."""
        written = sorted(self._attempts | self._doubts)
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            if not written:
                self._path.unlink(missing_ok=True)
                return
            with new.open("wb") as file:
                file.write("".join(f"{attempt}\n" for attempt in written).encode("ascii"))
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            log.error("cannot write in which talks the PBX stood still: %s: %s", ", ".join(written), error)
