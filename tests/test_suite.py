"""How script/test runs the slow tests: where they are, after the checks, and once more what failed among others."""

import subprocess
import threading
from pathlib import Path

import pytest

from script.lib import suite
from script.office.patience import PATIENCE
from tests import conftest

pytestmark = pytest.mark.slow
UNSTEADY = """
from pathlib import Path

def test_unsteady():
    before = Path(__file__).with_suffix(".before")
    known = before.exists()
    before.touch()
    assert known
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose tests all count as slow."""
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(suite, "FAST", "fast")
    return tmp_path


def run(folder: Path) -> tuple[bool, list[str]]:
    return suite.run_slow(["-n", "1"], {"LEFT_OUT_FILE": str(folder / "left-out")}, folder / "cache")


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_what_passes_alone_is_named(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(folder, "test_a", "def test_right(): pass")
    write(folder, "test_b", UNSTEADY)
    assert run(folder) == (True, ["test_b.py::test_unsteady"])
    assert "1 failed, 1 passed" in capfd.readouterr().out


@pytest.mark.parametrize("wrong", ["def test_wrong(): assert False", "import nothing_of_this_name"])
def test_what_fails_again_fails(folder: Path, wrong: str) -> None:
    write(folder, "test_b", UNSTEADY)
    write(folder, "test_wrong", wrong)
    assert run(folder) == (False, [])


def test_many_failures_are_no_accident(folder: Path) -> None:
    for number in range(suite.MOST_REPEATED + 1):
        write(folder, f"test_{number}", UNSTEADY)
    assert run(folder) == (False, [])
    assert run(folder) == (True, [])  # none was repeated: they know themselves now


def test_all_right(folder: Path) -> None:
    write(folder, "test_a", "def test_right(): pass")
    assert run(folder) == (True, [])


def test_checks_run_beside_the_fast_tests_and_end_before_the_slow_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    began, ended, places = threading.Event(), list[str](), list[str]()

    def check(command: list[str], environment: dict[str, str] | None = None) -> suite.Result:
        assert began.wait(PATIENCE)
        ended.append(command[0])
        return command[0] != "mypy", ""

    def run_fast(title: str, command: list[str], environment: dict[str, str]) -> bool:
        began.set()
        monkeypatch.setenv(suite.DESELECTED_FILE, environment[suite.DESELECTED_FILE])
        conftest.pytest_deselected([request.node])
        return True

    def run_slow(selection: list[str], environment: dict[str, str], cache: Path) -> tuple[bool, list[str]]:
        ended.append("slow")
        places.extend(selection)
        return True, []

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))  # script/bootstrap
    monkeypatch.setattr(suite, "_run", check)
    monkeypatch.setattr(suite, "_run_visibly", run_fast)
    monkeypatch.setattr(suite, "run_slow", run_slow)
    assert suite.main([]) == 1
    assert places == [*suite.SLOW_RUN, *suite.SLOW_FOLDERS, __file__]
    assert ended[-1] == "slow" and set(ended[:-1]) == {"ruff", "mypy", "coverage"}
    assert "Failed: mypy\n" in capsys.readouterr().out
