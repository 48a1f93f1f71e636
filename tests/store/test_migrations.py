"""The migrations build what the models say: no more and no less."""

from pathlib import Path

import flask_migrate
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app import create_app
from app.extensions import db
from app.store.models import Base
from tests.support.factories import MIGRATIONS, make_settings, open_engine


def test_the_migrations_leave_no_difference_to_the_models(database_file: Path) -> None:
    engine = open_engine(database_file)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": Base.metadata, "render_as_batch": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_partial_indexes_are_partial(database_file: Path) -> None:
    """Alembic compares the columns of an index and not its condition; so the conditions are compared here."""
    engine = open_engine(database_file)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
        built = {row.name: row.sql for row in rows}
    engine.dispose()
    conditions = {
        index.name: str(index.dialect_options["sqlite"]["where"])
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }
    assert {"uq_active_request", "uq_attempt_request", "uq_attempt_number", "uq_attempt_agent"} <= conditions.keys()
    for name, condition in conditions.items():
        assert built[name].endswith(f"WHERE {condition}"), name


def test_there_is_one_newest_migration_and_the_database_has_it(database_file: Path) -> None:
    heads = ScriptDirectory(str(MIGRATIONS)).get_heads()
    assert len(heads) == 1
    engine = open_engine(database_file)
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == heads[0]
    engine.dispose()


def test_the_way_down_leaves_nothing_and_the_way_up_works_again(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="base")
        assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        assert set(Base.metadata.tables) <= set(inspect(db.engine).get_table_names())
        db.engine.dispose()
