"""Text to speech, offline: espeak-ng through pyttsx3, or piper where it is; one fresh process per synthesis."""

import re
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

from app.audio.child import run_child
from app.audio.clip import Clip, SoundError, SpeechError
from app.audio.convert import convert
from app.audio.voices import Voice, find_voice

MAX_CHARACTERS = 1500  # the engine's time grows with the square of the length
LEAST_RATE, MOST_RATE = 80, 450  # words per minute: what the engine takes
DEFAULT_RATE = 150
LEAST_PITCH, MOST_PITCH = 0, 99  # the engine's own scale
DEFAULT_PITCH = 50
TIMEOUT = 20.0  # seconds

_SCRIPTS = {"fa": "ARABIC", "en": "LATIN"}
_KEPT_FORMAT = "\u200c"  # the half-space joins Persian compounds; other invisible signs mean nothing to a voice
_THOUSANDS, _DECIMAL = (re.compile(rf"(?<=\d){sign}(?=\d)") for sign in "\u066c\u066b")
_SHORTEST_LETTER = 3.0  # seconds, divided by words per minute: a third of what any voice takes, and no empty file
_LARGEST_FILE = 64 * 1024 * 1024  # bytes; 1,500 characters spoken slowly take half of it
_PIPER_MEMORY = 1024 * 1024 * 1024  # bytes of address space; a model of medium quality takes 400 MB, a large one more


def clean_text(text: str) -> str:
    """The text as the engine gets it: no control or invisible signs, no thousands separators, single spaces."""
    text = unicodedata.normalize("NFC", text)
    text = _DECIMAL.sub(".", _THOUSANDS.sub("", text))  # either is spoken as a word or left out
    text = "".join(str(unicodedata.decimal(sign, sign)) for sign in text)  # English voices are silent on ۱۲۳
    kept = (
        " " if sign.isspace() or unicodedata.category(sign) == "Cc" else sign
        for sign in text
        if sign == _KEPT_FORMAT or unicodedata.category(sign) not in ("Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(kept).split())


def fits_language(text: str, language: str) -> bool:
    """Whether a voice of `language` can read the text's letters: a wrong voice gives a long nonsense, no error.

    A Persian voice reads single Latin words well; an English one spells Persian letter by letter, so it takes none.
    Text without letters, as a number, fits every language. KeyError for an unknown language.
    """
    own = _SCRIPTS[language]
    scripts = [unicodedata.name(sign, "").split(" ")[0] for sign in text if sign.isalpha()]
    foreign = [script for script in scripts if script != own]
    if language == "fa" and set(foreign) <= {"LATIN"}:
        return not foreign or len(foreign) < len(scripts) / 2
    return not foreign


def speak(
    text: str,
    *,
    voice: str,
    rate: int = DEFAULT_RATE,
    pitch: int = DEFAULT_PITCH,
    volume: float = 1.0,
    out: Path,
    folder: Path | None = None,
    timeout: float = TIMEOUT,
) -> Clip:
    """Speak `text` into `out`, a WAV of 8 kHz, mono, 16 bit, levelled and trimmed, mode 0644.

    `voice`: a name of voices(), some of which have their model in `folder`; `rate`: 80–450 words per minute; `pitch`:
    0–99, of no effect on a voice that has none; `volume`: 0–1, a factor after levelling; `timeout`: seconds for the
    synthesis (piper is slower and may take three times as many), and as many for the levelling.
    Raises SpeechError with one of empty_text, text_too_long, wrong_language, unknown_voice, voice_broken,
    piper_missing, rate_out_of_range, pitch_out_of_range, speech_failed, timeout, busy; OSError where `out` can't be
    written.
    """
    text = check_speech(text, voice, rate, pitch, folder)
    with tempfile.TemporaryDirectory(prefix="speech-") as temporary:
        raw = Path(temporary) / "raw.wav"
        try:
            reply = _synthesise(text, find_voice(voice, folder), rate, pitch, raw, timeout)
            letters = sum(sign.isalnum() for sign in text)
            if reply["seconds"] < letters * _SHORTEST_LETTER / rate:
                raise SpeechError("speech_failed")
            # The engine's output can be longer than an upload may be: 1,500 characters, slowly.
            return convert(raw, out=out, max_seconds=900.0, max_bytes=_LARGEST_FILE, timeout=timeout, volume=volume)
        except SpeechError:
            raise
        except SoundError as error:
            if error.code in ("timeout", "busy", "unknown_voice", "voice_broken", "piper_missing"):
                raise SpeechError(error.code, **error.details) from error
            raise SpeechError("speech_failed") from error


def _synthesise(text: str, voice: Voice, rate: int, pitch: int, out: Path, timeout: float) -> dict[str, Any]:
    request: dict[str, Any] = {"text": text, "voice": voice.name, "rate": rate, "pitch": pitch, "out": str(out)}
    if voice.model is None:
        return run_child("speak_child.py", request, timeout=timeout, file_bytes=_LARGEST_FILE)
    request |= {"model": str(voice.model), "slowness": DEFAULT_RATE / rate}
    return run_child("piper_child.py", request, timeout=3 * timeout, file_bytes=_LARGEST_FILE, memory=_PIPER_MEMORY)


def check_speech(
    text: str, voice: str, rate: int = DEFAULT_RATE, pitch: int = DEFAULT_PITCH, folder: Path | None = None
) -> str:
    """The cleaned text if it can be spoken so; raises SpeechError as speak() does, without the work."""
    text = clean_text(text)
    if not any(sign.isalnum() for sign in text):
        raise SpeechError("empty_text")
    if len(text) > MAX_CHARACTERS:
        raise SpeechError("text_too_long", length=len(text), limit=MAX_CHARACTERS)
    language = find_voice(voice, folder).language
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise SpeechError("rate_out_of_range", rate=rate, least=LEAST_RATE, most=MOST_RATE)
    if not LEAST_PITCH <= pitch <= MOST_PITCH:
        raise SpeechError("pitch_out_of_range", pitch=pitch, least=LEAST_PITCH, most=MOST_PITCH)
    if not fits_language(text, language):
        raise SpeechError("wrong_language", language=language)
    return text
