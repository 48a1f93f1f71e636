"""The inbox: the folder in which Asterisk records, until a recording is converted into the library or dropped."""

import logging
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from app.audio.clip import SoundError, read_clip
from app.config import Settings
from app.domain.phone_calls import CallFailure
from app.services.prompts.phone_calls import INBOX, INBOX_MODE

log = logging.getLogger(__name__)
MIN_RECORDING_SECONDS = 0.3
MIN_PEAK_DBFS = -50.0  # a line on which nobody speaks is quieter


class RecordingInbox:
    """Files in the inbox are called by a UUID, without their extension.

    All methods but `new_name` and `asterisk_path` block. A file is in use from `new_name` to `remove`.
    """

    def __init__(self, settings: Settings) -> None:
        self._in_use: set[str] = set()
        self._folder = settings.prompts_path / INBOX
        self._asterisk_folder = f"{settings.asterisk_prompts_dir}/{INBOX}"

    def create(self) -> None:
        """Create the folder, with rights for Asterisk's user. Log an error if that is not possible."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(INBOX_MODE)
        except OSError as error:
            log.error("cannot create the folder for recordings by phone: %s", error)

    def new_name(self) -> str:
        """Return a name for a new file. Other users cannot list the folder, so they cannot find the file."""
        name = str(uuid.uuid4())
        self._in_use.add(name)
        return name

    def asterisk_path(self, name: str) -> str:
        """Return a file's path as Asterisk sees it, without the extension."""
        return f"{self._asterisk_folder}/{name}"

    def check(self, name: str) -> CallFailure | None:
        """Return what is wrong with a file that Asterisk has recorded, None if it is good."""
        try:
            clip = read_clip(self._path(name))
        except OSError as error:
            log.error("cannot read what the PBX recorded: %s", error)
            return CallFailure.CANNOT_WRITE
        except SoundError:
            return CallFailure.NOTHING_RECORDED
        if clip.seconds < MIN_RECORDING_SECONDS:
            return CallFailure.NOTHING_RECORDED
        return CallFailure.SILENCE_ONLY if clip.peak_dbfs < MIN_PEAK_DBFS else None

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading. A symbolic link, which any user could put there, is not followed. Raises OSError."""
        return os.fdopen(os.open(self._path(name), os.O_RDONLY | os.O_NOFOLLOW), "rb")

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        self._path(name).unlink(missing_ok=True)
        self._in_use.discard(name)

    def remove_old(self, age: float) -> None:
        """Remove the files that were not changed for `age` seconds, unless they are in use."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                if path.stem not in self._in_use and path.lstat().st_mtime <= time.time() - age:
                    path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.wav"
