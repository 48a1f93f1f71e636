"""Pause and resume all automatic calls. Requests are still registered, and users can still call by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.services import audit, commands
from app.services.errors import Invalid, check_line
from app.services.requests.access import Scope
from app.store import settings as store
from app.store.database import Database

MAX_REASON_LENGTH = 200
_PAUSED, _BY, _AT, _REASON = "all_paused", "paused_by", "paused_at", "paused_reason"


@dataclass(frozen=True)
class Pause:
    """Who paused all automatic calls, when and why. `at` is None if an older version did not store it."""

    by: str
    at: datetime | None
    reason: str = ""


def is_paused(stored: Mapping[str, str]) -> bool:
    """Tell whether automatic calls are paused according to `store.read_all`."""
    return stored.get(_PAUSED) == "1"


def parse_pause(stored: Mapping[str, str]) -> Pause | None:
    """Return the pause according to `store.read_all`, None if there is none."""
    if not is_paused(stored):
        return None
    at = stored.get(_AT, "")
    return Pause(stored.get(_BY, ""), datetime.fromisoformat(at) if at else None, stored.get(_REASON, ""))


def load_pause(session: Session) -> Pause | None:
    """Return the pause, None if there is none."""
    return parse_pause(store.read_all(session))


def pause(database: Database, scope: Scope, reason: str, now: datetime) -> Pause:
    """Pause all automatic calls; return this pause, or the one that was there before. Raises Forbidden and Invalid."""
    scope.require_everything()
    reason = reason.strip()
    errors = check_line("reason", reason, MAX_REASON_LENGTH)
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        _lock_settings(session)
        existing = load_pause(session)
        if existing is not None:
            return existing
        new = Pause(scope.name, now, reason)
        save_pause(session, new, scope.name, now)
        return new


def resume(database: Database, scope: Scope, now: datetime) -> Pause | None:
    """Resume automatic calls; return the pause that ended, None if there was none. Raises Forbidden."""
    scope.require_everything()
    with database.write() as session:
        _lock_settings(session)
        existing = load_pause(session)
        if existing is not None:
            save_pause(session, None, scope.name, now)
    return existing


def change_start(session: Session, at: datetime) -> None:
    """Store another time as the beginning of the pause, because the clock has jumped."""
    store.write_setting(session, _AT, at.isoformat())


def _lock_settings(session: Session) -> None:
    """Keep others from pausing or resuming in this moment. SQLite has one writer at a time anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE"))


def save_pause(session: Session, pause: Pause | None, actor: str, now: datetime) -> None:
    """Store a pause, or remove it (None), and record this in the audit log."""
    for name, value in stored_values(pause).items():
        store.write_setting(session, name, value)
    record_pause(session, pause, actor, now)
    commands.notify_worker(session)


def stored_values(pause: Pause | None) -> dict[str, str]:
    """Return the settings that say so: name -> value."""
    at = pause.at.isoformat() if pause is not None and pause.at is not None else ""
    return {
        _PAUSED: "1" if pause else "",
        _BY: pause.by if pause else "",
        _AT: at,
        _REASON: pause.reason if pause else "",
    }


def record_pause(session: Session, pause: Pause | None, actor: str, now: datetime) -> None:
    """Record in the audit log that calls were paused, or resumed (None)."""
    reason = {"reason": ["", pause.reason]} if pause is not None and pause.reason else {}
    audit.record(session, actor, "calls_paused" if pause else "calls_resumed", "", reason, now)
