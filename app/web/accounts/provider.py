"""Log in with the OpenID Connect provider: to the provider, and back."""

import logging
from typing import Any

from flask import Blueprint, flash, make_response, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required

from app.domain.external_users import Source
from app.domain.text import displayable
from app.identity.errors import Refused, Unreachable
from app.identity.oidc import Finished, Started
from app.services import identities, logins
from app.services.identities import LoginRefused, Refusal
from app.store import encryption
from app.web.accounts import known_browsers, sources
from app.web.accounts.links import may_link
from app.web.accounts.login import login_page
from app.web.accounts.session import client, start_session
from app.web.context import panel_database, panel_settings, utcnow
from app.web.http import exchange_url_for, first_page, is_local_url, panel_url_for, with_host

blueprint = Blueprint("provider", __name__, url_prefix="/login/provider")

_STARTED = "provider_logins"  # the log-ins that have begun, in the session: state -> what belongs to it
MOST_STARTED = 3  # several tabs
WITHIN = 600  # seconds
LONGEST_NEXT = 500  # characters; the cookie has room for little
log = logging.getLogger(__name__)

# What providers say (RFC 6749, 4.1.2.1, and OpenID Connect Core 1.0, 3.1.2.6).
_ERRORS = {
    "access_denied": _l("The log-in was cancelled or is not allowed there."),
    "login_required": _l("You are not logged in there."),
    "consent_required": _l("You have not agreed there."),
    "interaction_required": _l("There is still something to do there before you can log in."),
    "temporarily_unavailable": _l("It is not available at the moment. Try again later."),
    "server_error": _l("It has an error of its own. Try again later."),
    "invalid_scope": _l("It does not know what the panel asks for (BAZANG_OIDC_SCOPES)."),
    "unauthorized_client": _l("The panel is not set up there."),
}


@blueprint.get("")
def start():
    """Lead the browser to the provider. `again`: it must ask for the password, also from who is logged in there."""
    return begin(again="again" in request.args)


@blueprint.get("/link")
@login_required
def link():
    """Lead a user to the provider, to link both accounts. The page before has asked for the password."""
    if not may_link(pop=True):
        return redirect(url_for("links.new", source=Source.OIDC.value))
    return begin(link=True)


def begin(*, again: bool = False, link: bool = False):
    """Begin a log-in, and remember it in the browser."""
    provider = sources.provider()
    if provider is None:  # not any more
        return redirect(url_for("auth.log_in"))
    try:
        started = provider.begin(_redirect_uri(), again=again)
    except Unreachable:
        return _failed(sources.unreachable_text(Source.OIDC), 503)
    page = request.args.get("next", "")
    begun = {
        "nonce": started.nonce,
        "verifier": started.verifier,
        "next": page if is_local_url(page) and len(page) <= LONGEST_NEXT else "",
        "at": int(utcnow().timestamp()),
        "again": again,
        "link": current_user.id if link else 0,
    }
    others = list(session.get(_STARTED, {}).items())[-(MOST_STARTED - 1) :]
    session[_STARTED] = dict([*others, (started.state, begun)])
    return redirect(started.url)


@blueprint.get("/back")
def back():
    """Finish the log-in when the provider sends the browser back. Each one counts once."""
    provider, state = sources.provider(), request.args.get("state", "")
    if provider is None:
        return redirect(url_for("auth.log_in"))
    begun = session.get(_STARTED, {}).get(state)
    session[_STARTED] = {key: value for key, value in session.get(_STARTED, {}).items() if key != state}
    if begun is None or not 0 <= utcnow().timestamp() - begun["at"] <= WITHIN:
        return _failed(_("This log-in took too long, or did not begin in this browser. Try again."), 403)
    if "error" in request.args:
        return _failed(_describe_error(request.args["error"]), 403)
    started = Started("", state, begun["nonce"], begun["verifier"])
    try:
        done = provider.finish(started, request.args, _redirect_uri(), utcnow(), again=begun["again"])
        if begun["link"]:
            return _link(begun, done)
        user = logins.log_in_elsewhere(
            panel_database(), panel_settings(), done.user, utcnow(), address=client().address
        )
    except Unreachable as error:
        log.warning("a log-in with the OpenID Connect provider failed: %s", error)
        return _failed(sources.unreachable_text(Source.OIDC), 503)
    except Refused as refused:
        log.warning("a log-in with the OpenID Connect provider was refused: %s", displayable(str(refused), 300))
        return _failed(sources.refusal_text(LoginRefused(Refusal.UNKNOWN)), 403)
    except LoginRefused as refused:
        return _failed(sources.refusal_text(refused), 403)
    token = encryption.encrypt(panel_settings(), done.token)
    start_session(user, source=Source.OIDC.value, id_token=token, proved=begun["again"])
    response = make_response(redirect(begun["next"] or first_page()))
    known_browsers.remember(response, user.name)
    return response


def _link(begun: dict[str, Any], done: Finished):
    """Link the account of the user who is logged in. It must be the one who has begun."""
    if not current_user.is_authenticated or current_user.id != begun["link"]:
        return _failed(_("This log-in took too long, or did not begin in this browser. Try again."), 403)
    identities.link(panel_database(), current_user.id, done.user, utcnow(), address=client().address)
    flash(_("From now on you can also log in with %(name)s.", name=sources.source_name(Source.OIDC)), "success")
    return redirect(exchange_url_for("account.index"))


def _describe_error(code: str) -> str:
    name = sources.source_name(Source.OIDC)
    text = _ERRORS.get(code) or _("It says: %(code)s", code=displayable(code, 60))
    return _("%(name)s did not log you in. %(reason)s", name=name, reason=text)


def _failed(text: str, status: int):
    """Show why nobody was logged in, on the page of the log-in; or in the account of a user who is logged in."""
    if current_user.is_authenticated:
        flash(text, "warning")
        return redirect(exchange_url_for("account.index"))
    return login_page(text), status


def _redirect_uri() -> str:
    """Return the address that is registered at the provider: this panel's own, as the browser sees it."""
    return with_host(panel_url_for("provider.back"))
