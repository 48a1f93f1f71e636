"""Create databases on a PostgreSQL server: one with the migrations, and a copy of it for each test."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flask_migrate
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from app import create_app
from app.extensions import db
from app.store.database import Database
from script.office.database import MIGRATIONS, make_settings

CONNECTIONS = 20  # more than the threads of any test, so no thread waits for a connection
_numbers = itertools.count(1)


@contextmanager
def new_database(server: str, template: str = "template0") -> Iterator[str]:
    """Create a database from `template`, yield its URL and drop it afterwards."""
    name = f"test_{next(_numbers)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        # Since version 15 the server logs each block of the copy, unless it is told to copy the files.
        strategy = "STRATEGY FILE_COPY" if (connection.dialect.server_version_info or ()) >= (15,) else ""
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def migrated_database(server: str, folder: Path) -> Iterator[str]:
    """Create a database with the migrations and yield its name as a template. A template must have no connections."""
    with new_database(server) as url:
        app = create_app(make_settings(folder, database_url=url))
        with app.app_context():
            flask_migrate.upgrade(directory=str(MIGRATIONS))
            db.engine.dispose()
        yield str(make_url(url).database)


def open_server_engine(url: str) -> Engine:
    return create_engine(url, pool_size=CONNECTIONS)


@contextmanager
def open_server_database(url: str) -> Iterator[Database]:
    engine = open_server_engine(url)
    try:
        yield Database(engine)
    finally:
        engine.dispose()
