"""How long somebody waits before the next try to log in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.login_limits import ALLOWANCES, FORGOTTEN_AFTER, Counter, Failures, address_group, wait

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOTHING = timedelta(0)


@pytest.mark.parametrize("counter", Counter)
def test_the_first_failures_are_free_and_then_the_wait_doubles(counter: Counter) -> None:
    allowance = ALLOWANCES[counter]
    assert wait(counter, None, NOW) == NOTHING
    assert wait(counter, Failures(allowance.free - 1, NOW), NOW) == NOTHING
    waits = [wait(counter, Failures(allowance.free + more, NOW), NOW) for more in range(40)]
    assert [pause.total_seconds() for pause in waits[:4]] == [1, 2, 4, 8]
    assert waits == sorted(waits) and waits[-1] == allowance.longest


@pytest.mark.parametrize("counter", Counter)
def test_a_wait_ends_and_old_failures_are_forgotten(counter: Counter) -> None:
    failures = Failures(1000, NOW)
    longest = ALLOWANCES[counter].longest
    assert wait(counter, failures, NOW + longest - timedelta(seconds=1)) == timedelta(seconds=1)
    assert wait(counter, failures, NOW + longest) == NOTHING
    assert longest < FORGOTTEN_AFTER
    assert wait(counter, failures, NOW + FORGOTTEN_AFTER) == NOTHING


@given(st.sampled_from(list(Counter)), st.integers(0, 10**6), st.integers(-(10**6), 10**6))
def test_nobody_waits_longer_than_the_longest_wait_even_if_the_clock_is_set_back(
    counter: Counter, count: int, seconds: int
) -> None:
    pause = wait(counter, Failures(count, NOW), NOW + timedelta(seconds=seconds))
    assert NOTHING <= pause <= ALLOWANCES[counter].longest


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address: str, group: str) -> None:
    assert address_group(address) == group
