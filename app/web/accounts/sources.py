"""Where users log in besides the panel: the provider and the directory of the settings, and what pages say of them."""

from collections.abc import Mapping

from flask import Flask, Response, current_app, make_response, render_template
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.external_users import Source
from app.identity.directory import Directory
from app.identity.oidc import Provider
from app.services.identities import LoginRefused, Refusal
from app.store import encryption
from app.web.context import panel_settings
from app.web.http import panel_url_for, with_host

# Why somebody is not let in.
REFUSAL: Mapping[Refusal, object] = {
    Refusal.NO_GROUP: _l("None of your groups may use this panel. Ask an administrator of the office."),
    Refusal.INACTIVE: _l("Your account in this panel is deactivated. Ask an administrator of the office."),
    Refusal.NAME_TAKEN: _l(
        "This panel has a user with this name already. If that is you, log in with the password of the panel and link "
        "the two in your account."
    ),
    Refusal.NO_NAME: _l("Your account has no name that this panel can use. Ask an administrator of the office."),
    Refusal.NO_ADMINISTRATOR: _l("Create the first administrator of the panel before others log in."),
    Refusal.UNKNOWN: _l("The answer of the log-in service is not accepted. The log of the panel says why."),
    Refusal.NO_EXCHANGE: _l("You may not see any exchange of this panel. Ask an administrator of the office."),
    Refusal.LINKED: _l("One of the two accounts is linked with another one already."),
}


def register(app: Flask) -> None:
    """Keep one object for each source, and let the pages of the log-in know of them."""
    configured = app.extensions["bazang"]["settings"]
    app.extensions["bazang_sources"] = {
        Source.OIDC: Provider(configured) if configured.oidc_issuer else None,
        Source.LDAP: Directory(configured) if configured.ldap_servers else None,
    }
    app.jinja_env.globals.update(source_name=source_name)
    app.context_processor(lambda: {"login_provider": provider(), "login_directory": ldap()})


def provider() -> Provider | None:
    """Return the OpenID Connect provider, if the settings have one."""
    return current_app.extensions["bazang_sources"][Source.OIDC]


def ldap() -> Directory | None:
    """Return the LDAP directory, if the settings have one."""
    return current_app.extensions["bazang_sources"][Source.LDAP]


def source_name(source: str) -> str:
    """Return what people call a source."""
    return panel_settings().oidc_name or "OpenID Connect" if source == Source.OIDC else _("the office's directory")


def refusal_text(refused: LoginRefused) -> str:
    """Return what to tell somebody who is not let in."""
    return str(REFUSAL[refused.refusal])


def unreachable_text(source: str) -> str:
    """Return what to tell somebody while a source cannot be used."""
    return _("%(name)s does not answer. Users with a password of the panel can log in.", name=source_name(source))


def leave_page(token: str) -> Response | None:
    """Return the page that also logs the user out at the provider, or None if it offers no way.

    `token`: the encrypted ID token of the session. The page leads on by itself: a redirection of a form would not be
    allowed to leave the panel (`form-action` of the Content-Security-Policy).
    """
    found = provider()
    if found is None:
        return None
    try:
        plain = encryption.decrypt(panel_settings(), token)
    except encryption.CannotDecrypt:
        plain = ""
    address = found.logout_url(plain, with_host(panel_url_for("auth.log_in")))
    return make_response(render_template("accounts/leave.html", address=address)) if address else None
