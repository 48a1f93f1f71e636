"""A copy of the database alone does not reveal the secret for the PBX."""

import logging
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask

from app import create_app, doctor
from app.config import Settings
from app.domain.findings import Level
from app.extensions import db
from app.services.settings import pbx
from app.store import encryption
from app.store import settings as store
from app.store.database import Database
from script.office.database import MIGRATIONS, make_settings

SECRET = "a-secret-of-the-exchange"


def database_of(app: Flask) -> Database:
    database: Database = app.extensions["bazang"]["database"]
    return database


def write(app: Flask, value: str) -> None:
    with database_of(app).write() as session:
        store.write_setting(session, "ami_secret", value)


def files(settings: Settings) -> bytes:
    return b"".join(path.read_bytes() for path in settings.data_dir.glob("bazang.sqlite3*"))


def test_a_secret_is_encrypted_with_the_key_of_the_installation(tmp_path: Path) -> None:
    ours, other = (make_settings(tmp_path / name) for name in ("ours", "other"))
    for settings in (ours, other):
        settings.data_dir.mkdir()
    stored = encryption.encrypt(ours, SECRET)
    assert SECRET not in stored and stored != encryption.encrypt(ours, SECRET)
    assert encryption.decrypt(ours, stored) == SECRET
    with pytest.raises(encryption.CannotDecrypt):
        encryption.decrypt(other, stored)
    with pytest.raises(encryption.CannotDecrypt):
        encryption.decrypt(ours, stored[:-4] + "AAA=")
    assert encryption.decrypt(ours, SECRET) == SECRET, "as an older version has stored it"
    assert (encryption.encrypt(ours, ""), encryption.decrypt(ours, "")) == ("", "")


def test_the_key_can_come_from_the_environment(tmp_path: Path) -> None:
    first, second = (make_settings(tmp_path / name, secret_key="k" * 32) for name in ("first", "second"))
    assert encryption.decrypt(second, encryption.encrypt(first, SECRET)) == SECRET
    assert not list(tmp_path.iterdir())


def test_the_migration_leaves_no_plain_secret_in_the_files(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0009")
        write(app, f"{SECRET}-before")  # its page is free or overwritten later
        write(app, SECRET)
        assert SECRET.encode() in files(settings)
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0011")
        assert SECRET.encode() not in files(settings)
        assert pbx.read_secret(database_of(app), settings) == SECRET
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0009")
        with database_of(app).read() as session:
            assert store.read_setting(session, "ami_secret") == SECRET
        db.engine.dispose()


def test_the_worker_encrypts_a_plain_secret(app: Flask, settings: Settings) -> None:
    write(app, SECRET)
    pbx.encrypt_stored(database_of(app), settings)
    with database_of(app).read() as session:
        stored = store.read_setting(session, "ami_secret")
    assert encryption.is_encrypted(stored) and encryption.decrypt(settings, stored) == SECRET
    pbx.encrypt_stored(database_of(app), settings)
    assert pbx.read_secret(database_of(app), settings) == SECRET


def test_a_lost_key_is_reported_and_the_secret_can_be_entered_again(
    app: Flask, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    write(app, encryption.encrypt(make_settings(settings.data_dir, secret_key="another"), SECRET))
    with caplog.at_level(logging.ERROR):
        assert pbx.read_secret(database_of(app), settings) == ""
    assert "another key" in caplog.text
    (finding,) = doctor.check_secret(settings, database_of(app))
    assert finding.level is Level.FAULT and "secret_key" in finding.fix
    write(app, encryption.encrypt(settings, "entered again"))
    assert list(doctor.check_secret(settings, database_of(app))) == []
