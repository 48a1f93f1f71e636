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
LONGEST = 4.0  # seconds
SHORTEST = 0.4  # seconds of a converted name, with 0.1 s of silence at each end; a click is shorter
MAX_BYTES = 256 * 1024  # of a recording; 4 s have 64 KB


class SpokenNames:
    """The folder below `root`. Its methods block."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def convert(self, recording: BinaryIO) -> str:
        """Convert an untrusted recording and return the new file.

        Raises SoundError, `silence_only` also if the name is too short, and OSError if nothing can be written.
        """
        self._create()
        file = f"{FOLDER}/{uuid.uuid4().hex}.wav"
        with tempfile.TemporaryDirectory(prefix="name-") as folder:
            copy = Path(folder) / "name.wav"
            with copy.open("wb") as target:
                target.write(recording.read(MAX_BYTES + 1))
            clip = convert(copy, out=self.path(file), max_seconds=LONGEST + 1, max_bytes=MAX_BYTES)
        if clip.seconds < SHORTEST:
            self.remove(file)
            raise SoundError("silence_only")
        return file

    def path(self, file: str) -> Path:
        """Return the path of a file. Raises FileNotFoundError if it has not the name of one."""
        if not FILE_PATTERN.fullmatch(file):
            raise FileNotFoundError(file)
        return self._root / file

    def remove(self, file: str) -> None:
        """Remove a file, if it exists. Raises OSError."""
        self.path(file).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> list[str]:
        """Return the files that were written so long ago, and remove those whose writing was broken off."""
        files = []
        with suppress(FileNotFoundError):  # there is no folder, or somebody else has removed a file
            for path in (self._root / FOLDER).iterdir():
                if path.lstat().st_mtime > time.time() - seconds:
                    continue
                if FILE_PATTERN.fullmatch(file := f"{FOLDER}/{path.name}"):
                    files.append(file)
                elif path.suffix == ".part":
                    path.unlink(missing_ok=True)
        return files

    def _create(self) -> None:
        folder = self._root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
