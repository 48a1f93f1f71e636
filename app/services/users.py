"""The users of the panel: roles, own extensions, passwords and sessions."""

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.prompt_texts import LANGUAGES
from app.domain.passwords import is_common
from app.domain.routing import EXTENSION_PATTERN
from app.domain.text import is_displayable
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.services.exchanges import ARE_SEVERAL
from app.store.database import Database
from app.store.exchanges import FIRST, exchange_of
from app.store.models import ApiToken, Exchange, PendingLogin, User, UserExchange, UserIdentity, UserSession
from app.store.user_exchanges import SEES_ALL, sees_this, show_extensions_here, store_extensions

ROLES = ("administrator", "supervisor", "operator")
THEMES = ("auto", "light", "dark")
SHORTEST_PASSWORD = 8
LONGEST_NAME, LONGEST_PASSWORD = 80, 200
MOST_EXTENSIONS = 50
_hasher = PasswordHasher()
HASHES_AT_ONCE = 2  # each takes 64 MB; others wait for their turn
_hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # without i, l, o, 0 and 1
_AUDITED = ("role", "extensions", "active", "locale", "theme")


@dataclass(frozen=True)
class UserInput:
    """What an administrator can set for a user. `locale` None means the office's language.

    `extensions` are those in the exchange of the database. `exchanges` are the ids of those that the user may see.
    None leaves them as they are; a new user sees the exchange of the database.
    """

    role: str
    extensions: tuple[str, ...] = ()
    active: bool = True
    locale: str | None = None
    theme: str = "auto"
    exchanges: tuple[int, ...] | None = None


def list_users(database: Database) -> list[User]:
    """Return all users, active ones first."""
    with database.read() as session:
        found = list(session.scalars(select(User).order_by(User.active.desc(), User.name)))
        show_extensions_here(session, found)
        return found


def get(database: Database, user_id: int) -> User:
    """Return a user, active or not. Raises NotFound."""
    with database.read() as session:
        return _get(session, user_id)


def as_input(user: User) -> UserInput:
    """Return the stored values of a user."""
    return UserInput(user.role, tuple(user.extensions), user.active, user.locale, user.theme)


def create(
    database: Database,
    name: str,
    password: str,
    role: str,
    now: datetime,
    *,
    extensions: Sequence[str] = (),
    locale: str | None = None,
    theme: str = "auto",
    exchanges: tuple[int, ...] | None = None,
    actor: str = "",
) -> int:
    """Add a user and return the id. Raises Invalid."""
    name = name.strip()
    given = UserInput(role, tuple(extensions), locale=locale, theme=theme, exchanges=exchanges)
    errors = validate(given) | check_line("name", name, LONGEST_NAME, required=True)
    errors |= validate_password(password, name)
    hashed = _hash(password) if not errors else ""  # before the transaction, because it takes a while
    try:
        with database.write() as session:
            if "name" not in errors and session.scalar(select(func.count()).where(User.name == name)):
                errors["name"] = ErrorCode.TAKEN
            if errors:
                raise Invalid(errors)
            return _add(session, User(name=name, password_hash=hashed, created_at=now), given, now, actor=actor).id
    except IntegrityError as error:  # another transaction took the name
        raise Invalid({"name": ErrorCode.TAKEN}) from error


def add_without_password(session: Session, name: str, given: UserInput, now: datetime, *, actor: str) -> User:
    """Add a user who logs in elsewhere. The name must be free and valid. Raises IntegrityError if it is taken."""
    return _add(session, User(name=name, password_hash="", created_at=now), given, now, actor=actor)


def _add(session: Session, user: User, given: UserInput, now: datetime, *, actor: str) -> User:
    _fill(user, given)
    session.add(user)
    session.flush()
    seen = (exchange_of(session).id,) if given.exchanges is None else given.exchanges
    _store_exchanges(session, user, replace(given, exchanges=seen))
    fields = _fields(user) | ({"exchanges": _seen_codes(session, user)} if session.scalar(select(ARE_SEVERAL)) else {})
    audit.record(session, actor, AuditAction.USER_CREATED, user.name, audit.changes({}, fields), now)
    return user


def change(database: Database, user_id: int, given: UserInput, now: datetime, *, actor: str = "") -> None:
    """Change a user. Deactivating a user ends all their sessions and deletes their API tokens.

    Raises NotFound, and Invalid with `last_administrator` if no active administrator would be left.
    """
    errors = validate(given)
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        if (given.role, given.active) != ("administrator", True) and _is_last_administrator(session, user_id):
            raise Invalid({"role" if given.role != "administrator" else "active": ErrorCode.LAST_ADMINISTRATOR})
        user = _get(session, user_id, lock=True)
        before = _fields(user) | {"exchanges": _seen_codes(session, user)}
        if user.active and not given.active:
            end_sessions(session, user)
            session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))  # also if they come back one day
        _fill(user, given)
        _store_exchanges(session, user, given)
        changed = audit.changes(before, _fields(user) | {"exchanges": _seen_codes(session, user)})
        if changed:
            audit.record(session, actor, AuditAction.USER_CHANGED, user.name, changed, now)


def change_extensions(
    session: Session, user: User, exchange_id: int, extensions: Sequence[str], now: datetime, *, actor: str
) -> None:
    """Change the extensions of a user in a further exchange that they may see, and nothing else."""
    access = session.get_one(UserExchange, (user.id, exchange_id), with_for_update=True)
    changed = audit.changes({"extensions": access.extensions}, {"extensions": list(extensions)})
    if changed:
        access.extensions = list(extensions)
        audit.record(session, actor, AuditAction.USER_CHANGED, user.name, changed, now)


def unknown_password() -> str:
    """Return the hash of a password that nobody knows. Takes a while: call it outside a transaction."""
    return _hash(generate_password())


def restore(
    database: Database,
    name: str,
    given: UserInput,
    password_hash: str | None,
    now: datetime,
    *,
    unknown: str,
    actor: str = "",
) -> bool:
    """Add a user, or change the one with this name, as a file says. Return whether the user is new.

    `password_hash` None keeps the password; a new user gets `unknown` then. Another one ends all sessions of the user.
    Raises Invalid.
    """
    name = name.strip()
    errors = validate(given) | check_line("name", name, LONGEST_NAME, required=True)
    if errors:
        raise Invalid(errors)
    with database.read() as session:
        found = session.scalar(select(User.id).where(User.name == name))
    if found is not None:
        change(database, found, given, now, actor=actor)
    with database.write() as session:
        if found is None:
            user = User(name=name, password_hash=password_hash or unknown, created_at=now)
            _add(session, user, given, now, actor=actor)
            return True
        user = _get(session, found, lock=True)
        if password_hash not in (None, user.password_hash):
            user.password_hash = password_hash
            end_sessions(session, user)
            audit.record(session, actor, AuditAction.PASSWORD_RESET, name, {}, now)
        return False


def _fill(user: User, given: UserInput) -> None:
    user.role, user.active = given.role, given.active
    user.locale, user.theme = given.locale, given.theme


def _store_exchanges(session: Session, user: User, given: UserInput) -> None:
    """Store which exchanges a user may see, and the user's extensions in that of the session. Raises Invalid.

    Somebody who may not see the exchange has no extensions there.
    """
    seen = given.exchanges
    if seen is not None:
        known = set(session.scalars(select(Exchange.id)))
        if not known.issuperset(seen):
            raise Invalid({"exchanges": ErrorCode.CHOICE})
        user.sees_first = FIRST.id in seen
        session.execute(
            delete(UserExchange).where(UserExchange.user_id == user.id, UserExchange.exchange_id.not_in(seen))
        )
        there = set(session.scalars(select(UserExchange.exchange_id).where(UserExchange.user_id == user.id)))
        new = set(seen) - there - {FIRST.id}
        session.add_all(UserExchange(user_id=user.id, exchange_id=each, extensions=[]) for each in sorted(new))
    session.flush()
    if session.scalar(select(User.id).where(User.id == user.id, sees_this(session))) is not None:
        store_extensions(session, user, given.extensions)


def _fields(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in _AUDITED}


def _seen_codes(session: Session, user: User) -> list[str]:
    """Return the codes of the exchanges that a user was given."""
    query = select(Exchange.code).join(UserExchange, UserExchange.exchange_id == Exchange.id)
    further = session.scalars(query.where(UserExchange.user_id == user.id).order_by(Exchange.id))
    return [*([FIRST.code] if user.sees_first else []), *further]


def _get(session: Session, user_id: int, *, lock: bool = False) -> User:
    user = session.get(User, user_id, with_for_update=True if lock else None)
    if user is None:
        raise NotFound(f"user {user_id}")
    show_extensions_here(session, [user])
    return user


def _is_last_administrator(session: Session, user_id: int) -> bool:
    """Return whether this user is the only active administrator with a password. Locks all of them.

    Those who log in elsewhere do not count: a provider may be down, or gone.
    """
    query = select(User.id).where(User.role == "administrator", User.active, User.password_hash != "")
    return list(session.scalars(query.order_by(User.id).with_for_update())) == [user_id]


def validate(given: UserInput) -> dict[str, ErrorCode]:
    """Return validation errors by field name; empty if the input is valid."""
    errors: dict[str, ErrorCode] = {}
    if given.role not in ROLES:
        errors["role"] = ErrorCode.CHOICE
    if given.locale is not None and given.locale not in LANGUAGES:
        errors["locale"] = ErrorCode.CHOICE
    if given.theme not in THEMES:
        errors["theme"] = ErrorCode.CHOICE
    if not all(EXTENSION_PATTERN.fullmatch(extension) for extension in given.extensions):
        errors["extensions"] = ErrorCode.CODE
    elif len(given.extensions) > MOST_EXTENSIONS:
        errors["extensions"] = ErrorCode.TOO_LONG
    elif len(set(given.extensions)) < len(given.extensions):
        errors["extensions"] = ErrorCode.TWICE
    if given.exchanges is not None and not given.exchanges and given.role != SEES_ALL:
        errors["exchanges"] = ErrorCode.REQUIRED
    return errors


# -- passwords --------------------------------------------------------------------------------------------------------


def validate_password(password: str, name: str = "") -> dict[str, ErrorCode]:
    """Return validation errors of a new password by field name. `name`: of the user."""
    if len(password) < SHORTEST_PASSWORD:
        return {"password": ErrorCode.TOO_SHORT}
    if len(password) > LONGEST_PASSWORD:
        return {"password": ErrorCode.TOO_LONG}
    if not _is_encodable(password):
        return {"password": ErrorCode.CHARACTERS}
    return {"password": ErrorCode.COMMON} if is_common(password, name, _common_passwords()) else {}


@cache
def _common_passwords() -> frozenset[str]:
    lines = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("# "))


def _is_encodable(text: str) -> bool:
    """Return whether the text is valid Unicode. Input that was not UTF-8 contains lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def generate_password() -> str:
    """Return a random password that is easy to read out and type, such as `k7mp-3xqa-9fhd`."""
    return readable_secret(3)


def readable_secret(groups: int) -> str:
    """Return random groups of four letters and digits, about 20 bits each."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(groups))


def find_by_name(database: Database, name: str) -> User:
    """Return the user with this name, active or not. Raises NotFound."""
    with database.read() as session:
        user = session.scalar(select(User).where(User.name == name.strip())) if is_displayable(name) else None
    if user is None:
        raise NotFound(f"user {name}")
    return user


def reset_password(database: Database, user_id: int, password: str, now: datetime, *, actor: str = "") -> None:
    """Set a user's password and end their sessions.

    Raises NotFound, and Invalid, also for a user who logs in elsewhere only.
    """
    user = get(database, user_id)
    errors = validate_password(password, user.name)
    if logs_in_elsewhere(database, user):
        errors = {"password": ErrorCode.ELSEWHERE}
    if errors:
        raise Invalid(errors)
    _set_password(database, user_id, password, now, actor, AuditAction.PASSWORD_RESET)


def logs_in_elsewhere(database: Database, user: User) -> bool:
    """Return whether a user has no password, because they log in with a provider or a directory."""
    if user.password_hash:
        return False
    with database.read() as session:
        return session.scalar(select(UserIdentity.id).where(UserIdentity.user_id == user.id).limit(1)) is not None


def change_password(database: Database, user_id: int, old: str, new: str, now: datetime) -> None:
    """Change a user's own password and end their sessions. Raises NotFound, and Invalid if `old` is wrong."""
    user = get(database, user_id)
    errors = validate_password(new, user.name)
    if not _verify(user, old):
        errors["old_password"] = ErrorCode.WRONG
    elif old == new:
        errors["password"] = ErrorCode.SAME
    if errors:
        raise Invalid(errors)
    _set_password(database, user_id, new, now, user.name, AuditAction.PASSWORD_CHANGED)


def _set_password(
    database: Database, user_id: int, password: str, now: datetime, actor: str, action: AuditAction
) -> None:
    hashed = _hash(password)
    with database.write() as session:
        user = _get(session, user_id, lock=True)
        user.password_hash = hashed
        end_sessions(session, user)
        audit.record(session, actor, action, user.name, {}, now)


def has_password(database: Database, user_id: int, password: str) -> bool:
    """Return whether this is the user's password. Raises NotFound."""
    return _verify(get(database, user_id), password)


def check_password(database: Database, name: str, password: str) -> User | None:
    """Return the active user with this name and password, or None. Both cases take the same time."""
    name = name.strip()
    user = None
    if is_displayable(name):  # all names are; PostgreSQL cannot search for a NUL
        with database.read() as session:
            user = session.scalar(select(User).where(User.name == name))
    if not _verify(user, password):
        return None
    return user if user is not None and user.active else None


@cache
def _dummy_hash() -> str:
    """Return the hash that is checked for unknown names, so that the response time does not reveal which names exist.

    It is computed on first use, because hashing would slow down the start of every process.
    """
    return _hash("nobody has this password")


def _verify(user: User | None, password: str) -> bool:
    known = user.password_hash if user is not None and user.password_hash else ""
    try:
        with _hashing:
            return _hasher.verify(known or _dummy_hash(), password[:LONGEST_PASSWORD]) and bool(known)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _hash(password: str) -> str:
    with _hashing:
        return _hasher.hash(password)


# -- sessions ---------------------------------------------------------------------------------------------------------


def end_sessions(session: Session, user: User) -> None:
    """End all sessions of a user, and log-ins that wait for a code.

    The generation ends also a session that starts now, after what was asked for before.
    """
    user.generation += 1
    session.execute(delete(UserSession).where(UserSession.user_id == user.id))
    session.execute(delete(PendingLogin).where(PendingLogin.user_id == user.id))


def get_active(database: Database, user_id: int) -> User | None:
    """Return the user if they are active, else None."""
    with database.read() as session:
        user = session.get(User, user_id)
    return user if user is not None and user.active else None


def set_locale(database: Database, user_id: int, locale: str) -> None:
    """Store a user's language. Ignores a user who does not exist."""
    with database.write() as session:
        user = session.get(User, user_id)
        if user is not None:
            user.locale = locale


def set_preferences(database: Database, user_id: int, locale: str | None, theme: str) -> None:
    """Store a user's language and theme; `locale` None means the office's language. Raises NotFound and Invalid."""
    errors = validate(UserInput(ROLES[0], locale=locale, theme=theme))
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        user = _get(session, user_id, lock=True)
        user.locale, user.theme = locale, theme


def set_screen_pop(database: Database, user_id: int, *, opens: bool) -> None:
    """Store whether the screen pop opens by itself for a user. Raises NotFound."""
    with database.write() as session:
        _get(session, user_id, lock=True).opens_screen_pop = opens


def set_theme(database: Database, user_id: int, theme: str) -> None:
    """Store a user's theme. Ignores a user who does not exist. Raises Invalid."""
    if theme not in THEMES:
        raise Invalid({"theme": ErrorCode.CHOICE})
    with database.write() as session:
        user = session.get(User, user_id)
        if user is not None:
            user.theme = theme


def count(database: Database) -> int:
    """Return the number of users, active or not."""
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(User)) or 0
