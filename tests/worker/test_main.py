"""What the worker sees to by itself, without anybody's asking."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from app.config import Settings
from app.domain.phone_calls import CallState
from app.services import commands
from app.services.prompts import phone_calls
from app.store.database import Database
from app.store.models import Command, PhoneCall
from app.worker import main
from app.worker.main import DAY, Worker
from tests.support.factories import NOW

SECOND = timedelta(seconds=1)


def leave_traces(database: Database, now: datetime) -> None:
    """Leave a phone call that is over, and the answered command that asked for it."""
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=now)
    for command in commands.open_commands(database, now):
        commands.answer(database, command.id, ok=True, result="taken", now=now)
    phone_calls.update_state(database, call, CallState.DONE, now)


def traces(database: Database) -> tuple[int, int]:
    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (Command, PhoneCall)]
    return counts[0], counts[1]


async def test_old_traces_are_removed_once_a_day(
    office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(office, database)

    async def prepare(now: datetime) -> None:
        """No sounds are needed here."""

    monkeypatch.setattr(worker.sounds, "prepare", prepare)

    async def tend(now: datetime) -> tuple[int, int]:
        monkeypatch.setattr(main, "utcnow", lambda: now)
        await worker._tend()
        return traces(database)

    tidied: list[datetime] = []
    monkeypatch.setattr(worker.sounds, "remove_unused", lambda: tidied.append(main.utcnow()) or 0)
    leave_traces(database, NOW - commands.KEEP_ANSWERED)
    leave_traces(database, NOW - commands.KEEP_ANSWERED + SECOND)
    assert traces(database) == (2, 2)
    assert await tend(NOW) == (1, 1)
    assert await tend(NOW + DAY - SECOND) == (1, 1)
    assert await tend(NOW + DAY) == (1, 0)  # the newest command stays
    assert tidied == [NOW, NOW + DAY]
