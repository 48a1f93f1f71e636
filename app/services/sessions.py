"""The sessions of users. A browser has a random token; the database stores its digest, so that no copy of it helps."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, or_, select, update

from app.config import Settings
from app.domain.sessions import SessionLimits, has_ended
from app.domain.text import displayable
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import NotFound
from app.services.exchanges import ARE_SEVERAL
from app.store.database import Database
from app.store.models import User, UserSession

LONGEST_ADDRESS = 45
LONGEST_BROWSER = 200


@dataclass(frozen=True)
class Client:
    """Where a request comes from: the address, and what the browser calls itself."""

    address: str = ""
    browser: str = ""


def limits_of(settings: Settings) -> SessionLimits:
    """Return the limits that the environment sets."""
    return SessionLimits(timedelta(hours=settings.session_idle_hours), timedelta(days=settings.session_days))


def start(
    database: Database,
    user: User,
    client: Client,
    now: datetime,
    limits: SessionLimits,
    *,
    source: str = "",
    id_token: str = "",
) -> str:
    """Start a session of a user and return its token. Delete all sessions that have ended.

    `source`: where the user has logged in, if not here. `id_token`: of that provider, encrypted.
    """
    token = secrets.token_urlsafe(32)
    with database.write() as session:
        session.execute(
            delete(UserSession).where(
                or_(UserSession.started_at <= now - limits.longest, UserSession.used_at <= now - limits.idle)
            )
        )
        session.add(
            UserSession(
                user_id=user.id,
                digest=digest(token),
                generation=user.generation,
                started_at=now,
                used_at=now,
                address=displayable(client.address, LONGEST_ADDRESS),
                browser=displayable(client.browser, LONGEST_BROWSER),
                source=source,
                id_token=id_token,
            )
        )
    return token


def find(database: Database, session_digest: str) -> tuple[UserSession, User, bool] | None:
    """Return a session, its user, and whether there are several exchanges, by the digest of the session's token.

    None: there is none, or the user may not log in.
    """
    query = (
        select(UserSession, User, ARE_SEVERAL)
        .join(User, User.id == UserSession.user_id)
        .where(UserSession.digest == session_digest, User.generation == UserSession.generation, User.active)
    )
    with database.read() as session:
        row = session.execute(query).one_or_none()
    return (row[0], row[1], bool(row[2])) if row is not None else None


def digest(token: str) -> str:
    """Return what the database stores of a token."""
    return sha256(token.encode("utf-8", "replace")).hexdigest()


def mark_used(database: Database, session_id: int, now: datetime) -> None:
    """Store that a session is in use."""
    with database.write() as session:
        session.execute(update(UserSession).where(UserSession.id == session_id).values(used_at=now))


def list_sessions(database: Database, user_id: int, now: datetime, limits: SessionLimits) -> Sequence[UserSession]:
    """Return a user's sessions that have not ended, the last used first."""
    query = select(UserSession).join(User, User.id == UserSession.user_id)
    query = query.where(UserSession.user_id == user_id, User.generation == UserSession.generation)
    with database.read() as session:
        rows = session.scalars(query.order_by(UserSession.used_at.desc(), UserSession.id.desc())).all()
    return [row for row in rows if not has_ended(row.started_at, row.used_at, now, limits)]


def end(database: Database, user_id: int, session_id: int, now: datetime, *, address: str) -> None:
    """End another session of the same user. Raises NotFound, also for a session of somebody else."""
    with database.write() as session:
        user, row = session.get(User, user_id), session.get(UserSession, session_id, with_for_update=True)
        if user is None or row is None or row.user_id != user_id:
            raise NotFound(f"session {session_id}")
        session.delete(row)
        detail = {"address": address, "ended_address": row.address}
        audit.record(session, user.name, AuditAction.SESSION_ENDED, user.name, detail, now)


def end_others(database: Database, user_id: int, kept_id: int, now: datetime, *, address: str) -> int:
    """End all sessions of a user but one. Return how many have ended."""
    others = select(UserSession).where(UserSession.user_id == user_id, UserSession.id != kept_id).with_for_update()
    with database.write() as session:
        user, rows = session.get_one(User, user_id), session.scalars(others).all()
        for row in rows:
            session.delete(row)
            detail = {"address": address, "ended_address": row.address}
            audit.record(session, user.name, AuditAction.SESSION_ENDED, user.name, detail, now)
    return len(rows)


def drop(database: Database, session_id: int) -> None:
    """Delete a session that the same browser replaces by a new one."""
    with database.write() as session:
        session.execute(delete(UserSession).where(UserSession.id == session_id))


def log_out(database: Database, user_id: int, session_id: int, now: datetime, *, address: str) -> str:
    """End the session in which a user logs out. Return its ID token, encrypted."""
    with database.write() as session:
        own = UserSession.id == session_id, UserSession.user_id == user_id
        id_token = session.scalar(select(UserSession.id_token).where(*own)) or ""
        session.execute(delete(UserSession).where(*own))
        name = session.get_one(User, user_id).name
        audit.record(session, name, AuditAction.LOGGED_OUT, name, {"address": address}, now)
    return id_token
