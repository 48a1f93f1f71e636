"""Run all checks and tests. See script/test.

All of them run even after a failure, so one run shows every failure. The last lines list what failed, what was left
out, and what passed only when it ran alone.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv/bin/python")
IN_CI = os.environ.get("CI") == "true"
FAST = "not asterisk and not browser and not postgres and not slow"
# Fast tests compute, so they and the checks run first and do not disturb the timing of phones. Tests with phones mostly
# wait (each takes some two seconds of processor time), so more of them run at once than there are processors. All tests
# of the two ignored folders are slow (tests/conftest.py), and their import takes each process a second.
SLOW_FOLDERS = ("tests/asterisk", "tests/browser")
FAST_RUN = [*(f"--ignore={folder}" for folder in SLOW_FOLDERS), "-m", FAST, "-n", "2", "--dist", "worksteal"]
SLOW = "pytest with Asterisk, browser and PostgreSQL"
SLOW_RUN = ["-m", f"not ({FAST})", "-n", "5", "--dist", "worksteal"]
# Five offices with their PBXs share two processors. A few slow tests that fail among them run once more, alone: a
# fault of the product fails again. A test that passes alone may be a race. The last lines name it, so that it gets
# mended.
MOST_REPEATED = 6
# The variables with the files to which tests/conftest.py writes what was left out, and where the other tests are.
LEFT_OUT_FILE, DESELECTED_FILE = "LEFT_OUT_FILE", "DESELECTED_FILE"
# The example tests of the domain must cover every branch alone, so they run with coverage, and not once more with the
# others. Property tests run without coverage, which is slow.
PROPERTIES = "tests/domain/test_properties.py"
EXAMPLES = ["-q", "tests/domain", f"--ignore={PROPERTIES}"]
RUN_WITH_COVERAGE = [
    f"--ignore={path.relative_to(ROOT)}"
    for path in sorted((ROOT / "tests/domain").glob("test_*.py"))
    if path != ROOT / PROPERTIES
]

Result = tuple[bool, str]


def main(arguments: list[str]) -> int:
    """Return 0 if everything passed and, in CI, nothing was left out."""
    fast = arguments[:1] == ["fast"]
    chosen = arguments[1:] if fast else arguments
    examples = {"FEWER_EXAMPLES": "1"} if fast else {}
    left_out = ["fast: slow tests and those with Asterisk, the browser or PostgreSQL"] if fast else []
    if subprocess.run([ROOT / "script/bootstrap", "--tests", *(["--packages-only"] if fast else [])]).returncode != 0:
        return 1
    checks: dict[str, Callable[[], Result]] = {
        "ruff check": lambda: _run(["ruff", "check", "."]),
        "ruff format": lambda: _run(["ruff", "format", "--check", "."]),
        "mypy": lambda: _run(["mypy"]),
    }
    if chosen:
        left_out.append("arguments given: the coverage of app/domain, and all other tests")
    else:
        checks["coverage of app/domain"] = lambda: _check_domain_coverage(examples)
    failed: list[str] = []
    with ThreadPoolExecutor(len(checks)) as pool, tempfile.TemporaryDirectory() as folder:
        left_out_file = Path(folder) / "left-out"
        environment = {LEFT_OUT_FILE: str(left_out_file)} | examples
        deselected = Path(folder) / "deselected"
        unsteady: list[str] = []
        results = {title: pool.submit(check) for title, check in checks.items()}
        for title, selection in _runs(fast, chosen).items():
            if title == SLOW or chosen:  # no check is to disturb the timing of phones
                failed += _print_results(results)
                results = {}
            if title == SLOW:
                selection = [*selection, *slow_places(deselected)]
                passed, unsteady = run_slow(selection, environment, Path(folder) / "cache")
            else:
                noting = {DESELECTED_FILE: str(deselected)}
                passed = _run_visibly(title, ["pytest", *selection], environment | noting)
            if not passed:
                failed.append(title)
            left_out += left_out_file.read_text().splitlines() if left_out_file.exists() else []
            left_out_file.unlink(missing_ok=True)
        failed += _print_results(results)
    return _print_summary(failed, left_out, unsteady)


def _runs(fast: bool, chosen: list[str]) -> dict[str, list[str]]:
    """Return the arguments of pytest for each run, by title."""
    if chosen:
        return {"pytest": [*(["-m", FAST] if fast else []), *chosen]}
    runs = {"pytest": FAST_RUN + RUN_WITH_COVERAGE}
    return runs if fast else runs | {SLOW: SLOW_RUN}


def slow_places(deselected: Path) -> list[str]:
    """Return where the slow tests are, as the run of the fast ones found out. If it did not: nothing, or everywhere.

    Each process of the slow run collects its tests itself. To collect all takes it a dozen seconds.
    """
    return [*SLOW_FOLDERS, *deselected.read_text().splitlines()] if deselected.exists() else []


def run_slow(selection: list[str], environment: dict[str, str], cache: Path) -> tuple[bool, list[str]]:
    """Run the slow tests, and once more, alone, the few that fail.

    Return whether all have passed, and the names of those that passed only alone. `cache`: a folder for pytest.
    """
    options = ["-o", f"cache_dir={cache}"]
    if _run_visibly(SLOW, ["pytest", *selection, *options], environment):
        return True, []
    failed = _failed_tests(cache)
    if not failed or len(failed) > MOST_REPEATED:
        return False, []
    again = ["pytest", "-m", f"not ({FAST})", "--last-failed", "--last-failed-no-failures", "none", *options]
    without_file = {name: value for name, value in environment.items() if name != LEFT_OUT_FILE}  # keep the first run's
    passed = _run_visibly("what failed, alone", again, without_file)
    return passed, failed if passed else []


def _failed_tests(cache: Path) -> list[str]:
    """Return the tests that failed in the run with this cache, none if pytest itself failed."""
    try:
        return sorted(json.loads((cache / "v/cache/lastfailed").read_text()))
    except (OSError, ValueError):
        return []


def _print_results(results: dict[str, Future[Result]]) -> list[str]:
    """Wait for the checks, print their output and return the titles of those that failed."""
    for title, result in results.items():
        print(f"== {title}\n{result.result()[1]}", end="", flush=True)
    return [title for title, result in results.items() if not result.result()[0]]


def _check_domain_coverage(examples: dict[str, str]) -> Result:
    """Check that the example tests of the domain pass and cover every branch of app/domain."""
    with tempfile.TemporaryDirectory() as folder:
        data = {"COVERAGE_FILE": str(Path(folder) / "coverage")} | examples
        tested = _run(["coverage", "run", "--branch", "--source=app/domain", "-m", "pytest", *EXAMPLES], data)
        report = _run(["coverage", "report", "--show-missing", "--skip-covered", "--fail-under=100"], data)
        return tested[0] and report[0], tested[1] + report[1]


def _run(command: list[str], environment: dict[str, str] | None = None) -> Result:
    result = subprocess.run(
        [PYTHON, "-m", *command],
        cwd=ROOT,
        env=_environment(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode == 0, result.stdout


def _run_visibly(title: str, command: list[str], environment: dict[str, str]) -> bool:
    print(f"== {title}", flush=True)
    return subprocess.run([PYTHON, "-m", *command], cwd=ROOT, env=_environment(environment)).returncode == 0


def _environment(environment: dict[str, str] | None) -> dict[str, str]:
    # Tests start hundreds of processes. Bytecode files save each of them the compilation.
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}


def _print_summary(failed: list[str], left_out: list[str], unsteady: list[str]) -> int:
    print("== script/test")
    for line in left_out:
        print(f"Left out: {line}")
    for test in unsteady:
        print(f"Unsteady: {test} failed beside others and passed alone")
    if IN_CI and left_out:
        failed.append("nothing may be left out in CI")
    print(
        f"Failed: {', '.join(failed)}" if failed else "Passed" + (", except for what was left out" if left_out else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
