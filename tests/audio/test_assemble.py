"""Assembling clips: pieces, pauses and the tones of keys."""

import os
import time
from pathlib import Path

import pytest

from app.audio.assemble import Keys, Pause, Piece, assemble
from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from tests.audio.sounds import RATE, read_samples, strength

pytestmark = pytest.mark.usefixtures("quick_sounds")

# The rows and columns of a telephone's keys, from ITU-T Q.23.
LOW = {697: "123A", 770: "456B", 852: "789C", 941: "*0#D"}
HIGH = {1209: "147*", 1336: "2580", 1477: "369#", 1633: "ABCD"}


def recognize_keys(path: Path) -> str:
    """Recognize keys as a PBX does: in each 20 ms, by the strongest tone of either group."""
    samples, keys, last, step = read_samples(path), "", "", RATE // 50
    for start in range(0, len(samples) - step, step):
        part = samples[start : start + step]
        low = max(LOW, key=lambda hertz: strength(part, hertz))
        high = max(HIGH, key=lambda hertz: strength(part, hertz))
        is_key = strength(part, low) > 1000 and strength(part, high) > 1000
        key = next(iter(set(LOW[low]) & set(HIGH[high]))) if is_key else ""
        keys += key if key != last else ""
        last = key
    return keys


@pytest.fixture
def library(tmp_path: Path) -> SoundLibrary:
    return SoundLibrary(tmp_path / "prompts")


@pytest.fixture
def clip(library: SoundLibrary) -> Clip:
    return library.synthesize("hello", "en")


def test_keys_are_recognized(tmp_path: Path) -> None:
    keys = "0123456789*#ABCD1100"
    clip = assemble([Keys(keys)], tmp_path / "keys.wav")
    assert recognize_keys(clip.path) == keys
    assert clip.seconds == pytest.approx(len(keys) * 0.2)


def test_pieces_follow_one_another_to_the_sample(library: SoundLibrary, clip: Clip) -> None:
    whole = library.assemble([clip, Pause(0.5), Keys("1"), clip])
    speech, samples = read_samples(clip.path), read_samples(whole.path)
    assert samples[: len(speech)] == speech
    assert not any(samples[len(speech) : len(speech) + RATE // 2])
    assert samples[-len(speech) :] == speech
    assert whole.seconds == pytest.approx(2 * clip.seconds + 0.5 + 0.2)


def test_same_pieces_are_assembled_once(library: SoundLibrary, clip: Clip) -> None:
    first = library.assemble([clip, Keys("1")])
    inode = first.path.stat().st_ino
    assert library.assemble([clip, Keys("1")]) == first
    assert first.path.stat().st_ino == inode
    others: list[list[Piece]] = [[clip, Keys("2")], [Keys("1"), clip], [clip, Pause(1.0)], [clip]]
    assert len({first.path, *(library.assemble(pieces).path for pieces in others)}) == 5


def test_dialogues_that_are_unused_for_a_day_are_removed(library: SoundLibrary, clip: Clip) -> None:
    old, used = (library.assemble([clip, Keys(key)]).path for key in "12")
    for path in (old, used, clip.path):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    os.utime(used)
    library.assemble([clip, Keys("3")])
    assert [old.exists(), used.exists(), clip.path.exists()] == [False, True, True]


@pytest.mark.parametrize(("content", "error"), [(None, FileNotFoundError), (b"no sound", SoundError)])
def test_missing_or_damaged_piece_leaves_no_file(
    library: SoundLibrary, content: bytes | None, error: type[Exception]
) -> None:
    path = library.root / "uploads" / f"{'0' * 64}.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        library.assemble([Keys("1"), Clip(path, 1.0, -20.0, -3.0)])
    assert list((library.root / "dialogues").iterdir()) == []
