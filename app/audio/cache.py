"""The folder of finished sounds: each named by what it was made from, made once, shared by all processes."""

import fcntl
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path, PurePath
from typing import BinaryIO

from app.audio.clip import Clip, SoundError, SpeechError, read_clip, read_seconds
from app.audio.convert import HEADLESS, MAX_BYTES, convert
from app.audio.speak import DEFAULT_RATE, DEFAULT_VOICES, check_speech, speak, voices

log = logging.getLogger(__name__)

RECIPE = 1  # counted up when the same text or file would sound different: old names are then never found again
ABANDONED = 3600.0  # seconds; no sound is that long in the making
SPEECH, UPLOADS, LOCKS = "speech", "uploads", ".locks"


class SoundLibrary:
    """Sounds below `root`, in `speech/` and `uploads/`, named by a hash of 64 hex digits.

    Folders are 0755 and files 0644 whatever the umask, for Asterisk reads them as another user.
    Safe for any number of threads and processes; nothing half-written is ever visible under its name.
    All that makes a sound raises OSError, naming the file, where the folder can't be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in (root, root / SPEECH, root / UPLOADS, root / LOCKS):
            _make_folder(folder)

    def spoken(self, text: str, language: str, voice: str | None = None, rate: int | None = None) -> Clip:
        """The text as sound, synthesised at the first call only.

        `voice`: of voices(language), None for the language's default; `rate`: words per minute, None for the default.
        Raises SpeechError.
        """
        path, text, voice, rate = self._speech(text, language, voice, rate)
        return self._find_or_make(path, lambda: speak(text, voice=voice, rate=rate, out=path))

    def spoken_path(self, text: str, language: str, voice: str | None = None, rate: int | None = None) -> Path:
        """Where spoken() puts it, whether it is there yet or not. Raises SpeechError for what can't be spoken."""
        return self._speech(text, language, voice, rate)[0]

    def uploaded(self, source: Path | BinaryIO, original_name: str = "") -> Clip:
        """A stranger's file, converted; the same content is converted once. Raises SoundError.

        `source`: a path or a stream open for reading bytes; `original_name` only tells files without a head apart.
        """
        name = original_name or (source.name if isinstance(source, Path) else "")
        with tempfile.TemporaryDirectory(prefix="upload-") as folder:
            copy = Path(folder) / "source"  # a name of ours: the stranger's could be read as a protocol
            digest = _copy_and_hash(source, copy, PurePath(name).suffix.lower())
            path = self.root / UPLOADS / f"{digest}.wav"
            return self._find_or_make(path, lambda: convert(copy, out=path, name=name))

    def digits(self, language: str, voice: str | None = None) -> dict[str, Clip]:
        """ "0" to "9", each spoken by itself in the language, for reading out a number. Raises SpeechError."""
        return {digit: self.spoken(digit, language, voice) for digit in "0123456789"}

    def seconds(self, path: Path) -> float:
        """Duration of one of our sounds. Raises FileNotFoundError or SoundError `broken`."""
        return read_seconds(path)

    def name(self, clip: Clip) -> str:
        """The sound's path below `root` without its extension, as Asterisk's applications want it."""
        return clip.path.relative_to(self.root).with_suffix("").as_posix()

    def remove_unused(self, keep: Iterable[str], older_than: timedelta) -> int:
        """Remove the sounds that `keep` doesn't name and that nobody asked for since `older_than`; give their number.

        `keep`: paths or names, with or without folder and extension. The default digits always stay.
        """
        kept = {PurePath(name).stem for name in keep}
        kept |= {self.spoken_path(digit, language).stem for language in DEFAULT_VOICES for digit in "0123456789"}
        now = time.time()
        before = now - older_than.total_seconds()
        removed = 0
        for path in (path for folder in (SPEECH, UPLOADS) for path in (self.root / folder).iterdir()):
            if path.suffix == ".wav" and path.stem not in kept:
                removed += _remove_if_older(path, before)
            elif path.suffix == ".part":  # left by a process that died; a younger one may be in the making
                _remove_if_older(path, now - ABANDONED)
        return removed

    def _speech(self, text: str, language: str, voice: str | None, rate: int | None) -> tuple[Path, str, str, int]:
        voice = voice or DEFAULT_VOICES.get(language, "")
        if voice not in {known.name for known in voices(language)}:
            raise SpeechError("unknown_voice", voice=voice or language)
        rate = DEFAULT_RATE if rate is None else rate
        text = check_speech(text, voice, rate)
        recipe = json.dumps([RECIPE, language, voice, rate, text])
        digest = hashlib.sha256(recipe.encode()).hexdigest()
        return self.root / SPEECH / f"{digest}.wav", text, voice, rate

    def _find_or_make(self, path: Path, make: Callable[[], Clip]) -> Clip:
        found = _find(path)
        if found is not None:
            return found
        with self._lock(path):
            return _find(path) or make()

    @contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        """One maker per sound at a time, over threads and processes; a maker's death frees it.

        256 lock files serve all sounds, so that their number doesn't grow.
        """
        # For reading, which is enough for a lock: the file may be another user's, as of an administrator's command.
        lock = os.open(self.root / LOCKS / path.stem[:2], os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with suppress(PermissionError):
                os.fchmod(lock, 0o644)  # whatever the umask
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _find(path: Path) -> Clip | None:
    """A finished sound, marked as used now. A damaged one (a disk was full, a file copied by hand) is made anew."""
    try:
        clip = read_clip(path)
    except FileNotFoundError:
        return None
    except SoundError:
        log.warning("%s is damaged; making it anew", path)
        return None
    with suppress(PermissionError):  # another user's file: its age then counts from its making
        os.utime(path)
    return clip


def _copy_and_hash(source: Path | BinaryIO, copy: Path, suffix: str) -> str:
    """Copy up to the largest size allowed; the hash of recipe, extension and content. Raises SoundError too_large."""
    digest = hashlib.sha256(f"{RECIPE} {suffix if suffix in HEADLESS else ''}\n".encode())
    size = 0
    with copy.open("wb") as target, _open(source) as stream:
        while block := stream.read(1 << 20):
            size += len(block)
            if size > MAX_BYTES:
                raise SoundError("too_large", limit=MAX_BYTES)
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


@contextmanager
def _open(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield stream
    else:
        yield source


def _make_folder(folder: Path) -> None:
    if not folder.parent.exists():
        _make_folder(folder.parent)
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_mode & 0o755 != 0o755:
        folder.chmod(0o755)


def _remove_if_older(path: Path, before: float) -> bool:
    with suppress(FileNotFoundError):  # another process was first
        if path.stat().st_mtime < before:
            path.unlink()
            return True
    return False
