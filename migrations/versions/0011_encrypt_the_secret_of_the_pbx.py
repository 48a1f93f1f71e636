"""Encrypt the secret for the PBX, and remove what is left of the plain one from the file of an SQLite database."""

import logging
import sqlite3

import sqlalchemy as sa
from alembic import op
from flask import current_app

from app.store import encryption

# revision identifiers, used by Alembic.
revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SETTING = sa.table("settings", sa.column("name", sa.String), sa.column("value", sa.Text))
log = logging.getLogger("bazang")


def upgrade():
    # On PostgreSQL the worker encrypts it when it starts: the panel may be on another machine, with another key.
    if op.get_bind().dialect.name != "sqlite":
        return
    op.get_bind().exec_driver_sql("PRAGMA secure_delete=ON")
    if _replace(encryption.encrypt):
        _overwrite_free_pages(op.get_bind())


def downgrade():
    _replace(encryption.decrypt)


def _replace(change):
    """Replace the stored secret by what `change` makes of it. Return whether there was one to replace."""
    stored = op.get_bind().scalar(sa.select(SETTING.c.value).where(SETTING.c.name == "ami_secret")) or ""
    if not stored or encryption.is_encrypted(stored) == (change is encryption.encrypt):
        return False
    value = change(current_app.extensions["bazang"]["settings"], stored)
    op.execute(SETTING.update().where(SETTING.c.name == "ami_secret").values(value=value))
    return True


def _overwrite_free_pages(bind):
    """Rewrite the file, because pages that are free now may still have the plain secret."""
    connection = bind.connection.driver_connection
    connection.execute("COMMIT")
    try:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError as error:  # another process reads
        log.warning(
            "the database file could not be rewritten (%s): stop the worker and the panel, and run VACUUM", error
        )
    finally:
        connection.execute("BEGIN IMMEDIATE")
