"""The workers of two exchanges on one PostgreSQL database: each does what belongs to its own exchange, and once."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text

from app.config import Settings
from app.domain.notifications import Preferences
from app.domain.retention import Retention
from app.services import clock_jump, commands, exchanges, retention, users
from app.services.clock_jump import Jump
from app.services.contacts import templates
from app.services.contacts.templates import ContactTemplates
from app.services.notifications import keys, outbox, preferences
from app.services.notifications.outbox import Delivery, Result
from app.services.notifications.preferences import PreferencesInput
from app.services.settings import mail as mail_settings
from app.services.settings.mail import MailInput
from app.services.users import UserInput
from app.services.webhooks import destinations, mail_destinations
from app.services.webhooks.destinations import WebhookInput
from app.services.webhooks.mail_destinations import MailDestinationInput
from app.store import requests
from app.store.contacts import names_of
from app.store.database import Database
from app.store.models import CallRequest, PushSubscription, UserSession, WorkerState
from app.store.settings import write_setting
from app.worker.lease import Lease, WorkerRunning
from app.worker.names import NameLookup
from app.worker.notifications import Notifications
from app.worker.webhooks import Webhooks
from script.office.patience import PATIENCE
from tests.support.exchanges import NORTH, add_exchange, app, registry
from tests.support.factories import (
    NOW,
    NUMBER,
    create_module,
    create_request,
    create_running_service,
    reload,
)
from tests.support.leaders import lead
from tests.support.locks import wait_for_a_waiter
from tests.support.mail_server import HOST as MAIL_HOST
from tests.support.mail_server import run_mail_server
from tests.support.notified import add_browser
from tests.support.push_service import PushService, run_push_service
from tests.support.receiver import HOST, Receiver, run_receiver
from tests.worker.test_webhooks import Wheel

__all__ = ["app", "registry"]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TAKES_OVER = 10.0  # seconds
PASSWORD = "correct horse"


@dataclass(frozen=True)
class Branch:
    """An exchange as its worker has it."""

    settings: Settings
    database: Database


@pytest.fixture
def first(app: Flask) -> Branch:
    bazang = app.extensions["bazang"]
    return Branch(bazang["settings"], bazang["database"])


@pytest.fixture
def north(app: Flask, first: Branch) -> Iterator[Branch]:
    branch = Branch(first.settings.for_exchange(NORTH), add_exchange(app))
    yield branch
    branch.database.engine.dispose()  # a lease makes the panel forget it


def register(branch: Branch, target: str = "101", number: str = NUMBER, at: datetime | None = None) -> int:
    """Register a request for an extension, as the first one of its exchange."""
    module = create_module(branch.database, targets=["101", "102"])
    with branch.database.write() as session:
        return requests.add(session, module, False, target, number, at or datetime.now(UTC)).id


# -- notifications ----------------------------------------------------------------------------------------------------


@pytest.fixture
def push(tmp_path: Path) -> Iterator[PushService]:
    with run_push_service(tmp_path / "push") as service:
        yield service


@pytest.fixture
def notifiers(first: Branch, north: Branch, push: PushService) -> Iterator[list[Notifications]]:
    keys.private_key(first.database, first.settings)
    found = [Notifications(branch.settings, branch.database, push.sender) for branch in (first, north)]
    yield found
    for notifications in found:
        notifications.close()


def add_colleague(
    first: Branch, north: Branch, push: PushService, name: str, role: str, of_first: str | None, of_north: str | None
) -> int:
    """Add a user with a browser, and with an extension at each exchange: "" for none, None if they may not see it."""
    now = datetime.now(UTC)
    seen = tuple(number for number, own in ((1, of_first), (2, of_north)) if own is not None)
    user = users.create(first.database, name, PASSWORD, role, now, exchanges=seen, locale="en")
    for branch, own in ((first, of_first), (north, of_north)):
        users.change(branch.database, user, UserInput(role, (own,) if own else (), locale="en"), now)
    add_browser(north.database, north.settings, user, push.subscription(name), now)
    return user


async def test_a_notification_comes_from_the_exchange_where_the_user_has_the_extension(
    first: Branch, north: Branch, notifiers: list[Notifications], push: PushService
) -> None:
    """Both requests have the same id and the same target. One browser gets what concerns its user, from both."""
    for name, role, of_first, of_north in (
        ("here", "operator", "101", None),
        ("there", "operator", None, "101"),
        ("moves", "operator", "102", "101"),
        ("boss", "supervisor", "", ""),
        ("other boss", "supervisor", "", None),
        ("none", "operator", "102", "102"),
    ):
        add_colleague(first, north, push, name.replace(" ", "-"), role, of_first, of_north)
    assert register(first) == register(north)
    for notifications in (*notifiers, *notifiers):
        await notifications.run()
    found = sorted((got.path.rpartition("/")[2], got.content.get("exchange", "")) for got in push.received)
    assert found == [
        *(("boss", ""), ("boss", NORTH), ("here", ""), ("moves", NORTH)),
        *(("other-boss", ""), ("there", NORTH)),
    ]
    of_boss = [got for got in push.received if got.path.endswith("/boss")]
    assert [got.content.get("exchange_name") for got in of_boss] == [None, "North branch"]
    assert len({got.content["key"] for got in of_boss}) == 2, "one does not replace the other in the browser"
    assert len({got.headers["Topic"] for got in of_boss}) == 2, "nor while the browser is away"


async def test_whose_access_ends_gets_nothing_more_of_the_exchange(
    first: Branch, north: Branch, notifiers: list[Notifications], push: PushService
) -> None:
    user = add_colleague(first, north, push, "omid", "operator", "102", "101")
    register(north)
    assert outbox.collect(north.database, north.settings, datetime.now(UTC)) == 1
    users.change(first.database, user, UserInput("operator", ("102",), exchanges=(1,)), NOW)
    for notifications in notifiers:
        await notifications.run()
    assert push.received == []


async def test_a_browser_belongs_to_who_was_logged_in_last_whatever_the_exchange(
    first: Branch, north: Branch, notifiers: list[Notifications], push: PushService
) -> None:
    add_colleague(first, north, push, "omid", "operator", "101", None)
    register(first)
    outbox.collect(first.database, first.settings, datetime.now(UTC))
    other = users.create(north.database, "nika", PASSWORD, "operator", NOW, extensions=("101",))
    add_browser(north.database, north.settings, other, push.subscription("omid"), datetime.now(UTC))
    for notifications in notifiers:
        await notifications.run()
    assert push.received == [], "nika reads nothing of omid's requests"


def test_quiet_hours_go_by_the_clock_of_the_exchange(first: Branch, north: Branch, push: PushService) -> None:
    user = add_colleague(first, north, push, "omid", "supervisor", "", "")
    preferences.save(first.database, user, PreferencesInput(["arrived"], "00:00", "06:00"))
    assert preferences_of(north, user).quiet_until == time_of_day(6), "they belong to the user"
    now = (datetime.now(UTC) + DAY).replace(hour=20, minute=0)
    for branch, zone in ((first, "UTC"), (north, "Asia/Karachi")):  # 20:00 and 01:00
        with branch.database.write() as session:
            write_setting(session, "timezone", zone)
        register(branch, at=now)
    with first.database.write() as session:
        session.query(UserSession).update({"used_at": now})
    assert outbox.collect(first.database, first.settings, now) == 1
    assert outbox.collect(north.database, north.settings, now) == 0
    assert outbox.collect(north.database, north.settings, now + 5 * HOUR) == 0, "it is old by then"


def preferences_of(branch: Branch, user: int) -> Preferences:
    with branch.database.read() as session:
        return preferences.load(session, user)


def test_two_workers_store_their_results_without_waiting_for_each_other_in_a_circle(
    first: Branch, north: Branch, push: PushService
) -> None:
    """Both lock the browsers in the same order, in whatever order their notifications were sent."""
    for name in ("omid", "nika"):
        add_colleague(first, north, push, name, "supervisor", "", "")
    with north.database.read() as session:
        browsers = list(session.scalars(select(PushSubscription.id).order_by(PushSubscription.id)))
    results = [Result(delivery_to(browser), done=True) for browser in reversed(browsers)]
    lock = text("SELECT FROM push_subscriptions WHERE id = :id FOR UPDATE NOWAIT")
    with first.database.write() as session:
        session.execute(lock, {"id": browsers[0]})
        thread = threading.Thread(target=outbox.finish, args=(north.database, results, NOW))
        thread.start()
        wait_for_a_waiter(first.database)
        session.execute(lock, {"id": browsers[1]})  # raises if the other worker has it while it waits for ours
    thread.join(PATIENCE)
    assert not thread.is_alive()
    with north.database.read() as session:
        assert set(session.scalars(select(PushSubscription.sent_at))) == {NOW}


def delivery_to(browser: int) -> Delivery:
    return Delivery(0, browser, "", "", "", "", "", 1, NOW, b"")


# -- e-mail and webhooks ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd")
async def test_an_email_says_of_which_exchange_it_is(app: Flask, first: Branch, north: Branch, tmp_path: Path) -> None:
    """Two summaries of a day are two letters: mail programs show one of those with the same Message-ID."""
    wheel = Wheel()
    exchanges.rename(first.database, 1, "Head office", NOW, actor="sara")
    with run_mail_server(tmp_path / "mail", security="none") as box:
        server = MailInput(
            mail_host=MAIL_HOST,
            mail_sender="bazang@example.org",
            mail_security="none",
            mail_ca=box.ca,
            panel_url="https://panel.example.org",
        )
        mail_settings.save(north.database, north.settings, server, actor="sara", now=NOW)
        works = [
            Webhooks(branch.settings, branch.database, clock=wheel.clock, mail_sender=box.sender)
            for branch in (first, north)
        ]
        given = MailDestinationInput(events=["request.registered"], language="en", summary="daily", summary_hour=8)
        for work in works:
            mail_destinations.add(work.database, given, ("sara@example.org",), actor="sara", now=wheel.clock.now())
            await work.run()
            await work.settle()
        wheel.turn(DAY)
        for branch, work in zip((first, north), works, strict=True):
            register(branch, at=wheel.clock.now())
            for _look in range(2):
                await work.run()
                await work.settle()
            work.close()
        letters = box.got
    assert len(letters) == 4
    assert len({str(letter["Message-ID"]) for letter in letters}) == 4
    for name, path in (("Head office", ""), ("North branch", f"x/{NORTH}/")):
        ours = [letter for letter in letters if f"({name})" in str(letter["Subject"])]
        assert len(ours) == 2
        for letter in ours:
            body = letter.get_body(("plain",))
            assert body is not None
            assert f"Exchange: {name}" in body.get_content()
            assert f"https://panel.example.org/{path}" in body.get_content()
        assert f"https://panel.example.org/{path}requests/1" in "".join(map(str, ours))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with run_receiver(tmp_path / "receiver") as running:
        yield running


async def test_a_webhook_says_of_which_further_exchange_it_is(first: Branch, north: Branch, receiver: Receiver) -> None:
    wheel = Wheel()
    for branch in (first, north):
        work = Webhooks(branch.settings, branch.database, receiver.sender, clock=wheel.clock)
        given = WebhookInput(name="CRM", url=f"https://{HOST}/hook", events=["request.registered"])
        destinations.add(branch.database, branch.settings, given, actor="sara", now=wheel.clock.now())
        register(branch, at=wheel.clock.now())
        await work.run()
        await work.settle()
        work.close()
    found = [(got.content.get("exchange"), got.content["data"]["request"]["id"]) for got in receiver.got]
    assert found == [(None, 1), (NORTH, 1)]


@pytest.mark.parametrize(("removed", "said"), [(False, ["", "North branch"]), (True, [""])])
async def test_a_template_can_name_the_exchange_if_there_are_several(
    app: Flask, first: Branch, north: Branch, receiver: Receiver, removed: bool, said: list[str]
) -> None:
    wheel, branches = Wheel(), [first, north]
    if removed:
        settings = app.extensions["bazang"]["settings"]
        exchanges.remove(app.extensions["bazang"]["exchanges"], settings, NORTH, NORTH, NOW, actor="sara")
        branches.remove(north)
    for branch in branches:
        work = Webhooks(branch.settings, branch.database, receiver.sender, clock=wheel.clock)
        template = WebhookInput(
            name="CRM",
            url=f"https://{HOST}/hook",
            events=["request.registered"],
            body_format="json",
            template='{"where": "{exchange}"}',
        )
        destinations.add(branch.database, branch.settings, template, actor="sara", now=wheel.clock.now())
        register(branch, at=wheel.clock.now())
        await work.run()
        await work.settle()
        work.close()
    assert [got.content["where"] for got in receiver.got] == said


async def test_names_are_asked_for_where_the_program_is_set(first: Branch, north: Branch, receiver: Receiver) -> None:
    receiver.reply = b"Sara"
    wheel = Wheel()
    given = ContactTemplates(name_lookup_url=f"https://{HOST}/name?number={{number}}")
    templates.save(north.database, north.settings, given, "a key", actor="sara", now=wheel.clock.now())
    for branch in (first, north):
        register(branch, at=wheel.clock.now())
        lookup = NameLookup(branch.settings, branch.database, receiver.names, wheel.clock)
        await lookup.run()
        lookup.close()
    assert len(receiver.got) == 1
    for branch, name in ((first, None), (north, "Sara")):
        with branch.database.read() as session:
            assert names_of(session, [NUMBER]).get(NUMBER) == name


# -- what else belongs to one exchange --------------------------------------------------------------------------------


def test_old_data_is_deleted_by_the_rule_of_its_exchange(first: Branch, north: Branch) -> None:
    for branch in (first, north):
        module = create_module(branch.database)
        for number in ("+989120000001", "+989120000002"):  # the newest one stays
            create_request(branch.database, module, number=number, status="done", done_at=NOW - 400 * DAY)
    retention.save(north.database, Retention(requests=365), actor="sara", now=NOW)
    for branch, left in ((first, 2), (north, 1)):
        retention.delete_some(branch.database, NOW, seconds=60)
        with branch.database.read() as session:
            assert len(session.scalars(select(CallRequest)).all()) == left


def test_a_command_wakes_the_worker_of_its_exchange(first: Branch, north: Branch) -> None:
    with first.database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        for branch in (first, north):
            connection.execute(text(f"LISTEN {commands.channel_of(branch.database.engine)}"))
        connection.commit()
        commands.send(north.database, commands.CALL_NOW, {}, actor="sara", now=NOW)
        heard = [notice.channel for notice in driver.notifies(timeout=PATIENCE, stop_after=1)]
        heard += [notice.channel for notice in driver.notifies(timeout=0)]
    assert heard == [f"{commands.CHANNEL}_{NORTH}"]
    assert len(commands.open_commands(north.database, NOW)) == 1
    assert commands.open_commands(first.database, NOW) == []


@pytest.mark.parametrize("by", [3 * HOUR, -3 * HOUR], ids=["forward", "back"])
def test_a_jump_of_the_clock_moves_the_moments_of_an_exchange_once(
    first: Branch, north: Branch, push: PushService, by: timedelta
) -> None:
    """Each worker notices the jump by itself. What belongs to the panel is moved by that of the first exchange."""
    add_colleague(first, north, push, "omid", "supervisor", "", "")
    rows = {}
    for branch in (first, north):
        create_running_service(branch.database, heartbeat=NOW)
        rows[branch.database] = create_request(branch.database, registered_at=NOW - HOUR, not_before=NOW + MINUTE)
    with first.database.write() as session:
        session.query(UserSession).update({"started_at": NOW - HOUR, "used_at": NOW - HOUR})
        session.query(PushSubscription).update({"created_at": NOW - HOUR})

    def moved(branch: Branch) -> set[timedelta]:
        row = reload(branch.database, rows[branch.database])
        assert row.not_before is not None
        return {row.registered_at - (NOW - HOUR), row.not_before - (NOW + MINUTE)}

    def shared() -> set[timedelta]:
        with first.database.read() as session:
            login, browser = session.scalars(select(UserSession)).one(), session.scalars(select(PushSubscription)).one()
        return {moment - (NOW - HOUR) for moment in (login.started_at, login.used_at, browser.created_at)}

    def noted(branch: Branch) -> float:
        with branch.database.read() as session:
            return session.get_one(WorkerState, 1).jump_seconds

    jump, nothing = Jump(by, NOW + by, NOW), {timedelta(0)}
    clock_jump.apply(north.database, jump, lambda: NOW + by)
    assert (moved(north), moved(first), shared()) == ({by}, nothing, nothing)
    assert (noted(north), noted(first)) == (by.total_seconds(), 0)
    clock_jump.apply(first.database, jump, lambda: NOW + by)
    assert (moved(north), moved(first), shared()) == ({by}, {by}, {by})


def test_a_jump_while_no_worker_ran_is_found_for_each_exchange(first: Branch, north: Branch) -> None:
    values = {"heartbeat": NOW, "boot_id": "this", "booted_at": NOW - DAY}
    create_running_service(north.database, **values)
    create_running_service(first.database, **(values | {"booted_at": NOW - DAY - HOUR}))
    found = [clock_jump.find_since_stop(branch.database, NOW + HOUR, DAY, "this") for branch in (first, north)]
    assert [jump.by if jump is not None else None for jump in found] == [2 * HOUR, HOUR]


# -- who leads --------------------------------------------------------------------------------------------------------


def test_each_exchange_has_a_leader_of_its_own(first: Branch, north: Branch) -> None:
    leases = [Lease(branch.database, on_deposed=pytest.fail) for branch in (first, north)]
    others = [Lease(branch.database, on_deposed=pytest.fail) for branch in (first, north)]
    try:
        for lease, branch in zip(leases, (first, north), strict=True):
            lease.acquire()
            branch.database.fence = lease.check
        for other in others:
            with pytest.raises(WorkerRunning):
                other.acquire()
        leases[0].release()
        with pytest.raises(WorkerRunning):
            others[1].acquire()
        with north.database.write() as session:  # checked by the fence
            write_setting(session, "something", "1")
        assert leases[1].is_held()
        others[0].acquire()
        assert others[0].is_held()
    finally:
        for lease in (*leases, *others):
            lease.release()


def test_the_standby_of_an_exchange_leads_while_the_other_exchange_goes_on(first: Branch, north: Branch) -> None:
    url = first.database.engine.url.render_as_string(hide_password=False)
    of_first, standby = Lease(first.database, on_deposed=pytest.fail), Lease(north.database, on_deposed=pytest.fail)
    of_first.acquire()
    first.database.fence = of_first.check
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=lead, args=(url, there, NORTH), daemon=True)
    process.start()
    try:
        assert here.poll(PATIENCE) and here.recv() == "leads"
        with pytest.raises(WorkerRunning):
            standby.acquire()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        killed_at, held = time.monotonic(), []
        standby.wait(lambda: held.append(of_first.is_held()))
        assert time.monotonic() - killed_at < TAKES_OVER
        assert standby.is_held() and of_first.is_held() and all(held)
        for branch, lease in ((first, of_first), (north, standby)):
            with branch.database.write() as session:
                lease.check(session)
    finally:
        process.kill()
        process.join(PATIENCE)
        here.close()
        standby.release()
        of_first.release()
