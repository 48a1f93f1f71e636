"""Load the rules that say which numbers may be called."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.number_kinds import NumberKind
from app.domain.number_policy import ORDINARY, NumberPolicy, PrefixRule
from app.store.models import NumberRule

KINDS, TYPED_KINDS = "number_kinds", "typed_number_kinds"  # the settings, with the values of NumberKind and commas


class RuleKind(StrEnum):
    """What a row of `NumberRule` says. The values are stored."""

    COUNTRY = "country"  # numbers of this country may be called
    ALLOW = "allow"  # numbers with this prefix may be called
    REFUSE = "refuse"  # they may not


def load_policy(session: Session, region: str, stored: Mapping[str, str]) -> NumberPolicy:
    """Return the office's number policy. `region` is its country, `stored` the result of `settings.read_all`."""
    rows = session.execute(select(NumberRule.kind, NumberRule.value, NumberRule.typed))
    return make_policy(region, stored, [(kind, value, typed) for kind, value, typed in rows])


def make_policy(region: str, stored: Mapping[str, str], rows: Iterable[tuple[str, str, bool]]) -> NumberPolicy:
    """Return a number policy. `rows` are those of `NumberRule`, as (kind, value, typed); the rest as `load_policy`."""
    rows = list(rows)
    countries = [(value, typed) for kind, value, typed in rows if kind == RuleKind.COUNTRY]
    return NumberPolicy(
        region=region,
        kinds=_kinds(stored, KINDS),
        typed_kinds=_kinds(stored, TYPED_KINDS),
        countries=frozenset(country for country, _ in countries),
        typed_countries=frozenset(country for country, typed in countries if typed),
        prefixes=tuple(
            PrefixRule(value, kind == RuleKind.ALLOW, typed) for kind, value, typed in rows if kind != RuleKind.COUNTRY
        ),
    )


def _kinds(stored: Mapping[str, str], name: str) -> frozenset[NumberKind]:
    if name not in stored:
        return ORDINARY
    return frozenset(NumberKind(kind) for kind in stored[name].split(",") if kind)
