"""Messages that move nothing and can be undone, the summary of errors, and forms that are left with changes."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from playwright.sync_api import Dialog, Locator, Page, expect

from app.services import users
from app.services.requests import registration
from app.services.requests.registration import Registration
from app.store.database import Database
from app.store.models import CallRequest
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Person, row, session_cookie, wait_for_row
from tests.support.factories import create_line, create_module, create_running_service
from tests.web.conftest import OPERATOR, PASSWORD

TOAST = "#message [data-toast]"


@pytest.fixture
def office(database: Database) -> None:
    """Three requests for 101, which is offline."""
    create_running_service(database)
    create_line(database, "101", state="offline")
    create_module(database, name="Sales")
    for number in range(1, 4):
        registration.register(database, Registration(1, f"+98912000000{number}", extension="101"), datetime.now(UTC))


def status(database: Database, number: int = 1) -> str:
    with database.read() as session:
        return session.get_one(CallRequest, number).status


def cancel(page: Page, request: int) -> None:
    row(page, request).locator("[data-menu]").click()
    page.locator("#menu a[href*='/acts/cancel']").click()
    page.locator("#dialog .action-buttons button").click()


def top(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["y"]


@pytest.mark.parametrize("locale", ["en", "fa"])
@pytest.mark.parametrize("width", [390, 1440])
def test_a_message_moves_nothing_and_is_undone(
    app: Flask, open_browser: OpenBrowser, database: Database, office: None, locale: str, width: int
) -> None:
    users.set_locale(database, 4, locale)
    person = open_browser(viewport={"width": width, "height": 900})
    page = person.open_session(session_cookie(app, 4, locale))
    before = top(page.locator("#tables")), page.evaluate("document.documentElement.scrollWidth")
    cancel(page, 1)
    toast = page.locator(TOAST)
    expect(toast).to_be_visible()
    assert (top(page.locator("#tables")), page.evaluate("document.documentElement.scrollWidth")) == before
    box = toast.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 900
    toast.locator("form button").click()
    expect(toast.locator("form")).to_have_count(0)
    wait_for_row(page, "101" if locale == "en" else "۱۰۱")
    expect(page.locator(TOAST)).to_have_count(1)
    assert status(database) == "waiting"


def test_a_message_goes_after_ten_seconds_but_not_while_it_is_used(
    app: Flask, person: Person, database: Database, office: None
) -> None:
    users.set_locale(database, 4, "en")
    person.page.clock.install()
    page = person.open_session(session_cookie(app, 4, "en"))
    toast = page.locator(TOAST)
    cancel(page, 1)
    toast.hover()
    page.clock.fast_forward(11_000)
    expect(toast).to_have_count(1)
    page.mouse.move(0, 0)
    page.clock.fast_forward(11_000)
    expect(toast).to_have_count(0)
    cancel(page, 2)
    toast.locator("form button").focus()
    page.clock.fast_forward(11_000)
    expect(toast).to_have_count(1)
    page.keyboard.press("Escape")
    expect(toast).to_have_count(0)
    expect(page.locator("#main")).to_be_focused()
    cancel(page, 3)
    page.locator("[data-closes-toast]").click()
    expect(toast).to_have_count(0)
    assert [status(database, number) for number in (1, 2, 3)] == ["cancelled"] * 3
    person.ignore_errors("htmx:error: timeout")  # of a poll that the clock has overtaken


def test_a_message_is_undone_without_javascript(open_browser: OpenBrowser, database: Database, office: None) -> None:
    page = open_browser(java_script_enabled=False).log_in(OPERATOR, PASSWORD)
    expect(row(page, 1).locator("[data-menu]")).to_be_hidden()
    row(page, 1).locator(".request-number").click()
    page.locator("[popovertarget]").click()
    page.locator("#menu-1 a[href*='/acts/cancel']").click()
    page.locator(".action-buttons button").click()
    toast = page.locator(TOAST)
    expect(toast).to_be_visible()
    expect(toast.locator("[data-closes-toast]")).to_be_hidden()
    assert top(page.locator("#request-detail")) > top(toast), "it is an ordinary part of the page"
    toast.locator("form button").click()
    expect(toast).to_contain_text("Undone.")
    assert status(database) == "waiting"


# -- forms ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def form(app: Flask, person: Person, database: Database) -> Page:
    """The form of a module, for an administrator."""
    users.set_locale(database, 1, "en")
    create_running_service(database)
    create_module(database, name="Sales", targets=["101"])
    return person.open_session(session_cookie(app, 1, "en"), "/modules/1")


def listen(page: Page) -> Callable[[], int]:
    """Stay whenever the browser asks. Return a function that returns how often it has asked."""
    asked: list[Dialog] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog)
        dialog.dismiss()

    page.on("dialog", stay)
    return lambda: len(asked)


def leave(page: Page) -> None:
    page.locator(".form-end a").click()


def test_leaving_asks_only_about_changes_that_are_not_saved(person: Person, form: Page) -> None:
    asked, page, name = listen(form), form, form.locator("#name")
    name.fill("Support")
    leave(page)
    expect(name).to_have_value("Support")
    assert asked() == 1
    name.fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".error-summary")).to_be_focused()
    assert asked() == 1, "saving is no leaving"
    leave(page)
    assert asked() == 2, "the server has not saved it"
    page.locator(".error-summary a", has_text="Name").click()
    expect(name).to_be_focused()
    expect(name).to_have_attribute("aria-invalid", "true")
    name.fill("Support")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/modules*")  # with the part to which the summary led
    page.goto("/modules/1")
    page.locator("#name").fill("Sales")
    page.locator("#name").fill("Support")
    leave(page)
    page.wait_for_url("**/modules")
    assert asked() == 2
    person.ignore_errors("422")
