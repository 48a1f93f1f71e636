"""The numbers that the dialplan may dial: all that Bazang dials, and neither emergency nor foreign numbers."""

import re
from functools import cache
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from app.domain.dialplan_numbers import (
    LEADING,
    CallerCheck,
    NumberCheck,
    dialplan_caller_check,
    dialplan_number_check,
)
from app.domain.limits import NumberRange
from app.domain.number_kinds import NumberKind
from app.domain.number_policy import NumberPolicy, PrefixRule, Source, judge
from app.domain.numbers import NumberPlan, OutboundFormat, dialled
from tests.support.number_check import caller_verdict, verdict

# Countries with and without a national prefix, with numbers of many lengths, and those that share a country code
REGIONS = ("IR", "US", "JM", "DE", "GB", "JE", "FR", "IT", "AR", "MX", "AU", "TR")
KINDS = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.VOIP)
FORMS = tuple(OutboundFormat)


@cache
def check_of(
    region: str = "IR", form: OutboundFormat = OutboundFormat.NATIONAL, prefix: str = "", **allowed: Any
) -> NumberCheck:
    return dialplan_number_check(NumberPolicy(region, **allowed), form, prefix)


def number_of(region: str, kind: int = PhoneNumberType.MOBILE) -> str:
    """Return an example in E.164, "" if there is none."""
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None or not phonenumbers.is_valid_number_for_region(example, region):
        return ""
    return phonenumbers.format_number(example, PhoneNumberFormat.E164)


def test_forms_of_a_country_are_few() -> None:
    check = check_of()
    assert {"09[13]XXXXXXXX", "02[134568][03457]XXXXXXX"} < set(check.allowed)
    assert len(check.allowed) < 60
    assert check.emergency == ("110", "112", "115", "125", "911")


@pytest.mark.many
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("form", OutboundFormat)
def test_all_kinds_of_numbers_of_a_country_may_be_dialled(region: str, form: OutboundFormat) -> None:
    check = check_of(region, form, "9")
    for number in filter(None, (number_of(region, kind) for kind in KINDS)):
        digits = dialled(number, region, form, "9")
        assert verdict(check, digits) == "allowed", digits
        for other in (digits[1:], digits[:3], f"{digits}{'0' * 9}", f"8{digits[1:]}"):
            assert verdict(check, other) != "allowed", other


CHECKED = ("IR", "US", "DE", "AR", "IT")


def is_ordinary(text: str, region: str) -> bool:
    """Tell whether this is a number of the country, of a kind that may be dialled."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return False
    is_kind = phonenumbers.number_type(number) in (*KINDS, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    return is_kind and phonenumbers.is_valid_number_for_region(number, region)


@given(
    st.sampled_from(CHECKED), st.sampled_from(FORMS), st.integers(0), st.text("0123456789", min_size=12, max_size=12)
)
def test_ordinary_numbers_may_be_dialled(region: str, form: OutboundFormat, choice: int, digits: str) -> None:
    """Most random texts are no number, so these begin as one."""
    forms = check_of(region, OutboundFormat.E164).allowed
    chosen, filling = forms[choice % len(forms)], iter(digits * 2)
    number = "+" + re.sub(r"\[([0-9]+)\]|X", lambda found: found[1][0] if found[1] else next(filling), chosen)
    for text in (number, f"+{phonenumbers.country_code_for_region(region)}{digits[:10]}"):
        if is_ordinary(text, region):
            stored = phonenumbers.format_number(phonenumbers.parse(text, region), PhoneNumberFormat.E164)
            assert verdict(check_of(region, form), dialled(stored, region, form)) == "allowed", text


@pytest.mark.many
@pytest.mark.parametrize("region", REGIONS)
def test_no_number_of_another_country_may_be_dialled(region: str) -> None:
    checks = [check_of(region, form) for form in OutboundFormat]
    for other in ("IR", "US", "GB", "CU", "SO", "LV", "MC", "GN"):
        if phonenumbers.country_code_for_region(other) == phonenumbers.country_code_for_region(region):
            continue
        e164 = number_of(other)[1:]
        for check in checks:
            for access in ("00", "011", "810", "0011", "+"):
                assert verdict(check, access + e164) == "number", access + e164


def test_countries_that_share_a_country_code_are_other_countries() -> None:
    """Jamaica and the United States: the same length, another price."""
    assert verdict(check_of("US"), "2125550123") == "allowed"
    assert verdict(check_of("US"), "8765550123") == "number"
    assert verdict(check_of("US", OutboundFormat.E164), "18765550123") == "number"
    assert verdict(check_of("US"), "9005550123") == "number", "premium rate"
    assert verdict(check_of("US"), "9115550123") == "number"


@pytest.mark.parametrize(
    ("region", "emergency"), [("IR", "110"), ("IR", "115"), ("US", "911"), ("DE", "112"), ("AU", "000"), ("FR", "15")]
)
@pytest.mark.parametrize("form", OutboundFormat)
def test_emergency_numbers_are_refused_with_the_prefix_and_without(
    region: str, emergency: str, form: OutboundFormat
) -> None:
    check = check_of(region, form, "9")
    assert {verdict(check, digits) for digits in (emergency, f"9{emergency}")} == {"emergency"}
    assert verdict(check, f"{emergency}0") != "allowed"


@pytest.mark.many
@pytest.mark.parametrize("region", REGIONS)
def test_each_emergency_number_of_the_library_is_known(region: str) -> None:
    metadata = PhoneMetadata.short_metadata_for_region(region)
    assert metadata is not None and metadata.emergency is not None
    pattern = metadata.emergency.national_number_pattern
    assert pattern is not None
    numbers = [f"{number:0{digits}}" for digits in (1, 2, 3) for number in range(10**digits)]
    found = check_of(region).emergency
    assert {n for n in found if len(n) <= 3} == {n for n in numbers if re.fullmatch(pattern, n)}
    assert all(re.fullmatch(pattern, n) for n in found)


@pytest.mark.parametrize(
    ("region", "form", "before"),
    [("IR", "national", "00"), ("US", "national", "011"), ("IR", "e164", ""), ("IR", "international", "00")],
)
def test_other_countries_can_be_allowed(region: str, form: str, before: str) -> None:
    check = check_of(region, OutboundFormat(form), "9", countries=frozenset({"GB"}))
    british, french = (f"{before}{number_of(country)[1:]}" for country in ("GB", "FR"))
    assert [verdict(check, f"9{number}") for number in (british, french, f"{british}00000")] == [
        "allowed",
        "number",
        "number",
    ]
    assert verdict(check, british) == "number"
    assert verdict(check, "9911") == "emergency"


def test_what_is_dialled_for_going_abroad_can_depend_on_the_provider() -> None:
    assert verdict(check_of("BR", countries=frozenset({"GB"})), f"00{number_of('GB')[1:]}") == "allowed"


def test_all_kinds_that_an_office_can_allow_pass() -> None:
    """So a change of the kinds needs no new dialplan."""
    check = check_of("GB")
    for kind in (PhoneNumberType.TOLL_FREE, PhoneNumberType.UAN):
        assert verdict(check, dialled(number_of("GB", kind), "GB")) == "allowed"
    assert verdict(check, "08445550123") == "allowed", "shared cost, although the library says premium rate"
    assert [verdict(check, number) for number in ("09012345678", "07012345678")] == ["number"] * 2


def test_numbers_that_begin_in_some_way_can_be_allowed() -> None:
    beginnings = ("+4420", "+98960", "+9891234567")
    check = check_of("IR", prefixes=tuple(PrefixRule(beginning, allow=True) for beginning in beginnings))
    assert verdict(check, "00442079460958") == "allowed"
    assert [verdict(check, number) for number in ("00443079460958", "0044207", "004420794609581234")] == ["number"] * 3
    assert verdict(check, "09601") == "allowed", "a kind of its own"
    assert verdict(check, "9601") == "number"
    assert verdict(check, "09123456789") == "allowed"


@pytest.mark.parametrize("form", OutboundFormat)
def test_unknown_country_has_no_numbers(form: OutboundFormat) -> None:
    assert check_of("ZZ", form) == NumberCheck((), ())


def test_forms_have_the_first_digits() -> None:
    assert all(len(re.sub(r"\[[0-9]+\]", "X", form).rstrip("X")) >= 1 for form in check_of().allowed)
    assert LEADING == 3


# -- callers while our service is down --------------------------------------------------------------------------------


@cache
def callers_of(region: str = "IR", blocked: tuple[NumberRange, ...] = (), **allowed: Any) -> CallerCheck:
    return dialplan_caller_check(NumberPolicy(region, **allowed), blocked)


@pytest.mark.many
@pytest.mark.parametrize("region", REGIONS)
def test_ordinary_callers_are_served_in_each_writing(region: str) -> None:
    """All of these are the same number when it is registered."""
    country = str(phonenumbers.country_code_for_region(region))
    for number in filter(None, (number_of(region, kind) for kind in KINDS)):
        digits = number[1:]
        if not judge(number, NumberPlan(region), NumberPolicy(region), Source.CALLER_ID).allows:
            assert caller_verdict(callers_of(region), number) == "refused"  # a satellite telephone, for example
            continue
        writings = (number, f"00{digits}", digits.removeprefix(country), dialled(number, region), digits)
        verdicts = [caller_verdict(callers_of(region), writing) for writing in writings]
        assert verdicts[:-1] == ["allowed"] * 4
        if region in ("IR", "US", "FR"):  # in Germany, 49 is how area codes begin as well
            assert verdicts[-1] == "allowed"
        read = [judge(writing, NumberPlan(region), NumberPolicy(region), Source.CALLER_ID) for writing in writings]
        assert [found.number for found in read[:-1]] == [number] * 4
        assert verdicts[-1] == "number" or read[-1].allows
        for other in (f"{number}{'0' * 10}", f"+{digits[:4]}", f"++{digits}", f"{digits}+"):
            assert caller_verdict(callers_of(region), other) != "allowed", other


@pytest.mark.parametrize("caller", ["101", "118", "110", "9121", "912123456", "+1202", "+12025550123", "0044207183875"])
def test_short_and_foreign_callers_are_not_served(caller: str) -> None:
    assert caller_verdict(callers_of(), caller) == "number"


def test_callers_are_served_by_the_kinds_and_beginnings_of_the_office() -> None:
    mobiles = callers_of(kinds=frozenset({NumberKind.MOBILE}), prefixes=(PrefixRule("+98902", allow=False),))
    found = [
        caller_verdict(mobiles, caller) for caller in ("09121234567", "02188880000", "09021234567", "989021234567")
    ]
    assert found == ["allowed", "number", "refused", "refused"]
    abroad = callers_of(countries=frozenset({"GB"}), prefixes=(PrefixRule("+4930", allow=True),))
    found = [
        caller_verdict(abroad, caller) for caller in (number_of("GB"), f"00{number_of('GB')[1:]}", "+493012345678")
    ]
    assert found == ["allowed"] * 3
    assert caller_verdict(abroad, number_of("FR")) == "number"


def test_blocked_callers_are_not_served() -> None:
    blocked = (
        NumberRange("+989121234567", "+989121234567"),
        NumberRange("+989123330000", "+989123339999"),
        NumberRange("+982188", ""),
        NumberRange("101", "101"),
    )
    check = callers_of(blocked=blocked)
    for caller in ("09121234567", "+989121234567", "00989123334444", "9123334444", "02188880000", "2188880000"):
        assert caller_verdict(check, caller) == "refused", caller
    assert [caller_verdict(check, caller) for caller in ("09121234568", "02177770000")] == ["allowed"] * 2


def test_caller_forms_are_few() -> None:
    assert len(callers_of().allowed) < 300
    assert callers_of("ZZ") == CallerCheck()
