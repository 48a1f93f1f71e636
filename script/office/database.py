"""Databases of a simulated office, built by the migrations as an installation builds them."""

from pathlib import Path
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
    """Build an SQLite file with the migrations and return its path."""
    app = create_app(make_settings(folder))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        db.engine.dispose()  # the last connection to close writes the WAL back, so the file can be copied
    return folder / "bazang.sqlite3"


def open_engine(path: Path) -> Engine:
    """Return an engine for an SQLite file, with the connection settings of Bazang."""
    engine = create_engine(f"sqlite:///{path}")
    prepare_engine(engine)
    return engine


def open_database(path: Path) -> Database:
    """Return Bazang's database object for an SQLite file."""
    return Database(open_engine(path))
