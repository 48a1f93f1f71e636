"""The folder of finished sounds: each named by what it was made from, made once, shared by all processes."""

import fcntl
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from app.audio.clip import Clip, SoundError, SpeechError, read_clip, read_seconds
from app.audio.convert import HEADLESS, MAX_BYTES, convert
from app.audio.dialogue import Piece, assemble, describe
from app.audio.speak import DEFAULT_PITCH, DEFAULT_RATE, check_speech, speak
from app.audio.voices import DEFAULT_VOICES, Voice, find_voice, voices

log = logging.getLogger(__name__)

RECIPE = 1  # counted up when the same text or file would sound different: old names are then never found again
ABANDONED = 3600.0  # seconds; no sound is that long in the making
HEARD = 24 * 3600.0  # seconds; dialogues are for one who tries prompts out, and soon put together again
SPEECH, UPLOADS, DIALOGUES, LOCKS = "speech", "uploads", "dialogues", ".locks"


class SoundLibrary:
    """Sounds below `root`, in `speech/`, `uploads/` and `dialogues/`, named by a hash of 64 hex digits.

    `voices_folder`: of piper's models, an option.
    Folders are 0755 and files 0644 whatever the umask, for Asterisk reads them as another user.
    Safe for any number of threads and processes; nothing half-written is ever visible under its name.
    All that makes a sound raises OSError, naming the file, where the folder can't be written.
    """

    def __init__(self, root: Path, voices_folder: Path | None = None) -> None:
        self.root, self._voices_folder = root, voices_folder
        for folder in (root, root / SPEECH, root / UPLOADS, root / DIALOGUES, root / LOCKS):
            _make_folder(folder)

    def voices(self, language: str | None = None) -> tuple[Voice, ...]:
        """The voices on offer, the default of each language first; only those of `language`, if given."""
        return voices(language, self._voices_folder)

    def voice(self, name: str) -> Voice:
        """The voice of this name. Raises SpeechError unknown_voice, voice_broken or piper_missing."""
        return find_voice(name, self._voices_folder)

    def spoken(
        self, text: str, language: str, voice: str | None = None, rate: int | None = None, pitch: int | None = None
    ) -> Clip:
        """The text as sound, synthesised at the first call only.

        `voice`: of voices(language); `rate`: words per minute; `pitch`: 0–99. None or "": the default of each.
        Raises SpeechError.
        """
        path, manner = self._speech(text, language, voice, rate, pitch)
        return self._find_or_make(path, lambda: speak(**manner, folder=self._voices_folder, out=path))

    def spoken_path(
        self, text: str, language: str, voice: str | None = None, rate: int | None = None, pitch: int | None = None
    ) -> Path:
        """Where spoken() puts it, whether it is there yet or not. Raises SpeechError for what can't be spoken."""
        return self._speech(text, language, voice, rate, pitch)[0]

    def assembled(self, pieces: Sequence[Piece]) -> Clip:
        """Sounds, pauses and keys one after the other, as one sound. Raises FileNotFoundError and SoundError.

        It is kept for a day after it was last asked for.
        """
        digest = hashlib.sha256(json.dumps([RECIPE, *map(describe, pieces)]).encode()).hexdigest()
        path = self.root / DIALOGUES / f"{digest}.wav"
        for former in (self.root / DIALOGUES).iterdir():
            _remove_if_older(former, time.time() - HEARD)
        return self._find_or_make(path, lambda: assemble(pieces, path))

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

    def mark_used(self, names: Iterable[str]) -> None:
        """Mark sounds as asked for now, by what name() gives: whoever remembers a sound asks for it only once."""
        for name in names:
            with suppress(FileNotFoundError, PermissionError):
                os.utime(self.root / f"{name}.wav")

    def remove_unused(self, older_than: timedelta) -> int:
        """Remove what was put together or spoken, and that nobody asked for since `older_than`; give its number.

        It would be made again. Uploads stay, for nobody could make those again; so do the default digits, and what
        another user made, for nobody could mark that as used.
        """
        kept = {self.spoken_path(digit, language) for language in DEFAULT_VOICES for digit in "0123456789"}
        before = time.time() - older_than.total_seconds()
        removed = 0
        for folder in (SPEECH, DIALOGUES):
            for path in (self.root / folder).glob("*.wav"):
                if path not in kept and _is_ours(path):
                    removed += _remove_if_older(path, before)
        for folder in (SPEECH, DIALOGUES, UPLOADS):
            for part in (self.root / folder).glob("*.part"):  # left by a process that died, or in the making
                _remove_if_older(part, time.time() - ABANDONED)
        return removed

    def _speech(
        self, text: str, language: str, voice: str | None, rate: int | None, pitch: int | None
    ) -> tuple[Path, dict[str, Any]]:
        """The sound's path, and how to speak it. What belongs to the defaults is no part of the name."""
        chosen = self.voice(voice or DEFAULT_VOICES.get(language, language))
        if chosen.language != language:
            raise SpeechError("unknown_voice", voice=chosen.name)
        rate = DEFAULT_RATE if rate is None else rate
        pitch = DEFAULT_PITCH if pitch is None or not chosen.has_pitch else pitch
        text = check_speech(text, chosen.name, rate, pitch, self._voices_folder)
        recipe: list[Any] = [RECIPE, language, chosen.name, rate, text]
        if pitch != DEFAULT_PITCH:
            recipe.append(pitch)
        if chosen.model is not None:
            recipe.append(_version(chosen.model))
        digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
        manner = {"text": text, "voice": chosen.name, "rate": rate, "pitch": pitch}
        return self.root / SPEECH / f"{digest}.wav", manner

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
        with suppress(PermissionError):  # another user's file: its age then counts from its making
            os.utime(path)
    except FileNotFoundError:  # be it that somebody deletes it in this instant
        return None
    except SoundError:
        log.warning("%s is damaged; making it anew", path)
        return None
    return clip


def _version(model: Path) -> list[int]:
    """What changes when another model is put in a model's place."""
    state = model.stat()
    return [state.st_size, state.st_mtime_ns]


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


def _is_ours(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_uid == os.geteuid()
    return False


def _remove_if_older(path: Path, before: float) -> bool:
    with suppress(FileNotFoundError):  # another process was first
        if path.stat().st_mtime < before:
            # Taken aside first, and looked at again: whoever finds a sound marks it as used, or sees that it is gone.
            aside = path.with_suffix(".part")
            path.rename(aside)
            if aside.stat().st_mtime < before:
                aside.unlink()
                return True
            aside.rename(path)
    return False
