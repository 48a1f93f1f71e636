"""Whether the database has the tables of this version."""

from functools import cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

MIGRATIONS = Path(__file__).parents[2] / "migrations"


@cache
def wanted_revision() -> str:
    """Return the revision of the tables that this version needs."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head() or ""


def current_revision(engine: Engine) -> str:
    """Return the revision of a database, "" if it has no tables of ours. Raises SQLAlchemyError."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""
