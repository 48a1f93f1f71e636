"""Which notifications a user wants, and when not."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import time

from sqlalchemy.orm import Session

from app.domain.notifications import KINDS, Preferences
from app.services.errors import ErrorCode, Invalid
from app.store.database import Database
from app.store.models import NotificationPreferences

_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True)
class PreferencesInput:
    """The values of the form. Times are hh:mm, or empty."""

    kinds: Collection[str]
    quiet_from: str = ""
    quiet_until: str = ""
    shows_numbers: bool = False


def load(session: Session, user_id: int) -> Preferences:
    """Return what a user has chosen."""
    row = session.get(NotificationPreferences, user_id)
    return Preferences() if row is None else to_domain(row)


def to_domain(row: NotificationPreferences) -> Preferences:
    kinds = frozenset(kind for kind in KINDS if kind.value in row.kinds)
    quiet = time.fromisoformat(row.quiet_from), time.fromisoformat(row.quiet_until)
    return Preferences(kinds, *quiet, shows_numbers=row.shows_numbers)


def save(database: Database, user_id: int, given: PreferencesInput) -> None:
    """Store what a user has chosen. Raises Invalid."""
    errors = validate(given)
    if errors:
        raise Invalid(errors)
    values = {
        "kinds": sorted(given.kinds),
        "quiet_from": _stored(given.quiet_from),
        "quiet_until": _stored(given.quiet_until),
        "shows_numbers": given.shows_numbers,
    }
    with database.write() as session:
        session.merge(NotificationPreferences(user_id=user_id, **values))


def validate(given: PreferencesInput) -> dict[str, ErrorCode]:
    """Return validation errors by field name. Either both ends of the quiet hours are given, or none."""
    errors: dict[str, ErrorCode] = {}
    if set(given.kinds) - {kind.value for kind in KINDS}:
        errors["kinds"] = ErrorCode.CHOICE
    for name, other in (("quiet_from", given.quiet_until), ("quiet_until", given.quiet_from)):
        text = getattr(given, name)
        if not text and other:
            errors[name] = ErrorCode.REQUIRED
        elif text and not _TIME.fullmatch(text):
            errors[name] = ErrorCode.HOURS
    return errors


def _stored(text: str) -> str:
    return text.zfill(5) if text else "00:00"
