"""The page of the user's own account: password, second factor, language, theme and sessions."""

from flask import Blueprint, abort, flash, redirect, render_template, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from wtforms import BooleanField, PasswordField, SelectField

from app.extensions import limiter
from app.services import identities, second_factor, sessions, users
from app.services.api import tokens
from app.services.errors import ErrorCode, Invalid, NotFound
from app.web import wording
from app.web.accounts.session import client, limits, start_session
from app.web.accounts.user_form import LOCALES
from app.web.context import database, stored, utcnow
from app.web.fields import PanelForm, choices, has_errors, show_errors
from app.web.locale import office_locale, use_locale

blueprint = Blueprint("account", __name__, url_prefix="/account")


class PasswordForm(PanelForm):
    old_password = PasswordField(_l("Old password"))
    password = PasswordField(_l("New password"), description=_l("At least 8 characters."))
    again = PasswordField(_l("Repeat the new password"))


class PreferencesForm(PanelForm):
    locale = SelectField(_l("Language of the panel"), choices=choices(LOCALES), validate_choice=False)
    theme = SelectField(_l("Theme"), choices=choices(wording.THEME), validate_choice=False)


class ScreenPopForm(PanelForm):
    opens = BooleanField(
        _l("Open the customer's page in a new tab when I answer"),
        description=_l(
            "Otherwise there is only a link. A page of the panel must be open. The browser asks once, or blocks the "
            "tab: then allow pop-ups for this address in it."
        ),
    )


@blueprint.get("")
@login_required
def index():
    """Show the user's own account."""
    return _page(PasswordForm(formdata=None), _preferences())


@blueprint.post("/password")
@login_required
@limiter.limit("10 per minute", key_func=lambda: f"user {getattr(current_user, 'id', 0)}")
def password():
    """Change the user's own password. All their sessions end except this one."""
    form = PasswordForm()
    form.validate()
    if form.password.data != form.again.data:
        show_errors(form, {"again": ErrorCode.PASSWORDS_DIFFER})
    if has_errors(form) or not _change_password(form):
        return _page(form, _preferences()), 422
    start_session(users.get(database(), current_user.id))
    flash(_("Your password is changed. All your other sessions have ended."), "success")
    return redirect(url_for("account.index"))


def _change_password(form: PasswordForm) -> bool:
    old, new = form.old_password.data or "", form.password.data or ""
    try:
        users.change_password(database(), current_user.id, old, new, utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    return True


@blueprint.post("")
@login_required
def preferences():
    """Change the user's language and theme."""
    form = PreferencesForm()
    form.validate()
    try:
        users.set_preferences(database(), current_user.id, form.locale.data or None, form.theme.data or "")
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(PasswordForm(formdata=None), form), 422
    session.pop("locale", None)  # the user's choice replaces the choice made in this browser
    session.pop("theme", None)
    with use_locale(form.locale.data or office_locale()):  # the message appears on the next page
        flash(_("Your choice is saved."), "success")
    return redirect(url_for("account.index"))


@blueprint.post("/screen-pop")
@login_required
def screen_pop():
    """Say whether the screen pop opens by itself."""
    form = ScreenPopForm()
    users.set_screen_pop(database(), current_user.id, opens=form.opens.data)
    flash(_("Your choice is saved."), "success")
    return redirect(url_for("account.index"))


def _preferences() -> PreferencesForm:
    form = PreferencesForm(formdata=None)
    form.locale.data, form.theme.data = current_user.locale or "", current_user.theme
    return form


def _page(form: PasswordForm, preferences: PreferencesForm) -> str:
    own = sessions.list_sessions(database(), current_user.id, utcnow(), limits())
    return render_template(
        "accounts/profile.html",
        form=form,
        preferences=preferences,
        screen_pop=ScreenPopForm(formdata=None, data={"opens": current_user.opens_screen_pop}),
        has_screen_pop=bool(stored().get("screen_pop_url")) and bool(current_user.extensions),
        second_factor=second_factor.state(database(), current_user.id),
        sessions=own,
        tokens=tokens.list_tokens(database(), current_user.id),
        now=utcnow(),
        links=identities.list_identities(database(), current_user.id),
    )


# -- sessions ---------------------------------------------------------------------------------------------------------


@blueprint.post("/sessions/<row:session_id>/end")
@login_required
def end_session(session_id: int):
    """End another session of the user."""
    if session_id == current_user.session_id:  # the button for that is "Log out"
        abort(404)
    try:
        sessions.end(database(), current_user.id, session_id, utcnow(), address=client().address)
    except NotFound:
        abort(404)
    flash(_("The session has ended."), "success")
    return redirect(url_for("account.index"))


@blueprint.post("/sessions/end")
@login_required
def end_other_sessions():
    """End all sessions of the user except this one."""
    sessions.end_others(database(), current_user.id, current_user.session_id, utcnow(), address=client().address)
    flash(_("All your other sessions have ended."), "success")
    return redirect(url_for("account.index"))
