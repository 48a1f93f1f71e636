"""How long somebody must wait before the next try to log in.

Failures are counted for an account and an address together, for each of them alone, and for a known browser with an
account. A known browser has logged in to this account before. Only its own failures count for it, so nobody can lock
out an account, or an office behind one address, whose people use their usual browsers.

Codes of the second factor count as well, and have a counter of their own with longer waits: who guesses them knows the
password already.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

FORGOTTEN_AFTER = timedelta(hours=1)  # without a failure


class Counter(StrEnum):
    """What failures are counted for."""

    BROWSER = "browser"  # a known browser with an account
    PAIR = "pair"  # an account and an address
    ACCOUNT = "account"
    ADDRESS = "address"
    CODE = "code"  # codes of an account, in a known browser or in all others
    TOKEN = "token"  # noqa: S105 - the name of a counter: API tokens that do not exist, of an address


@dataclass(frozen=True)
class Allowance:
    """After `free` failures in a row one must wait for 1 s, then 2 s, 4 s and so on, at most for `longest`."""

    free: int
    longest: timedelta


@dataclass(frozen=True)
class Failures:
    """How many there were in a row, and when the last one was."""

    count: int
    last_at: datetime


ALLOWANCES: Mapping[Counter, Allowance] = {
    Counter.BROWSER: Allowance(5, timedelta(minutes=5)),
    Counter.PAIR: Allowance(5, timedelta(minutes=15)),
    Counter.ACCOUNT: Allowance(20, timedelta(seconds=30)),
    Counter.ADDRESS: Allowance(40, timedelta(seconds=30)),  # a whole office may share an address
    Counter.CODE: Allowance(5, timedelta(minutes=30)),
    Counter.TOKEN: Allowance(10, timedelta(minutes=15)),  # right tokens are served meanwhile
}
_MOST_DOUBLINGS = 20


def wait(counter: Counter, failures: Failures | None, now: datetime) -> timedelta:
    """Return how long one must wait before the next try."""
    if failures is None or is_forgotten(failures, now):
        return timedelta(0)
    allowance = ALLOWANCES[counter]
    beyond = failures.count - allowance.free
    if beyond < 0:
        return timedelta(0)
    pause = min(timedelta(seconds=2 ** min(beyond, _MOST_DOUBLINGS)), allowance.longest)
    # A clock that was set back must not make anybody wait for longer.
    return min(max(failures.last_at + pause - now, timedelta(0)), pause)


def is_forgotten(failures: Failures, now: datetime) -> bool:
    """Return whether the last failure is so old that none counts any more."""
    return now - failures.last_at >= FORGOTTEN_AFTER


def address_group(address: str) -> str:
    """Return what counts as one address. One person may have a whole /64 network of IPv6 addresses."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)
