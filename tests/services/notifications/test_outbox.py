"""The outbox: who gets which notification, and when."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app.config import Settings
from app.services import sessions, users
from app.services.notifications import outbox, preferences
from app.services.notifications.outbox import AT_ONCE, KEPT, Result
from app.services.notifications.preferences import PreferencesInput
from app.services.requests.access import Scope
from app.services.requests.actions import Reassign, ShownRequest
from app.services.requests.perform import perform
from app.store import requests
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry, Module, PushMessage, PushSubscription
from tests.support.factories import NOW, create_module, create_queue, store
from tests.support.notified import add_browser
from tests.support.push_service import make_subscription

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def add_user(database: Database, office: Settings, name: str, *extensions: str, role: str = "operator") -> int:
    """Add a user with a browser that gets notifications. Return the user's id."""
    user = users.create(database, name, "correct horse", role, NOW, extensions=extensions, locale="en")
    add_browser(database, office, user, make_subscription(name), NOW)
    return user


def register(database: Database, module: Module, number: str = "+989121234567", **kwargs: object) -> CallRequest:
    values = {"queue": False, "target": "101"} | kwargs
    with database.write() as session:
        return requests.add(session, module, values.pop("queue"), values.pop("target"), number, NOW, **values)  # type: ignore[arg-type]


def messages(database: Database) -> list[tuple[str, str]]:
    """Return whom what is said to, by name of the endpoint and the key."""
    query = select(PushSubscription.endpoint, PushMessage.key).join(
        PushSubscription, PushSubscription.id == PushMessage.subscription_id
    )
    with database.read() as session:
        return sorted((endpoint.rpartition("/")[2], key) for endpoint, key in session.execute(query))


def test_due_requests_are_said_to_those_whose_they_are(database: Database, office: Settings) -> None:
    by_hand = create_module(database, automatic=False, min_wait=600, targets=["101", "102"])
    automatic = create_module(database)
    create_queue(database, "800", "102")
    support = create_module(database, automatic=False, min_wait=600, target_kind="queue", targets=["800"])
    for name, *extensions in (("omid", "101"), ("lena", "102")):
        add_user(database, office, name, *extensions)
    add_user(database, office, "mina", role="supervisor")
    for user in (1, 2, 3):
        preferences.save(database, user, PreferencesInput(["due"]))
    due = register(database, by_hand)
    queued = register(database, support, "+989120000001", queue=True, target="800")
    postponed = register(database, automatic, "+989120000002", postponed_until=NOW + HOUR)
    register(database, automatic, "+989120000003")
    assert outbox.collect(database, office, NOW + 10 * MINUTE - SECOND) == 0
    assert outbox.collect(database, office, NOW + 10 * MINUTE + SECOND) == 2
    assert outbox.collect(database, office, NOW + 11 * MINUTE) == 0
    assert outbox.collect(database, office, NOW + HOUR + MINUTE) == 1
    keys = [(who, key.rpartition(":")[0]) for who, key in messages(database)]
    assert keys == [("lena", f"due:{queued.id}"), ("omid", f"due:{due.id}"), ("omid", f"due:{postponed.id}")]


def test_last_failure_is_said_once_with_the_number_of_attempts(database: Database, office: Settings) -> None:
    module = create_module(database)
    add_user(database, office, "omid", "101")
    preferences.save(database, 1, PreferencesInput(["failed"]))
    request = register(database, module)
    with database.write() as session:
        row = session.get_one(CallRequest, request.id)
        row.status, row.customer_attempts = "failed", 3
        for old, new in (("dialling", "failed"), ("failed", "failed")):
            session.add(HistoryEntry(request_id=row.id, at=NOW + MINUTE, event="ended", old_status=old, new_status=new))
    assert outbox.collect(database, office, NOW + 2 * MINUTE) == 1
    (delivery,) = outbox.claim(database, office, NOW + 2 * MINUTE)
    assert delivery.payload is not None and b'"attempts": 3' in delivery.payload


def test_who_gets_a_request_from_somebody_else_hears_of_it(database: Database, office: Settings) -> None:
    module = create_module(database, targets=["101", "102"])
    add_user(database, office, "omid", "101")
    add_user(database, office, "lena", "102")
    request = register(database, module)
    assert outbox.collect(database, office, NOW + SECOND) == 1
    shown = ShownRequest(request.id, request.version)
    perform(database, Scope("sara", everything=True), Reassign(False, "102"), [shown], NOW + MINUTE)
    assert outbox.collect(database, office, NOW + MINUTE) == 1
    assert messages(database) == [("lena", f"arrived:{request.id}"), ("omid", f"arrived:{request.id}")]


def test_quiet_hours_are_by_the_clock_of_the_office(database: Database, office: Settings) -> None:
    module = create_module(database)
    add_user(database, office, "omid", "101")
    local = NOW.astimezone(ZoneInfo(office.timezone))
    quiet = PreferencesInput(["arrived"], f"{local - HOUR:%H:%M}", f"{local + 5 * MINUTE:%H:%M}")
    preferences.save(database, 1, quiet)
    register(database, module)
    assert outbox.collect(database, office, NOW + MINUTE) == 0
    preferences.save(database, 1, PreferencesInput(["arrived"]))
    assert outbox.collect(database, office, NOW + MINUTE) == 1


@pytest.mark.parametrize("end", ["log_out", "deactivated", "idle"])
def test_nothing_is_sent_after_the_session(database: Database, office: Settings, end: str) -> None:
    module = create_module(database)
    user = add_user(database, office, "omid", "101")
    later = NOW
    if end == "log_out":
        with database.read() as session:
            login = session.scalars(select(PushSubscription.session_id)).one()
        sessions.log_out(database, user, login, NOW, address="")
    elif end == "deactivated":
        users.change(database, user, users.UserInput("operator", ("101",), active=False), NOW)
    else:
        later = NOW + timedelta(hours=office.session_idle_hours)
    with database.write() as session:
        requests.add(session, module, False, "101", "+989121234567", later)
    assert outbox.collect(database, office, later + SECOND) == 0


def test_what_was_before_the_subscription_and_what_one_typed_oneself_is_not_said(
    database: Database, office: Settings
) -> None:
    module = create_module(database)
    with database.write() as session:
        requests.add(session, module, False, "101", "+989120000001", NOW - SECOND)
    add_user(database, office, "omid", "101")
    register(database, module, created_by="omid")
    assert outbox.collect(database, office, NOW + SECOND) == 0


def test_what_a_killed_worker_had_in_hand_is_sent_again_until_it_says_nothing_new(
    database: Database, office: Settings
) -> None:
    module = create_module(database)
    add_user(database, office, "omid", "101")
    register(database, module)
    outbox.collect(database, office, NOW + SECOND)
    tries, now = [], NOW + SECOND
    while now < NOW + HOUR:
        tries += [(now, delivery.tries) for delivery in outbox.claim(database, office, now)]
        now += 5 * SECOND
    assert [count for _now, count in tries] == [1, 2, 3, 4, 5, 6]
    assert tries[-1][0] < NOW + 15 * MINUTE
    with database.write() as session:
        outbox.delete_old(session, NOW + KEPT + MINUTE)
    assert messages(database) == []


def test_many_are_handed_out_in_parts(database: Database, office: Settings) -> None:
    add_user(database, office, "omid", "101")
    row = {"subscription_id": 1, "kind": "test", "created_at": NOW, "next_at": NOW, "expires_at": NOW + HOUR}
    for number in range(AT_ONCE + 1):
        store(database, PushMessage(key=f"test:{number}", **row))
    first = outbox.claim(database, office, NOW)
    outbox.finish(database, [Result(delivery, done=True) for delivery in first], NOW)
    assert [len(first), len(outbox.claim(database, office, NOW))] == [AT_ONCE, 1]
