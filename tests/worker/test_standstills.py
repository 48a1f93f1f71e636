import logging
from pathlib import Path

import pytest

from app.worker.standstills import Standstills, standstill_file
from script.office.database import make_settings


def test_next_worker_knows_the_standstills_of_attempts_in_flight(tmp_path: Path) -> None:
    file = tmp_path / "file"
    before = Standstills(file)
    before.add("a1")
    before.add("a2")
    after = Standstills(file)
    after.recall(["a2", "a3", "a4"], ["a4"])
    assert [attempt for attempt in ("a1", "a2", "a3", "a4") if attempt in after] == ["a2", "a4"]


def test_doubt_is_a_standstill_for_the_next_worker_only(tmp_path: Path) -> None:
    file = tmp_path / "file"
    before = Standstills(file)
    before.doubt("a1")
    before.doubt("a2")
    before.dispel("a2")
    assert "a1" not in before
    after = Standstills(file)
    after.recall(["a1", "a2"], [])
    assert "a1" in after
    assert "a2" not in after


def test_file_has_only_what_can_still_matter(tmp_path: Path) -> None:
    file = tmp_path / "file"
    standstills = Standstills(file)
    for attempt in ("a1", "a2"):
        standstills.add(attempt)
    standstills.keep({"a2", "a3"}, [])
    assert file.read_text() == "a2\n"
    standstills.keep(set(), [])
    standstills.doubt("a4")
    standstills.dispel("a4")
    assert list(tmp_path.iterdir()) == []


def test_file_goes_when_no_attempt_in_it_is_in_flight(tmp_path: Path) -> None:
    file = tmp_path / "file"
    Standstills(file).add("a1")
    after = Standstills(file)
    after.recall(["a2"], [])
    assert not file.exists()
    after.recall(["a1"], [])
    assert "a1" not in after


def test_workers_of_two_exchanges_can_share_the_folder(tmp_path: Path) -> None:
    first, north = (Standstills(standstill_file(make_settings(tmp_path, exchange=code))) for code in ("main", "north"))
    first.add("a1")
    north.recall(["b1"], [])
    after = Standstills(standstill_file(make_settings(tmp_path)))
    after.recall(["a1"], [])
    assert "a1" in after


def test_line_that_was_not_finished_is_no_attempt(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a1\n\xff\xfea")
    after = Standstills(file)
    after.recall(["a", "a1", ""], [])
    assert "a1" in after
    assert "a" not in after


def test_disk_that_fails_is_logged_and_loses_nothing_of_this_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    standstills = Standstills(tmp_path)
    with caplog.at_level(logging.ERROR):
        standstills.add("a1")
        assert "a1" in standstills
        standstills.recall(["a1"], [])
    assert len(caplog.records) == 2
    assert "a1" in standstills
