"""The first administrator is made by whoever holds the link that this machine printed. Nobody else gets in by it.

Of the link's token only a digest is stored, with the moment at which it was made. It is good for one administrator, for
a day, and only as long as there is no other.
"""

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.services import users
from app.services.settings import pbx
from app.store import settings as store
from app.store.database import Database, Joined
from app.store.models import Setting, User

VALID = timedelta(hours=24)
STEPS = ("office", "exchange", "module", "call")  # what is left to do once there is an administrator
_TOKEN, _STEP = "setup_token", "setup_step"
_NOWHERE = ""  # the step of an office that has gone through it all, or does not want to


class Refused(Exception):
    """This token opens nothing: a wrong one, one that was used or replaced, or one that is too old."""


class Closed(Exception):
    """There is an administrator: whoever else shall be one is made in the panel, or by `create-admin`."""


# -- the token --------------------------------------------------------------------------------------------------------


def is_open(database: Database) -> bool:
    """Tell whether there is no administrator yet who may log in."""
    with database.read() as session:
        return not _has_administrator(session)


def make_token(database: Database, now: datetime) -> str:
    """Return a new token; the one before it opens nothing any more. Raises Closed."""
    token = secrets.token_urlsafe(32)
    with database.write() as session:
        if _has_administrator(session):
            raise Closed
        store.write_setting(session, _TOKEN, f"{_digest(token)} {now.isoformat()}")
    return token


def fits(database: Database, token: str, now: datetime) -> bool:
    """Tell whether an administrator may be made by this token now."""
    with database.read() as session:
        return _fits(session.get(Setting, _TOKEN), token, now) and not _has_administrator(session)


def redeem(database: Database, settings: Settings, token: str, name: str, password: str, now: datetime) -> User:
    """Make the first administrator and return the user; the token is used up by it. Raises Refused and Invalid.

    Of two people at once one waits here for the other, and finds the token gone.
    """
    with database.write() as session:
        stored = session.get(Setting, _TOKEN, with_for_update=True)
        if not _fits(stored, token, now) or _has_administrator(session):
            raise Refused
        session.delete(stored)
        session.flush()
        user_id = users.create(Joined(database, session), name, password, "administrator", now)
        pbx.keep_secret(session, settings)
        store.write_setting(session, _STEP, STEPS[0])
        return session.get_one(User, user_id)


def _has_administrator(session: Session) -> bool:
    there = select(func.count()).where(User.role == "administrator", User.active)
    return bool(session.scalar(there))


def _fits(stored: Setting | None, token: str, now: datetime) -> bool:
    digest, _, made = stored.value.partition(" ") if stored is not None else ("", "", "")
    # Compared in any case and in full, so that the time of the answer tells nothing.
    same = hmac.compare_digest(digest.encode(), _digest(token).encode())
    return same and bool(made) and now - VALID < datetime.fromisoformat(made) <= now + timedelta(minutes=5)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()


# -- how far one is ---------------------------------------------------------------------------------------------------


def step(stored: Mapping[str, str]) -> str:
    """Return which of STEPS is next by what `store.read_all` gave; "": none is, or nobody wants to go on."""
    found = stored.get(_STEP, _NOWHERE)
    return found if found in STEPS else _NOWHERE


def advance(database: Database, done: str) -> None:
    """Note that a step was taken or passed over; one that comes later than the next one changes that as well."""
    with database.write() as session:
        now = step({_STEP: store.read_setting(session, _STEP)})
        if now and STEPS.index(done) >= STEPS.index(now):
            following = STEPS[STEPS.index(done) + 1 :]
            store.write_setting(session, _STEP, following[0] if following else STEPS[-1])


def finish(database: Database) -> None:
    """Let nobody be reminded of the set-up any more."""
    with database.write() as session:
        session.execute(delete(Setting).where(Setting.name == _STEP))
