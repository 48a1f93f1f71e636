"""Sessions: who is logged in, how a session starts and ends, and what an anonymous visitor gets."""

from hmac import compare_digest

from flask import Flask, make_response, redirect, request, session, url_for
from flask_login import UserMixin, login_user, logout_user

from app.extensions import login
from app.services import users
from app.store.models import User
from app.web.context import cached, database
from app.web.http import is_fragment, local_path, parse_row_number, previous_page


class SessionUser(UserMixin):
    """The logged-in user, for Flask-Login."""

    def __init__(self, user: User) -> None:
        self.id, self.name, self.role = user.id, user.name, user.role
        self.locale, self.theme, self.extensions = user.locale, user.theme, tuple(user.extensions)
        self._stamp = users.session_stamp(user)

    def get_id(self) -> str:
        """Return what the session's cookie carries. The stamp changes with the password, which ends the session."""
        return f"{self.id}:{self._stamp}"


def register(app: Flask) -> None:
    """Tell Flask-Login how to load users, and what to do with anonymous visitors."""
    login.user_loader(_load)
    login.unauthorized_handler(_redirect_to_login)


def _load(session_id: str) -> SessionUser | None:
    """Return the user of a session, or None if the session is not valid any more."""
    try:
        user_id = parse_row_number(session_id.partition(":")[0])
    except ValueError:
        return None
    user = cached(("user", user_id), lambda: _find(user_id))
    return user if user is not None and compare_digest(user.get_id().encode(), session_id.encode()) else None


def _find(user_id: int) -> SessionUser | None:
    user = users.get_active(database(), user_id)
    return SessionUser(user) if user is not None else None


def _redirect_to_login():
    """Redirect to the log-in, and from there back to the page."""
    if is_fragment():  # HTMX would follow a normal redirect and show the log-in inside the page
        answer = make_response("", 401)
        answer.headers["HX-Redirect"] = url_for("auth.log_in", next=previous_page())
        return answer
    page = local_path(request.url) if request.method == "GET" else None
    return redirect(url_for("auth.log_in", next=page))


def start_session(user: User) -> None:
    """Log a user in. Nothing of the session before stays, except the chosen language."""
    _clear(session.get("locale"))
    login_user(SessionUser(user))


def end_session(locale: str) -> None:
    """Log the user out. `locale` is the language for the pages that follow."""
    logout_user()
    _clear(locale)


def _clear(locale: str | None) -> None:
    session.clear()
    if locale is not None:
        session["locale"] = locale
