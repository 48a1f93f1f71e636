"""The pages on which users link their account with one at the provider or in the directory, and remove such a link."""

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from wtforms import PasswordField, StringField

from app.domain.external_users import Source
from app.identity.errors import Refused, Unreachable, WrongCredentials
from app.services import identities, logins, users
from app.services.errors import NotFound
from app.services.identities import LoginRefused, Refusal
from app.services.logins import TooManyFailures
from app.store.models import UserIdentity
from app.web.accounts import sources
from app.web.accounts.session import client, session_is_fresh
from app.web.accounts.tries import check_again, retry_later, source_for
from app.web.context import panel_database, utcnow
from app.web.fields import PanelForm, has_errors

blueprint = Blueprint("links", __name__, url_prefix="/account/links")
_MAY_LINK = "may_link"  # in the session: until when the user may be led to the provider
_WITHIN = 60  # seconds


class LinkForm(PanelForm):
    """The user's own password, and for the directory the name and the password there."""

    password = PasswordField(_l("Password of the panel"))
    login = StringField(_l("User name in the directory"))
    secret = PasswordField(_l("Password in the directory"))


def may_link(*, pop: bool) -> bool:
    """Return whether this user has just proved to be the one who is logged in."""
    until = session.pop(_MAY_LINK, 0) if pop else session.get(_MAY_LINK, 0)
    return 0 <= until - utcnow().timestamp() <= _WITHIN


@blueprint.route("/new/<any(oidc, ldap):source>", methods=["GET", "POST"])
@login_required
def new(source: str):
    """Link the account, after asking for the password unless the session is fresh."""
    directory = sources.ldap()
    if (directory if source == Source.LDAP else sources.provider()) is None:  # not any more
        return redirect(url_for("account.index"))
    form = LinkForm()
    if request.method == "GET":
        return _page(form, source)
    form.validate()
    if has_errors(form):
        return _page(form, source), 422
    if not session_is_fresh():
        answer = check_again(form, lambda: _page(form, source))
        if answer is not None:
            return answer
    if source == Source.OIDC:
        session[_MAY_LINK] = int(utcnow().timestamp()) + _WITHIN
        # A page in between: a redirection of a form may not leave the panel.
        return render_template("accounts/leave.html", address=url_for("provider.link"))
    return _link_directory(form)


def _link_directory(form: LinkForm):
    login = form.login.data or ""
    try:
        external = logins.prove(
            sources.ldap(), panel_database(), login, form.secret.data or "", source_for(login), utcnow()
        )
        identities.link(panel_database(), current_user.id, external, utcnow(), address=client().address)
    except TooManyFailures as error:
        headers = retry_later(form.secret, error.wait)
        return _page(form, Source.LDAP), 429, headers
    except WrongCredentials:
        form.secret.errors = [_("The name or the password is wrong.")]
    except Unreachable:
        form.secret.errors = [sources.unreachable_text(Source.LDAP)]
    except Refused:
        form.secret.errors = [sources.refusal_text(LoginRefused(Refusal.UNKNOWN))]
    except LoginRefused as refused:
        form.secret.errors = [sources.refusal_text(refused)]
    else:
        flash(_("From now on you can also log in with %(name)s.", name=sources.source_name(Source.LDAP)), "success")
        return redirect(url_for("account.index"))
    return _page(form, Source.LDAP), 422


def _page(form: LinkForm, source: str) -> str:
    return render_template("accounts/link_new.html", form=form, source=source, asks_password=not session_is_fresh())


@blueprint.route("/<row:identity_id>/remove", methods=["GET", "POST"])
@login_required
def remove(identity_id: int):
    """Ask for confirmation, then remove a link. Users remove their own if they have a password; administrators all."""
    try:
        identity = identities.find(panel_database(), identity_id)
        user = users.get(panel_database(), identity.user_id)
        if not _may_remove(identity, bool(user.password_hash)):
            abort(404)
        is_own = user.id == current_user.id
        back = url_for("account.index") if is_own else url_for("users.edit", user_id=user.id)
        if request.method == "GET":
            return render_template("accounts/link_remove.html", identity=identity, user=user, back=back)
        identities.unlink(panel_database(), identity_id, utcnow(), actor=current_user.name)
    except NotFound:  # perhaps removed in another window
        abort(404)
    flash(_("The link is removed, and all sessions of the user have ended."), "success")
    return redirect(back)


def _may_remove(identity: UserIdentity, has_password: bool) -> bool:
    if identity.user_id == current_user.id:
        return has_password
    return current_user.role == "administrator"
