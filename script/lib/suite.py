"""Check and test everything. See script/test.

Everything is run even after a failure, so that one run tells all; the last lines say what failed and what was left out.
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
# What computes runs first and by itself, so that the phones' moments are not disturbed. Most of the time a test with
# phones waits for one of them to ring, so there may be more of them at once than there are processors.
# Nothing in the two folders that are left out is fast, and to import them takes every process a second.
FAST_RUN = ["--ignore=tests/asterisk", "--ignore=tests/browser", "-m", FAST, "-n", "2", "--dist", "worksteal"]
SLOW_RUN = ["-m", f"not ({FAST})", "-n", "4", "--dist", "worksteal"]
# The domain's own examples alone walk every branch. Random events are looked at without the coverage's labour.
EXAMPLES = ["-q", "tests/domain", "--ignore=tests/domain/test_properties.py"]

Result = tuple[bool, str]


def main(arguments: list[str]) -> int:
    """Return 0 if all went well and, in CI, nothing was left out."""
    fast = arguments[:1] == ["fast"]
    chosen = arguments[1:] if fast else arguments
    left_out = ["fast: no slow test, and none with Asterisk, the browser or PostgreSQL"] if fast else []
    if subprocess.run([ROOT / "script/bootstrap", "--tests", *(["--packages-only"] if fast else [])]).returncode != 0:
        return 1
    checks: dict[str, Callable[[], Result]] = {
        "ruff check": lambda: _run(["ruff", "check", "."]),
        "ruff format": lambda: _run(["ruff", "format", "--check", "."]),
        "mypy": lambda: _run(["mypy"]),
    }
    if chosen:
        left_out.append("arguments given: no look at how app/domain is covered, and only the chosen tests")
    else:
        checks["coverage of app/domain"] = _cover_domain
    failed = _check(checks)
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / "left-out"
        environment = {"LEFT_OUT_FILE": str(named)} | ({"FEWER_EXAMPLES": "1"} if fast else {})
        for title, selection in _runs(fast, chosen).items():
            if not _passes(title, ["pytest", *selection], environment):
                failed.append(title)
            left_out += named.read_text().splitlines() if named.exists() else []
            named.unlink(missing_ok=True)
    return _conclude(failed, left_out)


def _runs(fast: bool, chosen: list[str]) -> dict[str, list[str]]:
    """Return pytest's arguments for each run, by its title."""
    if chosen:
        return {"pytest": [*(["-m", FAST] if fast else []), *chosen]}
    runs = {"pytest": FAST_RUN}
    return runs if fast else runs | {"pytest with Asterisk, browser and PostgreSQL": SLOW_RUN}


def _check(checks: dict[str, Callable[[], Result]]) -> list[str]:
    """Do all at once, say what each said, and return the names of those that failed."""
    with ThreadPoolExecutor(len(checks)) as pool:
        results = {title: pool.submit(check) for title, check in checks.items()}
    for title, result in results.items():
        print(f"== {title}\n{result.result()[1]}", end="", flush=True)
    return [title for title, result in results.items() if not result.result()[0]]


def _cover_domain() -> Result:
    """Tell whether the domain's examples alone pass and walk every branch of app/domain."""
    with tempfile.TemporaryDirectory() as folder:
        data = {"COVERAGE_FILE": str(Path(folder) / "coverage")}
        tested = _run(["coverage", "run", "--branch", "--source=app/domain", "-m", "pytest", *EXAMPLES], data)
        report = _run(["coverage", "report", "--show-missing", "--skip-covered", "--fail-under=100"], data)
        return tested[0] and report[0], tested[1] + report[1]


def _run(command: list[str], environment: dict[str, str] | None = None) -> Result:
    result = subprocess.run(
        [PYTHON, "-m", *command],
        cwd=ROOT,
        env=_settled(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode == 0, result.stdout


def _passes(title: str, command: list[str], environment: dict[str, str]) -> bool:
    print(f"== {title}", flush=True)
    return subprocess.run([PYTHON, "-m", *command], cwd=ROOT, env=_settled(environment)).returncode == 0


def _settled(environment: dict[str, str] | None) -> dict[str, str]:
    # The hundreds of processes that tests start need not compile the same files again, whatever is usual here.
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}


def _conclude(failed: list[str], left_out: list[str]) -> int:
    print("== script/test")
    for line in left_out:
        print(f"Left out: {line}")
    if IN_CI and left_out:
        failed.append("nothing may be left out in CI")
    print(f"Failed: {', '.join(failed)}" if failed else "Passed" + (", but for what was left out" if left_out else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
