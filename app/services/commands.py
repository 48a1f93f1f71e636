"""What a page asks of the telephone service, as rows: asked here by the web, taken and answered by the worker."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.models import Command

CHANNEL = "bazang_commands"  # PostgreSQL's NOTIFY
TIME_TO_LIVE = timedelta(seconds=30)
LONGEST_RESULT = 4000
KEPT = timedelta(days=7)  # once it is answered

# "version", where it is given: of the request as whoever asks saw it
CALL_NOW = "call_now"  # {"request": id, "agent": extension or None, "version"}
CANCEL = "cancel"  # {"request": id, "version"}
MARK_DONE = "mark_done"  # {"request": id, "note", "version"}
WRITE_DIALPLAN = "write_dialplan"  # {}
APPLY_SETTINGS = "apply_settings"  # {}: the settings page was saved
TEST_CONNECTION = "test_connection"  # {"host", "port", "username", "secret"} -> see services/connection.py
LOOK_UP = "look_up"  # {"kind", "code"} -> see services/lookup.py
CODE_TAKEN = "code_taken"  # {"contexts": […], "code"} -> see services/lookup.py
MAKE_PHONE_CALL = "studio_call"  # {"call": id} -> see services/prompts/phone_calls.py
CANCEL_PHONE_CALL = "studio_cancel"  # {"call": id}

_SECRETS = {TEST_CONNECTION: ("secret",)}  # what is not kept longer than it takes to hand it over


def ask(database: Database, kind: str, payload: dict[str, Any], *, actor: str, now: datetime | None = None) -> int:
    """Store a command and return its id."""
    with database.write() as session:
        return ask_within(session, kind, payload, actor=actor, now=now or datetime.now(UTC))


def ask_within(session: Session, kind: str, payload: dict[str, Any], *, actor: str, now: datetime) -> int:
    """Store a command within a transaction that does more; return its id."""
    command = Command(kind=kind, payload=payload, actor=actor, created_at=now, expires_at=now + TIME_TO_LIVE)
    session.add(command)
    session.flush()
    wake(session)
    return command.id


def wake(session: Session) -> None:
    """Have the telephone service look as soon as this transaction is committed. On SQLite it sees that by itself."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"NOTIFY {CHANNEL}"))


def open_commands(database: Database, now: datetime) -> list[Command]:
    """Return the open commands, the oldest first. Those that have expired are answered as such, never done.

    A secret among them is handed over once and is in the database no more.
    """
    with database.write() as session:
        fresh = []
        for command in session.scalars(select(Command).where(Command.done_at.is_(None)).order_by(Command.id)):
            if command.expires_at <= now:
                command.done_at, command.ok, command.result = now, False, "expired"
            else:
                fresh.append(command)
            _wipe(session, command)
        return fresh


def _wipe(session: Session, command: Command) -> None:
    """Remove the secrets from the row, and leave them in what was loaded of it."""
    secrets = _SECRETS.get(command.kind, ())
    if any(name in command.payload for name in secrets):
        payload = {name: value for name, value in command.payload.items() if name not in secrets}
        row = update(Command).where(Command.id == command.id).values(payload=payload)
        session.execute(row, execution_options={"synchronize_session": False})


def answer(database: Database, command_id: int, *, ok: bool, result: str, now: datetime) -> None:
    """Write the answer into the row. `result` is a short code, which the page puts into words, or more by JSON."""
    with database.write() as session:
        command = session.get(Command, command_id)
        if command is not None and command.done_at is None:
            command.done_at, command.ok, command.result = now, ok, result[:LONGEST_RESULT]


def forget_old(database: Database, now: datetime) -> int:
    """Delete what was answered long ago; return how many.

    The newest order to write the dialplan stays, since it tells whether that is up to date; and so does the newest
    command, since SQLite would give its number again, and the telephone service does each number once.
    """
    newest = select(func.max(Command.id))
    kept = newest.union(newest.where(Command.kind == WRITE_DIALPLAN).having(func.count() > 0))
    old = delete(Command).where(Command.done_at <= now - KEPT, Command.id.not_in(kept)).returning(Command.id)
    with database.write() as session:
        return len(session.scalars(old, execution_options={"synchronize_session": False}).all())


def wait_for(
    database: Database, command_id: int, *, seconds: float = 2.0, pause: Callable[[float], None] = time.sleep
) -> Command | None:
    """Return the answered command, or None when no answer came within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        with database.read() as session:
            command = session.get(Command, command_id)
        if command is not None and command.done_at is not None:
            return command
        if time.monotonic() >= deadline:
            return None
        pause(0.03)


def withdraw(database: Database, command_id: int, now: datetime) -> None:
    """Take back what nobody answered: it is not done any more, and its secrets are forgotten."""
    with database.write() as session:
        command = session.get(Command, command_id)
        if command is not None and command.done_at is None:
            command.done_at, command.ok, command.result = now, False, "withdrawn"
            _wipe(session, command)


def ask_and_wait(
    database: Database, kind: str, payload: dict[str, Any], *, actor: str, now: datetime, seconds: float
) -> Command | None:
    """Ask, and return the answered command; None, and the command is taken back, when no answer came in time."""
    command_id = ask(database, kind, payload, actor=actor, now=now)
    answered = wait_for(database, command_id, seconds=seconds)
    if answered is None:
        withdraw(database, command_id, now)
    return answered
