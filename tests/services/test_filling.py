"""Made-up requests: believable, the same for the same seed, and harmless."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from sqlalchemy import select

from app.config import Settings
from app.demo_data import fill, has_real_requests
from app.domain.lifecycle import ACTIVE, FINAL, Outcome, Side, Status
from app.services.report import query, statistics
from app.services.report.query import Filter
from app.services.requests import pause, pending
from app.services.requests.registration import Registration, register
from app.store.database import Database
from app.store.models import Attempt, CallRequest, HistoryEntry, Module
from script.office.database import make_settings
from tests.services.scene import SUPERVISOR
from tests.support.factories import NOW, create_module, create_request, log_of

COUNT = 600
Numbered = TypeVar("Numbered", Attempt, CallRequest, HistoryEntry, Module)


def all_of(database: Database, model: type[Numbered]) -> list[Numbered]:
    with database.read() as session:
        return list(session.scalars(select(model).order_by(model.id)))


@pytest.fixture
def filled(database: Database, office: Settings) -> Database:
    assert fill(database, office, COUNT, NOW, waiting=20) == 20
    return database


def test_as_many_are_made_as_are_asked_for(filled: Database) -> None:
    rows = all_of(filled, CallRequest)
    assert len(rows) == COUNT
    assert sum(Status(row.status) in ACTIVE for row in rows) == 20
    assert {row.status for row in rows} >= {"waiting", "done", "failed", "cancelled", "expired"}
    assert len(pending.load_pending(filled, SUPERVISOR, NOW).active) == 20
    assert statistics.statistics(filled, SUPERVISOR, Filter(), ZoneInfo("Asia/Tehran")).total == COUNT
    assert query.read_page(filled, SUPERVISOR, Filter(), page=3).rows


def test_their_numbers_are_such_as_can_be_called(filled: Database) -> None:
    for row in all_of(filled, CallRequest):
        number = phonenumbers.parse(row.number)
        assert phonenumbers.region_code_for_number(number) == "IR", row.number


def test_time_runs_forward_and_everything_that_is_over_lies_in_the_past(filled: Database) -> None:
    attempts = Counter(attempt.request_id for attempt in all_of(filled, Attempt))
    for row in all_of(filled, CallRequest):
        assert row.first_called_at < row.registered_at < NOW
        if Status(row.status) in FINAL:
            assert row.done_at is not None
            assert row.registered_at < row.done_at <= NOW
            assert (row.reached_at is not None) is (row.status == "done")
        else:
            assert row.done_at is None
        assert row.customer_attempts + row.agent_misses <= attempts[row.id]
    for attempt in all_of(filled, Attempt):
        moments = [attempt.started_at, attempt.answered_at, attempt.dialled_at, attempt.connected_at, attempt.ended_at]
        known = [moment for moment in moments if moment is not None]
        assert known == sorted(known)
        assert attempt.ended_at is not None and attempt.outcome is not None
        assert (attempt.connected_at is not None) is (attempt.outcome == "connected")
        assert (attempt.dialled_at is None) is (Outcome(attempt.outcome).side is Side.AGENT)


def test_each_history_leads_to_what_the_request_is(filled: Database) -> None:
    rows = {row.id: row for row in all_of(filled, CallRequest)}
    entries: dict[int, list[HistoryEntry]] = {}
    for entry in all_of(filled, HistoryEntry):
        entries.setdefault(entry.request_id, []).append(entry)
    assert entries.keys() == rows.keys()
    for number, history in entries.items():
        assert history[0].event == "registered"
        assert [entry.version for entry in history] == list(range(1, len(history) + 1))
        assert all(a.new_status == b.old_status for a, b in pairwise(history))
        assert [entry.at for entry in history] == sorted(entry.at for entry in history)
        if rows[number].status != "uncertain":
            assert history[-1].new_status == rows[number].status
        assert history[-1].version == rows[number].version


def test_an_office_asks_in_its_hours_and_rests_on_fridays(filled: Database) -> None:
    ended = [
        row.registered_at.astimezone(ZoneInfo("Asia/Tehran")) for row in all_of(filled, CallRequest) if row.done_at
    ]
    assert {moment.hour for moment in ended} <= set(range(8, 17))
    days = Counter(moment.weekday() for moment in ended)
    assert days[4] < min(days[day] for day in (5, 6, 0, 1, 2)) / 2


def test_the_same_seed_makes_the_same_requests(database: Database, office: Settings) -> None:
    module = create_module(database)

    def made(seed: int) -> list[tuple[object, ...]]:
        fill(database, office, 50, NOW, seed=seed, waiting=0)
        rows = all_of(database, CallRequest)[-50:]
        return [(row.number, row.caller_name, row.status, row.registered_at, row.done_at) for row in rows]

    assert made(1) == made(1) != made(2)
    assert {row.module_id for row in all_of(database, CallRequest)} == {module.id}


def test_no_number_that_was_made_up_is_dialled_by_itself(database: Database, office: Settings) -> None:
    fill(database, office, 10, NOW, waiting=0)
    with database.read() as session:
        assert pause.load_pause(session) is None  # nothing waits
    fill(database, office, 10, NOW, waiting=2)
    with database.read() as session:
        assert pause.load_pause(session) == pause.Pause("fill", NOW)
    assert [entry.action for entry in log_of(database)][-2:] == ["calls_paused", "requests_made_up"]


def test_where_there_are_no_modules_some_are_made(database: Database, office: Settings) -> None:
    fill(database, office, 10, NOW)
    assert [module.name for module in all_of(database, Module)] == ["فروش", "پشتیبانی", "حسابداری"]
    fill(database, office, 10, NOW)
    assert len(all_of(database, Module)) == 3


def test_real_requests_go_on_with_numbers_of_their_own(filled: Database) -> None:
    module = all_of(filled, Module)[0]
    number = register(filled, Registration(module.id, "+989121234567"), NOW)
    assert number == COUNT + 1


def test_real_requests_are_told_from_made_up_ones(database: Database, office: Settings) -> None:
    assert not has_real_requests(database)
    fill(database, office, 10, NOW)
    assert not has_real_requests(database)
    create_request(database, call_uniqueid="1700000000.1")
    assert has_real_requests(database)


def test_a_request_that_was_added_by_hand_is_a_real_one(database: Database) -> None:
    create_request(database, created_by="sara")
    assert has_real_requests(database)


def test_an_english_office_elsewhere_has_its_own_names_and_numbers(database: Database, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, default_locale="en", default_region="GB", timezone="Europe/London")
    fill(database, settings, 100, NOW)
    rows = all_of(database, CallRequest)
    assert all(row.caller_name.isascii() and row.number.startswith("+447") for row in rows)
    weekdays = Counter(row.registered_at.weekday() for row in rows if row.done_at)
    assert weekdays[0] > weekdays[6]


@pytest.mark.parametrize("hours", range(0, 24, 5))
def test_at_whatever_hour_it_is_made_nothing_lies_ahead(database: Database, office: Settings, hours: int) -> None:
    now = NOW + timedelta(hours=hours)
    fill(database, office, 60, now)
    rows = all_of(database, CallRequest)
    assert max(row.registered_at for row in rows) < now
    assert max(row.done_at for row in rows if row.done_at is not None) <= now
    assert max(entry.at for entry in all_of(database, HistoryEntry)) <= now
