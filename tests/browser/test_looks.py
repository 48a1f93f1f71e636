"""Layout and accessibility of all pages, in both languages and in wide and narrow windows."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path

import pyotp
import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect

from app import demo_data
from app.config import Settings
from app.domain.pbx_product import Product
from app.domain.policy import LineState
from app.domain.routing import HANG_UP, DestinationKind, Situation
from app.services import users
from app.services.pbx.module_destinations import store_destinations
from app.services.pbx.product import store_product
from app.services.requests import pause
from app.services.requests.access import Scope
from app.store.database import Database
from app.store.models import FormerCode, QueueRow, RouteTroubleRow, WorkerState
from app.store.settings import write_setting
from tests.browser.axe import find_barriers
from tests.browser.conftest import OpenBrowser
from tests.browser.looks import (
    CHECK_LAYOUT,
    PageChecker,
    Visit,
    at_both_widths,
    check_layout,
    check_pages,
    format_faults,
    full_office,
    in_both_languages,
    open_path,
    screenshots,
)
from tests.browser.panel import session_cookie
from tests.support.factories import (
    create_line,
    create_module,
    store,
)
from tests.support.second_factors import create_second_factor
from tests.web.conftest import ADMINISTRATOR, PASSWORD

__all__ = ["check_pages", "full_office", "screenshots"]

# For each element, whether it is inside its list item.
INSIDE_LIST_ITEM = """(parts) => parts.map((part) => {
  const own = part.getBoundingClientRect(), step = part.closest("li").getBoundingClientRect();
  return own.top >= step.top - 1 && own.bottom <= step.bottom + 1;
})"""


def unfold_prompt(page: Page, key: str) -> None:
    page.locator(f"[data-prompt={key}] > details > summary").click()


def fail_to_upload_a_set(page: Page) -> None:
    page.goto("/recordings/set/en")
    page.locator("#set").set_input_files({"name": "set.zip", "mimeType": "application/zip", "buffer": b"no zip"})
    page.locator(".set-upload button").click()
    expect(page.locator("#set-errors li")).to_be_visible()


def fail_to_save(page: Page) -> None:
    page.goto("/modules/new")
    page.locator("#rest").fill("ten")
    page.locator("#next_kind").select_option("custom")
    page.locator("#next_code").fill("ivr")
    unfold_prompt(page, "intro")
    page.locator("[data-prompt=intro] input[value=file]").check()
    page.locator(".form-end button").click()
    page.locator(".error-summary").wait_for()


def unfold_module_form(page: Page) -> None:
    page.goto("/modules/1")
    for summary in page.locator("details.more summary:visible").all():
        summary.click()
    page.locator("#next_kind").select_option("module")
    page.locator("#next_code").fill("*5003")
    page.locator("#next-findings .finding").wait_for()


def fail_to_save_a_webhook(page: Page) -> None:
    page.goto("/settings/webhooks/new?preset=telegram")
    page.locator("#url").fill("http://127.0.0.1/")
    page.locator("#template").fill("{")
    page.locator("#webhook .btn-primary").click()


def fail_to_save_a_website_form(page: Page) -> None:
    page.goto("/settings/websites/new")
    page.locator("#origins").fill("http://shop.example")
    page.locator("#website-form .btn-primary").click()
    page.locator(".error-summary").wait_for()


def fail_to_list_missed_calls(page: Page) -> None:
    page.goto("/settings/missed")
    page.locator("#code").fill("sara")
    page.locator("#minutes").fill("9999")
    page.locator("#add-rule button").click()
    page.locator(".error-summary").wait_for()


def fail_to_save_a_scenario(page: Page) -> None:
    page.goto("/extensions/101")
    page.locator("#ring").fill("400")
    page.locator("#busy_kind").select_option("module")
    page.locator("#busy_code").fill("*5009")
    page.locator(".form-end button").click()
    page.locator(".error-summary").wait_for()


def open_recording_cards(page: Page) -> None:
    """Open a card to choose a recording, and a card to record by phone."""
    page.goto("/modules/1")
    for key in ("enter_number", "wrong_number"):
        unfold_prompt(page, key)
    page.locator("[data-prompt=enter_number] input[value=record]").check()
    page.locator("[data-prompt=wrong_number] input[value=file]").check()
    page.locator("[data-prompt=enter_number] [data-ring]").click()


def choose_from_the_library(page: Page) -> None:
    page.goto("/modules/1")
    unfold_prompt(page, "intro")
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
    page.locator("#request-1 [data-menu]").click()
    page.locator("#menu .menu-entry").first.wait_for()


def choose_rows(page: Page) -> None:
    page.goto("/requests")
    page.locator("#request-1 input").check()
    page.locator("#request-2 input").check()


def ask_in_dialog(page: Page) -> None:
    choose_rows(page)
    page.locator("#chosen button").nth(1).click()
    page.locator("#dialog #action-form").wait_for()


def fail_to_add_a_user(page: Page) -> None:
    page.goto("/users/new")
    page.locator("#extensions").fill("10a")
    page.locator("#password").fill("short")
    page.locator(".form-end button").click()
    page.locator(".error-summary").wait_for()


def reset_a_password(page: Page) -> None:
    page.goto("/users/2/password")
    page.locator("main form .btn-primary").click()
    page.locator("[data-copy]").wait_for()


def try_a_number(page: Page) -> None:
    page.goto("/settings/numbers")
    page.locator("#number").fill("+449061234567")
    page.locator("#try-number button").click()
    page.locator("#verdict strong").wait_for()


def fail_to_add_a_prefix(page: Page) -> None:
    page.goto("/settings/numbers")
    page.locator("#prefix").fill("0")
    page.locator("#add-prefix button").click()
    page.locator(".error-summary").wait_for()


def set_hours(page: Page) -> None:
    page.goto("/settings/hours")
    for day, spans in (("sat", "8-12, 13-17"), ("thu", "8-12"), ("fri", "")):
        page.locator(f"#hours_{day}").fill(spans)
    page.locator("#official").check()
    page.locator("#week button").click()
    page.locator("#week .holidays").wait_for(state="attached")
    page.locator("#date").fill("2027-03-01")
    page.locator("#name").fill("Moving to the new office, with all telephones")
    page.locator("#add-day button:not([data-picks])").click()
    page.locator("#week details summary").click()
    page.locator(".holidays li").first.wait_for()


def fail_to_set_hours(page: Page) -> None:
    page.goto("/settings/hours")
    page.locator("#hours_mon").fill("8-12, 11-13")
    page.locator("#week button").click()
    page.locator(".error-summary").wait_for()


def fail_to_deactivate(page: Page) -> None:
    page.goto("/users/1/deactivate")
    page.locator("main form .btn-danger").click()
    page.locator("main [role=alert]").last.wait_for()


def fail_to_change_a_password(page: Page) -> None:
    page.goto("/account")
    page.locator("#password").fill("short")
    page.locator("form[action$=password] button").click()
    page.locator(".error-summary").wait_for()


def fail_to_block_a_number(page: Page) -> None:
    page.goto("/settings/callers")
    page.locator("#number").fill("nobody")
    page.locator("#add-number button").click()
    page.locator(".error-summary").wait_for()


def start_second_factor(page: Page) -> None:
    page.goto("/account/second-factor")
    page.locator("main form .btn-primary").click()
    page.locator(".qr").wait_for()


def enter_a_wrong_first_code(page: Page) -> None:
    start_second_factor(page)
    page.locator("#code").fill("not a code")
    page.locator("main form .btn-primary").click()
    page.locator("#code-error").wait_for()


def turn_on_second_factor(page: Page) -> None:
    start_second_factor(page)
    key = page.locator(".copyable code").inner_text().replace(" ", "")
    page.locator("#code").fill(pyotp.TOTP(key).now())
    page.locator("main form .btn-primary").click()
    page.locator(".recovery-codes").wait_for()


def fail_to_make_a_token(page: Page) -> None:
    page.goto("/account/tokens/new")
    page.locator("main form .btn-primary").click()
    page.locator(".error-summary").wait_for()


def make_a_token(page: Page) -> None:
    page.goto("/account/tokens/new")
    page.locator("#name").fill("CRM")
    page.locator("main [type=checkbox]").first.check()
    page.locator("main form .btn-primary").click()
    page.locator(".copyable").wait_for()


def enter_the_password(page: Page) -> None:
    page.goto("/login")
    page.locator("#name").fill(ADMINISTRATOR)
    page.locator("#password").fill(PASSWORD)
    page.locator("main form button").click()
    page.locator("#code").wait_for()


def enter_a_wrong_code(page: Page) -> None:
    enter_the_password(page)
    page.locator("#code").fill("not a code")
    page.locator("main form button").click()
    page.locator("#code-error").wait_for()


def unfold_the_log(page: Page) -> None:
    page.goto("/log")
    page.evaluate("document.querySelectorAll('.log details').forEach((part) => { part.open = true; })")


def fail_to_save_quiet_hours(page: Page) -> None:
    page.goto("/account/notifications")
    page.locator("#quiet_from").fill("25:00")
    page.locator("main .btn-primary").last.click()
    page.locator("#quiet_from-error").wait_for()


def choose_columns_of_contacts(page: Page) -> None:
    page.goto("/contacts/import")
    table = b"Name,Phone\r\nSara,09121234567\r\n,nobody\r\n"
    page.locator("main input[type=file]").set_input_files(
        {"name": "contacts.csv", "mimeType": "text/csv", "buffer": table}
    )
    page.locator("main form .btn-primary").click()
    page.wait_for_url("**/contacts/import/preview")


def list_the_keys(page: Page) -> None:
    page.goto("/mine")
    page.locator("main").press("?")
    page.locator("#keys[open]").wait_for()


PAGES: dict[str, Visit] = {
    "overview": open_path("/overview"),
    "wallboard": open_path("/wallboard"),
    "wallboard-light": open_path("/wallboard?colours=light"),
    "users": open_path("/users"),
    "user-new": open_path("/users/new"),
    "user-errors": fail_to_add_a_user,
    "user": open_path("/users/2"),
    "user-password": open_path("/users/2/password"),
    "user-password-shown": reset_a_password,
    "user-deactivate": open_path("/users/2/deactivate"),
    "user-last-administrator": fail_to_deactivate,
    "account": open_path("/account"),
    "account-errors": fail_to_change_a_password,
    "token-new": open_path("/account/tokens/new"),
    "token-errors": fail_to_make_a_token,
    "token-shown": make_a_token,
    "token-revoke": open_path("/account/tokens/1/revoke"),
    "second-factor": open_path("/account/second-factor"),
    "second-factor-wrong-code": enter_a_wrong_first_code,
    "second-factor-set-up": open_path("/account/second-factor/set-up"),
    "second-factor-recovery-codes": turn_on_second_factor,
    "account-second-factor": open_path("/account"),
    "second-factor-new-codes": open_path("/account/second-factor/recovery-codes"),
    "second-factor-off": open_path("/account/second-factor/off"),
    "user-second-factor": open_path("/users/2/second-factor"),
    "log": unfold_the_log,
    "log-empty": open_path("/log?subject=nothing"),
    "log-errors": open_path("/log?since=x&until=2026-13-01"),
    "requests": open_path("/requests"),
    "requests-unanswered": fail_to_call,
    "requests-menu": open_menu,
    "requests-chosen": choose_rows,
    "requests-dialog": ask_in_dialog,
    "requests-filtered": open_path("/requests?status=connected&target=extension:105"),
    "request": open_path("/requests/1"),
    "request-new": open_path("/requests/new"),
    "request-done": open_path("/requests/9"),
    "request-failed": open_path("/requests/10"),
    "act-postpone": open_path("/requests/acts/postpone?row=1.1&row=2.1"),
    "act-reassign": open_path("/requests/acts/reassign?row=1.1"),
    "act-call": open_path("/requests/acts/call?row=1.1"),
    "act-cancel": open_path("/requests/acts/cancel?row=1.1"),
    "act-reopen": open_path("/requests/acts/reopen?row=10.1&row=12.1"),
    "act-nothing": open_path("/requests/acts/done"),
    "pause": open_path("/calls/pause"),
    "mine": open_path("/mine?period=month"),
    "missed": open_path("/missed"),
    "missed-of-a-queue": open_path("/missed?target=queue:800"),
    "modules": open_path("/modules"),
    "module-new": open_path("/modules/new"),
    "module-edit": open_path("/modules/2"),
    "module-errors": fail_to_save,
    "module-delete": open_path("/modules/3/delete"),
    "module-in-use": open_path("/modules/1/delete"),
    "modules-nothing-found": open_path("/modules?q=nothing"),
    "module-unfolded": unfold_module_form,
    "module-recordings": open_recording_cards,
    "module-shelf": choose_from_the_library,
    "recordings": open_path("/recordings"),
    "recordings-fault": fail_to_upload,
    "recordings-none-found": open_path("/recordings?q=nothing"),
    "recording": open_path(f"/recordings/{'a' * 64}"),
    "recording-in-use": open_path(f"/recordings/{'a' * 64}/delete"),
    "recording-delete": open_path(f"/recordings/{'b' * 64}/delete"),
    "digits": open_path("/recordings/digits/fa"),
    "set": open_path("/recordings/set/fa"),
    "set-fault": fail_to_upload_a_set,
    "digits-replace": replace_a_digit,
    "extensions": open_path("/extensions"),
    "extension": open_path("/extensions/101"),
    "extension-unknown": open_path("/extensions/190"),
    "extension-errors": fail_to_save_a_scenario,
    "extension-delete": open_path("/extensions/101/delete"),
    "queues": open_path("/queues"),
    "queue": open_path("/queues/800"),
    "queue-delete": open_path("/queues/800/delete"),
    "settings": open_path("/settings"),
    "settings-callers": open_path("/settings/callers"),
    "settings-callers-errors": fail_to_block_a_number,
    "settings-hours": open_path("/settings/hours"),
    "settings-hours-set": set_hours,
    "settings-hours-errors": fail_to_set_hours,
    "settings-numbers": open_path("/settings/numbers"),
    "settings-numbers-tried": try_a_number,
    "settings-numbers-errors": fail_to_add_a_prefix,
    "settings-stored": open_path("/settings/stored"),
    "settings-missed": open_path("/settings/missed?target=101"),
    "settings-missed-errors": fail_to_list_missed_calls,
    "settings-mail": open_path("/settings/mail"),
    "settings-mail-new": open_path("/settings/mail/new"),
    "settings-mail-destination": open_path("/settings/mail/2"),
    "settings-webhooks": open_path("/settings/webhooks"),
    "settings-webhook-new": open_path("/settings/webhooks/new?preset=sms"),
    "settings-webhook": open_path("/settings/webhooks/1"),
    "settings-webhook-errors": fail_to_save_a_webhook,
    "settings-webhook-log": open_path("/settings/webhooks/1/log"),
    "settings-webhook-delete": open_path("/settings/webhooks/1/delete"),
    "settings-websites": open_path("/settings/websites"),
    "settings-website-new": open_path("/settings/websites/new"),
    "settings-website": open_path("/settings/websites/1"),
    "settings-website-errors": fail_to_save_a_website_form,
    "settings-website-delete": open_path("/settings/websites/1/delete"),
    "settings-contacts": open_path("/settings/contacts"),
    "settings-exchanges": open_path("/settings/exchanges"),
    "settings-exchange": open_path("/settings/exchanges/1"),
    "contacts": open_path("/contacts"),
    "contact-new": open_path("/contacts/new"),
    "contact": open_path("/contacts/1"),
    "contact-delete": open_path("/contacts/1/delete"),
    "contacts-import": open_path("/contacts/import"),
    "contacts-preview": choose_columns_of_contacts,
    "link-remove": open_path("/account/links/1/remove"),
    "call": open_path("/call?number=09121234567&name=Sara"),
    "call-refused": open_path("/call?number=110"),
    "notifications": open_path("/account/notifications"),
    "notifications-errors": fail_to_save_quiet_hours,
    "keys": list_the_keys,
    "offline": open_path("/offline"),
    "search": open_path("/search?find=sara"),
    "search-number": open_path("/search?find=0912"),
    "search-nothing": open_path("/search?find=nothing"),
    "guide": open_path("/guide"),
    "not-found": open_path("/nothing"),
    "report": open_path("/report"),
    "report-empty": open_path("/report?registered_from=2001-01-01&registered_to=2001-01-31"),
    "report-errors": open_path("/report?registered_from=x&registered_to=2026-13-01&done_from=9&target=x&status=x"),
    "report-charts-empty": open_path("/report/charts?registered_from=2001-01-01&registered_to=2001-01-31"),
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


# Pages of an office with many requests.
FILLED: dict[str, Visit] = {
    "report-filled": open_path("/report?period=all&page=3&sort=done"),
    "report-search": open_path("/report?period=all&operator=101&status=done&status=failed"),
    "report-calendar": open_calendar,
    "report-charts": open_charts,
    "report-tables": open_tables,
}


@pytest.mark.parametrize("half", [0, 1])
@in_both_languages
@pytest.mark.long
def test_pages_for_administrators_are_readable(
    full_office: None, check_pages: PageChecker, locale: str, half: int
) -> None:
    middle = len(PAGES) // 2
    pages = list(PAGES.items())
    check_pages(dict(pages[middle:] if half else pages[:middle]), locale, expected=["404", "422"])


# By user id: 2 is an operator, 4 a supervisor.
PAGES_BY_USER: dict[int, dict[str, Visit]] = {
    2: {
        "operator-requests": open_path("/requests"),
        "operator-mine": open_path("/mine?period=week"),
        "operator-mine-range": open_path("/mine?period=range&from=x&to=2026-01-01"),
        "operator-missed": open_path("/missed"),
        "operator-request": open_path("/requests/2"),
        "operator-act": open_path("/requests/acts/call?row=2.1"),
        "operator-refused": open_path("/calls/pause"),
    },
    4: {"supervisor-requests": open_path("/requests"), "supervisor-mine": open_path("/mine")},
}


@in_both_languages
def test_pages_for_others_are_readable_during_a_pause(
    database: Database, full_office: None, check_pages: PageChecker, locale: str
) -> None:
    everybody = Scope("mina", everything=True)
    pause.pause(database, everybody, "جلسه تا ساعت ۱۱", datetime.now(UTC) - timedelta(minutes=20))
    for user, pages in PAGES_BY_USER.items():
        check_pages(pages, locale, user=user, expected=["403"])


@in_both_languages
def test_pages_while_calls_to_customers_fail_are_readable(
    database: Database, full_office: None, check_pages: PageChecker, locale: str
) -> None:
    now = datetime.now(UTC)
    trouble = {"failures": 4, "since": now - timedelta(minutes=9), "failed_at": now, "outcome": "route_congested"}
    store(database, RouteTroubleRow(context="from-internal", cause="34", **trouble))
    with database.write() as session:
        session.get_one(WorkerState, 1).outbound_context = "from-internal"
    paths = ("overview", "requests")
    page = check_pages({f"{path}-failing": open_path(f"/{path}") for path in paths}, locale)
    expect(page.locator("#request-6 .reason")).to_be_visible()


@at_both_widths
@in_both_languages
def test_instructions_for_freepbx_are_readable(
    database: Database, full_office: None, check_pages: PageChecker, locale: str, width: int
) -> None:
    with database.write() as session:
        write_setting(session, "pbx_profile", "freepbx")
    store(database, FormerCode(code="*5090", module_id=1, name="", error=HANG_UP))
    store_destinations(
        database, {(DestinationKind.EXTENSION, "101", situation): "*5001" for situation in list(Situation)[:2]}
    )
    store_product(database, Product.ISSABEL if width < 1000 else Product.FREEPBX_17)
    paths = ("/extensions/101", "/queues/800", "/extensions", "/queues", "/modules", "/settings/exchange")
    page = check_pages({f"freepbx{path.replace('/', '-')}": open_path(path) for path in paths}, locale, width)
    page.goto("/extensions/101")
    menu_paths = page.locator(".instructions li b")
    assert menu_paths.count() and all(menu_paths.evaluate_all(INSIDE_LIST_ITEM)), (
        "the path through the menus is inside its step"
    )


def test_parts_of_the_navigation_follow_each_other(app: Flask, full_office: None, open_browser: OpenBrowser) -> None:
    """In a high window only the user is at its end. The search, exchanges and pages stay together."""
    page = open_browser(viewport={"width": 1280, "height": 1600}).open_session(session_cookie(app, 2, "en"), "/account")
    parts = page.locator("#navigation > *").evaluate_all("parts => parts.map((part) => part.getBoundingClientRect())")
    gaps = [below["top"] - above["bottom"] for above, below in pairwise(parts)]
    assert max(gaps[:-1]) < 40 < gaps[-1]


@in_both_languages
def test_pages_with_many_requests_are_readable(
    database: Database, settings: Settings, full_office: None, check_pages: PageChecker, locale: str
) -> None:
    demo_data.fill(database, settings, 700, datetime.now(UTC))
    check_pages(FILLED, locale)


@in_both_languages
def test_pages_of_a_log_in_with_a_second_factor_are_readable(
    database: Database, settings: Settings, check_pages: PageChecker, locale: str
) -> None:
    create_second_factor(database, settings, 1)
    pages = {
        "login-code": enter_the_password,
        "login-wrong-code": enter_a_wrong_code,
        "login-recovery-code": open_path("/login/code?recovery=1"),
    }
    check_pages(pages, locale, user=None, expected=["422"])
    with database.write() as session:
        write_setting(session, "second_factor", "everybody")
    required = {"second-factor-required": open_path("/overview"), "second-factor-required-set-up": start_second_factor}
    check_pages(required, locale, user=2)


@in_both_languages
def test_pages_of_an_empty_office_are_readable(check_pages: PageChecker, locale: str) -> None:
    check_pages({"login": open_path("/login")}, locale, user=None)
    daily = ("overview", "wallboard", "requests", "mine", "missed", "report")
    set_up = ("modules", "recordings", "extensions", "queues")
    check_pages({f"{name}-empty": open_path(f"/{name}") for name in (*daily, *set_up)}, locale)


@in_both_languages
def test_pages_have_no_layout_faults_at_any_width(
    app: Flask, full_office: None, open_browser: OpenBrowser, locale: str
) -> None:
    page = open_browser().open_session(session_cookie(app, 1, locale))
    found = {}
    daily = ["/overview", "/wallboard", "/requests", "/requests/1", "/mine?period=month", "/missed"]
    daily += ["/report", "/report/charts", "/settings/missed"]
    set_up = ("/modules", "/modules/1", "/recordings", "/recordings/digits/fa", "/extensions", "/users/new", "/log")
    for path in (*daily, *set_up):
        page.goto(path)
        for width in (320, 600, 720, 721, 800, 900, 1000, 1099, 1100, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            found[f"{path} {width}"] = page.evaluate(CHECK_LAYOUT)
    assert not any(found.values()), format_faults(found)


@pytest.mark.parametrize(("width", "selector"), [(1200, ".side"), (1200, ".shell > .bar"), (375, ".shell > .bar")])
def test_menu_stays_visible_at_the_end_of_a_long_page(
    app: Flask, full_office: None, open_browser: OpenBrowser, width: int, selector: str
) -> None:
    page = open_browser(viewport={"width": width, "height": 800}).open_session(session_cookie(app, 1, "en"))
    page.goto("/modules/1")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    box = page.locator(selector).bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800, box
    end = "document.body.getBoundingClientRect().bottom"
    assert page.evaluate(end) >= 799, "the frame ends at the end of the page"


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720)])
@in_both_languages
def test_wallboard_fits_a_television_and_is_readable_from_afar(
    app: Flask,
    database: Database,
    full_office: None,
    open_browser: OpenBrowser,
    screenshots: Path | None,
    locale: str,
    width: int,
    height: int,
) -> None:
    for number in range(110, 125):
        create_line(database, str(number), name=f"داخلی {number}", state=list(LineState)[number % 6].value)
    create_module(database, targets=[str(number) for number in range(104, 125)])
    for queue in ("801", "802", "803", "804"):
        store(database, QueueRow(name=queue, live_callers=3))
    store_pause(database)
    users.set_locale(database, 1, locale)
    page = open_browser(viewport={"width": width, "height": height}).open_session(session_cookie(app, 1, locale))
    page.goto("/wallboard")
    found = check_layout(page, screenshots, f"wallboard-{locale}-{width}x{height}")
    assert found == []
    assert page.evaluate("document.documentElement.scrollHeight") <= height, "the wallboard does not scroll"
    sizes = "[...document.querySelectorAll(choice)].map((e) => parseFloat(getComputedStyle(e).fontSize))"
    size = f"(choice) => Math.min(...{sizes})"
    assert page.evaluate(size, ".figure-value") >= 0.05 * width
    assert page.evaluate(size, ".board-who, .board-state") >= 0.017 * width
    labels = ".figures dt, .figure-about, .board-since, .board-waits, .board-count, .board-more, .board-day, .health li"
    assert page.evaluate(size, f"{labels}, .board-age") >= 0.0155 * width
    fits = "(line) => line.scrollHeight <= line.clientHeight + 1"
    assert all(line.evaluate(fits) for line in page.locator(".board-line, .board-queue").all())
    page.evaluate("document.getElementById('stale').hidden = false")
    found = check_layout(page, screenshots, f"wallboard-stale-{locale}-{width}x{height}")
    assert not [fault for fault in found if "answer" in fault or "horizontally" in fault]
    assert page.evaluate(size, "#stale") >= 0.028 * width


def store_pause(database: Database) -> None:
    with database.write() as session:
        pause.save_pause(session, pause.Pause("sara", datetime.now(UTC)), "sara", datetime.now(UTC))


def test_layout_check_finds_faults(open_browser: OpenBrowser) -> None:
    page = open_browser().page
    page.goto("/login")
    page.evaluate(
        """() => {
          const main = document.querySelector("main");
          main.insertAdjacentHTML("beforeend", "<p id='pale'>pale</p><button></button><p id='wide'>wide</p>");
          document.getElementById("pale").style.color = "#999";
          document.getElementById("wide").style.width = "300vw";
        }"""
    )
    found = " | ".join(page.evaluate(CHECK_LAYOUT))
    assert "contrast 2.5" in found and "without a name: <button>" in found and "scrolls horizontally" in found


def test_accessibility_check_finds_a_missing_label(open_browser: OpenBrowser) -> None:
    page = open_browser().page
    page.goto("/login")
    assert find_barriers(page) == []
    page.evaluate("document.querySelector('label').remove()")
    assert [found.split(":")[0] for found in find_barriers(page)] == ["axe label"]


# Returns the share of pixels by which two pictures of the same size clearly differ.
DIFFERENCE = """async (pictures) => {
  const [one, other] = await Promise.all(pictures.map(async (picture) => {
    const image = new Image();
    image.src = `data:image/png;base64,${picture}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    return canvas.getImageData(0, 0, image.width, image.height).data;
  }));
  const differs = (at) => [0, 1, 2].some((channel) => Math.abs(one[at + channel] - other[at + channel]) > 80);
  let count = 0;
  for (let at = 0; at < one.length; at += 4) count += differs(at);
  return count / (one.length / 4);
}"""


VISIBLE = 0.05


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_what_is_chosen_is_visible_in_forced_colours(
    app: Flask, full_office: None, open_browser: OpenBrowser, colours: str
) -> None:
    person = open_browser(forced_colors="active", color_scheme=colours, reduced_motion="reduce")

    def look(element: Locator) -> str:
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        return b64encode(element.screenshot()).decode()

    def smallest_difference(*pictures: str) -> float:
        return min(float(page.evaluate(DIFFERENCE, pair)) for pair in combinations(pictures, 2))

    page = person.open_session(session_cookie(app, 1, "fa"), "/modules/1")
    switch = page.locator(".form-switch input:visible:not([disabled])").first
    looks = [look(switch)]
    switch.click()
    looks.append(look(switch))
    switch.evaluate("element => (element.style.opacity = '0')")
    assert smallest_difference(*looks, look(switch)) > VISIBLE, "a switch that is on, one that is off, and none"
    segment = page.locator(".choices label:has(input:not(:checked)):visible").first
    looks = [look(segment)]
    segment.click()
    assert smallest_difference(*looks, look(segment)) > VISIBLE, "a chosen segment and another"
    page.goto("/modules")
    toggle = page.locator(".toggle").first
    looks = [look(toggle)]
    toggle.evaluate("element => element.setAttribute('aria-checked', element.ariaChecked !== 'true')")
    assert smallest_difference(*looks, look(toggle)) > VISIBLE
    page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<span class=dot id=example></span>')")
    dot, looks = page.locator("#example"), []
    for kind in ("dot-green", "dot-orange", "dot-red", "dot-purple", "dot-secondary"):
        dot.evaluate("(element, kind) => (element.className = `dot ${kind}`)", kind)
        looks.append(look(dot))
    dot.evaluate("element => (element.style.opacity = '0')")
    assert smallest_difference(*looks, look(dot)) > VISIBLE, "five dots and none"


def test_direction_of_the_page_follows_the_language(app: Flask, open_browser: OpenBrowser) -> None:
    page = open_browser().page
    page.goto("/login")
    expect(page.locator("html")).to_have_css("direction", "rtl")
    button = page.locator("button[name=locale]")
    box = button.bounding_box()
    assert box is not None and box["x"] < 200, "in Persian, lines end on the left"
    button.click()
    expect(page.locator("html")).to_have_css("direction", "ltr")
    box = page.locator("button[name=locale]").bounding_box()
    assert box is not None and box["x"] > 800


def test_page_loads_its_own_font(open_browser: OpenBrowser) -> None:
    page = open_browser().page
    page.goto("/login")
    page.evaluate("document.fonts.ready")
    assert page.evaluate("[...document.fonts].some((font) => font.family === 'Vazirmatn' && font.status === 'loaded')")
