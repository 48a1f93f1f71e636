"""Modules in a browser: add, change, duplicate, delete, and listen to prompts."""

import re
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from app.services.modules.list import load_module
from app.store.database import Database
from app.store.models import Module
from tests.audio.sounds import tone, write_sound
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Person, session_cookie
from tests.support.factories import create_line, create_module
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD


@pytest.fixture
def page(app: Flask, person: Person) -> Page:
    """The panel with the session of an administrator."""
    return person.open_session(session_cookie(app, 1, "en"))


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Module.name).order_by(Module.id)))


def card(page: Page, key: str) -> Locator:
    """Unfold a prompt. Return its card."""
    card = page.locator(f"[data-prompt={key}]")
    if card.locator("> details").get_attribute("open") is None:
        card.locator("> details > summary").click()
    return card


def test_module_is_added_duplicated_and_deleted(person: Person, database: Database, tmp_path: Path) -> None:
    page = person.log_in(ADMINISTRATOR, PASSWORD)
    create_line(database, "101", name="Sara")
    recording = write_sound(tmp_path / "recording.wav", tone(2))
    page.get_by_role("link", name="Call requests").click()
    page.get_by_role("link", name="Add the first module").click()
    page.get_by_label("Name", exact=True).fill("فروش")
    page.get_by_label("Code", exact=True).fill("*۵۰۰۱")
    page.get_by_label("101 Sara").check()
    page.get_by_label("Language of the prompts").select_option("en")
    intro = card(page, "intro")
    intro.get_by_label("Text", exact=True).fill("Hello. Press 1, 2 or 0.")
    check = card(page, "check_number")
    check.get_by_label("upload a file").check()
    check.get_by_label("Choose a file", exact=True).set_input_files(recording)
    card(page, "before_success").get_by_label("don't play").check()
    page.get_by_role("button", name="Save").click()

    expect(page.locator("#message")).to_contain_text("The module is saved.")
    row = page.get_by_role("row").filter(has_text="*5001")
    expect(row).to_contain_text("extension 101")
    with database.read() as session:
        saved = load_module(session, 1)
    assert (saved.name, saved.code, saved.targets) == ("فروش", "*5001", ("101",))
    assert {key: prompt.mode for key, prompt in saved.prompts.items() if prompt.mode != "speech"} == {
        "check_number": "file",
        "before_success": "none",
    }

    row.get_by_role("link", name="فروش").click()
    expect(card(page, "check_number")).to_contain_text("recording.wav")
    length = (
        card(page, "check_number")
        .locator("[data-player] audio")
        .evaluate("async (audio) => { await audio.play(); audio.pause(); return audio.duration; }")
    )
    assert 1.5 < length < 2.5
    page.go_back()

    row.get_by_role("link", name="Duplicate").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Copy of فروش")
    expect(page.get_by_label("Code", exact=True)).to_have_value("*5002")
    page.get_by_role("button", name="Save").click()
    assert names(database) == ["فروش", "Copy of فروش"]

    page.get_by_role("row").filter(has_text="*5002").get_by_role("link", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete “Copy of فروش” (*5002)?")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#message")).to_contain_text("The module is deleted.")
    assert names(database) == ["فروش"]


def test_preview_sends_the_unsaved_text_and_gets_a_sound(page: Page) -> None:
    page.goto("/modules/new")
    intro = card(page, "intro")
    intro.get_by_label("Text", exact=True).fill("Good evening.")
    played = "new Promise((done) => { HTMLMediaElement.prototype.play = function () { done(this.src); }; })"
    page.evaluate(f"() => {{ window.played = {played}; }}")
    with page.expect_response("**/prompts/preview") as answer:
        intro.get_by_role("button", name="Listen to this text").click()
    assert answer.value.status == 200
    assert answer.value.headers["content-type"] == "audio/wav"
    assert page.evaluate("window.played").startswith("blob:")
    expect(intro.locator(".preview-error")).to_be_empty()
    expect(intro.get_by_role("button", name="Listen to this text")).to_be_enabled()


def test_preview_plays_to_its_end(page: Page) -> None:
    page.goto("/modules/new")
    page.evaluate(
        """() => { window.ended = new Promise((done) => {
          const play = HTMLMediaElement.prototype.play;
          HTMLMediaElement.prototype.play = function () {
            this.addEventListener("ended", () => done(this.currentTime));
            return play.call(this);
          };
        }); }"""
    )
    entered = card(page, "entered_number")
    entered.get_by_role("button", name="Listen to this text").click()
    assert page.evaluate("window.ended") > 0.5
    expect(entered.locator(".preview-error")).to_be_empty()


def test_preview_explains_why_a_text_cannot_be_synthesized(person: Person, page: Page) -> None:
    page.goto("/modules/new")
    intro = card(page, "intro")
    intro.get_by_label("Text", exact=True).fill("سلام")
    intro.get_by_role("button", name="Listen to this text").click()
    expect(intro.locator(".preview-error")).to_have_text(
        "The text is not in the language of the module. Change the text or the language."
    )
    person.ignore_errors("422")


def test_preview_shows_an_error_if_the_panel_does_not_answer(person: Person, page: Page) -> None:
    page.goto("/modules/new")
    page.route("**/prompts/preview", lambda route: route.abort())
    intro = card(page, "intro")
    intro.get_by_role("button", name="Listen to this text").click()
    expect(intro.locator(".preview-error")).to_have_text("The panel does not answer. Try again.")
    person.errors.clear()  # about the failed request


def test_form_shows_only_the_fields_of_the_selected_options(page: Page) -> None:
    page.goto("/modules/new")
    expect(page.locator("#queue")).to_be_hidden()
    page.get_by_label("queue", exact=True).check()
    expect(page.locator("#queue")).to_be_visible()
    expect(page.locator("#targets")).to_be_hidden()
    expect(page.locator("#next_code")).to_be_hidden()
    page.locator("#next_kind").select_option("extension")
    expect(page.locator("#next_code")).to_be_visible()
    intro = card(page, "intro")
    for mode, text, upload in (
        ("upload a file", True, True),
        ("don't play", False, False),
        ("text to speech", True, False),
    ):
        intro.get_by_label(mode).check()
        assert intro.locator("[data-text]").is_visible() == text
        assert intro.get_by_text("Choose a file", exact=True).is_visible() == upload


def test_default_texts_follow_the_language_and_changed_texts_stay(page: Page) -> None:
    page.goto("/modules/new")
    card(page, "intro").get_by_label("Text", exact=True).fill("My own.")
    page.get_by_label("Language of the prompts").select_option("fa")
    expect(card(page, "is").get_by_label("Text", exact=True)).to_have_value("می‌باشد.")
    expect(card(page, "intro").get_by_label("Text", exact=True)).to_have_value("My own.")
    page.get_by_label("Language of the prompts").select_option("en")
    expect(card(page, "is").get_by_label("Text", exact=True)).to_have_value("")


def test_errors_are_shown_and_the_corrected_form_is_saved(person: Person, page: Page, database: Database) -> None:
    page.goto("/modules/new")
    page.get_by_label("Name", exact=True).fill("Sales")
    page.get_by_label("Code", exact=True).fill("")
    page.get_by_label("queue", exact=True).check()
    page.get_by_role("button", name="Save").click()
    for field in ("code", "queue"):
        expect(page.locator(f"#{field}-error")).to_be_visible()
    page.get_by_label("Code", exact=True).fill("*5001")
    page.locator("#queue").fill("800")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#message")).to_contain_text("The module is saved.")
    assert names(database) == ["Sales"]
    person.ignore_errors("422")


def test_module_is_added_without_javascript(open_browser: OpenBrowser, database: Database, tmp_path: Path) -> None:
    person = open_browser(java_script_enabled=False)
    page = person.log_in(ADMINISTRATOR, PASSWORD)
    page.get_by_role("link", name="Call requests").click()
    page.get_by_role("link", name="Add the first module").click()
    page.get_by_label("Name", exact=True).fill("Sales")
    page.get_by_label("Code", exact=True).fill("*5001")
    page.get_by_label("Other extensions").fill("101")
    page.locator("#next_kind").select_option("extension")
    page.locator("#next_code").fill("102")
    intro = card(page, "intro")
    intro.get_by_label("upload a file").check()
    intro.get_by_label("Choose a file", exact=True).set_input_files(write_sound(tmp_path / "recording.wav", tone(2)))
    expect(intro.get_by_text("Listen to this text")).to_be_hidden()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#message")).to_contain_text("The module is saved.")
    with database.read() as session:
        saved = load_module(session, 1)
    assert (saved.next.code, saved.prompts["intro"].mode) == ("102", "file")


def test_list_of_modules_is_reached_and_searched_with_the_keyboard(page: Page, database: Database) -> None:
    create_module(database, name="Sales")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    expect(page.locator(":focus")).to_be_in_viewport()
    for _ in range(12):
        if page.locator(":focus").inner_text() == "Call requests":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/modules$"))
    page.locator("#q").focus()
    page.keyboard.type("sal")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=sal"))
    expect(page.locator("#q")).to_be_focused()
    expect(page.get_by_role("row").filter(has_text="Sales")).to_be_visible()


def test_operator_has_no_access_to_modules(person: Person) -> None:
    page = person.log_in(OPERATOR, PASSWORD)
    page.goto("/modules")
    expect(page.get_by_role("heading", level=1)).to_have_text("No access")
    person.ignore_errors("403")
