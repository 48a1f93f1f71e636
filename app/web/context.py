"""What views get from the application: settings, the database, cached values, the user's scope and rights.

Settings and database are those of the exchange that the address names, if the user may see it. Otherwise they are those
of one that the user may see. So a view cannot show anybody another exchange, whatever it forgets to check.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import TypeVar

from flask import abort, current_app, g, has_request_context, request
from flask_babel import gettext as _
from flask_login import current_user, login_required

from app import config
from app.audio.library import SoundLibrary
from app.config import FIRST_EXCHANGE, Settings
from app.services.counts import Counts
from app.services.pbx.directory import Directory, load_directory
from app.services.requests.access import Scope, scope_of
from app.services.sounds import open_library
from app.store import settings as settings_store
from app.store.database import Database
from app.store.exchanges import Exchanges, UnknownExchange
from app.store.settings import OfficeSettings, PbxSettings
from app.web.problems import API_PATH
from app.web.url_prefix import EXCHANGE

Value = TypeVar("Value")
_CURRENT = "bazang_exchange"
# The endpoints that monitors ask. They need neither a log-in nor the database.
PROBES = frozenset({"monitoring.alive", "monitoring.ready", "monitoring.metrics"})
# The endpoints that visitors of websites use. They have no session.
WEBSITE = frozenset({f"website.{name}" for name in ("script", "challenge", "send", "ask", "confirm")})
OPEN_ENDPOINTS = PROBES | WEBSITE  # for everybody, in every exchange


@dataclass(frozen=True)
class CurrentExchange:
    """The exchange of a request. `is_other`: not the one that the address names, which the user may not see."""

    code: str
    database: Database
    settings: Settings
    is_other: bool = False


def panel_settings() -> Settings:
    """Return the settings of the panel, which are those of the first exchange."""
    return current_app.extensions["bazang"]["settings"]


def panel_database() -> Database:
    """Return the database of the first exchange, for what belongs to the whole panel, such as users."""
    return current_app.extensions["bazang"]["database"]


def exchanges() -> Exchanges:
    return current_app.extensions["bazang"]["exchanges"]


def named_exchange() -> str:
    """Return the code of the exchange that the address names."""
    return str(request.environ.get(EXCHANGE, FIRST_EXCHANGE))


def current_exchange() -> CurrentExchange:
    """Return the exchange of this request."""
    if not has_request_context():
        return _open(FIRST_EXCHANGE)
    found = g.get(_CURRENT)
    if found is None:
        # While it is found out who asks, what belongs to the panel is read from the first exchange.
        setattr(g, _CURRENT, _open(FIRST_EXCHANGE))
        try:
            found = _choose()
        except BaseException:  # the page about the error must not show the first exchange either
            g.pop(_CURRENT)
            raise
        setattr(g, _CURRENT, found)
    return found


def enter_exchange(code: str) -> None:
    """Let the rest of this request be about an exchange. The caller has checked who asks."""
    setattr(g, _CURRENT, _open(code))


def _choose() -> CurrentExchange:
    code = named_exchange()
    if request.path.startswith(API_PATH):
        return _open(FIRST_EXCHANGE)  # until the token has said who calls, see api/access.py
    if request.endpoint in OPEN_ENDPOINTS:
        try:
            return _open(code)
        except UnknownExchange:
            return _open(FIRST_EXCHANGE, is_other=True)
    if not current_user.is_authenticated:
        return _open(FIRST_EXCHANGE, is_other=code != FIRST_EXCHANGE)
    seen = [found.code for found in current_user.exchanges]
    return _open(code) if code in seen else _open(seen[0], is_other=True)


def _open(code: str, *, is_other: bool = False) -> CurrentExchange:
    """Raises UnknownExchange."""
    return CurrentExchange(code, exchanges().find(code), panel_settings().for_exchange(code), is_other)


def command(arguments: str) -> str:
    """Return the line to type for a command about the exchange of this request."""
    return config.command(arguments, current_exchange().code)


def settings() -> Settings:
    return current_exchange().settings


def database() -> Database:
    return current_exchange().database


def counts() -> Counts:
    """Return the counts of this process, which hold for all web processes."""
    here = current_exchange()
    counts: dict[str, Counts] = current_app.extensions["bazang"]["counts"]
    found = counts.get(here.code)
    if found is None or found.database is not here.database:  # an exchange of this code was removed and added again
        found = counts[here.code] = Counts(here.database)
    return found


def cached(key: Hashable, read: Callable[[], Value]) -> Value:
    """Return the result of `read`, cached until the database changes. It must not be modified."""
    return database().cached(key, read)


def cached_query(key: Hashable, query: Callable[..., Value]) -> Value:
    """Return the result of `query`, which gets a read session, cached until the database changes."""
    return database().cached_query(key, query)


def stored() -> dict[str, str]:
    """Return the values stored by the settings page. They must not be modified."""
    return cached_query("stored", settings_store.read_all)


def panel_stored() -> dict[str, str]:
    """Return the stored values of the first exchange, among them the settings of the panel."""
    return panel_database().cached_query("stored", settings_store.read_all)


def office() -> OfficeSettings:
    """Return the effective office settings."""
    return cached("office", lambda: settings_store.office_of(settings(), stored()))


def pbx() -> PbxSettings:
    """Return the effective PBX settings."""
    return cached("pbx", lambda: settings_store.pbx_of(settings(), stored()))


def directory() -> Directory:
    """Return the extensions and queues of the PBX, and all modules."""
    return cached_query("directory", load_directory)


def library() -> SoundLibrary:
    return open_library(settings(), database())


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
