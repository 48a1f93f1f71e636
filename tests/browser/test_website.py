"""A form on a page of another origin, as its visitors use it. What they leave appears in the panel."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.services.website import challenges
from app.store.database import Database
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import PERSIAN, session_cookie
from tests.support.factories import create_line, create_module

LANGUAGE_NAME = {"en": "English", "fa": "فارسی"}
SEND = {"en": "Call me back", "fa": "با من تماس بگیرید"}
THANKS = {"en": "Thank you.", "fa": "سپاس"}


class Website:
    """A page on a port of its own, with a strict policy. `body` is what was pasted into it."""

    def __init__(self, panel: str) -> None:
        self.body = ""
        website = self
        policy = f"default-src 'none'; script-src {panel}; connect-src {panel}; form-action {panel}"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = f"<!doctype html><meta charset=utf-8><title>Shop</title><h1>Shop</h1>{website.body}<p>End</p>"
                is_page = self.path == "/"
                self.send_response(200 if is_page else 204)
                if is_page:
                    self.send_header("Content-Type", "text/html; charset=utf-8")
                    self.send_header("Content-Security-Policy", policy)
                self.end_headers()
                if is_page:
                    self.wfile.write(page.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@pytest.fixture
def website(address: str) -> Iterator[Website]:
    website = Website(address)
    yield website
    website.close()


@pytest.fixture
def evil(address: str) -> Iterator[Website]:
    website = Website(address)
    yield website
    website.close()


@pytest.fixture
def panel(app: Flask, database: Database, open_browser: OpenBrowser) -> Page:
    """The panel of an administrator, on the page for a new form."""
    create_line(database, "101")
    create_module(database, name="Sales")
    return open_browser().open_session(session_cookie(app, 1, "en"), "/settings/websites/new")


def add_form(panel: Page, origin: str, language: str) -> tuple[str, str]:
    """Add a form in the panel, and return what it says to paste: the script, and the form without JavaScript."""
    panel.locator("#name").fill("Shop")
    panel.locator("#wanted").select_option(index=1)
    panel.locator("#language").select_option(language)
    panel.locator("#origins").fill(origin)
    panel.locator("#privacy").fill("We use your number for this call only.")
    panel.locator("#website-form .btn-primary").click()
    expect(panel.locator("#message")).to_contain_text("Paste it into your website")
    script, plain = (panel.locator("[data-copy]").nth(each).get_attribute("data-copy") or "" for each in (0, 1))
    panel.goto("about:blank")  # the panel polls, and has no part in what follows
    return script, plain


@pytest.mark.parametrize("language", ["en", "fa"])
def test_request_of_a_visitor_appears_in_the_panel(
    panel: Page, website: Website, open_browser: OpenBrowser, language: str
) -> None:
    website.body, _plain = add_form(panel, website.address, language)
    page = open_browser(website.address).page
    page.goto("/")
    form = page.locator("form.bazang")
    expect(form).to_have_attribute("dir", "rtl" if language == "fa" else "ltr")
    number = "09121234567"
    form.locator("input[name=number]").fill(number.translate(PERSIAN) if language == "fa" else number)
    form.locator("input[name=name]").fill("<b>Sara</b>")
    form.get_by_role("button", name=SEND[language]).click()
    expect(form.locator("[role=status]")).to_contain_text(THANKS[language])
    panel.goto("/requests")
    row = panel.locator("#request-1")
    expect(row).to_contain_text("website Shop")
    expect(row).to_contain_text("<b>Sara</b>")


def test_wrong_number_is_said_and_can_be_mended(panel: Page, website: Website, open_browser: OpenBrowser) -> None:
    website.body, _plain = add_form(panel, website.address, "en")
    visitor = open_browser(website.address)
    page = visitor.page
    page.goto("/")
    number = page.locator("input[name=number]")
    number.fill("12")
    page.get_by_role("button").click()
    expect(number).to_have_attribute("aria-invalid", "true")
    number.fill("09121234567")
    page.get_by_role("button").click()
    expect(page.locator("[role=status]")).to_contain_text("Thank you.")
    visitor.ignore_errors("422")


def test_page_of_another_origin_registers_nothing(
    panel: Page, website: Website, evil: Website, open_browser: OpenBrowser
) -> None:
    evil.body, _plain = add_form(panel, website.address, "en")
    stranger = open_browser(evil.address)
    stranger.page.goto("/")
    stranger.page.locator("input[name=number]").fill("09121234567")
    stranger.page.get_by_role("button").click()
    expect(stranger.page.locator("[role=status]")).to_contain_text("This did not work.")
    assert any("CORS" in error for error in stranger.errors)
    stranger.errors.clear()  # the browser says that it was refused
    panel.goto("/report?period=all")
    expect(panel.locator("main")).not_to_contain_text("website Shop")


@pytest.mark.parametrize("language", ["en", "fa"])
def test_visitor_without_javascript(
    panel: Page, website: Website, open_browser: OpenBrowser, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenges, "FASTEST", timedelta(0))  # a person is slower than this test
    _script, website.body = add_form(panel, website.address, language)
    visitor = open_browser(website.address, java_script_enabled=False)
    page = visitor.page
    page.goto("/")
    page.locator("input[name=number]").fill("09121234567")
    page.get_by_role("button").click()
    expect(page.locator("html")).to_have_attribute("lang", language)
    words = {
        "en": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        "fa": ["یک", "دو", "سه", "چهار", "پنج", "شش", "هفت", "هشت", "نه"],
    }[language]
    asked = [word.strip("?؟") for word in (page.locator("label[for=answer]").text_content() or "").split()]
    found = [words.index(word) + 1 for word in asked if word in words]
    page.locator("#answer").fill(str(sum(found[-2:])))
    page.locator("button").click()
    expect(page.locator("main")).to_contain_text(THANKS[language])
    visitor.errors.clear()  # the strict policy of the website refuses the style that hides the trap
    panel.goto("/requests")
    expect(panel.locator("#request-1")).to_contain_text("website Shop")
