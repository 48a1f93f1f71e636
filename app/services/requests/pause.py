"""Pausing all automatic calls, for whoever must have quiet phones. Requests are still taken, and called by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.text import is_displayable
from app.services import audit, commands
from app.services.errors import Invalid
from app.services.requests.access import Scope
from app.store import settings as store
from app.store.database import Database

LONGEST_REASON = 200
_PAUSED, _BY, _AT, _REASON = "all_paused", "paused_by", "paused_at", "paused_reason"


@dataclass(frozen=True)
class Pause:
    """Who paused all automatic calls, when and why. `at` is None where that was not kept."""

    by: str
    at: datetime | None
    reason: str = ""


def is_paused(stored: Mapping[str, str]) -> bool:
    """Tell by what `store.read_all` gave whether all automatic calls are paused."""
    return stored.get(_PAUSED) == "1"


def current(session: Session) -> Pause | None:
    """Return the pause in force, None where there is none."""
    return in_force(store.read_all(session))


def in_force(stored: Mapping[str, str]) -> Pause | None:
    """Return the pause by what `store.read_all` gave, None where there is none."""
    if not is_paused(stored):
        return None
    at = stored.get(_AT, "")
    return Pause(stored.get(_BY, ""), datetime.fromisoformat(at) if at else None, stored.get(_REASON, ""))


def pause(database: Database, scope: Scope, reason: str, now: datetime) -> Pause:
    """Pause all automatic calls and return the pause: where somebody was quicker, theirs. Raises Forbidden, Invalid."""
    scope.require_everything()
    reason = reason.strip()
    if len(reason) > LONGEST_REASON:
        raise Invalid({"reason": "too_long"})
    if not is_displayable(reason):
        raise Invalid({"reason": "characters"})
    with database.write() as session:
        _alone(session)
        there = current(session)
        if there is None:
            there = Pause(scope.name, now, reason)
            write(session, there, scope.name, now)
    return there


def resume(database: Database, scope: Scope, now: datetime) -> Pause | None:
    """Let automatic calls go on; return the pause that was ended, None where there was none. Raises Forbidden."""
    scope.require_everything()
    with database.write() as session:
        _alone(session)
        there = current(session)
        if there is not None:
            write(session, None, scope.name, now)
    return there


def _alone(session: Session) -> None:
    """Let nobody else pause or resume meanwhile. On SQLite whoever writes is alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE"))


def write(session: Session, pause: Pause | None, actor: str, now: datetime) -> None:
    """Put a pause into the settings, or take it out (None), and log it."""
    at = pause.at.isoformat() if pause is not None and pause.at is not None else ""
    values = {_PAUSED: "1" if pause else "", _BY: pause.by if pause else "", _AT: at}
    for name, value in (values | {_REASON: pause.reason if pause else ""}).items():
        store.write_setting(session, name, value)
    reason = {"reason": ["", pause.reason]} if pause is not None and pause.reason else {}
    audit.record(session, actor, "calls_paused" if pause else "calls_resumed", "", reason, now)
    commands.notify_worker(session)
