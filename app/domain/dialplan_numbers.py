"""The numbers that the dialplan may dial, and whose callers it may serve alone. It checks each number itself.

The dialplan cannot ask the `phonenumbers` library. So it gets what the library says in a form that Asterisk can match:
the first digits and the lengths of the numbers that `numbers.dialled` returns, and all emergency numbers.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType
from phonenumbers.phonemetadata import NumberFormat, PhoneNumberDesc

from app.domain.limits import NumberRange
from app.domain.number_kinds import NumberKind, corrected_beginnings, library_kinds
from app.domain.number_policy import CHOICES, NumberPolicy
from app.domain.numbers import OutboundFormat

ANY = "X"  # any digit, in a form
LEADING = 3  # digits of a national number that are checked. North America's area codes have as many
LONGEST_INTERNATIONAL = 15  # digits with the country code: E.164
SHORTEST_INTERNATIONAL = 7
_DIGITS = "0123456789"
_ATOM = re.compile(r"\{[^}]*\}|\[[^]]*\]|\\d|[0-9]")
_FIRST_GROUP = re.compile(r"(\\[0-9])")
# Where the library keeps the pattern of each kind
_DESCRIPTIONS = {
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.PERSONAL_NUMBER: "personal_number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.VOICEMAIL: "voicemail",
}


@dataclass(frozen=True)
class NumberCheck:
    """`allowed` are the forms of the digits that may be dialled, `emergency` the digits that may never be dialled.

    A form has a symbol for each digit: the digit itself, "[358]" for one of several, and ANY.
    """

    allowed: tuple[str, ...] = ()
    emergency: tuple[str, ...] = ()


@dataclass(frozen=True)
class CallerCheck:
    """The caller IDs with which the dialplan keeps a registration, in all writings in which a trunk reports them.

    The symbols of a form are as in `NumberCheck`, and it may begin with "+". A caller ID of a form in `refused` is
    refused even if one in `allowed` fits.
    """

    allowed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def dialplan_caller_check(policy: NumberPolicy, blocked: Iterable[NumberRange]) -> CallerCheck:
    """Return the check for an office. `blocked` are the ranges of its block list.

    It is stricter than the policy: an exception to a block or to a refused beginning does not count. It cannot be as
    exact as the library, so each number is judged again when it is registered.
    """
    region = policy.region
    countries = tuple(sorted({region, *policy.countries}))
    beginnings = {rule.prefix.removeprefix("+") for rule in policy.prefixes if rule.allow}
    unwanted = {rule.prefix.removeprefix("+") for rule in policy.prefixes if not rule.allow}
    for country in countries:
        beginnings.update(corrected_beginnings(country, policy.kinds))
        unwanted.update(corrected_beginnings(country, frozenset(NumberKind) - policy.kinds))
    refused = [form for beginning in unwanted for form in _forms_beginning_with(beginning, region)]
    refused += [form for entry in blocked for form in _range_forms(entry, region)]
    return CallerCheck(
        _caller_writings(frozenset(_forms(region, countries, beginnings, policy.kinds)), region),
        _caller_writings(frozenset(refused), region),
    )


def _range_forms(entry: NumberRange, region: str) -> list[str]:
    """Return forms that cover a range of normalized numbers. Extensions are left out: no form allows them."""
    if not entry.first.startswith("+"):
        return []
    if not entry.last:
        return _forms_beginning_with(entry.first.removeprefix("+"), region)
    first, last = entry.first.removeprefix("+"), entry.last.removeprefix("+")
    common = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=True)))
    return [common + ANY * (len(first) - len(common))]


@lru_cache(maxsize=8)  # every poll asks for the same ones
def _caller_writings(forms: frozenset[str], region: str) -> tuple[str, ...]:
    """Return the writings of numbers that the library reads as these numbers.

    A short one, without the country code, could be an extension and is left out. With the country code, but without a
    plus, it is left out if it could be a national number as well.
    """
    country = str(phonenumbers.country_code_for_region(region))
    metadata = PhoneMetadata.metadata_for_region(region, None)
    national = _with_any((metadata and metadata.general_desc and metadata.general_desc.national_number_pattern) or "")
    written = set()
    for form in forms:
        written |= {f"00{form}", *_write(form, region, OutboundFormat.NATIONAL)}
        if form.startswith(country):
            written |= {form.removeprefix(country)} | (set() if national.fullmatch(form) else {form})
    long = [form for form in written if len(form) >= SHORTEST_INTERNATIONAL]
    return tuple(_joined(long) + [f"+{form}" for form in _joined(forms)])


def dialplan_number_check(policy: NumberPolicy, outbound_format: OutboundFormat, prefix: str) -> NumberCheck:
    """Return the check for an office. `prefix` is the prefix for an outside line.

    It allows all kinds of numbers that an office can allow, so that only a change of the country, of the allowed
    countries or of the allowed beginnings changes the dialplan. Emergency numbers may not be dialled with the prefix
    either.
    """
    emergency = _emergency_numbers(policy.region)
    countries = tuple(sorted({policy.region, *policy.countries}))
    beginnings = {rule.prefix.removeprefix("+") for rule in policy.prefixes if rule.allow}
    for country in countries:
        beginnings.update(corrected_beginnings(country, CHOICES))
    return NumberCheck(
        tuple(prefix + form for form in _allowed_forms(policy.region, outbound_format, countries, tuple(beginnings))),
        tuple(sorted({*emergency, *(prefix + number for number in emergency)})),
    )


@lru_cache(maxsize=4)  # every poll asks for the same ones
def _allowed_forms(
    region: str,
    outbound_format: OutboundFormat,
    countries: tuple[str, ...],
    beginnings: tuple[str, ...],
) -> list[str]:
    forms = _forms(region, countries, beginnings, CHOICES)
    return _joined(written for form in forms for written in _write(form, region, outbound_format))


def _forms(region: str, countries: Iterable[str], beginnings: Iterable[str], kinds: Collection[NumberKind]) -> set[str]:
    """Return the forms of the numbers of these kinds and countries, and of those that begin so, with country code."""
    forms = {form for country in countries for form in _e164_forms(country, library_kinds(kinds))}
    return forms | {form for beginning in beginnings for form in _forms_beginning_with(beginning, region)}


def _forms_beginning_with(beginning: str, region: str) -> list[str]:
    """Return the forms of numbers of all kinds that begin so. In the office's own country they are in its plan."""
    if beginning.startswith(str(phonenumbers.country_code_for_region(region))):
        forms = [form for form in _e164_forms(region, _DESCRIPTIONS) if len(form) > len(beginning)]
        fitting = (f for f in forms if all(one in (other, ANY) for one, other in zip(f, beginning, strict=False)))
        return [beginning + form[len(beginning) :] for form in fitting]
    lengths = range(max(SHORTEST_INTERNATIONAL, len(beginning)), LONGEST_INTERNATIONAL + 1)
    return [beginning + ANY * (length - len(beginning)) for length in lengths]


# -- how numbers are dialled ------------------------------------------------------------------------------------------


def _write(form: str, region: str, outbound_format: OutboundFormat) -> set[str]:
    """Return the ways in which the numbers of a form are dialled. The digits that ANY stands for decide which."""
    if outbound_format is OutboundFormat.E164:
        return {form}
    if outbound_format is OutboundFormat.INTERNATIONAL:
        return {f"00{form}"}
    country = str(phonenumbers.country_code_for_region(region))
    if form.startswith(country):
        return _write_nationally(form.removeprefix(country), _formats(region))
    return {_access_code(region) + form}


@lru_cache(maxsize=16)
def _access_code(region: str) -> str:
    """Return what is dialled before the country code of another country."""
    abroad = "US" if phonenumbers.country_code_for_region(region) != 1 else "GB"
    example = phonenumbers.example_number_for_type(abroad, PhoneNumberType.FIXED_LINE)
    assert example is not None
    written = phonenumbers.format_out_of_country_calling_number(example, region)
    e164 = phonenumbers.format_number(example, PhoneNumberFormat.E164).removeprefix("+")
    # several codes, such as one for each provider
    return "00" if written.startswith("+") else re.sub(r"\D", "", written).removesuffix(e164)


@lru_cache(maxsize=16)
def _formats(region: str) -> "tuple[_Format, ...]":
    """Return how numbers of a country are written there. Countries that share a country code write alike."""
    main = phonenumbers.region_code_for_country_code(phonenumbers.country_code_for_region(region))
    metadata = PhoneMetadata.metadata_for_region(main, None)
    return tuple(_Format.of(each) for each in metadata.number_format) if metadata is not None else ()


# -- what the library knows of a country ------------------------------------------------------------------------------


def _e164_forms(region: str, kinds: Iterable[int]) -> frozenset[str]:
    """Return the forms of a country's numbers of these kinds, with the country code: "98912XXXXXXX"."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is None:
        return frozenset()
    described = (getattr(metadata, _DESCRIPTIONS[kind]) for kind in kinds)
    patterns = [_Kind.of(each, metadata) for each in described if each is not None]
    leads = [""]
    for _ in range(LEADING):
        leads = [lead + digit for lead in leads for digit in _DIGITS if any(k.has(lead + digit) for k in patterns)]
    country = phonenumbers.country_code_for_region(region)
    return frozenset(f"{country}{form}" for lead in leads for kind in patterns for form in kind.forms(lead))


@lru_cache(maxsize=4)
def _emergency_numbers(region: str) -> tuple[str, ...]:
    metadata = PhoneMetadata.short_metadata_for_region(region)
    if metadata is None or metadata.emergency is None:
        return ()
    emergency = _Kind.of(metadata.emergency, metadata)
    found, leads = set(), [""]
    for _ in range(max(emergency.lengths)):
        leads = [lead + digit for lead in leads for digit in _DIGITS if emergency.has(lead + digit)]
        found |= {lead for lead in leads if lead in emergency.forms(lead)}
    return tuple(sorted(found))


@dataclass(frozen=True)
class _Kind:
    """A kind of numbers: a pattern that ANY matches as well, and their lengths."""

    pattern: re.Pattern[str]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, kind: PhoneNumberDesc, metadata: PhoneMetadata) -> "_Kind":
        general = metadata.general_desc
        lengths = kind.possible_length or (general.possible_length if general is not None else ())
        return cls(_with_any(kind.national_number_pattern or ""), tuple(lengths))

    def forms(self, lead: str) -> list[str]:
        """Return the forms of the numbers that begin with these digits."""
        forms = (lead + ANY * (length - len(lead)) for length in self.lengths if length >= len(lead))
        return [form for form in forms if self.pattern.fullmatch(form)]

    def has(self, lead: str) -> bool:
        return bool(self.forms(lead))


@dataclass(frozen=True)
class _Format:
    """How numbers of a pattern are written. `leading` matches the beginning of such a number."""

    leading: re.Pattern[str]
    pattern: re.Pattern[str]
    template: str

    @classmethod
    def of(cls, given: NumberFormat) -> "_Format":
        leading = given.leading_digits_pattern[-1] if given.leading_digits_pattern else ""
        template, rule = given.format or "", given.national_prefix_formatting_rule
        template = _FIRST_GROUP.sub(rule, template, count=1) if rule else template
        return cls(_with_any(leading), _with_any(given.pattern or ""), template)


def _write_nationally(form: str, formats: Iterable[_Format]) -> set[str]:
    written = set()
    for each in formats:
        found = each.pattern.fullmatch(form) if each.leading.match(form) else None
        if found is not None:
            written.add(re.sub(f"[^0-9{ANY}]", "", found.expand(each.template)))
    return written or {form}


@lru_cache(maxsize=256)
def _with_any(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of the library so that ANY matches wherever some digit does."""

    def extend(found: re.Match[str]) -> str:
        atom = found[0]
        if atom.startswith("{"):
            return atom
        return f"{atom[:-1]}{ANY}]" if atom.startswith("[") else f"[{atom}{ANY}]"

    return re.compile(_ATOM.sub(extend, pattern))


# -- fewer forms ------------------------------------------------------------------------------------------------------


def _joined(forms: Iterable[str]) -> list[str]:
    """Join forms that differ in one digit: "021X" and "031X" become "0[23]1X"."""
    tails: dict[str, set[str]] = {}
    for form in forms:
        tails.setdefault(form[:1], set()).add(form[1:])
    found = [] if tails.pop("", None) is None else [""]
    heads: dict[frozenset[str], str] = {}
    for head in sorted(tails):
        rest = frozenset(tails[head])
        heads[rest] = heads.get(rest, "") + head
    for rest, digits in heads.items():
        found += [_symbol(digits) + form for form in _joined(rest)]
    return found


def _symbol(digits: str) -> str:
    if ANY in digits or len(digits) == len(_DIGITS):
        return ANY
    return digits if len(digits) == 1 else f"[{digits}]"
