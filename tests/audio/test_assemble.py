"""Several sounds as one, with the keys that a caller presses: heard by an ear of our own."""

import os
import time
from pathlib import Path

import pytest

from app.audio.assemble import Keys, Pause, assemble
from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from tests.audio.sounds import RATE, read_samples, strength

# The rows and columns of a telephone's keys, from ITU-T Q.23.
LOW = {697: "123A", 770: "456B", 852: "789C", 941: "*0#D"}
HIGH = {1209: "147*", 1336: "2580", 1477: "369#", 1633: "ABCD"}


def heard_keys(path: Path) -> str:
    """Listen as an exchange does: 20 ms at a time, a key being the loudest of each group of tones."""
    samples, keys, last, step = read_samples(path), "", "", RATE // 50
    for start in range(0, len(samples) - step, step):
        part = samples[start : start + step]
        low = max(LOW, key=lambda hertz: strength(part, hertz))
        high = max(HIGH, key=lambda hertz: strength(part, hertz))
        sounding = strength(part, low) > 1000 and strength(part, high) > 1000
        key = next(iter(set(LOW[low]) & set(HIGH[high]))) if sounding else ""
        keys += key if key != last else ""
        last = key
    return keys


def test_every_key_is_heard_as_itself(tmp_path: Path) -> None:
    keys = "0123456789*#ABCD"
    clip = assemble([Keys(keys)], tmp_path / "keys.wav")
    assert heard_keys(clip.path) == keys
    assert clip.seconds == pytest.approx(len(keys) * 0.2)


def test_the_same_key_twice_is_heard_twice(tmp_path: Path) -> None:
    assert heard_keys(assemble([Keys("1100")], tmp_path / "keys.wav").path) == "1100"


def test_pieces_follow_one_another_to_the_sample(tmp_path: Path, spoken_file: Path) -> None:
    library = SoundLibrary(tmp_path / "prompts")
    clip = library.convert(spoken_file)
    whole = library.assemble([clip, Pause(0.5), Keys("1"), clip])
    speech, samples = read_samples(clip.path), read_samples(whole.path)
    assert samples[: len(speech)] == speech
    assert not any(samples[len(speech) : len(speech) + RATE // 2])
    assert samples[-len(speech) :] == speech
    assert whole.seconds == pytest.approx(2 * clip.seconds + 0.5 + 0.2)
    assert whole.path.stat().st_mode & 0o777 == 0o644


def test_the_same_pieces_are_put_together_once(tmp_path: Path, spoken_file: Path) -> None:
    library = SoundLibrary(tmp_path / "prompts")
    clip = library.convert(spoken_file)
    first = library.assemble([clip, Keys("1")])
    before = first.path.stat().st_ino
    assert library.assemble([clip, Keys("1")]) == first
    assert first.path.stat().st_ino == before
    others = [[clip, Keys("2")], [Keys("1"), clip], [clip, Pause(1.0)], [clip]]
    assert len({library.assemble(pieces).path for pieces in [[clip, Keys("1")], *others]}) == 5


def test_dialogues_of_the_day_before_are_removed(tmp_path: Path, spoken_file: Path) -> None:
    library = SoundLibrary(tmp_path / "prompts")
    clip = library.convert(spoken_file)
    old, used = (library.assemble([clip, Keys(key)]).path for key in "12")
    for path in (old, used, clip.path):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    os.utime(used)
    library.assemble([clip, Keys("3")])
    assert [old.exists(), used.exists(), clip.path.exists()] == [False, True, True]


@pytest.mark.parametrize(("content", "error"), [(None, FileNotFoundError), (b"no sound", SoundError)])
def test_a_piece_that_is_not_there_leaves_nothing(
    tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    library = SoundLibrary(tmp_path / "prompts")
    lost = library.root / "uploads" / f"{'0' * 64}.wav"
    if content is not None:
        lost.write_bytes(content)
    with pytest.raises(error):
        library.assemble([Keys("1"), Clip(lost, 1.0, -20.0, -3.0)])
    assert list((library.root / "dialogues").iterdir()) == []
