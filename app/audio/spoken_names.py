"""The folder of spoken names: what callers have said after they registered, each in a file of its own."""

import re
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from app.audio.clip import SoundError
from app.audio.convert import convert

FOLDER, FOLDER_MODE = "names", 0o711  # Asterisk reads the files; nobody who does not know their names can list them
FILE_PATTERN = re.compile(rf"{FOLDER}/[0-9a-f]{{32}}\.wav")  # below PROMPTS_DIR
_NOTE = re.compile(r"[0-9a-f]{32}\.[0-9]+")  # beside a file: whose name it is
LONGEST = 4.0  # seconds
SHORTEST = 0.4  # seconds of a converted name, with 0.1 s of silence at each end; a click is shorter
MAX_BYTES = 256 * 1024  # of a recording; 4 s have 64 KB


def make_folder(root: Path) -> None:
    """Create the folder below `root`, which Asterisk can enter. Raises OSError."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)


class SpokenNames:
    """The folder below `root`. Its methods block."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def convert(self, recording: BinaryIO, request: int) -> str:
        """Convert an untrusted recording and return the new file. It is noted beside it whose name it is, see `settle`.

        Raises SoundError, `silence_only` also if the name is too short, and OSError if nothing can be written.
        """
        make_folder(self._root)
        file = f"{FOLDER}/{uuid.uuid4().hex}.wav"
        self._note(file, request).touch(mode=0o600)
        try:
            self._convert(recording, file)
        except BaseException:
            self.settle(file, request)
            raise
        return file

    def _convert(self, recording: BinaryIO, file: str) -> None:
        with tempfile.TemporaryDirectory(prefix="name-") as folder:
            copy = Path(folder) / "name.wav"
            with copy.open("wb") as target:
                target.write(recording.read(MAX_BYTES + 1))
            clip = convert(copy, out=self.path(file), max_seconds=LONGEST + 1, max_bytes=MAX_BYTES)
        if clip.seconds < SHORTEST:
            self.remove(file)
            raise SoundError("silence_only")

    def settle(self, file: str, request: int) -> None:
        """Remove the note of `convert`, since the name is stored or given up. Raises OSError."""
        self._note(file, request).unlink(missing_ok=True)

    def unsettled(self) -> list[tuple[str, int]]:
        """Return the files that nobody has stored or given up, with their requests, the oldest first."""
        notes = [note for note in self._notes() if note.with_suffix(".wav").exists()]
        notes.sort(key=lambda note: note.stat().st_mtime)
        return [(f"{FOLDER}/{note.stem}.wav", int(note.suffix.removeprefix("."))) for note in notes]

    def _note(self, file: str, request: int) -> Path:
        return self.path(file).with_suffix(f".{request}")

    def _notes(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return [path for path in (self._root / FOLDER).iterdir() if _NOTE.fullmatch(path.name)]
        return []

    def path(self, file: str) -> Path:
        """Return the path of a file. Raises FileNotFoundError if it has not the name of one."""
        if not FILE_PATTERN.fullmatch(file):
            raise FileNotFoundError(file)
        return self._root / file

    def remove(self, file: str) -> None:
        """Remove a file, if it exists. Raises OSError."""
        self.path(file).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> list[str]:
        """Return the settled files that were written so long ago, and remove those whose writing was broken off."""
        files = []
        notes = set(self._notes())
        waiting = {note.stem for note in notes}
        with suppress(FileNotFoundError):  # there is no folder, or somebody else has removed a file
            for path in (self._root / FOLDER).iterdir():
                if path.lstat().st_mtime > time.time() - seconds:
                    continue
                is_name = FILE_PATTERN.fullmatch(file := f"{FOLDER}/{path.name}") is not None
                if is_name and path.stem not in waiting:
                    files.append(file)
                elif path.suffix == ".part" or (path in notes and not path.with_suffix(".wav").exists()):
                    path.unlink(missing_ok=True)
        return files
