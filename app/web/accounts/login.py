"""The pages of the log-in, and what visitors can do on every page: log out, choose the language and the theme."""

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from app.domain.external_users import Source
from app.identity.errors import Unreachable
from app.services import logins, users
from app.services.errors import ErrorCode
from app.services.identities import LoginRefused
from app.services.logins import CodeNeeded, LoginEnded, TooManyFailures, WrongCode, WrongPassword
from app.services.setup import first_administrator
from app.store.models import User
from app.web import wording
from app.web.accounts import known_browsers, sources
from app.web.accounts.session import (
    end_session,
    forget_waiting_login,
    start_session,
    wait_for_code,
    waiting_login,
)
from app.web.accounts.tries import clock_hint, retry_later, source_for
from app.web.context import panel_database, panel_settings, utcnow
from app.web.fields import DigitsField, PanelForm, show_errors
from app.web.http import previous_page, requested_page
from app.web.layout import THEMES
from app.web.locale import LOCALES, choose_locale

blueprint = Blueprint("auth", __name__)


class LoginForm(PanelForm):
    name = StringField(_l("User name"), validators=[InputRequired(wording.ERROR["required"])])
    password = PasswordField(_l("Password"), validators=[InputRequired(wording.ERROR["required"])])


class CodeForm(PanelForm):
    code = DigitsField(_l("Code"), validators=[InputRequired(wording.ERROR["required"])])


@blueprint.route("/login", methods=["GET", "POST"])
def log_in():
    """Log in, and go to the page that was requested before."""
    form = LoginForm()
    if request.method == "GET":
        return _page(form)
    if not form.validate():
        return _page(form), 422
    name = form.name.data or ""
    password = form.password.data or ""
    try:
        user = logins.log_in(panel_database(), name, password, source_for(name), utcnow(), sources.ldap())
    except TooManyFailures as error:
        headers = retry_later(form.password, error.wait)
        return _page(form), 429, headers
    except WrongPassword:
        form.password.errors = [_("The name or the password is wrong.")]
        return _page(form), 422
    except Unreachable:
        return login_page(sources.unreachable_text(Source.LDAP), form), 503
    except LoginRefused as refused:
        return login_page(sources.refusal_text(refused), form), 403
    except CodeNeeded as needed:
        wait_for_code(needed.token)
        return redirect(url_for("auth.code", next=request.args.get("next")))
    return _welcome(user)


def _welcome(user: User):
    """Start the session of a user, and go to the page that was requested before."""
    start_session(user)
    response = make_response(redirect(requested_page()))
    known_browsers.remember(response, user.name)
    return response


def login_page(error: str, form: LoginForm | None = None) -> str:
    """Return the page of the log-in with an error that belongs to no field."""
    return _page(form or LoginForm(formdata=None), error)


def _page(form: LoginForm, error: str = "") -> str:
    provider = sources.provider()
    if not error and provider is not None and provider.is_known_unreachable():
        error = sources.unreachable_text(Source.OIDC)
    no_administrator = first_administrator.is_open(panel_database())
    return render_template("accounts/login.html", form=form, error=error, no_administrator=no_administrator)


# -- the second step --------------------------------------------------------------------------------------------------


@blueprint.route("/login/code", methods=["GET", "POST"])
def code():
    """Ask for the code of the second factor after the right password. Then the user is logged in."""
    form, token = CodeForm(), waiting_login()
    try:
        waiting = logins.waiting_user(panel_database(), token, utcnow())
        if request.method == "GET":
            return _code_page(form)
        if not form.validate():
            return _code_page(form), 422
        typed = form.code.data or ""
        user = logins.enter_code(panel_database(), panel_settings(), token, typed, source_for(waiting.name), utcnow())
    except LoginEnded:
        if forget_waiting_login():
            flash(_("This log-in took too long or was ended. Log in again."), "warning")
        return redirect(url_for("auth.log_in", next=request.args.get("next")))
    except TooManyFailures as error:
        headers = retry_later(form.code, error.wait)
        return _code_page(form), 429, headers
    except WrongCode:
        show_errors(form, {"code": ErrorCode.WRONG_CODE})
        return _code_page(form, hint=clock_hint()), 422
    return _welcome(user)


def _code_page(form: CodeForm, hint: str = "") -> str:
    by_recovery_code = "recovery" in request.args
    form.code.label.text = _("Recovery code") if by_recovery_code else _("Code")
    return render_template("accounts/login_code.html", form=form, by_recovery_code=by_recovery_code, hint=hint)


# -- for every page ---------------------------------------------------------------------------------------------------


@blueprint.post("/logout")
@login_required
def log_out():
    """Log out."""
    by_provider = current_user.source == Source.OIDC
    id_token = end_session(choose_locale())
    page = sources.leave_page(id_token) if by_provider else None
    if page is not None:
        return page
    flash(_("You are logged out."))
    return redirect(url_for("auth.log_in"))


@blueprint.post("/language")
def language():
    """Set the language in this browser, and for the user who is logged in."""
    chosen = request.form.get("locale", "")
    if chosen in LOCALES:
        session["locale"] = chosen
        if current_user.is_authenticated:
            users.set_locale(panel_database(), current_user.id, chosen)
    return redirect(previous_page())


@blueprint.post("/theme")
def theme():
    """Set the theme in this browser, and for the user who is logged in."""
    chosen = request.form.get("theme", "")
    if chosen in THEMES:
        session["theme"] = chosen
        if current_user.is_authenticated:
            users.set_theme(panel_database(), current_user.id, chosen)
    return redirect(previous_page())
