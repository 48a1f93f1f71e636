"""Who may use the panel, and how: roles, an operator's extensions, passwords, and the end of sessions."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.prompt_texts import LANGUAGES
from app.domain.text import is_displayable
from app.services import audit
from app.services.errors import Invalid, NotFound
from app.services.modules.save import EXTENSION
from app.store.database import Database
from app.store.models import User

ROLES = ("administrator", "supervisor", "operator")
THEMES = ("auto", "light", "dark")
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 200
MOST_EXTENSIONS = 50
_hasher = PasswordHasher()
_CLEAR = "abcdefghjkmnpqrstuvwxyz23456789"
_LOGGED = ("role", "extensions", "active", "locale", "theme")


@dataclass(frozen=True)
class UserInput:
    """What is settled for a user. `locale` None: the office's language; `extensions`: an operator's own."""

    role: str
    extensions: tuple[str, ...] = ()
    active: bool = True
    locale: str | None = None
    theme: str = "auto"


def listing(database: Database) -> list[User]:
    """Return all users, those who may log in first."""
    with database.read() as session:
        return list(session.scalars(select(User).order_by(User.active.desc(), User.name)))


def find(database: Database, user_id: int) -> User:
    """Return a user, active or not. Raises NotFound."""
    with database.read() as session:
        return _get(session, user_id)


def as_input(user: User) -> UserInput:
    """See a stored user as the form has it."""
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
    actor: str = "",
) -> int:
    """Store a new user and return the id. Raises Invalid."""
    name = name.strip()
    given = UserInput(role, tuple(extensions), locale=locale, theme=theme)
    errors = check(given)
    if not name or len(name) > 80:
        errors["name"] = "required" if not name else "too_long"
    elif not is_displayable(name):
        errors["name"] = "characters"
    errors |= check_new_password(password)
    try:
        with database.write() as session:
            if "name" not in errors and session.scalar(select(func.count()).where(User.name == name)):
                errors["name"] = "taken"
            if errors:
                raise Invalid(errors)
            user = User(name=name, password_hash=_hasher.hash(password), created_at=now)
            _fill(user, given)
            session.add(user)
            session.flush()
            audit.record(session, actor, "user_created", name, audit.changes({}, _fields(user)), now)
            return user.id
    except IntegrityError as error:  # somebody else took the name at the same instant
        raise Invalid({"name": "taken"}) from error


def change(database: Database, user_id: int, given: UserInput, now: datetime, *, actor: str = "") -> None:
    """Change what is settled for a user. Who is not active any more is logged out everywhere, and for good.

    Raises NotFound, and Invalid: `last_administrator` where nobody could change anything any more.
    """
    errors = check(given)
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        if (given.role, given.active) != ("administrator", True) and _is_last_administrator(session, user_id):
            raise Invalid({"role" if given.role != "administrator" else "active": "last_administrator"})
        user = _get(session, user_id, lock=True)
        before = _fields(user)
        if user.active and not given.active:
            user.generation += 1
        _fill(user, given)
        changed = audit.changes(before, _fields(user))
        if changed:
            audit.record(session, actor, "user_changed", user.name, changed, now)


def _fill(user: User, given: UserInput) -> None:
    user.role, user.extensions, user.active = given.role, list(given.extensions), given.active
    user.locale, user.theme = given.locale, given.theme


def _fields(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in _LOGGED}


def _get(session: Session, user_id: int, *, lock: bool = False) -> User:
    user = session.get(User, user_id, with_for_update=True if lock else None)
    if user is None:
        raise NotFound(f"user {user_id}")
    return user


def _is_last_administrator(session: Session, user_id: int) -> bool:
    """Tell whether this user is the one active administrator. Locks them all: two must not leave at once."""
    query = select(User.id).where(User.role == "administrator", User.active).order_by(User.id).with_for_update()
    return list(session.scalars(query)) == [user_id]


def check(given: UserInput) -> dict[str, str]:
    """Return what is wrong with what is settled for a user, by field."""
    errors = {}
    if given.role not in ROLES:
        errors["role"] = "choice"
    if given.locale is not None and given.locale not in LANGUAGES:
        errors["locale"] = "choice"
    if given.theme not in THEMES:
        errors["theme"] = "choice"
    if not all(EXTENSION.fullmatch(extension) for extension in given.extensions):
        errors["extensions"] = "code"
    elif len(given.extensions) > MOST_EXTENSIONS:
        errors["extensions"] = "too_long"
    elif len(set(given.extensions)) < len(given.extensions):
        errors["extensions"] = "twice"
    return errors


# Passwords


def check_new_password(password: str) -> dict[str, str]:
    """Return what is wrong with a password that is to be taken, by field."""
    if len(password) < SHORTEST_PASSWORD:
        return {"password": "too_short"}
    if len(password) > LONGEST_PASSWORD:
        return {"password": "too_long"}
    return {} if _is_text(password) else {"password": "characters"}


def _is_text(word: str) -> bool:
    """Tell whether it can be encoded: what was no UTF-8 on its way here has half characters in it."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def make_password() -> str:
    """Return a password that can be read out and typed: three groups of four, of letters that nobody mistakes."""
    groups = ("".join(secrets.choice(_CLEAR) for _ in range(4)) for _ in range(3))
    return "-".join(groups)


def reset_password(database: Database, user_id: int, password: str, now: datetime, *, actor: str = "") -> None:
    """Give a user another password; their sessions end. Raises NotFound and Invalid."""
    errors = check_new_password(password)
    if errors:
        raise Invalid(errors)
    _set_password(database, user_id, password, now, actor, "password_reset")


def change_password(database: Database, user_id: int, old: str, new: str, now: datetime) -> None:
    """Let a user change their own password; their sessions end. Raises NotFound, and Invalid: `old_password` wrong."""
    user = find(database, user_id)
    errors = check_new_password(new)
    if not _fits(user, old):
        errors["old_password"] = "wrong"
    elif old == new:
        errors["password"] = "same"
    if errors:
        raise Invalid(errors)
    _set_password(database, user_id, new, now, user.name, "password_changed")


def _set_password(database: Database, user_id: int, password: str, now: datetime, actor: str, action: str) -> None:
    hashed = _hasher.hash(password)
    with database.write() as session:
        user = _get(session, user_id, lock=True)
        user.password_hash = hashed
        user.generation += 1
        audit.record(session, actor, action, user.name, {}, now)


def check_password(database: Database, name: str, password: str) -> User | None:
    """Return the active user whose password this is, or None. Takes as long for a name that is nobody's."""
    name = name.strip()
    user = None
    if is_displayable(name):  # nobody else has an account, and PostgreSQL cannot even look for a NUL
        with database.read() as session:
            user = session.scalar(select(User).where(User.name == name))
    if not _fits(user, password):
        return None
    return user if user is not None and user.active else None


@cache
def _nobody() -> str:
    """Return what is checked for a name that is nobody's: the time of an answer must not tell which names there are.

    It is made when it is needed; it takes as long as a good part of all that a process does at its start.
    """
    return _hasher.hash("nobody has this password")


def _fits(user: User | None, password: str) -> bool:
    try:
        return _hasher.verify(user.password_hash if user is not None else _nobody(), password[:LONGEST_PASSWORD])
    except (VerifyMismatchError, InvalidHashError):
        return False


# Sessions


def stamp(user: User) -> str:
    """Return what a session's cookie carries beside the user's id, and what it must equal at every request.

    It changes with the password, and when the user is deactivated; of the password's hash it tells nothing.
    """
    return hashlib.sha256(f"{user.id}:{user.generation}:{user.password_hash}".encode()).hexdigest()[:32]


def load(database: Database, user_id: int) -> User | None:
    """Return an active user, or None."""
    with database.read() as session:
        user = session.get(User, user_id)
    return user if user is not None and user.active else None


def set_locale(database: Database, user_id: int, locale: str) -> None:
    """Remember the language that a user reads."""
    with database.write() as session:
        user = session.get(User, user_id)
        if user is not None:
            user.locale = locale


def set_preferences(database: Database, user_id: int, locale: str | None, theme: str) -> None:
    """Remember how a user likes to read; `locale` None: in the office's language. Raises NotFound, Invalid."""
    errors = check(UserInput(ROLES[0], locale=locale, theme=theme))
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        user = _get(session, user_id, lock=True)
        user.locale, user.theme = locale, theme


def set_theme(database: Database, user_id: int, theme: str) -> None:
    """Remember whether a user reads by day or by night. Raises Invalid."""
    if theme not in THEMES:
        raise Invalid({"theme": "choice"})
    with database.write() as session:
        user = session.get(User, user_id)
        if user is not None:
            user.theme = theme


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(User)) or 0
