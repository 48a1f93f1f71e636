"""Users who log in with what the office has: which role their groups give, and what is taken over of their claims."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.routing import EXTENSION_PATTERN

EVERYBODY = "*"  # instead of a group: all who can log in there
MOST_EXTENSIONS = 10  # that are taken over; a person has one or two


class Source(StrEnum):
    """Where a user logs in outside the panel."""

    OIDC = "oidc"
    LDAP = "ldap"


@dataclass(frozen=True)
class ExternalUser:
    """A user as a provider or a directory describes them, after a log-in there.

    Only `issuer` and `subject` say who it is. `groups` are normalized by `fold_group` for a directory. `extensions`
    is None if the source says nothing of them.
    """

    source: Source
    issuer: str
    subject: str
    name: str
    groups: frozenset[str] = frozenset()
    extensions: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RoleGroups:
    """The groups that give each role, the highest role first."""

    administrator: frozenset[str] = frozenset()
    supervisor: frozenset[str] = frozenset()
    operator: frozenset[str] = frozenset()

    def role_of(self, groups: Collection[str]) -> str | None:
        """Return the highest role that one of the groups gives, or None."""
        mine = {*groups, EVERYBODY}
        for role in ("administrator", "supervisor", "operator"):
            if not mine.isdisjoint(getattr(self, role)):
                return role
        return None


def split_groups(text: str) -> frozenset[str]:
    """Return the groups of a setting. Semicolons separate them, because names of a directory contain commas."""
    return frozenset(filter(None, map(str.strip, text.split(";"))))


def fold_group(name: str) -> str:
    """Return the form in which names of a directory's groups are compared: they ignore case and spaces at commas."""
    return ",".join(part.strip() for part in re.split(r"(?<!\\),", name)).casefold()


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim, or None. `realm_access.roles` is `roles` in the claim `realm_access`, unless one is called so."""
    if name in claims:
        return claims[name]
    first, _, rest = name.partition(".")
    inner = claims.get(first) if rest else None
    return find_claim(inner, rest) if isinstance(inner, Mapping) else None


def read_texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a claim that is a text or a list of them. Everything else in it is ignored."""
    values: Iterable[Any] = [value] if isinstance(value, str | int) else value if isinstance(value, list) else ()
    return tuple(str(one) for one in values if isinstance(one, str | int) and not isinstance(one, bool))


def read_extensions(values: Iterable[str]) -> tuple[str, ...]:
    """Return the valid extensions among the values of a claim or attribute, each of which may list several."""
    parts = (part for value in values for part in re.split(r"[\s,;]+", value))
    valid = dict.fromkeys(part for part in parts if EXTENSION_PATTERN.fullmatch(part))
    return tuple(valid)[:MOST_EXTENSIONS]
