"""The page of notifications, and what lets a browser install the panel."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.config import Settings
from app.services.notifications import keys, outbox, subscriptions
from app.store.database import Database
from app.web.assets import digest
from tests.support.notified import add_browser
from tests.support.push_service import make_subscription
from tests.web.pages import Page, Visitor, text

FIELDS = asdict(make_subscription())
URL = "/account/notifications"


def act(visitor: Visitor, path: str, data: Any = None) -> Page:
    """Send a form, and return the page after it."""
    return visitor.follow(visitor.post(path, data))


def test_choice_is_stored_and_shown_again(operator: Visitor) -> None:
    page = operator.get(URL)
    assert page.fields(page.form(action=URL))["kinds"] == ["arrived", "due", "failed"]
    page = act(operator, URL, {"kinds": ["due"], "quiet_from": "۲۰:۰۰", "quiet_until": "8:00", "shows_numbers": "y"})
    assert page.message == "Your choice is saved."
    fields = page.fields(page.form(action=URL))
    assert (fields["kinds"], fields["quiet_from"], fields["quiet_until"]) == (["due"], ["20:00"], ["08:00"])
    assert fields["shows_numbers"] == ["y"]
    page = operator.post(URL, {"quiet_from": "25:00", "quiet_until": "8"}, 422)
    assert page.error("quiet_from") and page.error("quiet_until")


def test_browser_is_added_tested_and_removed(operator: Visitor, database: Database, settings: Settings) -> None:
    assert "has not run since the installation" in operator.get(URL).one(id="ways").get("data-keyless", "")
    assert operator.get(URL).one(id="switches").get("data-key") == ""
    key = keys.private_key(database, settings)
    assert operator.get(URL).one(id="switches").get("data-key") == keys.public_key(database, settings) != key
    answer = operator.client.post(f"{URL}/browsers", data=FIELDS)
    assert (answer.status_code, answer.get_data()) == (204, b"")
    page = operator.get(URL)
    row = page.one("tr", id="browser-1")
    assert "this browser" in text(row) and "none yet" in text(row)
    page = act(operator, f"{URL}/browsers/1/test")
    assert "on its way" in text(page.one("tr", id="browser-1"))
    assert page.one(id="browser-list").get("hx-get") == f"{URL}/browsers"
    now = datetime.now(UTC)
    (delivery,) = outbox.claim(database, settings, now)
    outbox.finish(database, [outbox.Result(delivery, done=True, failure="http_403")], now)
    page = operator.get(URL)
    assert "the clock of the server is wrong" in text(page.one("tr", id="browser-1"))
    assert page.one(id="browser-list").get("hx-get") is None
    assert not act(operator, f"{URL}/browsers/1/remove").has("tr", id="browser-1")


def test_browsers_of_others_and_other_addresses_are_refused(
    operator: Visitor, database: Database, settings: Settings
) -> None:
    foreign = add_browser(database, settings, 4, make_subscription("foreign"), datetime.now(UTC))
    for name in ("test", "remove"):
        operator.post(f"{URL}/browsers/{foreign}/{name}", status=404)
    assert len(subscriptions.list_browsers(database, 4, datetime.now(UTC))) == 1
    for address in ("https://127.0.0.1/", "http://fcm.googleapis.com/", "https://example.org/"):
        operator.post(f"{URL}/browsers", FIELDS | {"endpoint": address}, 400)


def test_browser_gets_nothing_more_after_the_log_out(operator: Visitor, database: Database) -> None:
    operator.client.post(f"{URL}/browsers", data=FIELDS)
    assert len(subscriptions.list_browsers(database, 2, datetime.now(UTC))) == 1
    operator.post("/logout")
    assert subscriptions.list_browsers(database, 2, datetime.now(UTC)) == []


@pytest.mark.parametrize(("language", "name", "direction"), [("fa", "بازنگ", "rtl"), ("en", "Bazang", "ltr")])
def test_manifest_is_in_both_languages_and_names_files_that_exist(
    app: Flask, visitor: Visitor, language: str, name: str, direction: str
) -> None:
    answer = app.test_client().get(f"/{language}.webmanifest")
    assert answer.mimetype == "application/manifest+json"
    described = json.loads(answer.get_data(as_text=True))
    assert (described["short_name"], described["dir"], described["lang"]) == (name, direction, language)
    assert {icon["purpose"] for icon in described["icons"]} == {"any", "maskable"}
    for icon in described["icons"]:
        sent = app.test_client().get(icon["src"], buffered=True)
        width, height = (int.from_bytes(sent.get_data()[at : at + 4]) for at in (16, 20))
        assert f"{width}x{height}" == icon["sizes"]
    assert app.test_client().get("/de.webmanifest").status_code == 404


def test_service_worker_has_both_languages_and_no_cookie(app: Flask, operator: Visitor) -> None:
    anonymous, own = (client.get("/service-worker.js") for client in (app.test_client(), operator.client))
    assert anonymous.get_data() == own.get_data()
    assert "Set-Cookie" not in own.headers
    assert anonymous.mimetype == "text/javascript"
    config = json.loads(anonymous.get_data(as_text=True).partition("\n")[0].removeprefix("const CONFIG = ")[:-1])
    assert config["texts"]["fa"].keys() == config["texts"]["en"].keys()
    assert config["texts"]["fa"]["arrived"] != config["texts"]["en"]["arrived"]
    folder = Path(str(app.static_folder))
    assert f"?v={digest(folder / 'css/tokens.css')}" in " ".join(config["files"])
