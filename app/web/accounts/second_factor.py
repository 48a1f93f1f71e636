"""The pages on which users set up the second factor of their log-in, and turn it off."""

from collections.abc import Sequence

import segno
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from markupsafe import Markup
from wtforms import PasswordField

from app.services import second_factor, users
from app.services.errors import Invalid, NotFound
from app.web.accounts.session import session_is_fresh, start_session
from app.web.accounts.tries import check_again, clock_hint
from app.web.context import panel_database, panel_settings, utcnow
from app.web.fields import DigitsField, PanelForm, has_errors, show_errors
from app.web.http import requested_page

blueprint = Blueprint("second_factor", __name__, url_prefix="/account/second-factor")

SECRET_GROUP = 4  # letters


class PasswordForm(PanelForm):
    password = PasswordField(_l("Password"))


class FirstCodeForm(PanelForm):
    code = DigitsField(_l("Code"))


class CheckForm(PanelForm):
    """The password and a code, asked for before a change."""

    password = PasswordField(_l("Password"))
    code = DigitsField(_l("Code"), description=_l("From your phone, or a recovery code."))


# -- turning it on ----------------------------------------------------------------------------------------------------


@blueprint.route("", methods=["GET", "POST"])
@login_required
def index():
    """Explain the second factor. Make a secret, after asking for the password unless the session is fresh."""
    if second_factor.state(panel_database(), current_user.id) is not None:
        return redirect(url_for("account.index"))
    if current_user.left_to_provider:
        return redirect(url_for("account.index"))
    form = PasswordForm()
    if request.method == "GET":
        return _start_page(form)
    form.validate()
    if has_errors(form):
        return _start_page(form), 422
    if not session_is_fresh():
        answer = check_again(form, lambda: _start_page(form))
        if answer is not None:
            return answer
    try:
        second_factor.start(panel_database(), panel_settings(), current_user.id, current_user.session_id, utcnow())
    except NotFound:  # it was turned on in another window
        return redirect(url_for("account.index"))
    return redirect(url_for("second_factor.set_up", next=request.args.get("next")))


def _start_page(form: PasswordForm) -> str:
    return render_template("accounts/second_factor.html", form=form, asks_password=not session_is_fresh())


@blueprint.route("/set-up", methods=["GET", "POST"])
@login_required
def set_up():
    """Show the new secret and ask for its first code. Then show the recovery codes, once."""
    form, own, used_session = FirstCodeForm(), current_user.id, current_user.session_id
    try:
        secret = second_factor.new_secret(panel_database(), panel_settings(), own, used_session, utcnow())
        if request.method == "GET":
            return _set_up_page(form, secret)
        form.validate()
        codes = second_factor.confirm(
            panel_database(), panel_settings(), own, used_session, form.code.data or "", utcnow()
        )
    except NotFound:
        return redirect(url_for("second_factor.index", next=request.args.get("next")))
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _set_up_page(form, secret, hint=clock_hint()), 422
    start_session(users.get(panel_database(), own))  # the one before has ended
    flash(_("The two-step log-in is on. All your other sessions have ended."), "success")
    return _show_recovery_codes(codes, requested_page())


def _set_up_page(form: FirstCodeForm, secret: str, hint: str = "") -> str:
    groups = [secret[start : start + SECRET_GROUP] for start in range(0, len(secret), SECRET_GROUP)]
    picture = _draw(second_factor.address_of(secret, current_user.name))
    return render_template(
        "accounts/second_factor_set_up.html", form=form, picture=picture, secret=" ".join(groups), hint=hint
    )


def _draw(text: str) -> Markup:
    """Return a QR code as SVG. It has no styles, which the Content-Security-Policy forbids, and is always light."""
    code = segno.make(text, micro=False)
    drawn = code.svg_inline(omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None)
    return Markup(drawn)  # noqa: S704 - it contains numbers only


def _show_recovery_codes(codes: Sequence[str], following: str) -> str:
    """Show recovery codes in this response, because only their digests are stored. `following`: the next page."""
    return render_template("accounts/recovery_codes.html", codes=codes, following=following, host=request.host)


# -- changing it ------------------------------------------------------------------------------------------------------


@blueprint.route("/recovery-codes", methods=["GET", "POST"])
@login_required
def recovery_codes():
    """Ask for the password and a code, then replace the recovery codes."""
    return _change("accounts/recovery_codes_new.html", _replace_recovery_codes)


def _replace_recovery_codes():
    codes = second_factor.replace_recovery_codes(panel_database(), current_user.id, utcnow())
    return _show_recovery_codes(codes, url_for("account.index"))


@blueprint.route("/off", methods=["GET", "POST"])
@login_required
def turn_off():
    """Ask for the password and a code, then turn the second factor off."""
    return _change("accounts/second_factor_off.html", _turn_off)


def _turn_off():
    second_factor.turn_off(panel_database(), current_user.id, utcnow())
    flash(_("The two-step log-in is off."), "success")
    return redirect(url_for("account.index"))


def _change(template: str, change):
    """Show a form for the password and a code. Call `change` if both are right, and return its answer."""
    if second_factor.state(panel_database(), current_user.id) is None:
        return redirect(url_for("account.index"))
    form = CheckForm()
    if request.method == "GET":
        return render_template(template, form=form, hint="")
    form.validate()
    answer = check_again(form, lambda hint="": render_template(template, form=form, hint=hint))
    try:
        return change() if answer is None else answer
    except NotFound:  # it was reset just now
        return redirect(url_for("account.index"))
