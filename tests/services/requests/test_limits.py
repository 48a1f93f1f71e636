"""The limits of what callers register, and of the automatic calls of a day, on the stored rows."""

import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.limits import LimitReason, RegistrationLimits
from app.domain.module_defaults import EXPIRE_AFTER
from app.services.modules.input import ModuleInput
from app.services.requests.registration import Registration, RegistrationRefused, register
from app.services.requests.together import foresee, register_together
from app.store import pbx_state, settings
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry, ListedNumber
from app.store.number_lists import add_refusals, refusals_since
from tests.support.factories import NOW, create_attempt, create_module, create_request

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def number(index: int) -> str:
    return f"+98912000{index:04}"


def limit(database: Database, **limits: int) -> None:
    with database.write() as session:
        for name, value in limits.items():
            settings.write_setting(session, f"{name}_limit", str(value))


def block(database: Database, first: str, kind: str = "block") -> None:
    with database.write() as session:
        session.add(ListedNumber(kind=kind, first=first, last=first, created_at=NOW))


def register_alone(database: Database, registration: Registration, now: datetime) -> int | Exception:
    try:
        return register(database, registration, now)
    except RegistrationRefused as refusal:
        return refusal


def register_as_newcomer(database: Database, registration: Registration, now: datetime) -> int | Exception:
    (result,) = register_together(database, [(registration, now)])
    return result


@pytest.fixture(autouse=True, params=[register_alone, register_as_newcomer])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "store_one", request.param)


store_one = register_alone  # each of the two ways to store a request


def refused(database: Database, registration: Registration, now: datetime = NOW) -> str:
    """Return why a request is refused. The check that asks before agrees with it."""
    with database.read() as session:
        (before,) = foresee(database, session, [registration], now)
    result = store_one(database, registration, now)
    reason = result.reason if isinstance(result, RegistrationRefused) else None
    assert isinstance(result, int | RegistrationRefused) and before.refusal is reason
    return reason.value if reason is not None else ""


def test_number_is_limited_in_an_hour_and_a_day(database: Database) -> None:
    modules = [create_module(database, code=f"*50{n}", targets=["101"]).id for n in range(4)]
    limit(database, number_open=0, number_hour=2, number_day=3)
    calls = [refused(database, Registration(module, number(1)), NOW) for module in modules[:3]]
    assert calls == ["", "", "number_hour"]
    assert refused(database, Registration(modules[2], number(1)), NOW + HOUR) == ""
    assert refused(database, Registration(modules[3], number(1)), NOW + 2 * HOUR) == "number_day"
    assert refused(database, Registration(modules[3], number(2)), NOW + 2 * HOUR) == "", "another number is free"
    assert refused(database, Registration(modules[3], number(1)), NOW + DAY) == ""


def test_open_requests_of_a_number_are_limited(database: Database) -> None:
    modules = [create_module(database, code=f"*50{n}").id for n in range(3)]
    limit(database, number_open=2, number_hour=0, number_day=0)
    assert [refused(database, Registration(module, number(1))) for module in modules] == ["", "", "number_open"]
    with database.write() as session:
        session.scalars(select(CallRequest).limit(1)).one().status = "done"
    assert refused(database, Registration(modules[2], number(1))) == ""


def test_caller_who_types_many_numbers_is_limited(database: Database) -> None:
    module = create_module(database)
    limit(database, number_hour=2, number_open=0)
    calls = [refused(database, Registration(module.id, number(n), caller_number="02188880000")) for n in range(3)]
    assert calls == ["", "", "number_hour"]


def test_spoofed_numbers_meet_the_limits_of_the_module_of_all_and_of_waiting_requests(database: Database) -> None:
    one, two = create_module(database), create_module(database, code="*7002")
    limit(database, module_hour=2, total_hour=3, waiting=4)
    calls = [refused(database, Registration(one.id, number(n))) for n in range(3)]
    calls += [refused(database, Registration(two.id, number(n))) for n in range(3, 5)]
    assert calls == ["", "", "module_hour", "", "total_hour"]
    later = NOW + HOUR
    assert [refused(database, Registration(one.id, number(n)), later) for n in (6, 7)] == ["", "waiting"]


def test_a_hundred_forged_calls_in_a_burst(database: Database) -> None:
    """With the defaults an ordinary day passes, and a flood ends."""
    module = create_module(database)
    reasons = [refused(database, Registration(module.id, number(n)), NOW) for n in range(140)]
    assert reasons == [""] * RegistrationLimits.module_hour + ["module_hour"] * 20


def test_repeated_registration_is_no_new_request(database: Database) -> None:
    module = create_module(database)
    limit(database, number_open=1, number_hour=1, number_day=1, module_hour=1, total_hour=1, waiting=1)
    assert [refused(database, Registration(module.id, number(1), uniqueid=f"1.{n}")) for n in range(50)] == [""] * 50
    with database.read() as session:
        entries = session.scalars(select(HistoryEntry).order_by(HistoryEntry.id)).all()
    assert [(entry.event, entry.detail) for entry in entries] == [("registered", number(1)), ("registered_again", "49")]


def test_blocked_number_is_refused_even_if_its_request_is_open(database: Database) -> None:
    module = create_module(database)
    assert refused(database, Registration(module.id, number(1))) == ""
    block(database, number(1))
    assert refused(database, Registration(module.id, number(1))) == "blocked"
    assert refused(database, Registration(module.id, number(2), caller=number(1))) == "blocked"
    block(database, number(3), "allow")
    limit(database, number_hour=1)
    modules = [create_module(database, code=f"*60{n}").id for n in range(3)]
    assert [refused(database, Registration(module, number(3))) for module in modules] == ["", "", ""]


def test_requests_of_users_do_not_count(database: Database) -> None:
    module = create_module(database)
    limit(database, module_hour=1, number_hour=1)
    create_request(database, module, number=number(1), created_by="sara", registered_at=NOW)
    assert refused(database, Registration(module.id, number(2))) == ""


def test_refusals_are_counted_by_the_hour(database: Database) -> None:
    with database.write() as session:
        add_refusals(session, {LimitReason.BLOCKED: 2, LimitReason.WAITING: 1}, NOW)
        add_refusals(session, {LimitReason.BLOCKED: 3}, NOW + timedelta(minutes=1))
    with database.read() as session:
        assert refusals_since(session, NOW - HOUR) == {LimitReason.BLOCKED: 5, LimitReason.WAITING: 1}
        assert refusals_since(session, NOW + HOUR) == {}
    with database.write() as session:
        add_refusals(session, {LimitReason.BLOCKED: 1}, NOW + 40 * DAY)
        assert refusals_since(session, NOW - HOUR) == {LimitReason.BLOCKED: 1}, "old ones are deleted"


@pytest.mark.parametrize(
    ("attempt", "counts"),
    [
        ({}, True),
        ({"manual": True}, False),
        ({"route": ""}, False),
        ({"started_at": NOW - DAY}, False),
        ({"dialled_at": None}, False),
        ({"dialled_at": None, "ended_at": None}, True),
    ],
)
def test_automatic_calls_to_customers_count(database: Database, attempt: dict[str, Any], counts: bool) -> None:
    request = create_request(database, create_module(database))
    values: dict[str, Any] = {"route": "outbound", "manual": False, "dialled_at": NOW, "ended_at": NOW}
    values["started_at"] = NOW - HOUR
    create_attempt(database, request, **(values | attempt))
    with database.read() as session:
        assert store.daily_calls(session, 5, NOW).count == counts


def test_daily_limit_is_explained_until_the_oldest_call_is_a_day_old(database: Database, office: Settings) -> None:
    request = create_request(database, create_module(database))
    for hours in (1, 2, 3):
        began = NOW - hours * HOUR
        create_attempt(
            database, request, route="outbound", manual=False, started_at=began, dialled_at=began, ended_at=began
        )
    limit(database, daily_calls=2)
    with database.read() as session:
        facts = pbx_state.stored_facts(session, NOW)
    assert (facts.daily_calls, facts.daily_limit, facts.daily_limit_until) == (3, 2, NOW + 22 * HOUR)


def test_new_module_expires() -> None:
    given = ModuleInput(name="Sales", code="*5001", target_kind="extension", targets=("101",))
    assert given.expire_after == EXPIRE_AFTER == 7 * 24 * 3600
