"""The page of the office's settings."""

from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.services.pbx import connection_test
from app.services.pbx.connection_test import ConnectionReport, ConnectionResult, DialplanState, pack
from app.services.requests import pause
from app.services.requests.access import Scope
from app.services.settings import office
from app.store import settings as store
from app.store.database import Database
from app.store.models import Command
from app.store.settings import Speech
from app.web.settings import wording as settings_wording
from script.office.database import make_settings
from tests.support.factories import NOW
from tests.web.conftest import Service
from tests.web.pages import Fields, Page, Visitor, text

HTMX = {"HX-Request": "true"}


def test_what_is_saved_is_in_force_and_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    changes = {"caller_id": "۰۲۱۸۸۸۸۰۰۰۰", "outbound_context": "from-internal", "region": "DE", "all_paused": "y"}
    page = admin.submit(admin.get("/settings"), "/settings", **changes)
    shown = admin.follow(page)
    assert shown.message == "The settings are saved."
    fields = shown.fields()
    assert (fields["caller_id"], fields["region"], fields["all_paused"]) == (["02188880000"], ["DE"], ["y"])
    now = office.load(database, settings)
    assert (now.caller_id, now.outbound_context, now.region, now.all_paused) == (
        "02188880000",
        "from-internal",
        "DE",
        True,
    )


@pytest.mark.parametrize(
    ("field", "typed", "message"),
    [
        ("caller_id", "office", "This is no telephone number."),
        ("outbound_context", "from internal", "Letters, digits, dot, dash and underscore only."),
        ("outbound_prefix", "9w", "Digits only."),
        ("area_code", "x", "Digits only."),
        ("timezone", "Mars/Olympus", "Choose one of the list."),
    ],
)
def test_a_fault_stands_beside_its_field(
    admin: Visitor, database: Database, settings: Settings, field: str, typed: str, message: str
) -> None:
    before = office.load(database, settings)
    page = admin.submit(admin.get("/settings"), "/settings", 422, **{field: typed})
    assert page.error(field) == message
    assert office.load(database, settings) == before


def test_what_the_environment_gives_is_shown_and_cannot_be_changed(
    app: Flask, admin: Visitor, database: Database, settings: Settings
) -> None:
    given = make_settings(settings.data_dir, outbound_context="outbound")
    app.extensions["bazang"]["settings"] = given
    page = admin.get("/settings")
    assert page.has("input", id="outbound_context", value="outbound", disabled="")
    admin.submit(page, "/settings", outbound_context="evil")
    assert office.load(database, given).outbound_context == "outbound"


# -- the other pages --------------------------------------------------------------------------------------------------

SECRET = "a-secret-that-nobody-reads"
REPORT = ConnectionReport(
    ConnectionResult.CONNECTED,
    version="22.10.1",
    extensions=12,
    queues=2,
    dialplan=DialplanState.CURRENT,
    may_reload=True,
)


def exchange_form(page: Page) -> Fields:
    return page.fields(page.form(id="exchange"))


def store_secret(database: Database) -> None:
    with database.write() as session:
        store.write_setting(session, "ami_secret", SECRET)


def test_the_exchange_is_saved_and_applied_and_its_secret_never_shown(admin: Visitor, database: Database) -> None:
    store_secret(database)
    page = admin.get("/settings/exchange")
    assert SECRET not in page.source and "Unchanged" in page.main
    admin.post("/settings/exchange", exchange_form(page) | {"agi_host": "10.0.0.1"})
    with database.read() as session:
        assert store.read_all(session)["ami_secret"] == SECRET, "it was not typed and stays"
    fields = exchange_form(page) | {"ami_host": "10.0.0.9", "ami_port": "۵۰۳۹", "ami_secret": "typed-again"}
    shown = admin.follow(admin.post("/settings/exchange", fields))
    assert "applied at once" in shown.message
    with database.read() as session:
        stored = store.read_all(session)
        asked = session.scalars(select(Command.kind)).all()
    assert (stored["ami_host"], stored["ami_port"], stored["ami_secret"]) == ("10.0.0.9", "5039", "typed-again")
    assert asked == ["apply_settings"] * 2
    admin.post("/settings/exchange", fields | {"ami_secret": "new-secret"})
    with database.read() as session:
        assert store.read_all(session)["ami_secret"] == "new-secret"


@pytest.mark.parametrize("fragment", [True, False])
def test_a_test_tries_what_is_typed_and_saves_nothing(
    admin: Visitor, database: Database, service: Service, fragment: bool
) -> None:
    store_secret(database)
    fields = exchange_form(admin.get("/settings/exchange"))
    ask = admin.press if fragment else partial(admin.post, status=200)
    with service(test_connection=(True, pack(REPORT))) as taken:
        page = ask("/settings/exchange/test", fields)
    assert taken[0].payload == {"host": "127.0.0.1", "port": 5038, "username": "bazang", "secret": SECRET}
    assert "Extensions seen: 12" in page.main and SECRET not in page.source
    elsewhere = fields | {"ami_host": "10.0.0.9", "ami_secret": "typed"}
    with service(test_connection=(True, pack(REPORT))) as taken:
        page = ask("/settings/exchange/test", elsewhere)
    assert (taken[0].payload["host"], taken[0].payload["secret"]) == ("10.0.0.9", "typed")
    assert fragment or exchange_form(page)["ami_host"] == ["10.0.0.9"], "what was typed is kept"
    with database.read() as session:
        assert "ami_host" not in store.read_all(session)


@pytest.mark.parametrize("verdict", ConnectionResult)
def test_each_verdict_is_said_in_words(
    admin: Visitor, database: Database, service: Service, verdict: ConnectionResult
) -> None:
    report = ConnectionReport(
        verdict, "detail", write_missing=("reporting",) if verdict is ConnectionResult.RIGHTS_MISSING else ()
    )
    with service(test_connection=(True, pack(report))):
        said = admin.press("/settings/exchange/test", exchange_form(admin.get("/settings/exchange"))).main
    assert str(settings_wording.CONNECTION_RESULT[verdict]) in said
    assert verdict is ConnectionResult.CONNECTED or str(settings_wording.CONNECTION_ADVICE[verdict]) in said


def test_a_test_of_nonsense_is_not_made(admin: Visitor, service: Service) -> None:
    fields = exchange_form(admin.get("/settings/exchange")) | {"ami_host": "a\r\nb", "ami_port": "x"}
    with service() as taken:
        assert "Port: A port is a number" in admin.press("/settings/exchange/test", fields, 422).main
        page = admin.post("/settings/exchange", fields, 422)
    assert taken == []
    assert page.error("ami_port").startswith("A port is a number")


def test_without_the_telephone_service_the_test_says_so(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_test, "WAIT", 0.0)
    page = admin.press("/settings/exchange/test", exchange_form(admin.get("/settings/exchange")))
    assert "The telephone service does not answer" in page.main


def test_what_the_environment_gives_of_the_exchange_is_named(app: Flask, admin: Visitor, settings: Settings) -> None:
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, ami_host="10.1.1.1", ami_secret=SECRET)
    page = admin.get("/settings/exchange")
    assert page.has("input", id="ami_host", value="10.1.1.1", disabled="")
    assert "Set by BAZANG_AMI_HOST on this machine." in page.main
    assert SECRET not in page.source


def test_an_example_shows_how_numbers_are_dialled(admin: Visitor) -> None:
    query = {"outbound_format": "international", "outbound_prefix": "۹", "region": "IR"}
    assert "is dialled as 900989123456789" in text(admin.get("/settings/dialled", headers=HTMX, **query).root)
    wrong = admin.get("/settings/dialled", headers=HTMX, **(query | {"outbound_prefix": "x"}))
    assert "cannot be dialled" in text(wrong.root)


def test_a_voice_is_saved_and_the_telephone_service_told(admin: Visitor, database: Database) -> None:
    form = admin.get("/settings/voices")
    fields = form.fields(form.form(id="voice-en")) | {"en-voice": "en-us+m3", "en-rate": "170", "en-pitch": "30"}
    admin.post("/settings/voices/en", fields)
    with database.read() as session:
        assert store.speech(session, "en") == Speech("en-us+m3", 170, 30)
        assert store.speech(session, "fa") == Speech()
        assert "write_dialplan" in session.scalars(select(Command.kind)).all()
    page = admin.post("/settings/voices/en", fields | {"en-voice": "fa+f3", "en-rate": "9999"}, 422)
    assert page.error("en-voice") == "Choose one of the list." and page.error("en-rate") == "This is out of range."
    admin.post("/settings/voices/de", {}, 404)


def test_a_voice_is_heard_before_it_is_saved(admin: Visitor, database: Database) -> None:
    fields = {"en-voice": "", "en-rate": "200", "en-pitch": "50", "en-sample": "Good morning."}
    heard = admin.post("/settings/voices/en/preview", fields, 200)
    assert heard.response.content_type == "audio/wav"
    slow = admin.post("/settings/voices/en/preview", fields | {"en-rate": "100"}, 200)
    assert len(slow.response.data) > len(heard.response.data) * 1.3
    for changes in ({"en-sample": "سلام"}, {"en-sample": "x" * 1501}, {"en-rate": "fast"}):
        refused = admin.client.post("/settings/voices/en/preview", data=fields | changes)
        assert refused.status_code == 422 and refused.content_type.startswith("text/plain")
    with database.read() as session:
        assert store.speech(session, "en") == Speech()


def test_the_machine_shows_no_password(app: Flask, admin: Visitor, settings: Settings) -> None:
    secret = "postgresql+psycopg://bazang:hidden-word@db/bazang"
    app.extensions["bazang"]["settings"] = make_settings(settings.data_dir, database_url=secret)
    page = admin.get("/settings/machine")
    assert "hidden-word" not in page.source and "bazang:***@db" in page.main
    assert "BAZANG_DATABASE_URL" in page.main


def test_an_older_page_lifts_no_pause(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get("/settings")
    pause.pause(database, Scope("mina", everything=True), "fire alarm", NOW)
    admin.submit(page, "/settings", caller_id="02188880000")
    assert office.load(database, settings).all_paused
    admin.submit(admin.get("/settings"), "/settings", all_paused=None)
    assert not office.load(database, settings).all_paused


@pytest.mark.parametrize("path", ["/settings/exchange", "/settings/exchange/test"])
@pytest.mark.parametrize("changes", [{"ami_host": "evil.example"}, {"ami_port": "5039"}, {"ami_username": "other"}])
def test_the_secret_goes_nowhere_else(
    admin: Visitor, database: Database, service: Service, path: str, changes: dict[str, str]
) -> None:
    with database.write() as session:
        store.write_setting(session, "ami_secret", "TOPSECRET")
    form = admin.get("/settings/exchange").fields() | {name: [value] for name, value in changes.items()}
    with service() as taken:
        page = admin.post(path, form, 422)
    assert "Type the secret again" in page.error("ami_secret")
    assert "TOPSECRET" not in page.source and taken == []
    with database.read() as session:
        assert "evil.example" not in store.read_all(session).values()
    if path == "/settings/exchange":
        admin.post(path, form | {"ami_secret": ["typed"]})
        with database.read() as session:
            assert store.read_all(session)["ami_secret"] == "typed"
