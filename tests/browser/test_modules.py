"""What an administrator does with modules, by clicking only."""

import re
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.services.modules.list import load_module
from app.store.database import Database
from app.store.models import Module
from tests.audio.sounds import tone, write_sound
from tests.browser.conftest import Meet
from tests.browser.panel import Person, session_of
from tests.support.factories import create_line, create_module
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD


@pytest.fixture
def page(app: Flask, person: Person) -> Page:
    """The panel, an administrator logged in."""
    return person.take(session_of(app, 1, "en"))


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Module.name).order_by(Module.id)))


def card(page: Page, key: str):
    return page.locator(f"[data-prompt={key}]")


def test_a_module_is_added_heard_duplicated_and_deleted(person: Person, database: Database, tmp_path: Path) -> None:
    page = person.log_in(ADMINISTRATOR, PASSWORD)
    create_line(database, "101", name="Sara")
    recording = write_sound(tmp_path / "recording.wav", tone(2))
    page.get_by_role("link", name="Call requests").click()
    page.get_by_role("link", name="Add the first module").click()
    page.get_by_label("Name").fill("فروش")
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
    expect(page.get_by_label("Name")).to_have_value("Copy of فروش")
    expect(page.get_by_label("Code", exact=True)).to_have_value("*5002")
    page.get_by_role("button", name="Save").click()
    assert names(database) == ["فروش", "Copy of فروش"]

    page.get_by_role("row").filter(has_text="*5002").get_by_role("link", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete “Copy of فروش” (*5002)?")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#message")).to_have_text("The module is deleted.")
    assert names(database) == ["فروش"]


def test_a_text_is_heard_before_it_is_saved(page: Page) -> None:
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


def test_it_really_plays(page: Page) -> None:
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


def test_a_text_that_cannot_be_spoken_says_why(person: Person, page: Page) -> None:
    page.goto("/modules/new")
    intro = card(page, "intro")
    intro.get_by_label("Text", exact=True).fill("سلام")
    intro.get_by_role("button", name="Listen to this text").click()
    expect(intro.locator(".preview-error")).not_to_be_empty()
    assert [c for c in person.complaints if "422" not in c] == []
    person.complaints.clear()  # the browser notes every answer that is no success


def test_a_preview_without_the_panel_says_so(person: Person, page: Page) -> None:
    page.goto("/modules/new")
    page.route("**/prompts/preview", lambda route: route.abort())
    intro = card(page, "intro")
    intro.get_by_role("button", name="Listen to this text").click()
    expect(intro.locator(".preview-error")).not_to_be_empty()
    person.complaints.clear()


def test_only_what_belongs_to_a_choice_is_shown(page: Page) -> None:
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


def test_untouched_texts_follow_the_language_and_touched_ones_stay(page: Page) -> None:
    page.goto("/modules/new")
    card(page, "intro").get_by_label("Text", exact=True).fill("My own.")
    page.get_by_label("Language of the prompts").select_option("fa")
    expect(card(page, "is").get_by_label("Text", exact=True)).to_have_value("می‌باشد.")
    expect(card(page, "intro").get_by_label("Text", exact=True)).to_have_value("My own.")
    page.get_by_label("Language of the prompts").select_option("en")
    expect(card(page, "is").get_by_label("Text", exact=True)).to_have_value("")


def test_what_is_wrong_is_seen_and_mended(person: Person, page: Page, database: Database) -> None:
    page.goto("/modules/new")
    page.get_by_label("Name").fill("Sales")
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
    person.complaints[:] = [c for c in person.complaints if "422" not in c]


def test_a_module_is_added_without_scripts(meet: Meet, database: Database, tmp_path: Path) -> None:
    person = meet(java_script_enabled=False)
    page = person.log_in(ADMINISTRATOR, PASSWORD)
    page.get_by_role("link", name="Call requests").click()
    page.get_by_role("link", name="Add the first module").click()
    page.get_by_label("Name").fill("Sales")
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


def test_everything_is_reached_by_the_keyboard(page: Page, database: Database) -> None:
    """From the first key on: to the content, to the list, to its first module, and back."""
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


def test_an_operator_is_told_what_is_not_theirs(person: Person) -> None:
    page = person.log_in(OPERATOR, PASSWORD)
    page.goto("/modules")
    expect(page.get_by_role("heading", level=1)).to_have_text("No access")
    person.complaints[:] = [c for c in person.complaints if "403" not in c]
