"""A panel on PostgreSQL with a second exchange."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.extensions import db
from app.services import exchanges
from app.store.database import Database
from app.store.exchanges import Exchanges
from script.office.database import make_settings
from script.office.server_database import new_database
from tests.support.factories import NOW

NORTH = "north"


@pytest.fixture
def app(postgres_url: str, postgres_template: str, tmp_path: Path) -> Iterator[Flask]:
    """A panel with one exchange, on PostgreSQL. Tests import it in place of the one on SQLite."""
    with new_database(postgres_url, postgres_template) as url:
        app = create_app(make_settings(tmp_path, database_url=url))
        yield app
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def registry(app: Flask) -> Exchanges:
    found: Exchanges = app.extensions["bazang"]["exchanges"]
    return found


def add_exchange(app: Flask, code: str = NORTH, name: str = "North branch") -> Database:
    """Add an exchange and return its database."""
    registry: Exchanges = app.extensions["bazang"]["exchanges"]
    exchanges.create(registry, code, name, NOW, actor="sara")
    return registry.find(code)
