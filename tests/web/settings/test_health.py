"""The page that checks the whole installation."""

import pytest
from sqlalchemy import update

from app.config import Settings
from app.doctor.words import RELOAD
from app.domain.findings import Finding, Level, Line, Part, say
from app.services import examination
from app.services.examination import Examination
from app.store.database import Database
from app.store.models import User
from tests.support.factories import create_running_service
from tests.web.pages import Visitor

HEALTH = "/settings/health"
FINDINGS = (
    Finding(Level.OK, "database", say("The database (%(kind)s) is up to date.", kind="sqlite")),
    Finding(
        Level.WARNING,
        "disk",
        say("The disk of %(folder)s is nearly full.", folder="/var"),
        say("Make room: %(command)s", command=Line("du -xhd2 /")),
        Part.FILES,
    ),
    Finding(
        Level.FAULT,
        "route",
        say("No way to %(number)s.", number="<09>"),
        say("Add %(line)s; %(reload)s.", line=Line("exten => _0X.,1,Dial()"), reload=RELOAD),
        Part.PBX,
    ),
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


def test_findings_are_in_the_language_of_the_user(
    admin: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_as(monkeypatch, Examination((full_disk("/var/دفتر"), full_disk("/var/lib"))))
    with database.write() as session:
        session.execute(update(User).values(locale="fa"))
    admin.locale = "fa"
    page = admin.post(HEALTH, status=200)
    assert "دیسک" in page.main and "The disk" not in page.main and "۴۹ مگابایت" in page.main
    assert "<bdi>/var/دفتر</bdi>" in page.source and '<bdi dir="ltr">/var/lib</bdi>' in page.source
    assert '<code dir="ltr">du -xhd2 ' in page.source


def full_disk(folder: str) -> Finding:
    """Return what the doctor says of a disk that is nearly full."""
    space = say("%(free)s MB", free=49)
    words = "The disk of %(folder)s is nearly full: there is space for %(space)s. On a full disk no request is stored."
    advice = say("Make room. What needs it: %(command)s", command=Line("du -xhd2 / | sort -h | tail"))
    return Finding(Level.FAULT, "disk-full", say(words, folder=folder, space=space), advice, Part.FILES)


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
