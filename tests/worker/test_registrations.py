"""Requests of many callers at once: stored together, and either stored or refused for good."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from app.domain.limits import LimitReason
from app.services.errors import NotFound
from app.services.requests.registration import Registration, RegistrationRefused, register
from app.services.requests.together import register_together
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry, ListedNumber
from app.worker import registrations
from app.worker.registrations import MOST_AT_ONCE, Registrations
from script.office.patience import PATIENCE
from tests.support.factories import NOW, create_module, create_request

LOCKED = OperationalError("BEGIN IMMEDIATE", {}, Exception("database is locked"))


class Storing:
    """Stands in for `register_together`: raises `failures` first. `groups` has the numbers of each try."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.groups = list(failures), list[list[str]]()
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()
        self._loop = asyncio.get_running_loop()

    def __call__(self, database: Database, given: Sequence[tuple[Registration, datetime]]) -> Any:
        self.groups.append([registration.number for registration, _ in given])
        self._loop.call_soon_threadsafe(self.begun.set)
        asyncio.run_coroutine_threadsafe(self.may_end.wait(), self._loop).result(PATIENCE)
        if self.failures:
            raise self.failures.pop(0)
        return register_together(database, given)


@pytest.fixture
async def storing(monkeypatch: pytest.MonkeyPatch) -> Storing:
    storing = Storing()
    monkeypatch.setattr(registrations, "register_together", storing)
    return storing


@pytest.fixture
async def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Registrations]:
    monkeypatch.setattr(registrations, "RETRY_SECONDS", 0.001)
    create_module(database, id=1)
    opened = Registrations(database)
    yield opened
    opened.close()


def of(number: int) -> Registration:
    return Registration(1, f"+98912{number:07}", uniqueid=f"1.{number}")


def stored(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest.number).order_by(CallRequest.id)))


async def test_callers_who_press_1_at_once_are_stored_together(
    store: Registrations, storing: Storing, database: Database
) -> None:
    callers = 2 * MOST_AT_ONCE + 3
    ids = await asyncio.gather(*(store.store(of(number), NOW) for number in range(callers)))
    assert [len(group) for group in storing.groups] == [MOST_AT_ONCE, MOST_AT_ONCE, 3]
    assert stored(database) == [of(number).number for number in range(callers)]
    assert len(set(ids)) == callers
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(HistoryEntry)) == callers


async def test_who_comes_while_others_are_stored_waits_for_the_next_transaction(
    store: Registrations, storing: Storing, database: Database
) -> None:
    storing.may_end.clear()
    first = asyncio.create_task(store.store(of(1), NOW))
    async with asyncio.timeout(PATIENCE):
        await storing.begun.wait()
    others = [asyncio.create_task(store.store(of(number), NOW)) for number in (2, 3)]
    await asyncio.sleep(0)
    storing.may_end.set()
    await asyncio.gather(first, *others)
    assert storing.groups == [[of(1).number], [of(2).number, of(3).number]]


async def test_refused_request_does_not_concern_the_others(
    store: Registrations, storing: Storing, database: Database
) -> None:
    with database.write() as session:
        blocked = of(2).number
        session.add(ListedNumber(kind="block", first=blocked, last=blocked, note="", created_by="", created_at=NOW))
    given = [of(1), of(2), Registration(4711, "+989120000009"), of(1), of(3)]
    results = await asyncio.gather(*(store.store(each, NOW) for each in given), return_exceptions=True)
    first, refused, unknown, again, last = results
    assert isinstance(refused, RegistrationRefused) and refused.reason is LimitReason.BLOCKED
    assert isinstance(unknown, NotFound)
    assert first == again != last
    assert stored(database) == [of(1).number, of(3).number]
    assert len(storing.groups) == 1


async def test_same_request_in_one_transaction_is_stored_once(store: Registrations, database: Database) -> None:
    """Two calls of one customer; the second one finds what the first one has not committed yet."""
    ids = await asyncio.gather(*(store.store(Registration(1, of(1).number, uniqueid=id), NOW) for id in "abc"))
    assert len(set(ids)) == 1
    assert stored(database) == [of(1).number]


async def test_locked_database_is_tried_again_until_it_is_free(
    store: Registrations, storing: Storing, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    storing.failures = [LOCKED] * 3
    await asyncio.gather(*(store.store(of(number), NOW) for number in range(5)))
    assert sorted(stored(database)) == [of(number).number for number in range(5)]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3
    # After a failure one goes ahead, for perhaps one of them is to blame. The others follow together.
    assert [len(group) for group in storing.groups] == [5, 1, 1, 1, 4]


async def test_request_that_can_never_be_stored_does_not_stop_the_others(
    store: Registrations, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(database: Database, given: Sequence[tuple[Registration, datetime]]) -> Any:
        if of(0) in [registration for registration, _ in given]:
            raise LOCKED
        return register_together(database, given)

    monkeypatch.setattr(registrations, "register_together", refuse)
    monkeypatch.setattr(registrations, "STORE_SECONDS", PATIENCE)
    never, *others = [asyncio.create_task(store.store(of(number), NOW)) for number in range(4)]
    await asyncio.gather(*others)
    assert sorted(stored(database)) == [of(number).number for number in (1, 2, 3)]
    assert not never.done()
    monkeypatch.setattr(registrations, "STORE_SECONDS", 0.0)
    with pytest.raises(TimeoutError):
        await never
    assert len(stored(database)) == 3


async def test_who_was_told_no_is_not_stored_later(
    store: Registrations, storing: Storing, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations, "STORE_SECONDS", 0.05)
    storing.may_end.clear()
    storing.failures = [LOCKED]
    waiting = asyncio.create_task(store.store(of(1), NOW))
    async with asyncio.timeout(PATIENCE):
        await storing.begun.wait()
    with pytest.raises(TimeoutError):  # its turn has not come in time
        await store.store(of(2), NOW)
    assert not waiting.done(), "it is being stored: only the database knows the answer"
    storing.may_end.set()
    with pytest.raises(TimeoutError):
        await waiting
    assert await store.store(of(3), NOW)
    assert stored(database) == [of(3).number]


async def test_line_that_moves_is_waited_for(
    store: Registrations, storing: Storing, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is busy with much else the last of many callers has to wait for long, but is not lost.

    The clock of the event loop goes on by nearly half of STORE_SECONDS with each request that is stored.
    """
    monkeypatch.setattr(registrations, "STORE_SECONDS", PATIENCE)
    monkeypatch.setattr(registrations, "LONGEST_WAIT", 10 * PATIENCE)
    monkeypatch.setattr(registrations, "MOST_AT_ONCE", 1)
    store._at_once = 1
    loop = asyncio.get_running_loop()
    real_time, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real_time() + passed)

    def slowly(database: Database, given: Sequence[tuple[Registration, datetime]]) -> Any:
        nonlocal passed
        passed += 0.4 * PATIENCE
        return storing(database, given)

    monkeypatch.setattr(registrations, "register_together", slowly)
    await asyncio.gather(*(store.store(of(number), NOW) for number in range(10)))
    assert passed > 3 * PATIENCE
    assert len(stored(database)) == 10


async def test_line_has_an_end_all_the_same(
    store: Registrations, storing: Storing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations, "LONGEST_WAIT", 0.0)
    with pytest.raises(TimeoutError):
        await store.store(of(1), NOW)


async def test_who_is_stored_at_the_last_moment_is_told_so(
    store: Registrations, storing: Storing, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations, "STORE_SECONDS", 0.05)
    storing.may_end.clear()
    waiting = asyncio.create_task(store.store(of(1), NOW))
    async with asyncio.timeout(PATIENCE):
        await storing.begun.wait()
    await asyncio.wait({waiting}, timeout=0.1)
    storing.may_end.set()
    assert await waiting
    assert stored(database) == [of(1).number]


async def test_caller_who_is_gone_is_stored_all_the_same(
    store: Registrations, storing: Storing, database: Database
) -> None:
    storing.may_end.clear()
    gone = asyncio.create_task(store.store(of(1), NOW))
    async with asyncio.timeout(PATIENCE):
        await storing.begun.wait()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    storing.may_end.set()
    await store.store(of(2), NOW)
    assert stored(database) == [of(1).number, of(2).number]


def test_group_is_stored_as_a_whole_or_not_at_all(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is confirmed is on disk: nobody gets an answer before the commit."""
    create_module(database, id=1)
    create_request(database, number=of(9).number)

    def fail_at_the_last(database: Database, given: Registration, now: datetime) -> int:
        if given == of(3):
            raise LOCKED
        return register(database, given, now)

    monkeypatch.setattr("app.services.requests.together.register", fail_at_the_last)
    create_request(database, number=of(3).number, status="done", done_at=NOW)  # they are no newcomer
    with pytest.raises(OperationalError):
        register_together(database, [(of(number), NOW) for number in (1, 2, 3)])
    assert stored(database) == [of(9).number, of(3).number]
