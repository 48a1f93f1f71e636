"""Piper voices: real speech by a real model, and clear errors for a folder with mistakes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.audio import voices as voices_module
from app.audio.child_process import run_child
from app.audio.clip import SoundError, SpeechError
from app.audio.library import SoundLibrary
from app.audio.piper_child import MAX_CHARACTERS as MAX_PIECE
from app.audio.piper_child import split_text
from app.audio.speak import MAX_CHARACTERS, speak
from app.audio.voices import DEFAULT_VOICES, list_voices
from script.office.patience import PATIENCE
from tests.audio.sounds import PIPER_MODEL, RATE, read_samples

MODEL = PIPER_MODEL.name
JOE = "piper:en_US-joe-medium"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of voices with an English model."""
    folder = tmp_path / "voices"
    folder.mkdir()
    for name in (MODEL, f"{MODEL}.json"):
        (folder / name).symlink_to(PIPER_MODEL.with_name(name))
    return folder


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> SoundLibrary:
    return SoundLibrary(tmp_path / "prompts", folder)


def add_model(folder: Path, name: str, change: Change | None = None) -> Path:
    """Add a copy of the model with a changed configuration."""
    (folder / f"{name}.onnx").symlink_to((folder / MODEL).resolve())
    config = json.loads((folder / f"{MODEL}.json").read_text())
    if change is not None:
        change(config)
    (folder / f"{name}.onnx.json").write_text(json.dumps(config))
    return folder / f"{name}.onnx"


def piper_names(folder: Path, language: str | None = None) -> list[str]:
    return [voice.name for voice in list_voices(language, folder) if voice.kind == "piper"]


def synthesis_error(library: SoundLibrary, *arguments: Any) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        library.synthesize(*arguments)
    return caught.value


# -- the folder of voices -------------------------------------------------------------------------------------------


def test_model_is_a_voice_of_its_language(folder: Path) -> None:
    assert piper_names(folder) == piper_names(folder, "en") == [JOE]
    assert piper_names(folder, "fa") == []
    (joe,) = (voice for voice in list_voices("en", folder) if voice.name == JOE)
    assert (joe.kind, joe.title, joe.has_pitch) == ("piper", "en_US-joe-medium", False)
    assert list_voices("en", folder)[0].name == DEFAULT_VOICES["en"]  # the default stays first


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["language"].update(family="fa"),
        lambda config: (config.pop("language"), config["espeak"].update(voice="fa")),
        lambda config: (config.pop("language"), config["espeak"].update(voice="fa-latn")),
    ],
)
def test_language_is_read_from_the_configuration(folder: Path, change: Change) -> None:
    add_model(folder, "fa_IR-amir-medium", change)
    assert piper_names(folder, "fa") == ["piper:fa_IR-amir-medium"]
    assert piper_names(folder, "en") == [JOE]


def test_package_is_missing(folder: Path, library: SoundLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices_module, "is_piper_installed", lambda: False)
    assert piper_names(folder) == []
    assert synthesis_error(library, "hello", "en", JOE).code == "piper_missing"


def test_folder_is_missing_or_unreadable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert piper_names(tmp_path / "missing") == []
    assert caplog.records == []
    (tmp_path / "file").write_text("not a folder")
    assert piper_names(tmp_path / "file") == []
    assert len(caplog.records) == 1


def write(text: str) -> Callable[[Path], object]:
    return lambda config: config.write_text(text)


def replace_by_folder(config: Path) -> None:
    config.unlink()
    config.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        lambda config: config.unlink(),
        replace_by_folder,
        write("{"),
        write("[]"),
        write("{}"),
        write('{"language": 7}'),
        write("[" * 100_000),
        write('{"espeak": {"voice": "de"}}'),
    ],
)
def test_damaged_configuration(
    folder: Path, library: SoundLibrary, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object]
) -> None:
    damage(add_model(folder, "broken").with_name("broken.onnx.json"))
    assert piper_names(folder) == [JOE]
    error = synthesis_error(library, "hello", "en", "piper:broken")
    assert error.code == "voice_broken"
    assert str(error.details["reason"]) in caplog.text


def test_names_that_settings_cannot_hold_are_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_model(folder, "صدا")
    add_model(folder, "x" * 71)
    assert piper_names(folder) == [JOE]
    assert len(caplog.records) == 2


@pytest.mark.parametrize("name", ["piper:lost", "piper:../voices/en_US-joe-medium", "piper:", "joe"])
def test_only_models_of_the_folder_are_loaded(library: SoundLibrary, name: str) -> None:
    assert synthesis_error(library, "hello", "en", name).code == "unknown_voice"


def test_other_languages_are_refused(library: SoundLibrary) -> None:
    assert synthesis_error(library, "سلام", "fa", JOE).code == "unknown_voice"
    assert synthesis_error(library, "سلام", "en", JOE).code == "wrong_language"


def test_replaced_model_makes_new_clips(library: SoundLibrary, folder: Path) -> None:
    before = library.speech_path("hello", "en", JOE)
    assert library.speech_path("hello", "en", JOE, pitch=80) == before  # piper has no pitch
    model = folder / MODEL
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content)
    os.utime(model, (1, 1))
    assert library.speech_path("hello", "en", JOE) != before


# -- speech ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_model_speaks_at_the_requested_rate(library: SoundLibrary) -> None:
    usual, fast = (
        library.synthesize("Hello. Please enter your telephone number.", "en", JOE, rate) for rate in (None, 300)
    )
    assert usual.seconds == len(read_samples(usual.path)) / RATE
    assert 1.5 < usual.seconds < 4.5
    assert -24 < usual.loudness_dbfs < -15
    assert fast.seconds < 0.75 * usual.seconds


@pytest.mark.slow
def test_longest_text_needs_no_more_memory(tmp_path: Path, folder: Path) -> None:
    """At once it needed 3.5 GB."""
    text = ("nobody can answer right now to be called back on this number please press one " * 20)[:MAX_CHARACTERS]
    clip = speak(text, voice=JOE, rate=300, folder=folder, out=tmp_path / "long.wav", timeout=PATIENCE)
    assert clip.seconds > 30


@pytest.mark.parametrize(
    "text", ["a" * 500, "one two " * 100, "One. Two! Three? " * 50, "سلام، خوبید؟ " * 40, "x [[[[hello]] y", "1"]
)
def test_text_is_split(text: str) -> None:
    parts = list(split_text(text))
    assert all(0 < len(part) <= MAX_PIECE for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert not any("[[" in part for part in parts)  # piper would read it as phonemes


def test_text_is_split_at_sentences() -> None:
    sentences = ["One two three four five six seven.", "Eight nine ten eleven, twelve thirteen.", "And so on, and on."]
    assert [part[-1] for part in split_text(" ".join(sentences * 3))] == ["."] * 3


@pytest.mark.parametrize("content", [b"", b"\x08\x08" + bytes(1000)])
def test_broken_model(library: SoundLibrary, folder: Path, content: bytes) -> None:
    model = add_model(folder, "broken")
    model.unlink()
    model.write_bytes(content)
    assert synthesis_error(library, "hello", "en", "piper:broken").code == "voice_broken"
    assert list((library.root / "speech").iterdir()) == []


def test_model_that_needs_too_much_memory(folder: Path, tmp_path: Path) -> None:
    request = {"text": "hello", "voice": JOE, "model": str(folder / MODEL), "slowness": 1.0, "out": str(tmp_path / "x")}
    with pytest.raises(SoundError) as caught:
        run_child("piper_child.py", request, timeout=30, file_bytes=1 << 22, memory=200 << 20)
    assert caught.value.code in ("voice_broken", "piper_missing", "broken")
