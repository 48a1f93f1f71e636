"""The domain's words in the reader's language. Every code that a person may see is here, once."""

from datetime import datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.audio.clip import SoundError
from app.audio.voices import Voice
from app.domain.lifecycle import Outcome, Status, Step
from app.domain.numbers import OutboundFormat
from app.domain.policy import LineState, Reason, Why
from app.domain.studio import State
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

LANGUAGE = {"fa": _l("Persian"), "en": _l("English")}


def error(code: str) -> str:
    """Say a check's code in words; a code without words is shown as it is rather than hidden."""
    return str(ERROR.get(code, code))


# -- sounds ---------------------------------------------------------------------------------------------------------

PROMPT_WHEN = {
    "intro": _l("First of all: nobody can answer, and what the caller can do about it."),
    "enter_number": _l("After 2: the caller is to type another number."),
    "wrong_number": _l("When what was typed is no number that you call."),
    "entered_number": _l("Before the number that was typed is read out."),
    "is": _l("After the number. Persian puts the verb there; English needs nothing."),
    "check_number": _l("After the number was read out: is it right?"),
    "before_success": _l("While the request is being stored."),
    "after_success": _l("Last of all, before the caller goes on to the next destination."),
}

ORIGIN = {"upload": _l("uploaded"), "browser": _l("recorded here"), "phone": _l("recorded by phone")}

_VOICE = {"female": _l("Female voice %(number)s"), "male": _l("Male voice %(number)s"), "plain": _l("Plain voice")}
RATE = {100: _l("very slow"), 125: _l("slow"), 150: _l("normal"), 180: _l("fast"), 220: _l("very fast")}
PITCH = {10: _l("very low"), 30: _l("low"), 50: _l("normal"), 70: _l("high"), 90: _l("very high")}

STUDIO = {
    State.ASKED: _l("The telephone service is asked to ring the phone…"),
    State.RINGING: _l("The phone rings. Pick it up."),
    State.ANSWERED: _l("The phone is answered. Listen to what is said."),
    State.RECORDING: _l("Say the text after the tone. Press # when you have finished."),
    State.LISTENING: _l("Press 1 to keep it, 2 to record it again, 3 to hear it."),
    State.KEPT: _l("The recording is kept."),
    State.DONE: _l("Done."),
    State.CANCELLED: _l("The call was cancelled."),
}

STUDIO_FIELD = {"extension": _l("Extension"), "language": _l("Language"), "name": _l("Name"), "text": _l("Text")}

# By the code of a Failure; what is not here yet is told in general words.
RECORDING_FAILURE = {
    "service_down": _l("The telephone service is not running, so no phone can be rung."),
    "too_late": _l("The telephone service was too busy. Try again."),
    "not_connected": _l("There is no connection to the telephone exchange, so no phone can be rung."),
    "no_dialplan": _l("The telephone exchange does not run our dialplan yet, so no phone can be rung."),
    "unknown_extension": _l("The telephone exchange knows no such extension."),
    "busy": _l("The phone is in a call. Try again when it is free."),
    "no_answer": _l("Nobody answered the phone."),
    "rejected": _l("The call was declined at the phone."),
    "unreachable": _l("No phone is connected with this extension."),
    "no_dialogue": _l("The phone was answered, but the telephone exchange did not reach our service."),
    "order_refused": _l("The telephone exchange does not let us ring a phone."),
    "undecided": _l("Nobody pressed 1 to keep the recording, so it is not kept."),
    "hung_up": _l("The phone was put down before the recording was kept."),
    "nothing_recorded": _l("Nothing was recorded."),
    "silence_only": _l("Nothing could be heard in the recording."),
    "cannot_write": _l("The telephone exchange cannot write into the folder of the sounds. Tell your administrator."),
    "cannot_read": _l("The telephone exchange does not find the sounds of the panel. Tell your administrator."),
    "no_sound": _l("What is to be said at the phone could not be spoken."),
    "broken_off": _l("The call broke off. Try again."),
}

# dBFS from which a sound is so loud; what is converted is levelled to about -20.
_LOUDNESS = (
    (-12.0, _l("very loud")),
    (-27.0, _l("well audible")),
    (-36.0, _l("rather quiet")),
    (float("-inf"), _l("very quiet")),
)


def sound_error(error: SoundError) -> str:
    """Say in words what is wrong with a sound."""
    return str(SOUND_ERROR.get(error.code, error))


def studio(state: State, detail: str) -> str:
    """Say in words how far a call of the studio is, or why it failed."""
    if state is State.FAILED:
        return str(RECORDING_FAILURE.get(detail) or _("The recording by phone did not succeed. Try again."))
    return str(STUDIO[state])


def voice(found: Voice) -> str:
    """Return what people call a voice."""
    if found.kind == "piper":
        return _("%(name)s (piper, without pitch)", name=found.title)
    text = str(_VOICE[found.kind]) % {"number": digits(found.number)}
    return _("%(voice)s, British", voice=text) if found.accent == "GB" else text


def decimal(value: float) -> str:
    """Write a number with one digit after the reader's decimal sign."""
    text = digits(f"{value:.1f}")
    return text if text.isascii() else text.replace(".", "\u066b")


def length(seconds: float) -> str:
    """Write how long a sound is."""
    return clock(round(seconds)) if seconds >= 60 else _("%(seconds)s s", seconds=decimal(seconds))


def loudness(dbfs: float) -> str:
    """Say how loud a sound is, in words with the number, whose sign stays before it in Persian, too."""
    text = next(text for least, text in _LOUDNESS if dbfs >= least)
    return _("%(loudness)s (%(number)s dB)", loudness=text, number=digits(f"\u2066\u2212{abs(dbfs):.0f}\u2069"))
