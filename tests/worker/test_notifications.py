"""Notifications from what happens to a request to what the browser reads, over a real connection."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.config import Settings
from app.push.pinned import NotAllowed, find_addresses
from app.push.send import Fate, Message, Sender
from app.services import users
from app.services.notifications import keys, preferences, subscriptions
from app.services.notifications.preferences import PreferencesInput
from app.services.requests import history
from app.store import requests
from app.store.database import Database
from app.store.models import Module, PushMessage, PushSubscription
from app.worker.notifications import Notifications
from tests.support.factories import NUMBER, create_contact, create_module, reload
from tests.support.notified import add_browser
from tests.support.push_service import HOST, PushService, run_push_service

PASSWORD = "correct horse"
Office = tuple[Settings, Database, Module]


@pytest.fixture
def push(tmp_path: Path) -> Iterator[PushService]:
    with run_push_service(tmp_path / "push") as service:
        yield service


@pytest.fixture
def work(office: Settings, database: Database, push: PushService) -> Iterator[Notifications]:
    keys.private_key(database, office)  # browsers cannot be added before
    notifications = Notifications(office, database, push.sender)
    yield notifications
    notifications.close()


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database, targets=["101", "102"])


def add_user(work: Notifications, push: PushService, name: str, role: str, *extensions: str) -> int:
    """Add a user with a browser that gets notifications. Return the subscription's id."""
    now = datetime.now(UTC)
    user = users.create(work.database, name, PASSWORD, role, now, extensions=extensions, locale="en")
    return add_browser(work.database, work.settings, user, push.subscription(name), now)


def register(work: Notifications, module: Module, target: str = "101") -> int:
    with work.database.write() as session:
        return requests.add(session, module, False, target, NUMBER, datetime.now(UTC)).id


def browser(work: Notifications, subscription: int) -> PushSubscription:
    with work.database.read() as session:
        return session.get_one(PushSubscription, subscription)


def make_due(work: Notifications) -> None:
    """Let the time come at which what could not be sent is sent again."""
    with work.database.write() as session:
        session.execute(update(PushMessage).values(next_at=datetime.now(UTC)))


async def test_request_is_said_once_to_all_who_may_see_it_and_without_its_number(
    work: Notifications, push: PushService, module: Module
) -> None:
    await work.run()
    assert push.received == []
    add_user(work, push, "omid", "operator", "101")
    add_user(work, push, "lena", "operator", "102")
    add_user(work, push, "mina", "supervisor")
    request = register(work, module)
    await work.run()
    await work.run()
    assert sorted(found.path for found in push.received) == ["/fcm/send/mina", "/fcm/send/omid"]
    found = push.received[0]
    assert found.content == {
        "kind": "arrived",
        "request": request,
        "target": "101",
        "queue": False,
        "attempts": 0,
        "locale": "en",
        "key": f"arrived:{request}",
    }
    assert found.key == keys.public_key(work.database, work.settings)
    assert (found.claims["aud"], found.claims["sub"]) == (f"https://{HOST}", "https://calls.example.org")
    left = found.claims["exp"] - datetime.now(UTC).timestamp()
    assert 0 < left < timedelta(hours=24).total_seconds()
    assert 0 < int(found.headers["TTL"]) <= 15 * 60
    assert len(found.headers["Topic"]) == 32


async def test_number_is_said_to_those_who_want_it(work: Notifications, push: PushService, module: Module) -> None:
    add_user(work, push, "omid", "operator", "101")
    wanted = PreferencesInput(["arrived"], shows_numbers=True)
    preferences.save(work.database, users.find_by_name(work.database, "omid").id, wanted)
    create_contact(work.database, "Sara", NUMBER)
    register(work, module)
    await work.run()
    assert [(found.content["number"], found.content["name"]) for found in push.received] == [("09121234567", "Sara")]


@pytest.mark.parametrize("status", [404, 410])
async def test_browser_that_is_gone_is_deleted(
    work: Notifications, push: PushService, module: Module, status: int
) -> None:
    add_user(work, push, "omid", "operator", "101")
    push.answers = [status]
    register(work, module)
    await work.run()
    with work.database.read() as session:
        assert session.scalars(select(PushSubscription)).all() == []
        assert session.scalars(select(PushMessage)).all() == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_a_push_service_does_not_take_now_is_sent_later(
    work: Notifications, push: PushService, module: Module, status: int
) -> None:
    subscription = add_user(work, push, "omid", "operator", "101")
    push.answers, push.retry_after = [status], "120"
    register(work, module)
    await work.run()
    await work.run()
    assert push.received == [], "its time has not come"
    assert browser(work, subscription).failure == f"http_{status}"
    with work.database.read() as session:
        assert session.scalars(select(PushMessage.next_at)).one() > datetime.now(UTC) + timedelta(seconds=100)
    make_due(work)
    await work.run()
    assert len(push.received) == 1
    stored = browser(work, subscription)
    assert (stored.failure, stored.failed_at) == ("", None) and stored.sent_at is not None


@pytest.mark.parametrize("status", [301, 307, 400, 403])
async def test_what_is_refused_is_shown_and_not_repeated_and_no_redirection_is_followed(
    work: Notifications, push: PushService, module: Module, status: int
) -> None:
    subscription = add_user(work, push, "omid", "operator", "101")
    push.answers = [status]
    register(work, module)
    await work.run()
    make_due(work)
    await work.run()
    assert push.received == []
    assert browser(work, subscription).failure == f"http_{status}"


async def test_request_that_was_cancelled_meanwhile_is_not_said(
    work: Notifications, push: PushService, module: Module
) -> None:
    subscription = add_user(work, push, "omid", "operator", "101")
    request = register(work, module)
    push.answers = [503]
    await work.run()
    with work.database.write() as session:
        row, _module = requests.load(session, request, lock=True) or (None, None)
        assert row is not None
        row.status = "cancelled"
        session.flush()
        history.add_event(session, row, history.EventKind.CANCELLED, "", datetime.now(UTC))
    make_due(work)
    await work.run()
    assert push.received == []
    assert browser(work, subscription).sent_at is None


async def test_test_arrives_also_when_nothing_is_wanted(work: Notifications, push: PushService) -> None:
    subscription = add_user(work, push, "omid", "operator", "101")
    user = browser(work, subscription).user_id
    preferences.save(work.database, user, PreferencesInput([], "00:00", "23:59"))
    for _click in range(2):
        subscriptions.ask_for_test(work.database, user, subscription, datetime.now(UTC))
    await work.run()
    assert [found.content["kind"] for found in push.received] == ["test"]
    assert reload(work.database, browser(work, subscription)).sent_at is not None


# -- the sender -------------------------------------------------------------------------------------------------------


def make_message(push: PushService, endpoint: str = f"https://{HOST}/fcm/send/a") -> Message:
    given = push.subscription()
    return Message(endpoint, given.p256dh, given.auth, "https://calls.example.org", b"{}", "test", timedelta(minutes=1))


def test_nothing_is_sent_to_addresses_of_our_networks(
    work: Notifications, push: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.1", "10.0.0.7", "169.254.169.254")]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with pytest.raises(NotAllowed):
        find_addresses(HOST)
    key = keys.private_key(work.database, work.settings)
    answer = Sender().send(make_message(push), key, datetime.now(UTC))
    assert (answer.fate, answer.detail) == (Fate.REFUSED, "not_public")
    asked.clear()
    answer = Sender().send(make_message(push, "https://calls.example.org/"), key, datetime.now(UTC))
    assert (answer.fate, answer.detail, asked) == (Fate.REFUSED, "not_public", [])


def test_who_has_no_certificate_of_the_push_service_gets_nothing(work: Notifications, tmp_path: Path) -> None:
    key = keys.private_key(work.database, work.settings)
    with run_push_service(tmp_path / "false", "calls.example.org") as false:
        answer = false.sender.send(make_message(false), key, datetime.now(UTC))
        assert (answer.fate, answer.detail, false.received) == (Fate.LATER, "tls", [])
