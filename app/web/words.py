"""The domain's words in the reader's language. Every code that a person may see is here, once."""

from datetime import datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.lifecycle import Outcome, Status, Step
from app.domain.numbers import OutboundFormat
from app.domain.policy import LineState, Reason, Why
from app.web.filters import clock, digits, time_of_day

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
    Why.SERVICE_DOWN: _l("the telephone service is not running"),
    Why.NOT_CONNECTED: _l("not connected to the telephone exchange"),
    Why.NO_DIALPLAN: _l("the telephone exchange does not run our dialplan"),
    Why.NO_OUTBOUND: _l("nobody has set how customers are dialled"),
    Why.UNCERTAIN: _l("how the last call ended is not known; call now or cancel"),
    Why.ALL_PAUSED: _l("automatic calls are paused"),
    Why.MANUAL: _l("automatic call is off: call by hand"),
    Why.NUMBER_BUSY: _l("another call to this number is under way"),
    Why.LIVE_CALLERS: _l("live callers come first"),
    Why.NO_MEMBERS: _l("nobody is there to serve it"),
    Why.BEHIND_OTHERS: _l("it is next"),
}

_WHY_AGENT = {
    Why.LINE_RINGING: _l("%(agent)s is ringing"),
    Why.LINE_IN_CALL: _l("%(agent)s is in a call"),
    Why.LINE_DND: _l("%(agent)s does not want to be disturbed"),
    Why.LINE_OFFLINE: _l("%(agent)s is offline"),
    Why.LINE_UNKNOWN: _l("the exchange does not know %(agent)s"),
    Why.AGENT_IN_FLIGHT: _l("%(agent)s is being rung for another request"),
    Why.MEMBER_PAUSED: _l("%(agent)s is paused in the queue"),
}

_WHY_LEFT = {
    Why.MIN_WAIT: _l("before the minimum waiting time, %(left)s left"),
    Why.REST: _l("%(agent)s rests %(left)s more after a call"),
    Why.AGENT_PAUSE: _l("%(agent)s missed it; again in %(left)s"),
    Why.WRAPUP: _l("%(agent)s has %(left)s left of the wrap-up time"),
}


def why(reason: Reason, now: datetime) -> str:
    """Say in words why a request is not being dialled."""
    until = reason.until or now
    values = {"agent": digits(reason.subject), "left": clock(until - now + timedelta(seconds=0.999))}
    if reason.why is Why.POSTPONED:
        return _("postponed until %(time)s", time=time_of_day(until, now))
    if reason.why is Why.RETRY:
        if reason.outcome is None:
            return _("next attempt in %(left)s", left=values["left"])
        cause = str(OUTCOME[reason.outcome])
        return _("next attempt in %(left)s (%(cause)s)", left=values["left"], cause=cause)
    if reason.why is Why.NO_AGENT_FREE:
        return _("no agent is free")
    for table in (_WHY_AGENT, _WHY_LEFT):
        if reason.why in table:
            return str(table[reason.why]) % values
    return str(_WHY[reason.why])


# What a page is told of a command: `is_…` are the request's status when it could not be done any more.
ANSWER = {
    "done": _l("Done."),
    "written": _l("Done."),
    "expired": _l("The telephone service was too late; nothing was done."),
    "not_found": _l("There is no such request any more."),
    "is_dialling": _l("It is being dialled already."),
    "is_connected": _l("They are talking already."),
    "is_waiting": _l("It waits already."),
}

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
    "date": _l("Write it as year-month-day, such as 2026-11-24."),
    "date_time": _l("Write it as day and time, such as 2026-11-24 14:30."),
}

SOUND_ERROR = {
    "no_sound": _l("This file has no sound in it."),
    "silence_only": _l("This file is silent."),
    "too_long": _l("The sound is too long."),
    "too_large": _l("The file is too large."),
    "not_audio": _l("This file is of no kind of sound that is known here."),
    "broken": _l("The sound is damaged and cannot be decoded."),
    "timeout": _l("The work took too long."),
    "busy": _l("Too many sounds are being worked on; try again in a moment."),
    "empty_text": _l("There is no text to speak."),
    "text_too_long": _l("The text is too long to be spoken."),
    "wrong_language": _l("The text is not written in the module's language."),
    "unknown_voice": _l("This voice is not there."),
    "voice_broken": _l("This voice cannot be used: its files in the folder of voices are damaged or incomplete."),
    "piper_missing": _l("This voice needs the package piper-tts, which is not installed."),
    "rate_out_of_range": _l("The speed is out of range."),
    "pitch_out_of_range": _l("The pitch is out of range."),
    "speech_failed": _l("The text could not be spoken."),
    "lost": _l("The recording is not there any more."),
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
