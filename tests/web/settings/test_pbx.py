"""The page of the PBX settings: saving, the connection test, and where the secret may go."""

from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.services.pbx import connection_test
from app.services.pbx.connection_test import pack
from app.store import settings as store
from app.store.database import Database
from app.store.models import Command
from app.web import wording
from app.web.settings.wording import CONNECTION_ADVICE, CONNECTION_RESULT
from script.office.database import make_settings
from tests.web.conftest import Service
from tests.web.pages import Fields, Page, Visitor

SECRET = "a-secret-that-nobody-reads"
REPORT = ConnectionReport(
    ConnectionResult.CONNECTED,
    version="22.10.1",
    extensions=12,
    queues=2,
    dialplan=DialplanState.CURRENT,
    may_reload=True,
)


def form_of(page: Page) -> Fields:
    return page.fields(page.form(id="pbx-form"))


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return store.read_all(session)


@pytest.fixture
def has_secret(database: Database) -> None:
    with database.write() as session:
        store.write_setting(session, "ami_secret", SECRET)


@pytest.mark.usefixtures("has_secret")
def test_saving_applies_the_settings_and_never_shows_the_secret(admin: Visitor, database: Database) -> None:
    page = admin.get("/settings/exchange")
    assert SECRET not in page.source and page.one(id="ami_secret").get("placeholder")
    admin.post("/settings/exchange", form_of(page) | {"agi_host": "10.0.0.1"})
    assert stored(database)["ami_secret"] == SECRET, "an empty field keeps it"
    fields = form_of(page) | {"ami_host": "10.0.0.9", "ami_port": "۵۰۳۹", "ami_secret": "typed-again"}
    assert admin.follow(admin.post("/settings/exchange", fields)).message
    now = stored(database)
    assert (now["ami_host"], now["ami_port"], now["ami_secret"]) == ("10.0.0.9", "5039", "typed-again")
    with database.read() as session:
        assert session.scalars(select(Command.kind)).all() == ["apply_settings"] * 2


@pytest.mark.usefixtures("has_secret")
@pytest.mark.parametrize("fragment", [True, False])
def test_a_test_uses_the_typed_values_and_saves_nothing(
    admin: Visitor, database: Database, service: Service, fragment: bool
) -> None:
    fields = form_of(admin.get("/settings/exchange"))
    send = admin.press if fragment else partial(admin.post, status=200)
    with service(test_connection=(True, pack(REPORT))) as taken:
        page = send("/settings/exchange/test", fields)
    assert taken[0].payload == {"host": "127.0.0.1", "port": 5038, "username": "bazang", "secret": SECRET}
    assert "Asterisk 22.10.1" in page.main and SECRET not in page.source
    with service(test_connection=(True, pack(REPORT))) as taken:
        page = send("/settings/exchange/test", fields | {"ami_host": "10.0.0.9", "ami_secret": "typed"})
    assert (taken[0].payload["host"], taken[0].payload["secret"]) == ("10.0.0.9", "typed")
    assert fragment or form_of(page)["ami_host"] == ["10.0.0.9"], "the typed value is still there"
    assert "ami_host" not in stored(database)


@pytest.mark.parametrize("result", ConnectionResult)
def test_each_result_has_a_text_and_advice(admin: Visitor, service: Service, result: ConnectionResult) -> None:
    rights = ("reporting",) if result is ConnectionResult.RIGHTS_MISSING else ()
    report = ConnectionReport(result, "detail", write_missing=rights)
    with service(test_connection=(True, pack(report))):
        page = admin.press("/settings/exchange/test", form_of(admin.get("/settings/exchange")))
    assert str(CONNECTION_RESULT[result]) in page.main
    assert result is ConnectionResult.CONNECTED or str(CONNECTION_ADVICE[result]) in page.main


def test_invalid_values_are_not_tested_or_saved(admin: Visitor, service: Service) -> None:
    fields = form_of(admin.get("/settings/exchange")) | {"ami_host": "a\r\nb", "ami_port": "x"}
    with service() as taken:
        assert wording.error("port") in admin.press("/settings/exchange/test", fields, 422).main
        page = admin.post("/settings/exchange", fields, 422)
    assert taken == []
    assert page.error("ami_port") == wording.error("port")


def test_without_a_worker_there_is_no_report(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_test, "WAIT", 0.0)
    page = admin.press("/settings/exchange/test", form_of(admin.get("/settings/exchange")))
    assert "flask --app wsgi worker" in page.main


def test_values_from_the_environment_are_read_only(app: Flask, admin: Visitor, settings: Settings) -> None:
    values = {"ami_host": "10.1.1.1", "ami_secret": SECRET, "pbx_profile": "freepbx"}
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, **values)
    page = admin.get("/settings/exchange")
    assert page.has("input", id="ami_host", value="10.1.1.1", disabled="")
    assert page.has("input", id="pbx_profile", value="FreePBX or Issabel", disabled="")
    assert "BAZANG_AMI_HOST" in page.main
    assert SECRET not in page.source


@pytest.mark.usefixtures("has_secret")
@pytest.mark.parametrize("path", ["/settings/exchange", "/settings/exchange/test"])
@pytest.mark.parametrize("changes", [{"ami_host": "evil.example"}, {"ami_port": "5039"}, {"ami_username": "other"}])
def test_the_stored_secret_goes_only_to_its_own_host_and_user(
    admin: Visitor, database: Database, service: Service, path: str, changes: dict[str, str]
) -> None:
    form = admin.get("/settings/exchange").fields() | {name: [value] for name, value in changes.items()}
    with service() as taken:
        page = admin.post(path, form, 422)
    assert page.error("ami_secret") == wording.error("secret_again")
    assert SECRET not in page.source and taken == []
    assert "evil.example" not in stored(database).values()
    if path == "/settings/exchange":
        admin.post(path, form | {"ami_secret": ["typed"]})
        assert stored(database)["ami_secret"] == "typed"
