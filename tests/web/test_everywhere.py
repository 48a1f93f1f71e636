"""Rules for every route of the panel, including routes that are added later."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from flask import Flask, url_for
from sqlalchemy import event
from werkzeug.routing import Rule

from app import create_app
from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.external_users import ExternalUser, Source
from app.extensions import db
from app.services import identities, users
from app.services.api import tokens
from app.store.database import Database
from app.store.models import ExtensionScenario, PhoneCall, QueueRow, QueueScenario, SpokenName
from app.web import layout
from app.web.assets import FILES as STATIC_FILES
from app.web.context import PROBES, WEBSITE
from app.web.report.downloads import XLSX
from script.office.database import make_settings
from tests.audio.sounds import tone, write_sound
from tests.support.factories import (
    NOW,
    create_attempt,
    create_contact,
    create_line,
    create_mail_destination,
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_recording,
    create_request,
    create_webhook,
    create_webhook_message,
    create_website_form,
    store,
)
from tests.support.second_factors import create_second_factor
from tests.web.pages import Page, Visitor

INSTALLATION = {"browser.manifest", "browser.service_worker", "browser.offline"}  # without anything of the office
FOR_EVERYBODY = STATIC_FILES | {"auth.log_in", "auth.code", "auth.language", "auth.theme", "setup.index"}
FOR_EVERYBODY |= INSTALLATION | PROBES | {"provider.start", "provider.back"}
CLOSED = {"setup.index"}  # needs a setup link instead of a log-in
# Lead to the log-in unless a log-in waits for a code, or there is a provider.
AFTER_PASSWORD = {"auth.code", "provider.start", "provider.back"}
FOR_OPERATORS = {
    "requests.home",
    "requests.index",
    "requests.rows",
    "requests.show",
    "requests.show_rows",
    "requests.menu",
    "requests.spoken_name",
    "requests.new",
}
FOR_OPERATORS |= {"mine.index", "mine.rows", "acts.perform", "live.common", "live.keys", "auth.log_out"}
FOR_OPERATORS |= {"report.index", "report.charts", "report.csv", "report.xlsx"}
FOR_OPERATORS |= {"account.index", "account.password", "account.preferences"}
FOR_OPERATORS |= {"account.end_session", "account.end_other_sessions"}
FOR_OPERATORS |= {"second_factor.index", "second_factor.set_up"}
FOR_OPERATORS |= {"second_factor.recovery_codes", "second_factor.turn_off"}
FOR_OPERATORS |= {"overview.index", "overview.body", "overview.wallboard", "overview.wallboard_body"}
FOR_OPERATORS |= {"missed.index", "missed.rows", "missed.make_request", "missed.dismiss"}
FOR_OPERATORS |= {"notifications.index", "notifications.save", "notifications.browsers", "notifications.subscribe"}
FOR_OPERATORS |= {"notifications.test", "notifications.remove", "search.index", "guide.index"}
FOR_OPERATORS |= {"filters.save", "filters.rename", "filters.delete"}
FOR_OPERATORS |= {"tokens.new", "tokens.revoke", "call.index", "account.screen_pop"}
FOR_OPERATORS |= {"links.new", "links.remove", "provider.link"}
FOR_SUPERVISORS = FOR_OPERATORS | {"log.index", "calls.pause", "calls.resume"}
FOR_SUPERVISORS |= {"contacts.index", "contacts.new", "contacts.edit", "contacts.delete", "contacts.export_csv"}
FOR_SUPERVISORS |= {"contacts.upload", "contacts.preview", "contacts.choose_columns", "contacts.store", "contacts.drop"}
API = "api."  # begins the names of its endpoints
CALL = uuid.UUID("00000000-0000-4000-8000-000000000001")
# Arguments of URLs that exist in the `furnished` office.
VALUES: dict[str, Any] = {
    "module_id": 1,
    "request_id": 1,
    "act": "postpone",
    "extension": "101",
    "queue": "800",
    "key": "intro",
    "language": "en",
    "filename": "css/base.css",
    "call_id": CALL,
    "step": "call",
    "digest": "a" * 64,
    "digit": "1",
    "number": "12",
    "call": uuid.UUID(int=1),
    "user_id": 2,
    "session_id": 1,
    "entry_id": 1,
    "rule_id": 1,
    "missed_id": 1,
    "subscription_id": 1,
    "filter_id": 1,
    "token_id": 1,
    "identity_id": 1,
    "source": "ldap",
    "webhook_id": 1,
    "form_id": 1,
    "message_id": 1,
    "contact_id": 1,
    "exchange_id": 1,
    "role": "operator",
}
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "script": {"filename": "app.js"},
    "settings.mail_destination": {"webhook_id": 2},
}
SOUNDS = {
    "prompts.prompt",
    "prompts.default_prompt",
    "recordings.sound",
    "recordings.readout",
    "requests.spoken_name",
}
NOT_HERE = {"settings.exchange_removal"}  # the first exchange stays; see tests/web/test_exchanges.py
REDIRECTS = {
    "requests.home",
    "extensions.open_typed",
    "queues.open_typed",
    "recordings.all_digits",
    "recordings.all_sets",
    "setup.index",
    *AFTER_PASSWORD,
    "provider.link",
    "links.new",
    "second_factor.set_up",  # the administrator has not begun to set it up
    "second_factor.recovery_codes",
    "second_factor.turn_off",
    "contacts.preview",  # the administrator has uploaded no file
}
OF_THE_OPERATOR = {
    "tokens.revoke",
    "links.remove",
}  # the record in VALUES is the operator's, so a supervisor does not find it
BOTH_LANGUAGES = {"settings.voices", "browser.offline"}  # has texts in both languages
FRAGMENTS = {
    "requests.rows",
    "requests.show_rows",
    "requests.menu",
    "mine.rows",
    "missed.rows",
    "live.common",
    "live.keys",
    "overview.body",
    "overview.wallboard_body",
    "extensions.rows",
    "queues.rows",
    "places.said",
    "places.code",
    "settings.dialled",
    "recordings.shelf",
    "recordings.chosen",
    "by_phone.state",
    "notifications.browsers",
    "settings.webhook_messages",
}
# Query arguments of routes that need some.
QUERIES: dict[str, dict[str, str]] = {
    "extensions.open_typed": {"number": "101"},
    "queues.open_typed": {"name": "800"},
    "places.said": {"field": "next", "next_kind": "extension", "next_code": "101"},
    "places.code": {"code": "*5002"},
    "acts.perform": {"row": "1.1"},
}
CSV = "text/csv; charset=utf-8"
FILES = {"report.csv": CSV, "report.xlsx": XLSX, "contacts.export_csv": CSV}
ZIP_FILES = {"recordings.download_set"}


@lru_cache
def all_rules() -> list[Rule]:
    """Return the routes of all pages.

    Those of the API and of forms of websites have other rules, see tests/web/api/test_access.py and tests/web/website.
    """
    return [rule for rule in _routes() if not rule.endpoint.startswith(API) and rule.endpoint not in WEBSITE]


@lru_cache
def api_rules() -> list[Rule]:
    """Return the routes of the API."""
    return [rule for rule in _routes() if rule.endpoint.startswith(API)]


@lru_cache
def _routes() -> list[Rule]:
    with TemporaryDirectory() as folder:
        return list(create_app(make_settings(Path(folder))).url_map.iter_rules())


def test_the_api_has_an_address_of_its_own() -> None:
    assert api_rules() and all_rules()
    assert all(rule.rule.startswith("/api/v1/") for rule in api_rules())
    assert not [rule for rule in all_rules() if rule.rule.startswith(("/api", "/website/"))]


def rules(subtests: pytest.Subtests, method: str) -> Iterator[tuple[Rule, AbstractContextManager[object]]]:
    """Yield every route that accepts this method, each with a subtest.

    All routes share one office, since creating one for each took most of the time.
    """
    for rule in all_rules():
        if method in (rule.methods or ()):
            yield rule, subtests.test(rule.endpoint)


def url_of(app: Flask, rule: Rule, **query: Any) -> str:
    with app.test_request_context():
        values = VALUES | OTHER_VALUES.get(rule.endpoint, {})
        return url_for(rule.endpoint, **{name: values[name] for name in rule.arguments}, **query)


@pytest.fixture
def furnished(database: Database, settings: Settings) -> None:
    """An office with one of everything."""
    furnish(database, settings)


def furnish(database: Database, settings: Settings) -> None:
    """Store one of everything, with the ids of VALUES. There are the users of `conftest.py`."""
    file = f"uploads/{VALUES['digest']}.wav"
    create_recording(database, file, seconds=1.0, loudness=-20.0)
    SoundLibrary(settings.prompts_path)
    write_sound(settings.prompts_path / file, tone(1))
    call = PhoneCall(id=str(VALUES["call"]), kind="record", extension="101", language="en", state="kept", file=file)
    call.created_at = call.updated_at = datetime.now(UTC)
    store(database, call)
    module = create_module(database, code="*5001", language="en")
    create_line(database, "101")
    store(database, QueueRow(name="800", live_callers=1))
    store(database, ExtensionScenario(extension="101", busy_kind="module", busy_code="*5001"))
    store(database, QueueScenario(queue="800", failed_kind="extension", failed_code="101"))
    request = create_request(database, module, target="101", caller_name="Sara")
    name = f"names/{'a' * 32}.wav"
    (settings.prompts_path / "names").mkdir()
    write_sound(settings.prompts_path / name, tone(1))
    store(database, SpokenName(request_id=request.id, file=name))
    create_attempt(database, request, ended_at=datetime.now(UTC), outcome="agent_no_answer")
    call = PhoneCall(id=str(CALL), kind="test", extension="101", language="en", state="done", created_at=NOW)
    call.updated_at = NOW
    store(database, call)
    create_missed_call_rule(database)
    create_missed_call(database, at=datetime.now(UTC), caller_name="Sara")
    create_website_form(database, module)
    create_webhook_message(database, create_webhook(database), result="http_500", reply="sorry", tried_at=NOW)
    create_contact(database, "Sara", "+989121234567")
    create_mail_destination(database)
    create_second_factor(database, settings, 4)
    tokens.create(database, 2, "CRM", ["requests:read"], NOW, address="127.0.0.1")
    identities.link(database, 2, ExternalUser(Source.LDAP, "ldap", "entry-1", "omid"), NOW, address="127.0.0.1")


def test_pages_require_a_log_in(app: Flask, furnished: None, visitor: Visitor, subtests: pytest.Subtests) -> None:
    for rule, subtest in rules(subtests, "GET"):
        with subtest:
            if rule.endpoint in PROBES:  # see tests/web/monitoring
                assert app.test_client().get(url_of(app, rule)).status_code in (200, 404, 503)
            elif rule.endpoint in FOR_EVERYBODY:
                status = 403 if rule.endpoint in CLOSED else 302 if rule.endpoint in AFTER_PASSWORD else 200
                assert app.test_client().get(url_of(app, rule), buffered=True).status_code == status
            else:
                page = visitor.get(url_of(app, rule), 302)
                assert page.response.headers["Location"].startswith("/login?next=/")


def test_actions_require_a_log_in(app: Flask, furnished: None, visitor: Visitor, subtests: pytest.Subtests) -> None:
    for rule, subtest in rules(subtests, "POST"):
        if rule.endpoint not in FOR_EVERYBODY:
            with subtest:
                page = visitor.post(url_of(app, rule))
                assert page.response.headers["Location"] == "/login", "an action cannot be repeated after the log-in"


def names_roles(page: Page, rule: Rule) -> bool:
    """Return whether an error page names the roles that may use a route."""
    for_supervisors = rule.endpoint in FOR_SUPERVISORS
    return ("Only supervisors and administrators" if for_supervisors else "Only administrators") in page.main


def test_pages_are_open_to_their_roles_only(
    app: Flask, furnished: None, operator: Visitor, supervisor: Visitor, subtests: pytest.Subtests
) -> None:
    for rule, subtest in rules(subtests, "GET"):
        with subtest:
            for visitor, own in ((operator, FOR_OPERATORS), (supervisor, FOR_SUPERVISORS)):
                if rule.endpoint in FOR_EVERYBODY | own:
                    asked = QUERIES.get(rule.endpoint)
                    answer = visitor.client.get(url_of(app, rule), query_string=asked, buffered=True)
                    allowed = (403,) if rule.endpoint in CLOSED else (200, 404, 503) if rule.endpoint in PROBES else ()
                    if rule.endpoint in OF_THE_OPERATOR and visitor is not operator:
                        allowed = (404,)
                    assert answer.status_code in (allowed or (200, 302))
                else:
                    assert names_roles(visitor.get(url_of(app, rule), 403), rule)


def test_actions_are_open_to_their_roles_only(
    app: Flask, furnished: None, operator: Visitor, supervisor: Visitor, subtests: pytest.Subtests
) -> None:
    for rule, subtest in rules(subtests, "POST"):
        with subtest:
            for visitor, own in ((operator, FOR_OPERATORS), (supervisor, FOR_SUPERVISORS)):
                if rule.endpoint not in FOR_EVERYBODY | own:
                    with count_writes(app) as writes:
                        assert names_roles(visitor.post(url_of(app, rule), status=403), rule)
                    assert writes == []


@pytest.mark.parametrize(
    ("user_id", "own"),
    [(1, None), (2, FOR_OPERATORS), (4, FOR_SUPERVISORS)],
    ids=["administrator", "operator", "supervisor"],
)
def test_the_navigation_has_the_pages_of_a_role(
    app: Flask, furnished: None, user_id: int, own: set[str] | None
) -> None:
    visitor = Visitor(app, user_id)
    shown = {link.get("href", "") for link in visitor.get("/overview").one("nav").iter("a")}
    endpoints = {entry[0] for _group, entries in layout._NAVIGATION for entry in entries}
    with app.test_request_context():
        assert shown == {url_for(endpoint) for endpoint in endpoints if own is None or endpoint in own}
    for path in shown:
        visitor.get(path)


def test_an_action_without_a_token_is_refused(
    app: Flask, furnished: None, admin: Visitor, subtests: pytest.Subtests
) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    for rule, subtest in rules(subtests, "POST"):
        with subtest:
            with count_writes(app) as writes:
                page = admin.post(url_of(app, rule), status=400)
            assert page.one("h1").text == "Load the page again"
            assert writes == []


def test_a_token_of_another_session_is_refused(app: Flask, admin: Visitor, operator: Visitor) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    fields = admin.get("/modules/new").fields()
    operator.post("/language", {"locale": "fa", "csrf_token": fields["csrf_token"]}, 400)
    admin.post("/language", {"locale": "en", "csrf_token": fields["csrf_token"]})


def test_a_token_is_taken_from_htmx_header(app: Flask, admin: Visitor) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    token = admin.get("/modules/new").fields()["csrf_token"][0]
    admin.post("/language", headers={"HX-Request": "true", "X-CSRFToken": token})
    admin.post("/language", headers={"HX-Request": "true"}, status=400)


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_pages_are_in_both_languages_and_write_nothing(
    app: Flask, database: Database, furnished: None, locale: str, subtests: pytest.Subtests
) -> None:
    users.set_locale(database, 1, locale)
    visitor = Visitor(app, 1, locale=locale)
    for rule, subtest in rules(subtests, "GET"):
        if rule.endpoint in STATIC_FILES | PROBES | {"browser.manifest", "browser.service_worker"}:
            continue
        with subtest:
            path = url_of(app, rule, **QUERIES.get(rule.endpoint, {}))
            with count_writes(app) as writes:
                fragment = rule.endpoint in FRAGMENTS
                status = 302 if rule.endpoint in REDIRECTS else 404 if rule.endpoint in NOT_HERE else 200
                page = visitor.ask(path) if fragment else visitor.get(path, status)
            # Only the export of a file is written down.
            assert [w.split()[:3] for w in writes] == [["INSERT", "INTO", "log_entries"]] * (rule.endpoint in FILES)
            if rule.endpoint in SOUNDS:
                assert page.response.content_type == "audio/wav"
            elif rule.endpoint in ZIP_FILES:
                assert page.response.content_type == "application/zip"
            elif rule.endpoint in FILES:
                assert page.response.content_type == FILES[rule.endpoint]
            elif rule.endpoint not in REDIRECTS | (BOTH_LANGUAGES if locale == "en" else set()):
                assert any("آ" <= letter <= "ی" for letter in page.main) == (locale == "fa")


@contextmanager
def count_writes(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that change the database."""
    writes: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.split()[0].upper() not in ("SELECT", "PRAGMA", "BEGIN"):
            writes.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield writes
    finally:
        event.remove(engine, "before_cursor_execute", record)


def test_count_writes_sees_a_write(app: Flask, database: Database) -> None:
    with count_writes(app) as writes:
        users.set_locale(database, 1, "fa")
    assert len(writes) == 1


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
def test_a_page_accepts_no_other_method(admin: Visitor, method: str) -> None:
    admin.check(getattr(admin.client, method)("/requests"), 405, None)


MISSING = [
    "/nothing",
    "/modules/99",
    "/modules/99/delete",
    "/modules/99999999999999999999",
    "/modules/2147483648/delete",
    "/modules/new?copy=99",
    "/settings/webhooks/99",
    "/settings/webhooks/99/log",
    "/settings/webhooks/99/delete",
    "/settings/webhooks/2147483648",
    "/settings/mail/99",
    "/modules/99/prompts/intro.wav",
    "/modules/prompts/de/intro.wav",
    "/modules/prompts/en/nothing.wav",
    "/recordings/nothing",
    f"/recordings/{'b' * 64}",
    f"/recordings/{'b' * 64}.wav",
    f"/recordings/{'b' * 64}/delete",
    f"/recordings/{'b' * 64}/chosen",
    f"/recordings/{'A' * 64}.wav",
    "/recordings/..%2f..%2fsecret_key.wav",
    "/recordings/by-phone/nothing",
    "/recordings/by-phone/00000000-0000-0000-0000-000000000009",
    "/recordings/digits/de",
    "/recordings/set/de",
    "/recordings/set/de.zip",
    "/recordings/digits/en/12a.wav",
    "/recordings/digits/en/123456789012345678901.wav",
    "/extensions/10a",
    "/extensions/%3Cscript%3E",
    "/queues/%3Cscript%3E",
    "/queues/a%7Cb",
]


def test_missing_things_are_not_found(admin: Visitor) -> None:
    for path in MISSING:
        page = admin.check(admin.client.get(path, buffered=True), 404, None)
        assert page.one("h1").text == "Not found", path
    assert admin.client.get("/static/nothing.css", buffered=True).status_code == 404


def test_nul_is_refused(admin: Visitor) -> None:
    for path in ("/modules?q=%00", "/extensions/open?number=%00", "/modules/new?copy=1%00", "/%00"):
        admin.get(path, 400)


def test_an_invalid_page_number_is_ignored(admin: Visitor) -> None:
    for page in ("x", "0", "-1", "99999999999999999999999", "2147483647"):
        admin.get("/modules", page=page)
