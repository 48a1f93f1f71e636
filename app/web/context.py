"""What views get from the application: settings, the database, cached values, the user's scope and rights."""

from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import wraps
from typing import TypeVar

from flask import abort, current_app
from flask_babel import gettext as _
from flask_login import current_user, login_required

from app.audio.library import SoundLibrary
from app.config import Settings
from app.services.counts import Counts
from app.services.pbx.directory import Directory, load_directory
from app.services.requests.access import Scope, scope_of
from app.store import settings as settings_store
from app.store.database import Database
from app.store.settings import OfficeSettings, PbxSettings

Value = TypeVar("Value")


def settings() -> Settings:
    return current_app.extensions["bazang"]["settings"]


def database() -> Database:
    return current_app.extensions["bazang"]["database"]


def counts() -> Counts:
    """Return the counts of this process, which hold for all web processes."""
    return current_app.extensions["bazang"]["counts"]


def cached(key: Hashable, read: Callable[[], Value]) -> Value:
    """Return the result of `read`, cached until the database changes. It must not be modified."""
    return database().cached(key, read)


def cached_query(key: Hashable, query: Callable[..., Value]) -> Value:
    """Return the result of `query`, which gets a read session, cached until the database changes."""
    return database().cached_query(key, query)


def stored() -> dict[str, str]:
    """Return the values stored by the settings page. They must not be modified."""
    return cached_query("stored", settings_store.read_all)


def office() -> OfficeSettings:
    """Return the effective office settings."""
    return cached_query("office", lambda session: settings_store.office(session, settings()))


def pbx() -> PbxSettings:
    """Return the effective PBX settings."""
    return cached_query("pbx", lambda session: settings_store.pbx(session, settings()))


def directory() -> Directory:
    """Return the extensions and queues of the PBX, and all modules."""
    return cached_query("directory", load_directory)


def library() -> SoundLibrary:
    return SoundLibrary(settings().prompts_path, settings().voices_path)


def utcnow() -> datetime:
    return datetime.now(UTC)


def current_scope() -> Scope:
    """Return the scope of the user."""
    return scope_of(current_user)


def administrator_required(view):
    """Abort with 403 unless the user is an administrator."""

    @wraps(view)
    @login_required
    def guarded(*args, **kwargs):
        if current_user.role != "administrator":
            abort(403)
        return view(*args, **kwargs)

    return guarded


def supervisor_required(view):
    """Abort with 403 unless the user is a supervisor or an administrator."""

    @wraps(view)
    @login_required
    def guarded(*args, **kwargs):
        if not current_scope().everything:
            abort(403, _("Only supervisors and administrators may do this."))
        return view(*args, **kwargs)

    return guarded
