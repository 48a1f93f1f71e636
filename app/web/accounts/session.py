"""Sessions: who is logged in, how a session starts and ends, and what an anonymous visitor gets."""

from collections.abc import Callable
from datetime import timedelta

from flask import Flask, Request, Response, abort, make_response, redirect, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_babel import gettext as _
from flask_login import UserMixin, current_user, login_user, logout_user

from app.domain.external_users import Source
from app.domain.sessions import SessionLimits, has_ended, is_fresh
from app.extensions import login
from app.services import exchanges, second_factor, sessions
from app.services.exchanges import SeenExchange
from app.services.sessions import Client
from app.store.models import User, UserSession
from app.web.assets import FILES
from app.web.context import (
    OPEN_ENDPOINTS,
    PROBES,
    WEBSITE,
    current_exchange,
    panel_database,
    panel_settings,
    panel_stored,
    utcnow,
)
from app.web.host_check import learn_host
from app.web.http import (
    exchange_root,
    is_fragment,
    local_path,
    panel_url_for,
    previous_page,
)
from app.web.problems import is_api

# How old the stored time of the last use may become. Each write makes all caches outdated.
_USE_AGE = timedelta(minutes=5)
# A page that polls is not in use: it may have been left open. A wallboard is in use as long as it is open.
_POLLS_IN_USE = frozenset({"overview.wallboard_body"})
_FILES = FILES | PROBES | WEBSITE | {"browser.manifest", "browser.service_worker", "browser.offline"}
# What a user can do who must set up the second factor first.
_BEFORE_SET_UP = _FILES | {
    *("second_factor.index", "second_factor.set_up"),
    *("provider.start", "provider.back", "auth.log_in", "auth.code", "auth.log_out", "auth.language", "auth.theme"),
}
_OF_PANEL = frozenset({"auth", "provider"})  # blueprints without anything of an exchange
_PROVED = "proved"  # in the session: the provider has asked for the password at this log-in
_LOGIN = "login"  # the token of a log-in that waits for a code, in the session


class SessionUser(UserMixin):
    """The logged-in user, for Flask-Login.

    `lacks_second_factor`: the office requires one, and the user has none. `left_to_provider`: the user has no password
    of the panel, but logs in with an OpenID Connect provider. `exchanges`: those that the user may see, at least one.
    """

    def __init__(
        self,
        user: User,
        token: str,
        row: UserSession,
        exchanges: tuple[SeenExchange, ...],
        *,
        lacks_second_factor: bool,
        left_to_provider: bool,
    ) -> None:
        self.id, self.name, self.role = user.id, user.name, user.role
        self.locale, self.theme, self.exchanges = user.locale, user.theme, exchanges
        self.session_id, self.started_at, self.used_at = row.id, row.started_at, row.used_at
        self.opens_screen_pop = user.opens_screen_pop
        self.lacks_second_factor = lacks_second_factor
        self.left_to_provider = left_to_provider
        self.source, self.has_password = row.source, bool(user.password_hash)
        self._token = token

    @property
    def extensions(self) -> tuple[str, ...]:
        """The user's extensions in the exchange of this request."""
        code = current_exchange().code
        return next((found.extensions for found in self.exchanges if found.code == code), ())

    def get_id(self) -> str:
        """Return what the session's cookie carries."""
        return self._token


class _SessionInterface(SecureCookieSessionInterface):
    """Flask's own, whose cookie is only sent by https if it was received by https, and never with a static file.

    The API has no sessions: a cookie does not say who calls, and the answer sets none.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return self.session_class() if is_api() else super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if request.endpoint not in _FILES and not is_api():  # they are the same for everybody, and caches may keep them
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register(app: Flask) -> None:
    """Tell Flask-Login how to load users, and what to do with anonymous visitors."""
    login.user_loader(_load)
    login.unauthorized_handler(_redirect_to_login)
    app.session_interface = _SessionInterface()
    app.before_request(_keep_in_exchanges)
    app.before_request(_mark_used)
    app.before_request(_lead_to_set_up)
    app.context_processor(lambda: {"may_use_panel": may_use_panel()})


def limits() -> SessionLimits:
    """Return the limits of sessions."""
    return sessions.limits_of(panel_settings())


def client() -> Client:
    """Return where this request comes from."""
    return Client(request.remote_addr or "", request.user_agent.string)


def may_use_panel() -> bool:
    """Return whether somebody is logged in, and with the second factor if the office requires it."""
    return current_user.is_authenticated and not current_user.lacks_second_factor


def session_is_fresh() -> bool:
    """Return whether the user has just logged in, so that the password need not be asked for again."""
    if current_user.source == Source.OIDC and not session.get(_PROVED):
        return False  # the provider may have asked for no password
    return is_fresh(current_user.started_at, utcnow())


def _load(token: str) -> SessionUser | None:
    """Return the user of a session, or None if the session has ended."""
    digest = sessions.digest(token)
    user = panel_database().cached(("session", digest), lambda: _find(token, digest))
    if user is None or has_ended(user.started_at, user.used_at, utcnow(), limits()):
        return None
    return user


def _find(token: str, digest: str) -> SessionUser | None:
    found = sessions.find(panel_database(), digest)
    if found is None:
        return None
    row, user, several = found
    seen = exchanges.seen_by(panel_database(), user, several=several)
    if not seen:
        return None
    return SessionUser(
        user,
        token,
        row,
        seen,
        lacks_second_factor=second_factor.is_missing(panel_database(), user, panel_stored()),
        left_to_provider=second_factor.is_left_to_provider(panel_database(), user),
    )


def _keep_in_exchanges():
    """Refuse a request for an exchange that does not exist or that the user may not see. Both look the same.

    A request for a page is redirected to an exchange that the user may see.
    """
    if request.endpoint in FILES or request.blueprint in _OF_PANEL or is_api():
        return None
    here = current_exchange()
    if not here.is_other:
        return None
    if not current_user.is_authenticated:
        return abort(404) if request.endpoint in OPEN_ENDPOINTS | _FILES else None  # else they must log in first
    if request.method == "GET" and not is_fragment():
        return redirect(f"{exchange_root(here.code)}/")
    return abort(403, _("You may not see this exchange."))


def _mark_used() -> None:
    """Store now and then that the session is in use. What a page sends by itself is no use."""
    if request.endpoint in _FILES or not current_user.is_authenticated:
        return
    if request.method == "GET" and is_fragment() and request.endpoint not in _POLLS_IN_USE:
        return
    now = utcnow()
    if now - current_user.used_at >= min(_USE_AGE, limits().idle / 4):
        sessions.mark_used(panel_database(), current_user.session_id, now)


def _lead_to_set_up():
    """Redirect a user who must set up the second factor first."""
    if request.endpoint not in _BEFORE_SET_UP and current_user.is_authenticated and current_user.lacks_second_factor:
        return _redirect_to(url_for, "second_factor.index")
    return None


def _redirect_to_login():
    return _redirect_to(panel_url_for, "auth.log_in")


def _redirect_to(address: Callable[..., str], endpoint: str):
    """Redirect to the log-in, or to the next step of it, and from there back to the page."""
    if is_fragment():  # HTMX would follow a normal redirect and show the log-in inside the page
        answer = make_response("", 401)
        answer.headers["HX-Redirect"] = address(endpoint, next=previous_page())
        return answer
    page = local_path(request.url) if request.method == "GET" else None
    return redirect(address(endpoint, next=page))


def wait_for_code(token: str) -> None:
    """Remember in the browser that a log-in waits for a code. Nobody is logged in meanwhile."""
    theme = session.get("theme")
    _end_session_before()
    session[_LOGIN] = token
    if theme is not None:
        session["theme"] = theme


def waiting_login() -> str:
    """Return the token of the log-in that waits for a code in this browser, or ""."""
    return str(session.get(_LOGIN, ""))


def forget_waiting_login() -> bool:
    """Forget the log-in that has waited for a code in this browser. Return whether there was one."""
    return session.pop(_LOGIN, None) is not None


def start_session(user: User, *, source: str = "", id_token: str = "", proved: bool = False) -> None:
    """Log a user in. Nothing of the session before stays, except the chosen language.

    `source`, `id_token`: of the provider, see `UserSession`. `proved`: it has asked for the password just now.
    """
    _end_session_before()
    token = sessions.start(panel_database(), user, client(), utcnow(), limits(), source=source, id_token=id_token)
    if proved:
        session[_PROVED] = True
    started = _load(token)
    if started is not None:  # None: the user was deactivated, or got another password, just now
        login_user(started)
        learn_host()


def end_session(locale: str) -> str:
    """Log the user out. `locale` is the language for the pages that follow. Return the ID token of the session."""
    address, session_id = client().address, current_user.session_id
    id_token = sessions.log_out(panel_database(), current_user.id, session_id, utcnow(), address=address)
    logout_user()
    _clear(locale)
    return id_token


def _end_session_before() -> None:
    """End the session of this browser before another one starts."""
    if current_user.is_authenticated:  # its session would have no browser any more
        sessions.drop(panel_database(), current_user.session_id)
    _clear(session.get("locale"))


def _clear(locale: str | None) -> None:
    session.clear()
    if locale is not None:
        session["locale"] = locale
