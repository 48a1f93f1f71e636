"""The order to dial: a value that is handed over and never changed on its way."""

from dataclasses import FrozenInstanceError

import pytest

from app.domain.dial_order import DialOrder
from tests.support.factories import NOW, NUMBER


def make_order(**kwargs: object) -> DialOrder:
    values = {
        "attempt": "a1",
        "request_id": 1,
        "agent": "101",
        "devices": "PJSIP/101",
        "hint_context": "hints",
        "number": NUMBER,
        "dialled": "09121234567",
        "internal_devices": "",
        "language": "fa",
        "caller_id": "",
        "outbound_context": "from-internal",
        "agent_ring": 20,
        "customer_ring": 40,
        "registered_at": NOW,
        "spoken": "09121234567",
    }
    return DialOrder(**(values | kwargs))


def test_an_order_is_a_value() -> None:
    assert make_order() == make_order()
    assert make_order() != make_order(agent="102")
    assert make_order().forget == ()


def test_nobody_changes_an_order_on_its_way() -> None:
    with pytest.raises(FrozenInstanceError):
        make_order().agent = "102"  # type: ignore[misc]
