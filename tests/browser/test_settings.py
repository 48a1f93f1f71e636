"""JavaScript of the settings pages and the setup."""

import pytest
from flask import Flask
from playwright.sync_api import expect

from app.services import users
from app.store.database import Database
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Person, session_cookie


@pytest.fixture
def person(app: Flask, database: Database, open_browser: OpenBrowser) -> Person:
    """An administrator with English pages."""
    users.set_locale(database, 1, "en")
    person = open_browser()
    person.open_session(session_cookie(app, 1, "en"))
    return person


def test_voice_sample_is_synthesized_or_shows_an_error(person: Person) -> None:
    page = person.page
    page.goto("/settings/voices")
    button = page.locator("#voice-en button[data-sample]")
    with page.expect_response("**/voices/en/preview") as answer:
        button.click()
    assert answer.value.status == 200
    expect(page.locator("#voice-en .range-now")).to_have_count(2)
    page.locator("#en-sample").fill("سلام")
    button.click()
    expect(page.locator("#voice-en .sample-error")).not_to_be_empty()
    person.ignore_errors("422")


def test_example_of_a_dialled_number_follows_the_input(person: Person) -> None:
    page = person.page
    page.goto("/settings")
    page.locator("#outbound_prefix").press_sequentially("9")
    expect(page.locator("#dialled")).to_contain_text("dialled as 9")
    page.locator("input[aria-controls=region]").fill("germ")
    expect(page.locator("#region")).to_have_value("DE")


def test_number_is_tried_without_leaving_the_page(person: Person) -> None:
    page = person.page
    page.goto("/settings/numbers")
    page.locator("#prefix_note").fill("half typed")
    page.locator("#number").fill("110")
    page.locator("#number").press("Enter")
    expect(page.locator("#verdict")).to_contain_text("emergency number")
    page.locator("#number").fill("0912 123 4567")
    page.locator("#try-number button").click()
    expect(page.locator("#verdict")).to_contain_text("It may be called.")
    expect(page.locator("#prefix_note")).to_have_value("half typed")


def test_typed_secret_can_be_shown(person: Person) -> None:
    page = person.page
    page.goto("/settings/exchange")
    expect(page.locator(".reveal-secret")).to_be_hidden()
    page.locator("#ami_secret").fill("abc")
    page.locator(".reveal-secret input").check()
    assert page.locator("#ami_secret").get_attribute("type") == "text"


def test_template_shows_its_fields_and_suggests_a_name(person: Person) -> None:
    page = person.page
    page.goto("/setup/module")
    page.locator("input[value=queue]").check()
    expect(page.locator("#queue")).to_be_visible()
    expect(page.locator("#extensions")).to_be_hidden()
    expect(page.locator("#name")).to_have_value("Call back by the team")
