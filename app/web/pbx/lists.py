"""What the lists of extensions and queues have in common."""

from collections.abc import Sequence
from typing import Protocol

from flask import request

from app.services.pbx.lookup import is_reachable
from app.web.context import database, pbx, utcnow


class Searchable(Protocol):
    """A row of a list."""

    def matches(self, search: str) -> bool: ...


def list_values(rows: Sequence[Searchable]) -> dict[str, object]:
    """Return the template's values for a list. `q` searches in the rows."""
    search = request.args.get("q", "").strip()
    return {
        "rows": [row for row in rows if row.matches(search)],
        "has_rows": bool(rows),
        "search": search,
        "reachable": is_reachable(database(), utcnow()),
        "profile": pbx().pbx_profile,
    }
