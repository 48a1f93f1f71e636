"""Who may see the panel: log in, log out, and the language each one reads."""

from hmac import compare_digest

from flask import Blueprint, Flask, flash, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import UserMixin, current_user, login_required, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from app.extensions import limiter, login
from app.services import users
from app.services.setup import first_administrator
from app.store.models import User
from app.web.context import cached, database
from app.web.http import is_fragment, is_local_url, local_path, parse_row_number, previous_page
from app.web.layout import THEMES
from app.web.locale import LOCALES, choose_locale

blueprint = Blueprint("auth", __name__)


class SessionUser(UserMixin):
    """The user of this session, as Flask-Login wants to see it."""

    def __init__(self, user: User) -> None:
        self.id, self.name, self.role = user.id, user.name, user.role
        self.locale, self.theme, self.extensions = user.locale, user.theme, tuple(user.extensions)
        self._stamp = users.stamp(user)

    def get_id(self) -> str:
        """Return what the session's cookie carries. Its stamp changes with the password: that ends the session."""
        return f"{self.id}:{self._stamp}"


class LoginForm(FlaskForm):
    name = StringField(_l("User name"), validators=[InputRequired(_l("This is needed."))])
    password = PasswordField(_l("Password"), validators=[InputRequired(_l("This is needed."))])


def register(app: Flask) -> None:
    """Tell Flask-Login who is who."""

    @login.user_loader
    def load(carried: str) -> SessionUser | None:
        user_id, _colon, _stamp = carried.partition(":")
        try:
            number = parse_row_number(user_id)
        except ValueError:
            return None
        known = cached(("user", number), lambda: _known(number))
        return known if known is not None and compare_digest(known.get_id().encode(), carried.encode()) else None

    login.unauthorized_handler(_ask_to_log_in)


def _known(user_id: int) -> SessionUser | None:
    user = users.load(database(), user_id)
    return SessionUser(user) if user is not None else None


def _ask_to_log_in():
    """Send whoever is not logged in to the log-in, and from there back to where they were."""
    if is_fragment():  # the browser would follow a redirect by itself, and show the log-in within the page
        answer = make_response("", 401)
        answer.headers["HX-Redirect"] = url_for("auth.log_in", next=previous_page())
        return answer
    wanted = local_path(request.url) if request.method == "GET" else None
    return redirect(url_for("auth.log_in", next=wanted))


@blueprint.route("/login", methods=["GET", "POST"])
@limiter.limit("10 per minute", methods=["POST"])
def log_in():
    """Log in; afterwards go where one wanted to go."""
    form = LoginForm()
    status = 200
    if form.validate_on_submit():
        user = users.check_password(database(), form.name.data, form.password.data)
        if user is not None:
            enter(user)
            return redirect(_wanted_page())
        form.password.errors = [_("The name or the password is wrong.")]
    if request.method == "POST":
        status = 422
    return render_template("accounts/login.html", form=form, no_users=first_administrator.is_open(database())), status


def enter(user: User) -> None:
    """Begin the session of a user."""
    _start_anew(session.get("locale"))
    login_user(SessionUser(user))


def _start_anew(locale: str | None) -> None:
    """Carry nothing of the session before into the next one, but for the language that was chosen."""
    session.clear()
    if locale is not None:
        session["locale"] = locale


def _wanted_page() -> str:
    """Return the page asked for before the log-in, if it is one of ours."""
    wanted = request.args.get("next", "")
    return wanted if is_local_url(wanted) else url_for("requests.index")


@blueprint.post("/logout")
@login_required
def log_out():
    """Log out."""
    locale = choose_locale()
    logout_user()
    _start_anew(locale)
    flash(_("You are logged out."))
    return redirect(url_for("auth.log_in"))


@blueprint.post("/language")
def language():
    """Choose the language of the panel, for this browser and, once logged in, for this user."""
    chosen = request.form.get("locale", "")
    if chosen in LOCALES:
        session["locale"] = chosen
        if current_user.is_authenticated:
            users.set_locale(database(), current_user.id, chosen)
    return redirect(previous_page())


@blueprint.post("/theme")
def theme():
    """Choose light or dark colours, or those of the device."""
    chosen = request.form.get("theme", "")
    if chosen in THEMES:
        session["theme"] = chosen
        if current_user.is_authenticated:
            users.set_theme(database(), current_user.id, chosen)
    return redirect(previous_page())
