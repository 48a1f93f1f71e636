"""A finished sound, and what may go wrong on the way to one."""

import math
import wave
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import mul
from pathlib import Path

SAMPLE_RATE = 8000  # Hz; what the telephone network carries. Browsers play it too
QUIETEST = -96.0  # dBFS reported for digital silence: the floor of 16 bit samples

# code -> the sentence, filled with the error's details. The panel has its own words per code.
MESSAGES: dict[str, str] = {
    "no_sound": "the file has no sound in it",
    "silence_only": "the file is silent",
    "too_long": "the sound is longer than {limit} seconds",
    "too_large": "the file is larger than {limit} bytes",
    "not_audio": "the file is of no kind of sound that is known here",
    "broken": "the sound is damaged and can't be decoded",
    "timeout": "the work took longer than {limit} seconds",
    "lost": "the recording is not there any more",
    "busy": "too many sounds are being worked on; try again in a moment",
    "empty_text": "there is no text to speak",
    "text_too_long": "the text has {length} characters; at most {limit} can be spoken",
    "wrong_language": "the text is not written in the letters of the language {language}",
    "unknown_voice": "there is no voice {voice}",
    "voice_broken": "the voice {voice} cannot be used: {reason}",
    "piper_missing": "the voice {voice} needs the package piper-tts, which is not installed",
    "rate_out_of_range": "the rate {rate} is not between {least} and {most} words per minute",
    "pitch_out_of_range": "the pitch {pitch} is not between {least} and {most}",
    "speech_failed": "the speech engine produced no usable sound",
}


class SoundError(Exception):
    """A sound that can't be made. `code` is a key of MESSAGES, `details` the values its sentence names."""

    def __init__(self, code: str, **details: object) -> None:
        super().__init__(MESSAGES[code].format_map(details))
        self.code = code
        self.details = details


class SpeechError(SoundError):
    """A text that can't be spoken as asked."""


@dataclass(frozen=True)
class Clip:
    """A WAV file of 8 kHz, mono, signed 16 bit.

    `loudness_dbfs`: root mean square of the whole clip, `peak_dbfs`: its largest sample; both in decibels
    relative to full scale, so never above 0, and QUIETEST for digital silence.
    """

    path: Path
    seconds: float
    loudness_dbfs: float
    peak_dbfs: float


def read_clip(path: Path) -> Clip:
    """Measure a finished sound. Raises FileNotFoundError, or SoundError `broken` for any other kind of file."""
    with _open_clip(path) as sound:
        samples = array("h", sound.readframes(sound.getnframes()))
        if not samples or len(samples) != sound.getnframes():
            raise SoundError("broken")
    mean_square = sum(map(mul, samples, samples)) / len(samples)
    peak = max(max(samples), -min(samples))
    return Clip(path, len(samples) / SAMPLE_RATE, decibels(math.sqrt(mean_square)), decibels(peak))


def read_seconds(path: Path) -> float:
    """The duration of a finished sound from its header alone. Raises FileNotFoundError or SoundError `broken`."""
    with _open_clip(path) as sound:
        return sound.getnframes() / SAMPLE_RATE


@contextmanager
def _open_clip(path: Path) -> Iterator[wave.Wave_read]:
    try:
        with wave.open(str(path), "rb") as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (SAMPLE_RATE, 1, 2):
                raise SoundError("broken")
            yield sound
    except (wave.Error, EOFError, ValueError, RuntimeError) as error:  # the last: a chunk larger than its file
        raise SoundError("broken") from error


def decibels(amplitude: float) -> float:
    """A 16 bit amplitude (0–32768) in dBFS."""
    return max(QUIETEST, 20 * math.log10(amplitude / 32768)) if amplitude > 0 else QUIETEST
