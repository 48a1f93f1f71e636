"""Prompts, sounds, voices and phone calls in words."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.audio.clip import SoundError
from app.audio.voices import Voice
from app.domain.phone_calls import CallFailure, CallState
from app.web.formats import clock, digits

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

PROMPT_ABOUT = {
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

RATE = {100: _l("very slow"), 125: _l("slow"), 150: _l("normal"), 180: _l("fast"), 220: _l("very fast")}

PITCH = {10: _l("very deep"), 30: _l("deep"), 50: _l("medium"), 70: _l("high-pitched"), 90: _l("very high-pitched")}

_VOICE = {"female": _l("Female voice %(number)s"), "male": _l("Male voice %(number)s"), "plain": _l("Plain voice")}

# From this level in dBFS a sound is so loud. Converted sounds are levelled to about -20 dBFS.
_LOUDNESS = (
    (-12.0, _l("very loud")),
    (-27.0, _l("well audible")),
    (-36.0, _l("rather quiet")),
    (float("-inf"), _l("very quiet")),
)

PHONE_CALL_STATE = {
    CallState.ASKED: _l("The telephone service is asked to ring the phone…"),
    CallState.RINGING: _l("The phone rings. Pick it up."),
    CallState.ANSWERED: _l("The phone is answered. Listen to what is said."),
    CallState.RECORDING: _l("Say the text after the tone. Press # when you have finished."),
    CallState.LISTENING: _l("Press 1 to keep it, 2 to record it again, 3 to hear it."),
    CallState.KEPT: _l("The recording is kept."),
    CallState.DONE: _l("The call went well to its end."),
    CallState.FAILED: _l("The call did not succeed."),
    CallState.CANCELLED: _l("The call was cancelled."),
}

PHONE_CALL_FAILURE = {
    CallFailure.SERVICE_DOWN: _l("The telephone service is not running. Start it on this machine and try again."),
    CallFailure.TOO_LATE: _l("The telephone service was too busy to call in time. Try again."),
    CallFailure.NOT_CONNECTED: _l("There is no connection to the telephone exchange. Look at its settings."),
    CallFailure.NO_DIALPLAN: _l("The exchange does not run our dialplan yet. Take it in, reload, and try again."),
    CallFailure.UNKNOWN_EXTENSION: _l("The exchange does not know this extension. Look whether the number is right."),
    CallFailure.BUSY: _l("The phone is busy. Hang it up and try again."),
    CallFailure.NO_ANSWER: _l("Nobody picked up. Try again and pick up while the phone rings."),
    CallFailure.REJECTED: _l("The call was rejected at the phone."),
    CallFailure.UNREACHABLE: _l("No phone is connected for this extension. Look whether it is switched on."),
    CallFailure.HUNG_UP: _l("The phone was hung up before the end."),
    CallFailure.NO_DIALOGUE: _l("The phone was answered, but the exchange did not reach our service on this machine."),
    CallFailure.ORDER_REFUSED: _l("The exchange does not let us ring a phone. Look at the rights of its user."),
    CallFailure.UNDECIDED: _l("Nobody pressed 1 to keep the recording, so it is not kept."),
    CallFailure.NOTHING_RECORDED: _l("Nothing was recorded. Speak after the tone and try again."),
    CallFailure.SILENCE_ONLY: _l("Only silence was recorded. Speak closer to the phone and try again."),
    CallFailure.CANNOT_WRITE: _l("The exchange cannot write recordings to our folder; its rights have to be mended."),
    CallFailure.CANNOT_READ: _l("The exchange does not find the sounds of the panel; its rights have to be mended."),
    CallFailure.NO_SOUND: _l("The text could not be spoken, so there was nothing to play."),
    CallFailure.BROKEN_OFF: _l("The call broke off in the middle. Try again."),
}

PHONE_CALL_FIELD = {"extension": _l("Extension"), "language": _l("Language"), "name": _l("Name"), "text": _l("Text")}


def sound_error(error: SoundError) -> str:
    """Say in words what is wrong with a sound."""
    return str(SOUND_ERROR.get(error.code, error))


def phone_call(state: CallState, detail: str) -> str:
    """Say in words how far a call of the studio is, or why it failed."""
    if state is CallState.FAILED:
        known = {str(failure): text for failure, text in PHONE_CALL_FAILURE.items()}
        return str(known.get(detail, PHONE_CALL_FAILURE[CallFailure.BROKEN_OFF]))
    return str(PHONE_CALL_STATE[state])


def voice(found: Voice) -> str:
    """Return what people call a voice."""
    if found.kind == "piper":
        return _("%(name)s (piper, without pitch)", name=found.title)
    text = str(_VOICE[found.kind]) % {"number": digits(found.number)}
    return _("%(voice)s, British", voice=text) if found.accent == "GB" else text


def length(seconds: float) -> str:
    """Write how long a sound is."""
    return clock(round(seconds)) if seconds >= 60 else _("%(seconds)s s", seconds=decimal(seconds))


def loudness(dbfs: float) -> str:
    """Say how loud a sound is, in words with the number, whose sign stays before it in Persian, too."""
    text = next(text for least, text in _LOUDNESS if dbfs >= least)
    return _("%(loudness)s (%(number)s dB)", loudness=text, number=digits(f"\u2066\u2212{abs(dbfs):.0f}\u2069"))


def decimal(value: float) -> str:
    """Write a number with one digit after the reader's decimal sign."""
    text = digits(f"{value:.1f}")
    return text if text.isascii() else text.replace(".", "\u066b")
