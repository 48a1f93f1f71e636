"""Read phone numbers, and write them as they are stored, shown and dialled.

A normalized number is E.164 ("+989121234567"), or an extension ("101") for an internal caller. Only normalized numbers
are stored and dialled, never what a caller typed or claims. Whether a number may be called is decided by
`number_policy`. The numbering plans come from the `phonenumbers` library.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from app.domain.text import masked

LONGEST = 20
SHORTEST = 5  # digits of a number that is written without a plus; shorter ones are extensions, or slips of the finger
SHORTEST_LOCAL = 6  # digits of a number that is completed by the area code
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # a shorter one would be dialled as a service number of a few digits
_DIALLABLE = re.compile(r"[0-9]{2,20}")
_EXTENSION = re.compile(r"[0-9]{1,20}")  # all other normalized numbers start with a plus
_WRITTEN = re.compile(rf"(\+[1-9])?[0-9]{{1,{LONGEST}}}")
_SEPARATORS = frozenset("()./_·،")
_UNWRITTEN = frozenset({"Cf", "Pd", "Zs"})  # Unicode: format characters, dashes, spaces
_LANDLINES = (PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


class NotANumber(ValueError):
    """The text cannot be read as a telephone number."""


class OutboundFormat(StrEnum):
    NATIONAL = "national"
    E164 = "e164"
    INTERNATIONAL = "international"  # 00 and the country code


@dataclass(frozen=True)
class NumberPlan:
    """How numbers are read in the office.

    `region` is the country in ISO 3166 ("IR"). `area_code` completes local numbers ("021" or "21"). `extensions` are
    all extensions of the PBX.
    """

    region: str = "IR"
    area_code: str = ""
    extensions: frozenset[str] = frozenset()


def ascii_digits(text: str) -> str:
    """Replace Persian and Arabic digits by ASCII digits."""
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def without_separators(raw: str) -> str:
    """Remove what people and programs write between the digits, such as dashes, spaces and invisible marks."""
    if raw.isascii() and raw.isdecimal():  # as the PBX writes it
        return raw
    text = re.sub(r"^tel:", "", ascii_digits(raw).strip(), flags=re.IGNORECASE)
    return "".join(char for char in text if char not in _SEPARATORS and unicodedata.category(char) not in _UNWRITTEN)


def normalize(raw: str, plan: NumberPlan) -> str:
    """Return the form in which a number is stored and compared: that of an extension, or of any valid number.

    It does not say whether the number may be called. Raises NotANumber.
    """
    text = without_separators(raw)
    if text in plan.extensions:
        return text
    if not _WRITTEN.fullmatch(text) or (is_internal(text) and len(text) < SHORTEST):
        raise NotANumber
    number = _to_e164(text, plan.region, plan.area_code)
    if not number:
        raise NotANumber
    return number


@lru_cache(maxsize=256)  # the number of a caller is read several times during the call
def _to_e164(text: str, region: str, area_code: str) -> str:
    """Return an outside number in E.164, "" if it is none."""
    try:
        number = phonenumbers.format_number(_parse(text, NumberPlan(region, area_code)), PhoneNumberFormat.E164)
    except NotANumber:
        return ""
    return number if is_outside(number) else ""


def first_valid(candidates: Iterable[str], plan: NumberPlan, prefix: str = "") -> str:
    """Return the first of the candidates that is a valid outside number, normalized; "" if there is none.

    `prefix` is the prefix for an outside line. A candidate counts without it as well.
    """
    for candidate in candidates:
        for form in (candidate, candidate.removeprefix(prefix)):
            try:
                number = normalize(form, plan)
            except NotANumber:
                continue
            if not is_internal(number):
                return number
    return ""


def _parse(text: str, plan: NumberPlan) -> PhoneNumber:
    for candidate in _candidates(text, plan):
        number = _parse_valid(candidate, plan.region)
        if number is not None:
            return number
    local = _complete(text, plan)
    if local is None:
        raise NotANumber
    return local


def _candidates(text: str, plan: NumberPlan) -> list[str]:
    """Return the ways to read a number, the likeliest first.

    As it is; with 00 for the plus, which not every country has; and with a 0 before the country code
    ("0989121234567"), as some trunks report it.
    """
    candidates = [text]
    if re.match("00[1-9]", text):
        candidates.append(f"+{text[2:]}")
    if text.startswith(f"0{phonenumbers.country_code_for_region(plan.region)}"):
        candidates.append(f"+{text[1:]}")
    return candidates


def _complete(text: str, plan: NumberPlan) -> PhoneNumber | None:
    """Return the landline number of a local number with the area code, None if it is no local number.

    Short texts, service numbers and what an exchange may take for an emergency number are none.
    """
    area = plan.area_code.lstrip("0")
    if not area or text.startswith(("+", "0")) or len(text) < SHORTEST_LOCAL:
        return None
    if is_short_number(text, plan.region) or phonenumbers.connects_to_emergency_number(text, plan.region):
        return None
    country = phonenumbers.country_code_for_region(plan.region)
    number = _parse_valid(f"+{country}{area}{text}", plan.region)
    return number if number is not None and phonenumbers.number_type(number) in _LANDLINES else None


def _parse_valid(text: str, region: str) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def is_short_number(digits: str, region: str) -> bool:
    """Tell whether this is a service number of a few digits in this country, such as 118."""
    try:
        return phonenumbers.is_valid_short_number_for_region(phonenumbers.parse(digits, region), region)
    except NumberParseException:
        return False


def is_internal(number: str) -> bool:
    """Tell whether a normalized number is an extension."""
    return _EXTENSION.fullmatch(number) is not None


def is_outside(number: str) -> bool:
    """Tell whether this has the form of a normalized number outside. It may still be in no numbering plan."""
    return _E164.fullmatch(number) is not None


@lru_cache(maxsize=256)
def parse_normalized(number: str) -> PhoneNumber | None:
    """Return a normalized number as the library has it, None if it is none. Nobody may change it."""
    try:
        return phonenumbers.parse(number)
    except NumberParseException:  # a row that somebody has changed by hand
        return None


@lru_cache(maxsize=1024)
def national(number: str, region: str) -> str:
    """Return the number as people in this country write, say and dial it: "09121234567".

    A number of another country begins with what is dialled for going abroad: "00442071838750". `region` "": every
    number is written as in its own country.
    """
    if is_internal(number):
        return number
    parsed = parse_normalized(number)
    if parsed is None:
        return number
    if _is_of_country(parsed, region):
        written = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    else:
        written = phonenumbers.format_out_of_country_calling_number(parsed, region)
        if written.startswith("+"):  # several prefixes for going abroad, such as one for each provider
            written = f"00{written}"
    return re.sub(r"\D", "", written)


def _is_of_country(number: PhoneNumber, region: str) -> bool:
    """Tell whether a number is dialled without a country code in this country. `region` "": its own country."""
    return not region or number.country_code == phonenumbers.country_code_for_region(region)


def dialled(number: str, region: str, form: OutboundFormat = OutboundFormat.NATIONAL, prefix: str = "") -> str:
    """Return the digits to dial for a normalized number in this country.

    Raises ValueError if the result is not 2 to 20 digits.
    """
    if is_internal(number):
        return number
    match form:
        case OutboundFormat.NATIONAL:
            digits = national(number, region)
        case OutboundFormat.E164:
            digits = number.removeprefix("+")
        case _:
            digits = "00" + number.removeprefix("+")
    digits = prefix + digits
    if not _DIALLABLE.fullmatch(digits):
        raise ValueError(f"not diallable: {masked(digits)!r}")
    return digits
