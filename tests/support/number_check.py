"""A model of the context that says which numbers may be dialled: what Asterisk must answer for each number."""

import re
from functools import lru_cache

from app.domain.dialplan_numbers import NumberCheck


@lru_cache(maxsize=64)
def _pattern(check: NumberCheck) -> re.Pattern[str]:
    return re.compile("|".join(form.replace("X", "[0-9]") for form in check.allowed) or "(?!)")


def verdict(check: NumberCheck, digits: str) -> str:
    """Return "allowed", or why the digits are not dialled: "emergency" or "number"."""
    if digits in check.emergency:
        return "emergency"
    return "allowed" if _pattern(check).fullmatch(digits) else "number"
