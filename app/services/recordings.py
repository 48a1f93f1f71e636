"""The office's own sounds: one recording may serve several prompts and digits, and is kept as long as one uses it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio.cache import SoundLibrary
from app.audio.clip import Clip
from app.domain.names import is_showable, showable
from app.services import log
from app.services.errors import Invalid, NotFound
from app.store.database import Database
from app.store.models import DigitRecording, Module, Prompt, Recording

ORIGINS = ("upload", "browser", "phone")
LONGEST_NAME = 80


@dataclass(frozen=True)
class Use:
    """What plays a recording: prompt `key` of `module`, or the digit `key` of `language`."""

    key: str
    module: str = ""
    module_id: int | None = None
    language: str = ""


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
    """Note a finished sound of the library, and return its `file`. The same sound keeps the name that it has."""
    file = clip.path.relative_to(library.root).as_posix()
    with database.write() as session:
        row = session.get(Recording, file)
        if row is None:
            row = Recording(file=file, name=_name(name or original_name), origin=origin, created_at=now)
            row.original_name, row.created_by = showable(original_name, 200), actor
            session.add(row)
        row.seconds, row.loudness = clip.seconds, clip.loudness_dbfs
    return file


def keep(session: Session, file: str, original_name: str, now: datetime) -> str:
    """Have a row for a file that came otherwise, such as with an imported settings file; return `file`."""
    if session.get(Recording, file) is None:
        session.add(
            Recording(
                file=file,
                name=_name(original_name),
                original_name=showable(original_name, 200),
                origin="upload",
                created_at=now,
            )
        )
        session.flush()
    return file


def _name(wanted: str) -> str:
    return showable(wanted, LONGEST_NAME).strip() or "?"


def rename(database: Database, file: str, name: str, *, actor: str = "", now: datetime | None = None) -> None:
    """Give a recording another name. Raises Invalid and NotFound."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME:
        raise Invalid({"name": "too_long" if name else "required"})
    if not is_showable(name):
        raise Invalid({"name": "characters"})
    with database.write() as session:
        row = session.get(Recording, file)
        if row is None:
            raise NotFound(file)
        if row.name != name:
            log.note(session, actor, "recording_renamed", name, {"name": [row.name, name]}, now or datetime.now(UTC))
        row.name = name


def uses(session: Session, file: str | None = None) -> dict[str, list[Use]]:
    """Return what plays each recording, or the one named; one that nothing plays is not among them."""
    found: dict[str, list[Use]] = {}
    prompts = select(Prompt, Module).join(Module).where(Prompt.file.is_not(None)).order_by(Module.code, Prompt.key)
    digits = select(DigitRecording).order_by(DigitRecording.language, DigitRecording.digit)
    if file is not None:
        prompts, digits = prompts.where(Prompt.file == file), digits.where(DigitRecording.file == file)
    for prompt, module in session.execute(prompts):
        found.setdefault(prompt.file or "", []).append(Use(prompt.key, module.name, module.id))
    for digit in session.scalars(digits):
        found.setdefault(digit.file, []).append(Use(digit.digit, language=digit.language))
    return found


def delete(
    database: Database, library: SoundLibrary, file: str, *, actor: str = "", now: datetime | None = None
) -> None:
    """Delete a recording with its file. Raises NotFound, and Invalid `in_use` where something plays it."""
    try:
        with database.write() as session:
            row = session.get(Recording, file)
            if row is None:
                raise NotFound(file)
            if uses(session, file):
                raise Invalid({"file": "in_use"})
            log.note(session, actor, "recording_deleted", row.name, {"file": [file, ""]}, now or datetime.now(UTC))
            session.delete(row)
    except IntegrityError as error:  # somebody chose it in this instant
        raise Invalid({"file": "in_use"}) from error
    (library.root / file).unlink(missing_ok=True)


def digits(session: Session, language: str) -> dict[str, str]:
    """Return the digits of a language that are recordings, with their files."""
    rows = session.scalars(select(DigitRecording).where(DigitRecording.language == language))
    return {row.digit: row.file for row in rows}


def set_digit(
    database: Database, language: str, digit: str, file: str | None, *, actor: str = "", now: datetime | None = None
) -> None:
    """Have a digit read out by a recording, or by the voice again (None). Raises NotFound."""
    with database.write() as session:
        if file is not None and session.get(Recording, file) is None:
            raise NotFound(file)
        row = session.get(DigitRecording, (language, digit))
        old, new = row.file if row is not None else "", file or ""
        if old != new:
            log.note(
                session, actor, "digit_changed", f"{language} {digit}", {"file": [old, new]}, now or datetime.now(UTC)
            )
        if file is None:
            if row is not None:
                session.delete(row)
        elif row is None:
            session.add(DigitRecording(language=language, digit=digit, file=file))
        else:
            row.file = file
