"""The voices: those built into the engine, and piper models that an administrator put into a folder."""

import importlib.util
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.audio.clip import SpeechError

log = logging.getLogger(__name__)

# The clearest ones on a telephone line, which carries nothing above 3.4 kHz: they have the least of their energy there.
DEFAULT_VOICES = {"fa": "fa+m7", "en": "en-us+m7"}
PIPER_PREFIX = "piper:"  # before the name of a model in a voice's name
PIPER_NAME = re.compile(rf"{PIPER_PREFIX}[A-Za-z0-9_.-]{{1,70}}")
_MAX_CONFIG_BYTES = 1024 * 1024  # usual ones have about five thousand


@dataclass(frozen=True)
class Voice:
    """A voice. `name`: the argument for speak(); `language`: "fa" or "en".

    The other fields make a label for people. `kind`: "female", "male", "plain" or "piper"; `number`: counted from 1
    within language, kind and `accent` ("US", "GB" or ""). A piper voice is labelled by its `title`. Do not change the
    numbers when voices are added.
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
        """Return whether the pitch can be changed. A voice without pitch accepts any pitch and ignores it."""
        return self.model is None


def list_voices(language: str | None = None, folder: Path | None = None) -> tuple[Voice, ...]:
    """Return the available voices, each language's default first; only those of `language`, if given.

    `folder`: the folder of piper models, whose voices come last. Models that cannot be used are logged and left out.
    """
    voices = [*_VOICES, *(_piper_voices(folder) if folder is not None else ())]
    return tuple(voice for voice in voices if language in (None, voice.language))


def find_voice(name: str, folder: Path | None = None) -> Voice:
    """Return the voice with this name. Raises SpeechError unknown_voice, voice_broken or piper_missing."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    if folder is None or not PIPER_NAME.fullmatch(name):
        raise SpeechError("unknown_voice", voice=name)
    model = folder / f"{name.removeprefix(PIPER_PREFIX)}.onnx"
    if not model.is_file():
        raise SpeechError("unknown_voice", voice=name)
    if not is_piper_installed():
        raise SpeechError("piper_missing", voice=name)
    return _read_model(model)


def is_voice_name(name: str, language: str) -> bool:
    """Return whether a setting may contain this name for a voice of `language`.

    Any well-formed name of a piper voice is allowed, since its model may be added later. When a text is spoken, a
    missing voice is replaced by the default voice of the language.
    """
    built_in = _BY_NAME.get(name)
    return built_in.language == language if built_in is not None else PIPER_NAME.fullmatch(name) is not None


def is_piper_installed() -> bool:
    """Return whether the package piper-tts is installed, without loading it. Only its child process loads it."""
    return importlib.util.find_spec("piper") is not None


def list_models(folder: Path) -> list[Path]:
    """Return the piper model files in a folder, usable or not; none if there is no folder. Raises OSError."""
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix == ".onnx" and path.is_file())


def read_models(folder: Path) -> Iterator[Voice | SpeechError]:
    """Yield for each model in the folder its voice, or the error that makes it unusable. Raises OSError."""
    for model in list_models(folder):
        try:
            yield _read_model(model)
        except SpeechError as error:
            yield error


def _piper_voices(folder: Path) -> Iterator[Voice]:
    try:
        if not list_models(folder) or not is_piper_installed():
            return
        for found in read_models(folder):
            if isinstance(found, Voice):
                yield found
            else:
                log.warning("%s: %s", folder, found)
    except OSError as error:
        log.warning("cannot read the folder of voices: %s", error)


def _read_model(model: Path) -> Voice:
    """Return the voice that the configuration file beside the model describes. Raises SpeechError voice_broken."""
    name = PIPER_PREFIX + model.stem
    if not PIPER_NAME.fullmatch(name):
        raise SpeechError("voice_broken", voice=name, reason="the name may have only letters, digits, . - and _")
    config = model.with_name(f"{model.name}.json")
    try:
        with config.open("rb") as stream:
            values = json.loads(stream.read(_MAX_CONFIG_BYTES))
        spoken = str(values.get("language", {}).get("family") or values["espeak"]["voice"])
    except FileNotFoundError as error:
        raise SpeechError("voice_broken", voice=name, reason=f"{config.name} is missing") from error
    except OSError as error:
        raise SpeechError("voice_broken", voice=name, reason=f"{config.name}: {error.strerror}") from error
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise SpeechError("voice_broken", voice=name, reason=f"{config.name} has no language") from error
    language = re.split("[-_+]", spoken.lower())[0]
    if language not in DEFAULT_VOICES:
        raise SpeechError("voice_broken", voice=name, reason=f"its language is {language[:20]!r}")
    return Voice(name, language, "piper", 1, title=model.stem, model=model)


def _built_in_voices() -> Iterator[Voice]:
    kinds = {"f": "female", "m": "male", "": "plain"}
    variants = ("+f3", "+m3", "", "+f1", "+f2", "+f4", "+f5", "+m1", "+m2", "+m4", "+m5", "+m6", "+m7")
    for base, language, accent in (("fa", "fa", ""), ("en-us", "en", "US"), ("en", "en", "GB")):
        numbers = dict.fromkeys(kinds.values(), 0)
        for variant in variants:
            kind = kinds[variant[1:2]]
            numbers[kind] += 1
            yield Voice(base + variant, language, kind, numbers[kind], accent)


def _default_first(voice: Voice) -> tuple[int, bool]:
    return list(DEFAULT_VOICES).index(voice.language), voice.name != DEFAULT_VOICES[voice.language]


_VOICES = tuple(sorted(_built_in_voices(), key=_default_first))
_BY_NAME = {voice.name: voice for voice in _VOICES}
