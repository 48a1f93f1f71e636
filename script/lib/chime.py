"""Generate the sound of a new request: two soft bell notes. `python -m script.lib.chime` writes the file."""

import io
import math
import struct
import wave
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "app" / "static" / "sounds" / "arrival.wav"
RATE = 16000  # samples per second
NOTES = ((0.0, 659.26), (0.16, 880.0))  # start in seconds, frequency in Hz: E5, A5
OVERTONES = ((1, 1.0), (2, 0.35), (3, 0.12))
LENGTH, FADE, LOUDNESS = 0.9, 6.0, 0.3  # seconds, decay per second, share of the full scale


def sample(moment: float) -> float:
    """Return the amplitude at `moment` seconds, about -1 to 1."""
    value = 0.0
    for begin, frequency in NOTES:
        age = moment - begin
        if age >= 0:
            rise = min(1.0, age / 0.008)
            tone = sum(part * math.sin(2 * math.pi * frequency * n * age) for n, part in OVERTONES)
            value += rise * math.exp(-FADE * age) * tone
    return value * min(1.0, (LENGTH - moment) / 0.05)


def build_chime() -> bytes:
    """Return the sound as a WAV file."""
    samples = [round(32767 * LOUDNESS * sample(n / RATE)) for n in range(int(RATE * LENGTH))]
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return file.getvalue()


if __name__ == "__main__":
    FILE.write_bytes(build_chime())
