from pathlib import Path

import pytest

from app.audio.library import SoundLibrary
from tests.support.sounds import quick_conversion, quick_sounds

__all__ = ["quick_conversion", "quick_sounds"]


@pytest.fixture
def library(tmp_path: Path, quick_sounds: None) -> SoundLibrary:
    return SoundLibrary(tmp_path / "prompts")
