"""The rules for missed calls, and for how long they count."""

import pytest

from app.domain.missed_calls import Target
from app.services.errors import Invalid, NotFound
from app.services.missed import rules
from app.store.database import Database
from app.store.missed_calls import MissedCallSettings
from tests.support.factories import NOW, create_missed_call_rule, create_module, log_of

SARA, SALES = Target(False, "101"), Target(True, "sales")


def save(database: Database, target: Target = SARA, module_id: int | None = None, minutes: int = 0) -> None:
    rules.save_rule(database, target, module_id, minutes, actor="sara", now=NOW)


def test_rule_is_stored_and_changed(database: Database) -> None:
    module = create_module(database, name="Desk", targets=["101", "102"])
    save(database)
    save(database, module_id=module.id, minutes=15)
    save(database, module_id=module.id, minutes=15)
    save(database, SALES)
    listed = rules.load_rules(database)
    assert [(each.rule.target, each.rule.minutes, each.module) for each in listed] == [
        (SARA, 15, "Desk"),
        (SALES, 0, None),
    ]
    first, second, queue = log_of(database)
    assert (first.action, first.subject, first.detail["target"]) == ("missed_calls_listed", "101", [None, "101"])
    assert second.detail == {"module": ["", "Desk"], "missed_minutes": [0, 15]}
    assert queue.detail["target"] == [None, "queue:sales"]


@pytest.mark.parametrize(
    ("target", "module", "minutes", "errors"),
    [
        (Target(False, ""), False, 0, {"target": "required"}),
        (Target(True, "a|b"), False, 0, {"target": "queue_name"}),
        (Target(False, "sara"), False, 0, {"target": "code"}),
        (Target(False, "103"), True, 0, {"module_id": "choice"}),
        (Target(True, "101"), True, 0, {"module_id": "choice"}),
        (SARA, True, 1441, {"minutes": "range"}),
    ],
)
def test_wrong_rule_is_refused(
    database: Database, target: Target, module: bool, minutes: int, errors: dict[str, str]
) -> None:
    module_id = create_module(database, targets=["101"]).id if module else None
    with pytest.raises(Invalid) as refused:
        save(database, target, module_id, minutes)
    assert refused.value.errors == errors
    assert rules.load_rules(database) == []


def test_module_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(Invalid) as refused:
        save(database, module_id=99)
    assert refused.value.errors == {"module_id": "choice"}


def test_rule_is_removed(database: Database) -> None:
    rule = create_missed_call_rule(database)
    rules.remove_rule(database, rule.id, actor="sara", now=NOW)
    assert rules.load_rules(database) == []
    (entry,) = log_of(database)
    assert (entry.action, entry.subject) == ("missed_calls_unlisted", "101")
    with pytest.raises(NotFound):
        rules.remove_rule(database, rule.id, actor="sara", now=NOW)


def test_times_are_stored(database: Database) -> None:
    assert rules.load_settings(database) == MissedCallSettings(look_back=24, kept=90)
    rules.save_settings(database, MissedCallSettings(48, 30), actor="sara", now=NOW)
    assert rules.load_settings(database) == MissedCallSettings(48, 30)
    (entry,) = log_of(database)
    assert entry.detail == {"missed_look_back": ["", "48"], "missed_kept": ["", "30"]}


@pytest.mark.parametrize(
    ("look_back", "kept", "errors"),
    [
        (0, 90, {"look_back": "range"}),
        (721, 90, {"look_back": "range"}),
        (24, 0, {"kept": "range"}),
        (48, 1, {"kept": "range"}),  # shorter than the look-back
    ],
)
def test_wrong_times_are_refused(database: Database, look_back: int, kept: int, errors: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        rules.save_settings(database, MissedCallSettings(look_back, kept), actor="sara", now=NOW)
    assert refused.value.errors == errors
