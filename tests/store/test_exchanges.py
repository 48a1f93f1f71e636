"""Several exchanges in one database, each in a schema of its own."""

import shutil
from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import ProgrammingError

from app import create_app
from app.config import FIRST_EXCHANGE
from app.extensions import db
from app.services import exchanges
from app.services.errors import ErrorCode, Invalid
from app.store import schema
from app.store.database import Database
from app.store.exchanges import (
    EXCHANGE_TABLES,
    SHARED_TABLES,
    Exchanges,
    IncompleteSchema,
    UnknownExchange,
    exchange_of,
    schema_of,
)
from app.store.models import Base, CallRequest, Module, PushMessage, PushSubscription, User, UserSession
from app.store.settings import OF_PANEL, read_all, read_setting, write_setting
from script.office.database import MIGRATIONS, make_settings
from tests.support.exchanges import NORTH, add_exchange, app, registry
from tests.support.factories import NOW, create_module, create_request, store

__all__ = ["app", "registry"]


@pytest.fixture
def first(app: Flask) -> Database:
    database: Database = app.extensions["bazang"]["database"]
    return database


def test_each_table_belongs_to_the_panel_or_to_an_exchange() -> None:
    assert not SHARED_TABLES & EXCHANGE_TABLES
    assert set(Base.metadata.tables) == SHARED_TABLES | EXCHANGE_TABLES


def test_no_table_of_the_panel_refers_to_one_of_an_exchange() -> None:
    """Such a row could not say which exchange it means."""
    for name in SHARED_TABLES:
        referred = {key.column.table.name for key in Base.metadata.tables[name].foreign_keys}
        assert referred <= SHARED_TABLES, name


def test_a_new_exchange_has_the_tables_of_the_models(app: Flask) -> None:
    north = add_exchange(app)
    assert schema.current_revision(north.engine) == schema.wanted_revision()
    with north.engine.connect() as connection:
        options = {"compare_type": True, "target_metadata": Base.metadata}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        there = set(inspect(connection).get_table_names(schema=schema_of(NORTH)))
        assert there == EXCHANGE_TABLES | {"alembic_version"}
        query = text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = :schema")
        of_first, of_north = (
            {name: sql.replace(f" {schema}.", " ") for name, sql in connection.execute(query, {"schema": schema})}
            for schema in ("public", schema_of(NORTH))
        )
    assert {name: of_first.get(name) for name in of_north} == of_north


def test_what_is_stored_in_an_exchange_is_not_in_another(app: Flask, first: Database) -> None:
    north = add_exchange(app)
    south = add_exchange(app, "south", "South branch")
    for database, names in ((first, ["Sales"]), (north, ["Repairs", "Orders"]), (south, [])):
        for name in names:
            create_request(database, create_module(database, name=name, code=f"*5{len(name)}"))
    for database, names in ((first, ["Sales"]), (north, ["Repairs", "Orders"]), (south, [])):
        with database.read() as session:
            assert list(session.scalars(select(Module.name).order_by(Module.id))) == names
            assert list(session.scalars(select(CallRequest.id).order_by(CallRequest.id))) == [
                number + 1 for number in range(len(names))
            ], "each exchange counts its own requests"


def test_an_exchange_finds_the_users_of_the_panel(app: Flask, first: Database) -> None:
    north = add_exchange(app)
    user = User(name="Omid", password_hash="", role="operator", created_at=NOW)
    store(north, user)
    login = UserSession(user_id=user.id, digest="d", generation=0, started_at=NOW, used_at=NOW)
    store(first, login)
    browser = PushSubscription(user_id=user.id, session_id=login.id, endpoint="e", digest="d", p256dh="", auth="")
    browser.contact, browser.created_at = "", NOW
    store(first, browser)
    message = PushMessage(subscription_id=browser.id, kind="test", key="k", created_at=NOW, next_at=NOW, expires_at=NOW)
    store(north, message)
    with first.write() as session:
        session.delete(session.get_one(UserSession, login.id))
    with north.read() as session:
        assert session.get(PushMessage, message.id) is None, "it goes with the browser"
        assert session.scalar(select(User.name)) == "Omid"


def test_settings_of_the_panel_are_those_of_the_first_exchange(app: Flask, first: Database) -> None:
    north = add_exchange(app)
    with first.write() as session:
        write_setting(session, "mail_host", "mail.example.org")
        write_setting(session, "timezone", "Asia/Tehran")
    with north.write() as session:
        assert read_all(session) == {"mail_host": "mail.example.org"}
        write_setting(session, "mail_host", "mx.example.org")
        write_setting(session, "timezone", "Europe/Berlin")
    with first.read() as session:
        assert read_setting(session, "mail_host") == "mx.example.org"
        assert read_setting(session, "timezone") == "Asia/Tehran"
    with north.read() as session:
        assert {name: read_setting(session, name) for name in ("mail_host", "timezone")} == {
            "mail_host": "mx.example.org",
            "timezone": "Europe/Berlin",
        }
    assert "mail_host" in OF_PANEL


def test_a_connection_to_an_incomplete_schema_fails(app: Flask, first: Database, registry: Exchanges) -> None:
    """It would read the rows of the first exchange."""
    create_module(first)
    add_exchange(app)
    registry.dispose()
    with first.engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {schema_of(NORTH)}.prompts"))
    with pytest.raises(IncompleteSchema, match="prompts"), registry.find(NORTH).read() as session:
        session.scalars(select(Module)).all()
    with first.engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema_of(NORTH)} CASCADE"))
    registry.dispose()
    with pytest.raises(IncompleteSchema), registry.find(NORTH).read() as session:
        session.scalars(select(Module)).all()


def test_codes_and_names_are_checked(app: Flask, registry: Exchanges) -> None:
    add_exchange(app)
    for code, name, errors in (
        ("north", "Other", {"code": ErrorCode.TAKEN}),
        ("main", "Other", {"code": ErrorCode.TAKEN}),
        ("south", "north BRANCH", {"name": ErrorCode.TAKEN}),
        ("", "", {"code": ErrorCode.REQUIRED, "name": ErrorCode.REQUIRED}),
        ('a"; DROP', "Other", {"code": ErrorCode.EXCHANGE_CODE}),
        ("1st", "Other", {"code": ErrorCode.EXCHANGE_CODE}),
        ("a" * 21, "Other", {"code": ErrorCode.EXCHANGE_CODE}),
    ):
        with pytest.raises(Invalid) as caught:
            exchanges.create(registry, code, name, NOW, actor="sara")
        assert caught.value.errors == errors
    assert [row.code for row in exchanges.list_exchanges(registry.first)] == [FIRST_EXCHANGE, NORTH]
    for code in ("south", "public", ""):
        with pytest.raises(UnknownExchange):
            registry.find(code)


_NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op

from app.store.exchanges import changes_shared_tables

revision = "9999"
down_revision = "{before}"


def upgrade():
    op.add_column("modules", sa.Column("colour", sa.String(8), nullable=False, server_default="red"))
    if changes_shared_tables(op.get_bind()):
        op.add_column("users", sa.Column("colour", sa.String(8), nullable=False, server_default="red"))
"""


def test_a_migration_changes_each_exchange_and_the_panel_once(app: Flask, first: Database, tmp_path: Path) -> None:
    create_module(add_exchange(app), name="Repairs")
    create_module(first)
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    (folder / "versions/9999_next.py").write_text(_NEXT_MIGRATION.format(before=schema.wanted_revision()))
    with app.app_context():
        flask_migrate.upgrade(directory=str(folder))
    with first.engine.connect() as connection:
        for place in ("public", schema_of(NORTH)):
            assert connection.scalar(text(f"SELECT version_num FROM {place}.alembic_version")) == "9999"
            assert connection.scalars(text(f"SELECT colour FROM {place}.modules")).all() == ["red"]
        assert connection.scalars(text("SELECT colour FROM users")).all() == []


def test_a_migration_that_fails_in_one_exchange_changes_none(app: Flask, first: Database, tmp_path: Path) -> None:
    north = add_exchange(app)
    with north.engine.begin() as connection:
        connection.execute(text("ALTER TABLE modules ADD COLUMN colour text"))
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    (folder / "versions/9999_next.py").write_text(_NEXT_MIGRATION.format(before=schema.wanted_revision()))
    with app.app_context(), pytest.raises(ProgrammingError):
        flask_migrate.upgrade(directory=str(folder))
    assert schema.current_revision(first.engine) == schema.wanted_revision()
    with first.engine.connect() as connection:
        assert "colour" not in {column["name"] for column in inspect(connection).get_columns("modules")}


def test_the_way_back_is_closed_while_there_are_further_exchanges(app: Flask, first: Database) -> None:
    north = add_exchange(app)
    create_module(north)
    with app.app_context(), pytest.raises(SystemExit):
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0042")
    assert schema.current_revision(first.engine) == schema.wanted_revision()
    with north.read() as session:
        assert session.scalar(select(Module.id)) == 1


def test_sqlite_has_one_exchange(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        registry: Exchanges = app.extensions["bazang"]["exchanges"]
        with pytest.raises(exchanges.NeedsPostgres):
            exchanges.create(registry, NORTH, "North", NOW, actor="sara")
        assert registry.find(FIRST_EXCHANGE) is registry.first
        assert exchange_of(registry.first.engine).is_first
        with pytest.raises(UnknownExchange):
            registry.find(NORTH)
        db.engine.dispose()
