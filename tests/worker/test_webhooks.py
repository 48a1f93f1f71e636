"""Webhooks from what happens to a request to what a receiver gets, over a real connection."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from standardwebhooks import Webhook as Standard

from app.config import Settings
from app.domain.lifecycle import Cancelled, Claimed, Ended, Outcome, Progressed, Step, TimePassed, transition
from app.domain.webhooks import EVENTS, Fate
from app.push.pinned import NotAllowed, find_addresses
from app.push.webhook import Post, WebhookSender, clean
from app.services.audit import AuditAction
from app.services.errors import NotFound
from app.services.webhooks import destinations, outbox
from app.services.webhooks import log as webhook_log
from app.services.webhooks.destinations import WebhookInput
from app.services.webhooks.outbox import Result
from app.store import requests, routes
from app.store.database import Database
from app.store.models import AuditEntry, CallRequest, Module, Webhook, WebhookMessage
from app.worker import main
from app.worker.clock import Clock
from app.worker.main import Worker
from app.worker.webhooks import Webhooks
from script.office.patience import PATIENCE
from tests.support.factories import NUMBER, create_attempt, create_contact, create_module
from tests.support.receiver import HOST, Receiver, run_receiver

URL = f"https://{HOST}/hook"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ALL = [each.value for each in EVENTS]
LANDLINE = "+982188880000"


@dataclass
class Wheel:
    """A clock that a test turns."""

    moved: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self._start = datetime.now(UTC)
        self.clock = Clock(lambda: self._start + self.moved, lambda: self.moved)

    def turn(self, by: timedelta) -> None:
        self.moved += by

    @property
    def now(self) -> datetime:
        return self.clock.now()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with run_receiver(tmp_path / "receiver") as running:
        yield running


@pytest.fixture
def wheel() -> Wheel:
    return Wheel()


@pytest.fixture
def work(office: Settings, database: Database, receiver: Receiver, wheel: Wheel) -> Iterator[Webhooks]:
    webhooks = Webhooks(office, database, receiver.sender, wheel.clock)
    yield webhooks
    webhooks.close()


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database, targets=["101"])


def add(work: Webhooks, **given: Any) -> tuple[int, str]:
    """Add a destination. Return its id and its secret."""
    values = WebhookInput(**{"name": "CRM", "url": URL, "events": ALL} | given)
    return destinations.add(work.database, work.settings, values, actor="sara", now=work.clock.now())


def register(work: Webhooks, module: Module, number: str = NUMBER, **details: Any) -> int:
    with work.database.write() as session:
        return requests.add(session, module, False, "101", number, work.clock.now(), **details).id


def apply(work: Webhooks, request_id: int, happened: Any) -> None:
    """Let something happen to a request."""
    with work.database.write() as session:
        row, module = requests.load(session, request_id, lock=True) or (None, None)
        assert row is not None
        decision = transition(requests.to_domain(row, module), happened, work.clock.now())
        requests.apply_decision(session, row, decision, work.clock.now(), event="x", actor="sara")


async def send(work: Webhooks) -> None:
    """Send what is due."""
    await work.run()
    await work.settle()


def messages(work: Webhooks) -> list[WebhookMessage]:
    with work.database.read() as session:
        return list(session.scalars(select(WebhookMessage).order_by(WebhookMessage.id)))


def row_of(work: Webhooks, webhook_id: int) -> Webhook:
    with work.database.read() as session:
        return session.get_one(Webhook, webhook_id)


# -- what is told -----------------------------------------------------------------------------------------------------


async def test_what_happens_to_a_request_is_told_in_order_and_signed(
    work: Webhooks, receiver: Receiver, module: Module, database: Database
) -> None:
    _id, secret = add(work)
    create_contact(database, "Sara Ahmadi", NUMBER)
    request = register(work, module, caller_name="Sara", created_by="omid")
    apply(work, request, Claimed("a-1"))
    with database.read() as session:
        create_attempt(database, session.get_one(CallRequest, request), id="a-1", agent="101")
    apply(work, request, Progressed("a-1", Step.CONNECTED))
    apply(work, request, Ended("a-1", Outcome.CONNECTED))
    await send(work)
    assert receiver.events() == ["request.registered", "attempt.started", "request.connected", "request.done"]
    first, _started, connected, done = receiver.got
    assert first.content["data"]["request"] == {
        "id": request,
        "status": "waiting",
        "module": {"id": module.id, "name": module.name},
        "target": {"kind": "extension", "code": "101"},
        "number": NUMBER,
        "name": "Sara",
        "contact_name": "Sara Ahmadi",
        "website": "",
        "source": "panel",
        "priority": 0,
        "registered_at": work.clock.now().isoformat(timespec="seconds"),
        "first_called_at": work.clock.now().isoformat(timespec="seconds"),
        "attempts": 0,
        "last_outcome": None,
        "done_by": "",
    }
    assert (first.content["data"]["attempt"], first.content["data"]["by"]) == (None, "omid")
    assert connected.content["data"]["attempt"] == {"id": "a-1", "agent": "101"}
    assert done.content["data"]["request"]["last_outcome"] == "connected"
    assert len({found.uid for found in receiver.got}) == 4
    for found in receiver.got:
        assert found.headers["Content-Type"] == "application/json; charset=utf-8"
        assert found.path == "/hook"
        Standard(secret).verify(found.body, found.headers)
    assert receiver.asked == [HOST] * 4
    assert [message.state for message in messages(work)] == ["sent"] * 4
    await send(work)
    assert len(receiver.got) == 4


async def test_claims_of_the_dispatcher_are_told(work: Webhooks, receiver: Receiver, module: Module) -> None:
    add(work, events=["attempt.started"])
    request = register(work, module)
    with work.database.write() as session:
        row = session.execute(select(*CallRequest.__table__.columns).where(CallRequest.id == request)).one()
        decision = transition(requests.to_domain(row, module), Claimed("a-2"), work.clock.now())
        attempt = {"id": "a-2", "agent": "101", "number": NUMBER, "route": "", "manual": False}
        assert requests.claim(session, row, decision, work.clock.now(), event="claimed", attempt=attempt)
    await send(work)
    assert receiver.events() == ["attempt.started"]
    data = receiver.got[0].content["data"]
    assert data["attempt"] == {"id": "a-2", "agent": "101"}
    assert data["request"]["status"] == "dialling"


async def test_each_end_of_a_request_and_a_failing_trunk_are_told(
    work: Webhooks, receiver: Receiver, database: Database, wheel: Wheel
) -> None:
    module = create_module(database, targets=["101"], retries=0, expire_after=60)
    add(work, events=["request.failed", "request.cancelled", "request.expired", "trunk.trouble"])
    ends: list[list[Any]] = [[Claimed("a-1"), Ended("a-1", Outcome.CUSTOMER_NO_ANSWER)], [Cancelled()]]
    for number, happened in enumerate(ends):
        request = register(work, module, f"+98912000000{number}")
        for what in happened:
            apply(work, request, what)
    request = register(work, module)
    wheel.turn(HOUR)
    apply(work, request, TimePassed(None))
    now = work.clock.now()
    for _failure in range(2):
        with database.write() as session:
            routes.apply_outcome(
                session, "out", Outcome.ROUTE_FAILED, now, claimed_at=now, dialled_at=now, cause="Congestion"
            )
    await send(work)
    assert receiver.events() == ["request.failed", "request.cancelled", "request.expired", "trunk.trouble"]
    trunk = {"context": "out", "outcome": "route_failed", "cause": "Congestion"}
    assert receiver.got[-1].content["data"] == {"trunk": trunk}


async def test_nothing_is_told_of_a_change_that_was_rolled_back(
    work: Webhooks, receiver: Receiver, module: Module
) -> None:
    add(work)
    with pytest.raises(ZeroDivisionError), work.database.write() as session:
        requests.add(session, module, False, "101", NUMBER, work.clock.now())
        raise ZeroDivisionError
    await send(work)
    assert (messages(work), receiver.got) == ([], [])


async def test_a_destination_gets_the_events_and_modules_that_it_wants(
    work: Webhooks, receiver: Receiver, module: Module, database: Database
) -> None:
    other = create_module(database, name="Support", targets=["102"])
    add(work, name="A", events=["request.registered", "trunk.trouble"], modules=[other.id])
    add(work, name="B", events=["request.cancelled"])
    add(work, name="C", active=False)
    for each in (module, other):
        apply(work, register(work, each), Cancelled())
    with database.write() as session:
        routes.apply_outcome(
            session,
            "out",
            Outcome.ROUTE_FAILED,
            work.clock.now(),
            claimed_at=work.clock.now(),
            dialled_at=work.clock.now(),
            cause="",
        )
    await send(work)
    told = sorted((found.content["type"], found.content["data"].get("request", {}).get("id")) for found in receiver.got)
    assert told == [
        ("request.cancelled", 1),
        ("request.cancelled", 2),
        ("request.registered", 2),
        ("trunk.trouble", None),
    ]


async def test_without_a_destination_nothing_is_stored(work: Webhooks, module: Module) -> None:
    register(work, module)
    assert messages(work) == []


async def test_a_running_worker_sends_by_itself(
    office: Settings, database: Database, receiver: Receiver, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(office.model_copy(update={"agi_port": 0}), database)

    async def nothing(*_: Any, **__: Any) -> None:
        """There is no PBX."""

    monkeypatch.setattr(main, "WEBHOOK_SECONDS", 0.05)
    monkeypatch.setattr(worker, "_poll_pbx", nothing)
    monkeypatch.setattr(worker, "_keep_house", nothing)  # it speaks prompts, perhaps until after the end
    monkeypatch.setattr(worker, "_listen", nothing)
    worker.webhooks.sender = receiver.sender
    ready = asyncio.Event()
    running = asyncio.create_task(worker.run(ready.set))
    await ready.wait()
    add(worker.webhooks)
    register(worker.webhooks, module)
    assert await asyncio.to_thread(receiver.arrived.wait, PATIENCE)
    worker.stop()
    await running
    assert receiver.events() == ["request.registered"]


# -- when it is told again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_gone", [False, True], ids=["answers 503", "does not listen"])
async def test_a_receiver_that_is_down_for_an_hour_loses_nothing_and_gets_nothing_twice(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel, is_gone: bool
) -> None:
    webhook, _secret = add(work, events=["request.registered"])
    expected = [register(work, module)]
    await send(work)
    receiver.status, receiver.is_gone = 503, is_gone
    for minute in range(60):
        expected.append(register(work, module, f"+9891200000{minute:02}"))
        for _look in range(2):
            await send(work)
            wheel.turn(MINUTE / 2)
    assert 5 < len(receiver.asked) < 15, "it is not asked all the time"
    assert len(receiver.got) == (1 if is_gone else len(receiver.asked))
    assert destinations.load(work.database, work.settings, webhook).waiting == 60
    receiver.status, receiver.is_gone = 200, False
    for _look in range(2 * 60):
        await send(work)
        wheel.turn(MINUTE / 2)
    assert [found.content["data"]["request"]["id"] for found in receiver.taken] == expected
    assert len({found.uid for found in receiver.taken}) == len(expected)
    stored = row_of(work, webhook)
    assert (stored.failures, stored.failing_since, stored.next_at) == (0, None, None)


async def test_a_message_keeps_its_id_when_it_is_sent_again(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel
) -> None:
    _id, secret = add(work, events=["request.registered"])
    register(work, module)
    receiver.answers = [500, 200]
    await send(work)
    wheel.turn(MINUTE)
    await send(work)
    first, second = receiver.got
    assert first.uid == second.uid
    assert first.body == second.body
    sent = [int(found.headers["Webhook-Timestamp"]) for found in receiver.got]
    assert sent[1] - sent[0] == 60
    Standard(secret).verify(second.body, second.headers)


async def test_a_message_that_is_refused_does_not_hold_up_the_others(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel
) -> None:
    webhook, _secret = add(work, events=["request.registered"])
    for number in (NUMBER, "+989120000001"):
        register(work, module, number)
    receiver.answers, receiver.reply = [422, 200], b"name \x1b[31mis\x00 wrong\r\n"
    await send(work)
    refused, sent = messages(work)
    assert [refused.state, sent.state] == ["waiting", "sent"]
    assert (refused.result, refused.reply, refused.tries) == ("http_422", "name [31mis wrong", 1)
    assert refused.next_at > wheel.now
    wheel.turn(31 * HOUR)
    await send(work)
    found = webhook_log.read(work.database, webhook).messages
    assert [message.state for message in found] == ["sent", "failed"]
    assert len(receiver.got) == 2, "it was too old"


async def test_a_worker_that_dies_after_the_answer_sends_the_same_message_again(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel
) -> None:
    webhook, _secret = add(work, events=["request.registered"])
    register(work, module)
    delivery = outbox.claim(work.database, work.settings, webhook, wheel.now)
    assert delivery is not None
    await send(work)
    assert receiver.got == [], "another worker may still be sending it"
    wheel.turn(2 * MINUTE)
    await send(work)
    assert [found.uid for found in receiver.got] == [delivery.uid]


async def test_a_destination_that_takes_nothing_for_a_day_is_paused_and_goes_on_when_it_is_resumed(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel
) -> None:
    webhook, _secret = add(work, events=["request.registered"])
    request = register(work, module)
    receiver.status = 500
    for _look in range(61):
        await send(work)
        wheel.turn(HOUR / 2)
    stored = row_of(work, webhook)
    assert stored.paused_at is not None and stored.failing_since is not None
    assert timedelta(hours=24) <= stored.paused_at - stored.failing_since < timedelta(hours=25)
    tried, receiver.status = len(receiver.got), 200
    register(work, module, "+989120000001")
    await send(work)
    assert len(receiver.got) == tried
    with work.database.read() as session:
        query = select(AuditEntry.actor).where(AuditEntry.action == AuditAction.WEBHOOK_PAUSED.value)
        assert session.scalars(query).all() == [""]
    destinations.resume(work.database, webhook, actor="sara", now=wheel.now)
    await send(work)
    assert [found.content["data"]["request"]["id"] for found in receiver.taken] == [request + 1]
    assert webhook_log.send_failed_again(work.database, webhook, actor="sara", now=wheel.now) == 1
    await send(work)
    assert [found.content["data"]["request"]["id"] for found in receiver.taken] == [request + 1, request]
    assert receiver.taken[1].uid == receiver.got[0].uid


async def test_a_destination_that_is_gone_is_paused_at_once(work: Webhooks, receiver: Receiver, module: Module) -> None:
    webhook, _secret = add(work)
    register(work, module)
    receiver.status = 410
    await send(work)
    assert row_of(work, webhook).paused_at is not None
    assert [message.state for message in messages(work)] == ["waiting"]


async def test_a_slow_destination_delays_no_other(work: Webhooks, receiver: Receiver, module: Module) -> None:
    slow, _secret = add(work, name="Slow", events=["request.registered"])
    add(work, name="Fast", url=f"https://{HOST}/fast", events=["request.registered"])
    hangs, goes_on = threading.Event(), threading.Event()
    through = work._send

    def block(delivery: outbox.Delivery) -> Result:
        if delivery.webhook_id == slow:
            hangs.set()
            assert goes_on.wait(30)
        return through(delivery)

    work._send = block  # type: ignore[method-assign]
    register(work, module)
    await work.run()
    for number in range(3):
        while len(receiver.got) <= number:
            await work.run()
            await asyncio.sleep(0.01)
        register(work, module, f"+98912000000{number}")
    assert hangs.is_set()
    assert {found.path for found in receiver.got} == {"/fast"}
    goes_on.set()
    await work.settle()


async def test_a_destination_asks_for_patience(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel
) -> None:
    webhook, _secret = add(work, events=["request.registered"])
    register(work, module)
    receiver.answers, receiver.headers = [429], {"Retry-After": "1800"}
    await send(work)
    assert row_of(work, webhook).next_at == wheel.now + HOUR / 2


async def test_a_test_is_sent_even_if_the_destination_is_paused_and_is_not_repeated(
    work: Webhooks, receiver: Receiver, wheel: Wheel
) -> None:
    webhook, _secret = add(work, active=False)
    destinations.pause(work.database, webhook, actor="sara", now=wheel.now)
    receiver.status = 500
    for _click in range(2):
        destinations.ask_for_test(work.database, webhook, actor="sara", now=wheel.now)
    await send(work)
    wheel.turn(HOUR)
    await send(work)
    assert [found.content["type"] for found in receiver.got] == ["test"]
    assert [message.state for message in messages(work)] == ["failed"]
    assert row_of(work, webhook).failures == 0


async def test_a_message_is_sent_again_on_demand(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel
) -> None:
    webhook, _secret = add(work, events=["request.registered"])
    register(work, module)
    await send(work)
    message = messages(work)[0].id
    webhook_log.send_again(work.database, webhook, message, actor="sara", now=wheel.now)
    await send(work)
    assert [found.uid for found in receiver.got] == [receiver.got[0].uid] * 2
    with pytest.raises(NotFound):
        webhook_log.send_again(work.database, webhook + 1, message, actor="sara", now=wheel.now)


async def test_what_waits_for_a_removed_destination_goes_with_it(work: Webhooks, module: Module, wheel: Wheel) -> None:
    webhook, _secret = add(work)
    register(work, module)
    delivery = outbox.claim(work.database, work.settings, webhook, wheel.now)
    assert delivery is not None
    destinations.remove(work.database, webhook, actor="sara", now=wheel.now)
    outbox.finish(work.database, delivery, Result(Fate.SENT, "http_200"), wheel.now)
    assert messages(work) == []


async def test_old_messages_are_deleted(work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel) -> None:
    add(work, events=["request.registered"])
    register(work, module)
    await send(work)
    for days, left in ((13, 1), (2, 0)):
        wheel.turn(timedelta(days=days))
        with work.database.write() as session:
            outbox.delete_old(session, wheel.now)
        assert len(messages(work)) == left


async def test_a_message_that_cannot_be_made_holds_up_no_other(
    work: Webhooks, receiver: Receiver, module: Module, wheel: Wheel, database: Database
) -> None:
    add(work, events=["request.registered"], body_format="form", template="a={text}", text="{name}")
    for number in (NUMBER, "+989120000001"):
        register(work, module, number)
    with database.write() as session:
        session.get_one(WebhookMessage, 1).data = {"request": 1}
    await send(work)
    assert [message.result for message in messages(work)] == ["error", "http_200"]
    wheel.turn(31 * HOUR)
    await send(work)
    assert messages(work)[0].state == "failed"


async def test_the_looks_at_a_long_log_read_indexes_only(
    work: Webhooks, receiver: Receiver, module: Module, database: Database
) -> None:
    webhook, _secret = add(work, events=["request.registered"])
    register(work, module)
    executed: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: executed.append((a[2], a[3])))
    await send(work)
    outbox.give_up_old(database, work.clock.now() + 31 * HOUR)
    destinations.list_destinations(database, work.settings)
    looks = [each for each in executed if "FROM webhook" in each[0] and each[0].startswith(("SELECT", "UPDATE"))]
    with database.engine.connect() as connection:
        plans = ["; ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
                 for statement, values in looks]  # fmt: skip
    assert any("ix_webhook_messages_open" in plan for plan in plans)
    assert any("ix_webhook_messages_failed" in plan for plan in plans)
    assert any("ix_webhook_messages_tests" in plan for plan in plans)
    looks_at_all = re.compile(r"SCAN webhook_messages(?! USING (COVERING )?INDEX ix_webhook_messages_tests)|_log")
    assert not [plan for plan in plans if looks_at_all.search(plan)]
    assert receiver.taken and webhook


# -- templates of other services --------------------------------------------------------------------------------------


async def test_a_message_after_the_last_failed_attempt_goes_to_the_mobile_phone_of_the_customer(
    work: Webhooks, receiver: Receiver, database: Database
) -> None:
    module = create_module(database, name="Sales", targets=["101"], retries=0)
    add(
        work,
        url=f"https://{HOST}/v1/key-12345/sms/send.json",
        events=["request.failed"],
        body_format="form",
        template="receptor={recipient}\nsender=1000\nmessage={text}",
        text="{module}: {attempts} & {number}",
        to_customer=True,
        hours=2,
    )
    for number in (NUMBER, LANDLINE, "102"):
        request = register(work, module, number)
        apply(work, request, Claimed(f"a-{request}"))
        apply(work, request, Ended(f"a-{request}", Outcome.CUSTOMER_NO_ANSWER))
    await send(work)
    assert [found.fields for found in receiver.got] == [
        {"receptor": "09121234567", "sender": "1000", "message": "Sales: 1 & 09121234567"}
    ]
    assert receiver.got[0].headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8"
    assert [message.state for message in messages(work)] == ["sent", "skipped", "skipped"]


async def test_further_header_and_fixed_recipient(work: Webhooks, receiver: Receiver, module: Module) -> None:
    given = {
        "body_format": "json",
        "template": '{"chat_id": "{recipient}", "text": "{text}"}',
        "text": "{what} {number}",
    }
    add(work, **given, recipient="-100123", header_name="X-API-KEY", header_value="s3cret-value")
    receiver.reply = b"hello s3cret-value and /hook and more"
    register(work, module)
    await send(work)
    assert receiver.got[0].headers["X-API-KEY"] == "s3cret-value"
    assert receiver.got[0].content["chat_id"] == "-100123"
    assert receiver.got[0].content["text"].endswith(" 09121234567")
    assert messages(work)[0].reply == "hello *** and /hook and more"


async def test_a_key_that_was_lost_is_said(work: Webhooks, receiver: Receiver, module: Module) -> None:
    add(work, events=["request.registered"])
    register(work, module)
    work.settings = work.settings.model_copy(update={"secret_key": "another key, of another machine"})
    await send(work)
    assert (receiver.got, messages(work)[0].result, messages(work)[0].state) == ([], "key", "waiting")


# -- the sender -------------------------------------------------------------------------------------------------------


def make_post(url: str, *, inside: bool = False) -> Post:
    return Post("msg_1", url, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", inside, "application/json", "{}")


def test_a_name_that_is_looked_up_twice_cannot_lead_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is public, so it passes the check; the second one is this machine."""
    answers = iter(["93.184.215.14"])
    asked: list[str] = []
    connected: list[str] = []

    def look_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers, "127.0.0.1"), port))]

    def connect(address: tuple[str, int], *_: object) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    monkeypatch.setattr("socket.create_connection", connect)
    answer = WebhookSender().send(make_post("http://rebinds.example.org/"), datetime.now(UTC))
    assert (answer.fate, answer.result) == (Fate.LATER, "unreachable")
    assert (asked, connected) == (["rebinds.example.org"], ["93.184.215.14"])


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with real sockets: had the name been looked up again, the message would have come to `other`."""
    with socket.create_server(("127.0.0.1", 0)) as checked, socket.create_server(("127.0.0.2", 0)) as other:
        port = checked.getsockname()[1]
        numbers = iter(["127.0.0.1", "127.0.0.2", "127.0.0.2"])
        real = socket.getaddrinfo

        def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            return real(next(numbers) if host == "rebinds.example.org" else host, *args, **kwargs)

        monkeypatch.setattr("socket.getaddrinfo", look_up)
        sender = WebhookSender()
        post = make_post(f"http://rebinds.example.org:{port}/", inside=True)
        thread = threading.Thread(target=sender.send, args=(post, datetime.now(UTC)))
        thread.start()
        checked.settimeout(20)
        arrived, address = checked.accept()
        with arrived:
            request = arrived.recv(1000)
            arrived.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        thread.join()
        assert address[0] == "127.0.0.1"
        assert f"Host: rebinds.example.org:{port}".encode() in request
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.0.0.7", "::1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["fe80::1%1"]]
)
def test_a_name_that_leads_inside_gets_nothing(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    def look_up(_host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with pytest.raises(NotAllowed):
        find_addresses("inside.example.org", 80)
    answer = WebhookSender().send(make_post("http://inside.example.org/"), datetime.now(UTC))
    assert (answer.fate, answer.result) == (Fate.LATER, "not_allowed")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0"])
def test_numbers_in_unusual_forms_are_known_when_they_are_looked_up(host: str) -> None:
    answer = WebhookSender().send(make_post(f"http://{host}/"), datetime.now(UTC))
    assert answer.result in ("not_allowed", "unreachable")


def test_a_host_name_with_an_empty_or_endless_part_is_no_surprise() -> None:
    for host in ("a..example.org", f"{'a' * 70}.example.org"):
        assert WebhookSender().send(make_post(f"http://{host}/"), datetime.now(UTC)).result == "unreachable"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirection_is_followed(work: Webhooks, receiver: Receiver, module: Module, status: int) -> None:
    add(work, events=["request.registered"])
    register(work, module)
    receiver.answers, receiver.headers = [status], {"Location": f"https://{HOST}/elsewhere"}
    await send(work)
    assert [found.path for found in receiver.got] == ["/hook"]
    assert messages(work)[0].result == f"http_{status}"


@pytest.mark.slow
@pytest.mark.parametrize(("drips", "result"), [("before", "timeout"), ("within", "http_200")])
def test_a_receiver_that_never_ends_its_answer_is_left(tmp_path: Path, drips: str, result: str) -> None:
    """Its time-out is never reached, because a byte comes now and then."""
    with run_receiver(tmp_path, longest=3.0) as receiver:
        receiver.drips, receiver.reply = drips, b"x" * 100_000
        answer = receiver.sender.send(make_post(URL), datetime.now(UTC))
        assert answer.result == result
        assert answer.took < 12_000, "the whole answer would take 16 seconds"


def test_who_has_no_valid_certificate_gets_nothing(receiver: Receiver) -> None:
    answer = receiver.sender.send(make_post("https://other.example.org/"), datetime.now(UTC))
    assert (answer.result, receiver.got) == ("tls", [])


def test_a_long_answer_is_cut(receiver: Receiver) -> None:
    receiver.reply = "سلام ".encode() * 100_000
    answer = receiver.sender.send(make_post(URL), datetime.now(UTC))
    assert answer.fate is Fate.SENT
    assert 100 < len(answer.reply) <= 200


def test_short_secrets_do_not_hide_words() -> None:
    assert clean(b"ok: /", ("/", "", "ok")) == "ok: /"


def test_the_signature_is_that_of_the_specification(receiver: Receiver) -> None:
    """The example of the specification's own libraries."""
    post = replace(make_post(URL), uid="msg_p5jXN8AQM9LWM0D4loKWxJek", body='{"test": 2432232314}')
    receiver.sender.send(post, datetime.fromtimestamp(1614265330, UTC))
    headers = receiver.got[0].headers
    assert headers["Webhook-Signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert (headers["Webhook-Id"], headers["Webhook-Timestamp"]) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330")


async def test_the_example_of_the_documentation_verifies_messages(
    work: Webhooks, receiver: Receiver, module: Module
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - it is our own documentation
    _id, secret = add(work, events=["request.registered"])
    register(work, module, caller_name="سارا")
    await send(work)
    found = receiver.got[0]
    headers = {name.lower(): value for name, value in found.headers.items()}
    assert names["verify"](headers, found.body.encode(), secret)
    assert not names["verify"](headers, found.body.encode() + b" ", secret)
    assert not names["verify"](headers | {"webhook-id": "msg_2"}, found.body.encode(), secret)
    assert not names["verify"](headers, found.body.encode(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    late = Standard(secret).sign("msg_1", datetime.fromtimestamp(1614265330, UTC), "{}")
    old = {"webhook-id": "msg_1", "webhook-timestamp": "1614265330", "webhook-signature": late}
    assert not names["verify"](old, b"{}", secret)


def test_a_signing_secret_that_is_none_is_said(receiver: Receiver) -> None:
    assert receiver.sender.send(replace(make_post(URL), secret="whsec_"), datetime.now(UTC)).result == "key"
