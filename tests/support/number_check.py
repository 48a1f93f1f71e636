"""A model of the context that says which numbers may be dialled: what Asterisk must answer for each number."""

import re
from functools import lru_cache

from app.domain.dialplan_numbers import CallerCheck, NumberCheck


@lru_cache(maxsize=64)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(form.replace("X", "[0-9]").replace("+", r"\+") for form in forms) or "(?!)")


def verdict(check: NumberCheck, digits: str) -> str:
    """Return "allowed", or why the digits are not dialled: "emergency" or "number"."""
    if digits in check.emergency:
        return "emergency"
    return "allowed" if _pattern(check.allowed).fullmatch(digits) else "number"


def caller_verdict(check: CallerCheck, caller: str) -> str:
    """Return "allowed", or why the dialplan keeps no registration of a caller: "refused" or "number"."""
    if _pattern(check.refused).fullmatch(caller):
        return "refused"
    return "allowed" if _pattern(check.allowed).fullmatch(caller) else "number"
