"""Run the commands in this process or in one of their own, on a database that is up to date."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app import create_app
from app.config import Settings
from app.extensions import db
from script.office.database import build_database, make_settings
from script.office.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py")]
PASSWORD = "a long password"
PROCESS_SECONDS = PATIENCE
Install = Callable[..., Flask]


def run(app: Flask, *arguments: str, given: str | bytes | None = None) -> Result:
    """Run a command in this process."""
    with app.app_context():
        return app.test_cli_runner().invoke(args=list(arguments), input=given)


def run_process(folder: Path, *arguments: str, given: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with its data in `folder`."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder, settings),
        input=given.encode(),
        capture_output=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process, without the settings of this machine."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("BAZANG_")}
    ours = {f"BAZANG_{name}": value for name, value in ({"DATA_DIR": str(folder / "data")} | dict(settings)).items()}
    return others | {"FLASK_SKIP_DOTENV": "1"} | ours


def error_of(result: Result) -> str:
    """Return the message of a command that failed."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").rstrip("\n")


@pytest.fixture(scope="session")
def built_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_database(tmp_path_factory.mktemp("built"))


@pytest.fixture
def app(settings: Settings, built_database: Path) -> Iterator[Flask]:
    """The panel on a database that is up to date."""
    app = install_app(settings, built_database)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def install(built_database: Path, tmp_path: Path) -> Install:
    """Create an application with other settings: `install(ami_port=5038)`."""
    folders = (tmp_path / f"data{number}" for number in itertools.count())

    def make(**values: Any) -> Flask:
        return install_app(make_settings(next(folders), **values), built_database)

    return make


def install_app(settings: Settings, built_database: Path) -> Flask:
    settings.data_dir.mkdir()
    shutil.copy(built_database, settings.data_dir)
    return create_app(settings)
