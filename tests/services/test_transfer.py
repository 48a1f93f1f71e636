"""Settings that go from one office to another as a file: all or nothing, and never a password by accident."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app import doctor
from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.retention import Retention
from app.services import retention, transfer, users
from app.services.contacts import templates
from app.services.contacts.templates import ContactTemplates
from app.services.modules.transfer import BadFile
from app.services.prompts import digits
from app.services.settings import mail
from app.services.settings import office as office_settings
from app.services.settings.hours import HoursInput
from app.services.settings.hours import load as load_hours
from app.services.settings.hours import save as save_hours
from app.services.settings.mail import MailInput
from app.services.webhooks import destinations, mail_destinations
from app.services.webhooks.destinations import WebhookInput
from app.services.webhooks.mail_destinations import MailDestinationInput
from app.services.website import forms
from app.services.website.forms import FormInput, FormView
from app.store.database import Database
from app.store.models import AuditEntry, Module, User, Webhook, WebsiteForm
from app.store.settings import speech, write_setting
from script.office.database import build_database, make_settings, open_database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import (
    NOW,
    create_mail_destination,
    create_module,
    create_recording,
    create_webhook,
    store,
)
from tests.support.rows import for_each

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


@pytest.fixture
def furnished(database: Database, office: Settings) -> None:
    furnish(database, office)


@for_each(("change", "error"), WRONG)
def test_a_wrong_file_changes_nothing_and_says_where(
    database: Database,
    office: Settings,
    furnished: None,
    library: SoundLibrary,
    change: dict[str, Any],
    error: str,
) -> None:
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


# -- webhooks and e-mail ----------------------------------------------------------------------------------------------


def add_destinations(database: Database, settings: Settings) -> None:
    """Enter a mail server, a webhook and a recipient, of the module *5001."""
    with database.read() as session:
        module = session.scalars(select(Module.id)).one()
    server = MailInput(
        "smtp.example.org",
        mail_username="bazang",
        mail_password="s3cret-of-mail",
        mail_sender="bazang@example.org",
    )
    mail.save(database, settings, server, **BY)
    given = WebhookInput(
        name="CRM",
        url="https://crm.example.org/hook?key=s3cret",
        events=["request.failed"],
        modules=[module],
        header_name="X-API-KEY",
        header_value="s3cret-of-header",
    )
    destinations.add(database, settings, given, **BY)
    recipient = MailDestinationInput(events=["trunk.trouble"], modules=[module], summary="weekly")
    mail_destinations.add(database, recipient, ["sara@example.org"], **BY)


def test_webhooks_and_email_go_over_without_secrets_and_paused(
    office: Settings, database: Database, other: Database, library: SoundLibrary, tmp_path: Path
) -> None:
    furnish(database, office)
    add_destinations(database, office)
    content = transfer.export_settings(database, office, NOW)
    assert "s3cret" not in json.dumps(content) and "whsec_" not in json.dumps(content)
    assert content["webhooks"][0]["modules"] == content["recipients"][0]["modules"] == ["*5001"]
    there = make_settings(tmp_path / "other")
    create_module(other, code="*5099")  # so that the module gets another id there
    for _time in range(2):
        transfer.import_settings(other, there, library, json.loads(json.dumps(content)), NOW, **{"actor": "omid"})
    assert mail.load(other).mail_host == "smtp.example.org" and not mail.has_password(other)
    with other.read() as session:
        crm, sara = session.scalars(select(Webhook).order_by(Webhook.name)).all()
        module = session.scalars(select(Module.id).where(Module.code == "*5001")).one()
    assert (crm.name, crm.url, crm.header_value, crm.paused_at) == ("CRM", "", "", NOW)
    assert (crm.header_name, crm.events, crm.modules) == ("X-API-KEY", " request.failed ", f" {module} ")
    assert (sara.channel, sara.recipient, sara.summary, sara.paused_at) == ("mail", "sara@example.org", "weekly", NOW)
    assert sara.modules == f" {module} "


def test_an_unchanged_destination_keeps_its_state_and_a_changed_one_its_secrets(
    office: Settings, database: Database, library: SoundLibrary
) -> None:
    furnish(database, office)
    add_destinations(database, office)
    content = transfer.export_settings(database, office, NOW)
    with database.read() as session:
        before = {row.name: (row.url, row.secret, row.header_value) for row in session.scalars(select(Webhook))}
    transfer.import_settings(database, office, library, copy.deepcopy(content), NOW, actor="omid")
    with database.read() as session:
        assert [row.paused_at for row in session.scalars(select(Webhook))] == [None, None]
    assert mail.has_password(database)
    content["webhooks"][0]["events"] = ["request.done"]
    content["recipients"][0]["summary"] = "daily"
    transfer.import_settings(database, office, library, content, NOW, actor="omid")
    with database.read() as session:
        rows = session.scalars(select(Webhook)).all()
        assert {row.name: (row.url, row.secret, row.header_value) for row in rows} == before
        assert [row.paused_at for row in rows] == [NOW, NOW]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"mail": {"mail_host": "smtp.example.org", "mail_sender": "sara"}}, "mail.mail_sender: is not an address"),
        ({"mail": {"mail_password": "secret"}}, "mail.mail_password"),
        ({"webhooks": [{"name": "CRM", "events": []}]}, "webhooks[0].events: is required"),
        ({"webhooks": [{"name": "CRM", "events": ["request.done"], "url": "https://x"}]}, "webhooks[0].url"),
        ({"recipients": [{"address": "sara", "events": ["request.done"]}]}, "recipients[0].address: is not an address"),
        ({"recipients": [{"address": "a@b.c", "modules": ["*9"], "summary": "daily"}]}, "'*9' is not the code"),
    ],
)
def test_a_destination_with_an_error_stores_nothing(
    office: Settings, database: Database, library: SoundLibrary, part: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadFile) as error:
        transfer.import_settings(database, office, library, {"bazang": 1} | part, NOW, actor="sara")
    assert says in str(error.value)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Webhook)) == 0


# -- website forms ----------------------------------------------------------------------------------------------------


def add_form(database: Database, **values: Any) -> int:
    with database.read() as session:
        module = session.scalars(select(Module).where(Module.code == "*5001")).one()
    origins = "https://www.example.org\nhttps://example.org"
    given = FormInput(name="Home", module_id=module.id, target=module.targets[0], origins=origins, daily_limit=7)
    return forms.add(database, replace(given, **values), **BY)


def list_forms(database: Database) -> list[FormView]:
    with database.read() as session:
        return forms.list_forms(session)


def test_a_website_form_goes_over_without_its_key(
    office: Settings, database: Database, other: Database, library: SoundLibrary
) -> None:
    furnish(database, office)
    form = forms.load(database, add_form(database, language="en", asks_name=False, privacy="We keep it for a month."))
    content = export(database, office)
    assert form.key not in json.dumps(content)
    assert content["website_forms"] == [
        {
            **{"name": "Home", "active": True, "module": "*5001", "target": form.target},
            **{"origins": ["https://www.example.org", "https://example.org"], "language": "en", "asks_name": False},
            **{"offers_times": False, "privacy": "We keep it for a month.", "daily_limit": 7},
        }
    ]
    create_module(other, code="*5099")  # so that the module gets another id there
    load_file(other, office, library, content)
    (there,) = list_forms(other)
    assert there.registers and len(there.key) == len(form.key) and there.key != form.key
    assert export(other, office)["website_forms"] == content["website_forms"]
    entries = count_entries(other)
    load_file(other, office, library, content)  # once more changes nothing
    assert list_forms(other) == [there] and count_entries(other) == entries


def test_an_import_changes_what_it_names_of_a_form_and_keeps_its_key(
    office: Settings, database: Database, library: SoundLibrary
) -> None:
    furnish(database, office)
    before = forms.load(database, add_form(database))
    load_file(database, office, library, {"bazang": 1, "website_forms": [{"name": "Home", "daily_limit": 9}]})
    assert list_forms(database) == [replace(before, daily_limit=9)]


def test_a_form_without_a_module_is_not_in_the_file(office: Settings, database: Database) -> None:
    furnish(database, office)
    form_id = add_form(database)
    with database.write() as session:
        session.get_one(WebsiteForm, form_id).module_id = None
    assert export(database, office)["website_forms"] == []


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"module": "*9"}, "website_forms[0]: module: '*9' is not the code of a module"),
        ({}, "website_forms[0].module_id: is not one"),
        ({"module": "*5001", "key": "abc"}, "website_forms[0].key"),
        ({"module": "*5001", "origins": []}, "website_forms[0].origins: is required"),
        ({"module": "*5001", "origins": ["javascript:alert(1)"]}, "website_forms[0].origins"),
        ({"module": "*5001", "origins": ["https://a.example https://b.example\x00"]}, "website_forms[0].origins"),
        ({"module": "*5001", "daily_limit": 0}, "website_forms[0].daily_limit: is too small or too large"),
        ({"module": "*5001", "privacy": "x" * 301}, "website_forms[0].privacy"),
    ],
)
def test_a_form_with_an_error_stores_nothing(
    office: Settings, database: Database, library: SoundLibrary, form: dict[str, Any], says: str
) -> None:
    furnish(database, office)
    complete: dict[str, Any] = {"name": "Home", "origins": ["https://www.example.org"]}
    with pytest.raises(BadFile) as error:
        load_file(database, office, library, {"bazang": 1, "website_forms": [complete | form]})
    assert says in str(error.value)
    assert list_forms(database) == []


def test_the_doctor_names_what_is_not_sent(office: Settings, database: Database) -> None:
    assert list(doctor.check_messages(office, database)) == []
    create_webhook(database, name="CRM", paused_at=NOW, failing_since=NOW)
    create_mail_destination(database, failures=5, failing_since=NOW)
    paused, failing = doctor.check_messages(office, database)
    assert "webhook CRM is paused" in paused.text and "Settings > Webhooks" in paused.fix
    assert "recipient sara@example.org has taken no message" in failing.text
    with database.write() as session:
        for name, value in (("mail_host", "h.example.org"), ("mail_port", "25"), ("mail_security", "none")):
            write_setting(session, name, value)
        write_setting(session, "mail_sender", "bazang@example.org")
        write_setting(session, "mail_password", "encrypted:1:of-another-key")
    assert "another key" in list(doctor.check_messages(office, database))[-1].text
