"""How the pages look: in both languages, wide and narrow, nothing is cut off, pale, nameless or too small to hit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page

from app import demo_data
from app.config import Settings
from app.domain.policy import LineState
from app.services import users
from app.services.requests import pause
from app.services.requests.access import Scope
from app.store.database import Database
from app.store.models import QueueRow
from app.store.settings import write_setting
from tests.browser.axe import find_barriers
from tests.browser.conftest import Meet
from tests.browser.looks import (
    LOOK,
    Visit,
    Walk,
    at_both_widths,
    furnished,
    go,
    in_both_languages,
    look,
    pictures,
    told,
    walk,
)
from tests.browser.panel import session_of
from tests.support.factories import (
    create_line,
    create_module,
    store,
)

__all__ = ["furnished", "pictures", "walk"]

WITHIN = """(parts) => parts.map((part) => {
  const own = part.getBoundingClientRect(), step = part.closest("li").getBoundingClientRect();
  return own.top >= step.top - 1 && own.bottom <= step.bottom + 1;
})"""


def fail_to_save(page: Page) -> None:
    page.goto("/modules/new")
    page.locator("#rest").fill("ten")
    page.locator("#next_kind").select_option("custom")
    page.locator("#next_code").fill("ivr")
    page.locator("[data-prompt=intro] input[value=file]").check()
    page.locator(".form-end button").click()
    page.locator(".alert-danger").wait_for()


def unfold(page: Page) -> None:
    page.goto("/modules/1")
    page.locator("details summary").click()
    page.locator("#next_kind").select_option("module")
    page.locator("#next_code").fill("*5003")
    page.locator("#next-findings .finding").wait_for()


def fail_to_save_a_scenario(page: Page) -> None:
    page.goto("/extensions/101")
    page.locator("#ring").fill("400")
    page.locator("#busy_kind").select_option("module")
    page.locator("#busy_code").fill("*5009")
    page.locator(".form-end button").click()
    page.locator(".alert-danger").wait_for()


def record(page: Page) -> None:
    """The cards as one sees them who has chosen a recording, and who is about to record."""
    page.goto("/modules/1")
    page.locator("[data-prompt=enter_number] input[value=record]").check()
    page.locator("[data-prompt=wrong_number] input[value=file]").check()
    page.locator("[data-prompt=enter_number] [data-ring]").click()


def choose_from_the_library(page: Page) -> None:
    page.goto("/modules/1")
    page.locator("[data-prompt=intro] [data-open-library]").click()
    page.locator(".library-choices").wait_for()


def replace_a_digit(page: Page) -> None:
    page.goto("/recordings/digits/fa")
    page.locator("#digit-1 summary").click()


def fail_to_upload(page: Page) -> None:
    page.goto("/recordings")
    page.locator("#upload").set_input_files({"name": "letter.wav", "mimeType": "audio/wav", "buffer": b"no sound"})
    page.locator("[data-error]:not([hidden])").wait_for()


def fail_to_call(page: Page) -> None:
    page.goto("/requests")
    page.locator("#request-1 .btn-primary").click()
    page.locator("#message .alert").wait_for()


def open_menu(page: Page) -> None:
    page.goto("/requests")
    page.locator("#request-1 [popovertarget]").click()
    page.locator("#menu-1 .menu-entry").first.wait_for()


def choose_rows(page: Page) -> None:
    page.goto("/requests")
    page.locator("#choose-1").check()
    page.locator("#choose-2").check()


def ask_in_dialog(page: Page) -> None:
    choose_rows(page)
    page.locator("#chosen button").nth(1).click()
    page.locator("#dialog #action-form").wait_for()


def fail_to_add_a_user(page: Page) -> None:
    page.goto("/users/new")
    page.locator("#extensions").fill("10a")
    page.locator("#password").fill("short")
    page.locator(".form-end button").click()
    page.locator(".alert-danger").wait_for()


def reset_a_password(page: Page) -> None:
    page.goto("/users/2/password")
    page.locator("main form .btn-primary").click()
    page.locator("[data-copy]").wait_for()


def fail_to_deactivate(page: Page) -> None:
    page.goto("/users/1/deactivate")
    page.locator("main form .btn-danger").click()
    page.locator(".alert-danger").wait_for()


def fail_to_change_a_password(page: Page) -> None:
    page.goto("/account")
    page.locator("#password").fill("short")
    page.locator("form[action$=password] button").click()
    page.locator(".alert-danger").wait_for()


def unfold_the_log(page: Page) -> None:
    page.goto("/log")
    page.evaluate("document.querySelectorAll('.log details').forEach((part) => { part.open = true; })")


PAGES: dict[str, Visit] = {
    "overview": go("/overview"),
    "wallboard": go("/wallboard"),
    "wallboard-light": go("/wallboard?colours=light"),
    "users": go("/users"),
    "user-new": go("/users/new"),
    "user-errors": fail_to_add_a_user,
    "user": go("/users/2"),
    "user-password": go("/users/2/password"),
    "user-password-shown": reset_a_password,
    "user-deactivate": go("/users/2/deactivate"),
    "user-last-administrator": fail_to_deactivate,
    "account": go("/account"),
    "account-errors": fail_to_change_a_password,
    "log": unfold_the_log,
    "log-empty": go("/log?subject=nothing"),
    "log-errors": go("/log?since=x&until=2026-13-01"),
    "requests": go("/requests"),
    "requests-unanswered": fail_to_call,
    "requests-menu": open_menu,
    "requests-chosen": choose_rows,
    "requests-dialog": ask_in_dialog,
    "requests-filtered": go("/requests?status=connected&target=extension:105"),
    "request": go("/requests/1"),
    "request-new": go("/requests/new"),
    "request-done": go("/requests/9"),
    "act-postpone": go("/requests/acts/postpone?row=1.1&row=2.1"),
    "act-reassign": go("/requests/acts/reassign?row=1.1"),
    "act-call": go("/requests/acts/call?row=1.1"),
    "act-cancel": go("/requests/acts/cancel?row=1.1"),
    "act-nothing": go("/requests/acts/done"),
    "pause": go("/calls/pause"),
    "mine": go("/mine?period=month"),
    "modules": go("/modules"),
    "module-new": go("/modules/new"),
    "module-edit": go("/modules/2"),
    "module-errors": fail_to_save,
    "module-delete": go("/modules/3/delete"),
    "module-in-use": go("/modules/1/delete"),
    "modules-nothing-found": go("/modules?q=nothing"),
    "module-unfolded": unfold,
    "module-recordings": record,
    "module-shelf": choose_from_the_library,
    "recordings": go("/recordings"),
    "recordings-fault": fail_to_upload,
    "recordings-none-found": go("/recordings?q=nothing"),
    "recording": go(f"/recordings/{'a' * 64}"),
    "recording-in-use": go(f"/recordings/{'a' * 64}/delete"),
    "recording-delete": go(f"/recordings/{'b' * 64}/delete"),
    "digits": go("/recordings/digits/fa"),
    "digits-replace": replace_a_digit,
    "extensions": go("/extensions"),
    "extension": go("/extensions/101"),
    "extension-unknown": go("/extensions/190"),
    "extension-errors": fail_to_save_a_scenario,
    "extension-delete": go("/extensions/101/delete"),
    "queues": go("/queues"),
    "queue": go("/queues/800"),
    "queue-delete": go("/queues/800/delete"),
    "settings": go("/settings"),
    "not-found": go("/nothing"),
    "report": go("/report"),
    "report-empty": go("/report?registered_from=2001-01-01&registered_to=2001-01-31"),
    "report-errors": go("/report?registered_from=x&registered_to=2026-13-01&done_from=9&target=x&status=x"),
    "report-charts-empty": go("/report/charts?registered_from=2001-01-01&registered_to=2001-01-31"),
}


def open_calendar(page: Page) -> None:
    page.goto("/report?period=month&status=done")
    page.locator("[data-picks=registered_from]").click()
    page.locator(".calendar [tabindex='0']").wait_for()


def open_charts(page: Page) -> None:
    page.goto("/report/charts")
    for canvas in page.locator("canvas[data-table]").all():
        page.wait_for_function("(canvas) => 'drawn' in canvas.dataset", arg=canvas.element_handle())


def open_tables(page: Page) -> None:
    open_charts(page)
    page.evaluate("document.querySelectorAll('.chart details').forEach((part) => { part.open = true; })")


# What needs an office with many requests.
FILLED: dict[str, Visit] = {
    "report-filled": go("/report?period=all&page=3&sort=done"),
    "report-search": go("/report?period=all&operator=101&status=done&status=failed"),
    "report-calendar": open_calendar,
    "report-charts": open_charts,
    "report-tables": open_tables,
}


@at_both_widths
@in_both_languages
@pytest.mark.long
def test_every_page_can_be_read(furnished: None, walk: Walk, locale: str, width: int) -> None:
    walk(PAGES, locale, width, expected=["404", "422"])


OF_OTHERS: dict[int, dict[str, Visit]] = {
    2: {
        "operator-requests": go("/requests"),
        "operator-mine": go("/mine?period=week"),
        "operator-mine-range": go("/mine?period=range&from=x&to=2026-01-01"),
        "operator-request": go("/requests/2"),
        "operator-act": go("/requests/acts/call?row=2.1"),
        "operator-refused": go("/calls/pause"),
    },
    4: {"supervisor-requests": go("/requests"), "supervisor-mine": go("/mine")},
}


@at_both_widths
@in_both_languages
def test_what_others_see_while_calls_are_paused_can_be_read(
    database: Database, furnished: None, walk: Walk, locale: str, width: int
) -> None:
    everybody = Scope("mina", everything=True)
    pause.pause(database, everybody, "جلسه تا ساعت ۱۱", datetime.now(UTC) - timedelta(minutes=20))
    for user, pages in OF_OTHERS.items():
        walk(pages, locale, width, user=user, expected=["403"])


@at_both_widths
@in_both_languages
def test_what_is_told_of_a_freepbx_can_be_read(
    database: Database, furnished: None, walk: Walk, locale: str, width: int
) -> None:
    with database.write() as session:
        write_setting(session, "pbx_profile", "freepbx")
    paths = ("/extensions/101", "/queues/800", "/extensions", "/queues", "/modules")
    page = walk({f"freepbx{path.replace('/', '-')}": go(path) for path in paths}, locale, width)
    page.goto("/extensions/101")
    ways = page.locator(".instructions li b")
    assert ways.count() and all(ways.evaluate_all(WITHIN)), "the way through the menus stands in its step"


@at_both_widths
@in_both_languages
def test_a_filled_office_can_be_read(
    database: Database, settings: Settings, furnished: None, walk: Walk, locale: str, width: int
) -> None:
    demo_data.fill(database, settings, 700, datetime.now(UTC))
    walk(FILLED, locale, width)


@at_both_widths
@in_both_languages
def test_an_empty_office_can_be_read(walk: Walk, locale: str, width: int) -> None:
    walk({"login": go("/login")}, locale, width, user=None)
    daily = ("overview", "wallboard", "requests", "mine", "report")
    set_up = ("modules", "recordings", "extensions", "queues")
    walk({f"{name}-empty": go(f"/{name}") for name in (*daily, *set_up)}, locale, width)


@in_both_languages
def test_nothing_scrolls_sideways_at_any_width(app: Flask, furnished: None, meet: Meet, locale: str) -> None:
    page = meet().take(session_of(app, 1, locale))
    found = {}
    daily = ("/overview", "/wallboard", "/requests", "/requests/1", "/mine?period=month", "/report", "/report/charts")
    set_up = ("/modules", "/modules/1", "/recordings", "/recordings/digits/fa", "/extensions", "/users/new", "/log")
    for path in (*daily, *set_up):
        page.goto(path)
        for width in (320, 600, 720, 721, 800, 900, 1000, 1099, 1100, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            found[f"{path} {width}"] = page.evaluate(LOOK)
    assert not any(found.values()), told(found)


@pytest.mark.parametrize(("width", "what"), [(1200, ".side"), (1200, ".shell > .bar"), (375, ".shell > .bar")])
def test_the_menu_stays_in_view_at_the_end_of_a_long_page(
    app: Flask, furnished: None, meet: Meet, width: int, what: str
) -> None:
    page = meet(viewport={"width": width, "height": 800}).take(session_of(app, 1, "en"))
    page.goto("/modules/1")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    box = page.locator(what).bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800, box
    end = "document.body.getBoundingClientRect().bottom"
    assert page.evaluate(end) >= 799, "the frame ends before the page"


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720)])
@in_both_languages
def test_the_board_fits_a_television_and_is_read_from_afar(
    app: Flask,
    database: Database,
    furnished: None,
    meet: Meet,
    pictures: Path | None,
    locale: str,
    width: int,
    height: int,
) -> None:
    for number in range(110, 125):
        create_line(database, str(number), name=f"داخلی {number}", state=list(LineState)[number % 6].value)
    create_module(database, targets=[str(number) for number in range(104, 125)])
    for queue in ("801", "802", "803", "804"):
        store(database, QueueRow(name=queue, live_callers=3))
    write_pause(database)
    users.set_locale(database, 1, locale)
    page = meet(viewport={"width": width, "height": height}).take(session_of(app, 1, locale))
    page.goto("/wallboard")
    found = look(page, pictures, f"wallboard-{locale}-{width}x{height}")
    assert found == []
    assert page.evaluate("document.documentElement.scrollHeight") <= height, "nobody scrolls a television"
    sizes = "[...document.querySelectorAll(choice)].map((e) => parseFloat(getComputedStyle(e).fontSize))"
    size = f"(choice) => Math.min(...{sizes})"
    assert page.evaluate(size, ".figure-value") >= 0.05 * width
    assert page.evaluate(size, ".board-who, .board-state") >= 0.017 * width
    told = ".figures dt, .figure-about, .board-since, .board-waits, .board-count, .board-more, .board-day, .health li"
    assert page.evaluate(size, told) >= 0.013 * width
    page.evaluate("document.getElementById('stale').hidden = false")
    found = look(page, pictures, f"wallboard-stale-{locale}-{width}x{height}")
    assert not [fault for fault in found if "answer" in fault or "sideways" in fault]
    assert page.evaluate(size, "#stale") >= 0.028 * width


def write_pause(database: Database) -> None:
    with database.write() as session:
        pause.save_pause(session, pause.Pause("sara", datetime.now(UTC)), "sara", datetime.now(UTC))


def test_the_fault_that_is_looked_for_is_found(meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    page.evaluate(
        """() => {
          const main = document.querySelector("main");
          main.insertAdjacentHTML("beforeend", "<p id='pale'>pale</p><button></button><p id='wide'>wide</p>");
          document.getElementById("pale").style.color = "#999";
          document.getElementById("wide").style.width = "300vw";
        }"""
    )
    found = " | ".join(page.evaluate(LOOK))
    assert "contrast 2.5" in found and "without a name: <button>" in found and "scrolls sideways" in found


def test_the_barrier_that_is_looked_for_is_found(meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    assert find_barriers(page) == []
    page.evaluate("document.querySelector('label').remove()")
    assert [found.split(":")[0] for found in find_barriers(page)] == ["axe label"]


def test_the_language_is_seen_in_the_direction(app: Flask, meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    persian = page.locator("#name").evaluate("(field) => getComputedStyle(field).direction")
    button = page.locator("button[name=locale]")
    assert button.bounding_box()["x"] < 200, "the end of a line is on the left"
    button.click()
    assert page.locator("button[name=locale]").bounding_box()["x"] > 800
    assert persian in ("rtl", "ltr")


def test_the_letters_are_our_own(meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    page.evaluate("document.fonts.ready")
    assert page.evaluate("[...document.fonts].some((font) => font.family === 'Vazirmatn' && font.status === 'loaded')")
