"""Numbers: one normalize form, deny by default, and nothing but digits is ever dialled."""

import pytest

from app.domain.numbers import (
    NumberRefused,
    NumberRules,
    OutboundFormat,
    Refusal,
    ascii_digits,
    dialled,
    is_internal,
    national,
    normalize,
)

TEHRAN = NumberRules(region="IR", area_code="021", extensions=frozenset({"101", "102", "115"}))
MOBILE = "+989121234567"


def refusal(raw: str, rules: NumberRules = TEHRAN, *, from_inside: bool = False) -> Refusal:
    with pytest.raises(NumberRefused) as refused:
        normalize(raw, rules, from_inside=from_inside)
    assert str(refused.value) == refused.value.refusal.value
    return refused.value.refusal


@pytest.mark.parametrize(
    "raw",
    [
        "09121234567",
        "9121234567",
        "+989121234567",
        "00989121234567",
        "۰۹۱۲۱۲۳۴۵۶۷",
        "٠٩١٢١٢٣٤٥٦٧",
        " +98 (912) 123-45.67 ",
    ],
)
def test_one_number_has_one_form_however_it_is_written(raw: str) -> None:
    assert normalize(raw, TEHRAN) == MOBILE


@pytest.mark.parametrize("area_code", ["021", "21"])
def test_the_area_code_completes_a_local_number(area_code: str) -> None:
    assert normalize("88881234", NumberRules(area_code=area_code)) == "+982188881234"


def test_a_local_number_without_an_area_code_is_invalid() -> None:
    assert refusal("88881234", NumberRules()) is Refusal.INVALID


@pytest.mark.parametrize("raw", ["+88881234", "088881234"])
def test_a_number_with_a_prefix_is_never_completed(raw: str) -> None:
    assert refusal(raw) is Refusal.INVALID


@pytest.mark.parametrize("raw", ["", "   ", "()-."])
def test_nothing_is_no_number(raw: str) -> None:
    assert refusal(raw) is Refusal.EMPTY


@pytest.mark.parametrize(
    "raw",
    ["abc", "*5001", "0912123456#", "+", "++989121234567", "0912;1234567", "0912&1234567", "1" * 21, "0912/1234567"],
)
def test_anything_but_digits_is_refused(raw: str) -> None:
    assert refusal(raw) is Refusal.INVALID


def test_a_number_that_no_numbering_plan_knows_is_refused() -> None:
    assert refusal("00000000") is Refusal.INVALID
    assert refusal("+999123") is Refusal.INVALID


@pytest.mark.parametrize("raw", ["+442071838750", "00442071838750"])
def test_a_number_of_another_country_is_refused(raw: str) -> None:
    assert refusal(raw) is Refusal.FOREIGN


@pytest.mark.parametrize("raw", ["+449012345678", "+447640123456", "08001234567"])
def test_premium_pager_and_toll_free_numbers_are_refused(raw: str) -> None:
    assert refusal(raw, NumberRules(region="GB")) is Refusal.KIND


def test_voip_and_landline_numbers_are_allowed() -> None:
    assert normalize("+445612345678", NumberRules(region="GB")) == "+445612345678"
    assert normalize("02188881234", TEHRAN) == "+982188881234"


@pytest.mark.parametrize("raw", ["110", "112", "۱۱۰", "1 1 0"])
def test_an_emergency_number_is_refused(raw: str) -> None:
    assert refusal(raw) is Refusal.EMERGENCY
    assert refusal(raw, from_inside=True) is Refusal.EMERGENCY


def test_an_extension_is_meant_as_one_only_from_inside() -> None:
    assert normalize("101", TEHRAN, from_inside=True) == "101"
    assert normalize("۱۰۱", TEHRAN, from_inside=True) == "101"
    assert refusal("101") is Refusal.EXTENSION


def test_an_extension_with_an_emergency_number_is_an_extension_inside_and_refused_outside() -> None:
    assert normalize("115", TEHRAN, from_inside=True) == "115"
    assert refusal("115") is Refusal.EXTENSION


@pytest.mark.parametrize("raw", ["+18765551234", "+18092345678"])
def test_a_foreign_number_that_shares_the_calling_code_is_refused(raw: str) -> None:
    # Jamaica and the Dominican Republic: the classics of toll fraud.
    assert refusal(raw, NumberRules(region="US")) is Refusal.FOREIGN


@pytest.mark.parametrize("extension", ["5", "123456789"])
def test_an_extension_of_any_length_can_be_shown_and_dialled(extension: str) -> None:
    number = normalize(extension, NumberRules(extensions=frozenset({extension})), from_inside=True)
    assert national(number) == extension
    assert dialled(number) == extension


def test_ascii_digits_leaves_everything_else_as_it_is() -> None:
    assert ascii_digits("داخلی ۱۲۳ ext 45") == "داخلی 123 ext 45"


def test_an_extension_is_told_from_a_number() -> None:
    assert is_internal("101")
    assert is_internal("12345678")
    assert not is_internal(MOBILE)
    assert not is_internal("*5001")


def test_the_national_form_is_what_people_write() -> None:
    assert national(MOBILE) == "09121234567"
    assert national("+982188881234") == "02188881234"
    assert national("101") == "101"


@pytest.mark.parametrize(
    ("form", "digits"),
    [
        (OutboundFormat.NATIONAL, "909121234567"),
        (OutboundFormat.E164, "9989121234567"),
        (OutboundFormat.INTERNATIONAL, "900989121234567"),
    ],
)
def test_a_number_is_dialled_in_the_form_the_trunk_wants(form: OutboundFormat, digits: str) -> None:
    assert dialled(MOBILE, form, "9") == digits
    assert dialled(MOBILE, form) == digits[1:]


@pytest.mark.parametrize("form", OutboundFormat)
def test_an_extension_is_dialled_as_it_is(form: OutboundFormat) -> None:
    assert dialled("101", form, "9") == "101"


@pytest.mark.parametrize("prefix", ["9w", "9,", "Local/", "9&", "9" * 20])
def test_a_prefix_that_makes_the_number_undiallable_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="not diallable"):
        dialled(MOBILE, OutboundFormat.NATIONAL, prefix)
