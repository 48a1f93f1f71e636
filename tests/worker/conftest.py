"""The worker's parts are tested on copies of a database that the migrations have built."""

from pathlib import Path

import pytest

from app.config import Settings
from script.office.database import make_settings
from tests.support.databases import built_database, database, database_file

__all__ = ["built_database", "database", "database_file"]


@pytest.fixture
def office(tmp_path: Path) -> Settings:
    """An office whose data lies with the test."""
    return make_settings(tmp_path, outbound_context="outbound")
