"""Pauses that grow: what keeps failing is tried less and less often."""

from datetime import timedelta

LONGEST_PAUSE = timedelta(minutes=10)
_MAX_DOUBLINGS = 20  # more would overflow


def growing_pause(first: timedelta, failures: int) -> timedelta:
    """Return the pause after this many failures in a row: `first`, doubled with each one, up to LONGEST_PAUSE.

    A first pause that is longer than that stays as it is.
    """
    doubled = first * (1 << min(max(failures, 1) - 1, _MAX_DOUBLINGS))
    return min(doubled, max(first, LONGEST_PAUSE))
