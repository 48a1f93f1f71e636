"""The pages of e-mail."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.mail import MailStep, fate_of_reply
from app.services.webhooks import mail_test
from app.store import encryption
from app.store.database import Database
from app.store.models import Setting, Webhook, WebhookMessage
from app.store.settings import write_setting
from app.web import wording
from app.web.settings.wording import _WEBHOOK_RESULT, MAIL_ADVICE
from tests.support.factories import NOW, create_mail_destination, create_module, create_running_service, create_webhook
from tests.support.rows import for_each
from tests.web.conftest import Service
from tests.web.pages import Page, Visitor

PATH = "/settings/mail"
SERVER: dict[str, Any] = {
    "mail_host": "smtp.example.org",
    "mail_port": "587",
    "mail_security": "starttls",
    "mail_username": "bazang",
    "mail_password": "s3cret-of-mail",
    "mail_sender": "bazang@example.org",
    "panel_url": "https://panel.example.org/bazang",
}


def save(admin: Visitor, status: int = 302, **typed: Any) -> Page:
    page = admin.get(PATH)
    return admin.post(PATH, page.fields(page.form(id="mail")) | typed, status)


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return {row.name: row.value for row in session.scalars(select(Setting))}


def recipients(database: Database) -> list[Webhook]:
    with database.read() as session:
        return list(session.scalars(select(Webhook).order_by(Webhook.name)))


def test_the_mail_server_is_saved_and_its_password_never_shown(
    admin: Visitor, database: Database, settings: Settings
) -> None:
    assert "http://localhost/" in admin.get(PATH).fields()["panel_url"]  # by which the administrator has opened it
    save(admin, **SERVER)
    found = stored(database)
    assert encryption.is_encrypted(found["mail_password"])
    assert encryption.decrypt(settings, found["mail_password"]) == "s3cret-of-mail"
    assert found["panel_url"] == "https://panel.example.org/bazang/"
    for path in (PATH, "/log"):
        assert "s3cret-of-mail" not in admin.get(path).source
    assert "Mail server" in admin.get("/log").main
    save(admin, mail_sender="other@example.org")
    assert encryption.decrypt(settings, stored(database)["mail_password"]) == "s3cret-of-mail"


@for_each(
    ("typed", "field", "code"),
    [
        ({"mail_host": "smtp.example.org/path"}, "mail_host", "host"),
        ({"mail_host": "smtp.example.org\r\nQUIT"}, "mail_host", "host"),
        ({"mail_host": "10.0.0.7", "mail_password": "again"}, "mail_host", "inside"),
        ({"mail_host": "localhost", "mail_password": "again"}, "mail_host", "inside"),
        ({"mail_port": "0"}, "mail_port", "port"),
        ({"mail_port": "65536"}, "mail_port", "port"),
        ({"mail_security": "ssl3"}, "mail_security", "choice"),
        ({"mail_security": "none", "mail_password": "again"}, "mail_security", "encrypt"),
        ({"mail_sender": ""}, "mail_sender", "required"),
        ({"mail_sender": "sara"}, "mail_sender", "address"),
        ({"mail_username": ""}, "mail_username", "required"),
        ({"mail_username": "سارا", "mail_password": "again"}, "mail_username", "secret"),
        ({"mail_password": "رمز"}, "mail_password", "secret"),
        ({"mail_host": "other.example.org", "mail_password": ""}, "mail_password", "password_again"),
        ({"mail_username": "other", "mail_password": ""}, "mail_password", "password_again"),
        ({"mail_ca": "no certificate"}, "mail_ca", "certificate"),
        ({"mail_ca": "گواهی"}, "mail_ca", "certificate"),
        ({"mail_ca": "-----BEGIN PRIVATE KEY-----"}, "mail_ca", "certificate"),
        ({"panel_url": "ftp://panel.example.org"}, "panel_url", "url"),
        ({"panel_url": "https://sara:secret@panel.example.org/"}, "panel_url", "url"),
    ],
)
def test_what_cannot_be_used_is_refused(
    admin: Visitor, database: Database, typed: dict[str, str], field: str, code: str
) -> None:
    save(admin, **SERVER)
    before = stored(database)
    page = save(admin, 422, **(SERVER | typed))
    assert str(wording.error(code)) in page.error(field)
    assert stored(database) == before


def test_email_is_switched_off_by_an_empty_server(admin: Visitor, database: Database) -> None:
    save(admin, **SERVER)
    save(admin, mail_host="")
    assert (stored(database)["mail_host"], stored(database)["mail_password"]) == ("", "")
    assert not admin.get(PATH).has("form", id="mail-test")


def test_recipients_are_added_changed_and_removed(admin: Visitor, database: Database) -> None:
    module = create_module(database, name="Sales")
    typed = {
        "address": "sara@example.org, omid@example.org",
        "language": "fa",
        "events": ["request.failed", "trunk.trouble"],
        "modules": [str(module.id)],
        "summary": "weekly",
        "summary_hour": "7",
    }
    admin.post(f"{PATH}/new", admin.get(f"{PATH}/new").fields() | typed, 302)
    omid, sara = recipients(database)
    assert (omid.name, sara.name) == ("omid@example.org", "sara@example.org")
    assert (sara.channel, sara.recipient, sara.url, sara.secret) == ("mail", "sara@example.org", "", "")
    assert (sara.events, sara.modules) == (" request.failed trunk.trouble ", f" {module.id} ")
    assert (sara.language, sara.summary, sara.summary_hour) == ("fa", "weekly", 7)
    page = admin.get(f"{PATH}/{sara.id}")
    fields = page.fields(page.form(id="mail-destination"))
    assert fields["address"] == ["sara@example.org"]
    admin.post(f"{PATH}/{sara.id}", fields | {"summary": "none", "active": ""}, 302)
    assert recipients(database)[1].summary == "none"
    assert "sara@example.org" in admin.get(PATH).main
    assert "sara@example.org" not in admin.get("/settings/webhooks").main
    admin.post(f"/settings/webhooks/{sara.id}/pause")
    assert "paused" in admin.get(PATH).main
    admin.post(f"/settings/webhooks/{sara.id}/resume")
    deleted = admin.follow(admin.post(f"/settings/webhooks/{sara.id}/delete"))
    assert "The recipient is removed." in deleted.main
    assert [row.name for row in recipients(database)] == ["omid@example.org"]


@pytest.fixture
def one_recipient(database: Database) -> None:
    create_module(database)
    create_mail_destination(database, address="mina@example.org")


@for_each(
    ("typed", "field", "code"),
    [
        ({"address": ""}, "address", "required"),
        ({"address": "sara"}, "address", "address"),
        ({"address": "mina@example.org"}, "address", "taken"),
        ({"address": " ".join(f"a{n}@example.org" for n in range(11))}, "address", "too_many"),
        ({"events": []}, "events", "something"),
        ({"events": ["test"]}, "events", "choice"),
        ({"events": ["summary"]}, "events", "choice"),
        ({"modules": ["99"]}, "modules", "choice"),
        ({"language": "de"}, "language", "choice"),
        ({"summary": "hourly"}, "summary", "choice"),
        ({"summary_hour": "24"}, "summary_hour", "range"),
        ({"hours": "73"}, "hours", "range"),
    ],
)
def test_a_recipient_that_cannot_be_used_is_refused(
    admin: Visitor, database: Database, one_recipient: None, typed: dict[str, Any], field: str, code: str
) -> None:
    given = {"address": "sara@example.org", "events": ["request.failed"]} | typed
    page = admin.post(f"{PATH}/new", admin.get(f"{PATH}/new").fields() | given, 422)
    assert str(wording.error(code)) in page.error(field)
    assert len(recipients(database)) == 1


def test_a_webhook_has_no_page_among_recipients_and_the_other_way_round(admin: Visitor, database: Database) -> None:
    webhook, recipient = create_webhook(database), create_mail_destination(database)
    admin.get(f"{PATH}/{webhook.id}", 404)
    admin.get(f"/settings/webhooks/{recipient.id}", 404)
    admin.post(f"/settings/webhooks/{recipient.id}/secret", status=404)
    assert "E-mail" in admin.get(f"/settings/webhooks/{recipient.id}/log").main


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"is_taken": True, "result": "smtp_250", "reply": "Ok"}, "has taken the test for sara@example.org"),
        ({"is_taken": False, "result": "unknown_host", "reply": ""}, "the name of the mail server was not found"),
        ({"is_taken": False, "result": "login", "reply": "535 <b>no</b>"}, "refuses the user name or the password"),
        ({"is_taken": False, "result": "smtp_421", "reply": "421 busy"}, "it has answered 421"),
    ],
)
def test_the_result_of_a_test_is_said_in_words(
    admin: Visitor, service: Service, answer: dict[str, Any], says: str
) -> None:
    """The worker is played here; tests/worker/test_mail.py has a real one."""
    save(admin, **SERVER)
    with service(test_mail=(True, json.dumps(answer))) as handled:
        page = admin.post(f"{PATH}/test", {"address": "sara@example.org"}, 200)
    (command,) = handled
    assert command.payload == {"address": "sara@example.org", "language": "en"}
    assert says in page.main
    assert "<b>no" not in page.source


def test_a_worker_that_does_not_answer_is_said(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    save(admin, **SERVER)
    monkeypatch.setattr(mail_test, "WAIT", 0.05)
    page = admin.post(f"{PATH}/test", {"address": "sara@example.org"}, 200)
    assert "The telephone service did not answer in time" in page.main


def test_a_test_wants_an_address(admin: Visitor) -> None:
    save(admin, **SERVER)
    page = admin.post(f"{PATH}/test", {"address": "sara"}, 422)
    assert str(wording.error("address")) in page.error("address")


def test_every_result_has_words() -> None:
    steps = [(step, code, text) for step in MailStep for code in (450, 550) for text in ("", "5.7.1 no")]
    of_server = {fate_of_reply(*each)[1] for each in steps}
    others = {"unknown_host", "not_allowed", "refused", "timeout", "tls", "certificate", "no_starttls", "no_login"}
    others |= {"dropped", "no_server", "mail_key"}
    of_webhooks = {"unreachable", "bad_url", "key", "template", "error"}
    codes = {result for result in of_server | others | of_webhooks if not result.startswith("smtp_")}
    assert codes == set(_WEBHOOK_RESULT)
    assert set(MAIL_ADVICE) <= set(_WEBHOOK_RESULT)


def test_an_administrator_sees_a_destination_that_takes_nothing(
    admin: Visitor, operator: Visitor, database: Database
) -> None:
    create_running_service(database)
    with database.write() as session:
        write_setting(session, "outbound_context", "from-internal")
    assert not admin.get("/overview").has(id="health-messages")
    create_mail_destination(database, failures=5, failing_since=NOW)
    create_webhook(database, paused_at=NOW)
    create_webhook(database, name="Old", paused_at=NOW, active=False)
    page = admin.get("/overview")
    assert page.one(id="health-messages").get("class") == "health-warning"
    assert "Messages cannot be sent: \u2066sara@example.org\u2069." in page.main
    assert "Messages cannot be sent" not in admin.get("/setup/end").main, "it is no matter of the telephone side"
    assert "Messages wait, because their destination is paused: \u2066CRM\u2069." in page.main
    assert "Old" not in page.main
    assert not operator.get("/overview").has(id="health-messages")


def test_a_test_of_a_recipient_is_queued(admin: Visitor, database: Database) -> None:
    recipient = create_mail_destination(database)
    admin.post(f"/settings/webhooks/{recipient.id}/test")
    with database.read() as session:
        assert session.scalars(select(WebhookMessage)).one().event == "test"
