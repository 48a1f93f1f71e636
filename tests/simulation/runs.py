"""Run many simulated offices one after the other, and make the schedule short of one in which something is wrong."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.config import Settings
from script.office.database import make_settings as office_settings
from script.office.database import open_database
from tests.simulation.judge import Violation
from tests.simulation.schedule import FAULTS, Item, make_schedule, shrink
from tests.simulation.stores import OUTBOUND, MemoryStore, SqlStore, Store
from tests.simulation.world import Result, simulate

StoreFactory = Callable[[], Store]


@dataclass
class Found:
    """A violation, and what is left of its schedule."""

    seed: str
    violation: Violation
    schedule: Sequence[Item]
    faults: Sequence[str] = tuple(FAULTS)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.violation}", *map(str, self.schedule)]
        again = f"again: python -m tests.simulation --seed {self.seed} --faults '{','.join(self.faults)}' --trace"
        return "\n".join([*lines, again])


@dataclass
class Report:
    """What became of a run: how many callbacks and offices it had, what happened how often, and what was wrong."""

    steps: int = 0
    worlds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)


def make_settings(folder: Path) -> Settings:
    return office_settings(folder, outbound_context=OUTBOUND, timezone="UTC")


class Runs:
    """Offices in memory, or in copies of the SQLite file `built`. `make` makes the store in memory."""

    def __init__(
        self,
        built: Path | None = None,
        *,
        faults: Sequence[str] = tuple(FAULTS),
        make: StoreFactory = MemoryStore,
    ) -> None:
        self._built, self._faults, self._make = built, faults, make

    def run(self, seed: int, *, steps: int = 0, worlds: int = 0, most_found: int = 1, tries: int = 200) -> Report:
        """Run offices with the seeds from `seed` on, until there were so many steps or so many offices.

        Each violation is made short in `tries` further offices at most.
        """
        report = Report()
        while (report.steps < steps or report.worlds < worlds) and len(report.found) < most_found:
            name = str(seed + report.worlds)
            schedule = make_schedule(name, self._faults)
            result = self.simulate(name, schedule)
            report.worlds += 1
            report.steps += result.steps
            report.counts.update(result.counts)
            if result.violation is not None:
                report.found.append(self._shorten(name, schedule, result.violation, tries))
        return report

    def _shorten(self, seed: str, schedule: Sequence[Item], violation: Violation, tries: int) -> Found:
        def fails(items: Sequence[Item]) -> bool:
            found = self.simulate(seed, items).violation
            return found is not None and found.kind == violation.kind

        short = shrink(schedule, fails, tries) if tries else schedule
        return Found(seed, self.simulate(seed, short).violation or violation, short, self._faults)

    def simulate(self, seed: str, schedule: Sequence[Item], **options: Any) -> Result:
        """Run one office."""
        with self._store() as (make, settings):
            return simulate(seed, schedule, make, settings, **options)

    @contextmanager
    def _store(self) -> Iterator[tuple[StoreFactory, Settings]]:
        if self._built is None:
            yield self._make, make_settings(Path("unused"))
            return
        with tempfile.TemporaryDirectory(dir=self._built.parent) as folder:
            settings = make_settings(Path(folder))
            database = open_database(Path(shutil.copy(self._built, folder)))
            yield lambda: SqlStore(database), settings
            database.engine.dispose()
