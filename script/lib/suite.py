"""Run all checks and tests. See script/test.

All of them run even after a failure, so one run shows every failure. The last lines list what failed and what was left
out.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv/bin/python")
IN_CI = os.environ.get("CI") == "true"
FAST = "not asterisk and not browser and not postgres and not slow"
# Fast tests compute, so they run first and do not disturb the timing of phones. Tests with phones mostly wait, so more
# of them run at once than there are processors. The two ignored folders have no fast tests, and their import takes
# each process a second.
FAST_RUN = ["--ignore=tests/asterisk", "--ignore=tests/browser", "-m", FAST, "-n", "2", "--dist", "worksteal"]
SLOW_RUN = ["-m", f"not ({FAST})", "-n", "5", "--dist", "worksteal"]
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
    failed = _run_checks(checks)
    with tempfile.TemporaryDirectory() as folder:
        left_out_file = Path(folder) / "left-out"
        environment = {"LEFT_OUT_FILE": str(left_out_file)} | examples
        for title, selection in _runs(fast, chosen).items():
            if not _run_visibly(title, ["pytest", *selection], environment):
                failed.append(title)
            left_out += left_out_file.read_text().splitlines() if left_out_file.exists() else []
            left_out_file.unlink(missing_ok=True)
    return _print_summary(failed, left_out)


def _runs(fast: bool, chosen: list[str]) -> dict[str, list[str]]:
    """Return the arguments of pytest for each run, by title."""
    if chosen:
        return {"pytest": [*(["-m", FAST] if fast else []), *chosen]}
    runs = {"pytest": FAST_RUN + RUN_WITH_COVERAGE}
    return runs if fast else runs | {"pytest with Asterisk, browser and PostgreSQL": SLOW_RUN}


def _run_checks(checks: dict[str, Callable[[], Result]]) -> list[str]:
    """Run all checks at once, print their output and return the titles of those that failed."""
    with ThreadPoolExecutor(len(checks)) as pool:
        results = {title: pool.submit(check) for title, check in checks.items()}
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


def _print_summary(failed: list[str], left_out: list[str]) -> int:
    print("== script/test")
    for line in left_out:
        print(f"Left out: {line}")
    if IN_CI and left_out:
        failed.append("nothing may be left out in CI")
    print(
        f"Failed: {', '.join(failed)}" if failed else "Passed" + (", except for what was left out" if left_out else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
