"""Pausing all automatic calls: by whom, since when, and only once."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from app.config import Settings
from app.services.errors import Forbidden, Invalid
from app.services.requests.attempts import claim_due
from app.services.requests.pause import Pause, load_pause, pause, resume
from app.services.settings import office
from app.store.database import Database
from script.office.database import make_settings
from tests.services.scene import HOUR, OPERATOR, OTHER_SUPERVISOR, SUPERVISOR
from tests.support.factories import NOW, create_module, create_request, log_of, make_facts, make_line, run_at_once


def loaded(database: Database) -> Pause | None:
    with database.read() as session:
        return load_pause(session)


@pytest.fixture
def office_settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, outbound_context="from-internal")


def test_a_pause_names_the_user_the_time_and_the_reason(database: Database) -> None:
    expected = Pause("sara", NOW, "maintenance of the lines")
    assert pause(database, SUPERVISOR, " maintenance of the lines ", NOW) == loaded(database) == expected
    assert resume(database, OTHER_SUPERVISOR, NOW + HOUR) == expected
    assert loaded(database) is None
    assert [(entry.actor, entry.action, entry.at) for entry in log_of(database)] == [
        ("sara", "calls_paused", NOW),
        ("maryam", "calls_resumed", NOW + HOUR),
    ]


def test_a_second_pause_and_a_second_resume_change_nothing(database: Database) -> None:
    first = pause(database, SUPERVISOR, "", NOW)
    assert pause(database, OTHER_SUPERVISOR, "another reason", NOW + HOUR) == first
    resume(database, SUPERVISOR, NOW)
    assert resume(database, OTHER_SUPERVISOR, NOW) is None
    assert len(log_of(database)) == 2


def test_two_pauses_at_the_same_time_make_one(database: Database) -> None:
    scopes = (SUPERVISOR, OTHER_SUPERVISOR) * 2
    pauses = run_at_once([partial(pause, database, scope, "", NOW) for scope in scopes])
    assert {made.by for made in pauses} == {log_of(database)[0].actor}
    assert len(log_of(database)) == 1


def test_nothing_is_dialled_during_a_pause(database: Database, office_settings: Settings) -> None:
    create_request(database, create_module(database), target="101")
    pause(database, SUPERVISOR, "", NOW)
    facts = make_facts([make_line("101")])
    assert claim_due(database, office_settings, facts, NOW).orders == ()
    resume(database, SUPERVISOR, NOW)
    assert len(claim_due(database, office_settings, facts, NOW).orders) == 1


def test_an_operator_may_neither_pause_nor_resume(database: Database) -> None:
    with pytest.raises(Forbidden):
        pause(database, OPERATOR, "", NOW)
    pause(database, SUPERVISOR, "", NOW)
    with pytest.raises(Forbidden):
        resume(database, OPERATOR, NOW)
    assert loaded(database) is not None


@pytest.mark.parametrize(("reason", "code"), [("x" * 201, "too_long"), ("a\nb", "characters")])
def test_a_reason_is_one_short_line(database: Database, reason: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        pause(database, SUPERVISOR, reason, NOW)
    assert refused.value.errors == {"reason": code}


def test_the_settings_page_pauses_and_resumes_as_well(database: Database, office_settings: Settings) -> None:
    given = replace(office.load(database, office_settings), all_paused=True)
    office.save(database, office_settings, given, actor="omid", now=NOW)
    assert loaded(database) == Pause("omid", NOW)
    office.save(database, office_settings, given, actor="sara", now=NOW + HOUR)
    assert loaded(database) == Pause("omid", NOW)  # it was paused before
    office.save(database, office_settings, replace(given, all_paused=False), actor="sara", now=NOW)
    assert loaded(database) is None
