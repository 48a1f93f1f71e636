"""What a page asks of the telephone service, as rows: asked here by the web, taken and answered by the worker."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.models import Command

CHANNEL = "bazang_commands"  # PostgreSQL's NOTIFY
TIME_TO_LIVE = timedelta(seconds=30)

# "version", where it is given: of the request as whoever asks saw it
CALL_NOW = "call_now"  # {"request": id, "agent": extension or None, "version"}
CANCEL = "cancel"  # {"request": id, "version"}
MARK_DONE = "mark_done"  # {"request": id, "note", "version"}
WRITE_DIALPLAN = "write_dialplan"  # {}


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


def take(database: Database, now: datetime) -> list[Command]:
    """Return the open commands, the oldest first. Those that have expired are answered as such, never done."""
    with database.write() as session:
        fresh = []
        for command in session.scalars(select(Command).where(Command.done_at.is_(None)).order_by(Command.id)):
            if command.expires_at <= now:
                command.done_at, command.ok, command.result = now, False, "expired"
            else:
                fresh.append(command)
        return fresh


def answer(database: Database, command_id: int, *, ok: bool, result: str, now: datetime) -> None:
    """Write the answer into the row. `result` is a short code, which the page puts into words."""
    with database.write() as session:
        command = session.get(Command, command_id)
        if command is not None and command.done_at is None:
            command.done_at, command.ok, command.result = now, ok, result[:200]


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
