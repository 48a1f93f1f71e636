"""Commands: rows by which the panel asks the telephone service to do something, and which that service answers."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, delete, func, select, text, update
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.exchanges import exchange_of
from app.store.models import Command

CHANNEL = "bazang_commands"  # PostgreSQL's NOTIFY; of further exchanges with their code, see channel_of
TIME_TO_LIVE = timedelta(seconds=30)
MAX_RESULT_LENGTH = 4000
KEEP_ANSWERED = timedelta(days=7)
_LOOK_EVERY = 0.03  # seconds between two looks for an answer

# Kinds and their payloads. "version" is the version of the request that the user saw; None skips the check.
CALL_NOW = "call_now"  # {"request": id, "agent": extension or None, "version"}
CANCEL = "cancel"  # {"request": id, "version"}
MARK_DONE = "mark_done"  # {"request": id, "note", "version"}
WRITE_DIALPLAN = "write_dialplan"  # {}
APPLY_SETTINGS = "apply_settings"  # {}
# {"host", "port", "username", "secret", "asked"}, see services/pbx/connection_commands.py
TEST_CONNECTION = "test_connection"
LOOK_UP = "look_up"  # {"kind", "code"}, see services/pbx/lookup.py
CODE_TAKEN = "code_taken"  # {"contexts": […], "code"}, see services/pbx/lookup.py
TEST_MAIL = "test_mail"  # {"address", "language"}, see services/webhooks/mail_test.py
OUTBOUND = "outbound"  # {"context", "number", "agents": […]}, see services/pbx/outbound.py
MAKE_PHONE_CALL = "studio_call"  # {"call": id}, see services/prompts/phone_calls.py
CANCEL_PHONE_CALL = "studio_cancel"  # {"call": id}

_SECRETS = {TEST_CONNECTION: ("secret",)}  # parts of a payload that must not stay in the database


class CommandResult(StrEnum):
    """Results of any kind of command. Requests add those of `ResultCode`; queries about the PBX answer with JSON."""

    DONE = "done"
    WRITTEN = "written"
    APPLIED = "applied"
    TAKEN = "taken"  # work on it has begun
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    NOT_FOUND = "not_found"
    NOT_CONNECTED = "not_connected"
    UNKNOWN_COMMAND = "unknown_command"


def send(database: Database, kind: str, payload: dict[str, Any], *, actor: str, now: datetime) -> int:
    """Store a command in a transaction of its own and return its id."""
    with database.write() as session:
        return send_in(session, kind, payload, actor=actor, now=now)


def send_in(session: Session, kind: str, payload: dict[str, Any], *, actor: str, now: datetime) -> int:
    """Store a command in the current transaction and return its id."""
    command = Command(kind=kind, payload=payload, actor=actor, created_at=now, expires_at=now + TIME_TO_LIVE)
    session.add(command)
    session.flush()
    notify_worker(session)
    return command.id


def notify_worker(session: Session) -> None:
    """Make the worker look at the database when this transaction is committed.

    Only PostgreSQL needs it: on SQLite the worker watches the file.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"NOTIFY {channel_of(session)}"))


def channel_of(bound: Session | Engine) -> str:
    """Return the channel on which the worker of an exchange listens."""
    return f"{CHANNEL}{exchange_of(bound).suffix}"


def open_commands(database: Database, now: datetime) -> list[Command]:
    """Return the unanswered commands, oldest first. Expired commands are answered `expired` and left out.

    The returned commands still have their secrets; the rows lose them. Nothing is written if nothing has to change:
    the worker looks at each change of the database.
    """
    query = select(Command).where(Command.done_at.is_(None)).order_by(Command.id)
    with database.read() as session:
        commands = list(session.scalars(query))
    if not any(command.expires_at <= now or _has_secrets(command) for command in commands):
        return commands
    with database.write() as session:
        fresh = []
        for command in session.scalars(query):
            if command.expires_at <= now:
                _set_answer(command, ok=False, result=CommandResult.EXPIRED, now=now)
            else:
                fresh.append(command)
            _remove_secrets(session, command)
        return fresh


def answer(database: Database, command_id: int, *, ok: bool, result: str, now: datetime) -> None:
    """Write the answer into the row, unless it has one. `result` is a code of `CommandResult` or JSON."""
    with database.write() as session:
        command = session.get(Command, command_id)
        if command is not None and command.done_at is None:
            _set_answer(command, ok=ok, result=result, now=now)


def withdraw(database: Database, command_id: int, now: datetime) -> None:
    """Answer a command `withdrawn`, unless it has an answer, so that the worker does not execute it."""
    with database.write() as session:
        command = session.get(Command, command_id)
        if command is not None and command.done_at is None:
            _set_answer(command, ok=False, result=CommandResult.WITHDRAWN, now=now)
            _remove_secrets(session, command)


def _set_answer(command: Command, *, ok: bool, result: str, now: datetime) -> None:
    command.done_at, command.ok, command.result = now, ok, str(result)[:MAX_RESULT_LENGTH]


def _has_secrets(command: Command) -> bool:
    return any(name in command.payload for name in _SECRETS.get(command.kind, ()))


def _remove_secrets(session: Session, command: Command) -> None:
    """Remove the secrets from the row, but not from the loaded object."""
    if _has_secrets(command):
        secrets = _SECRETS[command.kind]
        payload = {name: value for name, value in command.payload.items() if name not in secrets}
        row = update(Command).where(Command.id == command.id).values(payload=payload)
        session.execute(row, execution_options={"synchronize_session": False})


def delete_old(database: Database, now: datetime) -> int:
    """Delete the commands that were answered more than KEEP_ANSWERED ago; return how many.

    The newest WRITE_DIALPLAN stays: the panel reads from it whether the dialplan is up to date. The newest command of
    all stays too: otherwise SQLite would reuse its id, and the worker executes each id once.
    """
    newest = select(func.max(Command.id))
    kept = newest.union(newest.where(Command.kind == WRITE_DIALPLAN).having(func.count() > 0))
    old = delete(Command).where(Command.done_at <= now - KEEP_ANSWERED, Command.id.not_in(kept)).returning(Command.id)
    with database.write() as session:
        return len(session.scalars(old, execution_options={"synchronize_session": False}).all())


def wait_for_answer(
    database: Database, command_id: int, *, seconds: float = 2.0, pause: Callable[[float], None] = time.sleep
) -> Command | None:
    """Return the answered command, or None if no answer comes within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        with database.read() as session:
            command = session.get(Command, command_id)
        if command is not None and command.done_at is not None:
            return command
        if time.monotonic() >= deadline:
            return None
        pause(_LOOK_EVERY)


def send_and_wait(
    database: Database, kind: str, payload: dict[str, Any], *, actor: str, now: datetime, seconds: float
) -> Command | None:
    """Send a command and return it answered. If no answer comes within `seconds`, withdraw it and return None."""
    command_id = send(database, kind, payload, actor=actor, now=now)
    answered = wait_for_answer(database, command_id, seconds=seconds)
    if answered is None:
        withdraw(database, command_id, now)
    return answered
