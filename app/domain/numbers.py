"""Normalize phone numbers. Only normalized numbers are dialled, never what a caller typed or claims.

A normalized number is E.164 ("+989121234567"), or an extension ("101") for an internal caller. The numbering plans come
from the `phonenumbers` library.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

LONGEST = 20
_DIALLABLE = re.compile(r"[0-9]{2,20}")
_EXTENSION = re.compile(r"[0-9]{1,20}")  # all other normalized numbers start with a plus
_ALLOWED_KINDS = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
    }
)


class Refusal(StrEnum):
    EMPTY = "empty"
    INVALID = "invalid"
    FOREIGN = "foreign"
    KIND = "kind"
    EMERGENCY = "emergency"
    EXTENSION = "extension"


class NumberRefused(ValueError):
    """The number must not be dialled. `refusal` names the rule."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class OutboundFormat(StrEnum):
    NATIONAL = "national"
    E164 = "e164"
    INTERNATIONAL = "international"  # 00 and the country code


@dataclass(frozen=True)
class NumberRules:
    """The office's number rules.

    `region` is the country in ISO 3166 ("IR"). `area_code` completes local numbers ("021" or "21"). `extensions` are
    all extensions of the PBX.
    """

    region: str = "IR"
    area_code: str = ""
    extensions: frozenset[str] = frozenset()


def ascii_digits(text: str) -> str:
    """Replace Persian and Arabic digits by ASCII digits."""
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def normalize(raw: str, rules: NumberRules, *, from_inside: bool = False) -> str:
    """Return the form in which the number is stored and compared.

    Set `from_inside` if the call came from a phone of the office: then a known extension is accepted. Raises
    NumberRefused.
    """
    text = re.sub(r"[\s().\-]", "", ascii_digits(raw))
    if not text:
        raise NumberRefused(Refusal.EMPTY)
    if not re.fullmatch(rf"\+?[0-9]{{1,{LONGEST}}}", text):
        raise NumberRefused(Refusal.INVALID)
    if text in rules.extensions:
        if from_inside:
            return text
        raise NumberRefused(Refusal.EXTENSION)
    if phonenumbers.is_emergency_number(text, rules.region):
        raise NumberRefused(Refusal.EMERGENCY)
    return phonenumbers.format_number(_parse(text, rules), PhoneNumberFormat.E164)


def _parse(text: str, rules: NumberRules) -> phonenumbers.PhoneNumber:
    country = phonenumbers.country_code_for_region(rules.region)
    area = rules.area_code.lstrip("0")
    candidates = [text]
    if area and not text.startswith(("+", "0")):
        candidates.append(f"+{country}{area}{text}")
    refusal = Refusal.INVALID
    for candidate in candidates:
        try:
            number = phonenumbers.parse(candidate, rules.region)
        except NumberParseException:
            continue
        if not phonenumbers.is_valid_number(number):
            continue
        # Several countries share a calling code, such as Jamaica and the United States.
        if not phonenumbers.is_valid_number_for_region(number, rules.region):
            refusal = Refusal.FOREIGN
        elif phonenumbers.number_type(number) not in _ALLOWED_KINDS:
            refusal = Refusal.KIND
        else:
            return number
    raise NumberRefused(refusal)


def is_internal(number: str) -> bool:
    """Tell whether a normalized number is an extension."""
    return _EXTENSION.fullmatch(number) is not None


@lru_cache(maxsize=1024)
def national(number: str) -> str:
    """Return the number as people write and say it in its country: "09121234567"."""
    if is_internal(number):
        return number
    parsed = phonenumbers.parse(number)
    return re.sub(r"\D", "", phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))


def dialled(number: str, form: OutboundFormat = OutboundFormat.NATIONAL, prefix: str = "") -> str:
    """Return the digits to dial for a normalized number. Raises ValueError if the result is not 2 to 20 digits."""
    if is_internal(number):
        return number
    match form:
        case OutboundFormat.NATIONAL:
            digits = national(number)
        case OutboundFormat.E164:
            digits = number.removeprefix("+")
        case _:
            digits = "00" + number.removeprefix("+")
    digits = prefix + digits
    if not _DIALLABLE.fullmatch(digits):
        raise ValueError(f"not diallable: {digits!r}")
    return digits
