"""The texts for prompts, sounds, voices and phone calls."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.audio.clip import SoundError
from app.audio.pronunciations import BadPronunciation
from app.audio.voices import Voice
from app.domain.phone_calls import CallFailure, CallState
from app.domain.text import displayable
from app.web.formats import clock, digits

SOUND_ERROR = {
    "no_sound": _l("The file contains no sound. Choose a sound file."),
    "silence_only": _l("The file is silent. Choose another one, or record again."),
    "too_long": _l("The sound is too long. The limit is five minutes."),
    "too_large": _l("The file is too large. The limit is 20 MB."),
    "not_audio": _l("The file is not a known sound format. Choose a WAV, MP3, OGG or M4A file."),
    "broken": _l("The file is damaged. Choose another one."),
    "timeout": _l("Processing the sound took too long. Try again."),
    "busy": _l("Too many sounds are being processed. Try again in a moment."),
    "empty_text": _l("There is no text to speak. Enter a text."),
    "text_too_long": _l("The text is too long. The limit is 1500 characters."),
    "wrong_language": _l("The text is not in the language of the module. Change the text or the language."),
    "unknown_voice": _l("This voice does not exist. Choose another one."),
    "voice_broken": _l("This voice cannot be used because its files are damaged or incomplete. Choose another one."),
    "piper_missing": _l("This voice needs the package piper-tts, which is not installed. Choose another one."),
    "rate_out_of_range": _l("The speed is out of range. Choose another one."),
    "pitch_out_of_range": _l("The pitch is out of range. Choose another one."),
    "speech_failed": _l("The text could not be spoken. Change the text or the voice."),
    "lost": _l("The recording no longer exists. Choose another one."),
}

# How a prompt gets its sound, as the form offers it.
MODE = {
    "speech": _l("text to speech"),
    "file": _l("upload a file"),
    "record": _l("record"),
    "none": _l("don't play"),
}

_PRONUNCIATION_ERROR = {
    "form": _l("Line %(line)s is not “word = how to write it”."),
    "too_long": _l("Line %(line)s is too long. A word may have 40 characters, and how to write it 80."),
    "wrong_letters": _l("Line %(line)s is written in letters that this voice cannot read."),
    "twice": _l("Line %(line)s has a word that is in the list already."),
    "too_many": _l("The list is too long. It may have 100 words; line %(line)s is one too many."),
}

_SET_FAULT = {
    "no_zip": _l("This is no zip file, or it is damaged."),
    "no_files": _l("The zip file has no sounds."),
    "too_many_files": _l("The zip file has too many files. It may have 200."),
    "too_large_in_all": _l("The sounds of the zip file are too large together. The limit is 200 MB."),
    "unsafe_name": _l("The name of the file leads out of the zip file."),
    "unknown_name": _l("No text of the list has this name."),
    "twice": _l("There are two sounds for this text."),
    "encrypted": _l("The file is protected by a password."),
    "damaged": _l("The file is damaged in the zip file."),
}

PROMPT_ABOUT = {
    "intro": _l("Played first: nobody can answer, and which keys the caller can press."),
    "enter_number": _l("After key 2: asks for another number."),
    "wrong_number": _l("When the number that was entered is not valid."),
    "entered_number": _l("Before the number that was entered is read out."),
    "is": _l("After the number. Persian has the verb there; English needs no text."),
    "check_number": _l("After the number was read out: asks whether it is correct."),
    "before_success": _l("While the request is being saved."),
    "after_success": _l("Played last, before the caller goes on to the next destination."),
    "closed": _l("Only outside the office hours: before the introduction, or before the error destination."),
    "offer": _l(
        "While callers wait in the queue, if the module is offered there. {key} stands for the key. A recording must "
        "name it."
    ),
    "ask_customer": _l(
        "When the customer is called back, if the module asks them. {name} stands for the name of the office."
    ),
    "greet_customer": _l(
        "To a customer who is rung first, before the music. {name} stands for the name of the office."
    ),
    "apology": _l("To a customer who was rung first, if the agent does not come."),
}

ORIGIN = {"upload": _l("uploaded"), "browser": _l("recorded in the browser"), "phone": _l("recorded by phone")}

RATE = {100: _l("very slow"), 125: _l("slow"), 150: _l("normal"), 180: _l("fast"), 220: _l("very fast")}

PITCH = {10: _l("very deep"), 30: _l("deep"), 50: _l("medium"), 70: _l("high-pitched"), 90: _l("very high-pitched")}

_VOICE = {"female": _l("Female voice %(number)s"), "male": _l("Male voice %(number)s"), "plain": _l("Plain voice")}

# Lowest loudness in dBFS -> text. Converted sounds have about -20 dBFS.
_LOUDNESS = (
    (-12.0, _l("very loud")),
    (-27.0, _l("clearly audible")),
    (-36.0, _l("quiet")),
    (float("-inf"), _l("very quiet")),
)

PHONE_CALL_STATE = {
    CallState.REQUESTED: _l("Waiting for the telephone service to ring the phone…"),
    CallState.RINGING: _l("The phone is ringing. Pick it up."),
    CallState.ANSWERED: _l("The phone was answered. Listen to the instructions."),
    CallState.RECORDING: _l("Say the text after the tone. Press # when you have finished."),
    CallState.CHOOSING: _l("Press 1 to keep it, 2 to record it again, 3 to hear it."),
    CallState.SAVED: _l("The recording is saved."),
    CallState.DONE: _l("The call was completed."),
    CallState.FAILED: _l("The call failed."),
    CallState.CANCELLED: _l("The call was cancelled."),
}

PHONE_CALL_FAILURE = {
    CallFailure.SERVICE_DOWN: _l("The telephone service is not running. Start it on this machine and try again."),
    CallFailure.TOO_LATE: _l("The telephone service was too busy to make the call in time. Try again."),
    CallFailure.NOT_CONNECTED: _l("There is no connection to the PBX. Check the PBX settings."),
    CallFailure.NO_DIALPLAN: _l(
        "The PBX does not run the dialplan of Bazang yet. Include it, reload the dialplan and try again."
    ),
    CallFailure.UNKNOWN_EXTENSION: _l("The PBX does not know this extension. Check the number."),
    CallFailure.BUSY: _l("The phone is busy. Hang it up and try again."),
    CallFailure.NO_ANSWER: _l("Nobody answered. Try again and pick up the phone when it rings."),
    CallFailure.REJECTED: _l("The call was rejected at the phone. Try again and answer it."),
    CallFailure.UNREACHABLE: _l(
        "No phone is registered for this extension. Check that it is switched on and connected."
    ),
    CallFailure.HUNG_UP: _l("The phone was hung up before the end. Try again."),
    CallFailure.NO_DIALOGUE: _l(
        "The phone was answered, but the PBX did not reach the telephone service. Check the network to the PBX."
    ),
    CallFailure.RING_REFUSED: _l("The PBX does not allow Bazang to ring phones. Check the rights of the AMI user."),
    CallFailure.UNDECIDED: _l("Nobody pressed 1 to keep the recording, so it was not saved. Try again."),
    CallFailure.NOTHING_RECORDED: _l("Nothing was recorded. Try again and speak after the tone."),
    CallFailure.SILENCE_ONLY: _l("Only silence was recorded. Try again and speak closer to the phone."),
    CallFailure.CANNOT_WRITE: _l("The PBX cannot write to the prompts folder. Correct the permissions of the folder."),
    CallFailure.CANNOT_READ: _l(
        "The PBX cannot read the prompts folder. Correct the path and the permissions of the folder."
    ),
    CallFailure.NO_SOUND: _l("The text could not be spoken. Choose another voice in the settings."),
    CallFailure.BROKEN_OFF: _l("The call was interrupted. Try again."),
}

PHONE_CALL_FIELD = {"extension": _l("Extension"), "language": _l("Language"), "name": _l("Name"), "text": _l("Text")}


def sound_error(error: SoundError) -> str:
    """Return what is wrong with a sound, and what to do about it."""
    return str(SOUND_ERROR.get(error.code, error))


def pronunciation_error(error: BadPronunciation) -> str:
    """Return what is wrong with a list of pronunciations."""
    return str(_PRONUNCIATION_ERROR[error.code]) % {"line": digits(error.line)}


def set_fault(file: str, code: str) -> str:
    """Return what is wrong with a zip file of recordings, or with one of its files."""
    text = str(_SET_FAULT.get(code) or SOUND_ERROR[code])
    return f"\u2068{displayable(file, 100)}\u2069: {text}" if file else text


def phone_call(state: CallState, detail: str) -> str:
    """Return the state of a phone call, or why it failed."""
    if state is CallState.FAILED:
        texts = {str(failure): text for failure, text in PHONE_CALL_FAILURE.items()}
        return str(texts.get(detail, PHONE_CALL_FAILURE[CallFailure.BROKEN_OFF]))
    return str(PHONE_CALL_STATE[state])


def voice(found: Voice) -> str:
    """Return the label of a voice."""
    if found.kind == "piper":
        return _("%(name)s (piper, without pitch)", name=found.title)
    text = str(_VOICE[found.kind]) % {"number": digits(found.number)}
    return _("%(voice)s, British", voice=text) if found.accent == "GB" else text


def length(seconds: float) -> str:
    """Format the length of a sound."""
    return clock(round(seconds)) if seconds >= 60 else _("%(seconds)s s", seconds=decimal(seconds))


def loudness(dbfs: float) -> str:
    """Format the loudness of a sound, in words and dB. The minus sign stays before the number in Persian, too."""
    text = next(text for least, text in _LOUDNESS if dbfs >= least)
    return _("%(loudness)s (%(number)s dB)", loudness=text, number=digits(f"\u2066\u2212{abs(dbfs):.0f}\u2069"))


def decimal(value: float) -> str:
    """Format a number with one decimal, with the decimal sign of the language."""
    text = digits(f"{value:.1f}")
    return text if text.isascii() else text.replace(".", "\u066b")
