"""The page of the environment settings and the worker's state."""

import pytest
from flask import Flask

from app.config import Settings
from app.store import workers
from app.store.database import Database
from script.office.database import make_settings
from tests.support.factories import create_running_service
from tests.web.pages import Visitor


def test_environment_settings_are_shown_without_passwords(app: Flask, admin: Visitor, settings: Settings) -> None:
    url = "postgresql+psycopg://bazang:hidden-word@db/bazang"
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, database_url=url)
    page = admin.get("/settings/machine")
    assert "hidden-word" not in page.source and "bazang:***@db" in page.main
    assert "BAZANG_DATABASE_URL" in page.main


def test_the_state_of_the_worker_is_shown(admin: Visitor, database: Database) -> None:
    create_running_service(database, asterisk_version="22.10.1")
    assert "22.10.1" in admin.get("/settings/machine").main


def test_the_machine_of_the_worker_and_the_standbys_are_shown(
    admin: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_running_service(database, host="pbx-1")
    page = admin.get("/settings/machine").main
    assert "pbx-1" in page and "Standing by" not in page  # on SQLite there is one machine
    monkeypatch.setattr(workers, "standbys", lambda session: ["pbx-2", "pbx-3"])
    assert "pbx-2, pbx-3" in admin.get("/settings/machine").main
    monkeypatch.setattr(workers, "standbys", lambda session: [])
    assert "no other machine" in admin.get("/settings/machine").main
