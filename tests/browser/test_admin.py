"""Administrators at work: users, what ends whose session, and a board that follows the office by itself."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.domain.policy import LineState
from app.services import users
from app.store.database import Database
from app.store.pbx_state import ExtensionReport, store_extensions
from tests.asterisk.scene import Scene
from tests.browser.conftest import Meet
from tests.browser.panel import Loop, loads, serve, session_of
from tests.browser.test_live import scene
from tests.support.factories import create_line, create_module, create_request, create_running_service
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD

__all__ = ["scene"]

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
        "reset": "بازنشانی گذرواژه",
        "make": "ساختن گذرواژه",
        "deactivate": "غیرفعال‌سازی",
        "log": "رویدادها",
        "reset_told": "گذرواژه omid بازنشانی شد.",
        "free": "آزاد",
        "in_call": "در حال مکالمه",
        "stale": "پنل پاسخ نمی‌دهد",
        "back": "بازگشت به پنل",
        "one": "۱",
    },
}


@pytest.fixture
def office(database: Database) -> None:
    """Two lines, and somebody who waits for each."""
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


def made_up(page: Page) -> str:
    return page.locator(".copyable code").inner_text()


def test_an_operator_is_added_logs_in_and_sees_their_own_alone(
    app: Flask, meet: Meet, office: None, locale: str
) -> None:
    words = WORDS[locale]
    page = meet().take(session_of(app, 1, locale))
    page.get_by_role("link", name=words["users"], exact=True).click()
    page.get_by_role("link", name=words["add"]).click()
    page.get_by_label(words["name"]).fill("zahra")
    page.locator("[name=ticked][value='102']").check()
    page.get_by_role("button", name=words["submit"]).click()
    password = made_up(page)

    other = meet()
    theirs = other.log_in("zahra", password, locale=locale)
    theirs.goto("/overview")
    expect(theirs.locator("#figure-waiting")).to_contain_text(words["one"])
    expect(theirs.locator(".line")).to_have_count(1)
    expect(theirs.locator("#line-102")).to_contain_text("Zahra")
    expect(theirs.locator("nav").first).not_to_contain_text(words["users"])
    theirs.goto("/users")
    expect(theirs.locator(".line, table")).to_have_count(0)
    other.complaints[:] = [complaint for complaint in other.complaints if "403" not in complaint]


def test_a_reset_password_ends_the_others_session(app: Flask, meet: Meet, office: None, locale: str) -> None:
    words = WORDS[locale]
    other = meet()
    theirs = other.take(session_of(app, 2, locale))
    theirs.goto("/overview")
    page = meet().take(session_of(app, 1, locale))
    page.goto("/users")
    page.locator("#user-2 .actions a").click()
    page.get_by_role("link", name=words["reset"]).click()
    page.get_by_role("button", name=words["make"]).click()
    password = made_up(page)
    theirs.wait_for_url("**/login?next=/overview")
    other.complaints[:] = [complaint for complaint in other.complaints if "401" not in complaint]
    theirs.locator("#name").fill(OPERATOR)
    theirs.locator("#password").fill(PASSWORD)
    theirs.locator("main button").click()
    expect(theirs.locator("#password-error")).to_be_visible()
    theirs.locator("#password").fill(password)
    theirs.locator("main button").click()
    theirs.wait_for_url("**/overview")
    other.complaints[:] = [complaint for complaint in other.complaints if "422" not in complaint]

    page.get_by_role("link", name=words["log"], exact=True).click()
    expect(page.locator("tbody tr").first).to_contain_text(words["reset_told"])
    expect(page.locator("tbody tr").first).to_contain_text(ADMINISTRATOR)
    expect(page.locator("main")).not_to_contain_text(password)


def test_who_is_deactivated_is_out(app: Flask, meet: Meet, office: None, locale: str) -> None:
    other = meet()
    theirs = other.take(session_of(app, 2, locale))
    page = meet().take(session_of(app, 1, locale))
    page.goto("/users/2")
    page.get_by_role("link", name=WORDS[locale]["deactivate"]).click()
    page.get_by_role("button", name=WORDS[locale]["deactivate"]).click()
    expect(page.locator("#user-2")).to_have_class("gone")
    theirs.wait_for_url("**/login?next=/requests")  # their page asks by itself, and is told
    expect(theirs.locator("#password")).to_be_visible()
    other.complaints[:] = [complaint for complaint in other.complaints if "401" not in complaint]


def test_the_board_follows_a_line_by_itself_and_is_seen_to_be_cut_off(
    app: Flask, database: Database, meet: Meet, office: None, locale: str
) -> None:
    words = WORDS[locale]
    person = meet(viewport={"width": 1920, "height": 1080})
    page = person.take(session_of(app, 1, locale))
    page.goto("/overview")
    page.locator(".page-actions a").last.click()
    expect(page.locator("#line-101")).to_contain_text(words["free"])
    loaded = loads(page)
    with database.write() as session:
        store_extensions(session, [ExtensionReport("101", LineState.IN_CALL, datetime.now(UTC))], complete=False)
    expect(page.locator("#line-101")).to_contain_text(words["in_call"])
    assert loaded() == 0

    page.route("**/wallboard/body", lambda route: route.abort())
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#stale")).to_contain_text(words["stale"])
    box = page.locator("#stale").bounding_box()
    assert box is not None and box["height"] > 80 and box["width"] > 1700, "it is seen from afar"
    page.unroute("**/wallboard/body")
    expect(page.locator("#stale")).to_be_hidden()  # it is asked ever less often
    person.complaints.clear()  # the browser's own words on what failed
    page.get_by_role("link", name=words["back"]).click()
    page.wait_for_url("**/overview")


def test_a_hidden_board_catches_up_when_it_is_shown(app: Flask, database: Database, meet: Meet, office: None) -> None:
    page = meet().take(session_of(app, 1, "en"))
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
def test_the_board_follows_a_telephone(scene: Scene, loop: Loop, meet: Meet) -> None:
    """A phone of a real exchange is taken up and put down, and the board on the wall says so."""
    with serve(scene.bazang.app) as address:
        page = meet(address, viewport={"width": 1920, "height": 1080}).log_in(ADMINISTRATOR, PASSWORD)
        page.goto("/wallboard")
        expect(page.locator("#line-101")).to_contain_text("free")
        talk = loop.run(scene.occupy("101"))
        expect(page.locator("#line-101")).to_contain_text("in a call")
        loop.run(talk.end())
        expect(page.locator("#line-101")).to_contain_text("free")
        expect(page.locator("#health-pbx")).to_contain_text("connected")
