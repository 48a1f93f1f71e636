"""Fixtures for the worker: each test gets a copy of a migrated database."""

from pathlib import Path

import pytest

from app.config import Settings
from script.office.database import make_settings
from tests.support.databases import built_database, database, database_file

__all__ = ["built_database", "database", "database_file"]


@pytest.fixture
def office(tmp_path: Path) -> Settings:
    """Settings of an office with its data in the test's folder."""
    return make_settings(tmp_path, outbound_context="outbound")
