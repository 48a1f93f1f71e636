"""Fixtures that give each test its own database, copied from one that the migrations built."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.database import Database
from script.office.database import build_database, open_database


@pytest.fixture(scope="session")
def built_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_database(tmp_path_factory.mktemp("built"))


@pytest.fixture
def database_file(built_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(built_database, tmp_path / "bazang.sqlite3"))


@pytest.fixture
def database(database_file: Path) -> Iterator[Database]:
    opened = open_database(database_file)
    yield opened
    opened.engine.dispose()
