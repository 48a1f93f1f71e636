"""Show what the written dialplan has for an extension or a queue, and whether it is current."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import select

from app.services import commands
from app.store.database import Database
from app.store.models import Command
from app.store.pbx_state import worker_state

_CONTEXT_LINE = re.compile(r"\[([^\]]+)\]")
_ENTRY_LINE = re.compile(r"exten => [^,]+,1,Goto\(([^,]+),s,1\)")
_FIRST_LINE = re.compile(r"exten\s*=>\s*([^,]+),")


class ExcerptState(StrEnum):
    MISSING = "missing"  # the file cannot be read
    ABSENT = "absent"  # the file has nothing for the code
    OLDER = "older"  # the worker has not written the latest changes yet
    UNLOADED = "unloaded"  # the PBX runs another dialplan, or none of ours
    CURRENT = "current"


@dataclass(frozen=True)
class DialplanExcerpt:
    """`written` is when the file was written; None if it cannot be read."""

    state: ExcerptState
    lines: tuple[str, ...] = ()
    written: datetime | None = None


def read_excerpt(database: Database, path: Path, context: str, code: str) -> DialplanExcerpt:
    """Return the lines of a code in a context of the dialplan file, then all lines of the context they lead to."""
    try:
        text = path.read_text(encoding="utf-8")
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError):
        return DialplanExcerpt(ExcerptState.MISSING)
    present = text.partition("\n; Removed at ")[0]  # what follows is for the calls inside only
    contexts = _split_contexts(present.splitlines())
    lines = _lines_of(contexts.get(context, ()), code)
    if lines:
        lines = (f"[{context}]", *lines)
    leads_to = [found[1] for line in lines if (found := _ENTRY_LINE.fullmatch(line)) and found[1] in contexts]
    for name in leads_to:
        lines += ("", f"[{name}]", *(line for line in contexts[name] if line.strip()))
    return DialplanExcerpt(_state(database, text, written, bool(lines)), lines, written)


def _split_contexts(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines of each context, without comments."""
    contexts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        head = _CONTEXT_LINE.match(line)
        if head:
            current = contexts.setdefault(head[1], [])
        elif not line.startswith(";"):
            current.append(line)
    return contexts


def _lines_of(context: Sequence[str], code: str) -> tuple[str, ...]:
    """Return the lines `exten => code,…` with their `same =>` lines."""
    found: list[str] = []
    belongs = False
    for line in context:
        first = _FIRST_LINE.match(line)
        if first:
            belongs = first[1].strip() == code
        if belongs and line.strip():
            found.append(line)
    return tuple(found)


def _state(database: Database, text: str, written: datetime, has_lines: bool) -> ExcerptState:
    with database.read() as session:
        asked = session.scalar(
            select(Command).where(Command.kind == commands.WRITE_DIALPLAN).order_by(Command.id.desc()).limit(1)
        )
        running = worker_state(session).dialplan_running
    if asked is not None and not asked.ok and asked.created_at > written:
        return ExcerptState.OLDER
    if not has_lines:
        return ExcerptState.ABSENT
    return ExcerptState.CURRENT if running and f"; Revision {running}\n" in text else ExcerptState.UNLOADED
