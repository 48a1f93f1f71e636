"""The commands about exchanges, and the exchange that the other commands are about."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from app import create_app
from app.extensions import db
from app.store.models import CallRequest
from script.office.database import make_settings
from script.office.server_database import new_database
from tests.cli.conftest import error_of, run


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_database(postgres_url, postgres_template) as url:
        yield url


def test_an_exchange_is_added_and_the_commands_are_about_it(tmp_path: Path, url: str) -> None:
    app = create_app(make_settings(tmp_path, database_url=url))
    assert run(app, "exchange", "list").output == "main\t(the first one)\n"
    added = run(app, "exchange", "add", "North", "North branch")
    assert "BAZANG_EXCHANGE=north .venv/bin/flask --app wsgi worker" in added.output
    assert run(app, "exchange", "list").output == "main\t(the first one)\nnorth\tNorth branch\n"
    assert "code is taken" in error_of(run(app, "exchange", "add", "north", "Other"))
    assert "small letters" in error_of(run(app, "exchange", "add", "No rth", "Other"))
    north = create_app(make_settings(tmp_path, database_url=url, exchange="north"))
    assert run(north, "fill", "--requests", "3").exit_code == 0
    assert "of 2 exchanges were saved" in run(app, "backup", str(tmp_path / "saved")).stderr
    counts = []
    for code in ("main", "north"):
        with app.extensions["bazang"]["exchanges"].find(code).read() as session:
            counts.append(len(session.scalars(select(CallRequest.id)).all()))
    assert counts == [0, 3]
    wrong = create_app(make_settings(tmp_path, database_url=url, exchange="south"))
    assert "no exchange 'south'" in error_of(run(wrong, "doctor"))
    for each in (app, north, wrong):
        with each.app_context():
            db.engine.dispose()


def test_an_exchange_is_removed_when_its_code_is_typed(tmp_path: Path, url: str) -> None:
    app = create_app(make_settings(tmp_path, database_url=url))
    run(app, "exchange", "add", "north", "North branch")
    assert "first exchange cannot be removed" in error_of(run(app, "exchange", "remove", "main"))
    assert "no exchange 'south'" in error_of(run(app, "exchange", "remove", "south"))
    refused = run(app, "exchange", "remove", "north", given="nort\n")
    assert "It has 0 requests" in refused.stdout and refused.exit_code == 1
    assert "north" in run(app, "exchange", "list").output
    assert "north is removed" in run(app, "exchange", "remove", "north", given="north\n").output
    run(app, "exchange", "add", "north", "North branch")
    assert run(app, "exchange", "remove", "north", "--yes").exit_code == 0
    assert "north" not in run(app, "exchange", "list").output
    with app.app_context():
        db.engine.dispose()


def test_several_exchanges_are_not_restored_on_sqlite(tmp_path: Path, url: str) -> None:
    app = create_app(make_settings(tmp_path / "first", database_url=url))
    run(app, "exchange", "add", "north", "North branch")
    file, second = tmp_path / "saved", create_app(make_settings(tmp_path / "second"))
    assert run(app, "backup", str(file)).exit_code == 0
    refused = error_of(run(second, "restore", str(file)))
    assert "Nothing was restored" in refused and "need PostgreSQL" in refused and "Traceback" not in refused
    for each in (app, second):
        with each.app_context():
            db.engine.dispose()


def test_sqlite_has_one_exchange(app: Flask) -> None:
    assert "need PostgreSQL" in error_of(run(app, "exchange", "add", "north", "North branch"))
    assert run(app, "exchange", "list").output == "main\t(the first one)\n"
