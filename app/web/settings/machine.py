"""The page with the settings that only the environment can give, and the state of the worker."""

from dataclasses import dataclass

from flask import render_template
from flask_babel import lazy_gettext as _l

from app.config import PREFIX
from app.services.hosts import learned_names
from app.store import pbx_state, workers
from app.store.database import hide_password
from app.store.settings import agi_port
from app.web.context import administrator_required, cached_query, database, settings, stored
from app.web.settings.blueprint import blueprint


@dataclass(frozen=True)
class EnvironmentSetting:
    """A setting of the environment. `is_set`: the environment gives it; else `value` is the default."""

    label: object
    value: str
    variable: str
    is_set: bool


_LABELS = {
    "data_dir": _l("Data folder"),
    "database_url": _l("Database"),
    "dialplan_file": _l("Dialplan file"),
    "prompts_dir": _l("Prompts folder"),
    "asterisk_prompts_dir": _l("Prompts folder on the PBX"),
    "voices_dir": _l("Folder of additional voices"),
    "ami_tls": _l("Connect to the PBX with TLS"),
    "ami_ca": _l("CA of the PBX's certificate"),
    "ami_fingerprint": _l("Fingerprint of the PBX's certificate"),
    "agi_port": _l("Port where the telephone service waits for callers"),
    "agi_bind": _l("Address where the telephone service waits for callers"),
    "agi_allow": _l("Addresses from which callers' connections are accepted"),
    "listen": _l("Address and port of the panel"),
    "trusted_proxies": _l("Number of reverse proxies"),
    "allowed_hosts": _l("Public names of the panel"),
    "session_idle_hours": _l("Hours without use after which a session ends"),
    "session_days": _l("Days after which a session ends"),
    "hsts_days": _l("Days for which browsers insist on https"),
    "url_prefix": _l("Path of the panel on its host"),
    "oidc_issuer": _l("OpenID Connect provider"),
    "oidc_client_id": _l("Name of the panel at the provider"),
    "oidc_administrator_groups": _l("Groups of the provider for administrators"),
    "oidc_supervisor_groups": _l("Groups of the provider for supervisors"),
    "oidc_operator_groups": _l("Groups of the provider for operators"),
    "ldap_servers": _l("Servers of the LDAP directory"),
    "ldap_tls": _l("TLS with the directory"),
    "ldap_administrator_groups": _l("Groups of the directory for administrators"),
    "ldap_supervisor_groups": _l("Groups of the directory for supervisors"),
    "ldap_operator_groups": _l("Groups of the directory for operators"),
    "log_format": _l("Form of the log lines"),
    "poll_seconds": _l("Seconds between two polls of the PBX"),
}


@blueprint.get("/machine")
@administrator_required
def machine():
    """Show the environment settings and the state of the worker."""
    values = [_environment_setting(name, label) for name, label in _LABELS.items()]
    worker = cached_query("worker_state", pbx_state.worker_state)
    with database().read() as session:
        standbys = workers.standbys(session)  # not cached: a worker that comes or goes writes nothing
    return render_template("settings/machine.html", values=values, worker=worker, standbys=standbys)


def _environment_setting(name: str, label: object) -> EnvironmentSetting:
    value = str(getattr(settings(), name))
    if name == "agi_port":
        value = str(agi_port(settings(), stored()))
    if name == "database_url":
        value = hide_password(value)
    if name == "allowed_hosts":
        value = value or ", ".join(learned_names(stored()))
    return EnvironmentSetting(label, value, f"{PREFIX}{name.upper()}", settings().from_environment(name))
