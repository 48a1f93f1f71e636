"""Clips (finished sounds), their measures, and the errors that can occur while making one."""

from __future__ import annotations  # array[int] exists for the type checker only

import hashlib
import math
import threading
import wave
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import mul
from pathlib import Path

from cachetools import LRUCache, cached

MEASURED = 2000  # clips whose measures are kept
SAMPLE_RATE = 8000  # Hz; telephone networks carry this rate, and browsers play it
SILENCE_DBFS = -96.0  # reported for digital silence: the noise floor of 16 bit samples

# Error code -> English message for the log, filled with the error's details. The panel has its own texts per code.
MESSAGES: dict[str, str] = {
    "no_sound": "the file contains no sound",
    "silence_only": "the file is silent",
    "too_long": "the sound is longer than {limit} seconds",
    "too_large": "the file is larger than {limit} bytes",
    "not_audio": "the file is not a known sound format",
    "broken": "the sound is damaged and cannot be decoded",
    "timeout": "it took longer than {limit} seconds",
    "lost": "the recording no longer exists",
    "busy": "too many sounds are being processed; try again in a moment",
    "empty_text": "there is no text to speak",
    "text_too_long": "the text has {length} characters; the limit is {limit}",
    "wrong_language": "the text is not written in the script of the language {language}",
    "unknown_voice": "there is no voice {voice}",
    "voice_broken": "the voice {voice} cannot be used: {reason}",
    "piper_missing": "the voice {voice} needs the package piper-tts, which is not installed",
    "rate_out_of_range": "the rate {rate} is not between {least} and {most} words per minute",
    "pitch_out_of_range": "the pitch {pitch} is not between {least} and {most}",
    "speech_failed": "the speech engine produced no usable sound",
}


class SoundError(Exception):
    """A sound that cannot be made. `code` is a key of MESSAGES, `details` the values for its placeholders."""

    def __init__(self, code: str, **details: object) -> None:
        super().__init__(MESSAGES[code].format_map(details))
        self.code = code
        self.details = details


class SpeechError(SoundError):
    """A text that cannot be spoken as requested."""


@dataclass(frozen=True)
class Clip:
    """A finished sound: a WAV file with 8 kHz, mono, signed 16 bit.

    `loudness_dbfs`: root mean square of the whole clip; `peak_dbfs`: its largest sample. Both are decibels relative to
    full scale, so they are never above 0, and SILENCE_DBFS for digital silence.
    """

    path: Path
    seconds: float
    loudness_dbfs: float
    peak_dbfs: float


def read_clip(path: Path) -> Clip:
    """Read and measure a clip. Raises FileNotFoundError, or SoundError `broken` for any other kind of file."""
    with _open_clip(path) as sound:
        samples = array("h", sound.readframes(sound.getnframes()))
        if not samples or len(samples) != sound.getnframes():
            raise SoundError("broken")
    return Clip(path, len(samples) / SAMPLE_RATE, *_measure(samples))


# A start of the worker reads each of its clips, and measuring them took most of the time for it.
@cached(LRUCache(MEASURED), key=lambda samples: hashlib.sha256(samples).digest(), lock=threading.Lock())
def _measure(samples: array[int]) -> tuple[float, float]:
    """Return the loudness and the peak in dBFS."""
    mean_square = sum(map(mul, samples, samples)) / len(samples)
    peak = max(max(samples), -min(samples))
    return to_dbfs(math.sqrt(mean_square)), to_dbfs(peak)


@contextmanager
def _open_clip(path: Path) -> Iterator[wave.Wave_read]:
    try:
        with wave.open(str(path), "rb") as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (SAMPLE_RATE, 1, 2):
                raise SoundError("broken")
            yield sound
    except (wave.Error, EOFError, ValueError, RuntimeError) as error:  # RuntimeError: a chunk larger than its file
        raise SoundError("broken") from error


def to_dbfs(amplitude: float) -> float:
    """Convert a 16 bit amplitude (0 to 32768) to dBFS."""
    return max(SILENCE_DBFS, 20 * math.log10(amplitude / 32768)) if amplitude > 0 else SILENCE_DBFS
