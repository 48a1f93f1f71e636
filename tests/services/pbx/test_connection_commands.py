"""Asking the worker to test a connection: the command, its answer, and that no secret stays in the database."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.pbx_connection import CallersState, ConnectionReport, ConnectionResult, DialplanState
from app.domain.pbx_product import Product
from app.services import commands
from app.services.pbx import connection_commands
from app.services.pbx.product import questions
from app.store import encryption
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
    product=Product.FREEPBX_17,
    contexts=("ext-queues",),
    outbound=(),
    callers=CallersState.UNREACHED,
)


def only_command(database: Database) -> Command:
    with database.read() as session:
        return session.scalars(select(Command)).one()


def run_test(database: Database, settings: Settings, now: datetime | None = None) -> ConnectionReport | None:
    values: dict[str, Any] = VALUES | {"actor": "sara", "now": now or datetime.now(UTC)}
    return connection_commands.test(database, settings, **values)


@contextmanager
def worker(database: Database, *, ok: bool, result: str) -> Iterator[list[Command]]:
    """Answer one command as the worker does. Yield the commands that were answered."""
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


def test_report_is_unpacked_as_it_was_packed() -> None:
    for report in (FULL, ConnectionReport(ConnectionResult.HOST_UNKNOWN, "یک جای نامعلوم")):
        assert connection_commands.unpack(connection_commands.pack(report)) == report


def test_long_text_from_the_pbx_is_cut(database: Database, settings: Settings) -> None:
    wordy = replace(FULL, detail='😀"' * 9000, version="😀\\" * 9000)
    assert len(connection_commands.pack(wordy)) <= commands.MAX_RESULT_LENGTH
    with worker(database, ok=True, result=connection_commands.pack(wordy)):
        report = run_test(database, settings)
    assert report == replace(FULL, detail=wordy.detail[:500], version=wordy.version[:100])


def test_the_worker_gets_the_values_and_the_page_the_report(database: Database, settings: Settings) -> None:
    with worker(database, ok=True, result=connection_commands.pack(FULL)) as taken:
        assert run_test(database, settings) == FULL
    (command,) = taken
    assert "geheim" not in str(command.payload), "the database is copied with open commands, too"
    given = command.payload | {"secret": encryption.decrypt(settings, command.payload["secret"])}
    asked = given.pop("asked")
    assert (command.kind, given) == (commands.TEST_CONNECTION, VALUES)
    assert connection_commands.unpack_asked({"asked": asked}) == questions(database, settings)
    assert "secret" not in only_command(database).payload


def test_an_unanswered_command_is_withdrawn_and_loses_its_secret(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_commands, "WAIT", 0.0)
    assert run_test(database, settings, NOW) is None
    command = only_command(database)
    assert (command.done_at, command.ok, command.result) == (NOW, False, "withdrawn")
    assert command.payload.keys() == {*VALUES, "asked"} - {"secret"}
    assert commands.open_commands(database, NOW) == []


def test_a_failed_command_gives_no_report(database: Database, settings: Settings) -> None:
    with worker(database, ok=False, result="unknown_command"):
        assert run_test(database, settings) is None


def test_an_expired_command_loses_its_secret(database: Database) -> None:
    commands.send(database, commands.TEST_CONNECTION, dict(VALUES), actor="sara", now=NOW)
    assert commands.open_commands(database, NOW + commands.TIME_TO_LIVE) == []
    assert "secret" not in only_command(database).payload


def test_apply_sends_a_command(database: Database) -> None:
    connection_commands.apply(database, actor="sara", now=NOW)
    command = only_command(database)
    assert (command.kind, command.payload, command.actor) == (commands.APPLY_SETTINGS, {}, "sara")
