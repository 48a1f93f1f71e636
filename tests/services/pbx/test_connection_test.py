"""Trying a connection out: what is asked, what comes back, and that no secret stays behind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.services import commands
from app.services.pbx import connection_test
from app.store.database import Database
from app.store.models import Command
from tests.support.factories import NOW

WAY = {"host": "10.0.0.1", "port": 5038, "username": "bazang", "secret": "geheim"}
FULL = ConnectionReport(
    ConnectionResult.RIGHTS_MISSING,
    "not allowed: Originate",
    "22.10.1",
    ("call",),
    ("originate", "reporting"),
    ("user", "agent"),
    extensions=12,
    queues=0,
    dialplan=DialplanState.OUTDATED,
    may_reload=True,
)


def only_command(database: Database) -> Command:
    with database.read() as session:
        return session.scalars(select(Command)).one()


@contextmanager
def service(database: Database, *, ok: bool, result: str) -> Iterator[list[Command]]:
    """A telephone service that takes one command and answers it."""
    taken: list[Command] = []
    stop = threading.Event()

    def work() -> None:
        while not taken and not stop.is_set():
            taken.extend(commands.open_commands(database, datetime.now(UTC)))
            stop.wait(0.01)
        for command in taken:
            commands.answer(database, command.id, ok=ok, result=result, now=datetime.now(UTC))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("report", [FULL, ConnectionReport(ConnectionResult.HOST_UNKNOWN, "یک جای نامعلوم")])
def test_report_comes_back_as_it_was_made(report: ConnectionReport) -> None:
    assert connection_test.unpack(connection_test.pack(report)) == report


def test_an_exchange_that_says_much_makes_a_result_that_is_whole(database: Database) -> None:
    wordy = replace(FULL, detail='😀"' * 9000, version="😀\\" * 9000)
    assert len(connection_test.pack(wordy)) <= commands.MAX_RESULT_LENGTH
    with service(database, ok=True, result=connection_test.pack(wordy)):
        report = connection_test.test(database, **WAY, actor="sara", now=datetime.now(UTC))  # type: ignore[arg-type]
    assert report == replace(FULL, detail=wordy.detail[:500], version=wordy.version[:100])


def test_values_reach_the_service_and_its_report_the_page(database: Database) -> None:
    with service(database, ok=True, result=connection_test.pack(FULL)) as taken:
        report = connection_test.test(database, **WAY, actor="sara", now=datetime.now(UTC))  # type: ignore[arg-type]
    assert report == FULL
    assert [(command.kind, command.payload) for command in taken] == [(commands.TEST_CONNECTION, WAY)]
    assert "secret" not in only_command(database).payload


def test_service_that_does_not_answer_leaves_no_secret(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_test, "WAIT", 0.0)
    assert connection_test.test(database, **WAY, actor="sara", now=NOW) is None  # type: ignore[arg-type]
    command = only_command(database)
    assert (command.done_at, command.ok, command.result) == (NOW, False, "withdrawn")
    assert command.payload == {name: value for name, value in WAY.items() if name != "secret"}
    assert commands.open_commands(database, NOW) == []


def test_service_that_cannot_answer_is_no_report(database: Database) -> None:
    with service(database, ok=False, result="unknown_command"):
        assert connection_test.test(database, **WAY, actor="sara", now=datetime.now(UTC)) is None  # type: ignore[arg-type]


def test_expired_command_keeps_no_secret(database: Database) -> None:
    commands.send(database, commands.TEST_CONNECTION, dict(WAY), actor="sara", now=NOW)
    assert commands.open_commands(database, NOW + commands.TIME_TO_LIVE) == []
    assert "secret" not in only_command(database).payload


def test_what_was_saved_is_taken_up_by_a_command(database: Database) -> None:
    connection_test.apply(database, actor="sara", now=NOW)
    command = only_command(database)
    assert (command.kind, command.payload, command.actor) == (commands.APPLY_SETTINGS, {}, "sara")
