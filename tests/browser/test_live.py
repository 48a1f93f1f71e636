"""The page of pending requests updates itself without a reload and keeps what the user has opened, chosen and typed."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select, update

from app.domain.policy import LineState
from app.services import users
from app.services.requests import perform, registration
from app.services.requests.access import Scope
from app.services.requests.actions import Cancel, Prioritise, ShownRequest, WriteNote
from app.services.requests.registration import Registration
from app.store.database import Database
from app.store.models import CallRequest, User, WorkerState
from app.store.pbx_state import ExtensionReport, store_extensions
from app.store.settings import write_setting
from tests.asterisk.office import Office
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Loop, Person, count_loads, row, serve, session_cookie, wait_for_row
from tests.support.factories import create_line, create_module, create_running_service, reload
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD, Service

DONE = (True, "done")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def sample_data(database: Database) -> None:
    """A running worker, extension 101 in a call, and a module for it."""
    create_running_service(database)
    with database.write() as session:
        write_setting(session, "outbound_context", "from-internal")
    create_line(database, "101", state=LineState.IN_CALL.value)
    create_module(database, name="Sales")


def register(database: Database, number: str = "+989121234567", name: str = "Sara") -> int:
    return registration.register(database, Registration(1, number, caller_name=name, extension="101"), now())


def set_line(database: Database, state: LineState, since: datetime) -> None:
    with database.write() as session:
        store_extensions(session, [ExtensionReport("101", state, since)], complete=False)


@pytest.fixture
def page(app: Flask, person: Person, sample_data: None) -> Page:
    """The pending requests of an operator."""
    return person.open_session(session_cookie(app, 2, "en"))


def test_new_request_appears_and_its_reason_changes(page: Page, database: Database) -> None:
    load_count = count_loads(page)
    expect(page.locator("#tables")).to_contain_text("No requests are waiting.")
    register(database)
    wait_for_row(page, "101 is in a call")
    expect(row(page)).to_contain_text("Sara")
    set_line(database, LineState.FREE, now())
    wait_for_row(page, "pause of 101 after a call, 00:")
    set_line(database, LineState.DND, now())
    wait_for_row(page, "101 is set to do not disturb")
    set_line(database, LineState.FREE, now() - timedelta(minutes=5))
    wait_for_row(page, "it is next")
    assert load_count() == 0


def test_number_that_is_typed_fast_is_stored_whole(page: Page, database: Database) -> None:
    page.goto("/requests/new")
    page.locator("#wanted").select_option(index=1)
    page.locator("#number").focus()
    page.keyboard.type("09121234567")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests")
    with database.read() as session:
        assert [request.number for request in session.scalars(select(CallRequest))] == ["+989121234567"]


def test_countdown_of_the_rest_counts_down(page: Page, database: Database) -> None:
    register(database)
    set_line(database, LineState.FREE, now() + timedelta(seconds=40))
    wait_for_row(page, "pause of 101 after a call, 00:")
    seconds_left = "Number(document.querySelector('.reason').innerText.match(/00:(\\d\\d)/)[1])"
    page.wait_for_function(f"(first) => {seconds_left} < first - 1", arg=page.evaluate(seconds_left))


def test_call_now_and_cancel(page: Page, database: Database, service: Service) -> None:
    register(database)
    load_count = count_loads(page)
    with service(call_now=DONE) as commands:
        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_contain_text("The customer is called as soon as an agent is free.")
    choose_in_menu(page, "Cancel …")
    expect(page.get_by_role("dialog")).to_contain_text("09121234567 Sara")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
    expect(page.locator("#message")).to_contain_text("The request was cancelled.")
    wait_for_row(page, "cancelled")
    assert [(command.kind, command.actor) for command in commands] == [("call_now", "omid")]
    assert load_count() == 0


def choose_in_menu(page: Page, entry: str, request: int = 1) -> None:
    """Open the menu of a row and choose an entry."""
    row(page, request).get_by_role("button", name="More actions for").click()
    page.locator("#menu").get_by_text(entry, exact=True).click()


def test_closed_dialog_does_not_cancel_the_request(page: Page, database: Database) -> None:
    register(database)
    choose_in_menu(page, "Cancel …")
    page.get_by_role("dialog").get_by_role("link", name="Back").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    choose_in_menu(page, "Cancel …")
    expect(page.get_by_role("dialog")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    wait_for_row(page, "waiting")


def change_state_and_wait_for_update(page: Page, database: Database) -> None:
    """Change the stored state of the worker. Wait until the page has requested its rows and replaced them."""
    swapped = """() => { window.swapped = new Promise((done) => {
      document.addEventListener("htmx:after:swap", (event) => {
        if (event.detail.ctx.sourceElement.id === "live") done();
      });
    }); }"""
    page.evaluate(swapped)
    with database.write() as session:
        state = session.get_one(WorkerState, 1)
        state.asterisk_version = f"22.{int(state.asterisk_version.split('.')[1]) + 1}.0"
    page.evaluate("() => window.swapped")


def test_message_stays_after_an_update(page: Page, database: Database, service: Service) -> None:
    register(database)
    with service(call_now=DONE):
        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_contain_text("as soon as")
    for _ in range(2):
        change_state_and_wait_for_update(page, database)
    expect(page.locator("#message")).to_contain_text("as soon as")


def test_focus_stays_after_an_update(page: Page, database: Database) -> None:
    register(database)
    button = row(page).get_by_role("button", name="Call now")
    button.focus()
    with database.write() as session:  # an earlier caller moves the row, and the reason changes
        earlier = registration.register_in(session, Registration(1, "+989350000000", extension="101"), now())
        session.get_one(CallRequest, earlier).first_called_at = now() - timedelta(hours=1)
    set_line(database, LineState.OFFLINE, now())
    expect(row(page, 2)).to_be_visible()
    expect(row(page)).to_contain_text("101 is offline")
    assert page.locator("tbody tr").first.get_attribute("id") == "request-2"
    expect(button).to_be_focused()
    change_state_and_wait_for_update(page, database)
    expect(button).to_be_focused()


def test_unchanged_row_is_not_replaced_by_an_update(page: Page, database: Database) -> None:
    register(database)
    expect(row(page)).to_be_visible()
    marked = "document.querySelector('#request-1').marked"
    page.evaluate(f"() => {{ {marked} = true; }}")
    change_state_and_wait_for_update(page, database)
    assert page.evaluate(marked) is True, "the element is the same"


def test_service_status_updates(page: Page, database: Database) -> None:
    expect(page.locator("#status-line")).to_contain_text("Calls can be made")
    with database.write() as session:
        session.get_one(WorkerState, 1).heartbeat = now() - timedelta(minutes=5)
    expect(page.locator("#status-line")).to_contain_text("is not running")


def test_page_warns_while_updates_fail_and_recovers(person: Person, page: Page, database: Database) -> None:
    expect(page.locator("#stale")).to_be_hidden()
    page.route("**/requests/rows", lambda route: route.abort())
    expect(page.locator("#stale")).to_be_visible()
    page.unroute("**/requests/rows")
    expect(page.locator("#stale")).to_be_hidden()
    page.route("**/requests/rows", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#tables")).to_contain_text("No requests are waiting")
    register(database)
    page.unroute("**/requests/rows")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    wait_for_row(page, "09121234567")
    expect(page.locator("#stale")).to_be_hidden()
    person.errors.clear()  # about the failed requests


def test_page_redirects_to_the_log_in_when_the_session_ends(person: Person, page: Page, database: Database) -> None:
    with database.write() as session:
        session.get_one(User, 2).active = False
    page.wait_for_url("**/login?next=/requests")
    expect(page.locator("main")).to_have_count(1)
    with database.write() as session:
        session.get_one(User, 2).active = True
    page.locator("#name").fill(OPERATOR)
    page.locator("#password").fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url("**/requests")
    person.ignore_errors("401")


def test_page_polls_no_more_while_somebody_logs_out(page: Page) -> None:
    polls: list[str] = []

    def answer_late(route: Route) -> None:
        answer = route.fetch(max_redirects=0)  # the session has ended for the server, and the browser waits
        polls.clear()
        page.wait_for_timeout(2_500)
        route.fulfill(response=answer)

    page.on("request", lambda request: polls.append(request.url) if "/rows" in request.url else None)
    page.route("**/logout", answer_late)
    with page.expect_request("**/requests/rows"):
        pass
    page.locator("[formaction$=logout]").click()
    page.wait_for_url("**/login")
    assert polls == []


def test_request_is_cancelled_without_javascript(
    open_browser: OpenBrowser, database: Database, sample_data: None
) -> None:
    page = open_browser(java_script_enabled=False).log_in(OPERATOR, PASSWORD)
    register(database)
    page.goto("/requests")
    expect(row(page)).to_contain_text("101 is in a call")
    expect(row(page).get_by_role("button", name="More actions for")).to_be_hidden()
    row(page).locator("a.request-number").click()
    page.get_by_role("button", name="More actions for").click()
    page.get_by_role("link", name="Cancel …").click()
    expect(page.locator("h1")).to_have_text("Cancel the request")
    page.get_by_role("button", name="Cancel the request").click()
    expect(page.locator("#message")).to_contain_text("The request was cancelled.")
    expect(page.locator("#request-detail")).to_contain_text("cancelled")


# -- on a phone -------------------------------------------------------------------------------------------------------

SMALL_TARGETS = """() => [...document.querySelectorAll("main a, main button, main input, main select, main summary")]
  .filter((control) => control.checkVisibility({ checkVisibilityCSS: true }) && control.type !== "hidden")
  .map((control) => [control, (control.closest("label") ?? control).getBoundingClientRect()])
  .filter(([control, box]) => box.height < 44 || box.width < 44)
  .filter(([control]) => !control.matches(".skip-link, p > a"))
  .map(([control, box]) => `${control.outerHTML.slice(0, 90)} ${box.width} x ${box.height}`)"""


@pytest.mark.parametrize("locale", ["en", "fa"])
def test_number_and_reason_come_first_on_a_phone(
    app: Flask, database: Database, open_browser: OpenBrowser, sample_data: None, locale: str
) -> None:
    register(database)
    users.set_locale(database, 2, locale)
    page = open_browser(viewport={"width": 390, "height": 844}).open_session(session_cookie(app, 2, locale))
    for path in ("/requests", "/mine"):
        page.goto(path)
        expect(row(page).locator("a[href='tel:09121234567']")).to_be_visible()
        parts = (".card-first", ".card-second", "td:nth-last-child(2)", ".actions")
        tops = [row(page).locator(part).evaluate("(cell) => cell.getBoundingClientRect().top") for part in parts]
        assert tops == sorted(tops) and len(set(tops)) == len(tops)
        labels = "(row) => [...row.cells].map((cell) => getComputedStyle(cell, '::before').content)"
        assert set(row(page).evaluate(labels)) == {"none"}, "the labels of the columns are not repeated"
        assert page.evaluate(SMALL_TARGETS) == []


# -- filters ----------------------------------------------------------------------------------------------------------


def test_filter_applies_as_it_changes_and_polls_follow_it(page: Page, database: Database) -> None:
    register(database)
    register(database, "+989350000000")
    with database.write() as session:
        session.get_one(CallRequest, 2).status = "uncertain"
    expect(row(page, 2)).to_be_visible()
    expect(page.locator(".apply")).to_be_hidden()
    count = count_loads(page)
    filter_ = page.locator("[name=status]")
    filter_.focus()
    filter_.select_option("uncertain")
    expect(page).to_have_url(re.compile(r"/requests\?status=uncertain$"))
    expect(row(page, 1)).to_have_count(0)
    expect(filter_).to_be_focused()
    with page.expect_response(re.compile(r"/requests/rows\?status=uncertain$")) as polled:
        pass
    assert polled.value.ok and row(page, 1).count() == 0
    filter_.select_option("")
    expect(page).to_have_url(re.compile(r"/requests$"))
    expect(row(page, 1)).to_be_visible()
    assert count() == 0
    page.goto("/report")
    page.locator("#number").press_sequentially("0935")
    expect(page).to_have_url(re.compile("number=0935"))
    expect(page.locator("#number")).to_be_focused()
    expect(page.locator("table.report tbody tr")).to_have_count(1)


# -- what an update keeps ---------------------------------------------------------------------------------------------


def test_open_menu_selection_and_typed_text_stay_after_an_update(page: Page, database: Database) -> None:
    register(database)
    register(database, "+989350000000")
    expect(row(page, 2)).to_be_visible()
    page.locator("#request-2 input").check()
    expect(page.locator("#chosen")).to_contain_text("1 selected")
    row(page).get_by_role("button", name="More actions for").click()
    change_state_and_wait_for_update(page, database)
    set_line(database, LineState.OFFLINE, now())
    wait_for_row(page, "101 is offline")
    expect(page.locator("#menu")).to_be_visible()
    expect(page.locator("#request-2 input")).to_be_checked()
    page.locator("#menu").get_by_text("Note …").click()
    note = page.get_by_role("dialog").get_by_label("Note")
    note.fill("half a sen")
    change_state_and_wait_for_update(page, database)
    set_line(database, LineState.DND, now())
    wait_for_row(page, "101 is set to do not disturb")
    expect(note).to_have_value("half a sen")
    expect(note).to_be_focused()
    page.get_by_role("dialog").get_by_role("button", name="Save the note").click()
    wait_for_row(page, "half a sen")


def test_list_that_is_brought_up_to_date_does_not_open_a_closed_dialog_again(page: Page, database: Database) -> None:
    """A closed dialog still has its contents for an instant. Opened again, it would be empty and cover the page."""
    register(database)
    choose_in_menu(page, "Cancel …")
    expect(page.get_by_role("dialog")).to_have_count(1)
    page.evaluate(
        """() => {
          document.getElementById("dialog").close();
          document.body.dispatchEvent(new CustomEvent("htmx:after:swap", { bubbles: true }));
        }"""
    )
    expect(page.locator("#dialog > *")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_dialog_shows_its_errors_and_keeps_the_input(person: Person, page: Page, database: Database) -> None:
    register(database)
    choose_in_menu(page, "Another time …")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Date", exact=True).fill("2020-01-01")
    dialog.get_by_role("button", name="Postpone").click()
    expect(dialog).to_contain_text("This time is in the past. Enter a later one.")
    expect(dialog.get_by_label("Date", exact=True)).to_have_value("2020-01-01")
    day = (now() + timedelta(days=2)).date().isoformat()
    dialog.get_by_label("Date", exact=True).fill(day)
    dialog.get_by_label("Time", exact=True).fill("10:15")
    dialog.get_by_role("button", name="Postpone").click()
    wait_for_row(page, f"postponed until {day} 10:15")
    person.ignore_errors("422")


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_one_request_is_postponed_and_two_are_marked_done_together(
    app: Flask, person: Person, database: Database, sample_data: None, locale: str
) -> None:
    users.set_locale(database, 2, locale)
    page = person.open_session(session_cookie(app, 2, locale))
    for number in range(1, 4):
        register(database, f"+98912000000{number}")
    expect(row(page, 3)).to_be_visible()
    row(page).locator("[data-menu]").click()
    page.locator("#menu .menu-choices button").first.click()
    expect(page.locator("#message .alert-success")).to_be_visible()
    expect(page.locator("#menu")).to_be_hidden()
    wait_for_row(page, "postponed until" if locale == "en" else "به تعویق افتاده تا")
    page.locator("#request-2 input").check()
    page.locator("#request-3 input").check()
    page.locator("#chosen [formaction$=done]").click()
    page.locator("#dialog textarea").fill("together")
    page.locator("#dialog .action-buttons button").click()
    expect(page.locator("#message")).to_contain_text("2" if locale == "en" else "۲")
    for request in (2, 3):
        wait_for_row(page, "together", request)
    assert [reload_request(database, number).status for number in (1, 2, 3)] == ["waiting", "done", "done"]
    expect(page.locator("#chosen")).to_be_hidden()


def reload_request(database: Database, number: int) -> CallRequest:
    with database.read() as session:
        return session.get_one(CallRequest, number)


def test_second_of_two_people_sees_what_the_first_did(
    app: Flask, open_browser: OpenBrowser, database: Database, sample_data: None
) -> None:
    """Both have a dialog open. The second action fails."""
    register(database)
    first, second = (open_browser().open_session(session_cookie(app, user, "en")) for user in (1, 4))
    users.set_locale(database, 1, "en")
    users.set_locale(database, 4, "en")
    for page, entry in ((first, "Mark as done …"), (second, "Cancel …")):
        page.reload()
        choose_in_menu(page, entry)
        expect(page.get_by_role("dialog")).to_be_visible()
    first.get_by_role("dialog").get_by_role("button", name="Mark as done").click()
    expect(first.locator("#message")).to_contain_text("The request was marked as done.")
    wait_for_row(second, "done")
    second.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
    expect(second.locator("#message")).to_contain_text("sara marked the request as done just now.")
    assert reload_request(database, 1).status == "done"


def test_note_after_another_persons_note_stays_in_its_dialog(
    app: Flask, person: Person, page: Page, database: Database
) -> None:
    register(database)
    choose_in_menu(page, "Note …")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("wants a callback at home")
    perform.perform(database, Scope("reza", everything=True), WriteNote("theirs"), [ShownRequest(1, 1)], now())
    dialog.get_by_role("button", name="Save the note").click()
    expect(dialog.get_by_role("alert")).to_contain_text("reza wrote a note just now.")
    expect(dialog).to_contain_text("Present note of 09121234567: theirs")
    expect(dialog.get_by_label("Note")).to_have_value("wants a callback at home")
    dialog.get_by_role("button", name="Save the note").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#message")).to_contain_text("The note was saved.")
    assert reload_request(database, 1).note == "wants a callback at home"
    person.ignore_errors("422")


def test_each_browser_plays_its_own_sound_for_a_new_request(
    app: Flask, open_browser: OpenBrowser, database: Database, sample_data: None
) -> None:
    """Two supervisors get the same rows, but each browser stores for its own user which requests were announced."""
    users.create(database, "second", PASSWORD, "supervisor", now(), locale="en")
    users.set_locale(database, 4, "en")
    person = open_browser()
    person.context.add_init_script(COUNT_SOUNDS)
    page = person.open_session(session_cookie(app, 4, "en"))
    page.locator("[data-sound]").click()
    open_browser().open_session(session_cookie(app, 5, "en"))
    register(database)
    page.wait_for_function("() => played === 2")
    register(database, "+989350000000")
    page.wait_for_function("() => played === 3")
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.includes('newest'))") == ["bazang.newest.4"]


def test_pause_is_shown_to_everybody_at_once(
    app: Flask, open_browser: OpenBrowser, database: Database, sample_data: None
) -> None:
    for user in (2, 4):
        users.set_locale(database, user, "en")
    operator, supervisor = (open_browser().open_session(session_cookie(app, user, "en")) for user in (2, 4))
    operator.goto("/mine")
    supervisor.get_by_role("link", name="Pause automatic calls").click()
    supervisor.get_by_role("dialog").get_by_label("Reason").fill("a meeting")
    supervisor.get_by_role("dialog").get_by_role("button", name="Pause automatic calls").click()
    expect(operator.locator("#paused")).to_contain_text("mina, just now. a meeting")
    expect(operator.get_by_role("button", name="Resume calls")).to_have_count(0)
    supervisor.get_by_role("button", name="Resume calls").click()
    expect(operator.locator("#paused")).to_have_count(0)


# Counts how often a page plays a sound, without playing it.
COUNT_SOUNDS = """
window.played = 0;
HTMLMediaElement.prototype.play = function () { window.played += 1; return Promise.resolve(); };
"""


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_new_requests_are_counted_and_announced_by_a_sound(
    app: Flask, person: Person, database: Database, sample_data: None, locale: str
) -> None:
    users.set_locale(database, 2, locale)
    person.context.add_init_script(COUNT_SOUNDS)
    page = person.open_session(session_cookie(app, 2, locale))
    page.goto("/mine")
    title = page.title()
    button = page.locator("[data-sound]")
    expect(button).to_have_attribute("aria-pressed", "false")
    register(database)
    expect(page.locator("#count-mine-index")).to_contain_text("1" if locale == "en" else "۱")
    assert page.title() == ("(1) " if locale == "en" else "(۱) ") + title
    assert page.evaluate("played") == 0, "the sound is off"
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("played") == 1, "a sample"
    register(database, "+989350000000")
    page.wait_for_function("() => played === 2")
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("played") == 0, "both were announced before"
    register(database, "+989350000001")
    page.wait_for_function("() => played === 1")
    button.click()
    register(database, "+989350000002")
    expect(row(page, 4)).to_be_visible()
    assert page.evaluate("played") == 1


def test_page_asks_for_a_click_if_the_browser_blocks_the_sound(
    app: Flask, person: Person, database: Database, sample_data: None
) -> None:
    """Browsers block sounds until the user has clicked in the page."""
    refuse = (
        "() => { HTMLMediaElement.prototype.play = async () => { throw new DOMException('', 'NotAllowedError'); }; }"
    )
    users.set_locale(database, 2, "en")
    page = person.open_session(session_cookie(app, 2, "en"))
    page.evaluate("localStorage.setItem('bazang.sound', 'on')")
    page.goto("/mine")
    page.evaluate(refuse)
    register(database)
    expect(page.locator("#sound-blocked")).to_be_visible()
    expect(page.locator("#sound-blocked")).to_contain_text("Click anywhere")
    page.evaluate(f"() => {{ {COUNT_SOUNDS} }}")
    page.locator("h1").click()
    expect(page.locator("#sound-blocked")).to_be_hidden()
    assert page.evaluate("played") == 1


def test_hidden_tab_does_not_poll_and_updates_when_it_is_shown(page: Page, database: Database) -> None:
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    requests: list[str] = []
    page.wait_for_function("() => document.getElementById('live') !== null")
    page.evaluate(hide, True)
    with page.expect_event("console", lambda message: message.text == "3 seconds"):
        page.on("request", lambda request: requests.append(request.url))
        page.evaluate("setTimeout(() => console.log('3 seconds'), 3000)")
        register(database)
    assert len(requests) <= 1, "only a request that was already running"
    with page.expect_request("**/requests/rows"):
        page.evaluate(hide, False)
    expect(row(page)).to_be_visible()


@pytest.mark.parametrize("path", ["/requests", "/mine", "/overview", "/wallboard"])
def test_page_polls_within_two_seconds(
    app: Flask, database: Database, person: Person, sample_data: None, path: str
) -> None:
    """The test controls the clock of the page, so the speed of the machine does not matter."""
    users.set_locale(database, 4, "en")
    person.page.clock.install()
    page = person.open_session(session_cookie(app, 4, "en"), path)
    page.clock.pause_at(now() + timedelta(minutes=1))
    for _ in range(3):
        page.wait_for_function("() => !document.querySelector('#live.htmx-request')")  # the last poll is answered
        with page.expect_request(lambda request: request.headers.get("hx-request") == "true"):
            page.clock.run_for(2000)


def test_unchanged_rows_are_not_sent_again(page: Page, database: Database) -> None:
    register(database)
    wait_for_row(page, "101 is in a call")
    answers = []
    for _ in range(3):
        with page.expect_response("**/requests/rows") as answer:
            pass
        answers.append(answer.value.status)
    assert answers[1:] == [304, 304]


def test_row_menu_works_with_the_keyboard(page: Page, database: Database) -> None:
    register(database)
    expect(row(page)).to_be_visible()
    row(page).get_by_role("button", name="Call now").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#menu")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#menu").get_by_role("button", name="15 min")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#menu")).to_be_hidden()
    expect(row(page).get_by_role("button", name="More actions for")).to_be_focused()


def test_open_menu_follows_its_request(page: Page, database: Database) -> None:
    register(database)
    register(database, "+989350000000")
    page.reload()
    menu = page.locator("#menu")
    row(page, 1).get_by_role("button", name="More actions for").click()
    menu.get_by_role("button", name="high").focus()
    perform.perform(database, Scope("reza", everything=True), Prioritise(1), [ShownRequest(1, 1)], now())
    expect(menu.get_by_role("button", name="high")).to_have_attribute("aria-pressed", "true")
    expect(menu.get_by_role("button", name="high")).to_be_focused()
    menu.get_by_role("button", name="low").click()
    expect(page.locator("#message")).to_contain_text("The priority was changed.")
    expect(menu).to_be_hidden()
    row(page, 1).get_by_role("button", name="More actions for").click()
    expect(menu.get_by_role("button", name="low")).to_have_attribute("aria-pressed", "true")
    perform.perform(database, Scope("reza", everything=True), Cancel(), [ShownRequest(1, 3)], now())
    expect(menu.get_by_role("link", name="Cancel …")).to_have_count(0)
    with database.write() as session:  # it ended long ago
        session.execute(update(CallRequest).where(CallRequest.id == 1).values(done_at=now() - timedelta(hours=1)))
    expect(row(page, 1)).to_have_count(0)
    expect(menu).to_be_hidden()


def test_button_of_another_row_opens_its_menu(page: Page, database: Database) -> None:
    register(database)
    register(database, "+989350000000")
    expect(row(page, 2)).to_be_visible()
    buttons = [row(page, number).get_by_role("button", name="More actions for") for number in (1, 2)]
    details = page.locator("#menu").get_by_role("link", name="Details")
    buttons[0].click()
    expect(details).to_have_attribute("href", "/requests/1")
    buttons[1].focus()
    page.keyboard.press("Enter")
    expect(details).to_have_attribute("href", "/requests/2")
    page.keyboard.press("Enter")
    expect(page.locator("#menu")).to_be_hidden()


def menu_buttons(page: Page) -> list[object]:
    """Return what Chromium tells screen readers of the buttons of the menus: whether each is expanded."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    buttons = [node for node in nodes if str(node.get("name", {}).get("value", "")).startswith("More actions for")]
    buttons = [node for node in buttons if node["role"]["value"] == "button"]
    return [
        {each["name"]: each["value"].get("value") for each in node["properties"]}.get("expanded") for node in buttons
    ]


def test_only_the_button_whose_menu_is_open_is_expanded(page: Page, database: Database) -> None:
    register(database)
    register(database, "+989350000000")
    expect(row(page, 2)).to_be_visible()
    assert menu_buttons(page) == [False, False]
    buttons = [row(page, number).get_by_role("button", name="More actions for") for number in (1, 2)]
    buttons[0].click()
    expect(page.locator("#menu .menu-entry").first).to_be_visible()
    assert menu_buttons(page) == [True, False]
    buttons[1].focus()  # the menu covers it
    page.keyboard.press("Enter")
    expect(page.locator("#menu").get_by_role("link", name="Details")).to_have_attribute("href", "/requests/2")
    assert menu_buttons(page) == [False, True]
    page.keyboard.press("Escape")
    expect(page.locator("#menu")).to_be_hidden()
    assert menu_buttons(page) == [False, False]
    expect(buttons[1]).to_be_focused()
    set_line(database, LineState.FREE, now() + timedelta(seconds=40))  # the poll replaces the rows
    wait_for_row(page, "pause of 101 after a call")
    assert menu_buttons(page) == [False, False]


def test_menu_of_a_request_that_is_out_of_reach_says_so(person: Person, page: Page, database: Database) -> None:
    register(database)
    page.route(
        "**/requests/1/menu",
        lambda route: route.fulfill(
            status=404, headers={"HX-Retarget": "#message", "HX-Reswap": "beforeend"}, body="<p>Not found</p>"
        ),
    )
    row(page).get_by_role("button", name="More actions for").click()
    expect(page.locator("#message")).to_contain_text("Not found")
    expect(page.locator("#menu")).to_be_hidden()
    person.ignore_errors("404")


# -- with a real PBX --------------------------------------------------------------------------------------------------


@pytest.mark.asterisk(22)
def test_caller_leaves_a_request_and_call_now_connects_them(
    office: Office, loop: Loop, open_browser: OpenBrowser
) -> None:
    bazang = office.bazang
    with serve(bazang.app) as address:
        page = open_browser(address).log_in(ADMINISTRATOR, PASSWORD)
        expect(page.locator("#status-line")).to_contain_text("Connected to Asterisk 22")
        busy_call = loop.run(office.occupy("101"))
        loop.run(office.leave_request("101"))
        wait_for_row(page, "09121234567")
        expect(row(page)).to_contain_text("automatic calls are off; call by hand")

        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_contain_text("101 is in a call. It rings as soon as it is free.")
        expect(row(page)).to_contain_text("101 is in a call")
        loop.run(busy_call.end())
        agent_call = loop.run(office.phones["101"].next_call())
        expect(row(page)).to_contain_text("the agent's phone rings (101)")

        choose_in_menu(page, "Cancel …")
        page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
        expect(page.locator("#message")).to_contain_text("The request was cancelled.")
        loop.run(agent_call.wait_ended(5))
        expect(row(page)).to_contain_text("cancelled")

        second = office.add_request("09350000000")
        expect(row(page, second)).to_be_visible()
        row(page, second).get_by_role("button", name="Call now").click()
        agent_call = loop.run(office.answer_agent("101"))
        expect(row(page, second)).to_contain_text("dialling")
        loop.run(office.connect_customer(agent_call, second, "09350000000"))
        expect(row(page, second)).to_contain_text("the call is in progress (101)")
        expect(row(page, second).get_by_role("button", name="Call now")).to_have_count(0)
        loop.run(agent_call.hang_up())
        expect(row(page, second)).to_contain_text("done")
        assert reload(bazang.database, office.get_request(second)).status == "done"


@pytest.mark.asterisk(22)
def test_new_module_works_on_the_pbx_without_further_steps(
    office: Office, loop: Loop, open_browser: OpenBrowser
) -> None:
    with serve(office.bazang.app) as address:
        page = open_browser(address).log_in(ADMINISTRATOR, PASSWORD)
        page.goto("/modules/new")
        page.get_by_label("Name", exact=True).fill("Night")
        page.get_by_label("Code", exact=True).fill("*5002")
        page.get_by_label("Other extensions").fill("102")
        page.get_by_role("switch", name="Silent").check()
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#message")).to_contain_text("The module is saved.")
        loop.run(office.bazang.wait_for_dialplan())
        page.get_by_role("link", name="Pending requests").click()
        call = loop.run(office.trunk.call("*5002", caller="09351112233"))
        loop.run(call.wait_ended())  # a silent module, with "hang up" as the next destination
        expect(row(page)).to_contain_text("09351112233")
        expect(row(page)).to_contain_text("Night")
