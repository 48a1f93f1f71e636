"""Quick sounds without a child process, for tests in which the content of a sound does not matter."""

import random
import wave
from array import array
from pathlib import Path
from typing import Any

import pytest

from app.audio import convert as convert_module
from app.audio import convert_child
from app.audio import library as library_module
from app.audio.clip import SAMPLE_RATE, Clip, SoundError, read_clip
from app.audio.convert_child import ConversionError

SPEECH_SECONDS = 0.4


def fake_speak(text: str, *, voice: str, rate: int, pitch: int, out: Path, **_: Any) -> Clip:
    """Write a sound that differs for each text, voice, rate and pitch, in place of speech."""
    noise = random.Random(f"{text} {voice} {rate} {pitch}")
    samples = array("h", (noise.randrange(-9000, 9000) for _ in range(int(SPEECH_SECONDS * SAMPLE_RATE))))
    with out.open("wb") as file, wave.open(file, "wb") as sound:  # wave warns of a file that it cannot open
        sound.setparams((1, 2, SAMPLE_RATE, len(samples), "NONE", ""))
        sound.writeframes(samples.tobytes())
    out.chmod(0o644)
    return read_clip(out)


def run_converter(script: str, request: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Convert a file in this process, with the code of the child process."""
    assert script == "convert_child.py"
    try:
        reply = convert_child.convert(request)
    except ConversionError as error:
        raise SoundError(error.code, **error.details) from error
    if "errno" in reply:
        raise OSError(reply["errno"], "cannot write", request["out"])
    return reply


@pytest.fixture
def quick_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert files in this process."""
    monkeypatch.setattr(convert_module, "run_child", run_converter)


@pytest.fixture
def quick_sounds(monkeypatch: pytest.MonkeyPatch, quick_conversion: None) -> None:
    """Convert files in this process, and write noise in place of speech."""
    monkeypatch.setattr(library_module, "speak", fake_speak)
