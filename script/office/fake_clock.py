"""A wall clock of one process that tests can move, by libfaketime."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from script.lib.package_files import FAKETIME


class FakeClock:
    """The wall clock of a process that is started with `environment`. `file` tells the process how far it is moved.

    The time since the machine was started stays the real one, as when somebody sets the clock of a machine.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.offset = timedelta(0)
        self.move(timedelta(0))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME.find()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(Path(__file__).parent / "faketime_site"),
        }

    def move(self, by: timedelta) -> None:
        """Put the clock forward, or back."""
        self.offset += by
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset.total_seconds():+.0f}\n")
        fresh.replace(self._file)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset
