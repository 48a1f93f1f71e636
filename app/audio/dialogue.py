"""One sound of several: what is said, pauses, and the tones of the keys that are pressed between."""

import wave
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import pi, sin
from pathlib import Path

from app.audio.clip import SAMPLE_RATE, Clip, read_clip
from app.audio.convert import write_whole

TONE, GAP = 0.12, 0.08  # seconds of a key's tone, and of the silence after it
LEVEL = 4000  # of each of a key's two tones; a little below speech of -19 LUFS
RAMP = 0.005  # seconds; a tone that begins at once clicks

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
    """The telephone keys that the caller presses, one after the other."""

    keys: str


Piece = Clip | Pause | Keys


def assemble(pieces: Sequence[Piece], out: Path) -> Clip:
    """Write the pieces one after the other into `out`, a WAV like any finished sound.

    Raises FileNotFoundError and SoundError `broken` for a clip that is not there or damaged, KeyError for what is no
    key, OSError where `out` can't be written.
    """
    with write_whole(out) as temporary:
        with wave.open(str(temporary), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(SAMPLE_RATE)
            for piece in pieces:
                for samples in _samples(piece):
                    sound.writeframes(samples)
        clip = read_clip(temporary)
    return replace(clip, path=out)


def describe(piece: Piece) -> list[object]:
    """What tells a piece from every other. A clip's name stands for its content, but a lost one may come back."""
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
                yield _silence(GAP)
        case Clip(path=path):
            yield from _frames(path)


def _frames(path: Path) -> Iterator[bytes]:
    read_clip(path)  # raises for any other kind of file, before something of it is written
    with wave.open(str(path), "rb") as sound:
        while frames := sound.readframes(SAMPLE_RATE):
            yield frames


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * SAMPLE_RATE))


def _tone(key: str) -> bytes:
    low, high = (2 * pi * hertz / SAMPLE_RATE for hertz in FREQUENCIES[key])
    count, ramp = round(TONE * SAMPLE_RATE), RAMP * SAMPLE_RATE
    return array(
        "h",
        (
            round(LEVEL * min(1.0, at / ramp, (count - at) / ramp) * (sin(low * at) + sin(high * at)))
            for at in range(count)
        ),
    ).tobytes()
