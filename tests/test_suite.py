"""The second try of slow tests that failed among others."""

from pathlib import Path

import pytest

from script.lib import suite

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
