"""Databases of a simulated office, built by the migrations as an installation builds them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import flask_migrate
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine

from app import create_app
from app.config import Settings
from app.extensions import db
from app.store.database import Database, prepare_engine

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def make_settings(folder: Path, **values: Any) -> Settings:
    """Return settings with their data in `folder`, whatever the machine's environment and `.env` say.

    The initializer of BaseSettings, which looks there for every setting, takes four milliseconds.
    """
    settings = Settings.__new__(Settings)
    BaseModel.__init__(settings, data_dir=folder, **values)
    return settings


def build_database(folder: Path) -> Path:
    """Put an SQLite file that the migrations have built into a folder, and return its path."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "bazang.sqlite3"
    path.touch(mode=0o600)
    path.write_bytes(_migrated_file())
    return path


@cache
def _migrated_file() -> bytes:
    """Run the migrations, once in this process."""
    with TemporaryDirectory() as folder:
        app = create_app(make_settings(Path(folder)))
        with app.app_context():
            flask_migrate.upgrade(directory=str(MIGRATIONS))
            db.engine.dispose()  # the last connection to close writes the WAL back
        return (Path(folder) / "bazang.sqlite3").read_bytes()


def open_engine(path: Path) -> Engine:
    """Return an engine for an SQLite file, with the connection settings of Bazang."""
    engine = create_engine(f"sqlite:///{path}")
    prepare_engine(engine)
    return engine


def open_database(path: Path) -> Database:
    """Return Bazang's database object for an SQLite file."""
    return Database(open_engine(path))
