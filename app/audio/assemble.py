"""Assemble one clip from several pieces: clips, pauses, and the tones of telephone keys."""

import wave
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import pi, sin
from pathlib import Path

from app.audio.clip import SAMPLE_RATE, Clip, read_clip
from app.audio.convert import write_atomically

TONE_SECONDS, GAP_SECONDS = 0.12, 0.08  # a key's tone, and the silence after it
TONE_LEVEL = 4000  # peak of each of a key's two tones; a little quieter than speech at -19 LUFS
RAMP_SECONDS = 0.005  # a tone that begins or ends abruptly clicks

# ITU-T Q.23: each key is one low and one high tone.
_LOW, _HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
FREQUENCIES = {
    key: (low, high)
    for low, row in zip(_LOW, ("123A", "456B", "789C", "*0#D"), strict=True)
    for high, key in zip(_HIGH, row, strict=True)
}


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Keys:
    """Telephone keys, pressed one after the other."""

    keys: str


Piece = Clip | Pause | Keys


def assemble(pieces: Sequence[Piece], out: Path) -> Clip:
    """Write the pieces one after the other to the clip `out`.

    Raises FileNotFoundError for a missing clip, SoundError `broken` for a damaged one, KeyError for an unknown key, and
    OSError if `out` cannot be written.
    """
    with write_atomically(out) as temporary:
        with temporary.open("wb") as file, wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(SAMPLE_RATE)
            for piece in pieces:
                for samples in _samples(piece):
                    sound.writeframes(samples)
        clip = read_clip(temporary)
    return replace(clip, path=out)


def identify_piece(piece: Piece) -> list[object]:
    """Return values that differ for any two different pieces, and are the same for equal ones.

    A clip's name identifies its content. The measures are included since a lost clip may come back with other content.
    """
    match piece:
        case Pause(seconds):
            return ["pause", seconds]
        case Keys(keys):
            return ["keys", keys]
        case Clip(path=path, seconds=seconds, loudness_dbfs=loudness):
            return [path.parent.name, path.stem, seconds, loudness]


def _samples(piece: Piece) -> Iterator[bytes]:
    match piece:
        case Pause(seconds):
            yield _silence(seconds)
        case Keys(keys):
            for key in keys:
                yield _tone(key)
                yield _silence(GAP_SECONDS)
        case Clip(path=path):
            yield from _clip_samples(path)


def _clip_samples(path: Path) -> Iterator[bytes]:
    read_clip(path)  # raises for any other kind of file before a part of it is written
    with wave.open(str(path), "rb") as sound:
        while frames := sound.readframes(SAMPLE_RATE):
            yield frames


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * SAMPLE_RATE))


def _tone(key: str) -> bytes:
    low, high = (2 * pi * hertz / SAMPLE_RATE for hertz in FREQUENCIES[key])
    count, ramp = round(TONE_SECONDS * SAMPLE_RATE), RAMP_SECONDS * SAMPLE_RATE
    return array(
        "h",
        (
            round(TONE_LEVEL * min(1.0, at / ramp, (count - at) / ramp) * (sin(low * at) + sin(high * at)))
            for at in range(count)
        ),
    ).tobytes()
