"""A backup of the whole office, and what is restored of it."""

import functools
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, MetaData, event, inspect, select, text

from app import create_app
from app.config import Settings
from app.demo_data import fill
from app.services import backup
from app.services.backup import BadBackup, NotEmpty
from app.services.requests import pause
from app.store.database import Database
from app.store.encryption import decrypt, encrypt
from app.store.exchanges import Exchanges
from app.store.models import Base, CallRequest, SecondFactor, User, UserSession, Webhook, WebhookMessage
from app.store.schema import MIGRATIONS
from app.store.settings import read_all, write_setting
from script.office.database import build_database, make_settings
from script.office.server_database import new_database
from tests.support.factories import (
    NOW,
    create_contact,
    create_module,
    create_request,
    create_webhook,
    create_webhook_message,
    store,
)

SOUND, NAME = f"uploads/{'a' * 64}.wav", f"names/{'b' * 32}.wav"
CHANGED = {"settings", "log_entries"}  # by the pause, and by the entry in the audit log
HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()
REVISIONS = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}


class Office:
    """An application with its data in a folder of its own, without tables at first."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        folder.mkdir()
        self.settings: Settings = make_settings(folder, **settings)
        self.app: Flask = create_app(self.settings)
        self.registry: Exchanges = self.app.extensions["bazang"]["exchanges"]
        self.database: Database = self.registry.first

    def upgrade(self, revision: str = "head") -> None:
        """Run the migrations. Tables of the newest version in an empty file are copied: all tests need the same."""
        engine = self.database.engine
        if revision in ("head", HEAD) and engine.dialect.name == "sqlite" and not inspect(engine).get_table_names():
            engine.dispose()
            build_database(self.settings.data_dir)
            return
        with self.app.app_context():
            flask_migrate.upgrade(revision=revision)

    def save(self) -> bytes:
        stream = io.BytesIO()
        backup.save(self.settings, self.database, stream, NOW)
        return stream.getvalue()

    def restore(self, content: bytes) -> backup.Backup:
        return backup.restore(
            self.settings, self.registry, io.BytesIO(content), NOW, revisions=REVISIONS, upgrade=self.upgrade
        )

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows that a backup contains, by table."""
        found = {}
        with self.database.read() as session:
            metadata = MetaData()
            metadata.reflect(session.connection())
            for table in metadata.tables.values():
                if table.name not in backup._LIVE | CHANGED:
                    rows = session.execute(select(table).order_by(*table.primary_key)).all()
                    found[table.name] = [tuple(backup._to_json(value) for value in row) for row in rows]
        return found


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Office]:
    return lambda name, **settings: Office(tmp_path / name, **settings)


@pytest.fixture
def first(make: Callable[..., Office]) -> Office:
    """An office with 60 requests, a recording, a spoken name, and an encrypted secret."""
    office = make("first")
    office.upgrade()
    with office.app.app_context():
        create_module(office.database)
    create_contact(office.database, "Sara", "+989121234567", organisation="Pars")
    fill(office.database, office.settings, 60, NOW, waiting=5)
    with office.database.write() as session:
        write_setting(session, "ami_secret", encrypt(office.settings, "s3cret"))
    for file in (SOUND, NAME):
        path = office.settings.prompts_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.encode())
    (office.settings.prompts_path / "speech").mkdir()
    (office.settings.prompts_path / "speech" / f"{'c' * 64}.wav").write_bytes(b"made again")
    return office


def test_everything_is_restored_on_an_empty_machine(first: Office, make: Callable[..., Office]) -> None:
    content, second = first.save(), make("second")
    made = second.restore(content)
    assert (made.requests, made.sounds, made.has_key, made.made_at) == (60, 2, True, NOW)
    assert second.rows() == first.rows()
    for file in (SOUND, NAME):
        assert (second.settings.prompts_path / file).read_bytes() == file.encode()
    assert not list((second.settings.prompts_path / "speech").iterdir())
    with second.database.read() as session:
        assert decrypt(second.settings, read_all(session)["ami_secret"]) == "s3cret"


def test_automatic_calls_are_paused_because_people_may_have_been_called_since(make: Callable[..., Office]) -> None:
    first, second = make("first"), make("second")
    first.upgrade()
    create_request(first.database, create_module(first.database))
    second.restore(first.save())
    with second.database.read() as session:
        found = pause.load_pause(session)
    assert found is not None and "backup" in found.reason


def test_webhooks_are_paused_and_nothing_that_waited_for_them_is_sent(make: Callable[..., Office]) -> None:
    first, second = make("first"), make("second")
    first.upgrade()
    create_webhook_message(first.database, create_webhook(first.database))
    second.restore(first.save())
    with second.database.read() as session:
        assert session.scalars(select(Webhook.paused_at)).one() == NOW
        assert session.scalars(select(WebhookMessage)).all() == []


class Killed(BaseException):
    """The program has died: nothing is committed from now on."""


def restore_until(office: Office, content: bytes, commits: int) -> bool:
    """Restore a backup, but die before one more than so many commits. Return whether the restore came to its end."""
    engine, done = office.database.engine, 0

    def count_commit(_: Connection) -> None:
        nonlocal done
        if done >= commits:
            raise Killed
        done += 1

    event.listen(engine, "commit", count_commit)
    try:
        office.restore(content)
    except Killed:
        return False
    finally:
        event.remove(engine, "commit", count_commit)
    return True


def test_restore_that_is_killed_at_any_step_leaves_nothing_unpaused(
    make: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make("first"), make("second")
    for office in (first, second):
        office.upgrade()
    monkeypatch.setattr(second, "upgrade", functools.partial(make_tables, second))
    create_request(first.database, create_module(first.database))
    create_webhook(first.database)
    with first.database.write() as session:
        write_setting(session, "ami_secret", encrypt(first.settings, "s3cret"))
    content, killed_late = first.save(), 0
    for commits in count():
        ended = restore_until(second, content, commits)
        if (found := what_is_restored(second)) is not None:
            assert found == (True, NOW, "s3cret"), f"killed after {commits} commits"
            if ended:
                break
            killed_late += 1
            second.upgrade()  # what a person is told to do
            with pytest.raises(NotEmpty):
                second.restore(content)
            with second.database.write() as session:  # to try the next step
                for table in ("call_requests", "modules"):
                    session.execute(text(f"DELETE FROM {table}"))
        assert not ended
    assert killed_late >= 1


def what_is_restored(office: Office) -> tuple[bool, datetime | None, str] | None:
    """Return whether calls are paused, since when webhooks are, and the secret; None if no request is there."""
    if not inspect(office.database.engine).has_table("call_requests"):
        return None
    with office.database.read() as session:
        if session.scalars(select(CallRequest.id)).first() is None:
            return None
        stored = read_all(session)
        secret = decrypt(office.settings, stored["ami_secret"])
        return pause.is_paused(stored), session.scalars(select(Webhook.paused_at)).one(), secret


def make_tables(office: Office, revision: str = "head") -> None:
    """Create the tables of the newest version. That is faster than migrations, of which each is tried elsewhere."""
    with office.database.write() as session:
        connection = session.connection()
        Base.metadata.create_all(connection)
        connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("DELETE FROM alembic_version"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def test_backup_of_an_older_version_is_migrated(make: Callable[..., Office]) -> None:
    first, second = make("first"), make("second")
    first.upgrade("0027")
    with first.database.write() as session:
        write_setting(session, "ring_time", "31")
    second.restore(first.save())
    with second.database.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
        assert read_all(session)["ring_time"] == "31"


def test_what_belongs_to_the_present_is_left_out_as_a_whole() -> None:
    """Otherwise rows would refer to rows that are not restored."""
    tables = Base.metadata.tables
    assert tables.keys() >= backup._LIVE
    keys = [key for name in tables.keys() - backup._LIVE for key in tables[name].foreign_keys]
    lose_rows = {key.parent.table.name for key in keys if key.column.table.name in backup._LIVE}
    assert all(key.parent.nullable for key in keys if key.column.table.name in backup._LIVE)
    assert not [key for key in keys if key.column.table.name in lose_rows]


def test_second_factor_that_is_being_set_up_ends_with_its_session(make: Callable[..., Office]) -> None:
    first, second = make("first"), make("second")
    first.upgrade()
    store(first.database, User(id=1, name="sara", password_hash="", role="operator", created_at=NOW))
    login = {"user_id": 1, "generation": 0, "started_at": NOW, "used_at": NOW}
    store(first.database, UserSession(id=1, digest="d", **login))
    store(first.database, SecondFactor(user_id=1, secret="", session_id=1, started_at=NOW))
    made = second.restore(first.save())
    assert made.users == 1 and second.rows()["second_factors"] == []


def test_office_is_never_replaced(first: Office, make: Callable[..., Office]) -> None:
    second = make("second")
    second.upgrade()
    create_module(second.database)
    before = second.rows()
    with pytest.raises(NotEmpty):
        second.restore(first.save())
    assert second.rows() == before


def test_key_of_the_environment_is_not_saved(make: Callable[..., Office]) -> None:
    office = make("first", secret_key="k" * 40)
    office.upgrade()
    content = office.save()
    assert b"k" * 40 not in gzip.decompress(content)
    assert not make("second").restore(content).has_key


def repacked(content: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    """Return a backup with other members."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    change(members)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def with_manifest(members: dict[str, bytes], **changes: Any) -> None:
    members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | changes).encode()


BAD: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: b"",
    "text": lambda content: b"no archive at all\n" * 100,
    "cut off": lambda content: content[: len(content) // 2],
    "a byte changed": lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:],
    "a path out of the folder": lambda content: repacked(content, lambda m: m.update({"../evil": b"x"})),
    "another sound": lambda content: repacked(content, lambda m: m.update({"sounds/speech/x.wav": b"x"})),
    "a table missing": lambda content: repacked(content, lambda m: m.pop("tables/modules.jsonl")),
    "a table changed": lambda content: repacked(content, lambda m: m.update({"tables/users.jsonl": b'["id"]\n'})),
    "no manifest": lambda content: repacked(content, lambda m: m.pop("manifest.json")),
    "a manifest of another kind": lambda content: repacked(content, lambda m: m.update({"manifest.json": b"[]"})),
    "a newer format": lambda content: repacked(content, lambda m: with_manifest(m, format=2)),
    "a newer revision": lambda content: repacked(content, lambda m: with_manifest(m, revision="9999")),
}


def test_bad_file_restores_nothing(first: Office, make: Callable[..., Office], tmp_path: Path) -> None:
    content = first.save()
    for name, change in BAD.items():
        second = make(name)
        with pytest.raises(BadBackup):
            second.restore(change(content))
        with second.database.read() as session:
            assert not inspect(session.connection()).get_table_names(), name
        assert not list(second.settings.prompts_path.glob("*/*.wav")), name
        second.database.engine.dispose()
    assert not list(tmp_path.rglob("evil"))


def test_other_kind_of_database(first: Office, make: Callable[..., Office], postgres_url: str) -> None:
    """From SQLite to PostgreSQL and back again."""
    with new_database(postgres_url) as url:
        second, third = make("second", database_url=url), make("third")
        second.restore(first.save())
        assert second.rows() == first.rows()
        module = create_module(second.database, name="Another", code="*77")
        create_request(second.database, module)
        third.restore(second.save())
        assert third.rows() == second.rows()
        second.database.engine.dispose()
