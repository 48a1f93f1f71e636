"""Save the whole office in one file, and restore it on an empty machine.

The file is a compressed tar archive: the manifest, each table as lines of JSON, the office's recordings, the names that
callers said, and the key that encrypts the secrets. So it is as secret as the data folder. Tables are read and written
as the database describes them, whatever its kind: a backup of SQLite can be restored on PostgreSQL, and one of an older
version is restored as that version and then migrated. A sound is in it once, as a file, whether the database has it or
only the folder of the prompts.

Each further exchange is a folder in it, with tables and sounds like those of the first one. They can be restored on
PostgreSQL only. What describes the present is left out: the state of the PBX, sessions, and orders to the worker.
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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

from psycopg.errors import DependentObjectsStillExist, InsufficientPrivilege
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
)
from sqlalchemy.exc import DataError, IntegrityError, InternalError, ProgrammingError
from sqlalchemy.schema import DropSchema

from app.audio import spoken_names
from app.audio.library import SoundLibrary
from app.config import EXCHANGE_CODE, FIRST_EXCHANGE, Settings, secret_key
from app.services import audit, sounds
from app.services.requests import pause
from app.store.database import Database
from app.store.exchanges import (
    FIRST,
    ExchangeKey,
    Exchanges,
    drop_schema,
    inside,
    list_further,
    prepare_migration,
    reserve_schema,
    schema_of,
    share_tables,
    tables_of,
)
from app.store.models import Exchange, Setting, StoredSound, Webhook

FORMAT = 1
ACTOR = "restore"
_MANIFEST, _KEY, _VERSION = "manifest.json", "secret_key", "alembic_version"
_LIVE = frozenset(
    {
        *("lines", "queues", "queue_members", "pbx_destinations", "numbers_on_line", "worker_state", "commands"),
        *("user_sessions", "pending_logins", "login_failures", "push_subscriptions", "push_messages"),
        *("api_answers", "webhook_messages", "contact_imports", "looked_up_names", "counts"),
        StoredSound.__tablename__,  # each is a file of its own
    }
)
_ROWS_AT_ONCE = 500
_SOUNDS = "sounds/"
_TABLE = re.compile(r"tables/([a-z_]+)\.jsonl")
_FURTHER = re.compile(rf"exchanges/({EXCHANGE_CODE})/(.+)")  # the folder of a further exchange
Rows = Mapping[str, int]  # of each table


class BadBackup(Exception):
    """The file is no backup, is damaged, or was made by a newer version. The message says it to a person."""


class NotEmpty(Exception):
    """The database has an office already. A backup would replace it, so it is not restored."""


class DoesNotFit(Exception):
    """The database cannot have what is in the backup. The message says it to a person."""


@dataclass(frozen=True)
class Backup:
    """What a backup contains. `has_key`: it contains the key of the secrets, which otherwise is in the environment.

    `further`: the codes of the exchanges besides the first one.
    """

    made_at: datetime
    requests: int
    users: int
    sounds: int
    has_key: bool
    further: tuple[str, ...] = ()


def save(settings: Settings, database: Database, target: IO[bytes], now: datetime) -> Backup:
    """Write a backup to a stream. The panel and the worker may run meanwhile. Raises OSError."""
    key = secret_key(settings)
    with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix="backup-") as name:
        folder = Path(name)
        with database.engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # all tables are read as of one moment, as SQLite does anyway
                connection.execution_options(isolation_level="REPEATABLE READ")
            revision = _read_revision(connection)
            rows: dict[str, Rows] = {}
            saved: dict[str, Path] = {}  # the sounds, by their names in the archive
            for exchange in (FIRST, *list_further(connection)):
                rows[exchange.code] = _save_tables(connection, folder, exchange)
                saved |= _save_sounds(connection, settings, folder, exchange)
        files = {
            f"{_prefix(code)}tables/{table}.jsonl": folder / f"{_prefix(code)}tables/{table}.jsonl"
            for code in rows
            for table in rows[code]
        }
        if not settings.secret_key:
            (folder / _KEY).write_text(key)
            files[_KEY] = folder / _KEY
        files |= saved
        manifest = {
            "format": FORMAT,
            "made_at": now.isoformat(),
            "revision": revision,
            "rows": rows.pop(FIRST.code),
            "exchanges": rows,
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
    registry: Exchanges,
    source: IO[bytes],
    now: datetime,
    *,
    revisions: Collection[str],
    upgrade: Callable[[str], None],
) -> Backup:
    """Restore a backup from a stream into a database without an office.

    All automatic calls and webhooks are paused then. Who was waiting when the backup was made may have been called
    since, so a person decides when to resume. `revisions` are those of the database that this version knows; `upgrade`
    migrates it to one of them, or to "head". Raises BadBackup, DoesNotFit, NotEmpty and OSError, and nothing is
    restored then.
    """
    database = registry.first
    with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix="restore-") as name:
        folder = Path(name)
        manifest = _unpack(source, folder)
        if manifest["revision"] not in revisions:
            raise BadBackup("The backup was made by a newer version of Bazang. Install that version first.")
        if settings.secret_key and _KEY in manifest["files"]:
            raise BadBackup(
                "The backup has its own key, but BAZANG_SECRET_KEY gives another one. Remove that setting to restore."
            )
        codes = [FIRST_EXCHANGE, *manifest["exchanges"]]
        if len(codes) > 1 and _read_codes(folder) != sorted(codes):
            raise BadBackup("The backup is damaged: its exchanges are others than those in its list.")
        if len(codes) > 1 and not registry.can_be_several:
            raise DoesNotFit(
                f"The backup has {len(codes)} exchanges ({', '.join(codes)}), which need PostgreSQL: "
                "set BAZANG_DATABASE_URL, see docs/exchanges.md."
            )
        _clear(database, codes[1:])
        upgrade(manifest["revision"])
        new_files: list[Path] = []
        former_key = secret_key(settings)
        pausing = _pausing(manifest, now)
        try:
            if len(codes) > 1:
                _announce(database, folder)
                upgrade(manifest["revision"])  # of the further exchanges
            for code in codes:
                files = _files_of(manifest, code)
                new_files += _restore_sounds(settings.for_exchange(code), folder / _prefix(code), files)
            if _KEY in manifest["files"]:  # before the rows: a secret is never there without its key
                _replace_key(settings, (folder / _KEY).read_text())
            paused = _restore_exchanges(database, folder, manifest, pausing)
        except BaseException:
            for file in new_files:
                file.unlink(missing_ok=True)
            if _KEY in manifest["files"]:
                _replace_key(settings, former_key)
            with database.write() as session:
                _drop_further(session.connection())
                for code in codes[1:]:
                    session.execute(DropSchema(schema_of(code), if_exists=True))
            raise
        upgrade("head")
    backup = _describe(manifest)
    for code in codes:
        sounds.adopt(registry.find(code), settings.for_exchange(code).prompts_path)
    for code in paused:
        with registry.find(code).write() as session:
            pause.record_pause(session, pausing, ACTOR, now)
    with database.write() as session:
        audit.record(
            session, ACTOR, audit.AuditAction.BACKUP_RESTORED, "", {"made_at": ["", backup.made_at.isoformat()]}, now
        )
    return backup


def _pausing(manifest: dict[str, Any], now: datetime) -> pause.Pause:
    """Return the pause of a restored office."""
    made_at = datetime.fromisoformat(manifest["made_at"])
    return pause.Pause(ACTOR, now, f"restored from a backup of {made_at:%Y-%m-%d %H:%M} UTC")


def _describe(manifest: dict[str, Any]) -> Backup:
    files, further = manifest["files"], manifest["exchanges"]
    return Backup(
        made_at=datetime.fromisoformat(manifest["made_at"]),
        requests=sum(rows.get("call_requests", 0) for rows in (manifest["rows"], *further.values())),
        users=manifest["rows"].get("users", 0),
        sounds=sum(_within(name)[1].startswith(_SOUNDS) for name in files),
        has_key=_KEY in files,
        further=tuple(further),
    )


def _prefix(code: str) -> str:
    """Return the folder of an exchange in a backup."""
    return "" if code == FIRST_EXCHANGE else f"exchanges/{code}/"


def _within(name: str) -> tuple[str, str]:
    """Return the code of the exchange to which a member of the archive belongs, and its name there."""
    found = _FURTHER.fullmatch(name)
    return (found[1], found[2]) if found and found[1] != FIRST_EXCHANGE else (FIRST_EXCHANGE, name)


def _files_of(manifest: dict[str, Any], code: str) -> list[str]:
    return [file for exchange, file in map(_within, manifest["files"]) if exchange == code]


# -- tables -----------------------------------------------------------------------------------------------------------


def _reflect(connection: Connection, exchange: ExchangeKey = FIRST) -> Sequence[Table]:
    """Return the tables of an exchange, those that others refer to first. The connection looks into its schema."""
    metadata = MetaData()
    if exchange.is_first:
        metadata.reflect(connection)
        return metadata.sorted_tables
    own = tables_of(connection, exchange)
    metadata.reflect(connection, only=lambda name, _: name in own)
    return [table for table in metadata.sorted_tables if table.name in own]


def _read_revision(connection: Connection) -> str:
    return str(connection.scalar(text(f"SELECT version_num FROM {_VERSION}")))  # noqa: S608 - ours


def _save_tables(connection: Connection, folder: Path, exchange: ExchangeKey) -> dict[str, int]:
    """Write each table of an exchange into a file of its own. Return how many rows each has."""
    rows: dict[str, int] = {}
    target = folder / _prefix(exchange.code) / "tables"
    target.mkdir(parents=True)
    with nullcontext() if exchange.is_first else inside(connection, exchange):
        for table in _reflect(connection, exchange):
            if table.name in _LIVE or table.name == _VERSION:
                continue
            with (target / f"{table.name}.jsonl").open("w", encoding="utf-8") as file:
                file.write(json.dumps([column.name for column in table.columns]) + "\n")
                rows[table.name] = 0
                for row in connection.execute(_lasting_rows(table)):
                    file.write(json.dumps([_to_json(value) for value in row], ensure_ascii=False) + "\n")
                    rows[table.name] += 1
    return rows


def _lasting_rows(table: Table) -> Select[Any]:
    """Return the query of the rows that do not belong to what is left out, such as to a session."""
    lasting: list[ColumnElement[bool]] = [
        key.parent.is_(None) for key in table.foreign_keys if key.column.table.name in _LIVE
    ]
    return select(table).where(*lasting).execution_options(yield_per=_ROWS_AT_ONCE)


def _to_json(value: Any) -> Any:
    """Return a value as JSON has it. SQLite stores moments without their time zone, which is UTC."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _is_empty(connection: Connection) -> bool:
    """Tell whether no exchange has users, modules or requests."""
    wanted = {"users", "modules", "call_requests"}
    tables = [f'"{name}"' for name in wanted & set(inspect(connection).get_table_names())]
    for exchange in list_further(connection):
        tables += [f'"{exchange.schema}"."{name}"' for name in wanted & tables_of(connection, exchange)]
    return not any(connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables)  # noqa: S608 - ours


def _clear(database: Database, further: Collection[str]) -> None:
    """Drop the tables of an empty office, and create an empty schema for each further exchange.

    Raises NotEmpty and DoesNotFit. Nothing has changed then.
    """
    try:
        with database.write() as session:
            connection = session.connection()
            if not _is_empty(connection):
                raise NotEmpty
            _drop_further(connection)
            metadata = MetaData()
            metadata.reflect(connection)
            metadata.drop_all(connection)
            for code in further:
                reserve_schema(connection, code)
    except (ProgrammingError, InternalError) as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise DoesNotFit(
                "The database user may not create the schemas of the exchanges. As the owner of the database: "
                f"GRANT CREATE ON DATABASE {database.engine.url.database} TO {database.engine.url.username};"
            ) from error
        if isinstance(error.orig, DependentObjectsStillExist):
            raise DoesNotFit(
                "The database has a schema with tables of an exchange of the backup "
                f"({', '.join(map(schema_of, further))}), which belongs to no exchange here. Drop it first."
            ) from error
        raise


def _drop_further(connection: Connection) -> None:
    """Drop the further exchanges of an office that is empty."""
    for exchange in list_further(connection):
        drop_schema(connection, exchange)
        connection.execute(text("DELETE FROM exchanges WHERE id = :id"), {"id": exchange.id})


def _read_codes(folder: Path) -> list[str]:
    """Return the codes of the exchanges in the list of a backup. Raises BadBackup."""
    try:
        names, *rows = map(json.loads, (folder / f"tables/{Exchange.__tablename__}.jsonl").read_text().splitlines())
        return sorted(row[names.index("code")] for row in rows)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadBackup("The backup is damaged: the list of its exchanges cannot be read.") from error


def _announce(database: Database, folder: Path) -> None:
    """Let the database know the exchanges of the backup, so that it migrates their schemas, too."""
    with database.write() as session:
        connection = session.connection()
        exchanges = _find(_reflect(connection), Exchange.__tablename__)
        connection.execute(exchanges.delete())
        _restore_table(connection, folder, exchanges)
        for exchange in list_further(connection):
            prepare_migration(connection, exchange)


def _find(tables: Sequence[Table], name: str) -> Table:
    found = next((table for table in tables if table.name == name), None)
    if found is None:
        raise BadBackup(f"The backup is damaged: there is no table {name}.")
    return found


def _restore_exchanges(
    database: Database, folder: Path, manifest: dict[str, Any], pausing: pause.Pause
) -> tuple[str, ...]:
    """Restore the rows of all exchanges, and pause them, in one transaction: nothing calls if it is the last one.

    Return the codes of those that were not paused.
    """
    paused = []
    with database.write() as session:
        connection = session.connection()
        further = list_further(connection)
        tables = _restore_tables(connection, folder, manifest["rows"], FIRST)
        if _pause(connection, tables, pausing):
            paused.append(FIRST.code)
        for exchange in further:
            share_tables(connection, exchange)
            with inside(connection, exchange):
                rows = manifest["exchanges"][exchange.code]
                tables = _restore_tables(connection, folder / _prefix(exchange.code), rows, exchange)
                if _pause(connection, tables, pausing):
                    paused.append(exchange.code)
    return tuple(paused)


def _pause(connection: Connection, tables: Sequence[Table], pausing: pause.Pause) -> bool:
    """Pause the webhooks and the automatic calls of an exchange, if they are not. Return whether calls were not.

    A copy of an office must not write to its customers, and what has expired since is no news. The tables are those of
    the backup's version.
    """
    for webhooks in (table for table in tables if table.name == Webhook.__tablename__):
        paused_at = webhooks.columns.paused_at
        connection.execute(webhooks.update().where(paused_at.is_(None)).values(paused_at=pausing.at))
    settings, values = _find(tables, Setting.__tablename__), pause.stored_values(pausing)
    name = settings.columns.name
    stored = connection.execute(select(name, settings.columns.value).where(name.in_(values)))
    if pause.is_paused({row[0]: row[1] for row in stored}):
        return False
    connection.execute(settings.delete().where(name.in_(values)))
    connection.execute(settings.insert(), [{"name": name, "value": value} for name, value in values.items()])
    return True


def _restore_tables(connection: Connection, folder: Path, rows: Rows, exchange: ExchangeKey) -> Sequence[Table]:
    """Restore the rows of an exchange. Return its tables."""
    tables = [table for table in _reflect(connection, exchange) if table.name != _VERSION]
    for name in rows:
        _find(tables, name)
    restored = [table for table in tables if table.name in rows]
    for table in reversed(restored):  # migrations may have stored rows
        connection.execute(table.delete())
    for table in restored:
        if _restore_table(connection, folder, table) != rows[table.name]:
            raise BadBackup(f"The backup is damaged: the table {table.name} is incomplete.")
        _restore_sequence(connection, table)
    return tables


def _restore_table(connection: Connection, folder: Path, table: Table) -> int:
    """Insert the rows of a table. Return how many there were. Raises BadBackup."""
    count = 0
    try:
        for rows in _read_rows(folder / f"tables/{table.name}.jsonl", table):
            connection.execute(table.insert(), rows)
            count += len(rows)
    except (IntegrityError, DataError) as error:
        raise BadBackup(
            f"The backup is damaged: the table {table.name} has a row that cannot be: {error.orig}"
        ) from error
    return count


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
    return sorted(filter(sounds.is_sound, found))


def _save_sounds(connection: Connection, settings: Settings, folder: Path, exchange: ExchangeKey) -> dict[str, Path]:
    """Return the file of each sound of an exchange by its name in the archive. Write those of which we have no file."""
    of_exchange = settings.for_exchange(exchange.code)
    root, spool = of_exchange.prompts_path, folder / _prefix(exchange.code) / _SOUNDS
    paths = {file: root / file for file in _list_sounds(of_exchange)}
    with nullcontext() if exchange.is_first else inside(connection, exchange):
        tables = tables_of(connection, exchange) if not exchange.is_first else inspect(connection).get_table_names()
        is_older = StoredSound.__tablename__ not in tables  # than the table
        for file, content in sounds.read_others(connection, root) if not is_older else ():
            paths[file] = spool / file
            paths[file].parent.mkdir(parents=True, exist_ok=True)
            paths[file].write_bytes(content)
    return {f"{_prefix(exchange.code)}{_SOUNDS}{file}": path for file, path in sorted(paths.items())}


def _list(settings: Settings, folder: str) -> list[Path]:
    path = settings.prompts_path / folder
    return list(path.iterdir()) if path.is_dir() else []


def _restore_sounds(settings: Settings, folder: Path, files: Collection[str]) -> list[Path]:
    """Copy the sounds into the prompts folder. Return those that were not there."""
    library = SoundLibrary(settings.prompts_path, settings.voices_path)
    spoken_names.make_folder(library.root)
    new = []
    for member in files:
        if member.startswith(_SOUNDS):
            target = library.root / member.removeprefix(_SOUNDS)
            if not target.exists():
                new.append(target)
            shutil.copyfile(folder / member, target)
            target.chmod(0o644)  # Asterisk reads it as another user
    return new


def _replace_key(settings: Settings, key: str) -> None:
    """Replace the key of this machine."""
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
    tables = {FIRST_EXCHANGE: manifest["rows"], **manifest["exchanges"]}
    if found != {_MANIFEST, *manifest["files"]} or _tables_of(found) != {
        code: set(rows) for code, rows in tables.items()
    }:
        raise BadBackup("The backup is damaged: files are missing.")
    for name, digest in manifest["files"].items():
        if _hash(folder / name) != digest:
            raise BadBackup(f"The backup is damaged: {name} has changed.")
    return manifest


def _is_known(name: str) -> bool:
    within = _within(name)[1]
    is_sound = within.startswith(_SOUNDS) and sounds.is_sound(within.removeprefix(_SOUNDS))
    return name in (_MANIFEST, _KEY) or is_sound or _TABLE.fullmatch(within) is not None


def _tables_of(names: Collection[str]) -> dict[str, set[str]]:
    """Return the tables of each exchange among the members of an archive."""
    tables: dict[str, set[str]] = {FIRST_EXCHANGE: set()}
    for code, name in map(_within, names):
        if found := _TABLE.fullmatch(name):
            tables.setdefault(code, set()).add(found[1])
    return tables


def _read_manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(file.read_text())
        if manifest["format"] != FORMAT:
            raise BadBackup("The backup was made by a newer version of Bazang. Install that version first.")
        datetime.fromisoformat(manifest["made_at"])
        manifest.setdefault("exchanges", {})  # an older version saved the first one only
        is_valid = (
            isinstance(manifest["revision"], str)
            and all(isinstance(manifest[name], dict) for name in ("rows", "files", "exchanges"))
            and all(isinstance(rows, dict) for rows in manifest["exchanges"].values())
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadBackup("The backup is damaged: its manifest cannot be read.") from error
    if not is_valid:
        raise BadBackup("The backup is damaged: its manifest cannot be read.")
    return dict(manifest)
