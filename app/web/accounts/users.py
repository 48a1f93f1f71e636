"""The users: who may use the panel, as what, and for which extensions."""

import re
from collections.abc import Sequence
from dataclasses import replace

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import PasswordField, RadioField, SelectField, SelectMultipleField, StringField

from app.domain.numbers import ascii_digits
from app.services import audit, users
from app.services.errors import Invalid, NotFound
from app.services.users import ROLES, UserInput
from app.store.models import ExtensionRow, User
from app.web import wording
from app.web.context import administrator_required, database, utcnow
from app.web.fields import DigitsField, choices, has_errors, show_errors

blueprint = Blueprint("users", __name__, url_prefix="/users")
LOCALES = {"": _l("as the office"), **wording.LANGUAGE}


class UserForm(FlaskForm):
    """What is settled for a user who is there."""

    role = RadioField(_l("Role"), choices=choices(wording.ROLE), validate_choice=False)
    ticked = SelectMultipleField(_l("Extensions"), validate_choice=False)
    extensions = DigitsField(
        _l("Other extensions"), description=_l("Typed by hand, with commas between them: 101, 102")
    )
    locale = SelectField(_l("Language of the panel"), choices=choices(LOCALES), default="", validate_choice=False)
    theme = SelectField(_l("Colours"), choices=choices(wording.THEME), default="auto", validate_choice=False)

    def fill(self, user: User, known: Sequence[str]) -> None:
        """Show a user as stored. `known`: the extensions that can be ticked."""
        self.role.data, self.locale.data, self.theme.data = user.role, user.locale or "", user.theme
        self.ticked.data = [extension for extension in user.extensions if extension in known]
        self.extensions.data = ", ".join(extension for extension in user.extensions if extension not in known)

    def given(self, *, active: bool = True) -> UserInput:
        typed = [part for part in re.split(r"[\s,،;]+", self.extensions.data or "") if part]
        ticked = [ascii_digits(extension) for extension in self.ticked.data or ()]
        return UserInput(
            role=self.role.data or "",
            extensions=tuple(dict.fromkeys([*ticked, *typed])),
            active=active,
            locale=self.locale.data or None,
            theme=self.theme.data or "",
        )


class NewUserForm(UserForm):
    name = StringField(_l("User name"))
    password = PasswordField(_l("Password"), description=_l("Leave it empty: one is made up, and shown to you once."))


@blueprint.get("")
@administrator_required
def index():
    """List the users, those who may log in first."""
    rows = users.listing(database())
    return render_template("accounts/users.html", rows=rows, last_acts=audit.last_acts(database()))


@blueprint.route("/new", methods=["GET", "POST"])
@administrator_required
def new():
    """Add a user; whose password is made up is shown it once."""
    form = NewUserForm()
    if request.method == "GET":
        form.role.data = "operator"
        return _page("accounts/user_new.html", form)
    form.validate()
    made_up = users.make_password() if not form.password.data else ""
    name, given = form.name.data or "", form.given()
    if not has_errors(form):
        try:
            user_id = _create(name, made_up or form.password.data, given)
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            if made_up:
                return _show_once(users.find(database(), user_id), made_up, added=True)
            flash(_("The user is added."), "success")
            return redirect(url_for("users.index"))
    return _page("accounts/user_new.html", form), 422


def _create(name: str, password: str, given: UserInput) -> int:
    return users.create(
        database(),
        name,
        password,
        given.role,
        utcnow(),
        extensions=given.extensions,
        locale=given.locale,
        theme=given.theme,
        actor=current_user.name,
    )


@blueprint.route("/<row:user_id>", methods=["GET", "POST"])
@administrator_required
def edit(user_id: int):
    """Change a user's role, extensions, language and colours."""
    user = _find(user_id)
    form = UserForm()
    if request.method == "GET":
        form.fill(user, [line.extension for line in _lines()])
        return _page("accounts/user_edit.html", form, user=user)
    form.validate()
    if not has_errors(form) and _change(user, form.given(active=user.active), form):
        flash(_("The user is saved."), "success")
        return redirect(url_for("users.index"))
    return _page("accounts/user_edit.html", form, user=user), 422


def _change(user: User, given: UserInput, form: UserForm) -> bool:
    try:
        users.change(database(), user.id, given, utcnow(), actor=current_user.name)
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    except NotFound:
        abort(404)
    return True


@blueprint.route("/<row:user_id>/password", methods=["GET", "POST"])
@administrator_required
def password(user_id: int):
    """Make up another password, after a question; it is shown once, and the user's sessions end."""
    user = _find(user_id)
    if user.id == current_user.id:  # who knows the old one changes their own
        return redirect(url_for("account.index"))
    if request.method == "GET":
        return render_template("accounts/password_reset.html", user=user)
    made_up = users.make_password()
    users.reset_password(database(), user.id, made_up, utcnow(), actor=current_user.name)
    return _show_once(user, made_up)


def _show_once(user: User, made_up: str, *, added: bool = False):
    """Show a password in the answer itself: it is kept nowhere, not even for a redirect."""
    return render_template("accounts/password_shown.html", user=user, password=made_up, added=added)


@blueprint.route("/<row:user_id>/deactivate", methods=["GET", "POST"])
@administrator_required
def deactivate(user_id: int):
    """Let a user in no more, after a question."""
    user = _find(user_id)
    error = ""
    if request.method == "POST":
        error = _set_active(user, active=False)
        if not error:
            flash(_("The user is deactivated and logged out everywhere."), "success")
            return redirect(url_for("users.index"))
    return render_template("accounts/user_deactivate.html", user=user, error=error), 422 if error else 200


@blueprint.post("/<row:user_id>/activate")
@administrator_required
def activate(user_id: int):
    """Let a user in again."""
    _set_active(_find(user_id), active=True)
    flash(_("The user may log in again."), "success")
    return redirect(url_for("users.index"))


def _set_active(user: User, *, active: bool) -> str:
    """Return what keeps it from being done, in words."""
    given = replace(users.as_input(user), active=active)
    try:
        users.change(database(), user.id, given, utcnow(), actor=current_user.name)
    except Invalid as invalid:
        return " ".join(wording.error(code) for code in invalid.errors.values())
    except NotFound:
        abort(404)
    return ""


def _find(user_id: int) -> User:
    try:
        return users.find(database(), user_id)
    except NotFound:
        abort(404)


def _lines() -> Sequence[ExtensionRow]:
    """What the exchange has, to choose from."""
    with database().read() as session:
        return session.scalars(select(ExtensionRow).order_by(ExtensionRow.extension)).all()


def _page(template: str, form: UserForm, **values: object) -> str:
    return render_template(template, form=form, lines=_lines(), roles=ROLES, **values)
