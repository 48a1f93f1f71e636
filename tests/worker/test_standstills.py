import logging
from pathlib import Path

import pytest

from app.worker.standstills import Standstills, standstill_file
from script.office.database import make_settings


def test_next_worker_knows_the_standstills_of_attempts_in_flight(tmp_path: Path) -> None:
    file = tmp_path / "file"
    Standstills(file).add("a1")
    Standstills(file).add("a2")
    after = Standstills(file)
    after.recall(["a2", "a3"])
    assert ["a1" in after, "a2" in after, "a3" in after] == [False, True, False]


def test_file_goes_when_no_attempt_in_it_is_in_flight(tmp_path: Path) -> None:
    file = tmp_path / "file"
    Standstills(file).add("a1")
    after = Standstills(file)
    after.recall(["a2"])
    assert not file.exists()
    after.recall(["a1"])
    assert "a1" not in after


def test_workers_of_two_exchanges_can_share_the_folder(tmp_path: Path) -> None:
    first, north = (Standstills(standstill_file(make_settings(tmp_path, exchange=code))) for code in ("main", "north"))
    first.add("a1")
    north.recall(["b1"])
    after = Standstills(standstill_file(make_settings(tmp_path)))
    after.recall(["a1"])
    assert "a1" in after


def test_line_that_was_not_finished_is_no_attempt(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a1\n\xff\xfea")
    after = Standstills(file)
    after.recall(["a", "a1", ""])
    assert "a1" in after
    assert "a" not in after


def test_disk_that_fails_is_logged_and_loses_nothing_of_this_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    standstills = Standstills(tmp_path)
    with caplog.at_level(logging.ERROR):
        standstills.add("a1")
        assert "a1" in standstills
        standstills.recall(["a1"])
    assert len(caplog.records) == 2
    assert "a1" in standstills
