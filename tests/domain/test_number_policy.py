"""Which numbers may be called, and which rule decides."""

from collections import Counter
from dataclasses import replace

import pytest

from app.domain.number_kinds import NumberKind
from app.domain.number_policy import CHOICES, NumberPolicy, PrefixRule, Rule, Source, Verdict, judge, judge_number
from app.domain.numbers import NotANumber, NumberPlan, national, normalize
from tests.support import number_corpus

TEHRAN = NumberPlan("IR", "021", frozenset({"101", "115"}))
POLICY = NumberPolicy("IR")
LONDON = "+442071838750"
ABROAD = NumberPolicy("IR", countries=frozenset({"GB", "TR"}), typed_countries=frozenset({"TR"}))


def rule(
    raw: str, source: Source = Source.CALLER_ID, policy: NumberPolicy = POLICY, *, from_inside: bool = False
) -> Rule:
    return judge(raw, replace(TEHRAN, region=policy.region), policy, source, from_inside=from_inside).rule


# -- the corpus -------------------------------------------------------------------------------------------------------


def test_corpus_is_large() -> None:
    places = {entry.place.region for entry in number_corpus.ordinary()}
    assert len({(entry.place, entry.text) for entry in number_corpus.hostile()}) >= 600
    assert len({(entry.place, entry.text) for entry in number_corpus.ordinary()}) >= 300
    assert len(places) >= 40
    assert {rule for rule in Rule if not rule.allows} - {entry.rule for entry in number_corpus.hostile()} == {
        Rule.PREFIX_REFUSED
    }


@pytest.mark.many
@pytest.mark.parametrize("source", Source)
def test_no_hostile_number_is_allowed_and_the_right_rule_refuses_it(source: Source) -> None:
    wrong = []
    for entry in number_corpus.hostile():
        plan = NumberPlan(entry.place.region, entry.place.area_code, frozenset(number_corpus.EXTENSIONS))
        verdict = judge(entry.text, plan, NumberPolicy(entry.place.region), source)
        if verdict.allows or verdict.rule is not entry.rule:
            wrong.append((entry, verdict))
        if verdict.number and verdict.rule is not Rule.EXTENSION:
            assert judge_number(verdict.number, NumberPolicy(entry.place.region), source) == verdict
    assert wrong == []


@pytest.mark.many
@pytest.mark.parametrize("source", Source)
def test_every_ordinary_number_is_dialled(source: Source) -> None:
    for entry in number_corpus.ordinary():
        assert judge_number(entry.number, NumberPolicy(entry.place.region), source).allows, entry


@pytest.mark.many
@pytest.mark.parametrize("source", Source)
def test_every_ordinary_number_is_allowed(source: Source) -> None:
    wrong = []
    for entry in number_corpus.ordinary():
        plan = NumberPlan(entry.place.region, entry.place.area_code, frozenset(number_corpus.EXTENSIONS))
        verdict = judge(entry.text, plan, NumberPolicy(entry.place.region), source)
        if (verdict.rule, verdict.number, verdict.kind) != (Rule.ALLOWED, entry.number, entry.kind):
            wrong.append((entry, verdict))
    assert wrong == []


@pytest.mark.many
@pytest.mark.parametrize(
    ("region", "area_code"),
    [("IR", "021"), ("IR", "021888"), ("DE", "030"), ("DE", "035601"), ("AT", "01"), ("US", "212"), ("FI", "09")],
)
def test_no_text_of_four_digits_is_a_number(region: str, area_code: str) -> None:
    plan, found = NumberPlan(region, area_code), []
    for digits in range(10_000):
        try:
            found.append(normalize(f"{digits:04}", plan))
        except NotANumber:
            continue
    assert found == []


def test_data_of_the_library_is_corrected_both_ways() -> None:
    """The known leaks, and the numbers of companies that were refused."""
    known = {
        ("US", "2129761234"): Rule.COSTLY,
        ("US", "8009761234"): Rule.ALLOWED,
        ("CA", "6002012345"): Rule.COSTLY,
        ("AU", "0145101234"): Rule.COSTLY,
        ("AU", "0147101234"): Rule.COSTLY,
        ("GB", "03001234567"): Rule.ALLOWED,
        ("GB", "08001234567"): Rule.ALLOWED,
        ("GB", "08441234567"): Rule.KIND,
        ("GB", "08711234567"): Rule.COSTLY,
        ("TR", "4441234"): Rule.ALLOWED,
        ("DE", "01371234567"): Rule.COSTLY,
        ("GB", "+881612345678"): Rule.COSTLY,
    }
    plans = {key: judge(key[1], NumberPlan(key[0]), NumberPolicy(key[0]), Source.TYPED).rule for key in known}
    assert plans == known


# -- inside, short and emergency numbers ------------------------------------------------------------------------------


def test_extension_is_allowed_only_from_inside() -> None:
    assert judge("۱۰۱", TEHRAN, POLICY, Source.TYPED, from_inside=True) == Verdict(Rule.INSIDE, "101")
    assert judge("101", TEHRAN, POLICY, Source.CALLER_ID) == Verdict(Rule.EXTENSION, "101")
    assert rule("115", from_inside=True) is Rule.INSIDE, "also if it looks like an emergency number"
    assert rule("115") is Rule.EXTENSION


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("from_inside", [False, True])
def test_emergency_and_service_numbers_are_never_called(source: Source, from_inside: bool) -> None:
    policy = NumberPolicy("IR", kinds=frozenset(NumberKind), prefixes=(PrefixRule("+98", True, typed=True),))
    assert rule("1 1 0", source, policy, from_inside=from_inside) is Rule.EMERGENCY
    assert rule("118", source, policy, from_inside=from_inside) is Rule.SHORT
    assert rule("", source, policy, from_inside=from_inside) is Rule.EMPTY
    assert rule("1234", source, policy, from_inside=from_inside) is Rule.INVALID


# -- countries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "source", "expected"),
    [
        (LONDON, Source.CALLER_ID, Rule.ALLOWED),
        ("00442071838750", Source.PANEL, Rule.ALLOWED),
        (LONDON, Source.TYPED, Rule.FOREIGN),
        ("+905321234567", Source.TYPED, Rule.ALLOWED),
        ("+12125550123", Source.CALLER_ID, Rule.FOREIGN),
        ("+447781123456", Source.CALLER_ID, Rule.FOREIGN),  # Guernsey shares the calling code
        ("+448441234567", Source.CALLER_ID, Rule.KIND),
        ("+449061234567", Source.CALLER_ID, Rule.COSTLY),
    ],
)
def test_other_countries_are_allowed_one_by_one(raw: str, source: Source, expected: Rule) -> None:
    assert rule(raw, source, ABROAD) is expected


def test_country_must_be_allowed_for_all_to_be_allowed_for_typed_numbers() -> None:
    policy = NumberPolicy("IR", typed_countries=frozenset({"GB"}))
    assert rule(LONDON, Source.TYPED, policy) is Rule.FOREIGN


# -- kinds ------------------------------------------------------------------------------------------------------------


def test_kinds_of_typed_numbers_are_a_part_of_those_of_caller_ids() -> None:
    policy = NumberPolicy(
        "GB",
        kinds=frozenset({NumberKind.LANDLINE, NumberKind.SHARED_COST}),
        typed_kinds=frozenset({NumberKind.LANDLINE, NumberKind.TOLL_FREE}),
    )
    tried = {"02071838750": Rule.ALLOWED, "08441234567": Rule.ALLOWED, "08001234567": Rule.KIND}
    assert {raw: rule(raw, Source.CALLER_ID, policy) for raw in tried} == tried
    typed = {"02071838750": Rule.ALLOWED, "08441234567": Rule.KIND, "08001234567": Rule.KIND}
    assert {raw: rule(raw, Source.TYPED, policy) for raw in typed} == typed


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [({NumberKind.LANDLINE}, Rule.ALLOWED), ({NumberKind.MOBILE}, Rule.ALLOWED), ({NumberKind.VOIP}, Rule.KIND)],
)
def test_country_may_not_tell_landlines_from_mobiles(kinds: set[NumberKind], expected: Rule) -> None:
    assert rule("2125550123", policy=NumberPolicy("US", kinds=frozenset(kinds))) is expected


def test_costly_kinds_cannot_be_allowed_by_kind() -> None:
    refused = {entry for entry in number_corpus.hostile() if entry.rule is Rule.COSTLY}
    policies = {entry.place: NumberPolicy(entry.place.region, kinds=frozenset(NumberKind)) for entry in refused}
    rules = Counter(
        judge(
            entry.text, NumberPlan(entry.place.region, entry.place.area_code), policies[entry.place], Source.PANEL
        ).rule
        for entry in refused
    )
    assert rules == {Rule.COSTLY: len(refused)}


# -- prefixes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "source", "expected"),
    [
        ("+442071838750", Source.CALLER_ID, Rule.PREFIX_ALLOWED),
        ("+442071838750", Source.TYPED, Rule.FOREIGN),
        ("+442079460000", Source.CALLER_ID, Rule.PREFIX_REFUSED),  # the longer prefix goes first
        ("+441212345678", Source.CALLER_ID, Rule.FOREIGN),
        ("09121234567", Source.TYPED, Rule.PREFIX_REFUSED),
        ("09351234567", Source.TYPED, Rule.ALLOWED),
        ("+12125550123", Source.TYPED, Rule.PREFIX_ALLOWED),
        ("+12129761234", Source.PANEL, Rule.COSTLY),  # a prefix opens no costly number
        ("+449061234567", Source.TYPED, Rule.PREFIX_ALLOWED),  # unless it names it
        ("+449061234600", Source.TYPED, Rule.COSTLY),
    ],
)
def test_longest_prefix_decides(raw: str, source: Source, expected: Rule) -> None:
    prefixes = (
        PrefixRule("+4420", True),
        PrefixRule("+44207946", False),
        PrefixRule("+98912", False),
        PrefixRule("+1212", True, typed=True),
        PrefixRule("+4490612345", True, typed=True),
        PrefixRule("+449061234600", True),
    )
    assert rule(raw, source, NumberPolicy("IR", prefixes=prefixes)) is expected


def test_verdict_names_the_prefix_the_country_and_the_kind() -> None:
    policy = NumberPolicy("IR", prefixes=(PrefixRule("+4420", True),))
    expected = Verdict(Rule.PREFIX_ALLOWED, LONDON, "GB", NumberKind.LANDLINE, "+4420")
    assert judge_number(LONDON, policy, Source.PANEL) == expected


# -- before dialling --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["", "x", "+98912", "+9991234567", "+98912123456789", "+09121234567", "0912&PJSIP/1", "sip:x@y"]
)
def test_stored_number_that_is_none_is_refused(number: str) -> None:
    assert judge_number(number, POLICY, Source.CALLER_ID) == Verdict(Rule.INVALID, number)


def test_stored_extension_is_allowed() -> None:
    assert judge_number("101", POLICY, Source.CALLER_ID) == Verdict(Rule.INSIDE, "101")


def test_choices_are_the_kinds_that_cost_no_more_than_a_company_asks() -> None:
    costly = set(NumberKind) - set(CHOICES) - {NumberKind.LANDLINE_OR_MOBILE}
    assert {kind.value for kind in costly} == {"personal", "pager", "voicemail", "satellite", "premium", "unknown"}


@pytest.mark.parametrize("entry", number_corpus.ordinary()[::20], ids=lambda entry: entry.number)
def test_ordinary_number_is_read_again_as_it_is_shown(entry: number_corpus.Ordinary) -> None:
    assert normalize(national(entry.number, entry.place.region), NumberPlan(entry.place.region)) == entry.number
