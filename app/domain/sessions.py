"""When the session of a user ends by itself, and when it is fresh."""

from dataclasses import dataclass
from datetime import datetime, timedelta

FRESH = timedelta(minutes=10)


@dataclass(frozen=True)
class SessionLimits:
    """`idle`: the longest time without use. `longest`: the longest time since the log-in."""

    idle: timedelta
    longest: timedelta


def has_ended(started_at: datetime, used_at: datetime, now: datetime, limits: SessionLimits) -> bool:
    """Return whether a session has reached one of its limits."""
    return now - started_at >= limits.longest or now - used_at >= limits.idle


def is_fresh(started_at: datetime, now: datetime) -> bool:
    """Return whether the user logged in so shortly ago that nobody else sits there."""
    return now - started_at < FRESH
