"""Convert any sound file to a clip: 8 kHz, mono, 16 bit WAV, with even loudness and silent ends cut off."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.audio.child_process import run_child
from app.audio.clip import SAMPLE_RATE, Clip, SoundError, read_clip

MAX_BYTES = 20 * 1024 * 1024
MAX_SECONDS = 300.0
TIMEOUT_SECONDS = 60.0

# Raw files have no header, so only the file name tells the format. Asterisk's sound folders are full of them.
# Extension -> format, sample rate in Hz.
RAW_FORMATS = {
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
    timeout: float = TIMEOUT_SECONDS,
) -> Clip:
    """Convert the untrusted file `source` to the clip `out`.

    `name`: the original file name, if `source` has another one. `out` is written atomically, with mode 0644 whatever
    the umask is. Raises SoundError with one of not_audio, no_sound, silence_only, too_long, too_large, broken, timeout,
    busy; OSError if `out` cannot be written.
    """
    if source.stat().st_size > max_bytes:
        raise SoundError("too_large", limit=max_bytes)
    request = {
        "source": str(source.resolve()),
        "raw_format": RAW_FORMATS.get(Path(name or source.name).suffix.lower()),
        "max_seconds": max_seconds,
    }
    file_bytes = int(max_seconds + 2) * SAMPLE_RATE * 2
    with write_atomically(out) as temporary:
        run_child("convert_child.py", request | {"out": str(temporary)}, timeout=timeout, file_bytes=file_bytes)
        clip = read_clip(temporary)  # raises SoundError if the child wrote anything else than a clip
    return replace(clip, path=out)


@contextmanager
def write_atomically(out: Path) -> Iterator[Path]:
    """Yield a temporary file beside `out`. Move it to `out`, with mode 0644, if the block ends without an error."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=".", suffix=".part")
    temporary = Path(name)
    try:
        yield temporary
        os.fchmod(handle, 0o644)  # Asterisk reads the file as another user
        os.fsync(handle)
        temporary.replace(out)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)
