"""The dispatcher: claimed on disk before it rings, never dialled twice, and whatever was not heard of is found out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from panoramisk.message import Message
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Cancelled, Outcome, Step
from app.domain.policy import Facts, ReasonCode
from app.services.requests import attempts as requests
from app.store.database import Database
from app.store.models import Attempt, CallRequest
from app.store.settings import write_setting
from app.telephony.ami import AmiDisconnected, AmiRefused, AmiTimeout, AmiUnsafe
from app.telephony.attempts import AttemptFollower, EndNews, StepNews, StrayNews
from app.worker import dispatcher as dispatching
from app.worker.dispatcher import UNHEARD, Dispatcher
from app.worker.write_queue import WriteQueue
from tests.support.factories import (
    apply_event,
    create_module,
    create_request,
    history_of,
    make_facts,
    make_line,
    reload,
)
from tests.support.fake_ami import PATIENCE, Received

DAY = timedelta(days=1)
OTHER = "+989127654321"


class FakeDialer:
    """An exchange that keeps what it is told, and knows of an attempt what the test says."""

    def __init__(self, follower: AttemptFollower, look: Callable[[DialOrder], object]) -> None:
        self.orders, self.seen = Received(), Received()
        self.failures: list[Exception] = []
        self.alive: set[str] = set()
        self.records: dict[str, str | Exception] = {}
        self.hung_up = Received()
        self.prompts: list[tuple[str, ...]] = []
        self._follower, self._look = follower, look

    async def originate(self, order: DialOrder, prompt: Any) -> None:
        self._follower.begin(order.attempt)
        self.prompts.append(tuple(prompt))
        self.seen.append(await asyncio.to_thread(self._look, order))
        self.orders.append(order)
        if self.failures:
            raise self.failures.pop(0)

    async def hang_up(self, attempt: str) -> None:
        self.hung_up.append(attempt)

    async def attempts_with_channels(self) -> set[str]:
        return self.alive

    async def record(self, attempt: str) -> str:
        record = self.records.get(attempt, "")
        if isinstance(record, Exception):
            raise record
        return record


class Office:
    """A dispatcher at work; `facts` is what it knows of the exchange."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.follower, self.recorder = AttemptFollower(), WriteQueue()
        self.dialer = FakeDialer(self.follower, self._stored)
        self.looks = Received()
        self.ready = True
        self.facts: Facts = make_facts([make_line("101", since=datetime.now(UTC) - DAY)], now=datetime.now(UTC))
        self.dispatcher = Dispatcher(
            database,
            settings,
            self.dialer,  # type: ignore[arg-type]
            self.follower,
            self.recorder,
            facts=self._facts,
            prompt=lambda order, now: (f"for {order.spoken}",),
            ready=lambda: self.ready,
        )

    def _facts(self) -> Facts:
        self.looks.append(self.facts)
        return self.facts

    def _stored(self, order: DialOrder) -> tuple[str, str]:
        """Return what is on disk of an attempt: the request's status, and the attempt that it has in flight."""
        with self.database.read() as session:
            row = session.get_one(CallRequest, order.request_id)
            assert session.get(Attempt, order.attempt) is not None
            return row.status, row.attempt or ""

    def attempts(self) -> list[Attempt]:
        with self.database.read() as session:
            return list(session.scalars(select(Attempt).order_by(Attempt.started_at)))

    async def has_looked(self) -> None:
        """Return when it has looked anew, from the beginning to the end."""
        for _ in range(2):  # the second look begins when the first has ended
            count = len(self.looks)
            self.dispatcher.wake()
            await self.looks.count(count + 1)

    async def dialled(self, count: int = 1) -> DialOrder:
        """Return the newest order, when there are so many."""
        await self.dialer.orders.count(count)
        order: DialOrder = self.dialer.orders[-1]
        return order

    async def settled(self) -> None:
        """Return when everything is recorded that was told so far."""
        await self.recorder.drain(PATIENCE)

    async def ends(self, attempt: str) -> Attempt:
        """Return an attempt that has ended."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await self.settled()
                (row,) = [row for row in self.attempts() if row.id == attempt]
                if row.ended_at is not None:
                    return row
                await asyncio.sleep(0)

    def grow_old(self, attempt: str) -> None:
        """Let an attempt be one of which one should have heard by now."""
        with self.database.write() as session:
            session.get_one(Attempt, attempt).started_at -= UNHEARD


@asynccontextmanager
async def working(database: Database, settings: Settings) -> AsyncIterator[Office]:
    made = Office(database, settings)
    tasks = [asyncio.create_task(made.recorder.run()), asyncio.create_task(made.dispatcher.run())]
    await made.looks.count(1)
    try:
        yield made
    finally:
        for task in tasks:
            assert not task.done(), "it ended by itself"
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def desk(database: Database, office: Settings) -> AsyncIterator[Office]:
    async with working(database, office) as made:
        yield made


def wait_for_call(database: Database, agent: str = "101", **kwargs: Any) -> CallRequest:
    """Store a request that may be called at once."""
    module = create_module(database, language="en", targets=[agent])
    return create_request(database, module, registered_at=datetime.now(UTC), **kwargs)


# Dialling


async def test_a_request_is_claimed_on_disk_before_the_phone_rings(desk: Office, database: Database) -> None:
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    assert desk.dialer.seen == [("dialling", order.attempt)]
    assert (order.request_id, order.agent) == (request.id, "101")
    assert desk.dialer.prompts == [("for 09121234567",)]


async def test_nobody_is_dialled_twice_however_often_it_is_woken(desk: Office, database: Database) -> None:
    wait_for_call(database)
    desk.dispatcher.wake()
    await desk.dialled()
    for _ in range(5):
        await desk.has_looked()
    assert len(desk.dialer.orders) == len(desk.attempts()) == 1


async def test_a_request_is_dialled_at_its_moment_without_being_woken(desk: Office, database: Database) -> None:
    wait_for_call(database, not_before=datetime.now(UTC) + timedelta(seconds=0.3))
    desk.dispatcher.wake()
    order = await desk.dialled()
    assert order.agent == "101"


@pytest.mark.parametrize("change", [{"connected": False}, {"obstacle": ReasonCode.NO_DIALPLAN}, {"lines": {}}])
async def test_nothing_is_dialled_while_it_could_not_be(
    desk: Office, database: Database, change: dict[str, Any]
) -> None:
    able, desk.facts = desk.facts, replace(desk.facts, **change)
    wait_for_call(database)
    await desk.has_looked()
    assert desk.attempts() == []
    desk.facts = able
    desk.dispatcher.wake()
    await desk.dialled()


@pytest.mark.parametrize("refusal", [AmiRefused("Permission denied"), AmiUnsafe("not to be sent")])
async def test_a_refusal_counts_for_nobody_and_the_request_waits_again(
    desk: Office, database: Database, refusal: Exception
) -> None:
    desk.dialer.failures = [refusal]
    request = wait_for_call(database)
    desk.dispatcher.wake()
    attempt = await desk.ends((await desk.dialled()).attempt)
    assert (attempt.outcome, attempt.cause) == (Outcome.NOT_STARTED.value, str(refusal))
    row = reload(database, request)
    assert (row.customer_attempts, row.agent_misses) == (0, 0)
    assert desk.follower.channel(attempt.id) == ""


@pytest.mark.parametrize("doubt", [AmiTimeout("no answer"), AmiDisconnected("lost")])
async def test_a_lost_reply_is_not_dialled_again_but_found_out(
    desk: Office, database: Database, doubt: Exception
) -> None:
    desk.dialer.failures = [doubt]
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    await desk.has_looked()
    assert len(desk.dialer.orders) == 1
    assert reload(database, request).status == "dialling"

    await desk.dispatcher.reconcile()  # too young: it may be on its way
    await desk.settled()
    assert reload(database, request).status == "dialling"

    desk.grow_old(order.attempt)
    await desk.dispatcher.reconcile()  # no channel and no record of it: no phone rang
    attempt = await desk.ends(order.attempt)
    assert attempt.outcome == Outcome.NOT_STARTED.value
    assert reload(database, request).customer_attempts == 0


async def test_a_lost_reply_of_a_call_that_rings_is_followed_to_its_end(desk: Office, database: Database) -> None:
    desk.dialer.failures = [AmiTimeout("no answer")]
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    desk.grow_old(order.attempt)
    desk.dialer.alive = {order.attempt}
    desk.dialer.records = {order.attempt: "agent_answered"}
    for _ in range(3):
        await desk.dispatcher.reconcile()
        await desk.settled()
        row = reload(database, request)
        assert (row.status, row.step) == ("dialling", "agent_answered")
    assert desk.dialer.hung_up == []
    desk.dispatcher.take_news(EndNews(order.attempt, Outcome.CUSTOMER_BUSY, "customer BUSY 17"))
    attempt = await desk.ends(order.attempt)
    assert (attempt.outcome, attempt.cause) == ("customer_busy", "customer BUSY 17")
    assert len(desk.dialer.orders) == 1
    assert reload(database, request).customer_attempts == 1


# News


async def test_news_are_recorded_in_their_order(desk: Office, database: Database) -> None:
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    for step in (Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED, Step.CONNECTED):
        desk.dispatcher.take_news(StepNews(order.attempt, step))
    desk.dispatcher.take_news(EndNews(order.attempt, Outcome.CONNECTED, "bye"))
    attempt = await desk.ends(order.attempt)
    assert reload(database, request).status == "done"
    assert None not in (attempt.answered_at, attempt.dialled_at, attempt.connected_at)
    assert [entry.event for entry in history_of(database, request.id)] == [
        "claimed",
        "agent_answered",
        "customer_dialled",
        "connected",
        "ended",
    ]


async def test_an_agent_who_is_free_again_is_rung_for_the_next_at_once(desk: Office, database: Database) -> None:
    """Nobody wakes the dispatcher but the end of the attempt before."""
    module = create_module(database, rest=0)
    now = datetime.now(UTC)
    first = create_request(database, module, registered_at=now, first_called_at=now - DAY)
    second = create_request(database, module, number=OTHER, registered_at=now, first_called_at=now)
    desk.dispatcher.wake()
    order = await desk.dialled()
    assert order.request_id == first.id
    await desk.has_looked()
    assert len(desk.dialer.orders) == 1
    desk.dispatcher.take_news(EndNews(order.attempt, Outcome.CUSTOMER_BUSY, ""))
    assert (await desk.dialled(2)).request_id == second.id


# Finding out


RECORDS: list[tuple[str, str]] = [
    ("", "not_started"),
    ("agent_answered", "agent_gone"),
    ("customer_dialled", "customer_unknown"),
    ("connected", "connected"),
    ("ended customer ANSWER 16", "connected"),
    ("ended customer BUSY 17", "customer_busy"),
    ("ended agent_refused  16", "agent_refused"),
]


@pytest.mark.parametrize(("record", "outcome"), RECORDS)
async def test_what_became_of_an_attempt_is_read_from_asterisks_own_record(
    desk: Office, database: Database, record: str, outcome: str
) -> None:
    wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    desk.grow_old(order.attempt)
    desk.dialer.records = {order.attempt: record}
    desk.facts = replace(desk.facts, connected=False)  # only this attempt is of interest
    await desk.dispatcher.reconcile()
    attempt = await desk.ends(order.attempt)
    assert attempt.outcome == outcome
    assert attempt.cause == f"found out afterwards: {record or 'no record'}"


@pytest.mark.parametrize(
    ("record", "outcome", "status"),
    [
        ("", "agent_gone", "waiting"),  # they hung up before the dialplan had begun
        ("agent_answered", "agent_gone", "waiting"),
        ("connected", "connected", "done"),
        ("ended customer ANSWER 16", "connected", "done"),
        ("ended customer BUSY 17", "customer_busy", "waiting"),
    ],
)
async def test_answered_agent_who_hung_up_leaves_it_to_the_record(
    desk: Office, database: Database, record: str, outcome: str, status: str
) -> None:
    """The steps were missed, and so was the end: nothing else will ever be heard of this attempt."""
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    ended = {"Event": "UserEvent", "UserEvent": "Bazang", "Attempt": order.attempt, "Step": "agent_ended"}
    news = desk.follower.take(Message({**ended, "Status": "ANSWER", "Cause": "16"}))
    assert news is not None
    desk.dispatcher.take_news(news)
    await desk.settled()
    assert reload(database, request).status == "dialling"
    desk.grow_old(order.attempt)
    desk.dialer.records = {order.attempt: record}
    await desk.dispatcher.reconcile()
    assert (await desk.ends(order.attempt)).outcome == outcome
    assert reload(database, request).status == status


async def test_attempt_that_has_ended_on_record_is_over_though_its_channels_live_on(
    desk: Office, database: Database
) -> None:
    """The agent has transferred the customer, and the end was missed."""
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    desk.grow_old(order.attempt)
    desk.dialer.alive = {order.attempt}
    desk.dialer.records = {order.attempt: "ended customer ANSWER 16"}
    await desk.dispatcher.reconcile()
    assert (await desk.ends(order.attempt)).outcome == Outcome.CONNECTED.value
    assert reload(database, request).status == "done"


async def test_attempt_that_goes_on_is_known_to_be_answered_after_a_look(desk: Office, database: Database) -> None:
    wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    desk.grow_old(order.attempt)
    desk.dialer.alive = {order.attempt}
    desk.dialer.records = {order.attempt: "connected"}
    await desk.dispatcher.reconcile()
    ended = {"Event": "UserEvent", "UserEvent": "Bazang", "Attempt": order.attempt, "Step": "agent_ended"}
    assert desk.follower.take(Message({**ended, "Status": "ANSWER", "Cause": "16"})) is None


async def test_a_record_that_cannot_be_read_leaves_it_unclear(
    desk: Office, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    desk.grow_old(order.attempt)
    desk.dialer.records = {order.attempt: AmiRefused("Permission denied")}
    desk.dialer.alive = {order.attempt}
    await desk.dispatcher.reconcile()
    await desk.settled()
    assert reload(database, request).status == "dialling", "its call goes on"
    desk.dialer.alive = set()
    await desk.dispatcher.reconcile()
    assert (await desk.ends(order.attempt)).outcome == Outcome.UNCLEAR.value
    assert reload(database, request).status == "uncertain"
    assert "cannot be read" in caplog.text
    await desk.has_looked()
    assert len(desk.dialer.orders) == 1


@pytest.mark.parametrize(
    ("step", "record", "outcome"),
    [
        (None, "", Outcome.UNCLEAR),
        (Step.AGENT_ANSWERED, "", Outcome.UNCLEAR),
        (Step.CONNECTED, "", Outcome.CONNECTED),
        (None, "ended customer BUSY 17", Outcome.CUSTOMER_BUSY),
    ],
)
async def test_what_another_exchange_may_still_do_is_not_done_twice(
    desk: Office, database: Database, step: Step | None, record: str, outcome: Outcome
) -> None:
    wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    if step is not None:
        desk.dispatcher.take_news(StepNews(order.attempt, step))
    await desk.settled()
    await desk.dispatcher.leave()
    desk.grow_old(order.attempt)
    desk.dialer.records = {order.attempt: record}
    await desk.dispatcher.reconcile()
    assert (await desk.ends(order.attempt)).outcome == outcome.value
    await desk.has_looked()
    assert len(desk.dialer.orders) == 1


async def test_the_call_of_a_request_that_was_cancelled_is_hung_up(desk: Office, database: Database) -> None:
    request = wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    apply_event(database, request.id, Cancelled(), now=datetime.now(UTC))
    desk.grow_old(order.attempt)
    desk.dialer.alive = {order.attempt}
    await desk.dispatcher.reconcile()
    assert desk.dialer.hung_up == [order.attempt]


async def test_a_record_of_an_ended_attempt_is_forgotten_by_the_next_call_and_only_then(
    desk: Office, database: Database
) -> None:
    agents = ("101", "102", "103")
    desk.facts = replace(desk.facts, lines={a: make_line(a, since=datetime.now(UTC) - DAY) for a in agents})
    wait_for_call(database)
    desk.dispatcher.wake()
    first = await desk.dialled()
    desk.dispatcher.take_news(EndNews(first.attempt, Outcome.CONNECTED, ""))
    await desk.ends(first.attempt)
    await desk.dispatcher.reconcile()

    desk.dialer.failures = [AmiRefused("not now")]
    wait_for_call(database, "102", number=OTHER)
    desk.dispatcher.wake()
    second = await desk.dialled(2)
    assert second.forget == (first.attempt,)
    await desk.ends(second.attempt)
    cleared = {row.id for row in desk.attempts() if row.trace_cleared}
    assert cleared == set(), "Asterisk refused the order, so it has deleted nothing"

    await desk.dispatcher.reconcile()
    wait_for_call(database, "103", number="+989127654322")
    desk.dispatcher.wake()
    await desk.dialled(3)
    await desk.settled()
    assert {row.id for row in desk.attempts() if row.trace_cleared} == {first.attempt, second.attempt}


# What must not end it


async def test_a_database_that_refuses_is_asked_again(
    desk: Office, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatching, "AGAIN", 0.01)
    claim, refusals = requests.claim_due, [OperationalError("BEGIN", {}, Exception("locked"))] * 3

    def refuse(*arguments: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return claim(*arguments)

    monkeypatch.setattr(requests, "claim_due", refuse)
    wait_for_call(database)
    desk.dispatcher.wake()  # once: it comes back by itself
    await desk.dialled()
    assert caplog.text.count("the database refused to claim") == 3


async def test_a_fault_of_our_own_does_not_end_all_calls_for_good(
    desk: Office, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with one look, there is another one."""
    monkeypatch.setattr(dispatching, "AGAIN", 0.01)
    claim, faults = requests.claim_due, [ValueError("a row that nobody foresaw")]

    def fail(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return claim(*arguments)

    monkeypatch.setattr(requests, "claim_due", fail)
    wait_for_call(database)
    desk.dispatcher.wake()
    await desk.dialled()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


async def test_a_number_that_cannot_be_dialled_keeps_nobody_else_waiting(desk: Office, database: Database) -> None:
    """A prefix made it too long, say; when that is put right it goes after a while."""
    with database.write() as session:
        write_setting(session, "outbound_prefix", "1234567890")
    long = wait_for_call(database)
    await desk.has_looked()
    assert desk.attempts() == []
    assert reload(database, long).status == "waiting"
    with database.write() as session:
        write_setting(session, "outbound_prefix", "9")
    wait_for_call(database, number=OTHER)
    desk.dispatcher.wake()
    assert (await desk.dialled()).dialled == "909127654321"


async def test_nobody_is_rung_before_the_announcement_is_made(desk: Office, database: Database) -> None:
    desk.ready = False
    wait_for_call(database)
    await desk.has_looked()
    assert desk.attempts() == []
    desk.ready = True
    desk.dispatcher.wake()
    await desk.dialled()


async def test_an_order_that_comes_to_life_when_it_was_given_up_is_hung_up(desk: Office, database: Database) -> None:
    wait_for_call(database)
    desk.dispatcher.wake()
    order = await desk.dialled()
    desk.dispatcher.take_news(EndNews(order.attempt, Outcome.NOT_STARTED, "found out afterwards"))
    await desk.ends(order.attempt)
    desk.dispatcher.take_news(StrayNews(order.attempt))
    await desk.dialer.hung_up.count(1)
    assert desk.dialer.hung_up == [order.attempt]


async def test_the_call_of_another_bazang_on_the_same_exchange_is_left_alone(desk: Office, database: Database) -> None:
    desk.dispatcher.take_news(StrayNews("6f1c1c1e-0000-4000-8000-000000000000"))
    wait_for_call(database)
    desk.dispatcher.wake()
    running = (await desk.dialled()).attempt
    desk.dispatcher.take_news(StrayNews(running))  # in flight: it is told of by its follower
    await desk.settled()
    await desk.has_looked()
    assert desk.dialer.hung_up == []
