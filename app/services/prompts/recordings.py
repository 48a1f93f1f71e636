"""The office's own sounds: one recording may serve several prompts and digits, and is kept as long as one uses it."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, BinaryIO, cast

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.clip import Clip, SoundError, read_clip
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES
from app.domain.text import displayable, is_displayable
from app.services import commands
from app.services.audit import record
from app.services.errors import Invalid, NotFound
from app.store.database import Database
from app.store.models import DigitRecording, Module, Prompt, Recording

log = logging.getLogger(__name__)
FILE_PATTERN = re.compile(r"uploads/[0-9a-f]{64}\.wav")  # below PROMPTS_DIR; the only names that are ever given
ORIGINS = ("upload", "browser", "phone")
MAX_NAME_LENGTH = 80
MAX_TRIES = 3
# Whoever chooses a recording holds it so until the choice is stored: on PostgreSQL a deletion waits for that.
_HOLD: dict[str, Any] = {"read": True, "key_share": True}


@dataclass(frozen=True)
class Use:
    """What plays a recording: prompt `key` of `module`, or the digit `key` of `language`."""

    key: str
    module: str = ""
    module_id: int | None = None
    language: str = ""


def store_upload(
    database: Database,
    library: SoundLibrary,
    stream: IO[bytes],
    name: str,
    origin: str,
    now: datetime,
    actor: str = "",
    *,
    original_name: str = "",
) -> Recording:
    """Convert a stranger's file and keep it. Raises SoundError and, where nothing can be written, OSError.

    `stream`: open for reading bytes, and to be read anew; `original_name`: the file's, where `name` is one that was
    chosen for it. The same sound is kept once, under the name that it has.
    """
    file_name = original_name or name
    for _ in range(MAX_TRIES):
        clip = library.convert(cast(BinaryIO, stream), file_name)
        try:
            file = add(database, library, clip, name=name, origin=origin, now=now, original_name=file_name, actor=actor)
        except FileNotFoundError:  # somebody deleted the same sound in this instant
            stream.seek(0)
            continue
        with database.read() as session:
            row = session.get(Recording, file)
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
    origin: str,
    now: datetime,
    original_name: str = "",
    actor: str = "",
) -> str:
    """Note a finished sound of the library, and return its `file`. The same sound keeps the name that it has.

    Raises FileNotFoundError for one that has been deleted meanwhile.
    """
    file = clip.path.relative_to(library.root).as_posix()
    with database.write() as session:
        row = _held(session, file) or _noted(session, file, name or original_name, original_name, origin, now, actor)
        row.seconds, row.loudness = clip.seconds, clip.loudness_dbfs
        session.flush()
        clip.path.stat()  # a deletion that came before us has removed it by now, one that comes later will see the row
    return file


def attach(session: Session, file: str, original_name: str, now: datetime) -> str:
    """Have a row for a file that came otherwise, such as with an imported settings file; return `file`."""
    if _held(session, file) is None:
        _noted(session, file, original_name, original_name, "upload", now)
    return file


def _held(session: Session, file: str) -> Recording | None:
    return session.get(Recording, file, with_for_update=_HOLD)


def _noted(
    session: Session, file: str, name: str, original_name: str, origin: str, now: datetime, actor: str = ""
) -> Recording:
    row = Recording(file=file, name=_name(name), origin=origin, created_at=now, created_by=actor)
    row.original_name = displayable(original_name, 200)
    return row if _is_new(session, row) else session.get_one(Recording, file, with_for_update=_HOLD)


def _is_new(session: Session, row: Recording | DigitRecording) -> bool:
    """Put a row in, unless somebody else did so in this instant; tell whether it is ours."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def read_recording(library: SoundLibrary, file: str) -> Clip:
    """Return a recording's sound. Raises OSError for one that is lost or has a strange name, SoundError if damaged."""
    if not FILE_PATTERN.fullmatch(file):
        raise FileNotFoundError(file)
    return read_clip(library.root / file)


def has_file(library: SoundLibrary, file: str) -> bool:
    """Tell whether a recording's file is there."""
    return FILE_PATTERN.fullmatch(file) is not None and (library.root / file).is_file()


def list_recordings(database: Database, library: SoundLibrary) -> list[Recording]:
    """Return all recordings by name. One that was never measured is now; what cannot be read stays without measures."""
    with database.read() as session:
        rows = list(session.scalars(select(Recording).order_by(Recording.name, Recording.file)))
    found: dict[str, Clip] = {}
    for row in rows:
        if row.seconds is None or row.loudness is None:
            try:
                found[row.file] = read_recording(library, row.file)
            except (SoundError, OSError) as error:
                log.warning("the recording %s cannot be measured: %s", row.file, error)
    if found:
        _store_measures(database, found)
        for row in rows:
            if row.file in found:
                row.seconds, row.loudness = found[row.file].seconds, found[row.file].loudness_dbfs
    return rows


def _store_measures(database: Database, found: Mapping[str, Clip]) -> None:
    with database.write() as session:
        for file, clip in found.items():
            row = _held(session, file)
            if row is not None:
                row.seconds, row.loudness = clip.seconds, clip.loudness_dbfs


def _name(wanted: str) -> str:
    return displayable(wanted, MAX_NAME_LENGTH).strip() or "?"


def rename(database: Database, file: str, name: str, *, actor: str = "", now: datetime | None = None) -> None:
    """Give a recording another name. Raises Invalid and NotFound."""
    name = name.strip()
    if not name or len(name) > MAX_NAME_LENGTH:
        raise Invalid({"name": "too_long" if name else "required"})
    if not is_displayable(name):
        raise Invalid({"name": "characters"})
    with database.write() as session:
        row = session.get(Recording, file, with_for_update=True)
        if row is None:
            raise NotFound(file)
        if row.name != name:
            record(session, actor, "recording_renamed", name, {"name": [row.name, name]}, now or datetime.now(UTC))
        row.name = name


def list_uses(session: Session, file: str | None = None) -> dict[str, list[Use]]:
    """Return what plays each recording, or the one named; one that nothing plays is not among them."""
    found: dict[str, list[Use]] = {}
    prompts = select(Prompt, Module).join(Module).where(Prompt.file.is_not(None)).order_by(Module.code, Prompt.key)
    list_digits = select(DigitRecording).order_by(DigitRecording.language, DigitRecording.digit)
    if file is not None:
        prompts, list_digits = prompts.where(Prompt.file == file), list_digits.where(DigitRecording.file == file)
    for prompt, module in session.execute(prompts):
        found.setdefault(prompt.file or "", []).append(Use(prompt.key, module.name, module.id))
    for digit in session.scalars(list_digits):
        found.setdefault(digit.file, []).append(Use(digit.digit, language=digit.language))
    return found


def delete(
    database: Database, library: SoundLibrary, file: str, *, actor: str = "", now: datetime | None = None
) -> None:
    """Delete a recording with its file. Raises NotFound, and Invalid `in_use` where something plays it.

    Raises OSError, and deletes nothing, where the file cannot be removed.
    """
    try:
        with database.write() as session:
            row = session.get(Recording, file, with_for_update=True)
            if row is None:
                raise NotFound(file)
            if list_uses(session, file):
                raise Invalid({"file": "in_use"})
            record(session, actor, "recording_deleted", row.name, {"file": [file, ""]}, now or datetime.now(UTC))
            session.delete(row)
            session.flush()
            if FILE_PATTERN.fullmatch(file):
                # Before the commit: who brings the same sound again waits for that, and sees that the file is gone.
                (library.root / file).unlink(missing_ok=True)
    except IntegrityError as error:  # something else than prompts and digits plays it
        raise Invalid({"file": "in_use"}) from error


def list_digits(session: Session, language: str) -> dict[str, str]:
    """Return the digits of a language that are recordings, with their files."""
    rows = session.scalars(select(DigitRecording).where(DigitRecording.language == language))
    return {row.digit: row.file for row in rows}


def set_digit(
    database: Database, language: str, digit: str, file: str | None, now: datetime, *, actor: str = ""
) -> None:
    """Have a digit read out by a recording, or by the voice again (None). Raises NotFound.

    The telephone service is told, and reads numbers out anew.
    """
    if language not in LANGUAGES or digit not in tuple("0123456789"):
        raise NotFound(f"digit {digit} of {language}")
    with database.write() as session:
        if file is not None and _held(session, file) is None:
            raise NotFound(file)
        row = session.get(DigitRecording, (language, digit), with_for_update=True)
        old, new = row.file if row is not None else "", file or ""
        if old != new:
            record(session, actor, "digit_changed", f"{language} {digit}", {"file": [old, new]}, now)
        if file is None:
            if row is not None:
                session.delete(row)
        elif row is not None:
            row.file = file
        elif not _is_new(session, DigitRecording(language=language, digit=digit, file=file)):
            session.get_one(DigitRecording, (language, digit), with_for_update=True).file = file
    commands.ask(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)
