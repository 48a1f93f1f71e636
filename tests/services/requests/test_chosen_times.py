"""Times that users give: in the office hours, and where a quarter of an hour is not full."""

from datetime import timedelta
from typing import Any

import pytest

from app.config import Settings
from app.services.errors import ErrorCode, Invalid
from app.services.requests.access import Scope
from app.services.requests.actions import Postpone, ShownRequest
from app.services.requests.create import NewRequest, create_request
from app.services.requests.perform import perform
from app.services.requests.results import ResultCode
from app.store.database import Database
from app.store.models import CallRequest, Module
from tests.services.scene import HOUR
from tests.support.factories import (
    NOW,
    create_line,
    create_module,
    create_running_service,
    reload,
)
from tests.support.factories import (
    create_request as add_request,
)

EVERYTHING = Scope("sara", everything=True)
MINUTE = timedelta(minutes=1)
NOON = NOW + HOUR / 2  # NOW is a Monday, 11:30 in Tehran
HOURS = "mon 08:00-12:00, 13:00-17:00; tue 08:00-17:00"


@pytest.fixture
def module(database: Database) -> Module:
    create_running_service(database, timezone="Asia/Tehran", region="IR")
    create_line(database)
    return create_module(database, hours=HOURS, quarter_limit=2)


def postpone(database: Database, row: CallRequest, action: Postpone) -> tuple[ResultCode, object, object]:
    """Postpone a request. Return the result, its free time, and the stored time."""
    (result,) = perform(database, EVERYTHING, action, [ShownRequest(row.id, row.version)], NOW)
    return result.code, result.free_at, reload(database, row).postponed_until


def test_typed_time_outside_the_hours_is_refused_with_the_next_one(database: Database, module: Module) -> None:
    row, one_o_clock = add_request(database, module), NOW + 1.5 * HOUR
    assert postpone(database, row, Postpone(NOON + MINUTE)) == (ResultCode.NOT_FREE, one_o_clock, None)
    assert postpone(database, row, Postpone(NOW + 2 * MINUTE)) == (ResultCode.DONE, None, NOW + 2 * MINUTE)


def test_time_that_was_not_typed_moves(database: Database, module: Module) -> None:
    row, one_o_clock = add_request(database, module), NOW + 1.5 * HOUR
    found = postpone(database, row, Postpone(NOON + MINUTE, may_move=True))
    assert found == (ResultCode.DONE, one_o_clock, one_o_clock)


def test_full_quarter_is_not_free_but_for_those_who_have_it(database: Database, module: Module) -> None:
    two = NOW + 2.5 * HOUR
    rows = [
        add_request(database, module, number=f"+98912000000{n}", postponed_until=two + n * 7 * MINUTE) for n in range(2)
    ]
    add_request(database, create_module(database), postponed_until=two)
    third = add_request(database, module, number="+989120000003")
    assert postpone(database, third, Postpone(two)) == (ResultCode.NOT_FREE, two + 15 * MINUTE, None)
    assert postpone(database, rows[0], Postpone(two + MINUTE))[0] is ResultCode.DONE
    several = perform(database, EVERYTHING, Postpone(two, may_move=True), [ShownRequest(third.id, third.version)], NOW)
    assert several[0].free_at == two + 15 * MINUTE


@pytest.mark.parametrize("fields", [{"automatic": False}, {"hours": ""}])
def test_any_time_is_free_if_no_phone_rings_by_itself_then_or_the_office_is_always_open(
    database: Database, module: Module, fields: dict[str, Any]
) -> None:
    other = create_module(database, **({"hours": HOURS} | fields))
    row = add_request(database, other)
    assert postpone(database, row, Postpone(NOON + MINUTE))[0] is ResultCode.DONE


def test_request_is_added_for_a_time(database: Database, office: Settings, module: Module) -> None:
    def create(call_at: Any) -> CallRequest:
        given = NewRequest("09121234567", module.id, "101", call_at=call_at)
        result = create_request(database, office, EVERYTHING, given, NOW)
        with database.read() as session:
            return session.get_one(CallRequest, result.id)

    for call_at, code, free_at in (
        (NOW - MINUTE, ErrorCode.PAST, None),
        (NOW + timedelta(days=91), ErrorCode.RANGE, None),
        (NOON, ErrorCode.NOT_FREE, NOW + 1.5 * HOUR),
    ):
        with pytest.raises(Invalid) as caught:
            create(call_at)
        assert (caught.value.errors, caught.value.free_at) == ({"call_at": code}, free_at)
    row = create(NOW + 2 * HOUR)
    assert (row.postponed_until, row.time_chosen) == (NOW + 2 * HOUR, True)
