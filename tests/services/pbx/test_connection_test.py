"""Test a connection by a command to the worker."""

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

VALUES = {"host": "10.0.0.1", "port": 5038, "username": "bazang", "secret": "geheim"}
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
def worker(database: Database, *, ok: bool, result: str) -> Iterator[list[Command]]:
    """A worker that answers one command."""
    answered: list[Command] = []
    stop = threading.Event()

    def work() -> None:
        while not answered and not stop.is_set():
            answered.extend(commands.open_commands(database, datetime.now(UTC)))
            stop.wait(0.01)
        for command in answered:
            commands.answer(database, command.id, ok=ok, result=result, now=datetime.now(UTC))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("report", [FULL, ConnectionReport(ConnectionResult.HOST_UNKNOWN, "جایی نامعلوم")])
def test_report_is_packed_and_unpacked(report: ConnectionReport) -> None:
    assert connection_test.unpack(connection_test.pack(report)) == report


def test_long_texts_from_the_pbx_are_cut(database: Database) -> None:
    long = replace(FULL, detail='😀"' * 9000, version="😀\\" * 9000)
    assert len(connection_test.pack(long)) <= commands.LONGEST_RESULT
    with worker(database, ok=True, result=connection_test.pack(long)):
        report = connection_test.test(database, **VALUES, actor="sara", now=datetime.now(UTC))  # type: ignore[arg-type]
    assert report == replace(FULL, detail=long.detail[:500], version=long.version[:100])


def test_worker_gets_the_values_and_answers_with_a_report(database: Database) -> None:
    with worker(database, ok=True, result=connection_test.pack(FULL)) as answered:
        report = connection_test.test(database, **VALUES, actor="sara", now=datetime.now(UTC))  # type: ignore[arg-type]
    assert report == FULL
    assert [(command.kind, command.payload) for command in answered] == [(commands.TEST_CONNECTION, VALUES)]
    assert "secret" not in only_command(database).payload


def test_command_without_answer_loses_its_secret(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_test, "WAIT_SECONDS", 0.0)
    assert connection_test.test(database, **VALUES, actor="sara", now=NOW) is None  # type: ignore[arg-type]
    command = only_command(database)
    assert (command.done_at, command.ok, command.result) == (NOW, False, "withdrawn")
    assert command.payload == {name: value for name, value in VALUES.items() if name != "secret"}
    assert commands.open_commands(database, NOW) == []


def test_failed_command_has_no_report(database: Database) -> None:
    with worker(database, ok=False, result="unknown_command"):
        assert connection_test.test(database, **VALUES, actor="sara", now=datetime.now(UTC)) is None  # type: ignore[arg-type]


def test_expired_command_loses_its_secret(database: Database) -> None:
    commands.ask(database, commands.TEST_CONNECTION, dict(VALUES), actor="sara", now=NOW)
    assert commands.open_commands(database, NOW + commands.TIME_TO_LIVE) == []
    assert "secret" not in only_command(database).payload


def test_saved_settings_are_applied_by_a_command(database: Database) -> None:
    connection_test.apply(database, actor="sara", now=NOW)
    command = only_command(database)
    assert (command.kind, command.payload, command.actor) == (commands.APPLY_SETTINGS, {}, "sara")
