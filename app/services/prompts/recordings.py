"""Recordings: the office's own sounds. Several prompts and digits may use one; only an unused one can be deleted."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import IO, Any, BinaryIO, cast

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.clip import Clip, SoundError, read_clip
from app.audio.library import SoundLibrary
from app.domain.text import displayable, is_displayable, search_key
from app.services import sounds
from app.services.audit import record
from app.services.errors import Invalid, NotFound
from app.services.sounds import RECORDING
from app.store.database import Database
from app.store.models import DigitRecording, Module, Prompt, PromptRecording, Recording

log = logging.getLogger(__name__)
MAX_NAME_LENGTH = 80
MAX_TRIES = 3
PAGE_SIZE = 50
ADOPT_SECONDS = 2.0  # for which a page waits
# A row that is read with this lock can be used by other rows, but not be deleted, until the transaction ends.
_SHARED_LOCK: dict[str, Any] = {"read": True, "key_share": True}


class Origin(StrEnum):
    """How a recording was made."""

    UPLOAD = "upload"
    BROWSER = "browser"
    PHONE = "phone"


class RecordingSort(StrEnum):
    NAME = "name"
    LENGTH = "length"
    LOUDNESS = "loudness"
    NEWEST = "newest"


_SORT_KEYS: Mapping[RecordingSort, Callable[[Recording], Any]] = {
    RecordingSort.NAME: lambda row: (row.name.casefold(), row.file),
    RecordingSort.LENGTH: lambda row: row.seconds or 0.0,
    RecordingSort.LOUDNESS: lambda row: -200.0 if row.loudness is None else row.loudness,
    RecordingSort.NEWEST: lambda row: row.created_at,
}


@dataclass(frozen=True)
class Use:
    """A use of a recording: as the prompt `key` of `module`, or as the digit or default text `key` of `language`."""

    key: str
    module: str = ""
    module_id: int | None = None
    language: str = ""


@dataclass(frozen=True)
class RecordingPage:
    """A page of the list of recordings. `library_is_empty`: there is no recording at all, found or not."""

    rows: list[Recording]
    has_more: bool
    library_is_empty: bool


# -- add ------------------------------------------------------------------------------------------------------------


def store_upload(
    database: Database,
    library: SoundLibrary,
    stream: IO[bytes],
    name: str,
    origin: Origin,
    now: datetime,
    actor: str = "",
    *,
    original_name: str = "",
) -> Recording:
    """Convert an untrusted file and store it as a recording. Raises SoundError, and OSError if nothing can be written.

    `stream`: seekable and open for reading bytes; `original_name`: the file's name, if `name` is another one. The same
    sound is stored once and keeps its first name.
    """
    file_name = original_name or name
    for _ in range(MAX_TRIES):
        clip = library.convert(cast(BinaryIO, stream), file_name)
        try:
            file = add(database, library, clip, name=name, origin=origin, now=now, original_name=file_name, actor=actor)
        except FileNotFoundError:  # someone deleted the same sound at this moment
            stream.seek(0)
            continue
        row = load(database, file)
        if row is not None:
            return row
        stream.seek(0)
    raise SoundError("lost")


def add(
    database: Database,
    library: SoundLibrary,
    clip: Clip,
    *,
    name: str,
    origin: Origin,
    now: datetime,
    original_name: str = "",
    actor: str = "",
) -> str:
    """Store a clip of the library as a recording and return its `file`. The same sound keeps its first name.

    Raises FileNotFoundError if the clip was deleted meanwhile.
    """
    with database.write() as session:
        return store_recording(
            session, library, clip, name=name, origin=origin, now=now, original_name=original_name, actor=actor
        )


def store_recording(
    session: Session,
    library: SoundLibrary,
    clip: Clip,
    *,
    name: str,
    origin: Origin,
    now: datetime,
    original_name: str = "",
    actor: str = "",
) -> str:
    """Do what `add` does within a transaction."""
    file = clip.path.relative_to(library.root).as_posix()
    row = lock_recording(session, file)
    if row is None:
        row = _insert(session, file, name or original_name, original_name, origin, now, actor)
    row.seconds, row.loudness = clip.seconds, clip.loudness_dbfs
    session.flush()
    clip.path.stat()  # an earlier deletion has removed the file by now, a later one will see the row
    sounds.keep(session, library.root, file)
    return file


def list_prompt_files(session: Session, language: str) -> dict[str, str]:
    """Return the recordings of a language's default texts by the key of their prompt."""
    rows = session.scalars(select(PromptRecording).where(PromptRecording.language == language))
    return {row.key: row.file for row in rows}


def ensure_recording(session: Session, file: str, original_name: str, now: datetime) -> str:
    """Add a row for a file that has none, such as one named by an imported settings file; return `file`."""
    if lock_recording(session, file) is None:
        _insert(session, file, original_name, original_name, Origin.UPLOAD, now)
    return file


def lock_recording(session: Session, file: str) -> Recording | None:
    """Return the row of a recording, and prevent its deletion until the transaction ends."""
    return session.get(Recording, file, with_for_update=_SHARED_LOCK)


def _insert(
    session: Session, file: str, name: str, original_name: str, origin: Origin, now: datetime, actor: str = ""
) -> Recording:
    name = displayable(name, MAX_NAME_LENGTH).strip() or "?"
    row = Recording(file=file, name=name, origin=origin.value, created_at=now, created_by=actor)
    row.original_name = displayable(original_name, 200)
    return row if try_insert(session, row) else session.get_one(Recording, file, with_for_update=_SHARED_LOCK)


def try_insert(session: Session, row: Recording | DigitRecording | PromptRecording) -> bool:
    """Insert a row. Return False if someone else has inserted it at this moment."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


# -- read -----------------------------------------------------------------------------------------------------------


def read_recording(library: SoundLibrary, file: str) -> Clip:
    """Return a recording's clip. Raises OSError if it is missing or no file of a recording, SoundError if damaged.

    On PostgreSQL it raises SQLAlchemyError, too: the sound may have to come from the database.
    """
    if not RECORDING.fullmatch(file):
        raise FileNotFoundError(file)
    return read_clip(library.upload(file))


def has_file(library: SoundLibrary, file: str) -> bool:
    """Return whether a recording's file exists. It is fetched from the database if need be."""
    if not RECORDING.fullmatch(file):
        return False
    try:
        return (library.root / file).is_file() or library.upload(file).is_file()
    except OSError as error:  # the disk is full, for example
        log.error("cannot fetch the recording %s: %s", file, error)
        return False


def load(database: Database, file: str) -> Recording | None:
    """Return the row of a recording, None if there is none."""
    with database.read() as session:
        return session.get(Recording, file)


def list_recordings(
    database: Database,
    library: SoundLibrary,
    *,
    search: str = "",
    sort: RecordingSort = RecordingSort.NAME,
    page: int = 1,
) -> RecordingPage:
    """Return a page of the recordings whose names contain `search`. Measure those that have no measures yet.

    Sounds that only this machine has get into the database.
    """
    sounds.adopt(database, library.root, seconds=ADOPT_SECONDS)
    with database.read() as session:
        rows = list(session.scalars(select(Recording).order_by(Recording.name, Recording.file)))
    _measure(database, library, [row for row in rows if row.seconds is None or row.loudness is None])
    wanted = search_key(search)
    found = [row for row in rows if wanted in search_key(row.name) or wanted in search_key(row.original_name)]
    found.sort(key=_SORT_KEYS[sort], reverse=sort is RecordingSort.NEWEST)
    end = page * PAGE_SIZE
    return RecordingPage(found[end - PAGE_SIZE : end], has_more=len(found) > end, library_is_empty=not rows)


def _measure(database: Database, library: SoundLibrary, rows: list[Recording]) -> None:
    clips: dict[str, Clip] = {}
    for row in rows:
        try:
            clip = clips[row.file] = read_recording(library, row.file)
        except (SoundError, OSError) as error:
            log.warning("cannot measure the recording %s: %s", row.file, error)
            continue
        row.seconds, row.loudness = clip.seconds, clip.loudness_dbfs
    if not clips:
        return
    with database.write() as session:
        for file, clip in clips.items():
            stored = lock_recording(session, file)
            if stored is not None:
                stored.seconds, stored.loudness = clip.seconds, clip.loudness_dbfs


def list_uses(database: Database, file: str | None = None) -> dict[str, list[Use]]:
    """Return the uses of each recording, or of one, by file. A recording that is not used is left out."""
    with database.read() as session:
        return _find_uses(session, file)


def _find_uses(session: Session, file: str | None) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {}
    prompts = select(Prompt, Module).join(Module).where(Prompt.file.is_not(None)).order_by(Module.code, Prompt.key)
    digits = select(DigitRecording).order_by(DigitRecording.language, DigitRecording.digit)
    texts = select(PromptRecording).order_by(PromptRecording.language, PromptRecording.key)
    if file is not None:
        prompts, digits = prompts.where(Prompt.file == file), digits.where(DigitRecording.file == file)
        texts = texts.where(PromptRecording.file == file)
    for prompt, module in session.execute(prompts):
        found.setdefault(prompt.file or "", []).append(Use(prompt.key, module.name, module.id))
    for digit in session.scalars(digits):
        found.setdefault(digit.file, []).append(Use(digit.digit, language=digit.language))
    for text in session.scalars(texts):
        found.setdefault(text.file, []).append(Use(text.key, language=text.language))
    return found


# -- change ---------------------------------------------------------------------------------------------------------


def validate_name(name: str) -> str:
    """Return the error code of a recording's name, "" if it is valid."""
    if not name or len(name) > MAX_NAME_LENGTH:
        return "too_long" if name else "required"
    return "" if is_displayable(name) else "characters"


def rename(database: Database, file: str, name: str, *, actor: str = "", now: datetime) -> None:
    """Give a recording another name. Raises Invalid and NotFound."""
    name = name.strip()
    if error := validate_name(name):
        raise Invalid({"name": error})
    with database.write() as session:
        row = session.get(Recording, file, with_for_update=True)
        if row is None:
            raise NotFound(file)
        if row.name != name:
            record(session, actor, "recording_renamed", name, {"name": [row.name, name]}, now)
        row.name = name


def delete(database: Database, library: SoundLibrary, file: str, *, actor: str = "", now: datetime) -> None:
    """Delete a recording with its file. Raises NotFound, and Invalid `in_use` if a prompt or digit uses it.

    Raises OSError, and deletes nothing, if the file cannot be removed.
    """
    try:
        with database.write() as session:
            row = session.get(Recording, file, with_for_update=True)
            if row is None:
                raise NotFound(file)
            if _find_uses(session, file):
                raise Invalid({"file": "in_use"})
            record(session, actor, "recording_deleted", row.name, {"file": [file, ""]}, now)
            session.delete(row)
            session.flush()
            if RECORDING.fullmatch(file):
                # Before the commit: an upload of the same sound waits for it and then sees that the file is gone.
                (library.root / file).unlink(missing_ok=True)
    except IntegrityError as error:  # a use that list_uses() does not know
        raise Invalid({"file": "in_use"}) from error
