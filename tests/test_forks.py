"""How tests run in forks of the process that has collected them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from script.lib.suite import IN_FORKS, ROOT
from tests.support.forks import MOST

pytestmark = pytest.mark.slow
NOTING = """
import os, pytest
@pytest.fixture(scope="module", autouse=True)
def module(request):
    yield
    print("module ends")
@pytest.mark.parametrize("number", range({count}))
def test_noted(number):
    with open("noted", "a") as file:
        file.write(f"{name} {{number}} {{os.getpid()}}\\n")
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *IN_FORKS, *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_each_test_runs_once_and_all_that_is_reported_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(NOTING.format(name=name, count=3 * MOST))
    (tmp_path / "test_c.py").write_text(
        "import pytest\n"
        "def test_wrong(): print('what it printed'); assert 1 == 2\n"
        "def test_skipped(): pytest.skip('no such thing')\n"
        "def test_rows(subtests):\n"
        "    for row in range(3):\n"
        "        with subtests.test(f'row {row}'): assert row != 1\n"
        "@pytest.fixture\n"
        "def broken(): raise OSError('broken')\n"
        "def test_error(broken): pass\n"
    )
    done = run(tmp_path)
    noted = [line.split() for line in (tmp_path / "noted").read_text().splitlines()]
    assert sorted((name, int(number)) for name, number, _ in noted) == [(n, i) for n in "ab" for i in range(3 * MOST)]
    assert 1 <= len({pid for _, _, pid in noted}) <= 2
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert f"3 failed, {6 * MOST} passed, 1 skipped, 1 error" in done.stdout
    for said in ("assert 1 == 2", "what it printed", "no such thing", "row 1", "OSError: broken", "module ends"):
        assert said in done.stdout, said


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_fork_that_dies_fails_the_run_and_names_its_test(tmp_path: Path, end: str) -> None:
    (tmp_path / "test_a.py").write_text(f"import os\ndef test_before(): pass\ndef test_deadly(): {end}\n")
    done = run(tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "a fork died: test_a.py::test_deadly" in done.stderr + done.stdout


def test_the_run_ends_at_the_first_failure_if_it_should(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_wrong(): assert False\n" + NOTING.format(name="a", count=5))
    done = run(tmp_path, "-x")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert not (tmp_path / "noted").exists() and "1 failed" in done.stdout


def test_no_test_runs_if_a_file_cannot_be_collected(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(NOTING.format(name="a", count=5))
    (tmp_path / "test_b.py").write_text("import nothing_of_this_name")
    done = run(tmp_path)
    assert done.returncode == pytest.ExitCode.INTERRUPTED and not (tmp_path / "noted").exists()
