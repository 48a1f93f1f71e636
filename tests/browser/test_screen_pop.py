"""The screen pop in a browser: a link at once, a new tab for those who want one, and once for each call."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from playwright.sync_api import Page, Route, expect

from app.config import Settings
from app.services import users
from app.services.contacts.templates import ContactTemplates, save
from app.store.database import Database
from app.store.models import Attempt
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Person, session_cookie
from tests.support.factories import (
    create_attempt,
    create_contact,
    create_module,
    create_request,
    create_running_service,
)

OPERATOR_ID = 2
CRM = "https://crm.example/{number}?name={name}"
ADDRESS = "https://crm.example/09121234567?name=%D8%B3%D8%A7%D8%B1%D8%A7"


@pytest.fixture
def call(database: Database, settings: Settings) -> Attempt:
    """A call whose agent's phone rings."""
    create_running_service(database)
    save(database, settings, ContactTemplates(screen_pop_url=CRM), actor="sara", now=datetime.now(UTC))
    create_contact(database, "سارا", "+989121234567")
    request = create_request(database, create_module(database), target="101", number="+989121234567")
    return create_attempt(database, request, agent="101")


def answer(database: Database, call: Attempt) -> None:
    with database.write() as session:
        row = session.get(Attempt, call.id)
        assert row is not None
        row.answered_at = datetime.now(UTC)


def open_panel(app: Flask, person: Person) -> Page:
    """Open the operator's page. The customer program is a page that says what it was asked."""

    def respond(route: Route) -> None:
        route.fulfill(content_type="text/html", body="<title>customer</title>")

    person.context.route("https://crm.example/**", respond)
    return person.open_session(session_cookie(app, OPERATOR_ID, "en"), "/mine")


def test_link_appears_and_nothing_opens_by_itself(
    app: Flask, person: Person, database: Database, call: Attempt
) -> None:
    page = open_panel(app, person)
    link = page.locator(f"[data-pop='{call.id}']")
    expect(link).to_have_count(0)
    answer(database, call)
    expect(link).to_have_attribute("href", ADDRESS)
    expect(page.locator("#screen-pop")).to_contain_text("You are talking with سارا.")
    page.reload()
    expect(link).to_be_visible()
    assert len(person.context.pages) == 1
    with person.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_url(ADDRESS)
    assert opened.value.evaluate("window.opener") is None
    assert opened.value.evaluate("document.referrer") == ""


def test_tab_opens_once_for_those_who_want_it(app: Flask, person: Person, database: Database, call: Attempt) -> None:
    users.set_screen_pop(database, OPERATOR_ID, opens=True)
    page = open_panel(app, person)
    second = person.context.new_page()
    second.goto("/mine")
    with person.context.expect_page() as opened:
        answer(database, call)
    opened.value.wait_for_url(ADDRESS)
    assert opened.value.evaluate("window.opener") is None
    expect(page.locator("[data-pop]")).to_be_visible()
    expect(second.locator("[data-pop]")).to_be_visible()
    for each in (page, second):
        each.reload()
        with each.expect_response(lambda response: "/mine/rows" in response.url):
            pass
        expect(each.locator("[data-pop]")).to_be_visible()
        expect(each.locator("#pop-blocked")).to_be_hidden()
    assert len(person.context.pages) == 3, "the panel twice, and the customer's page once"


def test_blocked_tab_is_said_in_words(app: Flask, open_browser: OpenBrowser, database: Database, call: Attempt) -> None:
    person = open_browser()
    person.context.add_init_script("window.open = () => null")  # what a browser does that blocks pop-ups
    users.set_screen_pop(database, OPERATOR_ID, opens=True)
    answer(database, call)
    page = open_panel(app, person)
    expect(page.locator("#pop-blocked")).to_contain_text("allow pop-ups")
    expect(page.locator("[data-pop]")).to_be_visible()
