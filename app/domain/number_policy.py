"""Which numbers may be called: one pure function for every way in, and again before dialling.

Nothing is allowed by default but ordinary numbers of the office's own country. A verdict names the rule that decides,
so that colleagues and technicians get a reason.
"""

from dataclasses import dataclass
from enum import StrEnum

import phonenumbers

from app.domain import numbers
from app.domain.number_kinds import NumberKind, region_and_kind
from app.domain.numbers import NotANumber, NumberPlan


class Source(StrEnum):
    """Where a number comes from. The values are stored."""

    CALLER_ID = "caller_id"
    TYPED = "typed"  # by a caller, on their phone
    PANEL = "panel"  # typed by a colleague


class Rule(StrEnum):
    """The rule that decides about a number. The first three allow it."""

    INSIDE = "inside"  # an extension, for somebody inside
    ALLOWED = "allowed"  # a kind and a country that may be called
    PREFIX_ALLOWED = "prefix_allowed"  # the office allows numbers that begin so
    EMPTY = "empty"
    INVALID = "invalid"
    SHORT = "short"  # a service number of a few digits
    EMERGENCY = "emergency"
    EXTENSION = "extension"  # only somebody inside may leave it
    PREFIX_REFUSED = "prefix_refused"  # the office refuses numbers that begin so
    COSTLY = "costly"  # premium rate and the like
    FOREIGN = "foreign"
    KIND = "kind"

    @property
    def allows(self) -> bool:
        return self in (Rule.INSIDE, Rule.ALLOWED, Rule.PREFIX_ALLOWED)


# The kinds that an office may allow, in the order of the page.
CHOICES = (
    NumberKind.LANDLINE,
    NumberKind.MOBILE,
    NumberKind.VOIP,
    NumberKind.NATIONAL,
    NumberKind.TOLL_FREE,
    NumberKind.SHARED_COST,
)
ORDINARY = frozenset(CHOICES) - {NumberKind.SHARED_COST}
_EITHER = frozenset({NumberKind.LANDLINE, NumberKind.MOBILE})
_OPEN_DIGITS = 2  # a prefix opens a costly number only if it leaves no more digits open than this


@dataclass(frozen=True)
class PrefixRule:
    """Allow or refuse the numbers that begin with `prefix` ("+4420").

    If it allows them, `typed` says whether callers may type them, too.
    """

    prefix: str
    allow: bool
    typed: bool = False

    def applies(self, number: str, source: Source) -> bool:
        is_meant = not self.allow or self.typed or source is not Source.TYPED
        return is_meant and number.startswith(self.prefix)


@dataclass(frozen=True)
class NumberPolicy:
    """The office's rules. `region` is its own country, whose numbers are always allowed.

    `kinds` and `countries` hold for callers' own numbers and for colleagues. A number that a caller types must also be
    of `typed_kinds`, and of the own country or `typed_countries`.
    """

    region: str = "IR"
    kinds: frozenset[NumberKind] = ORDINARY
    typed_kinds: frozenset[NumberKind] = ORDINARY
    countries: frozenset[str] = frozenset()
    typed_countries: frozenset[str] = frozenset()
    prefixes: tuple[PrefixRule, ...] = ()

    def allows_kind(self, kind: NumberKind, source: Source) -> bool:
        allowed = self.kinds & self.typed_kinds if source is Source.TYPED else self.kinds
        return not allowed.isdisjoint(_EITHER) if kind is NumberKind.LANDLINE_OR_MOBILE else kind in allowed

    def allows_country(self, region: str, source: Source) -> bool:
        allowed = self.countries & self.typed_countries if source is Source.TYPED else self.countries
        return region == self.region or region in allowed

    def find_prefix(self, number: str, source: Source) -> PrefixRule | None:
        """Return the rule with the longest prefix of this number, None if there is none."""
        rules = [rule for rule in self.prefixes if rule.applies(number, source)]
        return max(rules, key=lambda rule: len(rule.prefix), default=None)


@dataclass(frozen=True)
class Verdict:
    """Whether a number may be called. `rule` decides; `prefix` is that of the office's rule.

    `number` is normalized, "" if it cannot be read. `region` and `kind` are those of an outside number.
    """

    rule: Rule
    number: str = ""
    region: str = ""
    kind: NumberKind = NumberKind.UNKNOWN
    prefix: str = ""

    @property
    def allows(self) -> bool:
        return self.rule.allows


def judge(raw: str, plan: NumberPlan, policy: NumberPolicy, source: Source, *, from_inside: bool = False) -> Verdict:
    """Decide about a number as it was typed or reported.

    Set `from_inside` if the call came from a phone of the office, or a colleague typed it: then a known extension is
    allowed.
    """
    text = numbers.without_separators(raw)
    if text not in plan.extensions and phonenumbers.is_emergency_number(text, plan.region):
        return Verdict(Rule.EMERGENCY)
    try:
        number = numbers.normalize(raw, plan)
    except NotANumber:
        return Verdict(_why_unreadable(text, plan))
    if numbers.is_internal(number):
        return Verdict(Rule.INSIDE if from_inside else Rule.EXTENSION, number)
    return judge_number(number, policy, source)


def _why_unreadable(text: str, plan: NumberPlan) -> Rule:
    if not text:
        return Rule.EMPTY
    is_digits = numbers.is_internal(text)
    return Rule.SHORT if is_digits and numbers.is_short_number(text, plan.region) else Rule.INVALID


def judge_number(number: str, policy: NumberPolicy, source: Source) -> Verdict:
    """Decide about a normalized number. An extension is allowed: it was checked when it was stored."""
    if numbers.is_internal(number):
        return Verdict(Rule.INSIDE, number)
    if not numbers.is_outside(number):  # somebody has changed the row by hand
        return Verdict(Rule.INVALID, number)
    region, kind = region_and_kind(number, policy.region)
    if not region:
        return Verdict(Rule.INVALID, number)
    found = policy.find_prefix(number, source)
    return Verdict(
        _decide(number, region, kind, policy, source, found), number, region, kind, found.prefix if found else ""
    )


def _decide(
    number: str, region: str, kind: NumberKind, policy: NumberPolicy, source: Source, found: PrefixRule | None
) -> Rule:
    if found is not None and not found.allow:
        return Rule.PREFIX_REFUSED
    if kind not in (*CHOICES, NumberKind.LANDLINE_OR_MOBILE) and not _names(found, number):
        return Rule.COSTLY
    if found is not None:
        return Rule.PREFIX_ALLOWED
    if not policy.allows_country(region, source):
        return Rule.FOREIGN
    return Rule.ALLOWED if policy.allows_kind(kind, source) else Rule.KIND


def _names(rule: PrefixRule | None, number: str) -> bool:
    """Tell whether a prefix is so long that it can only mean this number and a few others."""
    return rule is not None and len(number) - len(rule.prefix) <= _OPEN_DIGITS
