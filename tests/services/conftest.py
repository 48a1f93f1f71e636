"""Each test gets a copy of a database that the migrations built."""

from pathlib import Path

import pytest

from app.config import Settings
from script.office.database import make_settings
from tests.support.databases import built_database, database, database_file

__all__ = ["built_database", "database", "database_file"]


@pytest.fixture
def office(tmp_path: Path) -> Settings:
    """Return the settings of an office with its own data folder."""
    return make_settings(tmp_path)
