"""Who may use the panel."""

from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.domain.names import is_showable
from app.services.errors import Invalid
from app.store.database import Database
from app.store.models import User

ROLES = ("administrator", "supervisor", "operator")
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 200
_hasher = PasswordHasher()
# Checked for a name that is nobody's, so that the time of an answer does not tell which names there are.
_NOBODY = _hasher.hash("nobody has this password")


def create(database: Database, name: str, password: str, role: str, now: datetime) -> int:
    """Store a new user and return the id. Raises Invalid."""
    name = name.strip()
    errors = {}
    if not name or len(name) > 80:
        errors["name"] = "required" if not name else "too_long"
    elif not is_showable(name):
        errors["name"] = "characters"
    if len(password) < SHORTEST_PASSWORD:
        errors["password"] = "too_short"
    elif len(password) > LONGEST_PASSWORD:
        errors["password"] = "too_long"
    elif not _is_text(password):
        errors["password"] = "characters"
    if role not in ROLES:
        errors["role"] = "choice"
    try:
        with database.write() as session:
            if "name" not in errors and session.scalar(select(func.count()).where(User.name == name)):
                errors["name"] = "taken"
            if errors:
                raise Invalid(errors)
            user = User(name=name, password_hash=_hasher.hash(password), role=role, active=True, created_at=now)
            session.add(user)
            session.flush()
            return user.id
    except IntegrityError as error:  # somebody else took the name at the same instant
        raise Invalid({"name": "taken"}) from error


def _is_text(word: str) -> bool:
    """Tell whether it can be encoded: what was no UTF-8 on its way here has half characters in it."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_password(database: Database, name: str, password: str) -> User | None:
    """Return the active user whose password this is, or None. Takes as long for a name that is nobody's."""
    name = name.strip()
    user = None
    if is_showable(name):  # nobody else has an account, and PostgreSQL cannot even look for a NUL
        with database.read() as session:
            user = session.scalar(select(User).where(User.name == name))
    try:
        _hasher.verify(user.password_hash if user is not None else _NOBODY, password[:LONGEST_PASSWORD])
    except (VerifyMismatchError, InvalidHashError):
        return None
    return user if user is not None and user.active else None


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


def set_theme(database: Database, user_id: int, theme: str) -> None:
    """Remember the colours that a user likes: auto, light or dark."""
    with database.write() as session:
        user = session.get(User, user_id)
        if user is not None:
            user.theme = theme


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(User)) or 0
