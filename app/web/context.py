"""What the views are given by the application."""

from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import wraps
from typing import TypeVar

from flask import abort, current_app
from flask_babel import gettext as _
from flask_login import current_user, login_required
from sqlalchemy.orm import Session

from app.audio.library import SoundLibrary
from app.config import Settings
from app.services.requests.access import scope_of
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import OfficeSettings, PbxSettings

Value = TypeVar("Value")


def settings() -> Settings:
    return current_app.extensions["bazang"]["settings"]


def database() -> Database:
    return current_app.extensions["bazang"]["database"]


def cached(key: Hashable, read: Callable[[], Value]) -> Value:
    """Return what `read` gives, or gave since the database last changed: what every page needs is read once."""
    found: Value = current_app.extensions["bazang"]["kept"].get(key, read)
    return found


def cached_query(key: Hashable, look: Callable[[Session], Value]) -> Value:
    """Do the same with what `look` finds in a session."""

    def read() -> Value:
        with database().read() as session:
            return look(session)

    return cached(key, read)


def stored() -> dict[str, str]:
    """Return what the settings page has stored; nobody may change it."""
    return cached_query("stored", store_settings.read_all)


def office() -> OfficeSettings:
    """Return the office's settings in force."""
    return cached_query("office", lambda session: store_settings.office(session, settings()))


def pbx() -> PbxSettings:
    """Return how the exchange is reached, and of what kind it is."""
    return cached_query("exchange", lambda session: store_settings.pbx(session, settings()))


def library() -> SoundLibrary:
    return SoundLibrary(settings().prompts_path, settings().voices_path)


def utcnow() -> datetime:
    return datetime.now(UTC)


def administrator_required(view):
    """Let administrators alone pass; everybody else is told that it is not theirs."""

    @wraps(view)
    @login_required
    def guarded(*args, **kwargs):
        if current_user.role != "administrator":
            abort(403)
        return view(*args, **kwargs)

    return guarded


def overseer_required(view):
    """Let supervisors and administrators pass; everybody else is told that it is not theirs."""

    @wraps(view)
    @login_required
    def guarded(*args, **kwargs):
        if not scope_of(current_user).everything:
            abort(403, _("Only a supervisor or an administrator may do this."))
        return view(*args, **kwargs)

    return guarded
