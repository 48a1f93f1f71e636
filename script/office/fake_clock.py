"""A wall clock of one process that is ahead or behind, and one that tests can move, by libfaketime."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from script.lib.package_files import FAKETIME


def _environment(**own: str) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(FAKETIME.find()),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(Path(__file__).parent / "faketime_site"),
        **own,
    }


@dataclass(frozen=True)
class ShiftedClock:
    """The wall clock of a process that is started with `environment`: `offset` ahead of ours, or behind it.

    The process looks at it as fast as at a real one, so what it does can be timed.
    """

    offset: timedelta

    @property
    def environment(self) -> dict[str, str]:
        return _environment(FAKETIME=f"{self.offset.total_seconds():+.0f}")

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


class FakeClock:
    """The wall clock of a process that is started with `environment`. `file` tells the process how far it is moved.

    The time since the machine was started stays the real one, as when somebody sets the clock of a machine. The process
    reads the file whenever it looks at the clock, so it needs about three times the processor time.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.offset = timedelta(0)
        self.move(timedelta(0))

    @property
    def environment(self) -> dict[str, str]:
        return _environment(FAKETIME_TIMESTAMP_FILE=str(self._file), FAKETIME_NO_CACHE="1")

    def move(self, by: timedelta) -> None:
        """Put the clock forward, or back."""
        self.offset += by
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset.total_seconds():+.0f}\n")
        fresh.replace(self._file)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset
