"""Piper, an option: real speech by a real model, and a clear word where an administrator's folder is amiss."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.audio import voices as known
from app.audio.child_process import run_child
from app.audio.clip import SpeechError
from app.audio.library import SoundLibrary
from app.audio.piper_child import MAX_CHARACTERS as LONGEST
from app.audio.piper_child import split_text
from app.audio.speak import MAX_CHARACTERS, speak
from app.audio.voices import list_voices
from tests.audio.sounds import PIPER_MODEL, RATE, read_samples

MODEL = PIPER_MODEL.name
JOE = "piper:en_US-joe-medium"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of voices with the one English model that can be had as a package."""
    folder = tmp_path / "voices"
    folder.mkdir()
    for name in (MODEL, f"{MODEL}.json"):
        (folder / name).symlink_to(PIPER_MODEL.with_name(name))
    return folder


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> SoundLibrary:
    return SoundLibrary(tmp_path / "prompts", folder)


def add_model(folder: Path, name: str, change: Change | None = None) -> Path:
    """Put a model beside the other, its description changed."""
    (folder / f"{name}.onnx").symlink_to((folder / MODEL).resolve())
    told = json.loads((folder / f"{MODEL}.json").read_text())
    if change is not None:
        change(told)
    (folder / f"{name}.onnx.json").write_text(json.dumps(told))
    return folder / f"{name}.onnx"


def piper_names(folder: Path, language: str | None = None) -> list[str]:
    return [voice.name for voice in list_voices(language, folder) if voice.kind == "piper"]


# What is on offer


def test_a_model_of_the_folder_is_a_voice_of_its_language(folder: Path) -> None:
    assert piper_names(folder) == piper_names(folder, "en") == [JOE]
    assert piper_names(folder, "fa") == []
    (joe,) = (voice for voice in list_voices("en", folder) if voice.name == JOE)
    assert (joe.kind, joe.title, joe.has_pitch) == ("piper", "en_US-joe-medium", False)
    assert list_voices("en", folder)[0].name == "en-us+f3"  # the default stays the first


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["language"].update(family="fa"),
        lambda told: (told.pop("language"), told["espeak"].update(voice="fa")),
        lambda told: (told.pop("language"), told["espeak"].update(voice="fa-latn")),
    ],
)
def test_a_persian_model_is_known_by_what_it_says_of_itself(folder: Path, change: Change) -> None:
    add_model(folder, "fa_IR-amir-medium", change)
    assert piper_names(folder, "fa") == ["piper:fa_IR-amir-medium"]
    assert piper_names(folder, "en") == [JOE]


def test_without_the_package_there_is_no_such_voice(
    folder: Path, library: SoundLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "is_piper_installed", lambda: False)
    assert piper_names(folder) == []
    with pytest.raises(SpeechError) as caught:
        library.synthesize("hello", "en", JOE)
    assert caught.value.code == "piper_missing"


def test_a_folder_that_is_not_there_offers_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert piper_names(tmp_path / "lost") == []
    assert caplog.records == []


def test_a_folder_that_cannot_be_read_is_logged_and_offers_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "voices").write_text("a file")
    assert list_voices("fa", tmp_path / "voices") == list_voices("fa")
    assert "cannot be read" in caplog.text


def spoil(text: str) -> Callable[[Path], object]:
    return lambda config: config.write_text(text)


def lose(config: Path) -> None:
    config.unlink()


def fold(config: Path) -> None:
    config.unlink()
    config.mkdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lose, "is missing"),
        (fold, "directory"),
        (spoil("{"), "does not tell"),
        (spoil("[]"), "does not tell"),
        (spoil("{}"), "does not tell"),
        (spoil('{"language": 7}'), "does not tell"),
        (spoil("[" * 100_000), "does not tell"),
        (spoil('{"espeak": {"voice": "de"}}'), "its language is 'de'"),
    ],
)
def test_a_voice_that_does_not_tell_its_language_is_not_on_offer(
    folder: Path,
    library: SoundLibrary,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
    reason: str,
) -> None:
    damage(add_model(folder, "broken").with_name("broken.onnx.json"))
    assert piper_names(folder) == [JOE]
    assert reason in caplog.text
    with pytest.raises(SpeechError) as caught:
        library.synthesize("hello", "en", "piper:broken")
    assert caught.value.code == "voice_broken"
    assert reason in caught.value.details["reason"]  # type: ignore[operator]


def test_a_name_that_no_setting_could_hold_is_not_on_offer(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_model(folder, "صدا")
    add_model(folder, "x" * 71)
    assert piper_names(folder) == [JOE]
    assert caplog.text.count("letters, digits, dot") == 2


@pytest.mark.parametrize("name", ["piper:lost", "piper:../voices/en_US-joe-medium", "piper:", "joe"])
def test_only_models_of_the_folder_are_ever_loaded(library: SoundLibrary, name: str) -> None:
    with pytest.raises(SpeechError) as caught:
        library.synthesize("hello", "en", name)
    assert caught.value.code == "unknown_voice"


# How it speaks


def test_a_model_speaks(library: SoundLibrary) -> None:
    clip = library.synthesize("Hello. Please enter your telephone number.", "en", JOE)
    assert clip.seconds == len(read_samples(clip.path)) / RATE
    assert 1.5 < clip.seconds < 4.5
    assert -24 < clip.loudness_dbfs < -15
    assert clip.path.stat().st_mode & 0o777 == 0o644


def test_a_rate_is_heard_and_a_pitch_is_not(library: SoundLibrary) -> None:
    slow, usual, fast = (library.synthesize("Please enter your number.", "en", JOE, rate) for rate in (80, None, 300))
    assert slow.seconds > 1.3 * usual.seconds
    assert fast.seconds < 0.75 * usual.seconds
    assert library.synthesize("Please enter your number.", "en", JOE, pitch=80) == usual


def test_the_longest_text_keeps_within_bounds(tmp_path: Path, folder: Path) -> None:
    """In one breath it took three and a half gigabytes."""
    text = ("nobody can answer right now to be called back on this number please press one " * 20)[:MAX_CHARACTERS]
    clip = speak(text, voice=JOE, rate=300, folder=folder, out=tmp_path / "long.wav")
    assert clip.seconds > 30


@pytest.mark.parametrize(
    "text", ["a" * 500, "one two " * 100, "One. Two! Three? " * 50, "سلام، خوبید؟ " * 40, "x [[[[hello]] y", "1"]
)
def test_a_text_is_spoken_in_breaths(text: str) -> None:
    parts = list(split_text(text))
    assert all(0 < len(part) <= LONGEST for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert not any("[[" in part for part in parts)  # else spoken as sounds of a phonetic alphabet


def test_a_breath_ends_where_a_speaker_would_end_it() -> None:
    sentences = ["One two three four five six seven.", "Eight nine ten eleven, twelve thirteen.", "And so on, and on."]
    assert [part[-1] for part in split_text(" ".join(sentences * 3))] == ["."] * 3


def test_another_voices_language_is_refused(library: SoundLibrary) -> None:
    for text, language, code in (("سلام", "fa", "unknown_voice"), ("سلام", "en", "wrong_language")):
        with pytest.raises(SpeechError) as caught:
            library.synthesize(text, language, JOE)
        assert caught.value.code == code


def test_a_model_that_is_replaced_speaks_anew(library: SoundLibrary, folder: Path) -> None:
    before = library.speech_path("hello", "en", JOE)
    model = folder / MODEL
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content)
    os.utime(model, (1, 1))
    assert library.speech_path("hello", "en", JOE) != before


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x08" + bytes(1000)])
def test_a_broken_model_is_told(library: SoundLibrary, folder: Path, content: bytes) -> None:
    model = add_model(folder, "broken")
    model.unlink()
    model.write_bytes(content)
    with pytest.raises(SpeechError) as caught:
        library.synthesize("hello", "en", "piper:broken")
    assert caught.value.code == "voice_broken"
    assert list((library.root / "speech").iterdir()) == []


def test_a_model_that_needs_too_much_memory_harms_nobody(folder: Path, tmp_path: Path) -> None:
    request = {"text": "hello", "voice": JOE, "model": str(folder / MODEL), "slowness": 1.0, "out": str(tmp_path / "x")}
    with pytest.raises(SpeechError.__base__) as caught:  # type: ignore[arg-type]
        run_child("piper_child.py", request, timeout=30, file_bytes=1 << 22, memory=200 << 20)
    assert caught.value.code in ("voice_broken", "piper_missing", "broken")  # type: ignore[attr-defined]
