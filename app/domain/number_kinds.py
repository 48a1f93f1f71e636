"""Kinds of telephone numbers, by what a call to them costs and whom it reaches."""

import itertools
import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

from app.domain.numbers import parse_normalized


class NumberKind(StrEnum):
    """The kind of a number. The values are stored."""

    LANDLINE = "landline"
    MOBILE = "mobile"
    LANDLINE_OR_MOBILE = "landline_or_mobile"  # some countries do not tell them apart, such as the United States
    VOIP = "voip"
    NATIONAL = "national"  # of a company, without an area: 03 in the United Kingdom, 444 in Turkey
    TOLL_FREE = "toll_free"
    SHARED_COST = "shared_cost"  # costs more than a landline: 0844 in the United Kingdom, 0180 in Germany
    PERSONAL = "personal"  # leads to wherever its owner is, at a high price
    PAGER = "pager"
    VOICEMAIL = "voicemail"
    SATELLITE = "satellite"
    PREMIUM = "premium"
    UNKNOWN = "unknown"


_KINDS = {
    PhoneNumberType.FIXED_LINE: NumberKind.LANDLINE,
    PhoneNumberType.MOBILE: NumberKind.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberKind.LANDLINE_OR_MOBILE,
    PhoneNumberType.VOIP: NumberKind.VOIP,
    PhoneNumberType.UAN: NumberKind.NATIONAL,
    PhoneNumberType.TOLL_FREE: NumberKind.TOLL_FREE,
    PhoneNumberType.SHARED_COST: NumberKind.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER: NumberKind.PERSONAL,
    PhoneNumberType.PAGER: NumberKind.PAGER,
    PhoneNumberType.VOICEMAIL: NumberKind.VOICEMAIL,
    PhoneNumberType.PREMIUM_RATE: NumberKind.PREMIUM,
}

# Pay-per-call numbers in every area of North America (NANPA), but not the toll-free 800, 888 and so on. The library
# says landline.
_AREA_976 = r"(?!8(.)\1)[2-9]..976"
# Where the `phonenumbers` library says too little about the price. By country, what the national number begins with.
# "001" are the networks that belong to no country.
_CORRECTIONS: Mapping[str, Mapping[str, NumberKind]] = {
    "US": {_AREA_976: NumberKind.PREMIUM},
    "CA": {
        _AREA_976: NumberKind.PREMIUM,
        "600": NumberKind.SATELLITE,  # satellite and remote services (CNAC); the library says VoIP
    },
    "GB": {
        # Ofcom's "service numbers": up to 7 p a minute (084) and 13 p (0870). The library says premium to all of 08.
        "84": NumberKind.SHARED_COST,
        "870": NumberKind.SHARED_COST,
    },
    "DE": {"137": NumberKind.PREMIUM},  # mass calling, up to 1 € a call; the library says shared cost
    "AU": {"14[57]": NumberKind.SATELLITE},  # satellite telephones (ACMA); the library says VoIP
    "FI": {
        # service numbers at a price of their own (Traficom); the library says national
        "100": NumberKind.PREMIUM,
        "20[02]": NumberKind.PREMIUM,
    },
    "JP": {"570": NumberKind.SHARED_COST},  # Navi Dial; the library says national
    "NL": {"8[47]": NumberKind.SHARED_COST},  # personal assistants (ACM); the library says national
    "PT": {"70[78]": NumberKind.SHARED_COST},  # 0.10 to 0.25 € a minute (ANACOM); the library says national
    "CN": {"1349": NumberKind.SATELLITE, "174": NumberKind.SATELLITE},  # the library says mobile
    "ID": {"868": NumberKind.SATELLITE},  # the library says mobile
    "RU": {"954": NumberKind.SATELLITE},  # the library says mobile
    "001": {"870": NumberKind.SATELLITE, "88[123]": NumberKind.SATELLITE},  # these begin with the calling code
}
_PATTERNS = {
    region: [(re.compile(beginning), kind) for beginning, kind in corrections.items()]
    for region, corrections in _CORRECTIONS.items()
}


_ATOM = re.compile(r"\[(\d+)\]|(\d)")


def library_kinds(kinds: Collection[NumberKind]) -> tuple[int, ...]:
    """Return these kinds in the terms of the `phonenumbers` library."""
    return tuple(theirs for theirs, ours in _KINDS.items() if ours in kinds)


def corrected_beginnings(region: str, kinds: Collection[NumberKind]) -> tuple[str, ...]:
    """Return how numbers of these kinds begin for which the library says another kind, with the country code."""
    country = phonenumbers.country_code_for_region(region)
    patterns = (pattern for pattern, kind in _CORRECTIONS.get(region, {}).items() if kind in kinds)
    atoms = ([found[1] or found[2] for found in _ATOM.finditer(pattern)] for pattern in patterns)
    return tuple(f"{country}{''.join(digits)}" for each in atoms for digits in itertools.product(*each))


@lru_cache(maxsize=256)  # the number of a caller is judged several times during the call
def region_and_kind(number: str, home: str) -> tuple[str, NumberKind]:
    """Return the country of a normalized outside number, "" if it is not valid, and its kind.

    The country is in ISO 3166, "001" for a network without a country. Several countries can share a calling code; a
    number that is valid in `home` belongs to it.
    """
    parsed = parse_normalized(number)
    if parsed is None or not phonenumbers.is_valid_number(parsed):
        return "", NumberKind.UNKNOWN
    shared = phonenumbers.is_valid_number_for_region(parsed, home)
    region = home if shared else phonenumbers.region_code_for_number(parsed) or ""
    return region, _kind_of(parsed, region)


def _kind_of(parsed: PhoneNumber, region: str) -> NumberKind:
    digits = phonenumbers.national_significant_number(parsed)
    if region == "001":
        digits = f"{parsed.country_code}{digits}"
    for pattern, kind in _PATTERNS.get(region, ()):
        if pattern.match(digits):
            return kind
    return _KINDS.get(phonenumbers.number_type(parsed), NumberKind.UNKNOWN)
