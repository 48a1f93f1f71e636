"""Why a request waits, in words."""

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
    ReasonCode.NOT_CONNECTED: _l("not connected to the telephone exchange"),
    ReasonCode.NO_DIALPLAN: _l("the telephone exchange does not run our dialplan"),
    ReasonCode.NO_OUTBOUND: _l("nobody has set how customers are dialled"),
    ReasonCode.UNCERTAIN: _l("how the last call ended is not known; call now or cancel"),
    ReasonCode.ALL_PAUSED: _l("automatic calls are paused"),
    ReasonCode.MANUAL: _l("automatic call is off: call by hand"),
    ReasonCode.NUMBER_BUSY: _l("another call to this number is under way"),
    ReasonCode.LIVE_CALLERS: _l("live callers come first"),
    ReasonCode.NO_MEMBERS: _l("nobody is there to serve it"),
    ReasonCode.BEHIND_OTHERS: _l("it is next"),
}

_AGENT_REASON = {
    ReasonCode.LINE_RINGING: _l("%(agent)s is ringing"),
    ReasonCode.LINE_IN_CALL: _l("%(agent)s is in a call"),
    ReasonCode.LINE_DND: _l("%(agent)s does not want to be disturbed"),
    ReasonCode.LINE_OFFLINE: _l("%(agent)s is offline"),
    ReasonCode.LINE_UNKNOWN: _l("the exchange does not know %(agent)s"),
    ReasonCode.AGENT_IN_FLIGHT: _l("%(agent)s is being rung for another request"),
    ReasonCode.MEMBER_PAUSED: _l("%(agent)s is paused in the queue"),
}

_TIMED_REASON = {
    ReasonCode.MIN_WAIT: _l("before the minimum waiting time, %(left)s left"),
    ReasonCode.REST: _l("%(agent)s rests %(left)s more after a call"),
    ReasonCode.AGENT_PAUSE: _l("%(agent)s missed it; again in %(left)s"),
    ReasonCode.WRAPUP: _l("%(agent)s has %(left)s left of the wrap-up time"),
}


def explain_reason(reason: Reason, now: datetime) -> Markup:
    """Say in words why a request is not being dialled; what is left of a time counts down in the browser."""
    until = reason.until or now
    values = {"agent": digits(reason.subject), "left": countdown(until, now)}
    if reason.code is ReasonCode.POSTPONED:
        return escape(_("postponed until %(time)s", time=time_of_day(until, now)))
    if reason.code is ReasonCode.RETRY:
        if reason.outcome is None:
            return _fill(_l("next attempt in %(left)s"), values)
        cause = str(OUTCOME[reason.outcome])
        return _fill(_l("next attempt in %(left)s (%(cause)s)"), {**values, "cause": cause})
    if reason.code is ReasonCode.NO_AGENT_FREE:
        return escape(_("no agent is free"))
    for table in (_AGENT_REASON, _TIMED_REASON):
        if reason.code in table:
            return _fill(table[reason.code], values)
    return escape(_REASON[reason.code])


def _fill(sentence: object, values: Mapping[str, object]) -> Markup:
    """Put values into a sentence; what is no markup of ours is escaped."""
    return Markup(str(sentence)) % values  # noqa: S704  a sentence of ours
