"""The texts for the reasons why a request waits."""

from collections.abc import Mapping
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from app.domain.policy import Reason, ReasonCode
from app.web.formats import countdown, digits, time_of_day
from app.web.wording import OUTCOME

_REASON = {
    ReasonCode.SERVICE_DOWN: _l("the telephone service is not running"),
    ReasonCode.NOT_CONNECTED: _l("not connected to the PBX"),
    ReasonCode.NO_DIALPLAN: _l("the PBX does not run our dialplan"),
    ReasonCode.NO_OUTBOUND: _l("the context for calls to customers is not set"),
    ReasonCode.UNCERTAIN: _l("it is unknown how the last call ended; call now or cancel"),
    ReasonCode.ALL_PAUSED: _l("automatic calls are paused"),
    ReasonCode.MANUAL: _l("automatic calls are off; call by hand"),
    ReasonCode.NUMBER_BUSY: _l("another call to this number is in progress"),
    ReasonCode.LIVE_CALLERS: _l("callers in the queue come first"),
    ReasonCode.NO_MEMBERS: _l("no agent can serve it"),
    ReasonCode.BEHIND_OTHERS: _l("it is next"),
}

# about an agent
_AGENT_REASON = {
    ReasonCode.LINE_RINGING: _l("%(agent)s is ringing"),
    ReasonCode.LINE_IN_CALL: _l("%(agent)s is in a call"),
    ReasonCode.LINE_DND: _l("%(agent)s is set to do not disturb"),
    ReasonCode.LINE_OFFLINE: _l("%(agent)s is offline"),
    ReasonCode.LINE_UNKNOWN: _l("the PBX does not know %(agent)s"),
    ReasonCode.AGENT_IN_FLIGHT: _l("%(agent)s is being called for another request"),
    ReasonCode.MEMBER_PAUSED: _l("%(agent)s is paused in the queue"),
}

# with a countdown
_TIMED_REASON = {
    ReasonCode.MIN_WAIT: _l("minimum waiting time, %(left)s left"),
    ReasonCode.REST: _l("pause of %(agent)s after a call, %(left)s left"),
    ReasonCode.AGENT_PAUSE: _l("%(agent)s missed the call, next try in %(left)s"),
    ReasonCode.WRAPUP: _l("wrap-up time of %(agent)s, %(left)s left"),
}


def explain_reason(reason: Reason, now: datetime) -> Markup:
    """Return the text for a reason. The browser counts down what is left of a time."""
    until = reason.until or now
    values = {"agent": digits(reason.subject), "left": countdown(until, now)}
    if reason.code is ReasonCode.POSTPONED:
        return escape(_("postponed until %(time)s", time=time_of_day(until, now)))
    if reason.code is ReasonCode.NO_AGENT_FREE:
        return escape(_("no agent is free"))
    if reason.code is ReasonCode.RETRY:
        return _explain_retry(reason, values)
    for table in (_AGENT_REASON, _TIMED_REASON):
        if reason.code in table:
            return _fill(table[reason.code], values)
    return escape(_REASON[reason.code])


def _explain_retry(reason: Reason, values: Mapping[str, object]) -> Markup:
    if reason.outcome is None:
        return _fill(_l("next attempt in %(left)s"), values)
    return _fill(_l("next attempt in %(left)s (%(cause)s)"), {**values, "cause": str(OUTCOME[reason.outcome])})


def _fill(sentence: object, values: Mapping[str, object]) -> Markup:
    """Fill a sentence of the catalogue, and escape the values."""
    return Markup(str(sentence)) % values  # noqa: S704 - the catalogue is ours
