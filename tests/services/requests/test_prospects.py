"""What a caller can expect: who comes before a request, and how long it will probably wait."""

import re
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, text

from app.domain.estimated_wait import DAYS, FEWEST, Estimate
from app.domain.hours import ALWAYS, WEEKDAYS, Hours, parse_week
from app.domain.lifecycle import Outcome, Status
from app.services.requests.prospects import Prospect, find_prospect
from app.services.requests.registration import Registration
from app.store.database import Database
from app.store.models import CallRequest, Module, QueueRow
from app.store.settings import write_setting
from tests.services.requests.test_registration import registered
from tests.support.factories import NOW, create_module, create_request, store

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
OPEN = Hours(ZoneInfo("Asia/Tehran"), ALWAYS)


def past_request(module: Module, days_ago: float, minutes: float, **fields: Any) -> CallRequest:
    registered_at = NOW - days_ago * DAY
    reached_at = registered_at + minutes * MINUTE
    values: dict[str, Any] = {
        "target": "101",
        "number": f"+98912{registered_at.timestamp() % 10**7:07.0f}",
        "first_called_at": registered_at,
        "registered_at": registered_at,
        "reached_at": reached_at,
        "done_at": reached_at + MINUTE,
        "status": Status.DONE.value,
        "last_outcome": Outcome.CONNECTED.value,
    }
    return CallRequest(module_id=module.id, module_name=module.name, **(values | fields))


def keep(database: Database, *rows: CallRequest) -> None:
    with database.write() as session:
        session.add_all(rows)


def twenty_minutes(module: Module, **fields: Any) -> list[CallRequest]:
    """Requests of the last days at this hour of the day that waited for 20 minutes."""
    return [past_request(module, 1 + number, 20, **fields) for number in range(2 * FEWEST)]


def prospect(database: Database, row: CallRequest, hours: Hours = OPEN) -> Prospect | None:
    with database.read() as session:
        stored, module = session.get_one(CallRequest, row.id), session.get_one(Module, row.module_id)
        return find_prospect(session, stored, module, hours, NOW)


def test_request_waits_as_long_as_those_of_the_last_days_at_this_hour(database: Database) -> None:
    check_estimate(database)


def check_estimate(database: Database) -> None:
    module, other = create_module(database), create_module(database)
    keep(database, *twenty_minutes(module))
    # none of these is one of them
    keep(database, *(past_request(module, 1 + number + 1 / 12, 1) for number in range(DAYS)))
    keep(database, *(past_request(module, DAYS + 1 + number, 2) for number in range(9)))
    keep(database, *(past_request(other, 1.001 + number, 3) for number in range(9)))
    others = (
        {"customer_attempts": 1},
        {"postponed_until": NOW - 5 * DAY},
        {"reopened_at": NOW - 5 * DAY},
        {"last_outcome": None},
        {"target": "102"},
    )
    keep(database, *(past_request(module, 1.002 + n + n / 1000, 4, **others[n % 5]) for n in range(20)))
    row = create_request(database, module, target="101")
    assert prospect(database, row) == Prospect(0, Estimate(20 * MINUTE, timedelta(0)))


def every_day(spans: str) -> str:
    return "; ".join(f"{day} {spans}" for day in WEEKDAYS)


@pytest.mark.parametrize(
    ("fields", "hours", "setting", "expected"),
    [
        ({}, "00:00-24:00", "0", 20),
        ({}, "08:00-11:40", "0", None),  # in Tehran it is 11:30
        ({"postponed_until": NOW + MINUTE}, "00:00-24:00", "0", ()),
        ({"not_before": NOW + MINUTE}, "00:00-24:00", "0", ()),
        ({"status": "dialling"}, "00:00-24:00", "0", ()),
        ({}, "", "0", ()),
        ({}, "00:00-24:00", "1", ()),
    ],
)
def test_prospect_of_requests_in_line(
    database: Database, fields: dict[str, Any], hours: str, setting: str, expected: Any
) -> None:
    """Without an estimate if the office closes before, and none at all if the request is not in line."""
    module = create_module(database)
    keep(database, *twenty_minutes(module))
    with database.write() as session:
        write_setting(session, "all_paused", setting)
    row = create_request(database, module, target="101", **fields)
    found = prospect(database, row, Hours(OPEN.zone, parse_week(every_day(hours) if hours else "")))
    if found is None or found.estimate is None:
        assert expected == (() if found is None else None)
    else:
        assert found.estimate.wait == expected * MINUTE


def test_requests_and_callers_of_the_target_come_before(database: Database) -> None:
    check_line(database)


def check_line(database: Database) -> None:
    module = create_module(database, target_kind="queue", targets=["sales"])
    other = create_module(database, target_kind="queue", targets=["sales"])
    joined = [(NOW + minutes * MINUTE).timestamp() for minutes in (-9, 9)]
    store(database, QueueRow(name="sales", live_callers=2, callers_joined=joined))
    lane: dict[str, Any] = {"queue": True, "target": "sales"}
    others: list[dict[str, Any]] = [
        {"first_called_at": NOW - MINUTE},
        {"first_called_at": NOW + MINUTE},
        {"first_called_at": NOW + MINUTE, "priority": 1},
        {"first_called_at": NOW - MINUTE, "priority": -1},
        {"first_called_at": NOW - MINUTE, "not_before": NOW + MINUTE},
        {"first_called_at": NOW - MINUTE, "postponed_until": NOW + MINUTE, "held_until": NOW + MINUTE},
        {"first_called_at": NOW - MINUTE, "not_before": NOW - MINUTE, "held_until": NOW - MINUTE},
    ]
    for number, fields in enumerate(others):
        create_request(database, other, number=f"+98912000000{number}", **lane, **fields)
    create_request(database, module, number="+989120000009", target="101", first_called_at=NOW - MINUTE)
    row = registered(database, Registration(module.id, "+989121111111"))
    assert (row.ahead, prospect(database, row)) == (4, Prospect(4, None))
    again = create_request(database, module, number="+989121111112", **lane)
    assert prospect(database, row) == Prospect(4, None)
    assert prospect(database, again) == Prospect(5, None)


def test_estimate_reads_a_few_rows_by_an_index(database: Database) -> None:
    """In an office with several targets."""
    module, *others = (create_module(database, code=f"*{number}") for number in range(4))
    keep(database, *(past_request(module, 1 + number / 100, 20) for number in range(1000)))
    keep(database, *(past_request(others[n % 3], 1.001 + n / 100, 20, target=str(102 + n % 7)) for n in range(2000)))
    row = create_request(database, module, target="101")
    with database.write() as session:
        session.execute(text("ANALYZE"))
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda _c, _k, said, values, *_: executed.append((said, values))
    )
    found = prospect(database, row)
    assert found is not None and found.estimate is not None
    found_by: list[str] = []
    for statement, values in list(executed):
        if "FROM call_requests" in statement:
            with database.engine.connect() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                found_by += [line[-1] for line in plan if re.search(r"\b(SCAN|SEARCH) (r|call_requests)\b", line[-1])]
    assert sum("ix_call_requests_waits" in line for line in found_by) == DAYS + 1
    assert all(re.search("PRIMARY KEY|ix_call_requests_(waits|turn|held)", line) for line in found_by), found_by
