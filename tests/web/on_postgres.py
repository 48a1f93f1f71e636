"""Fixtures that give the panel a PostgreSQL database, with the same users as `conftest.py`."""

from collections.abc import Iterator

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from sqlalchemy import make_url

from app import create_app
from app.config import Settings
from app.extensions import db, limiter
from script.office.database import make_settings
from script.office.server_database import (
    migrated_database,
    new_database,
    open_server_database,
)
from tests.web.conftest import add_people


@pytest.fixture(scope="module")
def template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with migrated_database(postgres_url, tmp_path_factory.mktemp("template")) as name:
        with open_server_database(make_url(postgres_url).set(database=name).render_as_string(False)) as opened:
            add_people(opened)
        yield name


@pytest.fixture
def app(settings: Settings, postgres_url: str, template: str, compiled_templates: BytecodeCache) -> Iterator[Flask]:
    with new_database(postgres_url, template) as url:
        app = create_app(make_settings(settings.data_dir, database_url=url))
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        app.jinja_env.bytecode_cache = compiled_templates
        limiter.reset()
        yield app
        with app.app_context():
            db.engine.dispose()
