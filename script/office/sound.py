"""Was this prompt really heard? Compares what a phone received with the prompt's file, sample by sample."""

from __future__ import annotations

import wave
from array import array
from dataclasses import dataclass
from pathlib import Path

RATE = 8000
_WINDOW = 48  # samples of one comparison: 6 ms
_STEP = 160  # samples from one comparison to the next
_LIVELY = 12  # different values that a window must have: silence is like any other silence
_SLACK = 16  # samples by which two windows may lie differently far apart


def _encode_table() -> bytes:
    """µ-law of every fourth 16 bit value, as G.711 has it and Asterisk computes it."""
    table = bytearray(16384)
    for index in range(16384):
        sample = (index << 2 | 3) - (65536 if index >= 8192 else 0)  # the last of its four wins
        sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
        magnitude = min(magnitude, 32635) + 0x84
        exponent = magnitude.bit_length() - 8
        table[index] = ~(sign | exponent << 4 | (magnitude >> exponent + 3) & 0x0F) & 0xFF
    return bytes(table)


_ENCODE = _encode_table()


def ulaw(samples: array[int]) -> bytes:
    """Encode 16 bit samples of 8 kHz."""
    return bytes(_ENCODE[(sample & 0xFFFF) >> 2] for sample in samples)


def read_ulaw(path: Path) -> bytes:
    """Return a prompt's sound as it goes over the line."""
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2), path
        return ulaw(array("h", file.readframes(file.getnframes())))


@dataclass(frozen=True)
class Match:
    """`at`: seconds of received sound before the prompt began; `share` of the prompt that was heard, 0–1."""

    at: float
    share: float


def find(stream: bytes, prompt: bytes) -> Match:
    """Find the prompt (or its beginning) in what was received, both µ-law of 8 kHz."""
    windows = [
        start
        for start in range(0, len(prompt) - _WINDOW, _STEP)
        if len(set(prompt[start : start + _WINDOW])) >= _LIVELY
    ]
    best = Match(0.0, 0.0)
    for first in windows[:20]:  # if none of the first 0.4 lively seconds is found, it was not played
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
