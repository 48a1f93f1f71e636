"""A backup of several exchanges, and what is restored of it on another database of a real PostgreSQL."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, make_url, select, text

from app.services import backup, sounds, users
from app.services.backup import BadBackup, DoesNotFit, NotEmpty
from app.services.requests import pause, spoken_names
from app.services.users import UserInput
from app.store.database import Database
from app.store.exchanges import (
    EXCHANGE_TABLES,
    SHARED_TABLES,
    UnknownExchange,
    list_further,
    prepare_migration,
    reserve_schema,
    schema_of,
    share_tables,
)
from app.store.models import AuditEntry, Base, Recording, SavedFilter, StoredSound, User, Webhook
from app.store.settings import write_setting
from script.office.server_database import new_database
from tests.audio.sounds import tone, write_sound
from tests.services.test_backup import HEAD, Office, repacked, with_manifest
from tests.support.exchanges import NORTH, add_exchange
from tests.support.factories import NOW, create_line, create_module, create_request, create_webhook

SOUTH = "south"
EXCHANGES = ("main", NORTH, SOUTH)


@pytest.fixture
def make(tmp_path: Path, postgres_url: str, postgres_template: str) -> Iterator[Callable[..., Office]]:
    """Make offices on databases of their own, which are empty unless `migrated`."""
    made: list[tuple[Office, Any]] = []

    def make_office(name: str, *, migrated: bool = False, **settings: Any) -> Office:
        database = new_database(postgres_url, postgres_template if migrated else "template0")
        office = Office(tmp_path / name, **{"database_url": database.__enter__(), **settings})
        made.append((office, database))
        return office

    yield make_office
    for office, database in reversed(made):
        office.registry.dispose()
        office.database.engine.dispose()
        database.__exit__(None, None, None)


@pytest.fixture
def first(make: Callable[..., Office]) -> Office:
    """An office with the exchanges main, north and south, each with rows of its own of the same ids."""
    office = make("first", migrated=True)
    for code in (NORTH, SOUTH):
        add_exchange(office.app, code, f"{code} branch")
    user = users.create(office.database, "Omid", "a long password", "operator", NOW, exchanges=(1, 2), locale="en")
    for number, code in enumerate(EXCHANGES, start=1):
        database = office.registry.find(code)
        module = create_module(database, name=f"{code} module", code=f"*500{number}")
        for customer in range(number):
            create_request(database, module, number=f"+98912123456{customer}", note=code)
        create_line(database, "101")
        create_webhook(database, name=f"{code} hook")
        with database.write() as session:
            write_setting(session, "ring_time", f"3{number}")
            session.add(SavedFilter(user_id=user, name=code, query="", created_at=NOW))
        for file in sounds_of(code):
            path = office.settings.for_exchange(code).prompts_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{code} {file}".encode())
    users.change(office.registry.find(NORTH), user, UserInput("operator", ("205",)), NOW)
    return office


def sounds_of(code: str) -> list[str]:
    """The first sound has the same name everywhere, but the exchanges do not share it."""
    return [f"uploads/{'a' * 64}.wav", f"names/{EXCHANGES.index(code):032x}.wav"]


def rows_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of an exchange that a backup contains but what a restore adds, by table."""
    left_out = backup._LIVE | {"settings", "log_entries", "webhooks"}
    with database.read() as session:
        return {
            name: [
                tuple(backup._to_json(value) for value in row)
                for row in session.execute(table.select().order_by(*table.primary_key))
            ]
            for name, table in Base.metadata.tables.items()
            if name not in left_out
        }


def schemas(office: Office) -> set[str]:
    with office.database.read() as session:
        return set(session.scalars(text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'exchange%'")))


def assert_same_schema(connection: Connection, code: str) -> None:
    """The tables of a restored exchange are those of the models, and refer to the users of the panel."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": Base.metadata})
    assert compare_metadata(context, Base.metadata) == []
    here = {"schema": schema_of(code)}
    tables = set(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = :schema"), here))
    assert tables == EXCHANGE_TABLES | {"alembic_version"}
    referred = connection.scalars(
        text(
            "SELECT DISTINCT target.relname || ' ' || target.relnamespace::regnamespace FROM pg_constraint"
            " JOIN pg_class target ON target.oid = confrelid WHERE connamespace = CAST(:schema AS regnamespace)"
        ),
        here,
    ).all()
    assert {name.split()[0] for name in referred if name.endswith(" public")} == SHARED_TABLES & {
        key.column.table.name for name in EXCHANGE_TABLES for key in Base.metadata.tables[name].foreign_keys
    }
    assert all(name.endswith((" public", schema_of(code))) for name in referred)


@pytest.mark.slow
def test_all_exchanges_are_restored_on_another_machine(first: Office, make: Callable[..., Office]) -> None:
    content, second = first.save(), make("second")
    made = second.restore(content)
    assert (made.requests, made.users, made.sounds, made.further) == (6, 1, 6, (NORTH, SOUTH))
    for number, code in enumerate(EXCHANGES, start=1):
        there, here = first.registry.find(code), second.registry.find(code)
        assert rows_of(here) == rows_of(there), code
        for file in sounds_of(code):
            path = second.settings.for_exchange(code).prompts_path / file
            assert path.read_bytes() == f"{code} {file}".encode()
            assert path.stat().st_mode & 0o777 == 0o644
        with here.read() as session:
            found = pause.load_pause(session)
            assert found is not None and "backup" in found.reason, "nothing calls, in no exchange"
            assert session.scalars(select(Webhook.paused_at)).one() == NOW
            assert session.scalar(text("SELECT value FROM settings WHERE name = 'ring_time'")) == f"3{number}"
            assert session.scalar(text("SELECT count(*) FROM lines")) == 0, "what describes the present is left out"
        assert create_request(here, number="+989121110000").id == number + 1, "ids go on"
    with second.registry.find(NORTH).engine.connect() as connection:
        assert_same_schema(connection, NORTH)
    omid = users.find_by_name(second.database, "Omid")
    assert users.get(second.registry.find(NORTH), omid.id).extensions == ["205"]
    with second.database.write() as session:
        session.delete(session.get_one(User, omid.id))
    with second.registry.find(SOUTH).read() as session:
        assert session.scalars(select(SavedFilter)).all() == [], "it goes with the user of the panel"
    with second.database.read() as session:
        assert [row.action for row in session.scalars(select(AuditEntry))].count("backup_restored") == 1


RECORDING, NAME = f"uploads/{'d' * 64}.wav", f"names/{'e' * 32}.wav"


def add_sounds(database: Database, root: Path, request: int) -> None:
    """Store a recording and a spoken name, as a machine does that has its own folder of prompts."""
    for file in (RECORDING, NAME):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        write_sound(root / file, tone(0.5))
    with database.write() as session:
        session.add(Recording(file=RECORDING, name="Hello", origin="upload", created_at=NOW))
        session.flush()
        sounds.keep(session, root, RECORDING)
    spoken_names.save(database, root, request, NAME, NOW)


def stored_sounds(database: Database) -> dict[str, bytes]:
    with database.read() as session:
        return {row.file: row.content for row in session.scalars(select(StoredSound))}


def test_sounds_of_other_machines_are_in_the_backup_once(make: Callable[..., Office], tmp_path: Path) -> None:
    first = make("first", migrated=True)
    north = add_exchange(first.app)
    for database, folder in ((first.database, "worker"), (north, "worker-north")):
        add_sounds(database, tmp_path / folder, create_request(database, create_module(database)).id)
    here = first.settings.prompts_path / RECORDING
    here.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "worker" / RECORDING, here)
    (first.settings.prompts_path / "names").mkdir()
    (first.settings.prompts_path / NAME).write_bytes(b"a damaged file")
    with tarfile.open(fileobj=io.BytesIO(first.save())) as archive:
        names = [name for name in archive.getnames() if "sounds" in name]
        assert sorted(names) == sorted(
            f"{prefix}sounds/{f}" for prefix in ("", f"exchanges/{NORTH}/") for f in (RECORDING, NAME)
        )
        for name in names:
            member = archive.extractfile(name)
            file = name.partition("sounds/")[2]
            assert member is not None and member.read() == (tmp_path / "worker" / file).read_bytes(), name


@pytest.mark.slow
def test_sounds_are_restored_on_the_other_kind_of_database(make: Callable[..., Office], tmp_path: Path) -> None:
    first = make("first", migrated=True)
    add_sounds(first.database, tmp_path / "worker", create_request(first.database, create_module(first.database)).id)
    before = stored_sounds(first.database)
    assert set(before) == {RECORDING, NAME}
    second = Office(tmp_path / "second")  # on SQLite
    assert second.restore(first.save()).sounds == 2
    assert stored_sounds(second.database) == {}
    third = make("third")
    third.restore(second.save())
    assert stored_sounds(third.database) == before
    for office in (second, third):
        assert {file: (office.settings.prompts_path / file).read_bytes() for file in before} == before


def test_an_office_is_never_replaced_wherever_it_is(first: Office, make: Callable[..., Office]) -> None:
    second = make("second", migrated=True)
    north = add_exchange(second.app)
    create_module(north, name="Repairs")
    before = rows_of(north)
    with pytest.raises(NotEmpty):
        second.restore(first.save())
    assert rows_of(north) == before


def test_sqlite_is_refused_before_anything_changes(first: Office, tmp_path: Path) -> None:
    second = Office(tmp_path / "second")
    second.upgrade()
    with pytest.raises(DoesNotFit, match=r"3 exchanges \(main, north, south\)"):
        second.restore(first.save())
    assert not list(second.settings.data_dir.rglob("*.wav"))
    with closing(second.database.engine.connect()) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
    second.database.engine.dispose()


def with_table(members: dict[str, bytes], name: str, content: bytes) -> None:
    """Replace a file and its hash, so that only its content is wrong."""
    members[name] = content
    files = json.loads(members["manifest.json"])["files"]
    with_manifest(members, files=files | {name: hashlib.sha256(content).hexdigest()})


def without_table(members: dict[str, bytes]) -> None:
    members.pop("exchanges/north/tables/modules.jsonl")


def with_other_code(members: dict[str, bytes]) -> None:
    """The list of the exchanges has another one than the folders."""
    with_table(members, "tables/exchanges.jsonl", members["tables/exchanges.jsonl"].replace(b"south", b"west"))


def with_bad_row(members: dict[str, bytes]) -> None:
    """The last table of the last exchange refers to a user that is not there."""
    name = "exchanges/south/tables/saved_filters.jsonl"
    lines = members[name].splitlines()
    row = dict(zip(json.loads(lines[0]), json.loads(lines[1]), strict=True)) | {"user_id": 77}
    with_table(members, name, lines[0] + b"\n" + json.dumps(list(row.values())).encode() + b"\n")


def as_first(members: dict[str, bytes]) -> None:
    for name in [name for name in members if name.startswith("exchanges/north/")]:
        members[name.replace("north", "main")] = members.pop(name)


BAD: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) * 2 // 3],
    "a byte changed": lambda content: content[:3000] + bytes([content[3000] ^ 1]) + content[3001:],
    "a table of a branch missing": lambda content: repacked(content, without_table),
    "a branch called as the first exchange": lambda content: repacked(content, as_first),
    "a branch with a bad code": lambda content: repacked(
        content, lambda m: m.update({'exchanges/a"b/tables/modules.jsonl': b"[]\n"})
    ),
    "a folder out of the exchanges": lambda content: repacked(
        content, lambda m: m.update({"exchanges/../tables/modules.jsonl": b"[]\n"})
    ),
    "other exchanges in the list": lambda content: repacked(content, with_other_code),
    "exchanges of another kind": lambda content: repacked(content, lambda m: with_manifest(m, exchanges=[1])),
    "a row that refers to nothing": lambda content: repacked(content, with_bad_row),
}


@pytest.mark.slow
def test_bad_file_restores_nothing_and_a_good_one_then_everything(first: Office, make: Callable[..., Office]) -> None:
    """Also in the exchanges that were restored before the bad row came."""
    content, second = first.save(), make("second")
    for name, change in BAD.items():
        with pytest.raises(BadBackup):
            second.restore(change(content))
        assert schemas(second) == set(), name
        assert not list(second.settings.prompts_path.rglob("*.wav")), name
        for code in (NORTH, SOUTH):
            assert not code_exists(second, code), name
    second.restore(content)
    assert rows_of(second.registry.find(SOUTH)) == rows_of(first.registry.find(SOUTH))


def code_exists(office: Office, code: str) -> bool:
    with office.database.engine.connect() as connection:
        return code in [exchange.code for exchange in list_further(connection)]


@pytest.mark.slow
def test_a_restore_that_was_killed_can_be_repeated(first: Office, make: Callable[..., Office], tmp_path: Path) -> None:
    content, second = first.save(), make("second")
    folder = tmp_path / "unpacked"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    backup._clear(second.database, (NORTH, SOUTH))
    second.upgrade()
    backup._announce(second.database, folder)  # and here the power fails
    assert schemas(second) == {schema_of(NORTH), schema_of(SOUTH)}
    second.restore(content)
    assert rows_of(second.registry.find(NORTH)) == rows_of(first.registry.find(NORTH))


def test_a_user_who_may_not_create_schemas_is_told_what_to_do(
    first: Office, make: Callable[..., Office], postgres_url: str
) -> None:
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    target = make("target", migrated=True)
    name = make_url(target.settings.database_url).database
    with admin.connect() as connection:
        connection.execute(text("CREATE ROLE plain LOGIN PASSWORD 'p'"))
    with target.database.engine.begin() as connection:
        for table in [*Base.metadata.tables, "alembic_version"]:
            connection.execute(text(f'ALTER TABLE "{table}" OWNER TO plain'))
    url = make_url(target.settings.database_url).set(username="plain", password="p")
    try:
        limited = Office(target.settings.data_dir / "limited", database_url=url.render_as_string(hide_password=False))
        with pytest.raises(DoesNotFit, match=f"GRANT CREATE ON DATABASE {name} TO plain"):
            limited.restore(first.save())
        with limited.database.read() as session:
            assert session.scalar(text("SELECT version_num FROM alembic_version")) == HEAD, "nothing has changed"
        limited.database.engine.dispose()
    finally:
        with target.database.engine.begin() as connection:
            connection.execute(text("DROP OWNED BY plain CASCADE"))
        with admin.connect() as connection:
            connection.execute(text("DROP ROLE plain"))
        admin.dispose()


def test_a_schema_that_belongs_to_no_exchange_is_not_deleted(first: Office, make: Callable[..., Office]) -> None:
    second = make("second")
    with second.database.engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA exchange_north"))
        connection.execute(text("CREATE TABLE exchange_north.modules (name text)"))
    with pytest.raises(DoesNotFit, match="exchange_north"):
        second.restore(first.save())
    assert schemas(second) == {schema_of(NORTH)}
    with second.database.read() as session:
        assert session.scalars(text("SELECT name FROM exchange_north.modules")).all() == []


@pytest.mark.slow
def test_exchanges_of_an_older_version_are_migrated(make: Callable[..., Office]) -> None:
    first, second = make("first"), make("second")
    first.upgrade("0043")
    with first.database.engine.begin() as connection:
        connection.execute(text("INSERT INTO exchanges (code, name, created_at) VALUES ('north', 'North', now())"))
        reserve_schema(connection, NORTH)
        (key,) = list_further(connection)
        prepare_migration(connection, key)
    first.upgrade("0043")
    with first.database.engine.begin() as connection:
        share_tables(connection, key)
        connection.execute(text("INSERT INTO exchange_north.settings (name, value) VALUES ('ring_time', '31')"))
    second.restore(first.save())
    north = second.registry.find(NORTH)
    with north.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM exchange_north.alembic_version")) == HEAD
        assert connection.scalar(text("SELECT value FROM settings WHERE name = 'ring_time'")) == "31"
        assert_same_schema(connection, NORTH)


def test_a_file_of_a_version_that_saved_one_exchange_is_restored(make: Callable[..., Office]) -> None:
    first, second = make("first", migrated=True), make("second")
    create_request(first.database, create_module(first.database))

    def without_exchanges(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        del manifest["exchanges"]
        members["manifest.json"] = json.dumps(manifest).encode()

    made = second.restore(repacked(first.save(), without_exchanges))
    assert (made.requests, made.further) == (1, ())
    with pytest.raises(UnknownExchange):
        second.registry.find(NORTH)
