"""The page with the settings that only the environment can give, and the state of the worker."""

from dataclasses import dataclass

from flask import render_template
from flask_babel import lazy_gettext as _l

from app.config import PREFIX
from app.store import pbx_state
from app.store.database import hide_password
from app.web.context import administrator_required, cached_query, settings
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
    "agi_port": _l("Port where the telephone service waits for callers"),
    "agi_bind": _l("Address where the telephone service waits for callers"),
    "trusted_proxies": _l("Number of reverse proxies"),
    "poll_seconds": _l("Seconds between two polls of the PBX"),
}


@blueprint.get("/machine")
@administrator_required
def machine():
    """Show the environment settings and the state of the worker."""
    values = [_environment_setting(name, label) for name, label in _LABELS.items()]
    worker = cached_query("worker_state", pbx_state.worker_state)
    return render_template("settings/machine.html", values=values, worker=worker)


def _environment_setting(name: str, label: object) -> EnvironmentSetting:
    value = str(getattr(settings(), name))
    if name == "database_url":
        value = hide_password(value)
    return EnvironmentSetting(label, value, f"{PREFIX}{name.upper()}", settings().from_environment(name))
