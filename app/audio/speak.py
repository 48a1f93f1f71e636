"""Offline text to speech with espeak-ng (through pyttsx3) or piper. Each synthesis runs in a new child process."""

import re
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

from app.audio.child_process import run_child
from app.audio.clip import Clip, SoundError, SpeechError
from app.audio.convert import convert
from app.audio.persian import respell
from app.audio.voices import Voice, find_voice

MAX_CHARACTERS = 1500  # the engine's time grows with the square of the length
MIN_RATE, MAX_RATE = 80, 450  # words per minute; the limits of the engine
DEFAULT_RATE = 150
MIN_PITCH, MAX_PITCH = 0, 99  # the engine's own scale
DEFAULT_PITCH = 50
TIMEOUT_SECONDS = 20.0

_SCRIPTS = {"fa": "ARABIC", "en": "LATIN"}
_HALF_SPACE = "\u200c"  # joins Persian compounds; other invisible characters mean nothing to a voice
_THOUSANDS, _DECIMAL = (re.compile(rf"(?<=\d){sign}(?=\d)") for sign in "\u066c\u066b")
_MIN_LETTER_SECONDS = 3.0  # divided by words per minute; a third of what any voice needs, so it only finds empty files
_MAX_SPEECH_SECONDS = 900.0  # 1,500 characters, spoken slowly, take longer than an upload may
_MAX_FILE_BYTES = 64 * 1024 * 1024  # 1,500 characters, spoken slowly, take half of it
_PIPER_MEMORY_BYTES = 1024 * 1024 * 1024  # a medium model takes 400 MB of address space, a large one more


def clean_text(text: str) -> str:
    """Return the text for the engine: no control or invisible characters or thousands separators, single spaces."""
    text = unicodedata.normalize("NFC", text)
    text = _DECIMAL.sub(".", _THOUSANDS.sub("", text))  # the engine speaks either as a word or leaves it out
    text = "".join(str(unicodedata.decimal(sign, sign)) for sign in text)  # English voices do not speak ۱۲۳
    visible = (
        " " if sign.isspace() or unicodedata.category(sign) == "Cc" else sign
        for sign in text
        if sign == _HALF_SPACE or unicodedata.category(sign) not in ("Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(visible).split())


def fits_language(text: str, language: str) -> bool:
    """Return whether a voice of `language` can read the letters of the text. Raises KeyError for an unknown language.

    With the wrong voice the engine speaks nonsense without an error. A Persian voice reads single Latin words well. An
    English voice spells Persian letter by letter, so no Persian letter is allowed. A text without letters, such as a
    number, fits every language.
    """
    script = _SCRIPTS[language]
    scripts = [unicodedata.name(sign, "").split(" ")[0] for sign in text if sign.isalpha()]
    foreign = [found for found in scripts if found != script]
    if language == "fa" and set(foreign) <= {"LATIN"}:
        return not foreign or len(foreign) < len(scripts) / 2
    return not foreign


def speak(
    text: str,
    *,
    voice: str,
    rate: int = DEFAULT_RATE,
    pitch: int = DEFAULT_PITCH,
    out: Path,
    folder: Path | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Clip:
    """Synthesize `text` as the clip `out`.

    `voice`: a name from list_voices(); `folder`: the folder of piper models; `rate`: 80 to 450 words per minute;
    `pitch`: 0 to 99, ignored by voices without pitch; `timeout`: seconds for the synthesis (piper may take three times
    as long), and again for the conversion. Raises SpeechError with one of empty_text, text_too_long, wrong_language,
    unknown_voice, voice_broken, piper_missing, rate_out_of_range, pitch_out_of_range, speech_failed, timeout, busy;
    OSError if `out` cannot be written.
    """
    text = validate_speech(text, voice, rate, pitch, folder)
    with tempfile.TemporaryDirectory(prefix="speech-") as temporary:
        raw = Path(temporary) / "raw.wav"
        try:
            reply = _synthesize(text, find_voice(voice, folder), rate, pitch, raw, timeout)
            letters = sum(sign.isalnum() for sign in text)
            if reply["seconds"] < letters * _MIN_LETTER_SECONDS / rate:
                raise SpeechError("speech_failed")
            return convert(raw, out=out, max_seconds=_MAX_SPEECH_SECONDS, max_bytes=_MAX_FILE_BYTES, timeout=timeout)
        except SpeechError:
            raise
        except SoundError as error:
            if error.code in ("timeout", "busy", "unknown_voice", "voice_broken", "piper_missing"):
                raise SpeechError(error.code, **error.details) from error
            raise SpeechError("speech_failed") from error


def _synthesize(text: str, voice: Voice, rate: int, pitch: int, out: Path, timeout: float) -> dict[str, Any]:
    request: dict[str, Any] = {"text": text, "voice": voice.name, "rate": rate, "pitch": pitch, "out": str(out)}
    if voice.model is None:
        return run_child("speak_child.py", request, timeout=timeout, file_bytes=_MAX_FILE_BYTES)
    request |= {"model": str(voice.model), "slowness": DEFAULT_RATE / rate}
    return run_child(
        "piper_child.py", request, timeout=3 * timeout, file_bytes=_MAX_FILE_BYTES, memory=_PIPER_MEMORY_BYTES
    )


def validate_speech(
    text: str, voice: str, rate: int = DEFAULT_RATE, pitch: int = DEFAULT_PITCH, folder: Path | None = None
) -> str:
    """Return the text as the engine gets it: cleaned, and Persian respelled.

    Raises SpeechError, as speak() does, if it cannot be spoken with these arguments.
    """
    text = clean_text(text)
    if not any(sign.isalnum() for sign in text):
        raise SpeechError("empty_text")
    if len(text) > MAX_CHARACTERS:
        raise SpeechError("text_too_long", length=len(text), limit=MAX_CHARACTERS)
    language = find_voice(voice, folder).language
    if not MIN_RATE <= rate <= MAX_RATE:
        raise SpeechError("rate_out_of_range", rate=rate, least=MIN_RATE, most=MAX_RATE)
    if not MIN_PITCH <= pitch <= MAX_PITCH:
        raise SpeechError("pitch_out_of_range", pitch=pitch, least=MIN_PITCH, most=MAX_PITCH)
    if not fits_language(text, language):
        raise SpeechError("wrong_language", language=language)
    respelled = respell(text) if language == "fa" else text
    return respelled if len(respelled) <= MAX_CHARACTERS else text
