"""The line that says whether the telephone side works, on every page."""

from dataclasses import dataclass

from flask import Blueprint
from flask_babel import gettext as _

from app.config import PREFIX
from app.store import pbx_state
from app.store.models import WorkerState
from app.web.context import cached, cached_query, office, settings, utcnow
from app.web.locale import choose_locale

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
    side = _look()
    return cached(("health", choose_locale(), side.runs), lambda: _worst(side))


def _worst(side: "_Side") -> Health:
    return next((part.health for part in _parts(side) if part.health.level != "ok"), _all_well(side))


@dataclass(frozen=True)
class Part:
    """One of what has to work for a call. `short` says how it stands in two or three words."""

    name: str
    label: str
    short: str
    health: Health


@dataclass(frozen=True)
class _Side:
    """The telephone side as the database knows it."""

    state: WorkerState
    runs: bool
    outbound: str


def parts() -> list[Part]:
    """Say how each part of the telephone side stands, in the order in which one depends on the other."""
    return _parts(_look())


def _parts(side: _Side) -> list[Part]:
    service, exchange, dialplan = _service(side), _exchange(side), _dialplan(side)
    reached = side.runs and exchange is None
    agrees = _("up to date") if dialplan is None else _("out of date") if dialplan.level == "warning" else _("amiss")
    return [
        _part("service", _("Telephone service"), _("running") if service is None else _("not running"), service),
        _part("exchange", _("Telephone exchange"), _("connected") if exchange is None else _("not connected"), exchange)
        if side.runs
        else _unknown("exchange", _("Telephone exchange")),
        _part("dialplan", _("Dialplan"), agrees, dialplan) if reached else _unknown("dialplan", _("Dialplan")),
    ]


def _part(name: str, label: str, short: str, fault: Health | None) -> Part:
    return Part(name, label, short, Health("ok", "") if fault is None else fault)


def _unknown(name: str, label: str) -> Part:
    """What depends on a part that does not work: nobody can say."""
    return Part(name, label, _("not known"), Health("unknown", ""))


def _look() -> _Side:
    state = cached_query("worker_state", pbx_state.worker_state)
    return _Side(state, pbx_state.has_heartbeat(state, utcnow()), office().outbound_context)


def _service(side: _Side) -> Health | None:
    if side.runs:
        return None
    from app.web.formats import written

    since = _("never") if side.state.heartbeat is None else written(side.state.heartbeat)
    text = _("The telephone service is not running (last seen: %(since)s).", since=since)
    return Health("fault", text, _("Start it:"), "flask --app wsgi worker")


def _exchange(side: _Side) -> Health | None:
    if side.state.ami_status == "refused":
        text = _("The telephone exchange refuses our user name or secret.")
        return Health("fault", text, _compare())
    if side.state.ami_status != "connected":
        return Health("fault", _("Not connected to the telephone exchange."), command=side.state.ami_detail)
    return None


def _compare() -> str:
    """Say what to hold manager.conf against: user name and secret may each come from the environment or the panel."""
    given = [name for name in ("ami_username", "ami_secret") if settings().from_environment(name)]
    if len(given) == 2:
        return _("Compare manager.conf with BAZANG_AMI_USERNAME and BAZANG_AMI_SECRET.")
    if given:
        variable = f"{PREFIX}{given[0].upper()}"
        return _(
            "Compare manager.conf with %(variable)s and with the settings, under “Telephone exchange”.",
            variable=variable,
        )
    return _("Compare manager.conf with the settings, under “Telephone exchange”.")


def _dialplan(side: _Side) -> Health | None:
    state = side.state
    if state.dialplan_detail not in ("", *_NAMED_OTHERWISE):
        return Health("fault", _("The dialplan cannot be written."), command=state.dialplan_detail)
    if state.obstacle == "no_dialplan":
        text = _("The telephone exchange does not have our dialplan.")
        command = f"#tryinclude {settings().dialplan_path}"
        return Health("fault", text, _("Add this line to extensions.conf, then reload its dialplan:"), command)
    if not side.outbound:
        text = _("Nobody has set how customers are dialled.")
        return Health("fault", text, _("In the settings, fill in the context for calls to customers."))
    if not state.dialplan_running or state.dialplan_running != state.dialplan_written:
        text = _("The telephone exchange still runs an older dialplan.")
        return Health("warning", text, _("Type in its console:"), "dialplan reload")
    return None


def _all_well(side: _Side) -> Health:
    version = side.state.asterisk_version.split("-")[0].split("+")[0] or "?"
    return Health("ok", _("Connected to Asterisk %(version)s; calls can be made.", version=version))
