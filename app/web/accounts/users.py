"""The pages for administering users."""

from dataclasses import replace

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.services import audit, identities, second_factor, users
from app.services.api import tokens
from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.exchanges import seen_ids, without_any
from app.services.users import ROLES, UserInput
from app.store.exchanges import exchange_of
from app.store.models import User
from app.web import wording
from app.web.accounts.user_form import NewUserForm, UserForm
from app.web.context import administrator_required, database, directory, panel_database, utcnow
from app.web.fields import has_errors, show_errors

blueprint = Blueprint("users", __name__, url_prefix="/users")


@blueprint.get("")
@administrator_required
def index():
    """List the users, active ones first."""
    return render_template(
        "accounts/users.html",
        rows=users.list_users(database()),
        last_changes=audit.last_changes(database()),
        with_second_factor=second_factor.holders(database()),
        sources=identities.sources(database()),
        without_exchange=without_any(panel_database()),
    )


# -- adding and changing ----------------------------------------------------------------------------------------------


@blueprint.route("/new", methods=["GET", "POST"])
@administrator_required
def new():
    """Add a user. A generated password is shown once."""
    form = NewUserForm()
    form.offer_exchanges(current_user.exchanges)
    if request.method == "GET":
        form.role.data = "operator"
        form.exchanges.data = [str(exchange_of(database().engine).id)]
        return _page("accounts/user_new.html", form)
    form.validate()
    generated = users.generate_password() if not form.password.data else ""
    user_id = _create(form, generated or form.password.data) if not has_errors(form) else None
    if user_id is None:
        return _page("accounts/user_new.html", form), 422
    if generated:
        return _show_password(users.get(database(), user_id), generated, added=True)
    flash(_("The user is added."), "success")
    return redirect(url_for("users.index"))


def _create(form: NewUserForm, password: str) -> int | None:
    """Add the user and return the id, or show the form's errors and return None."""
    given = form.to_input()
    try:
        return users.create(
            database(),
            form.name.data or "",
            password,
            given.role,
            utcnow(),
            extensions=given.extensions,
            locale=given.locale,
            theme=given.theme,
            exchanges=given.exchanges,
            actor=current_user.name,
        )
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return None


@blueprint.route("/<row:user_id>", methods=["GET", "POST"])
@administrator_required
def edit(user_id: int):
    """Change a user's role, extensions, language and theme."""
    user = _get(user_id)
    form = UserForm()
    form.offer_exchanges(current_user.exchanges)
    if request.method == "GET":
        form.fill(user, directory().extensions.keys())
        form.exchanges.data = [str(number) for number in seen_ids(panel_database(), user)]
        return _edit_page(form, user)
    form.validate()
    errors = {} if has_errors(form) else _change(user, form.to_input(active=user.active))
    show_errors(form, errors)
    if has_errors(form):
        return _edit_page(form, user), 422
    flash(_("The user is saved."), "success")
    return redirect(url_for("users.index"))


def _edit_page(form: UserForm, user: User) -> str:
    links = identities.list_identities(database(), user.id)
    own = tokens.list_tokens(database(), user.id)
    return _page("accounts/user_edit.html", form, user=user, tokens=own, links=links, now=utcnow())


def _change(user: User, given: UserInput) -> dict[str, str]:
    """Change the user. Return the errors by field name."""
    try:
        users.change(database(), user.id, given, utcnow(), actor=current_user.name)
    except Invalid as invalid:
        return invalid.errors
    except NotFound:
        abort(404)
    return {}


def _page(template: str, form: UserForm, **values: object) -> str:
    extensions = directory().extensions.values()
    with_second_factor = second_factor.holders(database())
    return render_template(
        template, form=form, known_extensions=extensions, roles=ROLES, with_second_factor=with_second_factor, **values
    )


def _get(user_id: int) -> User:
    try:
        return users.get(database(), user_id)
    except NotFound:
        abort(404)


# -- passwords --------------------------------------------------------------------------------------------------------


@blueprint.route("/<row:user_id>/password", methods=["GET", "POST"])
@administrator_required
def password(user_id: int):
    """Ask for confirmation, then generate a new password and show it once. The user's sessions end."""
    user = _get(user_id)
    if user.id == current_user.id:  # own passwords are changed on the account page
        return redirect(url_for("account.index"))
    if users.logs_in_elsewhere(database(), user):
        flash(wording.error(ErrorCode.ELSEWHERE), "warning")
        return redirect(url_for("users.edit", user_id=user.id))
    if request.method == "GET":
        has_tokens = bool(tokens.list_tokens(database(), user.id))
        return render_template("accounts/password_reset.html", user=user, has_tokens=has_tokens)
    generated = users.generate_password()
    users.reset_password(database(), user.id, generated, utcnow(), actor=current_user.name)
    return _show_password(user, generated)


def _show_password(user: User, generated: str, *, added: bool = False) -> str:
    """Show a password in this response, because it is stored nowhere."""
    return render_template("accounts/password_shown.html", user=user, password=generated, added=added)


# -- the second factor ------------------------------------------------------------------------------------------------


@blueprint.route("/<row:user_id>/second-factor", methods=["GET", "POST"])
@administrator_required
def reset_second_factor(user_id: int):
    """Ask for confirmation, then remove the second factor of a user who has lost the phone. Their sessions end."""
    user = _get(user_id)
    if user.id == current_user.id:  # one's own is turned off on the account page, with a code
        return redirect(url_for("account.index"))
    if request.method == "GET":
        return render_template("accounts/second_factor_reset.html", user=user)
    if second_factor.reset(database(), user.id, utcnow(), actor=current_user.name):
        flash(_("The two-step log-in of the user is reset, and all sessions of the user have ended."), "success")
    return redirect(url_for("users.index"))


# -- activating and deactivating --------------------------------------------------------------------------------------


@blueprint.route("/<row:user_id>/deactivate", methods=["GET", "POST"])
@administrator_required
def deactivate(user_id: int):
    """Ask for confirmation, then deactivate a user and end their sessions."""
    user = _get(user_id)
    if request.method == "GET":
        return render_template("accounts/user_deactivate.html", user=user, error="")
    errors = _set_active(user, active=False)
    if errors:
        error = " ".join(wording.error(code) for code in errors.values())
        return render_template("accounts/user_deactivate.html", user=user, error=error), 422
    flash(_("The user is deactivated and logged out everywhere."), "success")
    return redirect(url_for("users.index"))


@blueprint.post("/<row:user_id>/activate")
@administrator_required
def activate(user_id: int):
    """Activate a user."""
    _set_active(_get(user_id), active=True)
    flash(_("The user can log in again."), "success")
    return redirect(url_for("users.index"))


def _set_active(user: User, *, active: bool) -> dict[str, str]:
    return _change(user, replace(users.as_input(user), active=active))
