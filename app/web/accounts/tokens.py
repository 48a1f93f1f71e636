"""The pages on which users make and revoke the API tokens of their programs."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from wtforms import PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.widgets import CheckboxInput, ListWidget

from app.domain.api_scopes import ApiScope
from app.services.api import tokens
from app.services.errors import Invalid, NotFound
from app.web.accounts.session import client, session_is_fresh
from app.web.accounts.tries import check_again
from app.web.context import database, utcnow
from app.web.fields import PanelForm, choices, has_errors, show_errors

blueprint = Blueprint("tokens", __name__, url_prefix="/account/tokens")

# The rights of a token in the user's language, in the order of display.
SCOPE = {
    ApiScope.REQUESTS_READ: _l("read requests"),
    ApiScope.REQUESTS_WRITE: _l("create and change requests"),
    ApiScope.OFFICE_READ: _l("read modules and queues"),
    ApiScope.FIGURES_READ: _l("read figures"),
    ApiScope.CALLS_WRITE: _l("call numbers (click-to-call)"),
}
NEVER = "never"
LASTS = {
    "30": _l("30 days"),
    "90": _l("90 days"),
    "365": _l("one year"),
    NEVER: _l("until it is revoked"),
}


class TokenForm(PanelForm):
    name = StringField(_l("Name"), description=_l("The program that uses it, such as CRM."))
    scopes = SelectMultipleField(
        _l("Rights of the token"),
        choices=choices(SCOPE),
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
        validate_choice=False,
    )
    lasts = SelectField(
        _l("Valid for"),
        description=_l("Your account page warns you two weeks before. Then you make a new token."),
        choices=choices(LASTS),
        default="365",
        validate_choice=False,
    )
    password = PasswordField(_l("Password"))


def scope_label(scope: str) -> str:
    """Return the text of a right. One of another version is shown as it is stored."""
    return str(SCOPE.get(scope, scope))  # type: ignore[call-overload]  # a StrEnum equals its value


@blueprint.route("/new", methods=["GET", "POST"])
@login_required
def new():
    """Make a token, after asking for the password unless the session is fresh. It is shown once."""
    form = TokenForm()
    if request.method == "GET":
        form.scopes.data = []
        return _new_page(form)
    form.validate()
    if has_errors(form):
        return _new_page(form), 422
    if not session_is_fresh():
        answer = check_again(form, lambda: _new_page(form))
        if answer is not None:
            return answer
    try:
        token = tokens.create(
            database(),
            current_user.id,
            form.name.data or "",
            form.scopes.data or (),
            utcnow(),
            address=client().address,
            days=_days(form.lasts.data),
        )
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _new_page(form), 422
    return render_template("accounts/token_shown.html", secret=token, name=(form.name.data or "").strip())


def _days(lasts: str | None) -> int | None:
    """Return after how many days the token expires, None: never. What nobody can choose is no lifetime."""
    if lasts in (None, NEVER):
        return None
    return int(lasts) if lasts in LASTS else 0


def _new_page(form: TokenForm) -> str:
    return render_template("accounts/token_new.html", form=form, asks_password=not session_is_fresh())


@blueprint.route("/<row:token_id>/revoke", methods=["GET", "POST"])
@login_required
def revoke(token_id: int):
    """Ask for confirmation, then revoke a token of the user. Administrators revoke those of all users."""
    try:
        token = tokens.find(database(), token_id)
        if current_user.id != token.user_id and current_user.role != "administrator":
            abort(404)
        if request.method == "POST":
            tokens.revoke(database(), token_id, utcnow(), actor=current_user.name, address=client().address)
    except NotFound:  # perhaps revoked in another window
        abort(404)
    is_own = current_user.id == token.user_id
    back = url_for("account.index") if is_own else url_for("users.edit", user_id=token.user_id)
    if request.method == "GET":
        return render_template("accounts/token_revoke.html", row=token, back=f"{back}#tokens")
    flash(_("The token is revoked. Programs that have it are refused."), "success")
    return redirect(f"{back}#tokens")
