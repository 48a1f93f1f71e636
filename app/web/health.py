"""The health of the telephone side: whether calls can be made and, if not, what to do.

Administrators also see whether webhooks and e-mail can be sent.

Every page shows it in the status line; the overview shows it for each component, and the wallboard for those of calls.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from flask import Flask
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from app.config import PREFIX
from app.domain.lifecycle import Outcome
from app.domain.limits import DAY, LimitReason
from app.domain.pbx_connection import DialplanProblem, is_too_old
from app.domain.text import displayable
from app.services.monitoring.telephone import load_state
from app.services.requests.kept import KeptRefusal
from app.store import pbx_state, routes
from app.store.models import RouteTroubleRow, WorkerState
from app.store.webhooks import DestinationTrouble
from app.web.context import cached, cached_query, command, office, settings, utcnow
from app.web.formats import clock, digits, format_moment, isolated, listed
from app.web.locale import choose_locale
from app.web.wording import LIMIT_REASON, OUTCOME


class HealthLevel(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"  # of a component that depends on one with a fault


@dataclass(frozen=True)
class Health:
    """`advice` says what to do, and `command` is a line to type for it. `report` is the error of the other side."""

    level: HealthLevel
    text: str = ""
    advice: str = ""
    command: str = ""
    report: str = ""


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
    has_jumped: bool
    outbound_context: str
    route: RouteTroubleRow | None
    refusals: Mapping[LimitReason, int]  # in the last 24 hours
    broken_promises: Mapping[str, int]  # kept registrations that were refused in the last 24 hours
    destinations: Sequence[DestinationTrouble]  # of webhooks and e-mail, for administrators only


def register(app: Flask) -> None:
    app.jinja_env.globals["health"] = health
    app.jinja_env.globals["pbx_is_connected"] = pbx_is_connected


def health(*, messages: bool = False) -> Health:
    """Return the first fault or warning, or that calls can be made. `messages`: also of webhooks and e-mail."""
    state = _load_state()
    if not messages:
        state = replace(state, destinations=())
    key = "health", choose_locale(), state.is_running, state.has_jumped, bool(state.destinations)
    return cached(key, lambda: _worst(state))


def pbx_is_connected() -> bool:
    """Return whether the worker runs and is connected to the PBX, whatever else is wrong."""
    state = _load_state()
    return _service_fault(state) is None and _pbx_fault(state) is None


def components() -> list[ComponentHealth]:
    """Return the health of each component. A component depends on those before it."""
    return _components(_load_state())


def _load_state() -> _TelephoneState:
    outbound, now = office().outbound_context, utcnow()
    since = now.replace(minute=0, second=0, microsecond=0) - DAY
    stored = cached_query(("telephone", outbound, since), lambda session: load_state(session, outbound, since))
    return _TelephoneState(
        stored.worker,
        pbx_state.has_heartbeat(stored.worker, now),
        pbx_state.has_jumped(stored.worker, now),
        outbound,
        stored.route,
        stored.refusals,
        stored.broken_promises,
        stored.destinations if getattr(current_user, "role", "") == "administrator" else (),
    )


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
        _component("route", _("Calls to customers"), _route_fault(state), ok=_("possible"), bad=_("failing"))
        if service is None and pbx is None and dialplan is None
        else _unknown("route", _("Calls to customers")),
        *_clock(state),
        *_refusals(state),
        *_broken_promises(state),
        *_destinations(state),
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
    return Health(HealthLevel.FAULT, text, _("Start it:"), command("worker"))


def _pbx_fault(state: _TelephoneState) -> Health | None:
    if state.worker.ami_status == pbx_state.PBX_NOT_GIVEN:
        return Health(HealthLevel.FAULT, _("The PBX is not connected yet."), _("Enter it under Settings > PBX."))
    if state.worker.ami_status == "refused":
        return Health(HealthLevel.FAULT, _("The PBX rejects the user name or the secret."), _compare_login())
    if state.worker.ami_status == "login_in_use":
        text = _("Another program is logged in to the PBX as our user, and the PBX allows one log-in at a time.")
        advice = _("Give this panel a user of its own, or allow more log-ins in manager.conf:")
        return Health(HealthLevel.FAULT, text, advice, "allowmultiplelogin = yes")
    if state.worker.ami_status != "connected":
        return Health(HealthLevel.FAULT, _("Not connected to the PBX."), report=state.worker.ami_detail)
    if is_too_old(state.worker.asterisk_version):
        text = _("The Asterisk of this PBX is too old.")
        return Health(HealthLevel.FAULT, text, _("Asterisk 13 or later is needed."))
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
    if worker.dialplan_detail not in ("", *DialplanProblem):
        return Health(HealthLevel.FAULT, _("The dialplan cannot be written."), report=worker.dialplan_detail)
    if worker.obstacle == "no_dialplan":
        text = _("The dialplan of the PBX does not include ours.")
        command = f"#tryinclude {settings().dialplan_path}"
        return Health(
            HealthLevel.FAULT, text, _("Add this line to extensions.conf, then reload the dialplan:"), command
        )
    if worker.obstacle == "old_number_check":
        text = _("The settings for numbers have changed, and the dialplan of the PBX still checks by the former ones.")
        return Health(HealthLevel.FAULT, text, _("Type in its console:"), "dialplan reload")
    if not state.outbound_context:
        text = _("No context for calls to customers is set.")
        return Health(HealthLevel.FAULT, text, _("Enter the context for calls to customers in the settings."))
    if worker.dialplan_detail == DialplanProblem.SOUNDS_MISSING:
        text = _("Sounds are being made. A new module answers callers when its sounds are ready.")
        return Health(HealthLevel.WARNING, text, _("On a busy machine this takes some minutes."))
    if not worker.dialplan_running or worker.dialplan_running != worker.dialplan_written:
        text = _("The PBX still runs an older dialplan.")
        return Health(HealthLevel.WARNING, text, _("Type in its console:"), "dialplan reload")
    return None


def _route_fault(state: _TelephoneState) -> Health | None:
    if state.route is None:
        return None
    trouble = routes.to_domain(state.route)
    text = _(
        "Calls to customers have failed since %(since)s: %(cause)s.",
        since=format_moment(trouble.since),
        cause=OUTCOME[Outcome(trouble.outcome)],
    )
    advice = _("They are tried again from %(time)s on.", time=format_moment(trouble.paused_until))
    return Health(HealthLevel.FAULT, text, advice, report=state.route.cause)


def _clock(state: _TelephoneState) -> list[ComponentHealth]:
    """Return the health of the clock for a day after a jump. Otherwise, there is nothing to say about it."""
    worker = state.worker
    if worker.jumped_at is None or not state.has_jumped:
        return []
    at, by = format_moment(worker.jumped_at), clock(abs(worker.jump_seconds))
    if worker.jump_seconds < 0:
        text = _("The clock of the telephone service jumped back by %(by)s at %(at)s.", by=by, at=at)
    else:
        text = _("The clock of the telephone service jumped forward by %(by)s at %(at)s.", by=by, at=at)
    advice = _("Waiting times and pauses went on as if nothing had happened. Check the time service of the machine:")
    return [ComponentHealth("clock", _("Clock"), _("jumped"), Health(HealthLevel.WARNING, text, advice, "timedatectl"))]


def _refusals(state: _TelephoneState) -> Iterator[ComponentHealth]:
    """Yield the requests of callers that were refused, if there are any. Those of blocked numbers are no fault."""
    if not state.refusals:
        return
    limits = [reason for reason in state.refusals if reason is not LimitReason.BLOCKED]
    count = sum(state.refusals.values())
    known = digits(ngettext("%(num)s refused", "%(num)s refused", count))
    if not limits:
        yield ComponentHealth("callers", _("Requests of callers"), known, Health(HealthLevel.OK))
        return
    number = sum(state.refusals[reason] for reason in limits)
    text = ngettext(
        "In the last 24 hours, %(num)s request of a caller was refused: %(why)s.",
        "In the last 24 hours, %(num)s requests of callers were refused: %(why)s.",
        number,
        why=listed(LIMIT_REASON[reason] for reason in limits),
    )
    advice = _("If these are real callers, raise the limits in the settings.")
    yield ComponentHealth("callers", _("Requests of callers"), known, Health(HealthLevel.WARNING, digits(text), advice))


def _broken_promises(state: _TelephoneState) -> Iterator[ComponentHealth]:
    """Yield the callers who heard that their request is registered, by the dialplan alone, and it was refused."""
    number = sum(state.broken_promises.values())
    if not number:
        return
    text = ngettext(
        "In the last 24 hours, %(num)s caller heard that the request is registered while Bazang did not run, and it "
        "was refused afterwards: %(why)s.",
        "In the last 24 hours, %(num)s callers heard that the request is registered while Bazang did not run, and it "
        "was refused afterwards: %(why)s.",
        number,
        why=listed(_why_broken(reason) for reason in state.broken_promises),
    )
    known = digits(ngettext("%(num)s refused", "%(num)s refused", number))
    advice = _("The log of the telephone service has the time and a part of each number.")
    health = Health(HealthLevel.WARNING, digits(text), advice)
    yield ComponentHealth("kept", _("Requests while Bazang did not run"), known, health)


def _destinations(state: _TelephoneState) -> Iterator[ComponentHealth]:
    """Yield the destinations of webhooks and e-mail to which nothing is sent, if there are any."""
    if not state.destinations:
        return
    paused = [isolated(displayable(each.name)) for each in state.destinations if each.is_paused]
    failing = [isolated(displayable(each.name)) for each in state.destinations if not each.is_paused]
    texts = []
    if failing:
        texts.append(_("Messages cannot be sent: %(names)s.", names=listed(failing)))
    if paused:
        texts.append(_("Messages wait, because their destination is paused: %(names)s.", names=listed(paused)))
    advice = _("Settings > Webhooks and Settings > E-mail say why.")
    known = _("failing") if failing else _("paused")
    health = Health(HealthLevel.WARNING, " ".join(texts), advice)
    yield ComponentHealth("messages", _("Webhooks and e-mail"), known, health)


def _why_broken(reason: str) -> str:
    texts: dict[str, str] = {
        KeptRefusal.NUMBER: _("the number may not be called"),
        KeptRefusal.MALFORMED: _("the record of the PBX cannot be read"),
        KeptRefusal.NO_MODULE: _("the module is deleted"),
        KeptRefusal.OLD: _("the call is too long ago"),
    }
    return texts.get(reason) or str(LIMIT_REASON[LimitReason(reason)])


def _ok(state: _TelephoneState) -> Health:
    version = state.worker.asterisk_version.split("-")[0].split("+")[0] or "?"
    return Health(HealthLevel.OK, _("Connected to Asterisk %(version)s. Calls can be made.", version=version))
