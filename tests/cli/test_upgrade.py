"""The steps of an upgrade of the package: back up, migrate, check, and go back where that fails."""

import json
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import make_url

from app import upgrade as upgrades
from app.config import Settings
from app.upgrade import KEPT_BACKUPS, Upgrade, UpgradeFailed
from script.office.server_database import migrated_database
from tests.cli.conftest import ROOT

NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)
OLD = Path("/old")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, tuple[str, ...]]]:
    """The commands that were run, each with its Python. A backup makes a file; nothing else happens."""
    seen: list[tuple[Path, tuple[str, ...]]] = []

    def run(python: Path, _folder: Path, *arguments: str) -> int:
        seen.append((python, arguments))
        if arguments[0] == "backup":
            Path(arguments[1]).write_bytes(b"a backup")
        return 0

    monkeypatch.setattr(upgrades, "_run", run)
    return seen


@pytest.fixture
def upgrade(app: Flask, settings: Settings) -> Upgrade:
    app.extensions["bazang"]["database"].engine.dispose()
    return Upgrade(settings)


def execute(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(settings.data_dir / "bazang.sqlite3")) as connection, connection:
        return connection.execute(statement).fetchall()


def revision(settings: Settings) -> object:
    return execute(settings, "SELECT version_num FROM alembic_version")[0][0]


def test_the_old_version_makes_the_backup(
    upgrade: Upgrade, settings: Settings, commands: list[tuple[Path, tuple[str, ...]]]
) -> None:
    upgrade.prepare(OLD, NOW)
    ((python, arguments),) = commands
    assert python == OLD / ".venv/bin/python3" and arguments[0] == "backup"
    assert Path(arguments[1]).exists() and Path(arguments[1]).parent == settings.data_dir / "backups"
    assert (settings.data_dir / "backups").stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("commands")
def test_the_last_backups_are_kept(upgrade: Upgrade, settings: Settings) -> None:
    for hours in range(KEPT_BACKUPS + 2):
        upgrade.prepare(OLD, NOW + timedelta(hours=hours))
        upgrade.finish()
    names = sorted(path.name for path in (settings.data_dir / "backups").iterdir())
    assert len(names) == KEPT_BACKUPS and names[-1] == "before-upgrade-20261130T100000Z.bazang"


def test_without_a_backup_nothing_goes_on(
    upgrade: Upgrade, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrades, "_run", lambda *_: 1)
    with pytest.raises(UpgradeFailed, match="no backup could be made"):
        upgrade.prepare(OLD, NOW)
    assert not (settings.data_dir / "upgrade").exists()


@pytest.mark.usefixtures("commands")
def test_revert_brings_the_whole_database_back(upgrade: Upgrade, settings: Settings) -> None:
    before = revision(settings)
    upgrade.prepare(OLD, NOW)
    execute(settings, "UPDATE alembic_version SET version_num = '9999'")
    execute(settings, "DROP TABLE users")
    upgrade.revert()
    assert revision(settings) == before
    assert execute(settings, "SELECT count(*) FROM users") == [(0,)]
    assert not (settings.data_dir / "upgrade").exists()


@pytest.mark.usefixtures("commands")
def test_an_interrupted_upgrade_is_taken_back_if_it_has_migrated(upgrade: Upgrade, settings: Settings) -> None:
    before = revision(settings)
    upgrade.prepare(OLD, NOW)
    execute(settings, "UPDATE alembic_version SET version_num = '9999'")  # then the power fails
    upgrade.prepare(OLD, NOW)
    assert revision(settings) == before


@pytest.mark.usefixtures("commands")
def test_what_the_old_version_wrote_after_an_interrupted_upgrade_is_kept(upgrade: Upgrade, settings: Settings) -> None:
    upgrade.prepare(OLD, NOW)  # then the power fails, and the old version goes on
    execute(settings, "CREATE TABLE written (id INTEGER)")
    upgrade.prepare(OLD, NOW)
    upgrade.revert()
    assert execute(settings, "SELECT count(*) FROM written") == [(0,)]


@pytest.mark.usefixtures("commands")
def test_without_an_office_there_is_nothing_to_save(upgrade: Upgrade, settings: Settings) -> None:
    execute(settings, "DELETE FROM alembic_version")
    upgrade.prepare(OLD, NOW)
    upgrade.revert()
    assert not (settings.data_dir / "backups").exists()


def test_a_database_of_another_version_does_not_pass(upgrade: Upgrade, settings: Settings) -> None:
    upgrade.check()
    execute(settings, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(UpgradeFailed, match="0001"):
        upgrade.check()


def test_a_failed_migration_is_a_failure(upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "_run", lambda *_: 1)
    with pytest.raises(UpgradeFailed, match="could not be migrated"):
        upgrade.migrate()


def test_postgresql_goes_back_by_its_migrations(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, commands: list[tuple[Path, tuple[str, ...]]]
) -> None:
    url = "postgresql+psycopg://bazang@localhost/bazang"
    upgrade = Upgrade(settings.model_copy(update={"database_url": url}))
    monkeypatch.setattr(upgrade, "_revision", lambda: "0034")
    settings.data_dir.mkdir()
    (settings.data_dir / "upgrade").mkdir()
    (settings.data_dir / "upgrade/revision.json").write_text(json.dumps({"revision": "0033"}))
    upgrade.revert()
    assert commands == [(Path(sys.executable), ("db", "downgrade", "0033"))]
    assert not (settings.data_dir / "upgrade").exists()


def test_a_real_postgresql_goes_back(
    postgres_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with migrated_database(postgres_url, tmp_path) as name:
        url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        monkeypatch.setenv("BAZANG_DATABASE_URL", url)
        monkeypatch.setenv("BAZANG_DATA_DIR", str(settings.data_dir))
        monkeypatch.setenv("FLASK_SKIP_DOTENV", "1")
        monkeypatch.chdir(ROOT)
        settings.data_dir.mkdir()
        upgrade = Upgrade(settings.model_copy(update={"database_url": url}))
        upgrade.check()
        (settings.data_dir / "upgrade").mkdir()
        (settings.data_dir / "upgrade/revision.json").write_text(json.dumps({"revision": "0032"}))
        upgrade.revert()
        with pytest.raises(UpgradeFailed, match="0032"):
            upgrade.check()
