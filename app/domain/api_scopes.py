"""What an API token may do. It never may do more than its user."""

from collections.abc import Collection
from enum import StrEnum


class ApiScope(StrEnum):
    """A part of the JSON API. A token names those that it may use."""

    REQUESTS_READ = "requests:read"
    REQUESTS_WRITE = "requests:write"
    OFFICE_READ = "office:read"  # modules and queues
    FIGURES_READ = "figures:read"
    CALLS_WRITE = "calls:write"  # ring an extension of the user, and connect it with a number


def parse_scopes(names: Collection[str]) -> frozenset[ApiScope]:
    """Return the scopes of these names. Raises ValueError if one is unknown."""
    return frozenset(ApiScope(name) for name in names)


def known_scopes(names: Collection[str]) -> frozenset[ApiScope]:
    """Return the scopes of these names. Names of another version give no right."""
    return frozenset(scope for scope in ApiScope if scope in names)
