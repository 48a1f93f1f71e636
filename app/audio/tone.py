"""The tone after which somebody is to speak: made here, since not every exchange has one among its sounds."""

import math
import wave
from array import array
from pathlib import Path

from app.audio.clip import SAMPLE_RATE
from app.audio.convert import write_whole

HERTZ, SECONDS, PEAK = 1000, 0.4, 8000
FADE = 80  # samples at either end, so that it does not crack


def make_tone(out: Path) -> None:
    """Write the tone as a finished sound. Raises OSError."""
    count = int(SECONDS * SAMPLE_RATE)
    samples = array("h", (_sample(index, count) for index in range(count)))
    with write_whole(out) as temporary, wave.open(str(temporary), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, count, "NONE", ""))
        file.writeframes(samples.tobytes())


def _sample(index: int, count: int) -> int:
    loudness = min(1.0, index / FADE, (count - index) / FADE)
    return round(PEAK * loudness * math.sin(2 * math.pi * HERTZ * index / SAMPLE_RATE))
