"""Other users of the machine can read neither the database nor the keys, and Asterisk can read what it plays."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest

from app import create_app
from app.config import Settings
from app.extensions import db
from app.store import private_files
from app.telephony import dialplan
from script.office.database import make_settings
from tests.support.factories import NOW

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _careless_umask() -> Iterator[None]:
    """Give everybody rights on new files, unless the code takes them away."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_panel(settings: Settings) -> None:
    """Start the panel, build the database, and write to it, so that -wal and -shm exist."""
    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade()


def test_a_new_installation_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "new/data"
    settings = make_settings(folder, prompts_dir=tmp_path / "prompts", dialplan_file=tmp_path / "dialplan/bazang.conf")
    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade()
        with db.engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
            modes = {path.name: mode(path) for path in folder.iterdir()}
        db.engine.dispose()
    assert mode(folder) == 0o700
    assert {"bazang.sqlite3", "bazang.sqlite3-wal", "bazang.sqlite3-shm", "secret_key"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert mode(folder.parent) & 0o055 == 0o055  # only the data folder itself is ours


def test_others_may_pass_the_data_folder_only_to_what_asterisk_reads(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    create_app(settings)
    dialplan.write(settings.dialplan_path, "", NOW)
    assert mode(settings.data_dir) == 0o711
    assert mode(settings.dialplan_path.parent) == 0o755
    assert mode(settings.dialplan_path) == 0o644
    assert mode(settings.data_dir / "bazang.sqlite3") == 0o600


def test_an_existing_installation_is_mended_at_the_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    for folder in (settings.data_dir, settings.prompts_path, settings.voices_path, settings.data_dir / "backups"):
        folder.mkdir()
    secret = ("bazang.sqlite3", "bazang.sqlite3.bak", "secret_key", "bazang.sqlite3.worker", "backups/x.sqlite3")
    public = ("prompts/1.wav", "voices/fa.onnx")
    for name in (*secret, *public):
        (settings.data_dir / name).touch(0o644)
    assert [path for path, _ in private_files.open_to_others(settings)]
    assert private_files.close_to_others(settings) == []
    assert {name: mode(settings.data_dir / name) for name in secret} == dict.fromkeys(secret, 0o600)
    assert {name: mode(settings.data_dir / name) for name in public} == dict.fromkeys(public, 0o644)
    assert mode(settings.data_dir) == 0o711
    assert private_files.open_to_others(settings) == []


def test_rights_are_taken_and_never_given(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    settings.data_dir.mkdir(0o700)  # Asterisk runs as our own user
    assert private_files.close_to_others(settings) == []
    assert mode(settings.data_dir) == 0o700


def test_a_database_elsewhere_is_private_and_its_folder_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared"
    elsewhere.mkdir(0o755)
    (elsewhere / "other.txt").touch(0o644)
    open_panel(make_settings(tmp_path / "data", database_url=f"sqlite:///{elsewhere}/office.sqlite3"))
    assert {mode(path) for path in elsewhere.glob("office.sqlite3*")} == {0o600}
    assert (mode(elsewhere), mode(elsewhere / "other.txt")) == (0o755, 0o644)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    settings.data_dir.mkdir()
    (tmp_path / "victim").touch(0o644)
    (settings.data_dir / "link").symlink_to(tmp_path / "victim")
    private_files.close_to_others(settings)
    assert mode(tmp_path / "victim") == 0o644


def test_what_cannot_be_mended_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path / "data")
    settings.data_dir.mkdir(0o711)
    (settings.data_dir / "secret_key").touch(0o644)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    (problem,) = private_files.close_to_others(settings)
    assert str(settings.data_dir / "secret_key") in problem and "\n" not in problem


@pytest.mark.slow
def test_the_entry_points_take_all_rights_from_others(tmp_path: Path) -> None:
    code = "import os, wsgi; print(oct(os.umask(0)))"
    environment = {**os.environ, "BAZANG_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "0o77", done.stderr
