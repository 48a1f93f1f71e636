"""Save the whole office in one file, and restore it on an empty machine.

The file is a compressed tar archive: the manifest, each table as lines of JSON, the office's recordings, the names that
callers said, and the key that encrypts the secrets. So it is as secret as the data folder. Tables are read and written
as the database describes them, whatever its kind: a backup of SQLite can be restored on PostgreSQL, and one of an older
version is restored as that version and then migrated.

Further exchanges are not in it. What describes the present is left out: the state of the PBX, sessions, and orders to
the worker.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    MetaData,
    Select,
    Table,
    func,
    inspect,
    select,
    text,
    update,
)

from app.audio import spoken_names
from app.audio.library import SoundLibrary
from app.config import Settings, secret_key
from app.services import audit
from app.services.prompts.recordings import FILE_PATTERN as RECORDING
from app.services.requests import pause
from app.store.database import Database
from app.store.exchanges import FIRST, list_further
from app.store.models import Exchange, Webhook

FORMAT = 1
ACTOR = "restore"
_MANIFEST, _KEY, _VERSION = "manifest.json", "secret_key", "alembic_version"
_LIVE = frozenset(
    {
        *("lines", "queues", "queue_members", "pbx_destinations", "numbers_on_line", "worker_state", "commands"),
        *("user_sessions", "pending_logins", "login_failures", "push_subscriptions", "push_messages"),
        *("api_answers", "webhook_messages", "contact_imports", "looked_up_names", "counts"),
        "user_exchanges",  # of further exchanges, which are not in a backup
    }
)
_ROWS_AT_ONCE = 500
_SOUNDS = "sounds/"
_TABLE = re.compile(r"tables/([a-z_]+)\.jsonl")


class BadBackup(Exception):
    """The file is no backup, is damaged, or was made by a newer version. The message says it to a person."""


class NotEmpty(Exception):
    """The database has an office already. A backup would replace it, so it is not restored."""


@dataclass(frozen=True)
class Backup:
    """What a backup contains. `has_key`: it contains the key of the secrets, which otherwise is in the environment."""

    made_at: datetime
    requests: int
    users: int
    sounds: int
    has_key: bool


def save(settings: Settings, database: Database, target: IO[bytes], now: datetime) -> Backup:
    """Write a backup to a stream. The panel and the worker may run meanwhile. Raises OSError."""
    key = secret_key(settings)
    with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix="backup-") as name:
        folder = Path(name)
        with database.engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # all tables are read as of one moment, as SQLite does anyway
                connection.execution_options(isolation_level="REPEATABLE READ")
            revision, rows = _save_tables(connection, folder)
        files = {f"tables/{table}.jsonl": folder / table for table in rows}
        sounds = {f"{_SOUNDS}{file}": settings.prompts_path / file for file in _list_sounds(settings)}
        if not settings.secret_key:
            (folder / _KEY).write_text(key)
            files[_KEY] = folder / _KEY
        files |= sounds
        manifest = {
            "format": FORMAT,
            "made_at": now.isoformat(),
            "revision": revision,
            "rows": rows,
            "files": {name: _hash(path) for name, path in files.items()},
        }
        with tarfile.open(fileobj=target, mode="w|gz") as archive:
            (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1))
            archive.add(folder / _MANIFEST, _MANIFEST)
            for member, path in files.items():
                archive.add(path, member, recursive=False, filter=_without_owner)
    return _describe(manifest)


def restore(
    settings: Settings,
    database: Database,
    source: IO[bytes],
    now: datetime,
    *,
    revisions: Collection[str],
    upgrade: Callable[[str], None],
) -> Backup:
    """Restore a backup from a stream into a database without an office.

    All automatic calls and webhooks are paused then. Who was waiting when the backup was made may have been called
    since, so a person decides when to resume. `revisions` are those of the database that this version knows; `upgrade`
    migrates it to one of them, or to "head". Raises BadBackup, NotEmpty and OSError, and nothing is restored then.
    """
    with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix="restore-") as name:
        folder = Path(name)
        manifest = _unpack(source, folder)
        if manifest["revision"] not in revisions:
            raise BadBackup("The backup was made by a newer version of Bazang. Install that version first.")
        if settings.secret_key and _KEY in manifest["files"]:
            raise BadBackup(
                "The backup has its own key, but BAZANG_SECRET_KEY gives another one. Remove that setting to restore."
            )
        with database.write() as session:
            connection = session.connection()
            if not _is_empty(connection):
                raise NotEmpty
            _drop_tables(connection)
        upgrade(manifest["revision"])
        _restore_sounds(settings, folder, manifest)
        with database.write() as session:
            _restore_tables(session.connection(), folder, manifest)
        if _KEY in manifest["files"]:
            _replace_key(settings, (folder / _KEY).read_text())
        upgrade("head")
    backup = _describe(manifest)
    with database.write() as session:
        # A copy of an office must not write to its customers, and what has expired since is no news.
        session.execute(update(Webhook).where(Webhook.paused_at.is_(None)).values(paused_at=now))
        if pause.load_pause(session) is None:
            reason = f"restored from a backup of {backup.made_at:%Y-%m-%d %H:%M} UTC"
            pause.save_pause(session, pause.Pause(ACTOR, now, reason), ACTOR, now)
        audit.record(
            session, ACTOR, audit.AuditAction.BACKUP_RESTORED, "", {"made_at": ["", backup.made_at.isoformat()]}, now
        )
    return backup


def _describe(manifest: dict[str, Any]) -> Backup:
    rows, files = manifest["rows"], manifest["files"]
    return Backup(
        made_at=datetime.fromisoformat(manifest["made_at"]),
        requests=rows.get("call_requests", 0),
        users=rows.get("users", 0),
        sounds=sum(name.startswith(_SOUNDS) for name in files),
        has_key=_KEY in files,
    )


# -- tables -----------------------------------------------------------------------------------------------------------


def _reflect(connection: Connection) -> MetaData:
    metadata = MetaData()
    metadata.reflect(connection)
    return metadata


def _save_tables(connection: Connection, folder: Path) -> tuple[str, dict[str, int]]:
    """Write each table into a file of its own. Return the revision of the database, and the rows of each table."""
    rows: dict[str, int] = {}
    tables = _reflect(connection).sorted_tables
    revision = connection.scalar(select(next(each for each in tables if each.name == _VERSION).c.version_num))
    for table in tables:
        if table.name in _LIVE or table.name == _VERSION:
            continue
        with (folder / table.name).open("w", encoding="utf-8") as file:
            file.write(json.dumps([column.name for column in table.columns]) + "\n")
            rows[table.name] = 0
            for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(_lasting_rows(table)):
                file.write(json.dumps([_to_json(value) for value in row], ensure_ascii=False) + "\n")
                rows[table.name] += 1
    return str(revision), rows


def _lasting_rows(table: Table) -> Select[Any]:
    """Return the query of the rows that do not belong to what is left out, such as to a session."""
    lasting: list[ColumnElement[bool]] = [
        key.parent.is_(None) for key in table.foreign_keys if key.column.table.name in _LIVE
    ]
    if table.name == Exchange.__tablename__:
        lasting.append(table.c.id == FIRST.id)
    return select(table).where(*lasting)


def _to_json(value: Any) -> Any:
    """Return a value as JSON has it. SQLite stores moments without their time zone, which is UTC."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _is_empty(connection: Connection) -> bool:
    if list_further(connection):
        return False
    tables = {"users", "modules", "call_requests"} & set(inspect(connection).get_table_names())
    return not any(connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables)  # noqa: S608 - ours


def _drop_tables(connection: Connection) -> None:
    _reflect(connection).drop_all(connection)


def _restore_tables(connection: Connection, folder: Path, manifest: dict[str, Any]) -> None:
    tables = {table.name: table for table in _reflect(connection).sorted_tables}
    unknown = manifest["rows"].keys() - tables.keys()
    if unknown:
        raise BadBackup(f"The backup is damaged: there is no table {min(unknown)}.")
    for name in reversed(tables):
        if name in manifest["rows"]:  # migrations may have stored rows
            connection.execute(tables[name].delete())
    for name, table in tables.items():
        if name not in manifest["rows"]:
            continue
        count = 0
        for rows in _read_rows(folder / f"tables/{name}.jsonl", table):
            connection.execute(table.insert(), rows)
            count += len(rows)
        if count != manifest["rows"][name]:
            raise BadBackup(f"The backup is damaged: the table {name} is incomplete.")
        _restore_sequence(connection, table)


def _read_rows(file: Path, table: Table) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a table, some at a time. Raises BadBackup."""
    with file.open(encoding="utf-8") as lines:
        try:
            names = json.loads(next(lines))
            columns = [table.columns[name] for name in names]
            readers = [_reader(column.type) for column in columns]
            rows: list[dict[str, Any]] = []
            for line in lines:
                values = json.loads(line)
                rows.append({n: read(value) for n, read, value in zip(names, readers, values, strict=True)})
                if len(rows) == _ROWS_AT_ONCE:
                    yield rows
                    rows = []
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise BadBackup(f"The backup is damaged: the table {table.name} cannot be read.") from error
    if rows:
        yield rows


def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return what makes a value of JSON one of a column of this type."""
    if isinstance(kind, DateTime):
        zone = UTC if kind.timezone else None
        return lambda value: None if value is None else datetime.fromisoformat(value).replace(tzinfo=zone)
    if isinstance(kind, Date):
        return lambda value: None if value is None else date.fromisoformat(value)
    return lambda value: value


def _restore_sequence(connection: Connection, table: Table) -> None:
    """Let PostgreSQL give new rows ids behind the restored ones. SQLite does so by itself."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key:
        sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
        if sequence is not None:
            last = connection.scalar(select(func.max(column)))
            connection.execute(select(func.setval(sequence, last or 1, last is not None)))


# -- files ------------------------------------------------------------------------------------------------------------


def _list_sounds(settings: Settings) -> list[str]:
    """Return the office's recordings and the spoken names, below the prompts folder. Other sounds are made again."""
    found = (f"{folder}/{path.name}" for folder in ("uploads", spoken_names.FOLDER) for path in _list(settings, folder))
    return sorted(filter(_is_sound, found))


def _list(settings: Settings, folder: str) -> list[Path]:
    path = settings.prompts_path / folder
    return list(path.iterdir()) if path.is_dir() else []


def _is_sound(file: str) -> bool:
    return bool(RECORDING.fullmatch(file) or spoken_names.FILE_PATTERN.fullmatch(file))


def _restore_sounds(settings: Settings, folder: Path, manifest: dict[str, Any]) -> None:
    library = SoundLibrary(settings.prompts_path, settings.voices_path)
    names = library.root / spoken_names.FOLDER
    names.mkdir(exist_ok=True)
    names.chmod(spoken_names.FOLDER_MODE)
    for member in manifest["files"]:
        if member.startswith(_SOUNDS):
            target = library.root / member.removeprefix(_SOUNDS)
            shutil.copyfile(folder / member, target)
            target.chmod(0o644)  # Asterisk reads it as another user


def _replace_key(settings: Settings, key: str) -> None:
    """Replace the key of this machine. Nothing depends on the former one yet."""
    descriptor, name = tempfile.mkstemp(dir=settings.data_dir)  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
    Path(name).replace(settings.data_dir / _KEY)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(source: IO[bytes], folder: Path) -> dict[str, Any]:
    """Unpack an untrusted backup into a folder, check it, and return its manifest. Raises BadBackup."""
    found: set[str] = set()
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is None or not _is_known(member.name) or member.name in found:
                    raise BadBackup(f"This is no backup of Bazang: it contains {member.name!r}.")
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                found.add(member.name)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadBackup(f"The backup is damaged, or the file is no backup: {error}.") from error
    if _MANIFEST not in found:
        raise BadBackup("This is no backup of Bazang: it has no manifest.")
    manifest = _read_manifest(folder / _MANIFEST)
    if found != {_MANIFEST, *manifest["files"]} or manifest["rows"].keys() != _tables_of(found):
        raise BadBackup("The backup is damaged: files are missing.")
    for name, digest in manifest["files"].items():
        if _hash(folder / name) != digest:
            raise BadBackup(f"The backup is damaged: {name} has changed.")
    return manifest


def _is_known(name: str) -> bool:
    is_sound = name.startswith(_SOUNDS) and _is_sound(name.removeprefix(_SOUNDS))
    return name in (_MANIFEST, _KEY) or is_sound or _TABLE.fullmatch(name) is not None


def _tables_of(names: Collection[str]) -> set[str]:
    return {found[1] for name in names if (found := _TABLE.fullmatch(name))}


def _read_manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(file.read_text())
        if manifest["format"] != FORMAT:
            raise BadBackup("The backup was made by a newer version of Bazang. Install that version first.")
        datetime.fromisoformat(manifest["made_at"])
        is_valid = isinstance(manifest["revision"], str) and all(
            isinstance(manifest[name], dict) for name in ("rows", "files")
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadBackup("The backup is damaged: its manifest cannot be read.") from error
    if not is_valid:
        raise BadBackup("The backup is damaged: its manifest cannot be read.")
    return dict(manifest)
