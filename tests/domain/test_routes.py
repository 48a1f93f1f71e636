"""Routes that fail: the growing pause, and what ends it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lifecycle import Outcome, Side
from app.domain.routes import RouteTrouble, after
from tests.support.factories import NOW

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
FAILURES = [outcome for outcome in Outcome if outcome.side is Side.ROUTE]
FAILED = RouteTrouble(1, NOW, NOW, Outcome.ROUTE_CONGESTED)


@pytest.mark.parametrize("outcome", FAILURES)
def test_failure_pauses_the_route(outcome: Outcome) -> None:
    trouble = after(None, outcome, NOW - SECOND, NOW - SECOND, NOW)
    assert trouble == RouteTrouble(1, NOW, NOW, outcome)
    assert trouble.paused_until == NOW + 30 * SECOND


def test_pause_doubles_up_to_ten_minutes_and_remembers_since_when() -> None:
    trouble, now, pauses = None, NOW, []
    for _ in range(8):
        trouble = after(trouble, Outcome.ROUTE_CONGESTED, now, now, now)
        assert trouble is not None and trouble.since == NOW
        pauses.append(int((trouble.paused_until - now).total_seconds()))
        now = trouble.paused_until
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]


def test_calls_that_fail_together_count_once() -> None:
    assert after(FAILED, Outcome.ROUTE_FORBIDDEN, NOW - SECOND, NOW - SECOND, NOW + SECOND) == FAILED


def test_calls_that_were_decided_on_before_the_failure_do_not_count_when_they_are_dialled_after_it() -> None:
    """Their agents rang while the first one failed: one outage of the trunk, not one after the other."""
    assert after(FAILED, Outcome.ROUTE_CONGESTED, NOW - SECOND, NOW + SECOND, NOW + 2 * SECOND) == FAILED


def test_success_of_a_call_that_was_decided_on_before_the_failure_and_dialled_after_it_ends_the_trouble() -> None:
    assert after(FAILED, Outcome.CONNECTED, NOW - SECOND, NOW + SECOND, NOW + MINUTE) is None


@pytest.mark.parametrize("outcome", [Outcome.CONNECTED, Outcome.CUSTOMER_BUSY, Outcome.CUSTOMER_UNREACHABLE])
def test_any_result_of_the_far_end_ends_the_trouble(outcome: Outcome) -> None:
    assert after(FAILED, outcome, NOW + SECOND, NOW + SECOND, NOW + MINUTE) is None


def test_talk_that_began_before_the_failure_does_not_end_the_trouble() -> None:
    assert after(FAILED, Outcome.CONNECTED, NOW - MINUTE, NOW - MINUTE, NOW + MINUTE) == FAILED


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.CUSTOMER_ABANDONED,
        Outcome.CUSTOMER_UNKNOWN,
        Outcome.CUSTOMER_EMERGENCY,
        Outcome.CUSTOMER_NOT_ALLOWED,
        Outcome.AGENT_BUSY,
        Outcome.WITHDRAWN,
    ],
)
@pytest.mark.parametrize("before", [None, FAILED])
def test_what_says_nothing_of_the_route_changes_nothing(outcome: Outcome, before: RouteTrouble | None) -> None:
    assert after(before, outcome, NOW + SECOND, NOW + SECOND, NOW + MINUTE) == before


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.integers(0, 900), st.integers(0, 900)), max_size=40))
def test_trouble_begins_with_a_failure_and_its_pause_is_bounded(calls: list[tuple[Outcome, int, int]]) -> None:
    trouble, now = None, NOW
    for outcome, wait, took in calls:
        dialled_at = now + wait * SECOND
        now = dialled_at + took * SECOND
        trouble = after(trouble, outcome, dialled_at, dialled_at, now)
        if outcome.side is Side.ROUTE:
            assert trouble is not None and trouble.failed_at == now
        if outcome is Outcome.CONNECTED:
            assert trouble is None
        if trouble is not None:
            assert trouble.since <= trouble.failed_at <= now
            assert timedelta(0) < trouble.paused_until - trouble.failed_at <= 10 * MINUTE
