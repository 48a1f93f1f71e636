"""Text to speech, offline: espeak-ng through pyttsx3, one fresh process per synthesis."""

import re
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from app.audio.child import run_child
from app.audio.clip import Clip, SoundError, SpeechError
from app.audio.convert import convert

MAX_CHARACTERS = 1500  # the engine's time grows with the square of the length
LEAST_RATE, MOST_RATE = 80, 450  # words per minute: what the engine takes
DEFAULT_RATE = 150
DEFAULT_VOICES = {"fa": "fa+f3", "en": "en-us+f3"}
TIMEOUT = 20.0  # seconds

_SCRIPTS = {"fa": "ARABIC", "en": "LATIN"}
_KEPT_FORMAT = "\u200c"  # the half-space joins Persian compounds; other invisible signs mean nothing to a voice
_THOUSANDS, _DECIMAL = (re.compile(rf"(?<=\d){sign}(?=\d)") for sign in "\u066c\u066b")
_SHORTEST_LETTER = 3.0  # seconds, divided by words per minute: a third of what any voice takes, and no empty file
_LARGEST_FILE = 64 * 1024 * 1024  # bytes; 1,500 characters spoken slowly take half of it


@dataclass(frozen=True)
class Voice:
    """`name` is what speak() takes, `language` one of "fa" and "en", `kind` "female", "male" or "plain"."""

    name: str
    language: str
    kind: str


def voices(language: str | None = None) -> tuple[Voice, ...]:
    """The voices on offer, the default of each language first; only those of `language`, if given."""
    return tuple(voice for voice in _VOICES if language in (None, voice.language))


def _list_voices() -> tuple[Voice, ...]:
    kinds = {"f": "female", "m": "male", "": "plain"}
    variants = ("+f3", "+m3", "", "+f1", "+f2", "+f4", "+f5", "+m1", "+m2", "+m4", "+m5", "+m6", "+m7")
    bases = {"fa": "fa", "en-us": "en", "en": "en"}  # "en" is the British one
    return tuple(
        Voice(base + variant, language, kinds[variant[1:2]]) for base, language in bases.items() for variant in variants
    )


_VOICES = _list_voices()


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
    volume: float = 1.0,
    out: Path,
    timeout: float = TIMEOUT,
) -> Clip:
    """Speak `text` into `out`, a WAV of 8 kHz, mono, 16 bit, levelled and trimmed, mode 0644.

    `voice`: a name of voices(); `rate`: 80–450 words per minute; `volume`: 0–1, a factor after levelling;
    `timeout`: seconds for the synthesis, and as many for the levelling.
    Raises SpeechError with one of empty_text, text_too_long, wrong_language, unknown_voice, rate_out_of_range,
    speech_failed, timeout, busy; OSError where `out` can't be written.
    """
    text = check_speech(text, voice, rate)
    with tempfile.TemporaryDirectory(prefix="speech-") as folder:
        raw = Path(folder) / "raw.wav"
        request = {"text": text, "voice": voice, "rate": rate, "out": str(raw)}
        try:
            reply = run_child("speak_child.py", request, timeout=timeout, file_bytes=_LARGEST_FILE)
            letters = sum(sign.isalnum() for sign in text)
            if reply["seconds"] < letters * _SHORTEST_LETTER / rate:
                raise SpeechError("speech_failed")
            # The engine's output can be longer than an upload may be: 1,500 characters, slowly.
            return convert(raw, out=out, max_seconds=900.0, max_bytes=_LARGEST_FILE, timeout=timeout, volume=volume)
        except SpeechError:
            raise
        except SoundError as error:
            if error.code in ("timeout", "busy", "unknown_voice"):
                raise SpeechError(error.code, **error.details) from error
            raise SpeechError("speech_failed") from error


def check_speech(text: str, voice: str, rate: int = DEFAULT_RATE) -> str:
    """The cleaned text if it can be spoken so; raises SpeechError as speak() does, without the work."""
    text = clean_text(text)
    if not any(sign.isalnum() for sign in text):
        raise SpeechError("empty_text")
    if len(text) > MAX_CHARACTERS:
        raise SpeechError("text_too_long", length=len(text), limit=MAX_CHARACTERS)
    language = next((known.language for known in _VOICES if known.name == voice), None)
    if language is None:
        raise SpeechError("unknown_voice", voice=voice)
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise SpeechError("rate_out_of_range", rate=rate, least=LEAST_RATE, most=MOST_RATE)
    if not fits_language(text, language):
        raise SpeechError("wrong_language", language=language)
    return text
