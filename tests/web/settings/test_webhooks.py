"""The pages of the webhooks."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.webhook_bodies import BodyFormat, check_template, check_text
from app.domain.webhooks import WebhookEvent, parse_url
from app.services import audit
from app.services.webhooks import destinations
from app.store import encryption
from app.store.database import Database
from app.store.models import Webhook, WebhookMessage
from app.web import wording
from app.web.settings.webhook_presets import PRESETS
from app.web.settings.wording import _WEBHOOK_RESULT
from tests.support.factories import NOW, create_module, create_webhook, create_webhook_message, reload
from tests.support.rows import for_each
from tests.web.pages import Page, Visitor

PATH = "/settings/webhooks"
URL = "https://crm.example.org/hook?key=s3cret"


def add(admin: Visitor, status: int = 200, preset: str = "program", **typed: Any) -> Page:
    path = f"{PATH}/new?preset={preset}"
    return admin.post(path, admin.get(path).fields() | {"name": "CRM", "url": URL} | typed, status)


def change(admin: Visitor, status: int = 302, **typed: Any) -> Page:
    return admin.post(f"{PATH}/1", form_of(admin) | typed, status)


def form_of(admin: Visitor) -> dict[str, list[str]]:
    page = admin.get(f"{PATH}/1")
    return page.fields(page.form(id="webhook"))


def stored(database: Database) -> Webhook:
    with database.read() as session:
        return session.scalars(select(Webhook)).one()


def test_a_webhook_is_added_and_its_secret_is_shown_once(
    admin: Visitor, database: Database, settings: Settings
) -> None:
    page = add(admin)
    row = stored(database)
    secret = encryption.decrypt(settings, row.secret)
    assert secret.startswith("whsec_") and secret in page.main
    assert encryption.is_encrypted(row.secret) and encryption.is_encrypted(row.url)
    assert encryption.decrypt(settings, row.url) == URL
    for path in (PATH, f"{PATH}/1", f"{PATH}/1/log", f"{PATH}/1/delete", "/log"):
        shown = admin.get(path)
        assert secret not in shown.main and "s3cret" not in shown.main, path
    assert "https://crm.example.org" in admin.get(PATH).main
    assert "The webhook CRM was saved." in admin.get("/log").main
    renewed = admin.post(f"{PATH}/1/secret", status=200)
    assert secret not in renewed.main and "whsec_" in renewed.main
    assert encryption.decrypt(settings, stored(database).secret) in renewed.main


def test_an_empty_address_keeps_the_stored_one(admin: Visitor, database: Database, settings: Settings) -> None:
    add(admin)
    page = admin.follow(change(admin, name="Our CRM"))
    assert "Our CRM" in page.main
    assert encryption.decrypt(settings, stored(database).url) == URL


@pytest.fixture
def one_module(database: Database) -> None:
    create_module(database)


@for_each(
    ("typed", "field", "code"),
    [
        ({"name": ""}, "name", "required"),
        ({"url": ""}, "url", "required"),
        ({"url": "ftp://example.org"}, "url", "url"),
        ({"url": "https://sara:secret@example.org/"}, "url", "url"),
        ({"url": "http://10.0.0.7/"}, "url", "inside"),
        ({"url": "http://localhost:8000/"}, "url", "inside"),
        ({"events": []}, "events", "required"),
        ({"events": ["test"]}, "events", "choice"),
        ({"modules": ["99"]}, "modules", "choice"),
        ({"body_format": "jinja"}, "body_format", "choice"),
        ({"body_format": "json", "template": "{"}, "template", "template"),
        ({"body_format": "json", "template": '{"a": "{config}"}'}, "template", "placeholder"),
        ({"body_format": "json", "template": " " * 3 + "a" * 4001}, "template", "too_long"),
        ({"text": "{secret_key}"}, "text", "placeholder"),
        ({"text": "a" * 1001}, "text", "too_long"),
        ({"text": "a\u202eb"}, "text", "characters"),
        ({"hours": "0"}, "hours", "range"),
        ({"hours": "73"}, "hours", "range"),
        ({"hours": "x"}, "hours", "whole_number"),
        ({"header_name": "Host", "header_value": "a"}, "header_name", "header"),
        ({"header_name": "Webhook-Signature", "header_value": "a"}, "header_name", "header"),
        ({"header_name": "X-Key\r\nA: b", "header_value": "a"}, "header_name", "header"),
        ({"header_name": "X-Key"}, "header_value", "required"),
        ({"header_value": "a"}, "header_name", "required"),
        ({"header_name": "X-Key", "header_value": "a\r\nB: c"}, "header_value", "secret"),
        ({"header_name": "X-Key", "header_value": "a" * 501}, "header_value", "too_long"),
        ({"recipient": "a" * 121}, "recipient", "too_long"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    admin: Visitor, database: Database, one_module: None, typed: dict[str, Any], field: str, code: str
) -> None:
    page = add(admin, 422, **typed)
    assert page.error(field) == wording.error(code)
    with database.read() as session:
        assert session.scalars(select(Webhook)).all() == []


def test_a_name_is_used_once_and_there_are_only_so_many(admin: Visitor, database: Database) -> None:
    add(admin)
    assert add(admin, 422).error("name") == wording.error("taken")
    for number in range(destinations.MOST - 1):
        create_webhook(database, name=f"W{number}")
    assert add(admin, 422, name="One more").error("name") == wording.error("too_many")
    assert change(admin, 422, name="W1").error("name") == wording.error("taken")


def test_the_office_is_allowed_by_a_switch(admin: Visitor, database: Database) -> None:
    add(admin, url="http://10.0.0.7:5678/hook", inside="y")
    assert stored(database).inside
    assert "http://10.0.0.7:5678" in admin.get(PATH).main
    fields = form_of(admin)
    fields.pop("inside")
    assert admin.post(f"{PATH}/1", fields, 422).error("url") == wording.error("inside")


def test_a_header_is_kept_and_not_sent_to_another_host(admin: Visitor, database: Database, settings: Settings) -> None:
    add(admin, header_name="X-API-KEY", header_value="a-long-key")
    assert encryption.decrypt(settings, stored(database).header_value) == "a-long-key"
    assert "a-long-key" not in admin.get(f"{PATH}/1").main
    change(admin, url="https://crm.example.org/other")
    assert encryption.decrypt(settings, stored(database).header_value) == "a-long-key"
    for url in ("https://evil.example.org/", "http://crm.example.org/", "https://crm.example.org:8443/"):
        assert change(admin, 422, url=url).error("header_value") == wording.error("header_again")
    assert change(admin, 422, header_name="X-Other").error("header_value") == wording.error("required")
    change(admin, url="https://other.example.org/", header_value="another-key")
    assert encryption.decrypt(settings, stored(database).header_value) == "another-key"
    change(admin, header_name="")
    assert stored(database).header_value == ""


def test_modules_and_events_are_chosen(admin: Visitor, database: Database) -> None:
    first, second = create_module(database, name="Sales"), create_module(database, name="Support")
    add(admin, events=["request.done", "trunk.trouble"], modules=[str(second.id), str(first.id)])
    row = stored(database)
    assert (row.events, row.modules) == (" request.done trunk.trouble ", f" {first.id} {second.id} ")
    fields = form_of(admin)
    assert fields["events"] == ["request.done", "trunk.trouble"]
    assert set(fields["modules"]) == {str(first.id), str(second.id)}


@pytest.mark.parametrize("name", PRESETS)
def test_ready_templates_are_saved_as_they_are(admin: Visitor, database: Database, name: str) -> None:
    preset = PRESETS[name]
    assert parse_url(preset.address).scheme == "https"
    check_text(str(preset.text))
    if preset.body_format is not BodyFormat.STANDARD:
        check_template(preset.body_format, preset.template)
    page = admin.get(PATH)
    assert f"new?preset={name}" in page.response.text
    assert urlsplit(preset.address).netloc in admin.get(f"{PATH}/new?preset={name}").response.text
    add(admin, preset=name)
    row = stored(database)
    assert (row.body_format, row.template, row.to_customer) == (preset.body_format, preset.template, preset.to_customer)


def test_a_webhook_is_paused_resumed_and_removed(admin: Visitor, database: Database) -> None:
    webhook = create_webhook(database, failures=20, failing_since=NOW)
    create_webhook_message(database, webhook, state="failed", tries=3, result="http_404")
    admin.follow(admin.post(f"{PATH}/1/pause"))
    page = admin.get(PATH)
    assert "paused" in page.main and "it has answered 404" in page.main
    assert "This webhook is paused." in admin.get(f"{PATH}/1").main
    admin.follow(admin.post(f"{PATH}/1/resume"))
    row = reload(database, webhook)
    assert (row.paused_at, row.failing_since, row.failures) == (None, None, 0)
    assert "Remove “CRM”?" in admin.get(f"{PATH}/1/delete").main
    admin.follow(admin.post(f"{PATH}/1/delete"))
    assert "There are no webhooks." in admin.get(PATH).main
    with database.read() as session:
        assert session.scalars(select(WebhookMessage)).all() == []
    log = admin.get("/log").main
    assert all(f"The webhook CRM was {what}." in log for what in ("paused", "resumed", "removed"))


def test_a_test_is_asked_for_and_its_result_comes_by_itself(admin: Visitor, database: Database) -> None:
    webhook = create_webhook(database)
    page = admin.follow(admin.post(f"{PATH}/1/test"))
    assert "every 2s" in page.response.text
    with database.write() as session:
        session.scalars(select(WebhookMessage)).one().state = "sent"
    assert "every 2s" not in admin.ask(f"{PATH}/1/messages").response.text
    with database.write() as session:
        session.get_one(Webhook, webhook.id).to_customer = True
    page = admin.follow(admin.post(f"{PATH}/1/test"))
    assert "Enter a recipient first" in page.response.text
    with database.read() as session:
        assert len(session.scalars(select(WebhookMessage)).all()) == 1


def test_messages_are_listed_and_sent_again(admin: Visitor, database: Database) -> None:
    webhook = create_webhook(database)
    values = {"tries": 2, "result": "http_500", "reply": "<script>alert(1)</script>", "tried_at": NOW}
    failed = [create_webhook_message(database, webhook, state="failed", **values) for _number in range(2)]
    test = create_webhook_message(database, webhook, state="failed", event=WebhookEvent.TEST.value)
    sent = create_webhook_message(database, webhook, state="sent")
    page = admin.get(f"{PATH}/1/log")
    assert "it has answered 500" in page.main and "<script>alert(1)</script>" in page.main
    assert "<script>alert" not in page.response.text
    assert "given up" in admin.get(f"{PATH}/1/log?state=failed").main
    assert "it has answered" not in admin.get(f"{PATH}/1/log?state=sent").main
    admin.follow(admin.post(f"{PATH}/1/messages/failed"))
    assert [reload(database, row).state for row in (*failed, test, sent)] == ["waiting", "waiting", "failed", "sent"]
    assert reload(database, failed[0]).tries == 0
    admin.follow(admin.post(f"{PATH}/1/messages/{sent.id}/again"))
    assert reload(database, sent).state == "waiting"
    admin.post(f"{PATH}/1/messages/99/again", status=404)
    create_webhook(database, name="Other")
    admin.post(f"{PATH}/2/messages/{sent.id}/again", status=404)
    entries = audit.read(database).entries[:2]
    assert [entry.detail for entry in entries] == [{"messages": ["", "1"]}, {"messages": ["", "2"]}]


@for_each("what", ["secret", "delete", "pause", "resume", "test", "messages/failed", "messages/1/again"])
def test_what_does_not_exist_is_not_found(admin: Visitor, what: str) -> None:
    admin.post(f"{PATH}/99/{what}", status=404)


def test_a_lost_key_is_said_on_the_page(admin: Visitor, database: Database, settings: Settings) -> None:
    lost = settings.model_copy(update={"secret_key": "that of another machine"})
    sealed = encryption.encrypt(lost, URL)
    create_webhook(database, url=sealed)
    assert "CRM" in admin.get(PATH).main
    assert change(admin, 422).error("url") == wording.error("required")


def test_every_result_has_its_words() -> None:
    codes = {"unreachable", "timeout", "tls", "not_allowed", "bad_url", "key", "template", "error"}
    assert codes <= _WEBHOOK_RESULT.keys()  # those of e-mail are in test_mail.py
