"""Replace an installed version by this one, or go back to it. The maintainer scripts of the Debian package run this.

The services do not run meanwhile. `prepare` has the old version back the office up, and keeps a copy of an SQLite
database. `migrate` migrates the database and checks that this version works on it. `revert` brings the old database
back. `finish` ends the upgrade. If the power fails between them, the next `prepare` finds out what has to be reverted.

On SQLite, `revert` puts the copy back. On PostgreSQL a migration that fails changes nothing, because it is one
transaction; one that has succeeded is undone by the migrations themselves.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from app import create_app
from app.config import UMASK, ConfigError, Settings, load_settings
from app.doctor import check_schema
from app.domain.findings import Level
from app.store import schema
from app.store.database import Database
from app.worker import Worker

KEPT_BACKUPS = 3
_FLASK = ["-m", "flask", "--app", "wsgi"]
_STEPS = ("prepare", "migrate", "revert", "finish")


class UpgradeFailed(Exception):
    """A step failed. The message is for the administrator."""


def main(arguments: list[str]) -> int:
    """Run a step. Return 0 if it succeeded, 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m app.upgrade", description=__doc__)
    parser.add_argument("step", choices=_STEPS)
    parser.add_argument("--old", type=Path, help="folder of the old version, which makes the backup")
    options = parser.parse_args(arguments)
    os.umask(UMASK)
    try:
        upgrade = Upgrade(load_settings())
        if options.step == "prepare":
            upgrade.prepare(options.old, datetime.now(UTC))
        elif options.step == "migrate":
            upgrade.migrate()
        elif options.step == "revert":
            upgrade.revert()
        else:
            upgrade.finish()
    except (UpgradeFailed, ConfigError, OSError, sqlite3.Error, SQLAlchemyError) as error:
        print(f"{options.step}: {error}", file=sys.stderr)
        return 1
    return 0


class Upgrade:
    """An upgrade of the database of `settings`. What it keeps is in DATA_DIR/upgrade, the backups in backups."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir / "upgrade"
        self._copy, self._note = self._folder / "database.sqlite3", self._folder / "revision.json"
        url = make_url(settings.database_url)
        self._file = Path(url.database or "").absolute() if url.get_backend_name() == "sqlite" else None

    def prepare(self, old: Path | None, now: datetime) -> None:
        """Back the office up with the code of the old version, if there is one, and copy the database.

        Raises UpgradeFailed. Nothing has changed then, and there is nothing to revert.
        """
        if self._note.exists():
            print("An earlier upgrade was interrupted.")
            self._revert_if_migrated()  # otherwise the old version has run since, and the copy is outdated
        revision = self._revision()
        if not revision:  # there is no office yet
            return
        if old is not None:
            self._back_up(old, now)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._file is not None:
            self._copy.unlink(missing_ok=True)
            with closing(sqlite3.connect(self._file)) as source, closing(sqlite3.connect(self._copy)) as copy:
                source.backup(copy)
            _sync(self._copy)
        self._note.write_text(json.dumps({"revision": revision}))
        _sync(self._note)

    def migrate(self) -> None:
        """Migrate the database, and check that this version works on it. Raises UpgradeFailed."""
        if _run(Path(sys.executable), Path.cwd(), "db", "upgrade") != 0:
            raise UpgradeFailed("the database could not be migrated")
        self.check()

    def check(self) -> None:
        """Check that the database fits, that the panel shows its first page, and that a worker can be made."""
        app = create_app(self._settings)
        database: Database = app.extensions["bazang"]["database"]
        with app.app_context():
            try:
                finding = check_schema(database)
                if finding.level is not Level.OK:
                    raise UpgradeFailed(finding.text)
                Worker(self._settings, database)
                status = app.test_client().get("/login", base_url="http://127.0.0.1").status_code
            finally:
                database.engine.dispose()
        if status >= 400:
            raise UpgradeFailed(f"the panel answers with status {status}")
        if self._file is not None:
            with closing(sqlite3.connect(self._file)) as connection:
                problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            if problems != ["ok"]:
                raise UpgradeFailed(f"the database is damaged: {'; '.join(problems)}")

    def revert(self) -> None:
        """Bring the database back to what it was at `prepare`. Nothing may have used it since. Raises UpgradeFailed."""
        if self._note.exists() and self._file is not None:
            self._put_copy_back()
        self._revert_if_migrated()

    def finish(self) -> None:
        """Delete the copy of the database. The backup stays."""
        for path in (self._note, self._copy):
            path.unlink(missing_ok=True)
        if self._folder.exists():
            self._folder.rmdir()

    def _revert_if_migrated(self) -> None:
        if not self._note.exists():
            return
        wanted = json.loads(self._note.read_text())["revision"]
        if self._revision() != wanted:
            if self._file is not None:
                self._put_copy_back()
            elif _run(Path(sys.executable), Path.cwd(), "db", "downgrade", wanted) != 0:
                raise UpgradeFailed(f"the database could not be brought back to revision {wanted}; {self._advice()}")
        print(f"The database is at revision {wanted}, as before.")
        self.finish()

    def _put_copy_back(self) -> None:
        assert self._file is not None
        for suffix in ("-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
        self._copy.replace(self._file)  # a power cut leaves the old file or the new one
        _sync(self._file.parent)

    def _back_up(self, old: Path, now: datetime) -> None:
        folder = self._backups()
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / f"before-upgrade-{now:%Y%m%dT%H%M%SZ}.bazang"
        if _run(old / ".venv/bin/python3", old, "backup", str(file)) != 0:
            raise UpgradeFailed("no backup could be made, so nothing was changed")
        print(f"The office was saved in {file}.")
        for outdated in sorted(folder.glob("before-upgrade-*.bazang"))[:-KEPT_BACKUPS]:
            outdated.unlink()

    def _backups(self) -> Path:
        return self._settings.data_dir / "backups"

    def _advice(self) -> str:
        return f"the newest backup in {self._backups()} can be restored into an empty database"

    def _revision(self) -> str:
        app = create_app(self._settings)
        database: Database = app.extensions["bazang"]["database"]
        with app.app_context():
            try:
                return schema.current_revision(database.engine)
            finally:
                database.engine.dispose()  # a connection to a file that is replaced would delete the -wal of the next


def _run(python: Path, folder: Path, *arguments: str) -> int:
    return subprocess.run([python, *_FLASK, *arguments], cwd=folder).returncode  # noqa: S603 - commands of ours


def _sync(path: Path) -> None:
    """Write a file or folder to the disk, so that it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
