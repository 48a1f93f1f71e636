"""The scripts of the settings pages and of the setup."""

import pytest
from flask import Flask
from playwright.sync_api import expect

from app.services import users
from app.store.database import Database
from tests.browser.conftest import Meet
from tests.browser.panel import Person, session_of


@pytest.fixture
def person(app: Flask, database: Database, meet: Meet) -> Person:
    """An administrator who reads English."""
    users.set_locale(database, 1, "en")
    person = meet()
    person.take(session_of(app, 1, "en"))
    return person


def test_a_voice_sample_is_played_or_explained(person: Person) -> None:
    page = person.page
    page.goto("/settings/voices")
    button = page.locator("#voice-en button[data-sample]")
    with page.expect_response("**/voices/en/preview") as answer:
        button.click()
    assert answer.value.status == 200
    expect(page.locator("#voice-en .range-now")).to_have_count(2)
    page.locator("#voice-en textarea").fill("سلام")
    button.click()
    expect(page.locator("#voice-en .sample-error")).not_to_be_empty()
    person.complaints.clear()  # the 422 is expected


def test_the_example_follows_the_typed_values(person: Person) -> None:
    page = person.page
    page.goto("/settings")
    page.locator("#outbound_prefix").press_sequentially("9")
    expect(page.locator("#dialled")).to_contain_text("dialled as 9")
    page.locator("input[aria-controls=region]").fill("germ")
    expect(page.locator("#region")).to_have_value("DE")


def test_a_secret_is_shown_while_it_is_typed(person: Person) -> None:
    page = person.page
    page.goto("/settings/exchange")
    expect(page.locator(".reveal-secret")).to_be_hidden()
    page.locator("#ami_secret").fill("abc")
    page.locator(".reveal-secret input").check()
    assert page.locator("#ami_secret").get_attribute("type") == "text"


def test_a_template_shows_its_fields_and_proposes_its_name(person: Person) -> None:
    page = person.page
    page.goto("/setup/module")
    page.locator("input[value=queue]").check()
    expect(page.locator("#queue")).to_be_visible()
    expect(page.locator("#extensions")).to_be_hidden()
    expect(page.locator("#name")).to_have_value("Call back by the team")
