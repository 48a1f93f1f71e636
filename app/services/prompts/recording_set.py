"""The recordings of a language as one zip file: its default texts and its digits, read by a speaker in a studio.

They are played in all modules of the language whose prompts have no text or sound of their own. Texts with the name of
the office or a key of the module are not part of the set: they are recorded in the module.
"""

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO

from sqlalchemy.orm import Session

from app.audio.child_process import run_child
from app.audio.clip import Clip, SoundError
from app.audio.convert import MAX_BYTES
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import FIXED_KEYS, KEY, LANGUAGES, NAME, PROMPT_KEYS, announced_keys, default_text
from app.services import commands
from app.services.audit import AuditAction, record
from app.services.errors import NotFound
from app.services.prompts.digits import list_digit_files
from app.services.prompts.recordings import (
    Origin,
    list_prompt_files,
    read_recording,
    store_recording,
    try_insert,
)
from app.services.prompts.sounds import DIGITS
from app.store.database import Database
from app.store.models import DigitRecording, PromptRecording

MOST_FILES = 200
LARGEST_ZIP = 24_000_000  # bytes; a body may have a little more
MOST_BYTES_IN_ALL = 200 * 1024 * 1024
UNPACK_SECONDS = 60.0
TEXTS_FILE = "texts.txt"  # in the zip file, for the speaker


@dataclass(frozen=True)
class SetPart:
    """A default text or a digit of the set. `file`: its recording, "" if the voice speaks it."""

    key: str
    text: str
    keys: tuple[str, ...]
    file: str


@dataclass(frozen=True)
class FileFault:
    """Why a file of a zip is refused. `name` is "" for the zip itself. `code` may be that of a SoundError."""

    name: str
    code: str


class BadSet(ValueError):
    """The zip file cannot be imported. Nothing was stored."""

    def __init__(self, faults: list[FileFault]) -> None:
        super().__init__("; ".join(f"{fault.name}: {fault.code}" for fault in faults))
        self.faults = faults


def set_keys(language: str) -> tuple[str, ...]:
    """Return the keys of the texts that belong to the set of a language."""
    texts = {key: default_text(key, language) for key in PROMPT_KEYS + FIXED_KEYS}
    return tuple(key for key, text in texts.items() if text and NAME not in text and KEY not in text)


def list_parts(database: Database, language: str) -> list[SetPart]:
    """Return the set of a language. Raises NotFound."""
    if language not in LANGUAGES:
        raise NotFound(language)
    with database.read() as session:
        prompts, digits = list_prompt_files(session, language), list_digit_files(session, language)
    texts = {key: default_text(key, language) for key in set_keys(language)}
    return [
        *(SetPart(key, text, announced_keys(key), prompts.get(key, "")) for key, text in texts.items()),
        *(SetPart(digit, digit, (), digits.get(digit, "")) for digit in DIGITS),
    ]


def export_set(database: Database, library: SoundLibrary, language: str, file: IO[bytes]) -> None:
    """Write a zip file with the recordings of a language and the list of its texts. Raises NotFound.

    A recording whose file is lost is left out.
    """
    parts = list_parts(database, language)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(TEXTS_FILE, "".join(f"{part.key}.wav: {part.text}\n" for part in parts))
        for part in parts:
            if clip := _find_clip(library, part.file):
                archive.write(clip.path, f"{part.key}.wav")


def _find_clip(library: SoundLibrary, file: str) -> Clip | None:
    try:
        return read_recording(library, file) if file else None
    except (SoundError, OSError):
        return None


def import_set(
    database: Database, library: SoundLibrary, upload: IO[bytes], language: str, now: datetime, *, actor: str = ""
) -> int:
    """Store the sounds of a zip file for the texts and digits of a language; return how many there are.

    Those that the file does not name stay as they are. Raises BadSet, NotFound, and OSError if nothing can be written.
    """
    if language not in LANGUAGES:
        raise NotFound(language)
    with tempfile.TemporaryDirectory(prefix="set-") as folder:
        # Sounds get into the office's own library only if all of them are good.
        scratch = SoundLibrary(Path(folder) / "library")
        converted = _convert(*_unpack(upload, Path(folder), language), scratch)
        clips = {key: (name, library.adopt(clip)) for key, (name, clip) in converted.items()}
    with database.write() as session:
        before = len(list_prompt_files(session, language)) + len(list_digit_files(session, language))
        for key, (name, clip) in clips.items():
            names = {"name": f"{key} ({language})", "original_name": name, "actor": actor}
            file = store_recording(session, library, clip, origin=Origin.UPLOAD, now=now, **names)
            _use(session, language, key, file)
        _record_change(session, language, before, now, actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)
    return len(clips)


def remove_from_set(database: Database, language: str, key: str, now: datetime, *, actor: str = "") -> None:
    """Let the voice speak a text or a digit again. Raises NotFound. The recording stays in the library."""
    if language not in LANGUAGES or key not in (*set_keys(language), *DIGITS):
        raise NotFound(key)
    with database.write() as session:
        before = len(list_prompt_files(session, language)) + len(list_digit_files(session, language))
        row = _find_row(session, language, key)
        if row is not None:
            session.delete(row)
            session.flush()
        _record_change(session, language, before, now, actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def _unpack(upload: IO[bytes], folder: Path, language: str) -> tuple[list[tuple[str, str, Path]], list[FileFault]]:
    """Return the name, the key and the unpacked file of each sound, and what is wrong with others. Raises BadSet."""
    source, target = folder / "set.zip", folder / "files"
    target.mkdir()
    with source.open("wb") as copy:
        while block := upload.read(1 << 20):
            copy.write(block)
    request = {
        "source": str(source),
        "folder": str(target),
        "wanted": [*set_keys(language), *DIGITS],
        "ignored": [TEXTS_FILE],
        "most_files": MOST_FILES,
        "most_bytes": MAX_BYTES,
        "most_bytes_in_all": MOST_BYTES_IN_ALL,
    }
    try:
        reply = run_child("unzip_child.py", request, timeout=UNPACK_SECONDS, file_bytes=MAX_BYTES + 1)
    except SoundError as error:
        raise BadSet([FileFault("", "busy" if error.code == "busy" else "no_zip")]) from error
    if "fault" in reply:
        raise BadSet([FileFault("", reply["fault"])])
    faults = [FileFault(name, code) for name, code in reply["faults"]]
    if not reply["files"] and not faults:
        raise BadSet([FileFault("", "no_files")])
    return [(name, key, Path(path)) for name, key, path in reply["files"]], faults


def _convert(
    files: list[tuple[str, str, Path]], faults: list[FileFault], library: SoundLibrary
) -> Mapping[str, tuple[str, Clip]]:
    """Return the name and the clip of each sound by its key. Raises BadSet with `faults` and all further ones."""
    clips: dict[str, tuple[str, Clip]] = {}
    faults = [*faults]
    for name, key, path in files:
        file_name = PurePosixPath(name).name
        try:
            with path.open("rb") as stream:
                clips[key] = (file_name, library.convert(stream, file_name))
        except SoundError as error:
            faults.append(FileFault(name, error.code))
    if faults:
        raise BadSet(faults)
    return clips


def _find_row(session: Session, language: str, key: str) -> DigitRecording | PromptRecording | None:
    if key in DIGITS:
        return session.get(DigitRecording, (language, key), with_for_update=True)
    return session.get(PromptRecording, (language, key), with_for_update=True)


def _use(session: Session, language: str, key: str, file: str) -> None:
    """Let a recording play a text or a digit."""
    row = _find_row(session, language, key)
    if row is None:
        new = (
            DigitRecording(language=language, digit=key, file=file)
            if key in DIGITS
            else PromptRecording(language=language, key=key, file=file)
        )
        row = new if try_insert(session, new) else _find_row(session, language, key)
    assert row is not None, "the row was inserted by somebody else"
    row.file = file


def _record_change(session: Session, language: str, before: int, now: datetime, actor: str) -> None:
    session.flush()
    after = len(list_prompt_files(session, language)) + len(list_digit_files(session, language))
    record(session, actor, AuditAction.RECORDING_SET_CHANGED, language, {"recorded": [before, after]}, now)
