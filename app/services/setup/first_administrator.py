"""Create the first administrator with the token of a setup link, which the command `setup-link` prints.

The database stores only a digest of the token and the time of its creation. A token is valid for 24 hours, for one
administrator, and only while there is no other.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.services import users
from app.services.settings import pbx
from app.services.setup import progress
from app.store import settings as store
from app.store.database import Database, Joined
from app.store.hours import set_first_hours
from app.store.models import Setting, User

VALID = timedelta(hours=24)
_CLOCK_TOLERANCE = timedelta(minutes=5)
_SETTING = "setup_token"  # "digest creation-time"


class InvalidToken(Exception):
    """The token is wrong, used, replaced or too old."""


class SetupClosed(Exception):
    """There is an administrator already. More are added in the panel or by the command `create-admin`."""


def is_open(database: Database) -> bool:
    """Return whether there is no active administrator yet."""
    with database.read() as session:
        return not _has_administrator(session)


def make_token(database: Database, now: datetime) -> str:
    """Return a new token; it replaces the one before. Raises SetupClosed."""
    token = secrets.token_urlsafe(32)
    with database.write() as session:
        if _has_administrator(session):
            raise SetupClosed
        store.write_setting(session, _SETTING, f"{_digest(token)} {now.isoformat()}")
    return token


def token_is_valid(database: Database, token: str, now: datetime) -> bool:
    """Return whether `redeem` would accept this token now."""
    with database.read() as session:
        return _is_valid(session.get(Setting, _SETTING), token, now) and not _has_administrator(session)


def redeem(database: Database, settings: Settings, token: str, name: str, password: str, now: datetime) -> User:
    """Create the first administrator and return the user. This uses up the token. Raises InvalidToken and Invalid.

    The token's row is locked, so of two concurrent calls the second finds the token gone.
    """
    with database.write() as session:
        stored = session.get(Setting, _SETTING, with_for_update=True)
        if not _is_valid(stored, token, now) or _has_administrator(session):
            raise InvalidToken
        session.delete(stored)
        session.flush()
        user_id = users.create(Joined(database, session), name, password, "administrator", now)
        pbx.ensure_secret(session, settings, user_id, now)
        progress.start(session)
        set_first_hours(session)
        return session.get_one(User, user_id)


def create(database: Database, name: str, password: str, now: datetime) -> None:
    """Create an administrator without a token, by the command `create-admin`. Raises Invalid."""
    with database.write() as session:
        users.create(Joined(database, session), name, password, "administrator", now, actor="create-admin")
        set_first_hours(session)


def _has_administrator(session: Session) -> bool:
    administrators = select(func.count()).where(User.role == "administrator", User.active)
    return bool(session.scalar(administrators))


def _is_valid(stored: Setting | None, token: str, now: datetime) -> bool:
    digest, _, created = stored.value.partition(" ") if stored is not None else ("", "", "")
    # Compare even if there is no digest, so that the response time reveals nothing.
    matches = hmac.compare_digest(digest.encode(), _digest(token).encode())
    return matches and bool(created) and now - VALID < datetime.fromisoformat(created) <= now + _CLOCK_TOLERANCE


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()
