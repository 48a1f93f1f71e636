"""The health of the telephone side: whether calls can be made and, if not, what to do.

Every page shows it in the status line; the overview and the wallboard show it for each component.
"""

from dataclasses import dataclass
from enum import StrEnum

from flask import Flask
from flask_babel import gettext as _

from app.config import PREFIX
from app.store import pbx_state
from app.store.models import WorkerState
from app.web.context import cached, cached_query, office, settings, utcnow
from app.web.formats import format_moment
from app.web.locale import choose_locale

_DIALPLAN_CODES = ("reload_by_hand", "not_included")  # of WorkerState.dialplan_detail; everything else is an error


class HealthLevel(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"  # of a component that depends on one with a fault


@dataclass(frozen=True)
class Health:
    """`advice` says what to do. `command` is a line to type, or the error of the other side."""

    level: HealthLevel
    text: str = ""
    advice: str = ""
    command: str = ""


@dataclass(frozen=True)
class ComponentHealth:
    """The health of one component that calls need. `state` describes it in two or three words."""

    name: str
    label: str
    state: str
    health: Health


@dataclass(frozen=True)
class _TelephoneState:
    worker: WorkerState
    is_running: bool
    outbound_context: str


def register(app: Flask) -> None:
    app.jinja_env.globals["health"] = health


def health() -> Health:
    """Return the first fault or warning, or that calls can be made."""
    state = _load_state()
    return cached(("health", choose_locale(), state.is_running), lambda: _worst(state))


def components() -> list[ComponentHealth]:
    """Return the health of each component. A component depends on those before it."""
    return _components(_load_state())


def _load_state() -> _TelephoneState:
    worker = cached_query("worker_state", pbx_state.worker_state)
    return _TelephoneState(worker, pbx_state.has_heartbeat(worker, utcnow()), office().outbound_context)


def _worst(state: _TelephoneState) -> Health:
    found = (component.health for component in _components(state) if component.health.level != HealthLevel.OK)
    return next(found, _ok(state))


def _components(state: _TelephoneState) -> list[ComponentHealth]:
    service = _service_fault(state)
    pbx = _pbx_fault(state)
    dialplan = _dialplan_fault(state)
    return [
        _component("service", _("Telephone service"), service, ok=_("running"), bad=_("not running")),
        _component("pbx", _("PBX"), pbx, ok=_("connected"), bad=_("not connected"))
        if service is None
        else _unknown("pbx", _("PBX")),
        _component(
            "dialplan",
            _("Dialplan"),
            dialplan,
            ok=_("up to date"),
            bad=_("out of date") if dialplan is not None and dialplan.level == HealthLevel.WARNING else _("faulty"),
        )
        if service is None and pbx is None
        else _unknown("dialplan", _("Dialplan")),
    ]


def _component(name: str, label: str, fault: Health | None, *, ok: str, bad: str) -> ComponentHealth:
    if fault is None:
        return ComponentHealth(name, label, ok, Health(HealthLevel.OK))
    return ComponentHealth(name, label, bad, fault)


def _unknown(name: str, label: str) -> ComponentHealth:
    return ComponentHealth(name, label, _("not known"), Health(HealthLevel.UNKNOWN))


def _service_fault(state: _TelephoneState) -> Health | None:
    if state.is_running:
        return None
    heartbeat = state.worker.heartbeat
    since = _("never") if heartbeat is None else format_moment(heartbeat)
    text = _("The telephone service is not running (last seen: %(since)s).", since=since)
    return Health(HealthLevel.FAULT, text, _("Start it:"), "flask --app wsgi worker")


def _pbx_fault(state: _TelephoneState) -> Health | None:
    if state.worker.ami_status == "refused":
        return Health(HealthLevel.FAULT, _("The PBX rejects the user name or the secret."), _compare_login())
    if state.worker.ami_status != "connected":
        return Health(HealthLevel.FAULT, _("Not connected to the PBX."), command=state.worker.ami_detail)
    return None


def _compare_login() -> str:
    """Say what to compare manager.conf with: the user name and the secret come from the environment or the panel."""
    from_environment = [name for name in ("ami_username", "ami_secret") if settings().from_environment(name)]
    if len(from_environment) == 2:
        return _("Compare manager.conf with BAZANG_AMI_USERNAME and BAZANG_AMI_SECRET.")
    if from_environment:
        variable = f"{PREFIX}{from_environment[0].upper()}"
        return _("Compare manager.conf with %(variable)s and with the PBX settings.", variable=variable)
    return _("Compare manager.conf with the PBX settings.")


def _dialplan_fault(state: _TelephoneState) -> Health | None:
    worker = state.worker
    if worker.dialplan_detail not in ("", *_DIALPLAN_CODES):
        return Health(HealthLevel.FAULT, _("The dialplan cannot be written."), command=worker.dialplan_detail)
    if worker.obstacle == "no_dialplan":
        text = _("The dialplan of the PBX does not include ours.")
        command = f"#tryinclude {settings().dialplan_path}"
        return Health(
            HealthLevel.FAULT, text, _("Add this line to extensions.conf, then reload the dialplan:"), command
        )
    if not state.outbound_context:
        text = _("No context for calls to customers is set.")
        return Health(HealthLevel.FAULT, text, _("Enter the context for calls to customers in the settings."))
    if not worker.dialplan_running or worker.dialplan_running != worker.dialplan_written:
        text = _("The PBX still runs an older dialplan.")
        return Health(HealthLevel.WARNING, text, _("Type in its console:"), "dialplan reload")
    return None


def _ok(state: _TelephoneState) -> Health:
    version = state.worker.asterisk_version.split("-")[0].split("+")[0] or "?"
    return Health(HealthLevel.OK, _("Connected to Asterisk %(version)s. Calls can be made.", version=version))
