"""The dispatcher in simulated time: nothing is wrong in a million steps, and what is put wrong is found."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.lifecycle import Status
from tests.simulation.mutants import MUTANTS
from tests.simulation.runs import Runs
from tests.simulation.schedule import FAULTS, NUMBERS, Item, make_schedule, shrink
from tests.simulation.world import Result
from tests.support.databases import built_database

__all__ = ["built_database"]
SEED = 20_000
PARTS, STEPS = 20, 50_000  # a million steps of fixed seeds
SQL_SEEDS = (SEED, SEED + 1)
SQL_LASTS = 600.0  # seconds for which something new happens: SQL takes some twenty times as long
SWEPT_SEED, ONE_CALLER, BEGINS_WITHIN = "3", (Item(1.0, "caller registers", NUMBERS[1]),), 5.0
MOST_OFFICES = 15  # in which a mutant is found
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_million_steps(part: int) -> None:
    report = Runs().run(SEED + 100 * part, steps=STEPS)
    assert not report.found, str(report.found[0])
    assert report.counts[Status.DONE] and any(report.counts[fault] for fault in FAULTS)


def sweep(kind: str, seconds: float, stride: int = 1) -> Iterator[tuple[int, Result]]:
    """Let a fault happen at each await of an office with one request, which is a new office each time.

    There one agent misses the call, and the next one talks with the customer. Yield before which callback it happened.
    """
    runs = Runs()
    undisturbed = runs.simulate(SWEPT_SEED, ONE_CALLER, lasts=BEGINS_WITHIN)
    for step in range(2, undisturbed.steps + 1, stride):  # the first one makes the office
        strike = step, Item(0, kind, "", seconds)
        yield step, runs.simulate(SWEPT_SEED, ONE_CALLER, lasts=BEGINS_WITHIN, strike=strike)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seconds"), [("worker dies", 2), ("connection is cut", 1), ("exchange dies", 5)])
def test_fault_at_every_await(kind: str, seconds: float) -> None:
    offices = struck = done = talks = 0
    for step, result in sweep(kind, seconds):
        assert result.violation is None, f"{kind} before callback {step}: {result.violation}"
        offices += 1
        struck += result.counts[kind]
        done += result.counts.get(Status.DONE, 0)
        talks += result.counts.get("talks", 0)
    assert struck == offices
    assert min(done, talks) > offices / 2


def test_fault_at_some_await_is_found() -> None:
    with MUTANTS["never_reconciled"].mutant():
        found = {str(result.violation) for _, result in sweep("worker dies", 2, stride=20) if result.violation}
    assert found and all(violation.startswith("stuck") for violation in found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SQL_SEEDS)
def test_real_services_do_the_same(built_database: Path, seed: int) -> None:
    """The double in memory proves nothing unless each request and each call is as in the database."""
    schedule = [item for item in make_schedule(str(seed), tuple(FAULTS)) if item.at < SQL_LASTS]
    in_memory, stored = (runs.simulate(str(seed), schedule, traced=True) for runs in (Runs(), Runs(built_database)))
    assert in_memory.violation is stored.violation is None
    assert in_memory.trace == stored.trace


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_found(name: str) -> None:
    expected = MUTANTS[name]
    with expected.mutant():
        report = Runs(faults=expected.faults).run(SEED, worlds=MOST_OFFICES, tries=0)
    assert report.found, f"nothing was found in {report.steps} steps"
    assert report.found[0].violation.kind in expected.found


def test_office_without_faults() -> None:
    report = Runs(faults=()).run(SEED, worlds=1)
    assert not report.found, str(report.found[0])
    assert report.counts[Status.DONE]


@pytest.mark.slow
def test_same_seed_is_the_same_office_in_another_process() -> None:
    """Also if the sets of Python are in another order."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(SEED), "--trace"]
    traces = {
        subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(traces) == 1
    assert len(traces.pop().splitlines()) > 100


@pytest.mark.slow
def test_violation_names_its_seed_and_a_short_schedule() -> None:
    with MUTANTS["hours_forgotten"].mutant():
        (found,) = Runs(faults=()).run(SEED, worlds=MOST_OFFICES, tries=30).found
    assert f"seed {found.seed}: outside hours" in str(found)
    assert len(found.schedule) < len(make_schedule(found.seed, ())) / 2
    assert f"--seed {found.seed}" in str(found)


def test_shrinking_keeps_what_fails_together() -> None:
    items = [Item(float(number), "caller registers") for number in range(50)]
    assert shrink(items, lambda some: {items[7], items[31]} <= set(some)) == [items[7], items[31]]
