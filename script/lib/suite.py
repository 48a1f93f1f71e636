"""Check and test everything. See script/test.

Everything is run even after a failure, so that one run tells all; the last lines say what failed and what was left out.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv/bin/python")
IN_CI = os.environ.get("CI") == "true"
FAST = "not asterisk and not browser and not postgres and not slow"
# What computes runs first and by itself, so that the phones' moments are not disturbed. Most of the time a test with
# phones waits for one of them to ring, so there may be more of them at once than there are processors.
FAST_RUN = ["--ignore=tests/domain", "-m", FAST, "-n", "2", "--dist", "worksteal"]
SLOW_RUN = ["-m", f"not ({FAST})", "-n", "4", "--dist", "worksteal"]


def main(arguments: list[str]) -> int:
    """Return 0 if all went well and, in CI, nothing was left out."""
    fast = arguments[:1] == ["fast"]
    chosen = arguments[1:] if fast else arguments
    left_out = ["fast: no slow test, and none with Asterisk, the browser or PostgreSQL"] if fast else []
    if subprocess.run([ROOT / "script/bootstrap", "--tests", *(["--packages-only"] if fast else [])]).returncode != 0:
        return 1
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy"],
    }
    failed = [name for name, command in checks.items() if not _passes(name, command)]
    if chosen:
        left_out.append("arguments given: no look at how app/domain is covered, and only the chosen tests")
    elif not _domain_is_covered():
        failed.append("coverage of app/domain")
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / "left-out"
        for title, selection in _runs(fast, chosen).items():
            if not _passes(title, ["pytest", *selection], environment={"LEFT_OUT_FILE": str(named)}):
                failed.append(title)
            left_out += named.read_text().splitlines() if named.exists() else []
            named.unlink(missing_ok=True)
    return _conclude(failed, left_out)


def _runs(fast: bool, chosen: list[str]) -> dict[str, list[str]]:
    """Return pytest's arguments for each run, by its title. The domain's own tests run under coverage before."""
    if chosen:
        return {"pytest": [*(["-m", FAST] if fast else []), *chosen]}
    runs = {"pytest": FAST_RUN}
    return runs if fast else runs | {"pytest with Asterisk, browser and PostgreSQL": SLOW_RUN}


def _passes(title: str, command: list[str], environment: dict[str, str] | None = None) -> bool:
    print(f"== {title}", flush=True)
    # The hundreds of processes that tests start need not compile the same files again, whatever is usual here.
    settled = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}
    result = subprocess.run([PYTHON, "-m", *command], cwd=ROOT, env=settled)
    return result.returncode == 0


def _domain_is_covered() -> bool:
    """Whether tests/domain alone pass and walk every branch of app/domain."""
    with tempfile.TemporaryDirectory() as folder:
        data = {"COVERAGE_FILE": str(Path(folder) / "coverage")}
        measured = ["coverage", "run", "--branch", "--source=app/domain", "-m", "pytest", "-q", "tests/domain"]
        report = ["coverage", "report", "--show-missing", "--skip-covered", "--fail-under=100"]
        passed = _passes("the domain's tests", measured, data)
        return _passes("coverage of app/domain", report, data) and passed


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
