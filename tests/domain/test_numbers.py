"""Numbers are read in one form, shown as people write them, and dialled as digits only."""

import pytest

from app.domain.numbers import (
    NotANumber,
    NumberPlan,
    OutboundFormat,
    ascii_digits,
    dialled,
    first_valid,
    is_internal,
    national,
    normalize,
)

TEHRAN = NumberPlan(region="IR", area_code="021", extensions=frozenset({"101", "102", "115"}))
MOBILE = "+989121234567"
LONDON = "+442071838750"


def is_refused(raw: str, plan: NumberPlan = TEHRAN) -> bool:
    try:
        normalize(raw, plan)
    except NotANumber:
        return True
    return False


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
        "\u200e0912\u20111234567\u200e",
        "\u202a0912 123 4567\u202c",
        "\u2066\u06f0\u06f9\u06f1\u06f2\u00a0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7\u2069",
        "tel:+98-912-123-4567",
        "TEL:09121234567",
        "0912/1234567",
        "0912_123_4567",
        "0912\u060c1234567",
    ],
)
def test_each_way_to_write_a_number_has_the_same_normalized_form(raw: str) -> None:
    assert normalize(raw, TEHRAN) == MOBILE


@pytest.mark.parametrize("area_code", ["021", "21"])
def test_area_code_completes_a_local_number(area_code: str) -> None:
    assert normalize("88881234", NumberPlan(area_code=area_code)) == "+982188881234"


@pytest.mark.parametrize(
    ("region", "area_code", "raw", "normalized"),
    [
        ("IR", "021", "88881234", "+982188881234"),
        ("IR", "021", "1500", None),  # valid behind 021, but more likely something else
        ("IR", "021", "2345", None),
        ("IR", "021", "81234", None),
        ("IR", "021", "888812", None),
        ("IR", "021", "0211500", "+98211500"),  # a company number, written in full
        ("IR", "021", "+98212345", "+98212345"),
        ("IR", "021", "115", None),
        ("IR", "021", "118", None),
        ("IR", "021", "0989121234567", MOBILE),
        ("IR", "", "0989121234567", MOBILE),
        ("IR", "", "0982188881234", "+982188881234"),
        ("IR", "021", "098912123456", None),
        ("US", "212", "5550123", "+12125550123"),
        ("US", "212", "911", None),
        ("US", "212", "55501", None),
        ("DE", "030", "12345678", "+493012345678"),
        ("DE", "030", "12345", None),
        ("DE", "030", "116117", None),
        ("DE", "", "0493012345678", "+493012345678"),
        ("AM", "010", "123456", "+37410123456"),
        ("AM", "010", "1234", None),
        ("TR", "0212", "2345678", "+902122345678"),
        ("TR", "0212", "4441234", "+904441234"),  # a number of a company, valid as it is
        ("AT", "01", "1234567", "+431234567"),
        ("DE", "035601", "1234", None),
        ("IR", "021888", "81234", None),
        ("US", "212", "9115551", None),  # begins as an emergency number
        ("GB", "020", "118118", None),
    ],
)
def test_only_whole_numbers_are_completed(region: str, area_code: str, raw: str, normalized: str | None) -> None:
    plan = NumberPlan(region=region, area_code=area_code)
    if normalized is None:
        assert is_refused(raw, plan)
    else:
        assert normalize(raw, plan) == normalized


@pytest.mark.parametrize("raw", ["88881234", "+88881234", "088881234"])
def test_number_is_not_completed_without_an_area_code_or_with_a_prefix(raw: str) -> None:
    assert is_refused(raw, TEHRAN if raw.startswith(("+", "0")) else NumberPlan())


@pytest.mark.parametrize("raw", ["", "   ", "()-.", "tel:"])
def test_empty_number_is_refused(raw: str) -> None:
    assert is_refused(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "abc",
        "*5001",
        "0912123456#",
        "+",
        "++989121234567",
        "0912;1234567",
        "0912&1234567",
        "0912,1234567",
        "1" * 21,
        "1" * 19,
        "0912|1234567",
        "0912\n1234567",
        "0912\x001234567",
        "0912\u20281234567",
    ],
)
def test_malformed_number_is_refused(raw: str) -> None:
    assert is_refused(raw)


@pytest.mark.parametrize("raw", ["00000000", "+999123", "+0989121234567", "1234", "118", "+989601"])
def test_number_outside_all_numbering_plans_is_refused(raw: str) -> None:
    assert is_refused(raw)


@pytest.mark.parametrize("raw", ["+442071838750", "00442071838750", "tel:+44-20-7183-8750"])
@pytest.mark.parametrize("region", ["IR", "US"])
def test_number_of_another_country_is_read(raw: str, region: str) -> None:
    assert normalize(raw, NumberPlan(region)) == LONDON


def test_extension_is_its_own_normalized_form() -> None:
    assert normalize("101", TEHRAN) == normalize("۱۰۱", TEHRAN) == "101"
    assert normalize("115", TEHRAN) == "115"


@pytest.mark.parametrize("extension", ["5", "123456789"])
def test_extension_of_any_length_can_be_shown_and_dialled(extension: str) -> None:
    number = normalize(extension, NumberPlan(extensions=frozenset({extension})))
    assert national(number, "IR") == extension
    assert dialled(number, "IR") == extension


def test_ascii_digits_changes_only_digits() -> None:
    assert ascii_digits("داخلی ۱۲۳ ext 45") == "داخلی 123 ext 45"


def test_extensions_are_internal_numbers() -> None:
    assert is_internal("101")
    assert is_internal("12345678")
    assert not is_internal(MOBILE)
    assert not is_internal("*5001")


def test_national_form() -> None:
    assert national(MOBILE, "IR") == "09121234567"
    assert national("+982188881234", "IR") == "02188881234"
    assert national("101", "IR") == "101"
    assert national(MOBILE, "") == "09121234567"
    assert national("no number", "IR") == "no number"


@pytest.mark.parametrize(
    ("region", "digits"),
    [("IR", "00442071838750"), ("US", "011442071838750"), ("KR", "00442071838750"), ("GB", "02071838750")],
)
def test_number_of_another_country_is_written_with_its_country(region: str, digits: str) -> None:
    assert national(LONDON, region) == digits
    assert dialled(LONDON, region) == digits


@pytest.mark.parametrize(
    ("form", "digits"),
    [
        (OutboundFormat.NATIONAL, "909121234567"),
        (OutboundFormat.E164, "9989121234567"),
        (OutboundFormat.INTERNATIONAL, "900989121234567"),
    ],
)
def test_number_is_dialled_in_the_outbound_format(form: OutboundFormat, digits: str) -> None:
    assert dialled(MOBILE, "IR", form, "9") == digits
    assert dialled(MOBILE, "IR", form) == digits[1:]


@pytest.mark.parametrize("form", OutboundFormat)
def test_extension_is_dialled_unchanged(form: OutboundFormat) -> None:
    assert dialled("101", "IR", form, "9") == "101"


@pytest.mark.parametrize("prefix", ["9w", "9,", "Local/", "9&", "9" * 20])
def test_prefix_that_makes_the_number_undiallable_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="not diallable"):
        dialled(MOBILE, "IR", OutboundFormat.NATIONAL, prefix)


@pytest.mark.parametrize(
    ("candidates", "prefix", "number"),
    [
        ((), "", ""),
        (("09121234567",), "", MOBILE),
        (("909121234567", "09121234567"), "", MOBILE),
        (("909121234567",), "9", MOBILE),
        (("909121234567",), "", ""),
        (("09121234567", "02188881234"), "", MOBILE),
        (("s", "101", "115", "88881234"), "", "+982188881234"),
        (("900442071838750",), "9", LONDON),
        (("988881234",), "9", "+982188881234"),
        (("09121234567",), "0912", MOBILE),
    ],
)
def test_the_first_valid_candidate_is_the_number(candidates: tuple[str, ...], prefix: str, number: str) -> None:
    assert first_valid(candidates, TEHRAN, prefix) == number
