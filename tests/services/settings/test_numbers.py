"""The settings of the number policy."""

import pytest

from app.config import Settings
from app.domain.number_kinds import NumberKind
from app.domain.number_policy import ORDINARY, PrefixRule, Rule, Source
from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.requests import number_lists
from app.services.settings import numbers
from app.store.database import Database
from app.store.number_policy import RuleKind
from tests.support.factories import NOW, create_line, log_of


def add(database: Database, office: Settings, kind: str, value: str, *, typed: bool = False, note: str = "") -> None:
    numbers.add_rule(database, office, kind, value, typed=typed, note=note, actor="sara", now=NOW)


def errors_of(database: Database, office: Settings, kind: str, value: str, note: str = "") -> dict[str, str]:
    with pytest.raises(Invalid) as invalid:
        add(database, office, kind, value, note=note)
    return invalid.value.errors


def test_new_office_allows_ordinary_kinds_of_its_own_country(database: Database, office: Settings) -> None:
    policy, rules = numbers.load(database, office)
    assert (policy.region, policy.kinds, policy.typed_kinds) == ("IR", ORDINARY, ORDINARY)
    assert (policy.countries, policy.prefixes, rules) == (frozenset(), (), [])


def test_kinds_are_saved_with_the_typed_ones_among_them(database: Database, office: Settings) -> None:
    numbers.save_kinds(database, ["landline", "mobile", "shared_cost"], ["mobile"], actor="sara", now=NOW)
    policy, _ = numbers.load(database, office)
    assert policy.kinds == {NumberKind.LANDLINE, NumberKind.MOBILE, NumberKind.SHARED_COST}
    assert policy.typed_kinds == {NumberKind.MOBILE}
    numbers.save_kinds(database, [], [], actor="sara", now=NOW)
    assert numbers.load(database, office)[0].kinds == frozenset()
    assert [entry.action for entry in log_of(database)] == ["settings_saved"] * 2


@pytest.mark.parametrize(
    ("kinds", "typed", "errors"),
    [
        (["premium"], [], {"kinds": ErrorCode.CHOICE}),
        (["x"], [], {"kinds": ErrorCode.CHOICE}),
        (["landline"], ["mobile"], {"typed_kinds": ErrorCode.STRICTER}),
    ],
)
def test_invalid_kinds_are_refused(
    database: Database, kinds: list[str], typed: list[str], errors: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as invalid:
        numbers.save_kinds(database, kinds, typed, actor="sara", now=NOW)
    assert invalid.value.errors == errors


def test_rules_are_added_and_removed(database: Database, office: Settings) -> None:
    add(database, office, "country", "GB", typed=True, note="our branch")
    add(database, office, "allow", "0049 30")
    add(database, office, "refuse", "۰۹۱۲", typed=True)
    policy, rules = numbers.load(database, office)
    assert (policy.countries, policy.typed_countries) == (frozenset({"GB"}), frozenset({"GB"}))
    assert policy.prefixes == (PrefixRule("+4930", True), PrefixRule("+98912", False))
    assert [(rule.kind, rule.value, rule.typed, rule.note) for rule in rules] == [
        (RuleKind.COUNTRY, "GB", True, "our branch"),
        (RuleKind.ALLOW, "+4930", False, ""),
        (RuleKind.REFUSE, "+98912", False, ""),
    ]
    for rule in rules:
        numbers.remove_rule(database, rule.id, actor="sara", now=NOW)
    assert numbers.load(database, office)[1] == []
    with pytest.raises(NotFound):
        numbers.remove_rule(database, rules[0].id, actor="sara", now=NOW)
    actions = [(entry.action, entry.subject) for entry in log_of(database)]
    subjects = ["GB", "+4930", "+98912"]
    assert actions == [(f"number_rule_{what}", subject) for what in ("added", "removed") for subject in subjects]


def test_invalid_rules_are_refused(database: Database, office: Settings) -> None:
    assert errors_of(database, office, "x", "+4420", "a\u202eb") == {
        "kind": ErrorCode.CHOICE,
        "note": ErrorCode.CHARACTERS,
    }
    assert errors_of(database, office, "country", "XX", "x" * 201) == {
        "value": ErrorCode.CHOICE,
        "note": ErrorCode.TOO_LONG,
    }
    assert errors_of(database, office, "country", "IR") == {"value": ErrorCode.CHOICE}, "it is always allowed"
    assert errors_of(database, office, "allow", "") == {"value": ErrorCode.REQUIRED}
    assert errors_of(database, office, "allow", "+1") == {"value": ErrorCode.PREFIX}
    assert errors_of(database, office, "refuse", "09x") == {"value": ErrorCode.PREFIX}
    add(database, office, "allow", "+4420")
    assert errors_of(database, office, "refuse", "0044 20") == {"value": ErrorCode.TAKEN}


def test_number_is_tried_with_its_source(database: Database, office: Settings) -> None:
    create_line(database, "101")
    add(database, office, "country", "GB")
    number_lists.add_entry(database, office, "block", "09121234567", "", actor="sara", now=NOW)
    tried = {
        ("+442071838750", Source.CALLER_ID): (Rule.ALLOWED, False),
        ("+442071838750", Source.TYPED): (Rule.FOREIGN, False),
        ("09121234567", Source.TYPED): (Rule.ALLOWED, True),
        ("101", Source.TYPED): (Rule.INSIDE, False),
        ("x" * 1000, Source.PANEL): (Rule.INVALID, False),
    }
    for (text, source), expected in tried.items():
        trial = numbers.try_number(database, office, text, source)
        assert (trial.verdict.rule, trial.blocked) == expected
