"""The texts for the reasons why a request waits."""

from collections.abc import Mapping
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from app.domain.lifecycle import Outcome
from app.domain.policy import Reason, ReasonCode
from app.services.pbx.config_snippets import hint_line
from app.web.formats import countdown, digits, time_of_day
from app.web.verdicts import explain_verdict
from app.web.wording import OUTCOME

_REASON = {
    ReasonCode.SERVICE_DOWN: _l("the telephone service is not running"),
    ReasonCode.NOT_CONNECTED: _l("not connected to the PBX"),
    ReasonCode.TOO_OLD: _l("the Asterisk of the PBX is too old"),
    ReasonCode.NO_DIALPLAN: _l("the PBX does not run our dialplan"),
    ReasonCode.OLD_NUMBER_CHECK: _l("the PBX still checks numbers by former settings; reload its dialplan"),
    ReasonCode.NO_OUTBOUND: _l("the context for calls to customers is not set"),
    ReasonCode.UNCERTAIN: _l("it is unknown how the last call ended; call now or cancel"),
    ReasonCode.ALL_PAUSED: _l("automatic calls are paused"),
    ReasonCode.MANUAL: _l("automatic calls are off; call by hand"),
    ReasonCode.CALLS_LIMIT: _l("as many calls as allowed are in progress"),
    ReasonCode.ROUTE_CALLS_LIMIT: _l("as many calls to customers as allowed are in progress"),
    ReasonCode.NUMBER_BUSY: _l("another call to this number is in progress"),
    ReasonCode.NUMBER_ON_LINE: _l("the customer is in a call with the office"),
    ReasonCode.LIVE_CALLERS: _l("callers in the queue come first"),
    ReasonCode.NUMBER_REFUSED: _l("the number may not be called"),
    ReasonCode.NO_MEMBERS: _l("no agent can serve it"),
    ReasonCode.NOBODY_THERE: _l("no agent is available: all are offline, paused or set to do not disturb"),
    ReasonCode.BEHIND_OTHERS: _l("it is next"),
}

# about an agent
_AGENT_REASON = {
    ReasonCode.CUSTOMER_GONE: _l("the phone of the customer, extension %(agent)s, cannot be reached"),
    ReasonCode.LINE_RINGING: _l("%(agent)s is ringing"),
    ReasonCode.LINE_IN_CALL: _l("%(agent)s is in a call"),
    ReasonCode.LINE_DND: _l("%(agent)s is set to do not disturb"),
    ReasonCode.LINE_OFFLINE: _l("%(agent)s is offline"),
    ReasonCode.AGENT_IN_FLIGHT: _l("%(agent)s is being called for another request"),
    ReasonCode.AGENT_IS_CUSTOMER: _l("%(agent)s asked for it, and nobody else can call"),
    ReasonCode.MEMBER_PAUSED: _l("%(agent)s is paused in the queue"),
}

# with a countdown
_TIMED_REASON = {
    ReasonCode.DAILY_LIMIT: _l("as many automatic calls as allowed were made in 24 hours, the next one in %(left)s"),
    ReasonCode.OPENING: _l("the office has just opened, its turn comes in %(left)s"),
    ReasonCode.MIN_WAIT: _l("minimum waiting time, %(left)s left"),
    ReasonCode.REST: _l("pause of %(agent)s after a call, %(left)s left"),
    ReasonCode.NOTHING_RANG: _l("%(agent)s did not ring (%(cause)s), next try in %(left)s"),
    ReasonCode.WRAPUP: _l("wrap-up time of %(agent)s, %(left)s left"),
}


def explain_reason(reason: Reason, now: datetime) -> Markup:
    """Return the text for a reason. The browser counts down what is left of a time."""
    until = reason.until or now
    cause = "" if reason.outcome is None else str(OUTCOME[reason.outcome])
    values = {"agent": digits(reason.subject), "left": countdown(until, now), "cause": cause}
    if reason.code is ReasonCode.POSTPONED:
        return escape(_("postponed until %(time)s", time=time_of_day(until, now)))
    if reason.code is ReasonCode.CHOSEN_TIME:
        return escape(_("to be called at the chosen time, %(time)s", time=time_of_day(until, now)))
    if reason.code is ReasonCode.OFFICE_CLOSED:
        if reason.until is None:
            return escape(_("office closed"))
        return escape(_("office closed until %(time)s", time=time_of_day(until, now)))
    if reason.code is ReasonCode.PREFERRED:
        sentence = _l("waits until %(time)s for %(agent)s, who talked with this customer last; then anybody may call")
        return _fill(sentence, {**values, "time": time_of_day(until, now)})
    if reason.verdict is not None:
        return _fill(_l("the number may not be called. %(why)s"), {"why": explain_verdict(reason.verdict)})
    if reason.code is ReasonCode.NO_AGENT_FREE:
        return escape(_("no agent is free"))
    if reason.code is ReasonCode.RETRY:
        return _explain_retry(reason, values)
    if reason.code is ReasonCode.LINE_UNKNOWN:
        return _explain_unknown(reason, values)
    if reason.code is ReasonCode.ROUTE_PAUSED:
        return _explain_route(reason, values)
    if reason.code is ReasonCode.AGENT_PAUSE:
        return _explain_pause(reason, values)
    for table in (_AGENT_REASON, _TIMED_REASON):
        if reason.code in table:
            return _fill(table[reason.code], values)
    return escape(_REASON[reason.code])


def _explain_unknown(reason: Reason, values: Mapping[str, object]) -> Markup:
    line = hint_line(reason.subject, reason.devices)
    if not line:
        return _fill(_l("the PBX does not report the state of %(agent)s"), values)
    code = Markup('<code dir="ltr">{}</code>').format(line)
    return _fill(
        _l("the PBX does not report the state of %(agent)s; add to extensions.conf: %(line)s"), {**values, "line": code}
    )


def _explain_retry(reason: Reason, values: Mapping[str, object]) -> Markup:
    if reason.outcome is None:
        return _fill(_l("next attempt in %(left)s"), values)
    return _fill(_l("next attempt in %(left)s (%(cause)s)"), values)


def _explain_pause(reason: Reason, values: Mapping[str, object]) -> Markup:
    """Say what the agent did. A pause without an outcome comes from another request."""
    if reason.outcome is None:
        return _fill(_l("%(agent)s did not take another call, next try in %(left)s"), values)
    if reason.outcome is Outcome.AGENT_NO_ANSWER:
        return _fill(_l("%(agent)s missed the call, next try in %(left)s"), values)
    return _fill(_l("%(agent)s did not take the call (%(cause)s), next try in %(left)s"), values)


def _explain_route(reason: Reason, values: Mapping[str, object]) -> Markup:
    if reason.until is None:
        return _fill(_l("calls to customers fail (%(cause)s), another request is trying"), values)
    return _fill(_l("calls to customers fail (%(cause)s), next try in %(left)s"), values)


def _fill(sentence: object, values: Mapping[str, object]) -> Markup:
    """Fill a sentence of the catalogue, and escape the values."""
    return Markup(str(sentence)) % values  # noqa: S704 - the catalogue is ours
