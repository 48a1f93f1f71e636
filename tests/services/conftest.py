"""The services are tested on copies of a database that the migrations have built."""

from pathlib import Path

import pytest

from app.config import Settings
from tests.support.databases import built_database, database, database_file
from tests.support.factories import make_settings
from tests.support.sounds_of_this_run import _sounds_of_this_run, finished_sounds

__all__ = ["_sounds_of_this_run", "built_database", "database", "database_file", "finished_sounds"]


@pytest.fixture
def office(tmp_path: Path) -> Settings:
    """An office whose data lies with the test."""
    return make_settings(tmp_path)
