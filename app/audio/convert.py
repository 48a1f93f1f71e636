"""Any sound file into one that Asterisk and browsers play: 8 kHz, mono, 16 bit WAV, evenly loud, trimmed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.audio.child import run_child
from app.audio.clip import SAMPLE_RATE, Clip, SoundError, read_clip

MAX_BYTES = 20 * 1024 * 1024
MAX_SECONDS = 300.0
TIMEOUT = 60.0  # seconds

# Files without a head are known by their name only, and Asterisk's folders are full of them: format, Hz.
HEADLESS = {
    ".gsm": ("gsm", 8000),
    ".ulaw": ("mulaw", 8000),
    ".alaw": ("alaw", 8000),
    ".g722": ("g722", 16000),
    ".sln": ("s16le", 8000),
    ".sln16": ("s16le", 16000),
}


def convert(
    source: Path,
    *,
    out: Path,
    name: str = "",
    max_seconds: float = MAX_SECONDS,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
    volume: float = 1.0,
) -> Clip:
    """Convert the file `source`, which nobody vouches for, into `out`.

    `name`: the file's name where it came from, if `source` has another. `volume`: 0–1, after levelling.
    `out` appears whole or not at all, readable by everyone (0644) whatever the umask.
    Raises SoundError with one of not_audio, no_sound, silence_only, too_long, too_large, broken, timeout, busy;
    OSError where `out` can't be written.
    """
    if source.stat().st_size > max_bytes:
        raise SoundError("too_large", limit=max_bytes)
    request = {
        "source": str(source.resolve()),
        "headless": HEADLESS.get(Path(name or source.name).suffix.lower()),
        "max_seconds": max_seconds,
        "gain": min(1.0, max(0.0, volume)),
    }
    largest = int(max_seconds + 2) * SAMPLE_RATE * 2
    with write_whole(out) as temporary:
        run_child("convert_child.py", request | {"out": str(temporary)}, timeout=timeout, file_bytes=largest)
        clip = read_clip(temporary)  # raises if it is not what was asked for
    return replace(clip, path=out)


@contextmanager
def write_whole(out: Path) -> Iterator[Path]:
    """Give a temporary file beside `out`, and move it there, mode 0644, when the block ends without an error."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=".", suffix=".part")
    temporary = Path(name)
    try:
        yield temporary
        os.fchmod(handle, 0o644)  # Asterisk reads it as another user
        os.fsync(handle)
        temporary.replace(out)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)
