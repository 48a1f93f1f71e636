"""The folder of clips. Each clip is named by what it was made from, made once, and shared by all processes."""

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

from app.audio.assemble import Pause, Piece, assemble, identify_piece
from app.audio.clip import Clip, SoundError, SpeechError, read_clip
from app.audio.convert import MAX_BYTES, RAW_FORMATS, convert, write_atomically
from app.audio.speak import DEFAULT_PITCH, DEFAULT_RATE, speak, validate_speech
from app.audio.tone import write_tone
from app.audio.voices import DEFAULT_VOICES, Voice, find_voice, list_voices

log = logging.getLogger(__name__)

RECIPE_VERSION = 1  # increase it when the same text or file would sound different: it is part of every clip's name
PARTIAL_FILE_SECONDS = 3600.0  # no clip takes that long to make, so an older partial file is abandoned
DIALOGUE_SECONDS = 24 * 3600.0  # how long an unused dialogue is kept; it is quickly assembled again
GROUP_PAUSE_SECONDS = 0.2  # beside the silence at the ends of the clips
SPEECH, UPLOADS, DIALOGUES, LOCKS = "speech", "uploads", "dialogues", ".locks"
OFFERS, WHILE_DOWN = "offers", "while-down"  # what queues play, and what the dialplan plays while our service is down


class SoundLibrary:
    """Clips below `root`, in `speech/`, `uploads/` and `dialogues/`, named by a hash of 64 hex digits.

    `offers/` and `while-down/` have copies of clips under names that stay, since files of the PBX name them.

    `voices_folder`: the optional folder of piper models. `fetch` is called before an upload is used, with its path
    below `root`, and gets it if only another machine has it.

    Folders have mode 0755 and files 0644 whatever the umask is, since Asterisk reads them as another user. All methods
    are safe for any number of threads and processes: a file appears under its name only when it is complete. A method
    that makes a clip raises OSError, with the file's name, if the folder cannot be written.
    """

    def __init__(
        self, root: Path, voices_folder: Path | None = None, fetch: Callable[[str], None] = lambda _file: None
    ) -> None:
        self.root, self._voices_folder, self._fetch = root, voices_folder, fetch
        for folder in (root, *(root / name for name in (SPEECH, UPLOADS, DIALOGUES, OFFERS, WHILE_DOWN, LOCKS))):
            _make_folder(folder)

    def list_voices(self, language: str | None = None) -> tuple[Voice, ...]:
        """Return the available voices, each language's default first; only those of `language`, if given."""
        return list_voices(language, self._voices_folder)

    def find_voice(self, name: str) -> Voice:
        """Return the voice with this name. Raises SpeechError unknown_voice, voice_broken or piper_missing."""
        return find_voice(name, self._voices_folder)

    def synthesize(
        self, text: str, language: str, voice: str | None = None, rate: int | None = None, pitch: int | None = None
    ) -> Clip:
        """Return the spoken text. It is synthesized by the first call only.

        `voice`: a name from list_voices(language); `rate`: words per minute; `pitch`: 0 to 99. None or "" means the
        default. Raises SpeechError.
        """
        path, options = self._speech(text, language, voice, rate, pitch)
        return self._find_or_make(path, lambda: speak(**options, folder=self._voices_folder, out=path))

    def speech_path(
        self, text: str, language: str, voice: str | None = None, rate: int | None = None, pitch: int | None = None
    ) -> Path:
        """Return the path of the clip that synthesize() makes. Raises SpeechError if the text cannot be spoken."""
        return self._speech(text, language, voice, rate, pitch)[0]

    def assemble(self, pieces: Sequence[Piece]) -> Clip:
        """Return one clip of several pieces. Raises FileNotFoundError and SoundError.

        The clip is deleted when it was not requested for a day.
        """
        digest = hashlib.sha256(json.dumps([RECIPE_VERSION, *map(identify_piece, pieces)]).encode()).hexdigest()
        path = self.root / DIALOGUES / f"{digest}.wav"
        for dialogue in (self.root / DIALOGUES).iterdir():
            _remove_if_older(dialogue, time.time() - DIALOGUE_SECONDS)
        return self._find_or_make(path, lambda: assemble(pieces, path))

    def convert(self, source: Path | BinaryIO, original_name: str = "") -> Clip:
        """Return the clip of an untrusted file. The same content is converted once. Raises SoundError.

        `source`: a path or a stream open for reading bytes; `original_name`: only used to recognize raw formats.
        """
        name = original_name or (source.name if isinstance(source, Path) else "")
        with tempfile.TemporaryDirectory(prefix="upload-") as folder:
            copy = Path(folder) / "source"  # our own name: the original one could be read as a protocol
            digest = _copy_and_hash(source, copy, PurePath(name).suffix.lower())
            path = self.root / UPLOADS / f"{digest}.wav"
            return self._find_or_make(path, lambda: convert(copy, out=path, name=name))

    def upload(self, file: str) -> Path:
        """Return the path of an upload, which may not exist. `file`: below `root`. Raises what `fetch` raises."""
        self._fetch(file)
        return self.root / file

    def adopt(self, clip: Clip) -> Clip:
        """Return the clip of a converted file that another library has made, copied into this one."""
        path = self.root / UPLOADS / clip.path.name

        def copy() -> Clip:
            with write_atomically(path) as temporary:
                temporary.write_bytes(clip.path.read_bytes())
            return read_clip(path)

        return self._find_or_make(path, copy)

    def tone(self) -> Clip:
        """Return the tone after which the person on the phone starts to speak."""
        path = self.root / "tone.wav"
        return self._find_or_make(path, lambda: write_tone(path))

    def pause(self) -> Clip:
        """Return the short pause between the groups of a number."""
        path = self.root / "pause.wav"
        return self._find_or_make(path, lambda: assemble([Pause(GROUP_PAUSE_SECONDS)], path))

    def publish(self, folder: str, name: str, clip: Clip) -> None:
        """Copy a clip into `offers/` or `while-down/`. Asterisk plays the old copy or the new one. Raises OSError."""
        path, content = self.root / folder / f"{name}.wav", clip.path.read_bytes()
        if path.exists() and path.read_bytes() == content:
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as copy:
            copy.write(content)
            os.fchmod(copy.fileno(), 0o644)
        Path(copy.name).replace(path)

    def keep_published(self, folder: str, names: Iterable[str]) -> None:
        """Remove all copies from `offers/` or `while-down/` but these."""
        kept = {f"{name}.wav" for name in names}
        for path in (self.root / folder).iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def mark_used(self, names: Iterable[str]) -> None:
        """Mark clips as used now. `names`: their paths below `root`, without the extension.

        Call this for clips that are used without asking the library for them again.
        """
        for name in names:
            with suppress(FileNotFoundError, PermissionError):
                os.utime(self.root / f"{name}.wav")

    def remove_unused(self, age: timedelta) -> int:
        """Remove speech and dialogues that were not used for `age`, and abandoned partial files; return the number.

        Removed clips can be made again. Three kinds of clips stay: uploads, which cannot be made again; the digits in
        the default voices; and files of other users, which the worker cannot mark as used.
        """
        default_digits = {self.speech_path(digit, language) for language in DEFAULT_VOICES for digit in "0123456789"}
        before = time.time() - age.total_seconds()
        removed = 0
        for folder in (SPEECH, DIALOGUES):
            for path in (self.root / folder).glob("*.wav"):
                if path not in default_digits and _is_own_file(path):
                    removed += _remove_if_older(path, before)
        for folder in (SPEECH, DIALOGUES, UPLOADS):
            for part in (self.root / folder).glob("*.part"):  # a process died, or is still writing it
                _remove_if_older(part, time.time() - PARTIAL_FILE_SECONDS)
        return removed

    def _speech(
        self, text: str, language: str, voice: str | None, rate: int | None, pitch: int | None
    ) -> tuple[Path, dict[str, Any]]:
        """Return the clip's path and the arguments for speak(). The default pitch is not part of the name."""
        found = self.find_voice(voice or DEFAULT_VOICES.get(language, language))
        if found.language != language:
            raise SpeechError("unknown_voice", voice=found.name)
        rate = DEFAULT_RATE if rate is None else rate
        pitch = DEFAULT_PITCH if pitch is None or not found.has_pitch else pitch
        text = validate_speech(text, found.name, rate, pitch, self._voices_folder)
        recipe: list[Any] = [RECIPE_VERSION, language, found.name, rate, text]
        if pitch != DEFAULT_PITCH:
            recipe.append(pitch)
        if found.model is not None:
            recipe.append(_model_version(found.model))
        digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
        options = {"text": text, "voice": found.name, "rate": rate, "pitch": pitch}
        return self.root / SPEECH / f"{digest}.wav", options

    def _find_or_make(self, path: Path, make: Callable[[], Clip]) -> Clip:
        found = _find(path)
        if found is not None:
            return found
        with self._lock(path):
            return _find(path) or make()

    @contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        """Let one thread or process at a time make this clip. The lock is released if its process dies.

        All clips share 256 lock files, so that the number of files does not grow.
        """
        # Opening for reading is enough for a lock. The file may belong to another user, such as an administrator.
        lock = os.open(self.root / LOCKS / path.stem[:2], os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with suppress(PermissionError):
                os.fchmod(lock, 0o644)  # whatever the umask is
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _find(path: Path) -> Clip | None:
    """Return a clip and mark it as used now; None if it is missing or damaged (a full disk, a file copied by hand)."""
    try:
        clip = read_clip(path)
        with suppress(PermissionError):  # the file of another user: its age counts from when it was made
            os.utime(path)
    except FileNotFoundError:  # possibly deleted at this moment
        return None
    except SoundError:
        log.warning("%s is damaged and is made again", path)
        return None
    return clip


def _model_version(model: Path) -> list[int]:
    """Return values that change when the model file is replaced."""
    state = model.stat()
    return [state.st_size, state.st_mtime_ns]


def _copy_and_hash(source: Path | BinaryIO, copy: Path, suffix: str) -> str:
    """Copy the source and return a hash of its content and raw format. Raises SoundError too_large above MAX_BYTES."""
    digest = hashlib.sha256(f"{RECIPE_VERSION} {suffix if suffix in RAW_FORMATS else ''}\n".encode())
    size = 0
    with copy.open("wb") as target, _open_source(source) as stream:
        while block := stream.read(1 << 20):
            size += len(block)
            if size > MAX_BYTES:
                raise SoundError("too_large", limit=MAX_BYTES)
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


@contextmanager
def _open_source(source: Path | BinaryIO) -> Iterator[BinaryIO]:
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


def _is_own_file(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_uid == os.geteuid()
    return False


def _remove_if_older(path: Path, before: float) -> bool:
    with suppress(FileNotFoundError):  # another process removed it first
        if path.stat().st_mtime < before:
            # Rename the file and check its age again: a process that finds it meanwhile either marks it as used or
            # sees that it is missing.
            renamed = path.with_suffix(".part")
            path.rename(renamed)
            if renamed.stat().st_mtime < before:
                renamed.unlink()
                return True
            renamed.rename(path)
    return False
