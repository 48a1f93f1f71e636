"""What stands for an extension or a queue in the dialplan that was written, for whoever wants to see it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from app.services import commands
from app.store.database import Database
from app.store.models import Command
from app.store.pbx_state import worker_state

_HEAD = re.compile(r"\[([^\]]+)\]")
_START = re.compile(r"exten\s*=>\s*([^,]+),")


@dataclass(frozen=True)
class DialplanExcerpt:
    """`state`: "missing" (no file that can be read), "absent" (it does not stand there), "older" (what was saved last
    is not in the file yet), "unloaded" (the exchange runs another one), or "current". `written` is the file's moment.
    """

    state: str
    lines: tuple[str, ...] = ()
    written: datetime | None = None


def excerpt(database: Database, path: Path, context: str, code: str, own: str = "") -> DialplanExcerpt:
    """Return the lines at `code` in a context of ours, and those of the context `own`, from the dialplan's file."""
    try:
        text = path.read_text(encoding="utf-8")
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError):
        return DialplanExcerpt("missing")
    sections = _sections(text.splitlines())
    lines = _at(sections.get(context, ()), code)
    if lines:
        lines = (f"[{context}]", *lines)
    if own and own in sections:
        lines += ("", f"[{own}]", *(line for line in sections[own] if line.strip()))
    return DialplanExcerpt(_state(database, text, written, bool(lines)), lines, written)


def _sections(lines: Sequence[str]) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        head = _HEAD.match(line)
        if head:
            current = sections.setdefault(head[1], [])
        elif not line.startswith(";"):
            current.append(line)
    return sections


def _at(section: Sequence[str], code: str) -> tuple[str, ...]:
    """Return what begins by `exten => code,` with the lines that go on from it."""
    found: list[str] = []
    taken = False
    for line in section:
        start = _START.match(line)
        if start:
            taken = start[1].strip() == code
        if taken and line.strip():
            found.append(line)
    return tuple(found)


def _state(database: Database, text: str, written: datetime, there: bool) -> str:
    with database.read() as session:
        asked = session.scalar(
            select(Command).where(Command.kind == commands.WRITE_DIALPLAN).order_by(Command.id.desc()).limit(1)
        )
        running = worker_state(session).dialplan_running
    if asked is not None and not asked.ok and asked.created_at > written:
        return "older"
    if not there:
        return "absent"
    return "current" if running and f"; Revision {running}\n" in text else "unloaded"
