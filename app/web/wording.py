"""The domain's words in the reader's language. Every code that a person may see is here, once."""

from collections.abc import Mapping
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from app.domain.lifecycle import Outcome, Status, Step
from app.domain.numbers import OutboundFormat
from app.domain.pbx_connection import ConnectionResult, DialplanState
from app.domain.policy import LineState, Reason, ReasonCode
from app.web.formats import countdown, digits, time_of_day

STATUS = {
    Status.WAITING: _l("waiting"),
    Status.DIALLING: _l("dialling"),
    Status.CONNECTED: _l("connected"),
    Status.DONE: _l("done"),
    Status.FAILED: _l("failed"),
    Status.CANCELLED: _l("cancelled"),
    Status.EXPIRED: _l("expired"),
    Status.UNCERTAIN: _l("uncertain"),
}

# Tabler's colours, by what a status means to the reader.
STATUS_COLOUR = {
    Status.WAITING: "azure",
    Status.DIALLING: "orange",
    Status.CONNECTED: "green",
    Status.DONE: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "secondary",
    Status.EXPIRED: "secondary",
    Status.UNCERTAIN: "yellow",
}

STEP = {
    Step.CLAIMED: _l("the agent's phone rings"),
    Step.AGENT_ANSWERED: _l("the agent has answered"),
    Step.CUSTOMER_DIALLED: _l("the customer's phone rings"),
    Step.CONNECTED: _l("they are talking"),
}

OUTCOME = {
    Outcome.NOT_STARTED: _l("nothing rang"),
    Outcome.AGENT_TAKEN: _l("another call took the agent's line"),
    Outcome.WITHDRAWN: _l("withdrawn"),
    Outcome.AGENT_BUSY: _l("the agent was busy"),
    Outcome.AGENT_NO_ANSWER: _l("the agent did not answer"),
    Outcome.AGENT_REJECTED: _l("the agent rejected the call"),
    Outcome.AGENT_UNREACHABLE: _l("the agent's phone could not be reached"),
    Outcome.AGENT_REFUSED: _l("the agent put it off"),
    Outcome.AGENT_SILENT: _l("the agent pressed no key"),
    Outcome.AGENT_GONE: _l("the agent hung up"),
    Outcome.CUSTOMER_BUSY: _l("the customer was busy"),
    Outcome.CUSTOMER_NO_ANSWER: _l("the customer did not answer"),
    Outcome.CUSTOMER_REJECTED: _l("the customer rejected the call"),
    Outcome.CUSTOMER_UNREACHABLE: _l("the customer could not be reached"),
    Outcome.CUSTOMER_ABANDONED: _l("the agent hung up while the customer's phone rang"),
    Outcome.CUSTOMER_UNKNOWN: _l("the customer was dialled; the result is not known"),
    Outcome.CONNECTED: _l("they have talked"),
    Outcome.UNCLEAR: _l("nobody can say"),
}

LINE = {
    LineState.FREE: _l("free"),
    LineState.RINGING: _l("ringing"),
    LineState.IN_CALL: _l("in a call"),
    LineState.DND: _l("do not disturb"),
    LineState.OFFLINE: _l("offline"),
    LineState.UNKNOWN: _l("unknown"),
}

LINE_COLOUR = {
    LineState.FREE: "green",
    LineState.RINGING: "orange",
    LineState.IN_CALL: "red",
    LineState.DND: "purple",
    LineState.OFFLINE: "secondary",
    LineState.UNKNOWN: "secondary",
}

_WHY = {
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

_WHY_AGENT = {
    ReasonCode.LINE_RINGING: _l("%(agent)s is ringing"),
    ReasonCode.LINE_IN_CALL: _l("%(agent)s is in a call"),
    ReasonCode.LINE_DND: _l("%(agent)s does not want to be disturbed"),
    ReasonCode.LINE_OFFLINE: _l("%(agent)s is offline"),
    ReasonCode.LINE_UNKNOWN: _l("the exchange does not know %(agent)s"),
    ReasonCode.AGENT_IN_FLIGHT: _l("%(agent)s is being rung for another request"),
    ReasonCode.MEMBER_PAUSED: _l("%(agent)s is paused in the queue"),
}

_WHY_LEFT = {
    ReasonCode.MIN_WAIT: _l("before the minimum waiting time, %(left)s left"),
    ReasonCode.REST: _l("%(agent)s rests %(left)s more after a call"),
    ReasonCode.AGENT_PAUSE: _l("%(agent)s missed it; again in %(left)s"),
    ReasonCode.WRAPUP: _l("%(agent)s has %(left)s left of the wrap-up time"),
}


def why(reason: Reason, now: datetime) -> Markup:
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
    for table in (_WHY_AGENT, _WHY_LEFT):
        if reason.code in table:
            return _fill(table[reason.code], values)
    return escape(_WHY[reason.code])


def _fill(sentence: object, values: Mapping[str, object]) -> Markup:
    """Put values into a sentence; what is no markup of ours is escaped."""
    return Markup(str(sentence)) % values  # noqa: S704  a sentence of ours


# Codes of the services' checks, as they stand beside a field.
ERROR = {
    "required": _l("This is needed."),
    "too_long": _l("This is too long."),
    "too_short": _l("This is too short."),
    "characters": _l("There are characters in it that cannot be shown."),
    "code": _l("Digits, * and # only."),
    "taken": _l("This is taken already."),
    "twice": _l("This is written twice."),
    "wrong": _l("This is not your password."),
    "same": _l("This is the old one: choose another."),
    "unlike": _l("The two are not alike."),
    "last_administrator": _l("This is the last administrator: make somebody else one first."),
    "range": _l("This is out of range."),
    "choice": _l("Choose one of the list."),
    "number": _l("This is no telephone number."),
    "one_queue": _l("One queue only."),
    "custom": _l("Write it as context,extension,priority."),
    "no_module": _l("There is no module with this code."),
    "cycle": _l("Callers would go round in a circle."),
    "no_file": _l("Choose a file."),
    "in_use": _l("Something still points at this module."),
    "duration": _l("Write it as hours:minutes:seconds."),
    "digits": _l("Digits only."),
    "context": _l("Letters, digits, dot, dash and underscore only."),
    "whole_number": _l("Write a whole number."),
    "order": _l("The end is before the beginning."),
    "past": _l("This moment is over already."),
    "time": _l("Write a time of day, such as 14:30."),
    "not_yours": _l("This is not yours: choose one of your own."),
    "date": _l("Write it as year-month-day, such as 2026-11-24."),
    "date_time": _l("Write it as day and time, such as 2026-11-24 14:30."),
}

PROMPT = {
    "intro": _l("introduction"),
    "enter_number": _l("enter the number"),
    "wrong_number": _l("wrong number"),
    "entered_number": _l("the number entered"),
    "is": _l("“is”"),
    "check_number": _l("check the number"),
    "before_success": _l("before registering"),
    "after_success": _l("after registering"),
}

DESTINATION = {
    "extension": _l("extension"),
    "queue": _l("queue"),
    "module": _l("call request module"),
    "custom": _l("custom"),
    "hangup": _l("hang up"),
}

SITUATION = {
    "no_answer": _l("no answer"),
    "busy": _l("busy"),
    "unavailable": _l("unavailable"),
}

# By which of its ways something leads to a module.
WAY = {
    **SITUATION,
    "next": _l("next destination"),
    "error": _l("error destination"),
    "failed": _l("failed-call destination"),
}

OUTBOUND_FORMAT = {
    OutboundFormat.NATIONAL.value: _l("as at home: 09121234567"),
    OutboundFormat.E164.value: _l("with the country code: 989121234567"),
    OutboundFormat.INTERNATIONAL.value: _l("as from abroad: 00989121234567"),
}

ROLE = {
    "administrator": _l("administrator"),
    "supervisor": _l("supervisor"),
    "operator": _l("operator"),
}

ROLE_MAY = {
    "administrator": _l("Everything: sets up call requests, prompts, the exchange and the users."),
    "supervisor": _l("Sees and handles all requests, the overview and the log; sets nothing up."),
    "operator": _l("Sees and handles the requests of their own extensions, and of the queues these serve."),
}

ROLE_COLOUR = {"administrator": "purple", "supervisor": "azure", "operator": "secondary"}

THEME = {
    "auto": _l("as the device"),
    "light": _l("light"),
    "dark": _l("dark"),
}

LANGUAGE = {"fa": _l("Persian"), "en": _l("English")}


def error(code: str) -> str:
    """Say a check's code in words; a code without words is shown as it is rather than hidden."""
    return str(ERROR.get(code, code))


# -- settings and set-up --------------------------------------------------------------------------------------------

ERROR |= {
    "host": _l("Write the name or the address of a machine, such as 192.168.1.10."),
    "port": _l("A port is a number from 1 to 65535, mostly 5038."),
    "ami_user": _l("Letters, digits, dot, dash, underscore and @ only."),
    "secret": _l("Latin letters, digits and signs without spaces only."),
    "secret_again": _l("Type the secret again: host, port or user are others than before."),
    "passwords_differ": _l("The two passwords are not the same."),
    "not_on_exchange": _l("The telephone exchange does not know it."),
    "code_on_exchange": _l("Something else answers at this code on the telephone exchange. Choose another one."),
}

PBX_PROFILE = {"asterisk": _l("Plain Asterisk"), "freepbx": _l("FreePBX or Issabel")}

# What came of trying to reach the exchange, and how to mend it.
VERDICT = {
    ConnectionResult.HOST_UNKNOWN: _l("There is no machine of this name."),
    ConnectionResult.NOTHING_LISTENS: _l("The machine is there, but nothing listens at this port."),
    ConnectionResult.NO_ANSWER: _l("No answer came from there."),
    ConnectionResult.NOT_ASTERISK: _l("Something answers there, but it is no telephone exchange."),
    ConnectionResult.REFUSED: _l("The exchange is there, and refuses the user or the secret."),
    ConnectionResult.RIGHTS_MISSING: _l("The exchange lets us in, but some rights are missing."),
    ConnectionResult.CONNECTED: _l("Connected."),
}

VERDICT_MEND = {
    ConnectionResult.HOST_UNKNOWN: _l(
        "Look whether the name is spelled right, or write its address, such as 192.168.1.10."
    ),
    ConnectionResult.NOTHING_LISTENS: _l(
        "Look at the port (mostly 5038), and whether the exchange has “enabled = yes” in the section general of "
        "manager.conf. Reload the manager there afterwards."
    ),
    ConnectionResult.NO_ANSWER: _l(
        "Look at the address, whether the machine is switched on, and whether a firewall is between."
    ),
    ConnectionResult.NOT_ASTERISK: _l("Look at the port: that of the manager interface is mostly 5038."),
    ConnectionResult.REFUSED: _l(
        "The user and the secret must be the same here and in manager.conf of the exchange. Reload the manager there "
        "after a change. A line “permit” there may keep this machine out as well."
    ),
    ConnectionResult.RIGHTS_MISSING: _l("Let the user in manager.conf have these lines, and reload the manager there:"),
}

LOADED = {
    DialplanState.CURRENT: _l("The exchange runs our dialplan."),
    DialplanState.OUTDATED: _l(
        "The exchange runs an older version of our dialplan. Type “dialplan reload” in its console."
    ),
    DialplanState.NONE: _l("The exchange has not taken in our dialplan yet."),
    DialplanState.UNKNOWN: _l("Whether the exchange has our dialplan could not be found out."),
}

AREA = {
    "Asia": _l("Asia"),
    "Europe": _l("Europe"),
    "Africa": _l("Africa"),
    "America": _l("America"),
    "Australia": _l("Australia"),
    "Atlantic": _l("Atlantic"),
    "Indian": _l("Indian Ocean"),
    "Pacific": _l("Pacific"),
    "Antarctica": _l("Antarctica"),
    "Arctic": _l("Arctic"),
    "Etc": _l("Other"),
}

POINT = {
    "service": _l("The telephone service runs"),
    "reached": _l("The exchange is reached"),
    "accepted": _l("User and secret are accepted"),
    "rights": _l("All rights are there"),
    "dialplan": _l("Our dialplan is taken in"),
    "extensions": _l("The exchange tells of extensions"),
    "outbound": _l("Customers can be dialled"),
}

TEMPLATE = {
    "extension": _l("One person's extension"),
    "queue": _l("A team's queue"),
    "silent": _l("Silent: note the caller's number"),
}

TEMPLATE_ABOUT = {
    "extension": _l("Whoever finds the extension busy or unanswered presses 1, and is rung back when it is free."),
    "queue": _l("Whoever has waited too long in the queue presses 1, and is rung back by the next member who is free."),
    "silent": _l("Nothing is played: the number of whoever was not served is noted, and rung back."),
}

TEMPLATE_NAME = {"extension": _l("Call back"), "queue": _l("Call back by the team"), "silent": _l("Missed calls")}
