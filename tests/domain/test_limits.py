"""Which requests the limits and the lists of numbers refuse."""

from dataclasses import fields, replace

import pytest

from app.domain.limits import (
    LimitReason,
    NumberLists,
    NumberRange,
    RegistrationLimits,
    Standing,
    find_reason,
)

NUMBER = "+989121234567"
LIMITS = RegistrationLimits(1, 2, 3, 4, 5, 6)
NAMES = [field.name for field in fields(RegistrationLimits)]


def exact(number: str) -> NumberRange:
    return NumberRange(number, number)


@pytest.mark.parametrize("name", NAMES)
def test_each_limit_refuses_at_its_value_and_not_below(name: str) -> None:
    limit = getattr(LIMITS, name)
    reason = LimitReason(name)
    assert find_reason([NUMBER], NumberLists(), LIMITS, {reason: limit - 1}) is None
    assert find_reason([NUMBER], NumberLists(), LIMITS, {reason: limit}) is reason
    unlimited = replace(LIMITS, **{name: 0})
    assert find_reason([NUMBER], NumberLists(), unlimited, {reason: 10_000}) is None


def test_every_reason_but_the_list_is_a_limit() -> None:
    assert {reason.value for reason in LimitReason} == {"blocked", *NAMES}


@pytest.mark.parametrize(
    ("entry", "number", "covers"),
    [
        (exact(NUMBER), NUMBER, True),
        (exact(NUMBER), "+989121234568", False),
        (NumberRange("+98912", ""), NUMBER, True),
        (NumberRange("+98912", ""), "+989131234567", False),
        (NumberRange("+982188880000", "+982188889999"), "+982188880000", True),
        (NumberRange("+982188880000", "+982188889999"), "+982188889999", True),
        (NumberRange("+982188880000", "+982188889999"), "+982188890000", False),
        (NumberRange("+982188880000", "+982188889999"), "+9821888800001", False),
        (NumberRange("+982188880000", "+982188889999"), "101", False),
        (exact("101"), "101", True),
    ],
)
def test_ranges(entry: NumberRange, number: str, covers: bool) -> None:
    assert entry.covers(number) is covers


def test_blocked_number_is_refused_as_the_caller_and_as_the_number_to_call() -> None:
    lists = NumberLists(blocked=(NumberRange("+98912", ""),))
    for numbers in ([NUMBER], ["+982188880000", NUMBER], [NUMBER, "+982188880000"]):
        assert find_reason(numbers, lists, LIMITS, {}) is LimitReason.BLOCKED


def test_allowed_number_is_taken_out_of_a_blocked_range_and_has_no_limit_of_its_own() -> None:
    lists = NumberLists(blocked=(NumberRange("+98912", ""),), allowed=(exact(NUMBER),))
    counts = {LimitReason.NUMBER_OPEN: 9, LimitReason.NUMBER_HOUR: 9, LimitReason.NUMBER_DAY: 9}
    assert find_reason([NUMBER], lists, LIMITS, counts) is None
    for general in (LimitReason.MODULE_HOUR, LimitReason.TOTAL_HOUR, LimitReason.WAITING):
        assert find_reason([NUMBER], lists, LIMITS, {**counts, general: 9}) is general


def test_narrowest_range_gives_the_standing() -> None:
    ranges = [
        (NumberRange("+98", ""), "101"),
        (NumberRange("+98912", ""), "102"),
        (NumberRange("+989121000000", "+989121999999"), "103"),
        (exact(NUMBER), "104"),
    ]
    lists = NumberLists(standing=tuple((entry, Standing(agent)) for entry, agent in ranges))
    found = {"+982188880000": "101", "+989129999999": "102", "+989121000001": "103", NUMBER: "104"}
    assert {number: standing.agent for number in found if (standing := lists.find_standing([number]))} == found
    assert lists.find_standing(["+442079460018", NUMBER]) == Standing("104")
    assert lists.find_standing(["+442079460018"]) is None
