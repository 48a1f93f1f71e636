"""The second factor of users: a secret in their phone, and recovery codes for the day on which the phone is lost.

The secret is stored encrypted, and shown only to the session that sets it up. Functions that change a user's second
factor lock the row of the user first, so that no code counts twice.
"""

import hmac
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import pyotp
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.external_users import Source
from app.domain.second_factor import (
    SET_UP_WITHIN,
    has_lapsed,
    is_phone_code,
    is_required,
    normalize_code,
    valid_steps,
)
from app.services import audit, users
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound
from app.store import encryption
from app.store import settings as settings_store
from app.store.database import Database
from app.store.models import PendingLogin, RecoveryCode, SecondFactor, User, UserIdentity

ISSUER = "Bazang"
RECOVERY_CODES = 10
RECOVERY_GROUPS = 4  # about 80 bits, so that a digest needs neither salt nor slow hashing
log = logging.getLogger(__name__)


class CodeKind(StrEnum):
    """What kind of code was accepted."""

    PHONE = "phone"
    RECOVERY = "recovery"


@dataclass(frozen=True)
class State:
    """The second factor of a user as the account page shows it."""

    since: datetime
    recovery_codes: int  # that are left


def state(database: Database, user_id: int) -> State | None:
    """Return the state of a user's second factor; None if the user has none."""
    with database.read() as session:
        factor = find(session, user_id)
        if factor is None or factor.confirmed_at is None:
            return None
        return State(factor.confirmed_at, count_recovery_codes(session, user_id))


def holders(database: Database) -> frozenset[int]:
    """Return the ids of the users who have a second factor."""
    with database.read() as session:
        return frozenset(session.scalars(select(SecondFactor.user_id).where(SecondFactor.confirmed_at.is_not(None))))


def is_missing(database: Database, user: User, stored: Mapping[str, str]) -> bool:
    """Return whether the office requires a second factor from this user, who has none.

    Whether users of an OpenID Connect provider need one is the provider's matter. `stored`: the settings of the panel.
    """
    if not is_required(settings_store.second_factor_requirement(stored), user.role):
        return False
    if is_left_to_provider(database, user):
        return False
    with database.read() as session:
        return find(session, user.id) is None


def is_left_to_provider(database: Database, user: User) -> bool:
    """Return whether a user logs in with an OpenID Connect provider only, which asks for the second factor itself."""
    if user.password_hash:
        return False
    with database.read() as session:
        found = set(session.scalars(select(UserIdentity.source).where(UserIdentity.user_id == user.id)))
    return found == {Source.OIDC.value}


def unreadable(database: Database, settings: Settings) -> list[str]:
    """Return the names of the users whose secret was encrypted with another key."""
    query = select(User.name, SecondFactor).join(SecondFactor, SecondFactor.user_id == User.id)
    query = query.where(SecondFactor.confirmed_at.is_not(None)).order_by(User.name)
    with database.read() as session:
        return [name for name, factor in session.execute(query) if not _is_readable(settings, factor)]


def find(session: Session, user_id: int) -> SecondFactor | None:
    """Return the second factor of a user. None also if it is still being set up."""
    factor = session.get(SecondFactor, user_id)
    return factor if factor is not None and factor.confirmed_at is not None else None


# -- setting it up ----------------------------------------------------------------------------------------------------


def start(database: Database, settings: Settings, user_id: int, session_id: int, now: datetime) -> None:
    """Make a secret for the session to show. It replaces one that was not confirmed. Raises NotFound if it is on."""
    with database.write() as session:
        _lock(session, user_id)
        if find(session, user_id) is not None:
            raise NotFound(f"user {user_id} has a second factor")
        session.merge(
            SecondFactor(
                user_id=user_id,
                secret=encryption.encrypt(settings, pyotp.random_base32()),
                session_id=session_id,
                started_at=now,
                confirmed_at=None,
                used_step=None,
            )
        )


def new_secret(database: Database, settings: Settings, user_id: int, session_id: int, now: datetime) -> str:
    """Return the secret that this session sets up. Raises NotFound if there is none, or it was made too long ago."""
    with database.read() as session:
        factor = _unconfirmed(session, user_id, session_id, now)
    if not _is_readable(settings, factor):
        raise NotFound(f"the new secret of user {user_id} was encrypted with another key")
    return _secret(settings, factor)


def address_of(secret: str, name: str) -> str:
    """Return the otpauth address of a secret, which a QR code tells the phone. `name`: of the user."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def confirm(
    database: Database, settings: Settings, user_id: int, session_id: int, typed: str, now: datetime
) -> Sequence[str]:
    """Turn the second factor on with its first code, and return the recovery codes. All sessions of the user end.

    Raises NotFound like `new_secret`, and Invalid for a wrong code.
    """
    with database.write() as session:
        user = _lock(session, user_id)
        factor = _unconfirmed(session, user_id, session_id, now)
        step = _matching_step(settings, factor, normalize_code(typed), now)
        if step is None:
            raise Invalid({"code": ErrorCode.WRONG_CODE})
        factor.confirmed_at, factor.used_step, factor.session_id = now, step, None
        session.flush()  # otherwise it would end with its session
        users.end_sessions(session, user)
        audit.record(session, user.name, AuditAction.SECOND_FACTOR_ON, user.name, {}, now)
        return _replace_recovery_codes(session, user_id)


def _unconfirmed(session: Session, user_id: int, session_id: int, now: datetime) -> SecondFactor:
    factor = session.get(SecondFactor, user_id)
    if factor is None or factor.session_id != session_id or has_lapsed(factor.started_at, now, SET_UP_WITHIN):
        raise NotFound(f"no second factor of user {user_id} is being set up")
    return factor


# -- changing it ------------------------------------------------------------------------------------------------------


def replace_recovery_codes(database: Database, user_id: int, now: datetime) -> Sequence[str]:
    """Return new recovery codes. The old ones do not count any more. Raises NotFound without a second factor."""
    with database.write() as session:
        user = _lock(session, user_id)
        if find(session, user_id) is None:
            raise NotFound(f"user {user_id} has no second factor")
        audit.record(session, user.name, AuditAction.RECOVERY_CODES_MADE, user.name, {}, now)
        return _replace_recovery_codes(session, user_id)


def turn_off(database: Database, user_id: int, now: datetime) -> None:
    """Remove the second factor of a user who asks for it."""
    with database.write() as session:
        user = _lock(session, user_id)
        if _remove(session, user_id):
            audit.record(session, user.name, AuditAction.SECOND_FACTOR_OFF, user.name, {}, now)


def reset(database: Database, user_id: int, now: datetime, *, actor: str) -> bool:
    """Remove the second factor of a user who has lost the phone, and end their sessions.

    Return whether there was one. Raises NotFound.
    """
    with database.write() as session:
        user = _lock(session, user_id)
        if not _remove(session, user_id):
            return False
        users.end_sessions(session, user)
        audit.record(session, actor, AuditAction.SECOND_FACTOR_RESET, user.name, {}, now)
        return True


def _remove(session: Session, user_id: int) -> bool:
    factor = find(session, user_id)
    if factor is None:
        return False
    session.delete(factor)
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    session.execute(delete(PendingLogin).where(PendingLogin.user_id == user_id))
    return True


# -- codes ------------------------------------------------------------------------------------------------------------


def use_code(session: Session, settings: Settings, user: User, typed: str, now: datetime) -> CodeKind | None:
    """Accept a code of the phone or a recovery code, and use it up. Return None for a wrong one.

    The row of the user must be locked.
    """
    factor, code = find(session, user.id), normalize_code(typed)
    if factor is None:
        return None
    if is_phone_code(code):
        step = _matching_step(settings, factor, code, now)
        if step is None:
            return None
        factor.used_step = step
        return CodeKind.PHONE
    stored = session.get(RecoveryCode, (user.id, _digest(code)))
    if stored is None:
        return None
    session.delete(stored)
    session.flush()
    return CodeKind.RECOVERY


def count_recovery_codes(session: Session, user_id: int) -> int:
    """Return how many recovery codes a user has left."""
    query = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user_id)
    return session.scalar(query) or 0


def _matching_step(settings: Settings, factor: SecondFactor, code: str, now: datetime) -> int | None:
    """Return the time step to which the code belongs, if it counts now."""
    try:
        phone = pyotp.TOTP(_secret(settings, factor))
    except encryption.CannotDecrypt:
        log.error("the second factor of user %s was encrypted with another key: remove it", factor.user_id)
        return None
    steps = valid_steps(now, factor.used_step)
    return next((step for step in steps if hmac.compare_digest(phone.generate_otp(step), code)), None)


def _is_readable(settings: Settings, factor: SecondFactor) -> bool:
    try:
        _secret(settings, factor)
    except encryption.CannotDecrypt:
        return False
    return True


def _secret(settings: Settings, factor: SecondFactor) -> str:
    return encryption.decrypt(settings, factor.secret)


def _replace_recovery_codes(session: Session, user_id: int) -> Sequence[str]:
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [users.readable_secret(RECOVERY_GROUPS) for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(user_id=user_id, digest=_digest(normalize_code(code))) for code in codes)
    return codes


def _digest(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def _lock(session: Session, user_id: int) -> User:
    user = session.get(User, user_id, with_for_update=True)
    if user is None:
        raise NotFound(f"user {user_id}")
    return user
