"""The tone after which the person on the phone starts to speak. Not every PBX has one among its sounds."""

import math
import wave
from array import array
from pathlib import Path

from app.audio.clip import SAMPLE_RATE, Clip, read_clip
from app.audio.convert import write_atomically

HERTZ, SECONDS, PEAK = 1000, 0.4, 8000
FADE_SAMPLES = 80  # at either end; without it the tone clicks


def write_tone(out: Path) -> Clip:
    """Write the tone to the clip `out`. Raises OSError."""
    count = int(SECONDS * SAMPLE_RATE)
    samples = array("h", (_sample(index, count) for index in range(count)))
    with write_atomically(out) as temporary, temporary.open("wb") as file, wave.open(file, "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE, count, "NONE", ""))
        sound.writeframes(samples.tobytes())
    return read_clip(out)


def _sample(index: int, count: int) -> int:
    volume = min(1.0, index / FADE_SAMPLES, (count - index) / FADE_SAMPLES)
    return round(PEAK * volume * math.sin(2 * math.pi * HERTZ * index / SAMPLE_RATE))
