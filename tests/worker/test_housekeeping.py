"""Housekeeping: what the worker deletes, and when."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from app.config import Settings
from app.domain.phone_calls import CallState
from app.domain.retention import Kind
from app.services import audit, commands, retention
from app.services.prompts import phone_calls
from app.services.webhooks.outbox import KEPT
from app.store.database import Database
from app.store.models import Command, PhoneCall, WebhookMessage
from app.store.uptime import uptime
from app.worker import housekeeping
from app.worker.clock import Clock
from app.worker.housekeeping import DAY
from app.worker.main import Worker
from tests.support.factories import NOW, create_webhook, create_webhook_message

SECOND = timedelta(seconds=1)


def create_ended_call(database: Database, now: datetime) -> None:
    """Create a phone call that has ended, and the answered command that started it."""
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=now)
    for command in commands.open_commands(database, now):
        commands.answer(database, command.id, ok=True, result="taken", now=now)
    phone_calls.update_state(database, call, CallState.DONE, now)


def count_rows(database: Database) -> tuple[int, int]:
    """Return the number of commands and of phone calls."""
    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (Command, PhoneCall)]
    return counts[0], counts[1]


async def test_old_requests_are_deleted_bit_by_bit_and_logged_once(
    office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, now = Worker(office, database), [uptime()]
    monkeypatch.setattr(housekeeping, "uptime", lambda: now[0])
    looks: list[bool] = []

    def delete_some(database: Database, at: datetime, *, seconds: float) -> tuple[dict[Kind, int], bool]:
        looks.append(True)
        return {Kind.REQUESTS: 50}, len(looks) < 3

    monkeypatch.setattr(retention, "delete_some", delete_some)
    for run in range(1, 5):
        await worker.housekeeping._retain()
        assert len(looks) == min(run, 3)
    (entry,) = audit.read(database).entries
    assert entry.detail == {"requests": 150}
    now[0] += housekeeping.HOUR
    await worker.housekeeping._retain()
    assert len(looks) == 4


async def test_old_rows_and_unused_sounds_are_deleted_once_a_day(
    office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(office, database)
    removals: list[None] = []

    async def prepare(now: datetime) -> None:
        """No sounds are needed here."""

    def remove_unused() -> int:
        removals.append(None)
        return 0

    monkeypatch.setattr(worker.prompts, "prepare", prepare)
    monkeypatch.setattr(worker.prompts, "remove_unused", remove_unused)

    began = uptime()

    async def keep_house(now: datetime) -> tuple[int, int, int]:
        clock = Clock(lambda: now, lambda: began + (now - NOW))
        monkeypatch.setattr(housekeeping, "CLOCK", clock)
        monkeypatch.setattr(housekeeping, "uptime", lambda: began + (now - NOW))
        await worker.housekeeping.run()
        return *count_rows(database), len(removals)

    create_ended_call(database, NOW - commands.KEEP_ANSWERED)
    create_ended_call(database, NOW - commands.KEEP_ANSWERED + SECOND)
    assert count_rows(database) == (2, 2)
    webhook = create_webhook(database)
    kept = create_webhook_message(database, webhook, state="sent", since=NOW - KEPT + SECOND)
    create_webhook_message(database, webhook, state="sent", since=NOW - KEPT - SECOND)
    assert await keep_house(NOW) == (1, 1, 1)
    with database.read() as session:
        assert session.scalars(select(WebhookMessage.id)).all() == [kept.id]
    assert await keep_house(NOW + DAY - SECOND) == (1, 1, 1)
    assert await keep_house(NOW + DAY) == (1, 0, 2)  # the newest command stays


async def test_what_a_peak_needed_is_given_back(
    office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bool] = []
    monkeypatch.setattr(housekeeping, "give_back", lambda: given.append(True))
    await Worker(office, database).housekeeping.run()
    assert given == [True]
