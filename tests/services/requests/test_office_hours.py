"""Requests and office hours: claims wait for the opening, and pages and the worker say the same of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.hours import Opening
from app.domain.policy import Reason, ReasonCode
from app.services.errors import Invalid
from app.services.modules.save import save_module
from app.services.requests.access import Scope
from app.services.requests.attempts import claim_due
from app.services.requests.expiry import expire
from app.services.requests.pending import load_pending
from app.services.settings import hours
from app.services.settings.hours import HoursInput
from app.store import official_holidays
from app.store.database import Database
from app.store.hours import WEEK, load_hours, set_first_hours
from app.store.models import CallRequest, Module, SpecialDay
from app.store.settings import read_all, read_setting, write_setting
from tests.support.factories import (
    NOW,
    create_line,
    create_module,
    create_request,
    create_running_service,
    history_of,
    make_facts,
    make_line,
    make_module_input,
    reload,
    store,
)

TEHRAN = ZoneInfo("Asia/Tehran")
WORK = "mon 08:30-17:00; tue 08:30-17:00"  # NOW is Monday, 11:30 in Tehran
HOUR = timedelta(hours=1)
EVENING = NOW + 8 * HOUR
TUESDAY = datetime(2026, 3, 3, 8, 30, tzinfo=TEHRAN).astimezone(UTC)


def save_hours(database: Database, week: str = WORK, *, official: bool = False, spread: int = 0) -> None:
    hours.save(database, HoursInput(week, official, spread), actor="sara", now=NOW)


def claimed(database: Database, settings: Settings, now: datetime) -> tuple[int, datetime | None]:
    """Return how many requests are claimed, and when to look again."""
    dispatch = claim_due(database, settings, make_facts([make_line("101")], now=now), now)
    return len(dispatch.orders), dispatch.wake_at


def openings(database: Database, now: datetime = NOW, region: str = "IR") -> dict[int, Opening]:
    with database.read() as session:
        found = load_hours(session, "Asia/Tehran", region, read_all(session), now)
        return found.openings([session.get(Module, 1), None], now)


def test_a_request_waits_for_the_opening(database: Database, settings: Settings) -> None:
    save_hours(database, spread=300)
    module = create_module(database)
    request = create_request(database, module, registered_at=EVENING)
    assert claimed(database, settings, EVENING) == (0, TUESDAY)
    count, turn = claimed(database, settings, TUESDAY)
    assert count == 0 and turn is not None and TUESDAY < turn < TUESDAY + timedelta(minutes=5)
    create_line(database)
    create_running_service(database, timezone="Asia/Tehran", region="IR", heartbeat=EVENING)
    (row,) = load_pending(database, Scope("sara", everything=True), EVENING).active
    assert row.reason == Reason(ReasonCode.OFFICE_CLOSED, until=TUESDAY)
    assert claimed(database, settings, turn) == (1, None)
    assert reload(database, request).status == "dialling"


def test_requests_are_looked_at_again_in_their_turn_or_when_the_hours_change(
    database: Database, settings: Settings
) -> None:
    save_hours(database, spread=300)
    module = create_module(database)
    for number in range(20):
        create_request(database, module, number=f"+98912000{number:04}", registered_at=EVENING)

    def held() -> int:
        with database.read() as session:
            return len(session.scalars(select(CallRequest).where(CallRequest.held_until.is_not(None))).all())

    count, turn = claimed(database, settings, TUESDAY)
    assert (count, held()) == (0, 20) and turn is not None
    assert claimed(database, settings, turn - timedelta(microseconds=1)) == (0, turn)
    assert claimed(database, settings, turn)[0] == 1
    assert held() == 19
    save_hours(database, spread=0)
    assert held() == 0


def test_call_now_does_not_wait_for_the_opening(database: Database, settings: Settings) -> None:
    save_hours(database)
    create_request(database, create_module(database), registered_at=EVENING, call_now=True, call_now_at=EVENING)
    assert claimed(database, settings, EVENING)[0] == 1


@pytest.mark.parametrize(
    ("at_closing", "statuses"),
    [
        ("carry_over", ["waiting", "waiting", "waiting"]),
        ("give_up", ["waiting", "failed", "waiting"]),
        ("expire", ["expired", "expired", "waiting"]),
    ],
)
def test_open_requests_wait_or_end_at_the_closing(
    database: Database, settings: Settings, at_closing: str, statuses: list[str]
) -> None:
    save_hours(database)
    create_running_service(database, timezone="Asia/Tehran", region="IR")
    module = create_module(database, at_closing=at_closing)
    untried = create_request(database, module)
    tried = create_request(database, module, number="+989127654322", customer_attempts=1)
    late = create_request(database, module, number="+989127654321", registered_at=EVENING, customer_attempts=1)
    expire(database, NOW + HOUR)
    assert {reload(database, row).status for row in (untried, tried)} == {"waiting"}
    expire(database, EVENING)
    assert [reload(database, row).status for row in (untried, tried, late)] == statuses
    ends = {"failed": ["given_up"], "expired": ["expired"], "waiting": []}
    assert [entry.event for entry in history_of(database, tried.id)] == ends[statuses[1]]


def test_without_the_worker_nothing_is_known_of_closings(database: Database) -> None:
    save_hours(database)
    request = create_request(database, create_module(database, at_closing="expire"))
    expire(database, EVENING)
    assert reload(database, request).status == "waiting"


def test_an_office_without_hours_is_always_open(database: Database, settings: Settings) -> None:
    create_request(database, create_module(database))
    midnight = datetime(2026, 3, 3, 2, tzinfo=TEHRAN)
    assert claimed(database, settings, midnight)[0] == 1
    assert openings(database, midnight)[1].until is None


def test_a_module_has_hours_of_its_own_and_may_ignore_holidays(database: Database) -> None:
    save_hours(database, "")
    store(database, SpecialDay(date=date(2026, 3, 2), created_at=NOW))
    create_module(database, hours=WORK)
    assert not openings(database)[1].is_open
    with database.write() as session:
        module = session.get_one(Module, 1)
        module.holidays = False
    assert openings(database)[1].is_open
    with database.write() as session:
        session.get_one(Module, 1).hours = ""
    assert not openings(database)[1].is_open


def test_official_holidays_close_the_office_by_a_switch(database: Database) -> None:
    create_module(database)
    nowruz = datetime(2026, 3, 21, 12, tzinfo=TEHRAN)
    for official, country, is_open in ((False, "IR", True), (True, "IR", False), (True, "XX", True)):
        save_hours(database, WORK.replace("mon", "sat"), official=official)
        assert openings(database, nowruz, country)[1].is_open is is_open
    hours.add_days(database, nowruz.date(), None, "", "8-17", actor="sara", now=NOW)
    assert openings(database, nowruz)[1].is_open, "a day of the office replaces an official one"


def test_names_of_official_holidays() -> None:
    persian, english = (dict(official_holidays.official_holidays("IR", 2026, flag)) for flag in (False, True))
    assert persian.keys() == english.keys() and len(persian) > 25
    assert "Nowruz" in english[date(2026, 3, 21)] and "نوروز" in persian[date(2026, 3, 21)]
    assert date(2026, 6, 25) in persian, "Ashura as it was announced"


def test_hours_that_cannot_be_read_are_closed(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    create_module(database)
    with database.write() as session:
        write_setting(session, WEEK, "sometimes")
    store(database, SpecialDay(date=date(2026, 3, 3), hours="maybe", created_at=NOW))
    assert not openings(database)[1].is_open
    with database.read() as session:
        assert load_hours(session, "Nowhere/Else", "IR", {}, NOW).office.is_open(NOW)
    assert "cannot be read" in caplog.text and "Nowhere/Else" in caplog.text


@pytest.mark.parametrize("has_module", [False, True])
def test_only_a_new_office_gets_hours(database: Database, has_module: bool) -> None:
    if has_module:
        create_module(database)
    with database.write() as session:
        set_first_hours(session)
    with database.read() as session:
        assert bool(read_setting(session, WEEK)) is not has_module


@pytest.mark.parametrize("fields", [{"hours": "sat 8"}, {"outside": "sleep"}, {"stop_before": 13 * 3600}])
def test_module_with_wrong_hours_is_refused(database: Database, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        save_module(database, make_module_input(**fields), NOW)
    assert caught.value.errors.keys() == fields.keys()


def test_spread_requests_are_called_one_after_the_other(database: Database, settings: Settings) -> None:
    save_hours(database, spread=3600)
    module = create_module(database, rest=0)
    rows = [create_request(database, module, number=f"+9891212345{n:02}", registered_at=EVENING) for n in range(8)]
    now, moments = TUESDAY, list[datetime]()
    while len(moments) < len(rows):
        count, wake = claimed(database, settings, now)
        moments += [now] * count
        with database.write() as session:  # each call is over at once
            for row in rows:
                found = session.get_one(CallRequest, row.id)
                if found.status == "dialling":
                    found.status = "done"
            session.connection().exec_driver_sql("UPDATE attempts SET ended_at = started_at")
        if not count:  # otherwise the end of the call is looked at next
            assert wake is not None
            now = wake
    assert len(set(moments)) == len(rows)
    assert min(moments) >= TUESDAY and max(moments) <= TUESDAY + HOUR
