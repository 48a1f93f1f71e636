"""Whether the callers who wait in a queue come before a request for it."""

from datetime import timedelta

import pytest

from app.domain.place_in_line import Place, PlaceRule, WaitingCallers, callers_ahead, count_ahead
from tests.support.factories import NOW

MINUTE = timedelta(minutes=1)
CALLERS = WaitingCallers(3, (NOW - 5 * MINUTE, NOW, NOW + 5 * MINUTE))


@pytest.mark.parametrize(("minutes", "ahead"), [(-6, 0), (-5, 0), (-4, 1), (1, 2), (6, 3)])
def test_who_called_first_comes_first(minutes: int, ahead: int) -> None:
    assert callers_ahead(NOW + minutes * MINUTE, 0, PlaceRule(Place.FIRST_CALL), CALLERS) == ahead


@pytest.mark.parametrize(("lead", "ahead"), [(0, 1), (3, 2), (60, 3), (None, 3)])
def test_callers_come_first_as_long_as_their_lead(lead: int | None, ahead: int) -> None:
    rule = PlaceRule(Place.CALLERS_FIRST, None if lead is None else lead * MINUTE)
    assert callers_ahead(NOW - MINUTE, 0, rule, CALLERS) == ahead


@pytest.mark.parametrize(("answered", "ahead"), [(0, 2), (1, 1), (2, 0), (9, 0)])
def test_one_request_comes_after_so_many_callers(answered: int, ahead: int) -> None:
    callers = WaitingCallers(5, (), answered)
    assert callers_ahead(NOW, 0, PlaceRule(Place.SHARE, share=2), callers) == ahead
    assert callers_ahead(NOW, 0, PlaceRule(Place.SHARE, share=2), WaitingCallers(0)) == 0


def test_callers_of_whom_nothing_is_known_come_first() -> None:
    assert callers_ahead(NOW, 0, PlaceRule(), WaitingCallers(2, (NOW,))) == 1
    assert callers_ahead(NOW, 0, PlaceRule(), WaitingCallers(1, (NOW, NOW))) == 0, "a caller whose end was missed"


def test_priority_comes_before_the_callers_or_behind_them() -> None:
    assert callers_ahead(NOW + 9 * MINUTE, 1, PlaceRule(), CALLERS) == 0
    assert callers_ahead(NOW - 9 * MINUTE, -1, PlaceRule(), CALLERS) == 3


@pytest.mark.parametrize(
    ("rule", "priority", "ahead"),
    [
        (PlaceRule(Place.FIRST_CALL), 0, 2 + 1),
        (PlaceRule(Place.FIRST_CALL), 1, 2),
        (PlaceRule(Place.CALLERS_FIRST), 0, 2 + 3),
        (PlaceRule(Place.SHARE, share=1), 0, 2 + 2),  # one between any two requests, and one was answered
        (PlaceRule(Place.SHARE, share=5), 0, 2 + 3),
    ],
)
def test_callers_come_between_requests(rule: PlaceRule, priority: int, ahead: int) -> None:
    callers = WaitingCallers(3, CALLERS.joined, answered=1)
    assert count_ahead(NOW - MINUTE, priority, rule, callers, 2) == ahead
