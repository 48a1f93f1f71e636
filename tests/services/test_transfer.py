"""Settings that go from one office to another as a file: all or nothing, and never a password by accident."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.retention import Retention
from app.services import retention, transfer, users
from app.services.contacts import templates
from app.services.contacts.templates import ContactTemplates
from app.services.modules.transfer import BadFile
from app.services.prompts import digits
from app.services.settings import office as office_settings
from app.services.settings.hours import HoursInput
from app.services.settings.hours import load as load_hours
from app.services.settings.hours import save as save_hours
from app.store.database import Database
from app.store.models import AuditEntry, Module, User
from app.store.settings import speech, write_setting
from script.office.database import build_database, make_settings, open_database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, create_module, create_recording, store

FILE = f"uploads/{'a' * 64}.wav"
BY: dict[str, Any] = {"actor": "sara", "now": NOW}


@pytest.fixture
def library(office: Settings) -> SoundLibrary:
    found = SoundLibrary(office.prompts_path, office.voices_path)
    write_sound(office.prompts_path / FILE, tone(1.0))
    return found


@pytest.fixture
def other(tmp_path: Path) -> Any:
    folder = tmp_path / "other"
    folder.mkdir()
    opened = open_database(build_database(folder))
    yield opened
    opened.engine.dispose()


def add_user(database: Database, name: str, role: str = "operator", **values: Any) -> User:
    return store(
        database, User(name=name, password_hash=users._hash("correct horse"), role=role, created_at=NOW, **values)
    )


def furnish(database: Database, settings: Settings) -> None:
    create_module(database, code="*5001")
    given = office_settings.load(database, settings)
    office_settings.save(database, settings, replace(given, region="DE", min_talk=9, locale="en"), **BY)
    save_hours(database, HoursInput("sat 08:00-12:00", False, 60), **BY)
    retention.save(database, Retention(requests=365, names=7), **BY)
    program = ContactTemplates("https://crm.example/{number}", "https://crm.example/{number_e164}", "name")
    templates.save(database, settings, program, "Bearer s3cret", **BY)
    with database.write() as session:
        write_setting(session, "rate_en", "150")
    create_recording(database, FILE, seconds=1.0)
    digits.set_digit(database, "en", "7", FILE, NOW)
    add_user(database, "sara", "administrator")
    add_user(database, "omid", extensions=["101"], locale="fa", theme="dark")


def export(database: Database, settings: Settings, **options: Any) -> dict[str, Any]:
    exported: dict[str, Any] = json.loads(json.dumps(transfer.export_settings(database, settings, NOW, **options)))
    return exported


def load_file(database: Database, settings: Settings, library: SoundLibrary, content: Any) -> tuple[int, list[str]]:
    return transfer.import_settings(database, settings, library, content, NOW, actor="settings import")


def test_an_office_comes_out_as_it_went_in(
    database: Database, office: Settings, library: SoundLibrary, other: Database
) -> None:
    furnish(database, office)
    content = export(database, office, with_passwords=True)
    count, without = load_file(other, office, library, content)
    assert without == []
    assert count == 1 + 4 + 2 + 1 + 2  # module; office, hours, days, customer program; voices; digit; users
    assert export(other, office, with_passwords=True) == content
    assert retention.load(other) == Retention(requests=365, names=7)
    assert load_hours(other, office, NOW).input == HoursInput("sat 08:00-12:00", False, 60)
    assert digits.load_digit_files(other, "en") == {"7": FILE}
    with other.read() as session:
        assert speech(session, "en").rate == 150
    assert users.check_password(other, "omid", "correct horse") is not None
    assert load_file(other, office, library, content) == (count, [])  # once more changes nothing
    assert export(other, office, with_passwords=True) == content


def test_passwords_leave_only_if_they_are_wanted(
    database: Database, office: Settings, library: SoundLibrary, other: Database
) -> None:
    furnish(database, office)
    content = export(database, office)
    assert "argon2" not in json.dumps(content)
    assert "crm.example" in json.dumps(content) and "s3cret" not in json.dumps(content)
    _, without = load_file(other, office, library, content)
    assert sorted(without) == ["omid", "sara"]
    for name in without:
        for password in ("correct horse", "", "nobody has this password"):
            assert users.check_password(other, name, password) is None


def test_a_file_without_passwords_keeps_those_that_are_there(
    database: Database, office: Settings, library: SoundLibrary
) -> None:
    furnish(database, office)
    content = export(database, office)
    content["users"][0]["theme"] = "light"
    assert load_file(database, office, library, content)[1] == []
    assert users.check_password(database, "omid", "correct horse") is not None


def test_another_password_ends_the_sessions_of_the_user(
    database: Database, office: Settings, library: SoundLibrary
) -> None:
    furnish(database, office)
    content = export(database, office, with_passwords=True)
    content["users"] = [user for user in content["users"] if user["name"] == "omid"]
    content["users"][0]["password_hash"] = users._hash("another password")
    before = users.find_by_name(database, "omid").generation
    load_file(database, office, library, content)
    assert users.check_password(database, "omid", "another password") is not None
    assert users.find_by_name(database, "omid").generation == before + 1


def test_what_a_file_does_not_name_stays(database: Database, office: Settings, library: SoundLibrary) -> None:
    furnish(database, office)
    before = export(database, office)
    assert load_file(database, office, library, {"bazang": 1, "office": {"min_talk": 12}}) == (1, [])
    after = export(database, office)
    assert after["office"] == before["office"] | {"min_talk": 12}
    del before["office"], after["office"]
    assert after == before


def test_what_the_environment_gives_stays(database: Database, tmp_path: Path, library: SoundLibrary) -> None:
    fixed = make_settings(tmp_path, default_region="FR")
    load_file(database, fixed, library, {"bazang": 1, "office": {"region": "DE"}})
    assert office_settings.load(database, fixed).region == "FR"


DEAR = "$argon2id$v=19$m=99999999,t=3,p=4$YWJjZGVmZ2g$YWJj"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"office": {"region": "XX"}}, "office.region: is not one of the possible values"),
    ({"office": {"min_talk": "9"}}, "office.min_talk:"),
    ({"office": {"all_paused": True}}, "office.all_paused:"),
    ({"office": {"outbound_context": "a\nb"}}, "office.outbound_context:"),
    ({"hours": {"week": "whenever"}}, "hours.week:"),
    ({"kept_days": {"requests": 1}}, "kept_days.requests: is too small or too large"),
    ({"voices": {"de": {}}}, "voices.de:"),
    ({"voices": {"en": {"voice": "../x"}}}, "voices.en.voice:"),
    ({"digits": {"en": {"7": f"uploads/{'b' * 64}.wav"}}}, "digits.en.7:"),
    ({"digits": {"en": {"7": "../secret_key"}}}, "digits.en.7:"),
    ({"digits": {"en": {"x": FILE}}}, "digits.en.x:"),
    ({"users": [{"name": "mina", "role": "king"}]}, "users[0].role:"),
    ({"users": [{"name": "a\nb", "role": "operator"}]}, "users[0].name:"),
    ({"users": [{"name": "omid", "role": "operator", "extensions": ["1;2"]}]}, "users[0].extensions:"),
    ({"users": [{"name": "sara", "role": "operator"}]}, "users[0].role: would leave no active administrator"),
    ({"users": [{"name": "m", "role": "operator", "password_hash": "plain text"}]}, "users[0]: password_hash"),
    (
        {
            "users": [
                {"name": "m", "role": "operator", "password_hash": "$argon2id$v=19$m=99999999,t=3,p=4$YWJjZGVmZ2g$YWJj"}
            ]
        },
        "users[0]: password_hash: takes too much",
    ),
    ({"modules": [{"name": "x"}]}, "modules[0].code:"),
    ({"nonsense": 1}, "nonsense:"),
]


@pytest.mark.parametrize(("change", "error"), WRONG)
def test_a_wrong_file_changes_nothing_and_says_where(
    database: Database, office: Settings, library: SoundLibrary, change: dict[str, Any], error: str
) -> None:
    furnish(database, office)
    before = export(database, office, with_passwords=True)
    entries = count_entries(database)
    content = {"bazang": 1, "office": {"min_talk": 12}, "users": [{"name": "new", "role": "operator"}]}
    with pytest.raises(BadFile) as refused:
        load_file(database, office, library, copy.deepcopy(content | change))
    assert any(line.startswith(error) for line in refused.value.errors), refused.value.errors
    assert export(database, office, with_passwords=True) == before
    assert count_entries(database) == entries


def count_entries(database: Database) -> tuple[int, int]:
    with database.read() as session:
        found = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (AuditEntry, Module)]
    return found[0], found[1]


@pytest.mark.parametrize("content", [None, [], "x", 1, {}, {"bazang": 2}])
def test_what_is_no_file_of_ours_is_refused(
    database: Database, office: Settings, library: SoundLibrary, content: Any
) -> None:
    with pytest.raises(BadFile):
        load_file(database, office, library, content)
