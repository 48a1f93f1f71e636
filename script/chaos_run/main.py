"""Play an office while everything around it fails, and judge by what the phones saw that no request was lost and nobody
was called twice. Prints one line of JSON at the end, and ends with 1 if there is a violation. Then the history is kept,
with --keep or without it. All of it runs on loopback, and a run ends by itself.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from app.memory import TUNABLES
from script.chaos_run import mutants
from script.chaos_run.faults import impossible
from script.chaos_run.history import Entry, read
from script.chaos_run.judge import VERDICTS, judge, summarize
from script.chaos_run.plan import KINDS, MOMENTS, SECONDS_PER_REQUEST, Plan, draw
from script.chaos_run.play import AFTERMATH, play
from script.office.asterisk import NoAsterisk
from script.office.demo_office import remove_bazang_environment

REQUESTS_PER_FAULT = 4
SCHEDULE = "schedule.json"


def main(arguments: list[str]) -> int:
    """Parse the arguments and run. Return the exit code: 1 after a violation, 2 if nothing could be played."""
    parser = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    parser.add_argument("--requests", type=int, default=40, metavar="N", help="customers (default: %(default)s)")
    parser.add_argument(
        "--every",
        type=float,
        default=SECONDS_PER_REQUEST,
        metavar="SECONDS",
        help="between two customers (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--asterisk", type=int, choices=(22, 16), default=22, help="its version (default: %(default)s)")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--standby", action="store_true", help="with a second worker that stands by (PostgreSQL)")
    parser.add_argument("--faults", type=int, metavar="N", help=f"default: one for {REQUESTS_PER_FAULT} requests")
    parser.add_argument(
        "--aftermath",
        type=float,
        default=AFTERMATH,
        metavar="SECONDS",
        help="the longest time from the last caller or fault to the end of all requests (default: %(default)s)",
    )
    parser.add_argument("--only", metavar="KINDS", help=f"faults of these kinds alone: {', '.join(KINDS)}")
    parser.add_argument("--at", metavar="MOMENTS", help=f"faults after these events alone: {', '.join(MOMENTS)}")
    parser.add_argument("--mutant", choices=tuple(mutants.MUTANTS), help="play a copy of the program with this fault")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--keep", type=Path, metavar="FOLDER", help="keep history, schedule and logs here")
    kept.add_argument("--replay", type=Path, metavar="FOLDER", help="play nothing: judge the history kept here")
    given = parser.parse_args(arguments)
    if given.requests < 1:
        parser.error("--requests: at least 1")
    if given.standby and given.database != "postgres":
        parser.error("--standby: needs --database postgres")
    kinds, moments = _chosen(parser, given, "only", KINDS), _chosen(parser, given, "at", MOMENTS)
    if given.keep is not None and given.keep.is_dir() and any(given.keep.iterdir()):
        parser.error(f"--keep: {given.keep} is not empty")
    if given.replay is not None:
        return report(read(given.replay), {})
    if given.mutant is not None:
        return mutants.run(given.mutant, _arguments(given))
    remove_bazang_environment()
    os.environ.setdefault("GLIBC_TUNABLES", TUNABLES)  # as in an installation, for the processes that we start
    skipped = impossible(kinds, postgres=given.database == "postgres")
    kinds = tuple(kind for kind in kinds if kind not in skipped)
    faults = given.faults if given.faults is not None else max(1, given.requests // REQUESTS_PER_FAULT)
    plan = draw(given.seed, given.requests, faults, kinds, moments, given.every)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    code = _play(plan, folder.resolve(), given, skipped)
    if code == 0 and given.keep is None:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}", file=sys.stderr)
    return code


def _play(plan: Plan, folder: Path, given: argparse.Namespace, skipped: dict[str, str]) -> int:
    """Play a plan in a folder, and judge it. Return the exit code."""
    (folder / SCHEDULE).write_text(json.dumps(plan.as_json(), indent=1))
    postgres = given.database == "postgres"
    try:
        asyncio.run(
            play(plan, folder, given.asterisk, postgres=postgres, standby=given.standby, aftermath=given.aftermath)
        )
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
        return 2
    except Exception:  # a failure to play is no violation
        traceback.print_exc()
        return 2
    return report(read(folder), skipped)


def _chosen(
    parser: argparse.ArgumentParser, given: argparse.Namespace, name: str, known: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names that an option has, separated by commas, or all of them."""
    names = tuple(getattr(given, name).split(",")) if getattr(given, name) else known
    if not set(names) <= set(known):
        parser.error(f"--{name}: {', '.join(known)}")
    return names


def _arguments(given: argparse.Namespace) -> list[str]:
    """Return the arguments for the run of a mutant: with the faults that bring it out, and paths from anywhere."""
    mutant = mutants.MUTANTS[given.mutant]
    only, at = given.only or ",".join(mutant.only), given.at or ",".join(mutant.at)
    names = ("requests", "every", "seed", "asterisk", "database", "faults", "aftermath")
    values = {name: getattr(given, name) for name in names}
    values |= {"only": only, "at": at or None, "keep": given.keep.resolve() if given.keep is not None else None}
    return [f"--{name}={value}" for name, value in values.items() if value is not None]


def report(history: list[Entry], skipped: dict[str, str]) -> int:
    """Print the violations and the counts of a history. Return the exit code."""
    for violation in judge(history):
        print(f"{violation.at:8.2f} s  {violation.verdict}: {violation.number}: {violation.what}", file=sys.stderr)
    counts = summarize(history)
    print(json.dumps(counts | {"skipped": skipped}))
    return 1 if any(counts[verdict] for verdict in VERDICTS) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
