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
from script.office.server_database import new_database, open_server_database
from tests.web.conftest import add_people


@pytest.fixture(scope="session")
def template_with_people(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_database(postgres_url, postgres_template) as url:
        with open_server_database(url) as opened:
            add_people(opened)
        yield str(make_url(url).database)


@pytest.fixture
def app(
    settings: Settings, postgres_url: str, template_with_people: str, compiled_templates: BytecodeCache
) -> Iterator[Flask]:
    with new_database(postgres_url, template_with_people) as url:
        app = create_app(make_settings(settings.data_dir, database_url=url))
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        app.jinja_env.bytecode_cache = compiled_templates
        limiter.reset()
        yield app
        with app.app_context():
            db.engine.dispose()
