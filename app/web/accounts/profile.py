"""A user's own account: password, language and colours."""

from flask import Blueprint, flash, redirect, render_template, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField

from app.extensions import limiter
from app.services import users
from app.services.errors import Invalid
from app.web import wording
from app.web.accounts.login import enter
from app.web.accounts.users import LOCALES
from app.web.context import database, utcnow
from app.web.fields import choices, has_errors, show_errors
from app.web.locale import office_locale, use_locale

blueprint = Blueprint("account", __name__, url_prefix="/account")


class PasswordForm(FlaskForm):
    old_password = PasswordField(_l("Old password"))
    password = PasswordField(_l("New password"), description=_l("At least 8 characters."))
    again = PasswordField(_l("New password once more"))


class PreferencesForm(FlaskForm):
    locale = SelectField(_l("Language of the panel"), choices=choices(LOCALES), validate_choice=False)
    theme = SelectField(_l("Colours"), choices=choices(wording.THEME), validate_choice=False)


@blueprint.get("")
@login_required
def index():
    """Show one's own account."""
    return _page(PasswordForm(formdata=None), _preferences())


@blueprint.post("/password")
@login_required
@limiter.limit("10 per minute")
def password():
    """Take another password. All sessions end but this one."""
    form = PasswordForm()
    form.validate()
    if form.password.data != form.again.data:
        form.again.errors = [wording.error("unlike")]
    if not has_errors(form):
        try:
            users.change_password(
                database(), current_user.id, form.old_password.data or "", form.password.data or "", utcnow()
            )
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            enter(users.find(database(), current_user.id))
            flash(_("Your password is changed. Wherever else you were logged in, you are logged out."), "success")
            return redirect(url_for("account.index"))
    return _page(form, _preferences()), 422


@blueprint.post("")
@login_required
def preferences():
    """Take another language and other colours."""
    form = PreferencesForm()
    form.validate()
    try:
        users.set_preferences(database(), current_user.id, form.locale.data or None, form.theme.data or "")
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(PasswordForm(formdata=None), form), 422
    session.pop("locale", None)  # what was chosen for this browser gives way to what was chosen for the user
    session.pop("theme", None)
    with use_locale(form.locale.data or office_locale()):  # it is read on the next page
        flash(_("Your choice is saved."), "success")
    return redirect(url_for("account.index"))


def _preferences() -> PreferencesForm:
    form = PreferencesForm(formdata=None)
    form.locale.data, form.theme.data = current_user.locale or "", current_user.theme
    return form


def _page(form: PasswordForm, preferences: PreferencesForm) -> str:
    return render_template("accounts/profile.html", form=form, preferences=preferences)
