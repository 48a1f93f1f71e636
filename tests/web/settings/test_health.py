"""The page that checks the whole installation."""

import pytest

from app.config import Settings
from app.domain.findings import Finding, Level, Part
from app.services import examination
from app.services.examination import Examination
from app.store.database import Database
from tests.support.factories import create_running_service
from tests.web.pages import Visitor

HEALTH = "/settings/health"
FINDINGS = (
    Finding(Level.OK, "The database (sqlite) is up to date."),
    Finding(Level.WARNING, "The disk of /var is nearly full.", "Make room: `du -xhd2 /`", Part.FILES),
    Finding(Level.FAULT, "No way to <09>.", "Add `exten => _0X.,1,Dial()`; then `dialplan reload`.", Part.PBX),
)


def check_as(monkeypatch: pytest.MonkeyPatch, found: Examination) -> list[tuple[Settings, str]]:
    """Let the doctor find this. Return the list of what it is asked."""
    asked: list[tuple[Settings, str]] = []

    def examine(settings: Settings, exchange: str) -> Examination:
        asked.append((settings, exchange))
        return found

    monkeypatch.setattr(examination, "examine", examine)
    return asked


def test_state_is_shown_at_once_and_nothing_is_checked_before_somebody_asks(
    admin: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = check_as(monkeypatch, Examination(()))
    create_running_service(database)
    page = admin.get(HEALTH)
    assert "Telephone service: running" in page.main and "Check now" in page.main
    assert asked == []


def test_each_finding_has_its_remedy_and_the_lines_to_paste(
    admin: Visitor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = check_as(monkeypatch, Examination(FINDINGS))
    page = admin.post(HEALTH, status=200)
    assert asked == [(settings, "main")]
    assert "1 fault was found." in page.main and "1 warning was found." in page.main
    assert "No way to <09>." in page.main and "1 check without a problem" in page.main
    for line in ("du -xhd2 /", "exten =&gt; _0X.,1,Dial()", "dialplan reload"):
        assert f'data-copy="{line}"' in page.source


def test_all_in_order(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    check_as(monkeypatch, Examination(FINDINGS[:1]))
    assert "Everything is in order." in admin.post(HEALTH, status=200).main


def test_checks_without_an_end_are_not_taken_for_good(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    check_as(monkeypatch, Examination(FINDINGS[:1], "the checks did not end within 60 s"))
    page = admin.post(HEALTH, status=200)
    assert "did not come to their end" in page.main and "within 60 s" in page.main
    assert "in order" not in page.main


def test_second_check_at_the_same_time_is_refused(admin: Visitor) -> None:
    with examination._running:
        page = admin.post(HEALTH, status=200)
    assert "Everything is being checked already." in page.main
