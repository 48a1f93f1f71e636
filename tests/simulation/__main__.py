"""Hunt for faults: `python -m tests.simulation --seed 1 --steps 1000000`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from script.office.database import build_database
from tests.simulation.runs import Runs
from tests.simulation.schedule import FAULTS, make_schedule


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first office; the next one has the next seed")
    parser.add_argument("--steps", type=int, default=0, help="callbacks of the event loop in all")
    parser.add_argument("--worlds", type=int, default=0, help="offices in all")
    parser.add_argument("--sql", action="store_true", help="use the real services on SQLite: some 20 times slower")
    parser.add_argument("--faults", help=f"some of: {', '.join(FAULTS)}")
    parser.add_argument("--found", type=int, default=1, help="go on until there are so many violations")
    parser.add_argument("--tries", type=int, default=200, help="how often a violation's schedule is made shorter")
    parser.add_argument("--trace", action="store_true", help="print everything that happens in one office")
    given = parser.parse_args()
    faults = [fault for fault in given.faults.split(",") if fault] if given.faults is not None else list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(build_database(Path(folder)) if given.sql else None, faults=faults)
        if given.trace:
            result = runs.simulate(str(given.seed), make_schedule(str(given.seed), faults), traced=True)
            print(*result.trace, result.violation or "nothing is wrong", sep="\n")
            return int(result.violation is not None)
        began = time.process_time()
        report = runs.run(
            given.seed,
            steps=given.steps,
            worlds=given.worlds or int(not given.steps),
            most_found=given.found,
            tries=given.tries,
        )
    for found in report.found:
        print(found, end="\n\n")
    print(", ".join(f"{name}: {count}" for name, count in sorted(report.counts.items())))
    print(f"{report.steps:,} steps in {report.worlds} offices, {time.process_time() - began:.0f} s of a processor")
    return int(bool(report.found))


if __name__ == "__main__":
    sys.exit(main())
