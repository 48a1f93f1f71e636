"""The service worker, notifications, keys and the search, as a browser has them."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.config import Settings
from app.services.notifications import keys, subscriptions
from app.store.database import Database
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Person, session_cookie
from tests.support.factories import create_module, create_request
from tests.support.push_service import make_subscription

# All that the browser keeps: [name of the cache, path and content type]
KEPT = """async () => {
  const found = [];
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const answer = await cache.match(request);
      const { pathname, search } = new URL(request.url);
      found.push([name, pathname + search, answer.headers.get("Content-Type"), await answer.text()]);
    }
  }
  return found;
}"""
READY = "() => navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)"
# The headless browser shows no notifications and gives nobody the permission. These stand in for it.
RECORD = "() => { self.shown = []; self.registration.showNotification = async (...shown) => self.shown.push(shown); }"
GRANT = """Object.defineProperty(Notification, "permission", { get: () => "granted" });
Notification.requestPermission = async () => "granted";"""
# Nor does it have a push service. This one gives a subscription with given keys.
PUSH = """{
  const given = %s;
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const subscription = {
    endpoint: given.endpoint,
    options: { get applicationServerKey() { return bytes(localStorage.getItem("test.key")).buffer; } },
    getKey: (name) => bytes(given[name]).buffer,
    unsubscribe: async () => localStorage.removeItem("test.key"),
  };
  PushManager.prototype.getSubscription = async () => (localStorage.getItem("test.key") ? subscription : null);
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    localStorage.setItem("test.key", applicationServerKey);
    return subscription;
  };
}"""


@pytest.fixture
def person(open_browser: OpenBrowser) -> Person:
    return open_browser(service_workers="allow")


def test_browser_keeps_the_offline_page_and_nothing_of_the_panel(
    app: Flask, person: Person, database: Database
) -> None:
    module = create_module(database, name="Secret module")
    create_request(database, module, target="101", caller_name="Secret name")
    page = person.open_session(session_cookie(app, 1, "en"))
    page.wait_for_function(READY)
    for path in ("/requests", "/requests/1", "/mine", "/report", "/report.csv", "/account/notifications", "/modules/1"):
        if path.endswith(".csv"):
            page.evaluate("(path) => fetch(path).then((answer) => answer.text())", path)
        else:
            page.goto(path)
    kept = page.evaluate(KEPT)
    assert len({name for name, *_ in kept}) == 1
    assert sorted(re.sub(r"\?.*|@[0-9a-f]{10}", "", path) for _name, path, *_ in kept) == [
        "/offline",
        "/static/css/pages/offline.css",
        "/static/css/tokens.css",
        "/static/icon.svg",
        "/static/js/theme.js",
        "/static/vendor/vazirmatn@33.0.3/Vazirmatn-400-800.woff2",
    ]
    for _name, path, kind, content in kept:
        assert "Secret" not in content and "09121234567" not in content and "csrf" not in content, path
        assert path == "/offline" or "text/html" not in kind
    page.context.set_offline(True)
    page.goto("/requests")
    expect(page.locator("h1")).to_have_text("بازنگ در دسترس نیست")
    expect(page.get_by_role("link", name="Try again")).to_be_visible()
    page.context.set_offline(False)
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("#request-1")).to_be_visible()
    person.ignore_errors("ERR_INTERNET_DISCONNECTED")


def push(page: Page, address: str, text: str) -> list[Any]:
    """Let the service worker get a message as if the push service had sent it. Return what it shows."""
    page.wait_for_function(READY)
    (worker,) = page.context.service_workers
    worker.evaluate(RECORD)
    client = page.context.new_cdp_session(page)
    registrations: list[str] = []

    def note(event: dict[str, Any]) -> None:
        registrations.extend(entry["registrationId"] for entry in event["registrations"])

    client.on("ServiceWorker.workerRegistrationUpdated", note)
    client.send("ServiceWorker.enable")
    while not registrations:
        page.evaluate("1")  # lets events in
    delivered = {"origin": address, "registrationId": registrations[0], "data": text}
    client.send("ServiceWorker.deliverPushMessage", delivered)
    while not worker.evaluate("self.shown.length"):
        pass
    shown: list[Any] = worker.evaluate("self.shown")
    return shown


@pytest.mark.parametrize(
    ("locale", "title", "body", "exchange", "url"),
    [
        ("en", "A call request has failed", ["For extension 101", "Attempts: 3"], {}, "/requests/7"),
        (
            "fa",
            "درخواست تماس ناموفق شد",
            ["شعبه شمال", "برای داخلی ۱۰۱", "تعداد تلاش: ۳"],
            {"exchange": "north", "exchange_name": "شعبه شمال"},
            "/x/north/requests/7",
        ),
    ],
    ids=["en", "fa, of another exchange"],
)
def test_push_is_shown_in_the_language_of_the_user(
    app: Flask,
    person: Person,
    address: str,
    locale: str,
    title: str,
    body: list[str],
    exchange: dict[str, str],
    url: str,
) -> None:
    page = person.open_session(session_cookie(app, 1, "en"))
    message = {"kind": "failed", "request": 7, "target": "101", "queue": False, "attempts": 3, "key": "failed:1"}
    message |= exchange
    ((shown, options),) = push(page, address, json.dumps(message | {"locale": locale}))
    assert (shown, options["lang"], options["tag"], options["data"]) == (
        title,
        locale,
        "failed:1",
        {"url": url},
    )
    assert options["body"].replace("\u2068", "").replace("\u2069", "").splitlines() == body


def test_push_that_cannot_be_read_is_shown_without_words_of_its_own(app: Flask, person: Person, address: str) -> None:
    page = person.open_session(session_cookie(app, 1, "en"))
    ((shown, options),) = push(page, address, "not json")
    assert (shown, options["body"], options["data"]) == ("There is something new in the panel.", "", {"url": "/"})


def test_page_of_notifications_says_what_works(
    app: Flask, person: Person, database: Database, settings: Settings
) -> None:
    page = person.open_session(session_cookie(app, 1, "en"), "/account/notifications")
    expect(page.locator("#way-push")).to_have_attribute("data-state", "denied")
    expect(page.locator("#turn-on")).to_be_hidden()
    page.add_init_script(GRANT)
    page.reload()
    expect(page.locator("#way-push")).to_have_attribute("data-state", "keyless")
    keys.private_key(database, settings)
    page.reload()
    expect(page.locator("#way-push")).to_have_attribute("data-state", "unknown")
    expect(page.locator("#way-sound")).to_have_attribute("data-state", "off")
    # This browser has no push service, as one in an office without the internet.
    page.locator("#turn-on").click()
    expect(page.locator("#way-push")).to_have_attribute("data-state", "unreachable")
    expect(page.locator("#way-page")).to_have_attribute("data-state", "on")
    page.locator("[data-sound]").click()
    expect(page.locator("#way-sound")).to_have_attribute("data-state", "on")
    page.locator("#turn-off").click()
    expect(page.locator("#way-page")).to_have_attribute("data-state", "off")
    person.ignore_errors("does not support the Push API in incognito mode")


def test_browser_with_a_push_service_is_added_and_again_after_the_next_log_in(
    app: Flask, person: Person, database: Database, settings: Settings
) -> None:
    keys.private_key(database, settings)
    page = person.open_session(session_cookie(app, 1, "en"), "/account/notifications")
    page.add_init_script(GRANT)
    page.add_init_script(PUSH % json.dumps(asdict(make_subscription())))
    page.reload()
    page.locator("#turn-on").click()
    expect(page.locator("#way-push")).to_have_attribute("data-state", "on")
    expect(page.locator("#way-page")).to_have_attribute("data-state", "replaced")
    expect(page.locator("#browser-1 .badge")).to_have_text("this browser")
    person.open_session(session_cookie(app, 4, "en"))  # a colleague at the same browser, who has not asked for it
    page.goto("/account/notifications")
    expect(page.locator("#way-push")).to_have_attribute("data-state", "unknown")
    with page.expect_response("**/account/notifications/browsers") as answer:
        person.open_session(session_cookie(app, 1, "en"))
    assert answer.value.status == 204
    page.goto("/account/notifications")
    expect(page.locator("#way-push")).to_have_attribute("data-state", "on")
    expect(page.locator("#browser-1 .badge")).to_have_text("this browser")
    subscriptions.remove(database, 1, subscriptions.list_browsers(database, 1, datetime.now(UTC))[0].id)
    page.reload()
    expect(page.locator("#way-push")).not_to_have_attribute("data-state", "on")
    page.locator("#turn-on").click()
    expect(page.locator("#way-push")).to_have_attribute("data-state", "on")
    page.locator("#turn-off").click()
    page.wait_for_load_state()
    expect(page.locator("tr[id^=browser-]")).to_have_count(0)
    expect(page.locator("#way-push")).to_have_attribute("data-state", "unknown")
    assert subscriptions.list_browsers(database, 1, datetime.now(UTC)) == []


def test_page_that_is_not_looked_at_shows_a_notification_when_a_request_arrives(
    app: Flask, person: Person, database: Database
) -> None:
    page = person.open_session(session_cookie(app, 1, "en"))
    page.add_init_script(GRANT)
    page.evaluate("localStorage.setItem('bazang.notices.1', 'on')")
    page.goto("/requests")
    page.wait_for_function(READY)
    page.evaluate(
        """() => navigator.serviceWorker.ready.then((worker) => {
          window.shown = [];
          worker.constructor.prototype.showNotification = async (...shown) => window.shown.push(shown);
          Object.defineProperty(document, "hidden", { get: () => true });
        })"""
    )
    create_request(database, create_module(database), target="101", registered_at=datetime.now(UTC))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("window.dispatchEvent(new Event('online'))")  # asks at once
    page.wait_for_function("() => window.shown.length > 0")
    ((title, options),) = page.evaluate("window.shown")
    assert (title, options["tag"]) == ("New call request", "arrived")


def test_keys_lead_to_pages_and_can_be_switched_off(app: Flask, person: Person) -> None:
    page = person.open_session(session_cookie(app, 1, "fa"))
    page.locator("main").press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/mine")
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("gr?")
    expect(page.locator("#find")).to_have_value("gr?")
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("#find").fill("0912")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?find=0912")
    page.locator("[data-opens-keys]").click()
    page.locator("#keys-on").uncheck()
    page.locator("#keys form button").click()
    page.evaluate("() => { window.left = 0; navigation.addEventListener('navigate', () => { window.left += 1; }); }")
    for key in ("?", "g", "r", "n"):
        page.keyboard.press(key)
    expect(page.locator("#keys")).to_be_hidden()
    assert page.evaluate("window.left") == 0
