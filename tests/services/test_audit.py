"""The audit log: every change with its old and new values, and without secrets."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.routing import HANG_UP, Destination, Situation
from app.services import audit, users
from app.services.audit import AuditFilter, changes, read
from app.services.errors import Invalid
from app.services.modules.save import delete_module, save_module
from app.services.modules.transfer import BadFile, export_settings, import_settings
from app.services.pbx.scenarios import ExtensionInput, QueueInput, save_scenario
from app.services.prompts import digits, recordings
from app.services.prompts.input import PromptInput
from app.services.settings import office
from app.services.users import UserInput
from app.store import settings as store_settings
from app.store.database import Database
from tests.services.scene import HOUR
from tests.support.factories import NOW, create_recording, log_of, make_module_input

LATER = NOW + HOUR
PASSWORD = "a long password"


def add_entry(database: Database, n: int, **kwargs: Any) -> None:
    values = {"actor": "sara", "action": "module_saved", "subject": f"Sales {n}", "detail": {}}
    with database.write() as session:
        audit.record(session, **(values | kwargs), now=NOW + timedelta(minutes=n))


def last(database: Database) -> tuple[str, str, str, dict[str, object]]:
    entry = log_of(database)[-1]
    return entry.actor, entry.action, entry.subject, entry.detail


# -- writing ----------------------------------------------------------------------------------------------------------


def test_only_changed_fields_are_recorded() -> None:
    old, new = {"name": "Sales", "rest": 10, "gone": 1}, {"name": "Purchase", "rest": 10, "fresh": [1]}
    assert changes(old, new) == {"name": ["Sales", "Purchase"], "gone": [1, None], "fresh": [None, [1]]}
    assert changes(old, old) == {}


def test_values_of_secrets_are_hidden() -> None:
    assert changes({"s": "old"}, {"s": "new"}, secret=["s"]) == {"s": ["***", "***"]}
    assert changes({"s": ""}, {"s": "new"}, secret=["s"]) == {"s": ["", "***"]}


def test_changes_of_a_module_are_recorded(database: Database) -> None:
    given = make_module_input(prompts={"intro": PromptInput(text="Hello")})
    module_id = save_module(database, given, NOW, actor="sara")
    actor, action, subject, detail = last(database)
    assert (actor, action, subject) == ("sara", "module_saved", "Sales (*5001)")
    assert detail["name"] == [None, "Sales"]
    assert detail["prompt_intro"] == [None, "Hello"]
    changed = replace(given, targets=("102",), rest=20, prompts={"intro": PromptInput("none")})
    save_module(database, changed, LATER, module_id=module_id, actor="omid")
    assert last(database) == (
        "omid",
        "module_saved",
        "Sales (*5001)",
        {"rest": [10, 20], "targets": [["101"], ["102"]], "prompt_intro": ["Hello", "none"]},
    )
    save_module(database, changed, LATER, module_id=module_id, actor="omid")
    assert len(log_of(database)) == 2  # nothing changed
    delete_module(database, module_id, LATER, actor="sara")
    actor, action, subject, detail = last(database)
    assert (actor, action, subject) == ("sara", "module_deleted", "Sales (*5001)")
    assert detail["rest"] == [20, None]


def test_refused_input_is_not_recorded(database: Database) -> None:
    with pytest.raises(Invalid):
        save_module(database, make_module_input(name=""), NOW, actor="sara")
    assert log_of(database) == []


def test_changes_of_scenarios_are_recorded(database: Database) -> None:
    save_scenario(database, ExtensionInput("101", 25), now=NOW, actor="sara")
    changed = ExtensionInput("101", 30, {Situation.BUSY: Destination("extension", "102")})
    save_scenario(database, changed, now=NOW, actor="sara")
    expected = {"ring": [25, 30], "busy": ["", "extension 102"]}
    assert last(database) == ("sara", "extension_saved", "101", expected)
    save_scenario(database, QueueInput("support"), now=NOW, actor="sara")
    save_scenario(database, QueueInput("support", 90, 5, HANG_UP), now=NOW, actor="omid")
    expected = {"max_wait": [60, 90], "wrapup": [0, 5], "failed": ["", "hangup"]}
    assert last(database) == ("omid", "queue_saved", "support", expected)


def test_changes_of_settings_are_recorded(database: Database, office: Settings) -> None:
    save_office(database, office, caller_id="02188881234")
    actor, action, _, detail = last(database)
    assert (actor, action, detail["caller_id"]) == ("sara", "settings_saved", ["", "02188881234"])
    save_office(database, office, caller_id="02188881235")
    assert last(database)[3] == {"caller_id": ["02188881234", "02188881235"]}
    assert "ami_secret" in store_settings.SECRETS


def save_office(database: Database, settings: Settings, **kwargs: Any) -> None:
    given = replace(office.load(database, settings), **kwargs)
    office.save(database, settings, given, actor="sara", now=NOW)


def test_changes_of_users_are_recorded_without_passwords(database: Database) -> None:
    user = users.create(database, "omid", PASSWORD, "operator", NOW, extensions=["101"], actor="sara")
    actor, action, subject, detail = last(database)
    assert (actor, action, subject) == ("sara", "user_created", "omid")
    assert detail["extensions"] == [None, ["101"]]
    users.change(database, user, UserInput("supervisor", (), active=False), NOW, actor="sara")
    expected = {"role": ["operator", "supervisor"], "extensions": [["101"], []], "active": [True, False]}
    assert last(database) == ("sara", "user_changed", "omid", expected)
    users.reset_password(database, user, "another long one", NOW, actor="sara")
    assert last(database) == ("sara", "password_reset", "omid", {})
    users.change_password(database, user, "another long one", "a third long one", NOW)
    assert last(database) == ("omid", "password_changed", "omid", {})
    assert not any("long" in str(entry.detail) or "argon" in str(entry.detail) for entry in log_of(database))


def test_an_import_records_only_what_it_changes(database: Database, tmp_path: Path) -> None:
    save_module(database, make_module_input(), NOW, actor="sara")
    save_scenario(database, QueueInput("support"), now=NOW, actor="sara")
    content = export_settings(database)
    library = SoundLibrary(tmp_path)
    before = len(log_of(database))
    import_settings(database, library, content, LATER, actor="omid")
    assert len(log_of(database)) == before
    content["modules"][0]["rest"] = 20
    content["queues"][0]["wrapup"] = 7
    import_settings(database, library, content, LATER, actor="omid")
    found = [(entry.actor, entry.action, entry.detail) for entry in log_of(database)[before:]]
    assert found == [("omid", "module_saved", {"rest": [10, 20]}), ("omid", "queue_saved", {"wrapup": [0, 7]})]
    content["modules"][0] |= {"name": "New", "code": "x"}
    with pytest.raises(BadFile):
        import_settings(database, library, content, LATER, actor="omid")
    assert len(log_of(database)) == before + 2


def test_changes_of_recordings_and_digits_are_recorded(database: Database, tmp_path: Path) -> None:
    create_recording(database, "uploads/a.wav", name="Hello")
    recordings.rename(database, "uploads/a.wav", "Good day", actor="sara", now=NOW)
    assert last(database) == ("sara", "recording_renamed", "Good day", {"name": ["Hello", "Good day"]})
    digits.set_digit(database, "fa", "1", "uploads/a.wav", actor="sara", now=NOW)
    assert last(database) == ("sara", "digit_changed", "fa 1", {"file": ["", "uploads/a.wav"]})
    digits.set_digit(database, "fa", "1", None, actor="sara", now=NOW)
    digits.set_digit(database, "fa", "1", None, actor="sara", now=NOW)
    assert last(database) == ("sara", "digit_changed", "fa 1", {"file": ["uploads/a.wav", ""]})
    recordings.delete(database, SoundLibrary(tmp_path), "uploads/a.wav", actor="sara", now=NOW)
    assert last(database) == ("sara", "recording_deleted", "Good day", {"file": ["uploads/a.wav", ""]})
    assert len(log_of(database)) == 4


# -- reading ----------------------------------------------------------------------------------------------------------


def test_the_newest_entry_comes_first(database: Database) -> None:
    for n in range(5):
        add_entry(database, n)
    pages = [read(database, page=page, per_page=2) for page in (1, 2, 3)]
    assert [entry.subject[-1] for page in pages for entry in page.entries] == ["4", "3", "2", "1", "0"]
    assert {(page.total, page.pages) for page in pages} == {(5, 3)}
    assert read(database, page=99, per_page=2).page == 3
    assert read(database, page=-1, per_page=2).page == 1


def test_filters(database: Database) -> None:
    add_entry(database, 1)
    add_entry(database, 2, actor="omid")
    add_entry(database, 3, action="user_created", subject="سارا")

    def found(**kwargs: Any) -> list[str]:
        return [entry.subject for entry in read(database, AuditFilter(**kwargs)).entries]

    assert found(actor="omid") == ["Sales 2"]
    assert found(action="module_saved") == ["Sales 2", "Sales 1"]
    assert found(subject="sales") == ["Sales 2", "Sales 1"]
    assert found(subject="سار") == ["سارا"]
    assert found(subject="%") == []
    assert found(since=NOW + timedelta(minutes=2)) == ["سارا", "Sales 2"]
    assert found(until=NOW + timedelta(minutes=2)) == ["Sales 1"]
    assert audit.actors(database) == ["omid", "sara"]
    assert audit.actions(database) == ["module_saved", "user_created"]


def test_a_long_subject_is_cut(database: Database) -> None:
    add_entry(database, 1, subject="x" * 500)
    assert len(log_of(database)[0].subject) == audit.LONGEST_SUBJECT


def test_an_unknown_action_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="moon_phased"):
        add_entry(database, 1, action="moon_phased")


def test_no_code_changes_entries_or_deletes_them_but_by_their_age() -> None:
    app = Path(audit.__file__).parents[1]
    sources = {path.relative_to(app).as_posix(): path.read_text(encoding="utf-8") for path in app.rglob("*.py")}
    users = {name for name, text in sources.items() if "AuditEntry" in text}
    assert users == {"store/models.py", "services/audit.py", "services/retention.py", "web/audit/wording.py"}
    assert {name for name, text in sources.items() if re.search(r"\bAuditEntry\(", text)} == {
        "store/models.py",
        "services/audit.py",
    }
    assert not re.search(r"\b(delete|update|merge|insert)\(", sources["services/audit.py"])
    retention = sources["services/retention.py"]
    assert re.findall(r"\b(?:delete|update|merge|insert|AuditEntry)\(AuditEntry\b", retention) == ["delete(AuditEntry"]
    assert "AuditEntry.at <= before" in retention
