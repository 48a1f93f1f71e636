"""Who can speak: the voices that come with the engine, and those that an administrator put into a folder for piper."""

import importlib.util
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.audio.clip import SpeechError

log = logging.getLogger(__name__)

DEFAULT_VOICES = {"fa": "fa+f3", "en": "en-us+f3"}
PIPER = "piper:"  # before the name of a model of the folder
PIPER_NAME = re.compile(rf"{PIPER}[A-Za-z0-9_.-]{{1,70}}")
_LARGEST_CONFIG = 1024 * 1024  # bytes; usual ones have about five thousand


@dataclass(frozen=True)
class Voice:
    """`name` is what speak() takes, `language` one of "fa" and "en".

    For people: `kind` "female", "male", "plain" or "piper", `number` from 1 within language, kind and `accent` ("US",
    "GB" or ""). A voice of kind piper is known by its `title` instead. Numbers stay, whatever is added later.
    """

    name: str
    language: str
    kind: str
    number: int
    accent: str = ""
    title: str = ""
    model: Path | None = None

    @property
    def has_pitch(self) -> bool:
        """Whether the voice can be pitched; one that cannot takes any pitch and leaves it at that."""
        return self.model is None


def voices(language: str | None = None, folder: Path | None = None) -> tuple[Voice, ...]:
    """The voices on offer, the default of each language first; only those of `language`, if given.

    `folder`: of piper's models, whose voices come last. What is amiss there is logged, and not on offer.
    """
    known = [*_VOICES, *(_piper_voices(folder) if folder is not None else ())]
    return tuple(voice for voice in known if language in (None, voice.language))


def find_voice(name: str, folder: Path | None = None) -> Voice:
    """The voice of this name. Raises SpeechError unknown_voice, voice_broken or piper_missing."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    if folder is None or not PIPER_NAME.fullmatch(name):
        raise SpeechError("unknown_voice", voice=name)
    model = folder / f"{name.removeprefix(PIPER)}.onnx"
    if not model.is_file():
        raise SpeechError("unknown_voice", voice=name)
    if not has_piper():
        raise SpeechError("piper_missing", voice=name)
    return _read_model(model)


def may_be_voice(name: str, language: str) -> bool:
    """Whether a setting may name this voice. Piper's are only known where their folder is, which may be filled later.

    A voice that is not there when a text is to be spoken is replaced by the default of its language.
    """
    known = _BY_NAME.get(name)
    return known.language == language if known is not None else PIPER_NAME.fullmatch(name) is not None


def has_piper() -> bool:
    """Whether the package piper-tts is installed. It is not loaded here: only its own child process does that."""
    return importlib.util.find_spec("piper") is not None


def models(folder: Path) -> list[Path]:
    """The files of piper's models in a folder, whether they are any good or not. Raises OSError; none if no folder."""
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix == ".onnx" and path.is_file())


def model_voices(folder: Path) -> Iterator[Voice | SpeechError]:
    """What each model of the folder is: a voice, or what is amiss with it. Raises OSError."""
    for model in models(folder):
        try:
            yield _read_model(model)
        except SpeechError as error:
            yield error


def _piper_voices(folder: Path) -> Iterator[Voice]:
    try:
        if not models(folder) or not has_piper():
            return
        for found in model_voices(folder):
            if isinstance(found, Voice):
                yield found
            else:
                log.warning("%s: %s", folder, found)
    except OSError as error:
        log.warning("the folder of voices cannot be read: %s", error)


def _read_model(model: Path) -> Voice:
    """A voice by what the file beside its model says of it."""
    name = PIPER + model.stem
    if not PIPER_NAME.fullmatch(name):
        raise SpeechError("voice_broken", voice=name, reason="letters, digits, dot, dash and underscore only")
    config = model.with_name(f"{model.name}.json")
    try:
        with config.open("rb") as stream:
            told = json.loads(stream.read(_LARGEST_CONFIG))
        spoken = str(told.get("language", {}).get("family") or told["espeak"]["voice"])
    except FileNotFoundError as error:
        raise SpeechError("voice_broken", voice=name, reason=f"{config.name} is missing") from error
    except OSError as error:
        raise SpeechError("voice_broken", voice=name, reason=f"{config.name}: {error.strerror}") from error
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise SpeechError("voice_broken", voice=name, reason=f"{config.name} does not tell its language") from error
    language = re.split("[-_+]", spoken.lower())[0]
    if language not in DEFAULT_VOICES:
        raise SpeechError("voice_broken", voice=name, reason=f"its language is {language[:20]!r}")
    return Voice(name, language, "piper", 1, title=model.stem, model=model)


def _list_voices() -> Iterator[Voice]:
    kinds = {"f": "female", "m": "male", "": "plain"}
    variants = ("+f3", "+m3", "", "+f1", "+f2", "+f4", "+f5", "+m1", "+m2", "+m4", "+m5", "+m6", "+m7")
    for base, language, accent in (("fa", "fa", ""), ("en-us", "en", "US"), ("en", "en", "GB")):
        numbers = dict.fromkeys(kinds.values(), 0)
        for variant in variants:
            kind = kinds[variant[1:2]]
            numbers[kind] += 1
            yield Voice(base + variant, language, kind, numbers[kind], accent)


_VOICES = tuple(_list_voices())
_BY_NAME = {voice.name: voice for voice in _VOICES}
