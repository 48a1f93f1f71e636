"""The second factor of a log-in: who needs one, and which codes count when.

The codes of a phone follow RFC 6238. Each belongs to a time step of 30 seconds by the wall clock.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.numbers import ascii_digits

STEP = timedelta(seconds=30)
DRIFT = 1  # steps by which the clocks of phone and machine may differ
DIGITS = 6
LOG_IN_WITHIN = timedelta(minutes=10)  # from the password to the code
SET_UP_WITHIN = timedelta(minutes=30)  # from the new secret to its first code


class Requirement(StrEnum):
    """Who may use the panel only with a second factor."""

    NOBODY = "nobody"
    ADMINISTRATORS = "administrators"
    EVERYBODY = "everybody"


def is_required(requirement: Requirement, role: str) -> bool:
    """Return whether users of this role need a second factor."""
    if requirement is Requirement.ADMINISTRATORS:
        return role == "administrator"
    return requirement is Requirement.EVERYBODY


def valid_steps(now: datetime, used: int | None) -> range:
    """Return the time steps whose codes are valid now. `used`: the step of the last accepted code, None before it.

    No code is valid twice, and none from before the last one (RFC 6238, 5.2).
    """
    current = int(now.timestamp()) // int(STEP.total_seconds())
    first = current - DRIFT if used is None else max(current - DRIFT, used + 1)
    return range(first, current + DRIFT + 1)


def has_lapsed(since: datetime, now: datetime, limit: timedelta) -> bool:
    """Return whether the time for the next page is over. The clock may have been put back since."""
    return abs(now - since) >= limit


def normalize_code(typed: str) -> str:
    """Return a typed code without spaces and dashes, in ASCII digits and small letters."""
    return "".join(char for char in ascii_digits(typed) if char.isascii() and char.isalnum()).lower()


def is_phone_code(code: str) -> bool:
    """Return whether a normalized code has the form of those that phones show. All others may be recovery codes."""
    return len(code) == DIGITS and code.isdecimal()
