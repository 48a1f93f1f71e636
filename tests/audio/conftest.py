from pathlib import Path

import pytest

from app.audio.speak import speak
from tests.support.sounds import quick_conversion, quick_sounds

__all__ = ["quick_conversion", "quick_sounds"]


@pytest.fixture(scope="session")
def spoken_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some five seconds of English speech: 8 kHz, mono, normalized and trimmed."""
    text = "Nobody can answer right now. Press 1 to be called back, and wait for a moment."
    return speak(text, voice="en-us+f3", out=tmp_path_factory.mktemp("spoken") / "speech.wav").path
