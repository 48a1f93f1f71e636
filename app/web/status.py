"""The line that says whether the telephone side works, on every page."""

from dataclasses import dataclass

from flask import Blueprint
from flask_babel import gettext as _

from app.store import lines as store_lines
from app.store import settings as store_settings
from app.web.parts import database, settings, utcnow

blueprint = Blueprint("status", __name__, url_prefix="/status")
_NAMED_OTHERWISE = ("reload_by_hand", "not_included")  # codes among the dialplan's details, which else are sentences


@dataclass(frozen=True)
class Health:
    """`level` is ok, warning or fault; `mend` says what to do, `command` what to type, or what a machine said."""

    level: str
    text: str
    mend: str = ""
    command: str = ""


@blueprint.app_context_processor
def _health_for_pages():
    return {"health": health}


def health() -> Health:
    """Say whether calls can be made, and if not, what to do."""
    now = utcnow()
    with database().read() as session:
        state = store_lines.worker_state(session)
        facts = store_lines.stored_facts(session, now)
        outbound = store_settings.office(session, settings()).outbound_context
    if not facts.service_runs(now):
        from app.web.filters import written

        since = _("never") if state.heartbeat is None else written(state.heartbeat)
        text = _("The telephone service is not running (last seen: %(since)s).", since=since)
        return Health("fault", text, _("Start it:"), "flask --app wsgi worker")
    if state.ami_status == "refused":
        text = _("The telephone exchange refuses our user name or secret.")
        return Health("fault", text, _("Compare manager.conf with BAZANG_AMI_USERNAME and BAZANG_AMI_SECRET."))
    if state.ami_status != "connected":
        return Health("fault", _("Not connected to the telephone exchange."), command=state.ami_detail)
    if state.dialplan_detail not in ("", *_NAMED_OTHERWISE):
        return Health("fault", _("The dialplan cannot be written."), command=state.dialplan_detail)
    if state.obstacle == "no_dialplan":
        text = _("The telephone exchange does not have our dialplan.")
        command = f"#tryinclude {settings().dialplan_path}"
        return Health("fault", text, _("Add this line to extensions.conf, then reload its dialplan:"), command)
    if not outbound:
        text = _("Nobody has set how customers are dialled.")
        return Health("fault", text, _("In the settings, fill in the context for calls to customers."))
    if not state.dialplan_running or state.dialplan_running != state.dialplan_written:
        text = _("The telephone exchange still runs an older dialplan.")
        return Health("warning", text, _("Type in its console:"), "dialplan reload")
    version = state.asterisk_version.split("-")[0].split("+")[0] or "?"
    return Health("ok", _("Connected to Asterisk %(version)s; calls can be made.", version=version))
