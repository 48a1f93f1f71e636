"""Users and their sessions, and the wallboard, which updates itself."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.domain.policy import LineState
from app.services import users
from app.store.database import Database
from app.store.pbx_state import ExtensionReport, store_extensions
from tests.asterisk.office import Office
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Loop, count_loads, serve, session_cookie
from tests.support.factories import create_line, create_module, create_request, create_running_service
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD

WORDS = {
    "en": {
        "users": "Users",
        "add": "Add a user",
        "submit": "Add the user",
        "name": "User name",
        "reset": "Reset the password",
        "make": "Generate a password",
        "deactivate": "Deactivate",
        "log": "Log",
        "reset_told": "The password of omid was reset.",
        "free": "free",
        "in_call": "in a call",
        "stale": "The panel does not answer",
        "back": "Back to the panel",
        "one": "1",
    },
    "fa": {
        "users": "کاربران",
        "add": "افزودن کاربر",
        "submit": "افزودن کاربر",
        "name": "نام کاربری",
        "reset": "بازنشانی رمز عبور",
        "make": "ساختن رمز عبور",
        "deactivate": "غیرفعال‌سازی",
        "log": "رویدادها",
        "reset_told": "رمز عبور omid بازنشانی شد.",
        "free": "آزاد",
        "in_call": "در حال مکالمه",
        "stale": "پنل پاسخ نمی‌دهد",
        "back": "بازگشت به پنل",
        "one": "۱",
    },
}


@pytest.fixture
def sample_data(database: Database) -> None:
    """Two lines and a request for each."""
    create_running_service(database)
    module = create_module(database, targets=["101", "102"])
    for extension, person in (("101", "Omid"), ("102", "Zahra")):
        create_line(database, extension, name=person, since=datetime.now(UTC))
        create_request(database, module, target=extension, number=f"+98912000{extension}0")


@pytest.fixture(params=["en", "fa"])
def locale(request: pytest.FixtureRequest, database: Database) -> str:
    for user in (1, 2):
        users.set_locale(database, user, request.param)
    chosen: str = request.param
    return chosen


def read_password(page: Page) -> str:
    """Return the generated password that the page shows."""
    return page.locator(".copyable code").inner_text()


def test_new_operator_logs_in_and_sees_only_their_own_extension(
    app: Flask, open_browser: OpenBrowser, sample_data: None, locale: str
) -> None:
    words = WORDS[locale]
    page = open_browser().open_session(session_cookie(app, 1, locale))
    page.get_by_role("link", name=words["users"], exact=True).click()
    page.get_by_role("link", name=words["add"]).click()
    page.get_by_label(words["name"]).fill("zahra")
    page.locator("[name=ticked][value='102']").check()
    page.get_by_role("button", name=words["submit"]).click()
    password = read_password(page)

    operator = open_browser()
    operator_page = operator.log_in("zahra", password, locale=locale)
    operator_page.goto("/overview")
    expect(operator_page.locator("#figure-waiting")).to_contain_text(words["one"])
    expect(operator_page.locator(".line")).to_have_count(1)
    expect(operator_page.locator("#line-102")).to_contain_text("Zahra")
    expect(operator_page.locator("nav").first).not_to_contain_text(words["users"])
    operator_page.goto("/users")
    expect(operator_page.locator(".line, table")).to_have_count(0)
    operator.ignore_errors("403")


def test_password_reset_ends_the_sessions_of_the_user(
    app: Flask, open_browser: OpenBrowser, sample_data: None, locale: str
) -> None:
    words = WORDS[locale]
    operator = open_browser()
    operator_page = operator.open_session(session_cookie(app, 2, locale))
    operator_page.goto("/overview")
    page = open_browser().open_session(session_cookie(app, 1, locale))
    page.goto("/users")
    page.locator("#user-2 .actions a").click()
    page.get_by_role("link", name=words["reset"]).click()
    page.get_by_role("button", name=words["make"]).click()
    password = read_password(page)
    operator_page.wait_for_url("**/login?next=/overview")
    operator.ignore_errors("401")
    operator_page.locator("#name").fill(OPERATOR)
    operator_page.locator("#password").fill(PASSWORD)
    operator_page.locator("main button").click()
    expect(operator_page.locator("#password-error")).to_be_visible()
    operator_page.locator("#password").fill(password)
    operator_page.locator("main button").click()
    operator_page.wait_for_url("**/overview")
    operator.ignore_errors("422")

    page.get_by_role("link", name=words["log"], exact=True).click()
    reset = page.locator("tbody tr", has_text=words["reset_told"])
    expect(reset).to_have_count(1)
    expect(reset).to_contain_text(ADMINISTRATOR)
    expect(page.locator("main")).not_to_contain_text(password)


def test_deactivation_ends_the_sessions_of_the_user(
    app: Flask, open_browser: OpenBrowser, sample_data: None, locale: str
) -> None:
    operator = open_browser()
    operator_page = operator.open_session(session_cookie(app, 2, locale))
    page = open_browser().open_session(session_cookie(app, 1, locale))
    page.goto("/users/2")
    page.get_by_role("link", name=WORDS[locale]["deactivate"]).click()
    page.get_by_role("button", name=WORDS[locale]["deactivate"]).click()
    expect(page.locator("#user-2")).to_have_class("gone")
    operator_page.wait_for_url("**/login?next=/requests")  # the page polls, and the answer redirects it
    expect(operator_page.locator("#password")).to_be_visible()
    operator.ignore_errors("401")


def test_wallboard_updates_a_line_and_warns_when_the_panel_does_not_answer(
    app: Flask, database: Database, open_browser: OpenBrowser, sample_data: None, locale: str
) -> None:
    words = WORDS[locale]
    person = open_browser(viewport={"width": 1920, "height": 1080})
    page = person.open_session(session_cookie(app, 1, locale))
    page.goto("/overview")
    page.locator(".page-actions a").last.click()
    expect(page.locator("#line-101")).to_contain_text(words["free"])
    load_count = count_loads(page)
    with database.write() as session:
        store_extensions(session, [ExtensionReport("101", LineState.IN_CALL, datetime.now(UTC))], complete=False)
    expect(page.locator("#line-101")).to_contain_text(words["in_call"])
    assert load_count() == 0

    is_old = re.compile("board-old")
    expect(page.locator(".board-age")).not_to_have_class(is_old)
    page.route("**/wallboard/body", lambda route: route.abort())
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator(".board-age")).to_have_class(is_old)
    expect(page.locator(".board-age")).to_have_text(re.compile("[0-9۰-۹]"))
    expect(page.locator("#stale")).to_contain_text(words["stale"])
    box = page.locator("#stale").bounding_box()
    assert box is not None and box["height"] > 80 and box["width"] > 1700, "the warning is large"
    page.unroute("**/wallboard/body")
    expect(page.locator("#stale")).to_be_hidden()  # after some seconds, because the page polls less often after errors
    expect(page.locator(".board-age")).not_to_have_class(is_old)
    person.errors.clear()  # about the failed requests
    page.get_by_role("link", name=words["back"]).click()
    page.wait_for_url("**/overview")


def test_hidden_wallboard_updates_when_it_is_shown(
    app: Flask, database: Database, open_browser: OpenBrowser, sample_data: None
) -> None:
    page = open_browser().open_session(session_cookie(app, 1, "en"))
    page.goto("/wallboard")
    show = """(hidden) => {
      Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(show, True)
    with database.write() as session:
        store_extensions(session, [ExtensionReport("101", LineState.RINGING, datetime.now(UTC))], complete=False)
    with page.expect_request("**/wallboard/body"):
        page.evaluate(show, False)
    expect(page.locator("#line-101")).to_contain_text("ringing")


@pytest.mark.asterisk(22)
def test_wallboard_shows_the_state_of_a_real_phone(office: Office, loop: Loop, open_browser: OpenBrowser) -> None:
    with serve(office.bazang.app) as address:
        page = open_browser(address, viewport={"width": 1920, "height": 1080}).log_in(ADMINISTRATOR, PASSWORD)
        page.goto("/wallboard")
        expect(page.locator("#line-101")).to_contain_text("free")
        busy_call = loop.run(office.occupy("101"))
        expect(page.locator("#line-101")).to_contain_text("in a call")
        loop.run(busy_call.end())
        expect(page.locator("#line-101")).to_contain_text("free")
        expect(page.locator("#health-pbx")).to_contain_text("connected")
