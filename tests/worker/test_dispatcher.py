"""The dispatcher: requests are claimed before anything rings, never dialled twice, and lost reports are reconciled."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from panoramisk.message import Message
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Cancelled, Outcome, Step
from app.domain.policy import Facts, LineState, ReasonCode
from app.log import current_fields
from app.services.requests import attempts as requests
from app.services.requests.attempts import Dispatch
from app.store.database import Database
from app.store.models import Attempt, CallRequest, RouteTroubleRow
from app.store.settings import write_setting
from app.telephony.ami import AmiDisconnected, AmiRefused, AmiTimeout, AmiUnsafe
from app.telephony.attempts import AttemptFollower, EndReport, StepReport, StrayReport, agent_leg_id
from app.telephony.dialer import MayNotDial
from app.worker import dispatcher as dispatcher_module
from app.worker.background import BackgroundTasks
from app.worker.dispatcher import SILENT_AFTER, Dispatcher
from app.worker.figures import WorkerFigures
from app.worker.standstills import Standstills, standstill_file
from app.worker.talk_times import PROMPT_SECONDS
from app.worker.write_queue import WriteQueue
from script.office.patience import PATIENCE
from tests.support.factories import (
    NOW,
    apply_event,
    create_module,
    create_request,
    history_of,
    make_facts,
    make_line,
    reload,
    store,
)
from tests.support.fake_ami import Received

DAY = timedelta(days=1)
OTHER = "+989127654321"


class FakeDialer:
    """A fake dialer. It records dial orders, and what `read` returns for each. The test sets channels and records."""

    def __init__(self, follower: AttemptFollower, read: Callable[[DialOrder], object]) -> None:
        self.orders = Received[DialOrder]()
        self.stored: list[object] = []  # what was stored of each order before it was dialled
        self.failures: list[Exception] = []
        self.with_channels: set[str] = set()
        self.devices = {"Local/s@bazang-agent", "PJSIP/101", "PJSIP/trunk"}  # of each attempt's channels
        self.records: dict[str, str | Exception] = {}
        self.questions: list[str] = []  # to the PBX
        self.talking: set[str] = set()
        self.hung_up = Received[str]()
        self.forbidden: list[str] = []
        self.on_forbid: Callable[[str], None] = lambda attempt: None
        self.prompts: list[tuple[str, ...]] = []
        self._follower, self._read = follower, read
        self.read_channels: Callable[[], bool] = lambda: True

    async def originate(self, order: DialOrder, prompt: Any, sounds: Any = None) -> None:
        self._follower.follow(order.attempt)
        self.prompts.append(tuple(prompt))
        self.stored.append(await asyncio.to_thread(self._read, order))
        self.orders.append(order)
        if self.failures:
            raise self.failures.pop(0)

    async def hang_up(self, attempt: str) -> None:
        self.hung_up.append(attempt)

    async def forbid(self, attempt: str) -> None:
        self.on_forbid(attempt)
        self.forbidden.append(attempt)

    async def attempts_with_channels(self) -> dict[str, set[str]]:
        self.questions.append("channels")
        assert self.read_channels()
        return dict.fromkeys(self.with_channels, self.devices)

    async def ask_for_response(self) -> None:
        self.questions.append("ping")

    async def customer_answered(self, attempt: str) -> bool:
        return attempt in self.talking

    async def record(self, attempt: str) -> str:
        self.questions.append(f"record of {attempt}")
        record = self.records.get(attempt, "")
        if isinstance(record, Exception):
            raise record
        return record


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


class Harness:
    """A dispatcher with fakes. `facts`: for its next dispatch. `dispatches`: the facts of each dispatch so far."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self.follower, self.writes, self.figures = AttemptFollower(), WriteQueue(), WorkerFigures()
        self.tasks = BackgroundTasks()
        self.dialer = FakeDialer(self.follower, self._stored)
        self.dispatches = Received[Facts]()
        self.ready = True
        self.shortest_talk = 0.0
        self.prepared: list[str] = []
        self.may_prepare: dict[str, asyncio.Event] = defaultdict(_set_event)
        self.facts: Facts = make_facts([make_line("101", since=datetime.now(UTC) - DAY)], now=datetime.now(UTC))
        self.dispatcher = Dispatcher(
            database,
            settings,
            self.dialer,  # type: ignore[arg-type]
            self.follower,
            writes=self.writes,
            tasks=self.tasks,
            facts=self._facts,
            prompt=lambda order, now: (f"for {order.spoken}", *self.prepared),
            prepare_number=self._prepare_number,
            ready=lambda: self.ready,
            shortest_talk=lambda: self.shortest_talk,
            figures=self.figures,
        )

    async def _prepare_number(self, order: DialOrder) -> None:
        await self.may_prepare[order.spoken].wait()
        self.prepared = [f"with {order.spoken}"]

    def _facts(self) -> Facts:
        self.dispatches.append(self.facts)
        return self.facts

    def _stored(self, order: DialOrder) -> tuple[str, str]:
        """Return what the database has of an order: the request's status, and its attempt in flight."""
        with self.database.read() as session:
            row = session.get_one(CallRequest, order.request_id)
            assert session.get(Attempt, order.attempt) is not None
            return row.status, row.attempt or ""

    def attempts(self) -> list[Attempt]:
        with self.database.read() as session:
            return list(session.scalars(select(Attempt).order_by(Attempt.started_at)))

    async def has_dispatched(self) -> None:
        """Wait until the dispatcher has run once from beginning to end."""
        for _ in range(2):  # the second run starts when the first has ended
            count = len(self.dispatches)
            self.dispatcher.wake()
            await self.dispatches.count(count + 1)

    async def dialled(self, count: int = 1) -> DialOrder:
        """Wait for `count` orders and return the newest."""
        await self.dialer.orders.count(count)
        order: DialOrder = self.dialer.orders[-1]
        return order

    async def dial(self, count: int = 1) -> DialOrder:
        """Wake the dispatcher, wait for `count` orders in total and return the newest."""
        self.dispatcher.wake()
        return await self.dialled(count)

    async def settled(self) -> None:
        """Wait until all reports are stored."""
        await self.writes.drain(PATIENCE)

    async def wait_for_end(self, attempt: str) -> Attempt:
        """Wait until an attempt has ended and return it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await self.settled()
                (row,) = [row for row in self.attempts() if row.id == attempt]
                if row.ended_at is not None:
                    return row
                await asyncio.sleep(0)

    async def reconcile(self) -> None:
        """Reconcile until an attempt that looks gone has been looked at twice."""
        await self.dispatcher.reconcile()
        await self.settled()
        await self.dispatcher.reconcile()

    def make_silent(self, attempt: str) -> None:
        """Make an attempt old enough to be reconciled."""
        with self.database.write() as session:
            session.get_one(Attempt, attempt).started_at -= SILENT_AFTER


@pytest.fixture
async def harness(database: Database, office: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    """A harness whose dispatcher and write queue are running. What looks gone twice is gone."""
    monkeypatch.setattr(dispatcher_module, "GONE_AFTER", 0.0)
    harness = Harness(database, office)
    tasks = [asyncio.create_task(harness.writes.run()), asyncio.create_task(harness.dispatcher.run())]
    await harness.dispatches.count(1)
    try:
        yield harness
    finally:
        for task in tasks:
            assert not task.done(), "the task ended by itself"
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await harness.tasks.cancel()


def create_due_request(database: Database, agent: str = "101", **kwargs: Any) -> CallRequest:
    """Store a request that can be dialled at once."""
    module = create_module(database, language="en", targets=[agent])
    return create_request(database, module, registered_at=datetime.now(UTC), **kwargs)


# Dialling


async def test_claim_is_stored_before_the_phone_rings(harness: Harness, database: Database) -> None:
    request = create_due_request(database)
    order = await harness.dial()
    assert harness.dialer.stored == [("dialling", order.attempt)]
    assert (order.request_id, order.agent) == (request.id, "101")
    assert harness.dialer.prompts == [("for 09121234567", "with 09121234567")], "the number can be read out by then"


def free_two(harness: Harness, database: Database) -> None:
    """Let two agents be free for whom a request waits each. What the first order needs is not there yet."""
    now = datetime.now(UTC)
    create_due_request(database, "101", number="+989120000001")
    create_due_request(database, "102", number="+989120000002")
    harness.facts = make_facts([make_line(agent, since=now - DAY) for agent in ("101", "102")], now=now)
    harness.may_prepare["09120000001"] = asyncio.Event()


async def test_orders_are_sent_in_the_order_of_their_requests(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "TURN_SECONDS", PATIENCE)
    free_two(harness, database)
    await harness.has_dispatched()
    assert harness.prepared == ["with 09120000002"] and not harness.dialer.prompts
    harness.may_prepare["09120000001"].set()
    await harness.dialled(2)
    assert [prompt[0] for prompt in harness.dialer.prompts] == ["for 09120000001", "for 09120000002"]


async def test_an_order_does_not_wait_long_for_the_one_before_it(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "TURN_SECONDS", 0.001)
    free_two(harness, database)
    order = await harness.dial()
    assert order.spoken == "09120000002" and len(harness.dialer.prompts) == 1


async def test_what_rings_is_measured_and_each_end_is_counted_once(
    harness: Harness, database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "app.worker.dispatcher")
    now = 100.0
    monkeypatch.setattr(dispatcher_module, "time", SimpleNamespace(monotonic=lambda: now))
    await harness.has_dispatched()  # what began by the other clock has ended
    request = create_due_request(database)
    records: list[tuple[str, object, object]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = current_fields()
            records.append((record.getMessage(), fields.get("attempt"), fields.get("request")))

    handler, log = Handler(), logging.getLogger("app.worker.dispatcher")
    log.addHandler(handler)
    try:
        harness.dispatcher.wake()
        now += 7.0  # the worker is busy with something else
        order = await harness.dialled()
        await harness.has_dispatched()
        for _ in range(2):
            harness.dispatcher.end(order.attempt, Outcome.CUSTOMER_BUSY, "customer BUSY 17")
        await harness.settled()
    finally:
        log.removeHandler(handler)
    lines = harness.figures.text().splitlines()
    assert {"bazang_free_to_ring_seconds_count 1.0", "bazang_free_to_ring_seconds_sum 7.0"} <= set(lines)
    assert 'bazang_attempts_total{outcome="customer_busy"} 1.0' in lines
    of_attempt = [(attempt, number) for text, attempt, number in records if order.attempt in text]
    assert of_attempt[:2] == [(order.attempt, request.id)] * 2  # it rings, and it has ended


async def test_request_is_dialled_once_if_the_dispatcher_is_woken_again(harness: Harness, database: Database) -> None:
    create_due_request(database)
    await harness.dial()
    for _ in range(5):
        await harness.has_dispatched()
    assert len(harness.dialer.orders) == len(harness.attempts()) == 1


async def test_request_is_dialled_at_its_time_without_another_wake(harness: Harness, database: Database) -> None:
    create_due_request(database, not_before=datetime.now(UTC) + timedelta(seconds=0.3))
    order = await harness.dial()
    assert order.agent == "101"


@pytest.mark.parametrize(
    ("wake_at", "seconds"),
    [(None, None), (NOW + timedelta(seconds=90.5), 90.5), (NOW, 0.0), (NOW - timedelta(seconds=1), 0.0)],
)
async def test_dispatch_returns_the_seconds_until_the_next_one(
    database: Database,
    office: Settings,
    monkeypatch: pytest.MonkeyPatch,
    wake_at: datetime | None,
    seconds: float | None,
) -> None:
    monkeypatch.setattr(dispatcher_module, "utcnow", lambda: NOW)
    monkeypatch.setattr(requests, "claim_due", lambda *_: Dispatch((), wake_at))
    assert await Harness(database, office).dispatcher._dispatch(0.0) == seconds


@pytest.mark.parametrize("change", [{"connected": False}, {"obstacle": ReasonCode.NO_DIALPLAN}, {"lines": {}}])
async def test_nothing_is_dialled_without_the_pbx_or_a_free_line(
    harness: Harness, database: Database, change: dict[str, Any]
) -> None:
    good_facts, harness.facts = harness.facts, replace(harness.facts, **change)
    create_due_request(database)
    await harness.has_dispatched()
    assert harness.attempts() == []
    harness.facts = good_facts
    await harness.dial()


@pytest.mark.parametrize("refusal", [AmiRefused("Permission denied"), AmiUnsafe("not to be sent")])
async def test_refused_order_counts_against_nobody(harness: Harness, database: Database, refusal: Exception) -> None:
    harness.dialer.failures = [refusal]
    request = create_due_request(database)
    attempt = await harness.wait_for_end((await harness.dial()).attempt)
    assert (attempt.outcome, attempt.cause) == (Outcome.NOT_STARTED.value, str(refusal))
    row = reload(database, request)
    assert (row.customer_attempts, row.agent_misses) == (0, 0)
    assert not is_followed(harness, attempt.id)


@pytest.mark.parametrize("error", [AmiTimeout("no answer"), AmiDisconnected("lost")])
async def test_order_without_a_reply_is_not_dialled_again_but_reconciled(
    harness: Harness, database: Database, error: Exception
) -> None:
    harness.dialer.failures = [error]
    request = create_due_request(database)
    order = await harness.dial()
    await harness.has_dispatched()
    assert len(harness.dialer.orders) == 1
    assert reload(database, request).status == "dialling"

    await harness.dispatcher.reconcile()  # too early: the order may still be on its way
    await harness.settled()
    assert reload(database, request).status == "dialling"
    assert harness.dialer.questions == []

    harness.make_silent(order.attempt)
    await harness.reconcile()  # no channel and no record: no phone rang
    attempt = await harness.wait_for_end(order.attempt)
    assert attempt.outcome == Outcome.NOT_STARTED.value
    assert reload(database, request).customer_attempts == 0
    assert harness.dialer.forbidden == [order.attempt]  # its order may still come


async def test_attempt_that_begins_while_it_is_given_up_goes_on(harness: Harness, database: Database) -> None:
    create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.on_forbid = lambda attempt: harness.dialer.with_channels.add(attempt)
    await harness.reconcile()
    await harness.settled()
    assert harness.attempts()[0].ended_at is None
    assert harness.follower.follows(order.attempt)


async def test_attempt_that_asterisk_does_not_let_us_forbid_is_given_up(harness: Harness, database: Database) -> None:
    create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)

    def refuse(attempt: str) -> None:
        raise AmiRefused("Permission denied")

    harness.dialer.on_forbid = refuse
    await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.NOT_STARTED.value


async def test_attempt_is_never_given_up_before_it_is_forbidden(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time after which it looks gone passes between the two decisions."""
    create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    monkeypatch.setattr(dispatcher_module, "GONE_AFTER", PATIENCE)
    await harness.dispatcher.reconcile()

    async def read_slowly(attempt: str) -> str:
        monkeypatch.setattr(dispatcher_module, "GONE_AFTER", 0.0)
        return ""

    monkeypatch.setattr(harness.dialer, "record", read_slowly)
    await harness.dispatcher.reconcile()
    await harness.settled()
    assert harness.attempts()[0].ended_at is None and harness.dialer.forbidden == []
    await harness.dispatcher.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.NOT_STARTED.value
    assert harness.dialer.forbidden == [order.attempt]


async def test_attempt_whose_channels_are_seen_is_not_forbidden(harness: Harness, database: Database) -> None:
    create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels = {order.attempt}
    await harness.dispatcher.reconcile()
    assert harness.dialer.forbidden == []


async def test_attempt_that_may_not_be_dialled_any_more_is_left_to_the_next_leader(
    harness: Harness, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    harness.dialer.failures = [MayNotDial("this worker does not lead any more")]
    request = create_due_request(database)
    order = await harness.dial()
    await harness.has_dispatched()
    await harness.settled()
    assert f"attempt {order.attempt}: not dialled" in caplog.text
    assert (reload(database, request).status, harness.attempts()[0].ended_at) == ("dialling", None)
    assert reload(database, request).attempt == order.attempt


async def test_customer_is_rung_first_only_while_the_attempt_stands(harness: Harness, database: Database) -> None:
    """Neither at the moment of its end nor after it. A list of channels from before that moment ends nothing."""
    create_due_request(database)
    order = await harness.dial()
    assert not harness.dispatcher.let_go("another")
    harness.make_silent(order.attempt)
    harness.dialer.read_channels = lambda: harness.dispatcher.let_go(order.attempt)
    await harness.dispatcher.reconcile()
    await harness.settled()
    assert harness.attempts()[0].ended_at is None
    harness.dialer.read_channels = lambda: True
    await harness.reconcile()
    assert not harness.dispatcher.let_go(order.attempt)
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.NOT_STARTED.value


async def test_order_without_a_reply_that_rings_is_followed_to_its_end(harness: Harness, database: Database) -> None:
    harness.dialer.failures = [AmiTimeout("no answer")]
    request = create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels = {order.attempt}
    harness.dialer.records = {order.attempt: "agent_answered"}
    for _ in range(3):
        await harness.dispatcher.reconcile()
        await harness.settled()
        row = reload(database, request)
        assert (row.status, row.step) == ("dialling", "agent_answered")
    assert harness.dialer.hung_up == []
    harness.dispatcher.handle_report(EndReport(order.attempt, Outcome.CUSTOMER_BUSY, "customer BUSY 17"))
    attempt = await harness.wait_for_end(order.attempt)
    assert (attempt.outcome, attempt.cause) == ("customer_busy", "customer BUSY 17")
    assert len(harness.dialer.orders) == 1
    assert reload(database, request).customer_attempts == 1


# Reports


def is_followed(harness: Harness, attempt: str) -> bool:
    """Tell whether the follower knows an attempt: it reports an unknown one as a stray."""
    event = {"Event": "UserEvent", "UserEvent": "Bazang", "Attempt": attempt, "Step": "agent_answered"}
    return harness.follower.handle(Message(event)) != StrayReport(attempt)


async def test_reports_are_stored_in_order(harness: Harness, database: Database) -> None:
    request = create_due_request(database)
    order = await harness.dial()
    for step in (Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED, Step.CONNECTED):
        harness.dispatcher.handle_report(StepReport(order.attempt, step))
    assert is_followed(harness, order.attempt)
    harness.dispatcher.handle_report(EndReport(order.attempt, Outcome.CONNECTED, "bye"))
    attempt = await harness.wait_for_end(order.attempt)
    assert not is_followed(harness, order.attempt)
    assert reload(database, request).status == "done"
    assert None not in (attempt.answered_at, attempt.dialled_at, attempt.connected_at)
    assert [entry.event for entry in history_of(database, request.id)] == [
        "claimed",
        "agent_answered",
        "customer_dialled",
        "connected",
        "ended",
    ]


async def test_end_of_an_attempt_wakes_the_dispatcher(harness: Harness, database: Database) -> None:
    module = create_module(database, rest=0)
    now = datetime.now(UTC)
    first = create_request(database, module, registered_at=now, first_called_at=now - DAY)
    second = create_request(database, module, number=OTHER, registered_at=now, first_called_at=now)
    order = await harness.dial()
    assert order.request_id == first.id
    await harness.has_dispatched()
    assert len(harness.dialer.orders) == 1
    harness.dispatcher.handle_report(EndReport(order.attempt, Outcome.CUSTOMER_BUSY, ""))
    assert (await harness.dialled(2)).request_id == second.id


async def test_route_that_works_again_wakes_the_dispatcher(harness: Harness, database: Database) -> None:
    """Those who wait for the route do not wait until the call ends that tried it, or for the next poll."""
    module, now = create_module(database, targets=["101", "102"], rest=0), datetime.now(UTC)
    harness.facts = make_facts([make_line("101", since=now - DAY), make_line("102", since=now - DAY)], now=now)
    failed = {"failures": 1, "since": now - DAY, "failed_at": now - DAY, "outcome": Outcome.ROUTE_CONGESTED.value}
    store(database, RouteTroubleRow(context="outbound", **failed))
    create_request(database, module, registered_at=now, first_called_at=now - DAY)
    second = create_request(database, module, number=OTHER, registered_at=now, first_called_at=now)
    order = await harness.dial()
    await harness.has_dispatched()
    assert len(harness.dialer.orders) == 1
    dispatches = len(harness.dispatches)
    harness.dispatcher.handle_report(StepReport(order.attempt, Step.CONNECTED))
    await harness.dispatches.count(dispatches + 1)
    assert (await harness.dialled(2)).request_id == second.id


# Reconciliation


def agent_ended(attempt: str, status: str) -> Message:
    """The end of the agent's leg, as the dialplan reports it."""
    event = {"Event": "UserEvent", "UserEvent": "Bazang", "Attempt": attempt, "Step": "agent_ended"}
    return Message({**event, "Status": status, "Cause": "16"})


RECORDS: list[tuple[str, str]] = [
    ("", "not_started"),
    ("agent_dialled", "interrupted"),
    ("agent_ended BUSY 17", "agent_busy"),
    ("agent_ended NOANSWER 21", "agent_rejected"),
    ("agent_answered", "agent_gone"),
    ("customer_dialled", "unclear"),
    ("customer_waits", "unclear"),
    ("connected", "connected"),
    ("ended customer ANSWER 16", "connected"),
    ("ended customer BUSY 17", "customer_busy"),
    ("ended agent_refused  16", "agent_refused"),
]


@pytest.mark.parametrize(("record", "outcome"), RECORDS)
async def test_outcome_is_read_from_asterisks_record(
    harness: Harness, database: Database, record: str, outcome: str
) -> None:
    create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.records = {order.attempt: record}
    harness.facts = replace(harness.facts, connected=False)  # so that nothing is dialled again
    await harness.reconcile()
    attempt = await harness.wait_for_end(order.attempt)
    assert attempt.outcome == outcome
    assert attempt.cause == f"found out afterwards: {record or 'no record'}"


@pytest.mark.parametrize(
    ("record", "outcome", "status"),
    [
        ("", "agent_gone", "waiting"),  # the agent hung up before the dialplan started
        ("agent_answered", "agent_gone", "waiting"),
        ("connected", "connected", "done"),
        ("ended customer ANSWER 16", "connected", "done"),
        ("ended customer BUSY 17", "customer_busy", "waiting"),
    ],
)
async def test_outcome_after_a_missed_answer_is_read_from_the_record(
    harness: Harness, database: Database, record: str, outcome: str, status: str
) -> None:
    """All steps and the end of the attempt were missed."""
    request = create_due_request(database)
    order = await harness.dial()
    report = harness.follower.handle(agent_ended(order.attempt, "ANSWER"))
    assert report is not None
    harness.dispatcher.handle_report(report)
    await harness.settled()
    assert reload(database, request).status == "dialling"
    harness.make_silent(order.attempt)
    harness.dialer.records = {order.attempt: record}
    await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == outcome
    assert reload(database, request).status == status


async def test_poll_that_began_before_an_end_does_not_correct_it(harness: Harness, database: Database) -> None:
    request = create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.records = {order.attempt: "ended customer ANSWER 16  20.0"}

    def end() -> bool:
        harness.dispatcher.handle_report(EndReport(order.attempt, Outcome.UNCLEAR, "it stood still"))
        return True

    harness.dialer.read_channels = end
    await harness.dispatcher.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.UNCLEAR.value
    await harness.settled()
    assert reload(database, request).status == "uncertain"


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ("ended customer ANSWER 16  4.9", Outcome.TALK_TOO_SHORT),
        ("ended customer ANSWER 16  5.0", Outcome.CONNECTED),
        ("ended customer ANSWER 16 far/ANSWER/16/200/1 ", Outcome.UNCLEAR),
        ("connected 1795981578.927", Outcome.UNCLEAR),
        ("customer_dialled", Outcome.UNCLEAR),
    ],
)
@pytest.mark.parametrize("known", ["", "talked", "stood still", "stood still, not stored"])
async def test_record_says_whether_the_talk_was_long_enough(
    harness: Harness, database: Database, record: str, outcome: Outcome, known: str
) -> None:
    """`known`: what a former worker has stored of the talk, or only written to its file when it was killed."""
    harness.shortest_talk = 5.0
    create_due_request(database)
    order = await harness.dial()
    if known == "stood still, not stored":
        Standstills(standstill_file(harness.settings)).add(order.attempt)
        harness.dispatcher.recall()
    elif known:
        requests.progress(database, order.attempt, Step.CONNECTED, datetime.now(UTC))
        note = requests.note_talk if known == "talked" else requests.note_standstill
        note(database, order.attempt, datetime.now(UTC))
    harness.make_silent(order.attempt)
    harness.dialer.records = {order.attempt: record}
    harness.facts = replace(harness.facts, connected=False)
    await harness.reconcile()
    expected = Outcome.CONNECTED if known == "talked" else outcome
    if known.startswith("stood still") and outcome is Outcome.CONNECTED:
        expected = Outcome.UNCLEAR
    assert (await harness.wait_for_end(order.attempt)).outcome == expected.value


@pytest.mark.parametrize("step", [Step.CLAIMED, Step.AGENT_ANSWERED])
async def test_answer_of_the_agent_is_recalled(harness: Harness, database: Database, step: Step) -> None:
    """An agent who had answered before this worker ran has missed nothing, however the agent's leg ends."""
    create_due_request(database)
    order = await harness.dial()
    requests.progress(database, order.attempt, step, datetime.now(UTC))
    harness.follower.forget(order.attempt)
    harness.dispatcher.recall()
    ended = {"Event": "UserEvent", "UserEvent": "Bazang", "Step": "agent_ended", "Attempt": order.attempt}
    report = harness.follower.handle(ended | {"Status": "NOANSWER"})
    assert (report is None) == (step is Step.AGENT_ANSWERED)


@pytest.mark.parametrize(
    ("silence", "is_reconciled", "outcome"),
    [
        (PROMPT_SECONDS + 0.1, False, Outcome.UNCLEAR),
        (PROMPT_SECONDS - 0.1, False, Outcome.CONNECTED),
        (PROMPT_SECONDS + 0.1, True, Outcome.CONNECTED),  # what begins later is watched
    ],
)
@pytest.mark.parametrize("told", ["by an event", "by the record"])
async def test_pbx_that_let_nobody_log_in_perhaps_stood_still(
    harness: Harness, database: Database, silence: float, is_reconciled: bool, outcome: Outcome, told: str
) -> None:
    harness.shortest_talk = 5.0
    harness.dispatcher.connected(silence)
    if is_reconciled:
        await harness.reconcile()
    create_due_request(database)
    order = await harness.dial()
    if told == "by an event":
        harness.dispatcher.handle_report(EndReport(order.attempt, Outcome.CONNECTED, "", 5.0))
    else:
        harness.make_silent(order.attempt)
        harness.dialer.records = {order.attempt: "ended customer ANSWER 16  5.0"}
        harness.facts = replace(harness.facts, connected=False)
        await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == outcome.value


async def test_end_that_comes_before_the_channels_are_read_is_judged_by_what_a_former_worker_saw(
    harness: Harness, database: Database
) -> None:
    harness.shortest_talk = 5.0
    create_due_request(database)
    order = await harness.dial()
    requests.note_standstill(database, order.attempt, datetime.now(UTC))
    harness.dispatcher.recall()
    harness.dispatcher.handle_report(EndReport(order.attempt, Outcome.CONNECTED, "", 20.0))
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.UNCLEAR.value


async def test_attempt_is_given_up_only_if_it_looks_gone_for_a_while(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PBX that stood still carries out an order while it answers that it knows nothing of it."""
    create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    await harness.dispatcher.reconcile()
    harness.dialer.records = {order.attempt: "agent_dialled"}  # its channel is newer than the list
    await harness.dispatcher.reconcile()
    harness.dialer.with_channels = {order.attempt}
    await harness.dispatcher.reconcile()
    harness.dialer.with_channels = set()
    await harness.dispatcher.reconcile()
    harness.dispatcher.connection_lost()
    await harness.dispatcher.reconcile()
    first_look = asyncio.get_running_loop().time()
    monkeypatch.setattr(dispatcher_module, "GONE_AFTER", PATIENCE)
    for _ in range(20):
        await harness.dispatcher.reconcile()
    await harness.settled()
    assert harness.attempts()[0].ended_at is None
    # It counts from the first look, not from the last one.
    monkeypatch.setattr(dispatcher_module, "GONE_AFTER", asyncio.get_running_loop().time() - first_look)
    await harness.dispatcher.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.INTERRUPTED.value


async def test_attempt_with_an_end_record_has_ended_even_if_it_has_channels(
    harness: Harness, database: Database
) -> None:
    """The agent has transferred the customer, and the end report was missed."""
    request = create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels = {order.attempt}
    harness.dialer.records = {order.attempt: "ended customer ANSWER 16"}
    await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.CONNECTED.value
    assert reload(database, request).status == "done"


@pytest.mark.parametrize(("talking", "status"), [(False, "dialling"), (True, "connected")])
async def test_early_answer_of_the_outbound_context_is_looked_into(
    harness: Harness, database: Database, talking: bool, status: str
) -> None:
    """The record says no more before the end, so the PBX is asked whether the customer has answered."""
    request = create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels = {order.attempt}
    harness.dialer.records = {order.attempt: "customer_dialled early"}
    harness.dialer.talking = {order.attempt} if talking else set()
    await harness.reconcile()
    await harness.settled()
    assert reload(database, request).status == status
    answered = {"Event": "DialEnd", "Uniqueid": "1.7", "DestChannel": "PJSIP/trunk-1", "DestLinkedid": order.attempt}
    assert harness.follower.handle(Message({**answered, "DialStatus": "ANSWER"})) == StepReport(
        order.attempt, Step.CONNECTED
    )


@pytest.mark.parametrize(
    ("record", "is_answered"),
    [("", False), ("agent_answered", True), ("customer_dialled", True), ("connected", True)],
)
async def test_reconciled_attempt_is_followed_as_answered_if_its_record_says_so(
    harness: Harness, database: Database, record: str, is_answered: bool
) -> None:
    create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels = {order.attempt}
    harness.dialer.records = {order.attempt: record}
    await harness.reconcile()
    report = harness.follower.handle(agent_ended(order.attempt, "NOANSWER"))
    expected = None if is_answered else EndReport(order.attempt, Outcome.AGENT_NO_ANSWER, "agent NOANSWER 16")
    assert report == expected


async def test_attempt_with_an_unreadable_record_is_unclear(
    harness: Harness, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    request = create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.records = {order.attempt: AmiRefused("Permission denied")}
    harness.dialer.with_channels = {order.attempt}
    await harness.reconcile()
    await harness.settled()
    assert reload(database, request).status == "dialling", "the call has channels"
    harness.dialer.with_channels = set()
    await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.UNCLEAR.value
    assert reload(database, request).status == "uncertain"
    assert "cannot read" in caplog.text
    await harness.has_dispatched()
    assert len(harness.dialer.orders) == 1


@pytest.mark.parametrize(
    ("step", "record", "outcome"),
    [
        (None, "", Outcome.UNCLEAR),
        (Step.AGENT_ANSWERED, "", Outcome.UNCLEAR),
        (Step.CONNECTED, "", Outcome.CONNECTED),
        (None, "ended customer BUSY 17", Outcome.CUSTOMER_BUSY),
    ],
)
async def test_attempt_on_the_previous_pbx_is_not_dialled_again(
    harness: Harness, database: Database, step: Step | None, record: str, outcome: Outcome
) -> None:
    create_due_request(database)
    order = await harness.dial()
    if step is not None:
        harness.dispatcher.handle_report(StepReport(order.attempt, step))
    await harness.settled()
    await harness.dispatcher.mark_pbx_changed()
    harness.make_silent(order.attempt)
    harness.dialer.records = {order.attempt: record}
    await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == outcome.value
    await harness.has_dispatched()
    assert len(harness.dialer.orders) == 1


async def test_call_of_a_cancelled_request_is_hung_up(harness: Harness, database: Database) -> None:
    request = create_due_request(database)
    order = await harness.dial()
    apply_event(database, request.id, Cancelled(), now=datetime.now(UTC))
    harness.make_silent(order.attempt)
    harness.dialer.with_channels = {order.attempt}
    await harness.dispatcher.reconcile()
    assert harness.dialer.hung_up == [order.attempt]


async def test_records_of_ended_attempts_are_deleted_by_the_next_accepted_order(
    harness: Harness, database: Database
) -> None:
    agents = ("101", "102", "103")
    harness.facts = replace(harness.facts, lines={a: make_line(a, since=datetime.now(UTC) - DAY) for a in agents})
    create_due_request(database)
    first = await harness.dial()
    harness.dispatcher.handle_report(EndReport(first.attempt, Outcome.CONNECTED, ""))
    await harness.wait_for_end(first.attempt)
    await harness.reconcile()

    harness.dialer.failures = [AmiRefused("not now")]
    create_due_request(database, "102", number=OTHER)
    second = await harness.dial(2)
    assert second.forget == (first.attempt,)
    await harness.wait_for_end(second.attempt)
    cleared = {row.id for row in harness.attempts() if row.trace_cleared}
    assert cleared == {second.attempt}, "Asterisk refused the order: it has no record of it, and deleted no other"

    await harness.reconcile()
    create_due_request(database, "103", number="+989127654322")
    await harness.dial(3)
    await harness.settled()
    assert {row.id for row in harness.attempts() if row.trace_cleared} == {first.attempt, second.attempt}


# What is read ahead


async def test_what_a_claim_needs_is_read_while_the_agent_talks(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, given = requests.claim_due, list[Any]()

    def note(*arguments: Any) -> Dispatch:
        given.append(arguments[-1])
        return claim(*arguments)

    monkeypatch.setattr(requests, "claim_due", note)
    free, harness.facts = harness.facts, make_facts([make_line("101", LineState.IN_CALL)], now=datetime.now(UTC))
    request = create_due_request(database)
    async with asyncio.timeout(PATIENCE):
        while not given or given[-1] is None or not given[-1].is_newest(database):  # one may be older than the request
            await harness.has_dispatched()
    executed: list[tuple[Any, str]] = []  # a thread may be reading ahead on another connection meanwhile
    event.listen(database.engine, "before_cursor_execute", lambda c, _k, said, *_: executed.append((c, said)))
    harness.facts = free
    assert (await harness.dial()).request_id == request.id
    (claims,) = {connection for connection, said in executed if said.startswith("INSERT INTO attempts")}
    of_claim = [said for connection, said in executed if connection is claims]
    assert of_claim[0] == "BEGIN IMMEDIATE" and of_claim[1].startswith("UPDATE")


async def test_calls_go_on_if_nothing_can_be_read_ahead(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(dispatcher_module, "stage", fail)
    async with asyncio.timeout(PATIENCE):
        while "disk I/O error" not in caplog.text:
            await harness.has_dispatched()
    create_due_request(database)
    await harness.dial()


# Errors


async def test_dispatch_is_repeated_after_a_database_error(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatcher_module, "RETRY_SECONDS", 0.01)
    claim, refusals = requests.claim_due, [OperationalError("BEGIN", {}, Exception("locked"))] * 3

    def refuse(*arguments: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return claim(*arguments)

    monkeypatch.setattr(requests, "claim_due", refuse)
    create_due_request(database)
    await harness.dial()  # one wake is enough
    assert caplog.text.count("the database refuses") == 3


async def test_dispatch_is_repeated_after_an_unexpected_error(
    harness: Harness, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatcher_module, "RETRY_SECONDS", 0.01)
    claim, errors = requests.claim_due, [ValueError("a bug")]

    def fail(*arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return claim(*arguments)

    monkeypatch.setattr(requests, "claim_due", fail)
    create_due_request(database)
    await harness.dial()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


@pytest.mark.parametrize("part", ["_facts", "_ready", "_rings", "_prompt"])
async def test_fault_of_a_part_of_the_worker_does_not_end_the_dispatcher(
    harness: Harness,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    part: str,
) -> None:
    monkeypatch.setattr(dispatcher_module, "RETRY_SECONDS", 0.01)
    rightly, faults = getattr(harness.dispatcher, part), [KeyError("a bug")]

    def fail_once(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return rightly(*arguments)

    monkeypatch.setattr(harness.dispatcher, part, fail_once)
    request = create_due_request(database)
    harness.dispatcher.wake()
    async with asyncio.timeout(PATIENCE):
        while True:
            if "a bug" in caplog.text:
                break
            await asyncio.sleep(0.001)
    if part == "_prompt":  # it is claimed, and never rings; reconciliation finds that out
        harness.make_silent(harness.attempts()[0].id)
        await harness.reconcile()
        await harness.wait_for_end(harness.attempts()[0].id)
        assert reload(database, request).status == "waiting"
    else:
        await harness.dialled()


async def test_number_that_cannot_be_dialled_does_not_block_others(harness: Harness, database: Database) -> None:
    """Here the outbound prefix makes the number too long."""
    with database.write() as session:
        write_setting(session, "outbound_prefix", "1234567890")
    long = create_due_request(database)
    await harness.has_dispatched()
    assert harness.attempts() == []
    assert reload(database, long).status == "waiting"
    with database.write() as session:
        write_setting(session, "outbound_prefix", "9")
    create_due_request(database, number=OTHER)
    assert (await harness.dial()).dialled == "909127654321"


async def test_nothing_is_dialled_before_the_announcement_is_ready(harness: Harness, database: Database) -> None:
    harness.ready = False
    create_due_request(database)
    await harness.has_dispatched()
    assert harness.attempts() == []
    harness.ready = True
    await harness.dial()


async def test_stray_call_of_an_ended_attempt_is_hung_up(harness: Harness, database: Database) -> None:
    create_due_request(database)
    order = await harness.dial()
    harness.dispatcher.handle_report(EndReport(order.attempt, Outcome.NOT_STARTED, "found out afterwards"))
    await harness.wait_for_end(order.attempt)
    harness.dispatcher.handle_report(StrayReport(order.attempt))
    await harness.dialer.hung_up.count(1)
    assert harness.dialer.hung_up == [order.attempt]


async def test_stray_call_of_another_bazang_is_not_hung_up(harness: Harness, database: Database) -> None:
    harness.dispatcher.handle_report(StrayReport("6f1c1c1e-0000-4000-8000-000000000000"))
    create_due_request(database)
    running = (await harness.dial()).attempt
    harness.dispatcher.handle_report(StrayReport(running))  # it is in flight
    await harness.settled()
    await harness.has_dispatched()
    assert harness.dialer.hung_up == []


@pytest.mark.parametrize("known", ["an event", "Asterisk's record"])
async def test_attempt_ends_when_its_agent_has_left_the_talk(harness: Harness, database: Database, known: str) -> None:
    """The customer's channels live on, because the agent has transferred the call. The agent has two phones."""
    line = replace(harness.facts.lines["101"], devices="PJSIP/101&PJSIP/101x")
    harness.facts = replace(harness.facts, lines={**harness.facts.lines, "101": line})
    request = create_due_request(database)
    order = await harness.dial()
    if known == "an event":
        harness.dispatcher.handle_report(StepReport(order.attempt, Step.CONNECTED))
    await harness.settled()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels, harness.dialer.records = {order.attempt}, {order.attempt: "connected"}
    for phone in ("PJSIP/101", "PJSIP/101x"):
        harness.dialer.devices = {"Local/s@bazang-agent", phone, "PJSIP/trunk"}
        await harness.reconcile()
        await harness.settled()
        assert reload(database, request).status == "connected"
    harness.dialer.devices = {"Local/s@bazang-agent", "PJSIP/102", "PJSIP/trunk"}
    await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.CONNECTED.value
    assert reload(database, request).status == "done"


async def test_attempt_goes_on_while_the_colleague_talks_who_picked_up_the_call(
    harness: Harness, database: Database
) -> None:
    request = create_due_request(database)
    order = await harness.dial()
    ids = {"Uniqueid": agent_leg_id(order.attempt), "Linkedid": order.attempt, "DestLinkedid": "1795908430.3"}
    answer = {"Event": "DialEnd", "DestChannel": "PJSIP/102-00000007", "DialStatus": "ANSWER", **ids}
    harness.follower.handle(answer)
    harness.dispatcher.handle_report(StepReport(order.attempt, Step.CONNECTED))
    await harness.settled()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels, harness.dialer.records = {order.attempt}, {order.attempt: "connected"}
    harness.dialer.devices = {"Local/s@bazang-agent", "PJSIP/102", "PJSIP/trunk"}
    await harness.reconcile()
    await harness.settled()
    assert reload(database, request).status == "connected"
    harness.dialer.devices = {"Local/s@bazang-agent", "PJSIP/103", "PJSIP/trunk"}
    await harness.reconcile()
    assert (await harness.wait_for_end(order.attempt)).outcome == Outcome.CONNECTED.value


async def test_phone_that_does_not_ring_yet_ends_nothing(harness: Harness, database: Database) -> None:
    request = create_due_request(database)
    order = await harness.dial()
    harness.make_silent(order.attempt)
    harness.dialer.with_channels, harness.dialer.devices = {order.attempt}, {"Local/s@bazang-agent"}
    await harness.reconcile()
    await harness.settled()
    assert reload(database, request).status == "dialling"
