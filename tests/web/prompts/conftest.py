from io import BytesIO
from pathlib import Path

import pytest

from tests.audio.sounds import tone, write_sound
from tests.support.sounds import quick_conversion, quick_sounds

__all__ = ["quick_conversion", "quick_sounds"]


@pytest.fixture(autouse=True)
def _sounds_are_quick(quick_sounds: None) -> None:
    """No page needs real speech."""


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a tone."""
    return write_sound(tmp_path_factory.mktemp("sounds") / "نام فایل.wav", tone(2, 440))


def as_upload(path: Path) -> tuple[BytesIO, str]:
    """Return a file for a test client's form."""
    return BytesIO(path.read_bytes()), path.name
