"""Missed calls: for whom they count, what becomes of them, and when a request is due."""

from datetime import timedelta

import pytest

from app.domain.missed_calls import Arrival, ModuleTargets, Outcome, Target, find_target, is_due
from tests.support.factories import NOW

SARA, OMID, SALES = Target(False, "101"), Target(False, "102"), Target(True, "sales")
MODULES = {
    1: ModuleTargets(False, ("101", "102")),
    2: ModuleTargets(True, ("sales",)),
    3: ModuleTargets(False, ("101",)),
}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Outcome.OPEN, {Outcome.REACHED, Outcome.LEFT, Outcome.REQUESTED, Outcome.DISMISSED}),
        (Outcome.LEFT, {Outcome.REACHED}),
        (Outcome.REQUESTED, {Outcome.REACHED}),
        (Outcome.DISMISSED, {Outcome.REACHED}),
        (Outcome.REACHED, set()),
    ],
)
def test_only_a_talk_changes_what_has_become_of_a_call(before: Outcome, after: set[Outcome]) -> None:
    assert {outcome for outcome in Outcome if outcome.follows(before)} == after


@pytest.mark.parametrize(
    ("target", "valid"),
    [
        (SARA, True),
        (SALES, True),
        (Target(False, "sara"), False),
        (Target(True, "a|b"), False),
        (Target(False, ""), False),
    ],
)
def test_target_has_a_code_that_the_pbx_can_have(target: Target, valid: bool) -> None:
    assert target.is_valid is valid


@pytest.mark.parametrize(
    ("arrivals", "found"),
    [
        ([], None),
        ([Arrival(SARA)], SARA),
        ([Arrival(Target(False, "109"))], None),
        ([Arrival(SARA), Arrival(SALES)], SALES),
        ([Arrival(SARA), Arrival(Target(False, "109"))], SARA),
        ([Arrival(SARA), Arrival(module_id=1, wanted="102")], OMID),
        ([Arrival(SARA), Arrival(module_id=1)], SARA),  # any of two extensions
        ([Arrival(module_id=1)], None),
        ([Arrival(module_id=3)], SARA),  # its only one
        ([Arrival(module_id=2, wanted="101")], SALES),
        ([Arrival(SARA), Arrival(module_id=99, wanted="102")], SARA),  # a module that is deleted
    ],
)
def test_call_counts_for_the_last_listed_target_to_which_the_caller_came(
    arrivals: list[Arrival], found: Target | None
) -> None:
    assert find_target(arrivals, MODULES, {SARA, OMID, SALES}) == found


def test_module_serves_its_targets() -> None:
    assert MODULES[1].serves(OMID)
    assert not MODULES[3].serves(OMID)
    assert not MODULES[2].serves(Target(False, "sales"))


@pytest.mark.parametrize(("minutes", "age", "due"), [(10, 9, False), (10, 10, True), (10, 11, True), (0, 9999, False)])
def test_request_is_due_after_its_minutes(minutes: int, age: int, due: bool) -> None:
    assert is_due(NOW - timedelta(minutes=age), minutes, NOW) is due
