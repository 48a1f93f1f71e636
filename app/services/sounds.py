"""The sounds that cannot be made again: the office's recordings, and the names that callers have said.

On PostgreSQL the database has them, since panel and workers may stand on different machines. A file below PROMPTS_DIR
is a copy then, which a machine gets when it needs it. SQLite is on one machine with all the rest, so the files are all
that there is: the database does not grow with the sounds, and nobody who writes waits for them.
"""

import hashlib
import logging
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, func, null, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audio import spoken_names
from app.audio.clip import SoundError, read_clip
from app.audio.convert import write_atomically
from app.audio.library import UPLOADS, SoundLibrary
from app.config import Settings
from app.store.database import Database
from app.store.models import Recording, SpokenName, StoredSound

log = logging.getLogger(__name__)
RECORDING = re.compile(rf"{UPLOADS}/[0-9a-f]{{64}}\.wav")  # below PROMPTS_DIR
NAME = spoken_names.FILE_PATTERN
# A file of a recording that was deleted on another machine stays so long: somebody may have copied it here by hand, to
# import settings that name it.
STRAY_SECONDS = 24 * 3600.0
_IS_DAMAGED = StoredSound.sha256 != func.encode(func.sha256(StoredSound.content), "hex")


def are_stored(bound: Session | Engine) -> bool:
    """Tell whether the database has the sounds."""
    bind = bound.get_bind() if isinstance(bound, Session) else bound
    return bind.dialect.name == "postgresql"


def is_sound(file: str) -> bool:
    """Tell whether a path below PROMPTS_DIR is that of a recording or of a spoken name."""
    return bool(RECORDING.fullmatch(file) or NAME.fullmatch(file))


def path_of(root: Path, file: str) -> Path:
    """Return the path of a sound's file. Raises FileNotFoundError if it has not the name of one."""
    if not is_sound(file):
        raise FileNotFoundError(file)
    return root / file


def open_library(settings: Settings, database: Database) -> SoundLibrary:
    """Return the library of an exchange. It has all recordings, whatever machine has made them."""
    stored = StoredSounds(database, settings.prompts_path)
    return SoundLibrary(settings.prompts_path, settings.voices_path, stored.fetch)


# -- into the database ------------------------------------------------------------------------------------------------


def keep(session: Session, root: Path, file: str, *, request_id: int | None = None) -> None:
    """Store the content of a new file, in this transaction. `request_id`: whose name it is, None: a recording.

    What is stored already stays, unless it is damaged. Raises FileNotFoundError and OSError.
    """
    if not are_stored(session):
        return
    content = path_of(root, file).read_bytes()
    values = {"sha256": hash_of(content), "content": content}
    owner = {"recording": file} if request_id is None else {"request_id": request_id}
    insert = postgresql.insert(StoredSound).values(file=file, **owner, **values)
    session.execute(insert.on_conflict_do_update(index_elements=["file"], set_=values, where=_IS_DAMAGED))


@dataclass(frozen=True)
class Lacking:
    """A sound that the database should have, and has not, or only damaged. `request_id`: of a spoken name."""

    file: str
    request_id: int | None


def find_lacking(session: Session, *, look_inside: bool = False) -> list[Lacking]:
    """Return what the database lacks, on PostgreSQL. `look_inside`: also recordings that are damaged in it.

    For this the server reads all recordings.
    """
    is_lacking = StoredSound.file.is_(None)
    joined = select(Recording.file, null()).outerjoin(StoredSound, StoredSound.recording == Recording.file)
    recordings = joined.where(or_(is_lacking, _IS_DAMAGED) if look_inside else is_lacking).order_by(Recording.file)
    of_names = select(SpokenName.file, SpokenName.request_id).outerjoin(
        StoredSound, StoredSound.request_id == SpokenName.request_id
    )
    names = of_names.where(is_lacking).order_by(SpokenName.request_id)
    return [Lacking(file, request_id) for query in (recordings, names) for file, request_id in session.execute(query)]


@dataclass(frozen=True)
class Adopted:
    """What `adopt` has done. `lost`: the files that neither the database nor this machine has.

    `is_more`: the time was too short for all.
    """

    lost: tuple[str, ...] = ()
    is_more: bool = False


def adopt(database: Database, root: Path, *, seconds: float = math.inf, look_inside: bool = False) -> Adopted:
    """Store the sounds that the database lacks, as far as this machine has the files, for so many seconds.

    So the files of an office that is older than the table get into it, those of a restored backup, and those that
    somebody has copied here. `look_inside`: as for `find_lacking`. Raises SQLAlchemyError.
    """
    if not are_stored(database.engine):
        return Adopted()
    with database.read() as session:
        lacking = find_lacking(session, look_inside=look_inside)
    lost: list[str] = []
    until, is_more, stored = time.monotonic() + seconds, False, 0
    for sound in lacking:
        if is_more := time.monotonic() >= until:
            break
        if not _is_here(root, sound.file):
            lost.append(sound.file)
            continue
        try:
            with database.write() as session:
                if is_wanted(session, sound):
                    keep(session, root, sound.file, request_id=sound.request_id)
                    stored += 1
        except (IntegrityError, FileNotFoundError):  # it was deleted or replaced at this moment
            continue
    if stored:
        log.info("%s sounds of this machine are in the database now", stored)
    return Adopted(tuple(lost), is_more)


def is_wanted(session: Session, sound: Lacking) -> bool:
    """Tell whether the row is still there to which a sound belongs."""
    if sound.request_id is None:
        return session.get(Recording, sound.file) is not None
    name = session.get(SpokenName, sound.request_id)
    return name is not None and name.file == sound.file


def find_lost(database: Database, root: Path) -> list[str]:
    """Return the names of the recordings whose sound neither the database nor this machine has undamaged."""
    with database.read() as session:
        rows = session.execute(select(Recording.file, Recording.name).order_by(Recording.name))
        names = {row.file: row.name for row in rows}
        if are_stored(session):
            wanted = {sound.file for sound in find_lacking(session, look_inside=True)}
        else:
            wanted = set(names)
    return [name for file, name in names.items() if file in wanted and not _is_here(root, file)]


def _is_here(root: Path, file: str) -> bool:
    try:
        read_clip(path_of(root, file))
    except (SoundError, OSError):
        return False
    return True


# -- out of the database ----------------------------------------------------------------------------------------------


class StoredSounds:
    """The sounds in the database as files below `root`. Safe for threads. Its methods block.

    `lacking` has the recordings that were needed and could not be had.
    """

    def __init__(self, database: Database, root: Path) -> None:
        self._database, self._root = database, root
        self._checked: dict[str, tuple[int, int]] = {}  # the state of recordings whose files were found right
        self.lacking: set[str] = set()

    def fetch(self, file: str) -> None:
        """Let the file be as it is in the database. If the database has it not, or damaged, it stays as it is.

        A file that was found right is looked at again when it has changed. Raises SQLAlchemyError, OSError if it cannot
        be written, and FileNotFoundError if it has not the name of a sound.
        """
        path = path_of(self._root, file)
        if not are_stored(self._database.engine) or (file in self._checked and self._checked[file] == _state(path)):
            return
        is_recording = RECORDING.fullmatch(file) is not None  # there are few; names come and go
        if is_recording:
            self.lacking.add(file)
        content = self._read(file, path)
        if content is not None:
            if not is_recording:
                spoken_names.make_folder(self._root)
            with write_atomically(path) as copy:
                copy.write_bytes(content)
        if is_recording and (state := _state(path)) is not None:
            self._checked[file] = state
            self.lacking.discard(file)

    def fetch_lacking(self) -> bool:
        """Try again to get what could not be had. Return whether something of it is there now."""
        wanted = list(self.lacking)
        if not wanted:
            return False
        with self._database.read() as session:
            query = select(StoredSound.file).where(StoredSound.file.in_(wanted), ~_IS_DAMAGED)
            found = session.scalars(query).all()
        for file in found:
            try:
                self.fetch(file)
            except OSError as error:
                log.error("cannot write the sound %s: %s", file, error)
        return not self.lacking.issuperset(wanted)

    def remove_deleted(self) -> int:
        """Remove the files of recordings that were deleted on another machine. Return how many."""
        if not are_stored(self._database.engine):
            return 0
        before = time.time() - STRAY_SECONDS
        paths = (path for path in (self._root / UPLOADS).glob("*.wav") if path.lstat().st_ctime < before)
        files = [f"{UPLOADS}/{path.name}" for path in paths]
        with self._database.read() as session:
            known = set(session.scalars(select(Recording.file)))
        deleted = [file for file in files if RECORDING.fullmatch(file) and file not in known]
        for file in deleted:
            (self._root / file).unlink(missing_ok=True)
        return len(deleted)

    def _read(self, file: str, path: Path) -> bytes | None:
        """Return the content that the file should have, None if it has it already, or nobody knows it."""
        with self._database.read() as session:
            digest = session.scalar(select(StoredSound.sha256).where(StoredSound.file == file))
            if digest is None or _hash_of_file(path) == digest:
                return None
            return _read_content(session, file)


def read_content(database: Database, file: str) -> bytes:
    """Return the content of a sound from the database. Raises FileNotFoundError if it is not there, or damaged."""
    if are_stored(database.engine) and is_sound(file):
        with database.read() as session:
            if (content := _read_content(session, file)) is not None:
                return content
    raise FileNotFoundError(file)


def read_others(connection: Connection, root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the sounds in the database, with their content, of which there is no right file below `root`."""
    for file, digest in connection.execute(select(StoredSound.file, StoredSound.sha256)).all():
        if is_sound(file) and _hash_of_file(root / file) != digest:
            content = _read_content(connection, file)
            if content is not None:
                yield file, content


def _read_content(session: Session | Connection, file: str) -> bytes | None:
    """Return the content of a sound, None if it is not there, or damaged."""
    row = session.execute(select(StoredSound.sha256, StoredSound.content).where(StoredSound.file == file)).one_or_none()
    if row is not None and hash_of(row.content) != row.sha256:
        log.error("the sound %s is damaged in the database", file)
        return None
    return row.content if row is not None else None


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _state(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written, None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def _hash_of_file(path: Path) -> str:
    """Return the hash of a file, "" if there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
