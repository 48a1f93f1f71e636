"""The page of the PBX settings: saving, the connection test, and where the secret may go."""

from dataclasses import replace
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult
from app.domain.pbx_product import Product
from app.services.pbx import connection_commands
from app.services.pbx.connection_commands import pack
from app.services.pbx.product import store_product
from app.services.settings import pbx
from app.store import encryption
from app.store import settings as store
from app.store.database import Database
from app.store.models import AuditEntry, Command
from app.web import wording
from app.web.settings.wording import CONNECTION_ADVICE, CONNECTION_RESULT, PRODUCT_FOUND
from script.office.database import make_settings
from tests.support.rows import for_each
from tests.web.conftest import CONNECTED, Service
from tests.web.pages import Fields, Page, Visitor

SECRET = "a-secret-that-nobody-reads"


def form_of(page: Page) -> Fields:
    return page.fields(page.form(id="pbx-form"))


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return store.read_all(session)


def given(command: Command, settings: Settings) -> dict[str, object]:
    """Return the values of a command, as the worker reads them."""
    return command.payload | {"secret": encryption.decrypt(settings, command.payload["secret"])}


@pytest.fixture
def has_secret(database: Database) -> None:
    with database.write() as session:
        store.write_setting(session, "ami_secret", SECRET)


@pytest.mark.usefixtures("has_secret")
def test_saving_applies_the_settings_and_never_shows_the_secret(
    admin: Visitor, database: Database, settings: Settings
) -> None:
    page = admin.get("/settings/exchange")
    assert SECRET not in page.source and page.one(id="ami_secret").get("placeholder")
    admin.post("/settings/exchange", form_of(page) | {"agi_host": "10.0.0.1"})
    assert stored(database)["ami_secret"] == SECRET, "an empty field keeps it"
    fields = form_of(page) | {"ami_host": "10.0.0.9", "ami_port": "۵۰۳۹", "ami_secret": "typed-again"}
    assert admin.follow(admin.post("/settings/exchange", fields)).message
    now = stored(database)
    assert (now["ami_host"], now["ami_port"]) == ("10.0.0.9", "5039")
    assert pbx.read_secret(database, settings) == "typed-again"
    with database.read() as session:
        assert session.scalars(select(Command.kind)).all() == ["apply_settings"] * 2


@pytest.mark.usefixtures("has_secret")
@pytest.mark.parametrize("fragment", [True, False])
def test_a_test_uses_the_typed_values_and_saves_nothing(
    admin: Visitor, database: Database, settings: Settings, service: Service, fragment: bool
) -> None:
    fields = form_of(admin.get("/settings/exchange"))
    send = admin.press if fragment else partial(admin.post, status=200)
    with service(test_connection=(True, pack(CONNECTED))) as taken:
        page = send("/settings/exchange/test", fields)
    expected = {"host": "127.0.0.1", "port": 5038, "username": "bazang", "secret": SECRET}
    assert given(taken[0], settings) == expected | {"asked": taken[0].payload["asked"]}
    assert taken[0].payload["asked"]["number"] == "09123456789"
    assert "Asterisk 22.10.1" in page.main and SECRET not in page.source
    with service(test_connection=(True, pack(CONNECTED))) as taken:
        typed = {"ami_host": "10.0.0.9", "ami_secret": "typed", "extension_context": "mine"}
        page = send("/settings/exchange/test", fields | typed)
    assert "mine" in taken[0].payload["asked"]["contexts"]
    assert {"host": "10.0.0.9", "secret": "typed"}.items() <= given(taken[0], settings).items()
    assert fragment or form_of(page)["ami_host"] == ["10.0.0.9"], "the typed value is still there"
    assert "ami_host" not in stored(database)


@for_each("result", ConnectionResult)
def test_each_result_has_a_text_and_advice(admin: Visitor, service: Service, result: ConnectionResult) -> None:
    rights = ("reporting",) if result is ConnectionResult.RIGHTS_MISSING else ()
    report = ConnectionReport(result, "detail", write_missing=rights)
    with service(test_connection=(True, pack(report))):
        page = admin.press("/settings/exchange/test", form_of(admin.get("/settings/exchange")))
    assert str(CONNECTION_RESULT[result]) in page.main
    assert result is ConnectionResult.CONNECTED or str(CONNECTION_ADVICE[result]) in page.main


# -- the product of the PBX -------------------------------------------------------------------------------------------


@for_each("product", Product)
def test_a_test_says_which_product_it_is(admin: Visitor, service: Service, product: Product) -> None:
    with service(test_connection=(True, pack(replace(CONNECTED, product=product)))):
        page = admin.press("/settings/exchange/test", form_of(admin.get("/settings/exchange")))
    assert str(PRODUCT_FOUND[product]) in page.main
    assert ("Choose “FreePBX or Issabel”" in page.main) == (product is not Product.ASTERISK)


def test_a_test_names_contexts_that_the_pbx_does_not_have(admin: Visitor, service: Service) -> None:
    fields = form_of(admin.get("/settings/exchange")) | {"extension_context": "typo", "queue_context": "ext-queues"}
    for contexts, expected in ((("ext-queues",), True), (None, False)):
        with service(test_connection=(True, pack(replace(CONNECTED, contexts=contexts)))):
            page = admin.press("/settings/exchange/test", fields)
        assert ("The PBX does not have: typo." in page.main) == expected


def use_buttons(page: Page) -> list[str]:
    return [button.get("formaction", "") for button in page.all("button") if "profile" in button.get("formaction", "")]


@pytest.mark.parametrize("start", ["/settings/exchange", "/setup/exchange"])
def test_one_click_sets_all_for_the_product_that_was_found(
    admin: Visitor, database: Database, settings: Settings, start: str
) -> None:
    assert use_buttons(admin.get(start)) == [], "nothing is known of the PBX"
    with database.write() as session:
        for name in ("extension_context", "queue_context", "outbound_context"):
            store.write_setting(session, name, "by-hand")
    store_product(database, Product.ISSABEL)
    page = admin.get(start)
    assert "This PBX is Issabel." in page.main and "Plain Asterisk" in page.main
    (action,) = use_buttons(page)
    assert stored(database).get("pbx_profile") is None, "nothing is saved without the click"
    admin.post(action)
    with database.read() as session:
        now = store.pbx(session, settings)
        entry, commanded = session.scalars(select(AuditEntry)).all()[-1], session.scalars(select(Command.kind)).all()
    contexts = (now.extension_context, now.queue_context, now.outbound_context)
    assert (now.pbx_profile, contexts) == ("freepbx", ("from-did-direct", "ext-queues", "from-internal"))
    assert (entry.actor, entry.action) == ("sara", "settings_saved") and "pbx_profile" in entry.detail
    assert commanded == ["apply_settings"]
    assert use_buttons(admin.get(start)) == []
    store_product(database, Product.ASTERISK)
    page = admin.get(start)
    assert "This PBX is a plain Asterisk" in page.main
    admin.post(use_buttons(page)[0])
    assert stored(database)["pbx_profile"] == "asterisk"


def test_a_profile_of_the_environment_is_not_replaced(app: Flask, admin: Visitor, database: Database) -> None:
    settings = app.extensions["bazang"]["settings"]
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, pbx_profile="asterisk")
    store_product(database, Product.FREEPBX_16)
    page = admin.get("/settings/exchange")
    assert "BAZANG_PBX_PROFILE" in page.main and use_buttons(page) == []
    admin.post("/settings/exchange/profile?profile=freepbx")
    assert "pbx_profile" not in stored(database)


def test_only_valid_proposals_of_administrators_are_saved(
    app: Flask, admin: Visitor, supervisor: Visitor, database: Database
) -> None:
    for start in ("/settings/exchange/profile", "/setup/exchange/profile"):
        supervisor.post(f"{start}?profile=freepbx", status=403)
        for query in ("", "profile=cisco", "profile=freepbx&outbound_context=a%20b"):
            admin.post(f"{start}?{query}")
    assert "pbx_profile" not in stored(database)
    app.config["WTF_CSRF_ENABLED"] = True
    admin.post("/settings/exchange/profile?profile=freepbx", status=400)


def test_invalid_values_are_not_tested_or_saved(admin: Visitor, service: Service) -> None:
    fields = form_of(admin.get("/settings/exchange")) | {"ami_host": "a\r\nb", "ami_port": "x"}
    with service() as taken:
        assert wording.error("port") in admin.press("/settings/exchange/test", fields, 422).main
        page = admin.post("/settings/exchange", fields, 422)
    assert taken == []
    assert page.error("ami_port") == wording.error("port")


def test_without_a_worker_there_is_no_report(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_commands, "WAIT", 0.0)
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
    admin: Visitor, database: Database, settings: Settings, service: Service, path: str, changes: dict[str, str]
) -> None:
    form = admin.get("/settings/exchange").fields() | {name: [value] for name, value in changes.items()}
    with service() as taken:
        page = admin.post(path, form, 422)
    assert page.error("ami_secret") == wording.error("secret_again")
    assert SECRET not in page.source and taken == []
    assert "evil.example" not in stored(database).values()
    if path == "/settings/exchange":
        admin.post(path, form | {"ami_secret": ["typed"]})
        assert pbx.read_secret(database, settings) == "typed"
