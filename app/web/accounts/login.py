"""The log-in page, and what visitors can do on every page: log out, choose the language and the theme."""

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from app.extensions import limiter
from app.services import users
from app.services.setup import first_administrator
from app.web import wording
from app.web.accounts.session import end_session, start_session
from app.web.context import database
from app.web.http import is_local_url, previous_page
from app.web.layout import THEMES
from app.web.locale import LOCALES, choose_locale

blueprint = Blueprint("auth", __name__)


class LoginForm(FlaskForm):
    name = StringField(_l("User name"), validators=[InputRequired(wording.ERROR["required"])])
    password = PasswordField(_l("Password"), validators=[InputRequired(wording.ERROR["required"])])


@blueprint.route("/login", methods=["GET", "POST"])
@limiter.limit("10 per minute", methods=["POST"])
def log_in():
    """Log in, and go to the page that was requested before."""
    form = LoginForm()
    if request.method == "GET":
        return _page(form)
    if form.validate():
        user = users.check_password(database(), form.name.data, form.password.data)
        if user is not None:
            start_session(user)
            return redirect(_requested_page())
        form.password.errors = [_("The name or the password is wrong.")]
    return _page(form), 422


def _page(form: LoginForm) -> str:
    return render_template("accounts/login.html", form=form, no_administrator=first_administrator.is_open(database()))


def _requested_page() -> str:
    """Return the page that was requested before the log-in, if it is a page of the panel."""
    page = request.args.get("next", "")
    return page if is_local_url(page) else url_for("requests.index")


@blueprint.post("/logout")
@login_required
def log_out():
    """Log out."""
    end_session(choose_locale())
    flash(_("You are logged out."))
    return redirect(url_for("auth.log_in"))


@blueprint.post("/language")
def language():
    """Set the language in this browser, and for the user who is logged in."""
    chosen = request.form.get("locale", "")
    if chosen in LOCALES:
        session["locale"] = chosen
        if current_user.is_authenticated:
            users.set_locale(database(), current_user.id, chosen)
    return redirect(previous_page())


@blueprint.post("/theme")
def theme():
    """Set the theme in this browser, and for the user who is logged in."""
    chosen = request.form.get("theme", "")
    if chosen in THEMES:
        session["theme"] = chosen
        if current_user.is_authenticated:
            users.set_theme(database(), current_user.id, chosen)
    return redirect(previous_page())
