"""The worker's part that follows the calls: when requests are closed, and which numbers are on the line."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.store.database import Database
from app.store.models import CallRequest, MissedCall
from app.store.settings import write_setting
from app.telephony.ivr import CallerFacts
from app.telephony.snapshot import Snapshot
from app.worker.background import BackgroundTasks
from app.worker.clock import utcnow
from app.worker.talks import TalkWatch
from app.worker.write_queue import WriteQueue
from script.office.patience import PATIENCE
from tests.support.factories import (
    NUMBER,
    create_attempt,
    create_missed_call_rule,
    create_module,
    create_request,
    reload,
)

OUTSIDE = "09121234567"
ATTEMPT = "6f6e2f5a-0000-4000-8000-000000000001"
TRUNK, LINE = "PJSIP/trunk-1", "PJSIP/101-2"


class Harness:
    """A `TalkWatch` in an office whose only extension is 101."""

    def __init__(self, database: Database, office: Settings) -> None:
        self.database, self.changes, self.is_batch = database, 0, False
        self.hung_up: asyncio.Queue[str] = asyncio.Queue()
        self.asked: list[tuple[str, str]] = []
        self.writes = WriteQueue()
        snapshot = Snapshot()
        hint = {"Event": "ExtensionStatus", "Exten": "101", "Context": "hints", "Hint": "PJSIP/101", "Status": "0"}
        snapshot.poll_extensions([hint], utcnow())
        self.talks = TalkWatch(
            database,
            office,
            snapshot,
            writes=self.writes,
            hang_up=self.hung_up.put_nowait,
            line_changed=self._line_changed,
            ask_withheld=lambda *caller: self.asked.append(caller),
        )

    def _line_changed(self) -> None:
        self.changes += 1

    async def set_min_talk(self, seconds: int) -> None:
        with self.database.write() as session:
            write_setting(session, "min_talk", str(seconds))
        await self.refresh()

    async def refresh(self, *channels: dict[str, str], allowed: bool = True) -> None:
        """Refresh with these rows of CoreShowChannels, or as if our AMI user may not read them."""
        await self.talks.read_settings()
        if allowed:
            self.talks.fill(channels, ())
        else:
            self.talks.do_without_lists()

    def handle(self, name: str, channel: str, **fields: str) -> None:
        if not self.is_batch:
            self.talks.begin_batch()
        self.talks.handle({"Event": name, "Uniqueid": channel, "Channel": channel, **fields})
        if not self.is_batch:
            self.talks.end_batch()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Let the events come at once."""
        self.is_batch = True
        self.talks.begin_batch()
        yield
        self.talks.end_batch()
        self.is_batch = False

    def connect(self, linked: str = "L") -> None:
        """A customer and 101 come to talk."""
        self.handle("Newchannel", TRUNK, CallerIDNum=OUTSIDE, Linkedid=linked)
        for channel in (TRUNK, LINE):
            self.handle("BridgeEnter", channel, BridgeUniqueid="b")

    async def closed(self, request: CallRequest) -> CallRequest:
        """Return a request when it is done."""
        async with asyncio.timeout(PATIENCE):
            while reload(self.database, request).status != "done":
                await self.writes.drain(PATIENCE)
                await asyncio.sleep(0.005)
        return reload(self.database, request)


@pytest.fixture
async def harness(database: Database, office: Settings) -> AsyncIterator[Harness]:
    tasks = BackgroundTasks()
    harness = Harness(database, office)
    tasks.spawn(harness.writes.run())
    yield harness
    await tasks.cancel()


def waiting(database: Database, **fields: Any) -> CallRequest:
    module = create_module(database, targets=["101"])
    values: dict[str, Any] = {"target": "101", "registered_at": utcnow()}
    return create_request(database, module, **(values | fields))


async def test_request_is_closed_when_the_talk_is_long_enough(harness: Harness, database: Database) -> None:
    request = waiting(database)
    await harness.set_min_talk(1)
    began = utcnow()
    harness.connect()
    closed = await harness.closed(request)
    assert closed.done_at is not None
    assert (closed.done_at - began).total_seconds() >= 1.0
    assert closed.done_by == "101"


async def test_talk_counts_that_begins_and_ends_in_one_batch(harness: Harness, database: Database) -> None:
    request = waiting(database)
    await harness.set_min_talk(0)
    with harness.batch():
        harness.connect()
        harness.handle("Hangup", TRUNK)
        harness.handle("Hangup", LINE)
    await harness.closed(request)


async def test_change_of_the_line_is_reported_once_for_a_batch(harness: Harness) -> None:
    await harness.set_min_talk(5)
    harness.changes = 0
    with harness.batch():
        harness.connect()
        assert harness.changes == 0
    assert harness.changes == 1
    assert harness.talks.numbers_on_line() == {"101", "+989121234567"}


async def test_request_of_our_own_attempt_is_left_to_the_attempt(harness: Harness, database: Database) -> None:
    own = waiting(database, status="dialling", attempt=ATTEMPT, step="claimed")
    create_attempt(database, own, id=ATTEMPT)
    other = waiting(database)
    await harness.set_min_talk(0)
    harness.connect(linked=ATTEMPT)
    await harness.closed(other)
    assert reload(database, own).status == "dialling"
    assert harness.hung_up.empty()


async def test_attempt_that_the_talk_makes_needless_is_hung_up(harness: Harness, database: Database) -> None:
    request = waiting(database, status="dialling", attempt=ATTEMPT, step="claimed")
    create_attempt(database, request, id=ATTEMPT)
    await harness.set_min_talk(0)
    harness.connect()
    await harness.closed(request)
    async with asyncio.timeout(PATIENCE):
        assert await harness.hung_up.get() == ATTEMPT


async def test_numbers_on_the_line_are_normalized(harness: Harness) -> None:
    await harness.set_min_talk(5)
    assert harness.talks.numbers_on_line() == frozenset()
    changes = harness.changes
    harness.connect()
    assert harness.talks.numbers_on_line() == {NUMBER, "101"}
    assert harness.changes > changes
    harness.handle("Newchannel", "PJSIP/trunk-9", CallerIDNum="anonymous")
    changes = harness.changes
    harness.handle("VarSet", TRUNK)
    assert harness.changes == changes
    harness.handle("Hangup", TRUNK)
    assert harness.talks.numbers_on_line() == {"101"}


async def test_calls_are_read_after_a_reconnection(harness: Harness, database: Database) -> None:
    request = waiting(database)
    await harness.set_min_talk(0)
    harness.talks.connection_lost()
    rows = [
        {"Event": "CoreShowChannel", "Uniqueid": channel, "Channel": channel, "CallerIDNum": caller, "BridgeId": "b"}
        for channel, caller in ((TRUNK, OUTSIDE), (LINE, "101"))
    ]
    await harness.refresh(*rows)
    await harness.closed(request)
    assert harness.talks.numbers_on_line() == {NUMBER, "101"}


async def test_events_have_to_do_if_the_lists_are_refused(harness: Harness, database: Database) -> None:
    request = waiting(database)
    await harness.set_min_talk(0)
    harness.talks.connection_lost()
    await harness.refresh(allowed=False)
    harness.connect()
    await harness.closed(request)


# -- missed calls -----------------------------------------------------------------------------------------------------


class Caller:
    """A caller from outside who comes to 101 and hangs up."""

    def __init__(self, harness: Harness, uniqueid: str = "PJSIP/trunk-7") -> None:
        self.harness, self.uniqueid = harness, uniqueid
        harness.handle("Newchannel", uniqueid, CallerIDNum=OUTSIDE, CallerIDName="Mina", ChannelState="4")
        harness.handle("Newchannel", LINE)
        dialled = {"DestUniqueid": LINE, "DestChannel": LINE, "DialString": "101"}
        harness.handle("DialBegin", uniqueid, **dialled)

    def facts(self, module_id: int = 1, *, dialogue: int = 1) -> CallerFacts:
        uniqueid = self.uniqueid if dialogue == 1 else f"{self.uniqueid}/{dialogue}"
        return CallerFacts(module_id, uniqueid, self.uniqueid, OUTSIDE, "", "101", None)

    def hang_up(self) -> None:
        self.harness.handle("Hangup", self.uniqueid)


async def missed(harness: Harness) -> list[tuple[str, str, str]]:
    """Return (target, number, name) of the missed calls when everything is stored."""
    await harness.writes.drain(PATIENCE)
    with harness.database.read() as session:
        return [(row.target, row.number, row.caller_name) for row in session.scalars(select(MissedCall))]


@pytest.fixture
async def listing(harness: Harness, database: Database) -> Harness:
    create_missed_call_rule(database)
    await harness.refresh()
    return harness


async def test_call_without_a_talk_is_stored(listing: Harness) -> None:
    caller = Caller(listing)
    assert listing.asked == [(caller.uniqueid, caller.uniqueid)]
    caller.hang_up()
    assert await missed(listing) == [("101", NUMBER, "Mina")]


async def test_caller_in_a_module_is_missed_until_they_leave_a_request(listing: Harness, database: Database) -> None:
    module = create_module(database, targets=["101"])
    for number, leaves in ((8, False), (9, True)):
        uniqueid = f"PJSIP/trunk-{number}"
        listing.handle("Newchannel", uniqueid, CallerIDNum=OUTSIDE, ChannelState="4")
        facts = CallerFacts(module.id, uniqueid, uniqueid, OUTSIDE, "", "101", None)
        listing.talks.enter_module(facts)
        if leaves:
            listing.talks.leave_request(facts)
        listing.handle("Hangup", uniqueid)
    assert await missed(listing) == [("101", NUMBER, "")]


@pytest.mark.parametrize("dialogue", [1, 2])
async def test_request_that_is_stored_as_the_caller_hangs_up_counts(listing: Harness, dialogue: int) -> None:
    caller = Caller(listing)
    caller.hang_up()
    listing.talks.leave_request(caller.facts(dialogue=dialogue))
    assert await missed(listing) == []


async def test_what_is_forgotten_of_several_callers_is_forgotten_after_it_was_stored(listing: Harness) -> None:
    """The write for the first caller must not forget the call of the second one before it is stored."""
    callers = []
    for number in (7, 8):
        callers.append(Caller(listing, f"PJSIP/trunk-{number}"))
        callers[-1].hang_up()
        listing.talks.leave_request(callers[-1].facts())
    assert await missed(listing) == []


@pytest.mark.parametrize("late", [False, True])
async def test_withheld_number_is_not_stored(listing: Harness, late: bool) -> None:
    caller = Caller(listing)
    if late:
        caller.hang_up()
    listing.talks.withhold_number(caller.uniqueid)
    if not late:
        caller.hang_up()
    assert await missed(listing) == [("101", "", "")]


async def test_nothing_is_asked_or_stored_without_a_rule(harness: Harness) -> None:
    Caller(harness).hang_up()
    assert (harness.asked, await missed(harness)) == ([], [])


async def test_lost_connection_ends_all_calls(listing: Harness) -> None:
    caller = Caller(listing)
    listing.talks.connection_lost()
    caller.hang_up()
    assert await missed(listing) == []
