"""The doctor, run for a page in a process of its own."""

import pytest

from app.config import Settings
from app.domain.findings import Level, Part
from app.services import examination
from app.services.examination import Busy, examine
from script.office.patience import PATIENCE
from script.office.ports import free_port
from tests.cli.conftest import Install


@pytest.fixture
def closed(install: Install) -> Settings:
    """The settings of an installation that has addresses where nothing listens."""
    app = install(ami_port=free_port(), agi_port=free_port(), ami_secret="x")
    settings: Settings = app.extensions["bazang"]["settings"]
    return settings


@pytest.mark.slow
def test_all_parts_are_checked_with_the_settings_of_the_panel(closed: Settings) -> None:
    found = examine(closed, "main", seconds=10 * PATIENCE)
    assert found.error == ""
    assert found.of(Part.DATABASE)[0].level is Level.OK
    (pbx,) = (each for each in found.of(Part.PBX) if f":{closed.ami_port}" in each.text)
    assert pbx.level is Level.FAULT and "enabled=yes" in pbx.lines
    (worker,) = (each for each in found.of(Part.WORKER) if each.level is Level.FAULT)
    assert worker.lines == (".venv/bin/flask --app wsgi worker",)
    assert found.count(Level.FAULT) >= 2
    assert {each.part for each in found.findings} >= set(Part) - {Part.LOGINS, Part.MESSAGES}


@pytest.mark.slow
def test_checks_that_do_not_end_are_ended(closed: Settings) -> None:
    found = examine(closed, "main", seconds=0.05)
    assert found.findings == () and found.error == "the checks did not end within 0.05 s"
    assert not examination._running.locked()


@pytest.mark.slow
def test_checks_that_end_in_the_middle_are_not_taken_for_all(closed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = 'print(\'{"level": "ok", "code": "a", "part": "pbx", "said": [], "advice": []}\'); 1 / 0'
    monkeypatch.setattr(examination, "_COMMAND", ("-c", broken))
    found = examine(closed, "main", seconds=PATIENCE)
    assert len(found.findings) == 1 and found.error == "ZeroDivisionError: division by zero"


@pytest.mark.slow
def test_an_exchange_that_does_not_exist_is_an_error(closed: Settings) -> None:
    found = examine(closed, "north", seconds=10 * PATIENCE)
    assert found.findings == () and "BAZANG_EXCHANGE" in found.error


def test_one_doctor_at_a_time(closed: Settings) -> None:
    with examination._running, pytest.raises(Busy):
        examine(closed, "main")
