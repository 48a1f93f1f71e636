"""Pauses of queue members that the dialplan cannot end, or must not."""

import asyncio
from typing import Any

from app.store.database import Database
from app.telephony.ami import AmiDisconnected
from app.telephony.snapshot import Snapshot
from app.worker.background import BackgroundTasks
from app.worker.queue_holds import QueueHolds
from script.office.patience import PATIENCE
from tests.support.factories import NOW, create_attempt, create_module, create_request
from tests.telephony.test_snapshot import hint, member, params


class Dialer:
    """A fake. It records what it was asked for."""

    def __init__(self) -> None:
        self.released: list[tuple[str, list[tuple[str, str]]]] = []
        self.kept: list[str] = []
        self.failure: Exception | None = None
        self.asked = asyncio.Event()

    async def release(self, agent: str, members: list[tuple[str, str]]) -> None:
        self.released.append((agent, members))

    async def keep_paused(self, agent: str) -> None:
        self.kept.append(agent)
        self.asked.set()
        if self.failure is not None:
            raise self.failure


def make(database: Database, reason: str) -> tuple[QueueHolds, Snapshot, Dialer, BackgroundTasks]:
    """Return what is tested, in an office whose 101 is paused in two queues."""
    snapshot, dialer, tasks = Snapshot(), Dialer(), BackgroundTasks()
    snapshot.poll_extensions([hint("101"), hint("102")], NOW)
    poll(snapshot, reason)
    fake: Any = dialer
    return QueueHolds(database, snapshot, fake, tasks), snapshot, dialer, tasks


def poll(snapshot: Snapshot, reason: str) -> None:
    paused = {"Paused": 1, "PausedReason": reason} if reason else {}
    rows = [row for queue in ("sales", "support") for row in (params(queue), member(queue, "PJSIP/101", **paused))]
    snapshot.poll_queues(rows, NOW)


async def test_what_is_left_of_a_crash_is_ended_at_the_second_look(database: Database) -> None:
    """An attempt that has just ended may still end its own pause."""
    holds, snapshot, dialer, _ = make(database, "Bazang")
    await holds.clean_up()
    assert dialer.released == []
    await holds.clean_up()
    ((agent, members),) = dialer.released
    assert agent == "101" and sorted(members) == [("sales", "PJSIP/101"), ("support", "PJSIP/101")]
    poll(snapshot, "")
    await holds.clean_up()
    assert len(dialer.released) == 1


async def test_pause_of_an_attempt_in_flight_stays(database: Database) -> None:
    create_attempt(database, create_request(database, create_module(database)), agent="101", ended_at=None)
    holds, _, dialer, _ = make(database, "Bazang")
    for _ in range(3):
        await holds.clean_up()
    assert dialer.released == []


async def test_pauses_of_others_stay(database: Database) -> None:
    holds, _, dialer, _ = make(database, "Lunch")
    for _ in range(3):
        await holds.clean_up()
    assert dialer.released == [] and dialer.kept == []


async def test_pause_that_somebody_begins_meanwhile_is_kept(database: Database) -> None:
    holds, snapshot, dialer, _ = make(database, "Bazang")
    poll(snapshot, "Lunch")
    holds.keep_others()
    holds.keep_others()
    await asyncio.wait_for(dialer.asked.wait(), PATIENCE)
    assert dialer.kept == ["101"]


async def test_a_lost_connection_is_logged(database: Database, caplog: Any) -> None:
    holds, snapshot, dialer, _ = make(database, "Bazang")
    dialer.failure = AmiDisconnected("gone")
    poll(snapshot, "Lunch")
    holds.keep_others()
    await asyncio.wait_for(dialer.asked.wait(), PATIENCE)
    await asyncio.sleep(0)
    assert "cannot keep" in caplog.text
