"""Find a prompt in the sound that a phone received, by an exact comparison of samples."""

from __future__ import annotations

import wave
from array import array
from dataclasses import dataclass
from pathlib import Path

RATE = 8000
_WINDOW = 48  # samples per comparison: 6 ms
_STEP = 160  # samples from one comparison to the next
_MIN_VALUES = 12  # different values that a window must have, because all silence is the same
_SLACK = 16  # samples by which the distance of two windows may differ


def _encode_table() -> bytes:
    """Return the µ-law value of every fourth 16-bit value, as in G.711 and computed as in Asterisk."""
    table = bytearray(16384)
    for index in range(16384):
        sample = (index << 2 | 3) - (65536 if index >= 8192 else 0)  # Asterisk uses the last of the four
        sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
        magnitude = min(magnitude, 32635) + 0x84
        exponent = magnitude.bit_length() - 8
        table[index] = ~(sign | exponent << 4 | (magnitude >> exponent + 3) & 0x0F) & 0xFF
    return bytes(table)


_ENCODE = _encode_table()


def ulaw(samples: array[int]) -> bytes:
    """Encode 16-bit samples at 8 kHz as µ-law."""
    return bytes(_ENCODE[(sample & 0xFFFF) >> 2] for sample in samples)


def read_ulaw(path: Path) -> bytes:
    """Return the sound of a prompt file as µ-law."""
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2), path
        return ulaw(array("h", file.readframes(file.getnframes())))


@dataclass(frozen=True)
class Match:
    """Where a prompt was found. `at`: seconds of sound before the prompt. `share`: the found part of it, 0–1."""

    at: float
    share: float


def find(stream: bytes, prompt: bytes) -> Match:
    """Find a prompt or its beginning in a received stream. Both are µ-law at 8 kHz."""
    windows = [
        start
        for start in range(0, len(prompt) - _WINDOW, _STEP)
        if len(set(prompt[start : start + _WINDOW])) >= _MIN_VALUES
    ]
    best = Match(0.0, 0.0)
    for first in windows[:20]:  # a played prompt has one of its first 20 windows in the stream
        found = stream.find(prompt[first : first + _WINDOW])
        if found < 0:
            continue
        begin = found - first
        matched = [start for start in windows if _is_at(stream, prompt, start, begin)]
        hearing = Match(begin / RATE, len(matched) / len(windows))
        if hearing.share > best.share:
            best = hearing
    return best


def _is_at(stream: bytes, prompt: bytes, start: int, begin: int) -> bool:
    expected = begin + start
    low = max(0, expected - _SLACK)
    return stream.find(prompt[start : start + _WINDOW], low, expected + _WINDOW + _SLACK) >= 0
