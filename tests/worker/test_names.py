"""Names of callers from another program, over a real connection."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.push.names import NameSource
from app.services.contacts import lookup, templates
from app.services.contacts.templates import ContactTemplates
from app.services.errors import ErrorCode, Invalid
from app.store.contacts import names_of
from app.store.database import Database
from app.store.models import AuditEntry, LookedUpName, Setting
from app.worker.clock import Clock
from app.worker.names import NameLookup
from tests.support.factories import NUMBER, create_contact, create_missed_call, create_request, store
from tests.support.receiver import HOST, Receiver, run_receiver

URL = f"https://{HOST}/name?number={{number}}"
START = datetime.now(UTC)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with run_receiver(tmp_path / "receiver", longest=0.5) as running:
        running.reply = "سارا احمدی".encode()
        yield running


class Office:
    def __init__(self, settings: Settings, database: Database, receiver: Receiver) -> None:
        self.settings, self.database, self.receiver, self.now = settings, database, receiver, START
        clock = Clock(lambda: self.now, lambda: self.now - START)
        self.work = NameLookup(settings, database, receiver.names, clock)

    def save(self, key: str | None = None, **given: Any) -> None:
        values = ContactTemplates(**{"name_lookup_url": URL} | given)
        templates.save(self.database, self.settings, values, key, actor="sara", now=self.now)

    def look(self) -> int:
        """Look once. Return how often the program was asked in all."""
        asyncio.run(self.work.run())
        return len(self.receiver.got)

    def name(self) -> str:
        with self.database.read() as session:
            return names_of(session, [NUMBER]).get(NUMBER, "")


@pytest.fixture
def here(office: Settings, database: Database, receiver: Receiver) -> Iterator[Office]:
    office_here = Office(office, database, receiver)
    yield office_here
    office_here.work.close()


def test_nothing_is_asked_without_an_address(here: Office) -> None:
    create_request(here.database, number=NUMBER)
    assert here.look() == 0


def test_name_is_asked_once_until_it_is_old(here: Office) -> None:
    create_request(here.database, number=NUMBER)
    create_missed_call(here.database, number=NUMBER, at=START)
    here.save(key="Bearer secret", name_lookup_days=3)
    assert here.look() == 1 and here.look() == 1
    assert here.name() == "سارا احمدی"
    got = here.receiver.got[0]
    assert got.path == "/name?number=09121234567"
    assert got.headers["Authorization"] == "Bearer secret"
    here.now += timedelta(days=3)
    here.receiver.reply = b"Sara"
    assert here.look() == 2
    assert here.name() == "Sara"
    here.now -= timedelta(days=30)  # a moment in the future is of a clock that was wrong
    assert here.look() == 3


def test_contacts_extensions_and_old_missed_calls_are_not_asked(here: Office) -> None:
    create_contact(here.database, "Sara", NUMBER)
    create_request(here.database, number=NUMBER)
    create_request(here.database, number="101")
    create_missed_call(here.database, number="", at=START)
    create_missed_call(here.database, number="+982144444444", at=START - timedelta(days=2), call_uniqueid="2")
    here.save()
    assert here.look() == 0


@pytest.mark.parametrize(
    ("status", "reply", "failure"),
    [
        (500, b"", "http_500"),
        (302, b"", "http_302"),
        (200, b"<html>", "answer"),
        (200, b'{"name": "' + b"x" * 20_000 + b'"}', "too_large"),
    ],
)
def test_failure_is_shown_and_asked_again_later(here: Office, status: int, reply: bytes, failure: str) -> None:
    create_request(here.database, number=NUMBER)
    here.save(name_lookup_field="name")
    here.receiver.status, here.receiver.reply = status, reply
    assert here.look() == 1 and here.look() == 1
    state = templates.lookup_state(here.database)
    assert (state.failure, state.failed, state.number, here.name()) == (failure, 1, "***567", "")
    here.receiver.status, here.receiver.reply = 200, b'{"name": "Sara"}'
    here.now += timedelta(minutes=10)
    assert here.look() == 2
    assert here.name() == "Sara"
    assert templates.lookup_state(here.database).failure == ""


def test_failure_keeps_the_name_that_was_known(here: Office) -> None:
    create_request(here.database, number=NUMBER)
    here.save()
    here.look()
    here.now += timedelta(days=30)
    here.receiver.status = 503
    assert here.look() == 2
    assert here.name() == "سارا احمدی"


@pytest.mark.parametrize("status", [204, 404])
def test_program_knows_nobody(here: Office, status: int) -> None:
    create_request(here.database, number=NUMBER)
    here.save()
    here.receiver.status = status
    assert here.look() == 1 and here.look() == 1
    state = templates.lookup_state(here.database)
    assert (state.unknown, state.failure) == (1, "")


def test_slow_answer_ends(here: Office) -> None:
    create_request(here.database, number=NUMBER)
    here.save()
    here.receiver.drips = "before"
    here.look()
    assert templates.lookup_state(here.database).failure == "timeout"


def test_inside_addresses_need_a_permission(here: Office) -> None:
    create_request(here.database, number=NUMBER)
    with pytest.raises(Invalid) as refused:
        here.save(name_lookup_url="http://127.0.0.1/{number}")
    assert refused.value.errors == {"name_lookup_url": ErrorCode.INSIDE}
    here.save(name_lookup_url="http://office.localhost.test/{number}")

    def look_up(_host: str, _port: int, inside: bool) -> list[tuple[str, int]]:
        from app.push.webhook import find

        return list(find("127.0.0.1", 9, inside))

    here.work.source = NameSource(look_up)
    here.look()
    assert templates.lookup_state(here.database).failure == "not_allowed"


def test_key_is_secret_and_stays_with_its_host(here: Office) -> None:
    here.save(key="Bearer secret")
    here.save()  # as before
    with pytest.raises(Invalid) as refused:
        here.save(name_lookup_url="https://other.example.org/{number}")
    assert refused.value.errors == {"name_lookup_key": ErrorCode.KEY_AGAIN}
    with pytest.raises(Invalid) as refused:
        here.save(key="a\r\nX: y")
    assert refused.value.errors == {"name_lookup_key": ErrorCode.SECRET}
    with here.database.read() as session:
        row = session.get(Setting, "name_lookup_key")
        assert row is not None and "secret" not in row.value
        assert all("Bearer" not in str(entry.detail) for entry in session.scalars(select(AuditEntry)))
    here.save(key="", name_lookup_url="https://other.example.org/{number}")
    assert not templates.has_key(here.database)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"screen_pop_url": "javascript:alert(1)"}, ErrorCode.URL),
        ({"screen_pop_url": "https://{name}.example/"}, ErrorCode.HOST_FIXED),
        ({"screen_pop_url": "https://a.example/{agent}"}, ErrorCode.PLACEHOLDER),
        ({"name_lookup_url": "https://a.example/{name}"}, ErrorCode.PLACEHOLDER),
        ({"name_lookup_url": "https://a.example/"}, ErrorCode.NO_NUMBER),
        ({"name_lookup_field": "x" * 101}, ErrorCode.TOO_LONG),
        ({"name_lookup_days": 0}, ErrorCode.RANGE),
        ({"name_lookup_days": 366}, ErrorCode.RANGE),
    ],
)
def test_settings_are_checked(given: dict[str, Any], error: ErrorCode) -> None:
    assert templates.validate(ContactTemplates(**given)) == {next(iter(given)): error}


def test_old_answers_are_deleted(here: Office) -> None:
    for number, days in ((NUMBER, 6), ("+982144444444", 8)):
        store(here.database, LookedUpName(number=number, name="x", asked_at=START - timedelta(days=days)))
    with here.database.write() as session:
        lookup.delete_old(session, START)
    with here.database.read() as session:
        assert list(session.scalars(select(LookedUpName.number))) == [NUMBER]
