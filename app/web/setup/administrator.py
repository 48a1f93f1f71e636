"""Step 1: create the first administrator, with the token of the setup link."""

from flask import redirect, render_template, request, session, url_for
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import PasswordField, StringField

from app.extensions import limiter
from app.services.errors import ErrorCode, Invalid
from app.services.setup import first_administrator
from app.services.setup.first_administrator import InvalidToken
from app.store.models import User
from app.web.accounts.session import start_session
from app.web.context import database, settings, utcnow
from app.web.fields import PanelForm, has_errors, show_errors
from app.web.setup.steps import blueprint

_TOKEN = "setup_token"  # noqa: S105 - its key in the session


class AdministratorForm(PanelForm):
    name = StringField(_l("User name"), description=_l("You log in with this name."))
    password = PasswordField(
        _l("Password"), description=_l("At least 8 characters. Several words are easy to remember.")
    )
    again = PasswordField(_l("Repeat the password"))


@blueprint.route("", methods=["GET", "POST"])
@limiter.limit("20 per minute")
def index():
    """Create the first administrator. Only the setup link opens this page."""
    if not first_administrator.is_open(database()):
        return _closed()
    if "token" in request.args:
        return _store_token(request.args["token"])
    token = session.get(_TOKEN, "")
    if not first_administrator.token_is_valid(database(), token, utcnow()):
        return _invalid_link()
    form = AdministratorForm()
    if request.method == "GET":
        return _page(form)
    try:
        user = _create(form, token)
    except InvalidToken:
        return _invalid_link()
    if user is None:
        return _page(form), 422
    start_session(user)
    return redirect(url_for("setup.place"))


def _create(form: AdministratorForm, token: str) -> User | None:
    """Create the administrator, or show the form's errors and return None. Raises InvalidToken."""
    form.validate()
    if form.password.data != form.again.data:
        show_errors(form, {"again": ErrorCode.PASSWORDS_DIFFER})
    if has_errors(form):
        return None
    name, password = form.name.data or "", form.password.data or ""
    try:
        return first_administrator.redeem(database(), settings(), token, name, password, utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return None


def _store_token(token: str):
    """Move a valid token from the address to the session, so that no browser history or referrer contains it."""
    if not first_administrator.token_is_valid(database(), token, utcnow()):
        return _invalid_link()
    session[_TOKEN] = token
    return redirect(url_for("setup.index"))


def _page(form: AdministratorForm) -> str:
    return render_template("setup/administrator.html", form=form, step_number=1)


def _closed():
    session.pop(_TOKEN, None)
    if current_user.is_authenticated and current_user.role == "administrator":
        return redirect(url_for("setup.place"))
    return render_template("setup/closed.html", is_open=False), 403


def _invalid_link():
    session.pop(_TOKEN, None)
    return render_template("setup/closed.html", is_open=True), 403
