"""The dial order: an immutable value."""

from dataclasses import FrozenInstanceError

import pytest

from tests.support.factories import make_order


def test_orders_with_equal_values_are_equal() -> None:
    assert make_order() == make_order()
    assert make_order() != make_order(agent="102")
    assert make_order().forget == ()


def test_order_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        make_order().agent = "102"  # type: ignore[misc]
