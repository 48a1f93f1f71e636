"""The page of pending requests lives: it follows what happens without being loaded again, and loses nothing by it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.domain.policy import LineState
from app.domain.routing import Destination
from app.services import users
from app.services.requests import perform, registration
from app.services.requests.access import Scope
from app.services.requests.actions import ShownRequest, WriteNote
from app.services.requests.registration import Registration
from app.store.database import Database
from app.store.models import CallRequest, User, WorkerState
from app.store.pbx_state import ExtensionReport, store_extensions
from app.store.settings import write_setting
from script.office.bazang import Bazang
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene
from tests.browser.conftest import Meet
from tests.browser.panel import Loop, Person, loads, row, serve, session_of, soon
from tests.support.factories import create_line, create_module, create_running_service, reload
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD, Service

DONE = (True, "done")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def office(database: Database) -> None:
    """Calls can be made, 101 is in one, and a module is for it."""
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
def page(app: Flask, person: Person, office: None) -> Page:
    """The panel as an operator sees it."""
    return person.take(session_of(app, 2, "en"))


def test_a_request_appears_and_its_reason_changes(page: Page, database: Database) -> None:
    loaded = loads(page)
    expect(page.locator("#tables")).to_contain_text("No requests are waiting.")
    register(database)
    soon(page, "101 is in a call")
    expect(row(page)).to_contain_text("Sara")
    set_line(database, LineState.FREE, now())
    soon(page, "pause of 101 after a call, 00:")
    set_line(database, LineState.DND, now())
    soon(page, "101 is set to do not disturb")
    set_line(database, LineState.FREE, now() - timedelta(minutes=5))
    soon(page, "it is next")
    assert loaded() == 0


def test_a_countdown_counts(page: Page, database: Database) -> None:
    register(database)
    set_line(database, LineState.FREE, now() + timedelta(seconds=40))
    soon(page, "pause of 101 after a call, 00:")
    left = "Number(document.querySelector('.reason').innerText.match(/00:(\\d\\d)/)[1])"
    page.wait_for_function(f"(first) => {left} < first - 1", arg=page.evaluate(left))


def test_call_now_and_cancel_are_clicked(page: Page, database: Database, service: Service) -> None:
    register(database)
    loaded = loads(page)
    with service(call_now=DONE) as taken:
        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_have_text("The customer is called as soon as an agent is free.")
    choose(page, "Cancel …")
    expect(page.get_by_role("dialog")).to_contain_text("09121234567 Sara")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
    expect(page.locator("#message")).to_have_text("The request was cancelled.")
    soon(page, "cancelled")
    assert [(command.kind, command.actor) for command in taken] == [("call_now", "omid")]
    assert loaded() == 0


def choose(page: Page, entry: str, request: int = 1) -> None:
    """Open the menu of a row and take an entry."""
    row(page, request).get_by_role("button", name="More actions for").click()
    page.locator(f"#menu-{request}").get_by_text(entry, exact=True).click()


def test_who_thinks_better_of_it_cancels_nothing(page: Page, database: Database) -> None:
    register(database)
    choose(page, "Cancel …")
    page.get_by_role("dialog").get_by_role("link", name="Back").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    choose(page, "Cancel …")
    expect(page.get_by_role("dialog")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    soon(page, "waiting")


def looked_again(page: Page, database: Database) -> None:
    """Return when something has changed, and the page has asked for its rows and put them in place."""
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


def test_the_message_stays_while_the_rows_change(page: Page, database: Database, service: Service) -> None:
    register(database)
    with service(call_now=DONE):
        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_contain_text("as soon as")
    for _ in range(2):
        looked_again(page, database)
    expect(page.locator("#message")).to_contain_text("as soon as")


def test_the_focus_stays_where_it_is(page: Page, database: Database) -> None:
    register(database)
    button = row(page).get_by_role("button", name="Call now")
    button.focus()
    with database.write() as session:  # one who called earlier comes before it, and the reason changes
        earlier = registration._register(session, Registration(1, "+989350000000", extension="101"), now())
        session.get_one(CallRequest, earlier).first_called_at = now() - timedelta(hours=1)
    set_line(database, LineState.OFFLINE, now())
    expect(row(page, 2)).to_be_visible()
    expect(row(page)).to_contain_text("101 is offline")
    assert page.locator("tbody tr").first.get_attribute("id") == "request-2"
    expect(button).to_be_focused()
    looked_again(page, database)
    expect(button).to_be_focused()


def test_the_rows_do_not_jump_while_nothing_happens(page: Page, database: Database) -> None:
    register(database)
    expect(row(page)).to_be_visible()
    marked = "document.querySelector('#request-1').marked"
    page.evaluate(f"() => {{ {marked} = true; }}")
    looked_again(page, database)
    assert page.evaluate(marked) is True, "the row is the same one, not another that looks like it"


def test_the_line_of_the_telephone_side_is_live(page: Page, database: Database) -> None:
    expect(page.locator("#status-line")).to_contain_text("Calls can be made")
    with database.write() as session:
        session.get_one(WorkerState, 1).heartbeat = now() - timedelta(minutes=5)
    expect(page.locator("#status-line")).to_contain_text("is not running")


def test_a_page_that_grows_old_says_so_and_heals(person: Person, page: Page, database: Database) -> None:
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
    soon(page, "09121234567")
    expect(page.locator("#stale")).to_be_hidden()
    person.complaints.clear()  # the browser's own words on what failed


def test_when_the_session_ends_the_page_leads_to_the_log_in(person: Person, page: Page, database: Database) -> None:
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
    person.complaints[:] = [c for c in person.complaints if "401" not in c]


def test_a_request_is_cancelled_without_scripts(meet: Meet, database: Database, office: None) -> None:
    page = meet(java_script_enabled=False).log_in(OPERATOR, PASSWORD)
    register(database)
    page.reload()
    expect(row(page)).to_contain_text("101 is in a call")
    choose(page, "Cancel …")
    expect(page.locator("h1")).to_have_text("Cancel the request")
    page.get_by_role("button", name="Cancel the request").click()
    expect(page.locator("#message")).to_have_text("The request was cancelled.")
    expect(row(page)).to_contain_text("cancelled")


# -- what stays while the page lives ----------------------------------------------------------------------------------


def test_menus_choices_and_typed_text_survive_what_happens(page: Page, database: Database) -> None:
    register(database)
    register(database, "+989350000000")
    expect(row(page, 2)).to_be_visible()
    page.locator("#choose-2").check()
    expect(page.locator("#chosen")).to_contain_text("1 selected")
    row(page).get_by_role("button", name="More actions for").click()
    looked_again(page, database)
    set_line(database, LineState.OFFLINE, now())
    soon(page, "101 is offline")
    expect(page.locator("#menu-1")).to_be_visible()
    expect(page.locator("#choose-2")).to_be_checked()
    page.locator("#menu-1").get_by_text("Note …").click()
    note = page.get_by_role("dialog").get_by_label("Note")
    note.fill("half a sen")
    looked_again(page, database)
    set_line(database, LineState.DND, now())
    soon(page, "101 is set to do not disturb")
    expect(note).to_have_value("half a sen")
    expect(note).to_be_focused()
    page.get_by_role("dialog").get_by_role("button", name="Save the note").click()
    soon(page, "half a sen")


def test_a_mistake_in_a_dialog_is_said_there(person: Person, page: Page, database: Database) -> None:
    register(database)
    choose(page, "Another time …")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Date", exact=True).fill("2020-01-01")
    dialog.get_by_role("button", name="Postpone").click()
    expect(dialog).to_contain_text("This time is in the past. Enter a later one.")
    expect(dialog.get_by_label("Date", exact=True)).to_have_value("2020-01-01")
    day = (now() + timedelta(days=2)).date().isoformat()
    dialog.get_by_label("Date", exact=True).fill(day)
    dialog.get_by_label("Time", exact=True).fill("10:15")
    dialog.get_by_role("button", name="Postpone").click()
    soon(page, f"postponed until {day} 10:15")
    person.complaints[:] = [c for c in person.complaints if "422" not in c]


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_a_request_is_postponed_and_others_are_done_together(
    app: Flask, person: Person, database: Database, office: None, locale: str
) -> None:
    users.set_locale(database, 2, locale)
    page = person.take(session_of(app, 2, locale))
    for number in range(1, 4):
        register(database, f"+98912000000{number}")
    expect(row(page, 3)).to_be_visible()
    row(page).locator("[popovertarget]").click()
    page.locator("#menu-1 .menu-choices button").first.click()
    expect(page.locator("#message .alert-success")).to_be_visible()
    expect(page.locator("#menu-1")).to_be_hidden()
    soon(page, "postponed until" if locale == "en" else "به تعویق افتاده تا")
    page.locator("#choose-2").check()
    page.locator("#choose-3").check()
    page.locator("#chosen [formaction$=done]").click()
    page.locator("#dialog textarea").fill("together")
    page.locator("#dialog .action-buttons button").click()
    expect(page.locator("#message")).to_contain_text("2" if locale == "en" else "۲")
    for request in (2, 3):
        soon(page, "together", request)
    assert [reload_request(database, number).status for number in (1, 2, 3)] == ["waiting", "done", "done"]
    expect(page.locator("#chosen")).to_be_hidden()


def reload_request(database: Database, number: int) -> CallRequest:
    with database.read() as session:
        return session.get_one(CallRequest, number)


def test_two_people_at_once(app: Flask, meet: Meet, database: Database, office: None) -> None:
    """Both have the dialog open; the second is told of the first, and nothing is done twice."""
    register(database)
    first, second = (meet().take(session_of(app, user, "en")) for user in (1, 4))
    users.set_locale(database, 1, "en")
    users.set_locale(database, 4, "en")
    for page, entry in ((first, "Mark as done …"), (second, "Cancel …")):
        page.reload()
        choose(page, entry)
        expect(page.get_by_role("dialog")).to_be_visible()
    first.get_by_role("dialog").get_by_role("button", name="Mark as done").click()
    expect(first.locator("#message")).to_have_text("The request was marked as done.")
    soon(second, "done")
    second.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
    expect(second.locator("#message")).to_have_text("sara marked the request as done just now.")
    assert reload_request(database, 1).status == "done"


def test_a_note_that_came_second_stays_in_its_dialog(
    app: Flask, person: Person, page: Page, database: Database
) -> None:
    register(database)
    choose(page, "Note …")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("wants a callback at home")
    perform.perform(database, Scope("reza", everything=True), WriteNote("theirs"), [ShownRequest(1, 1)], now())
    dialog.get_by_role("button", name="Save the note").click()
    expect(dialog.get_by_role("alert")).to_contain_text("reza wrote a note just now.")
    expect(dialog).to_contain_text("Present note of 09121234567: theirs")
    expect(dialog.get_by_label("Note")).to_have_value("wants a callback at home")
    dialog.get_by_role("button", name="Save the note").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#message")).to_have_text("The note was saved.")
    assert reload_request(database, 1).note == "wants a callback at home"
    person.complaints[:] = [c for c in person.complaints if "422" not in c]


def test_another_users_poll_silences_nobody(app: Flask, meet: Meet, database: Database, office: None) -> None:
    """Two supervisors are sent the same; each browser still knows whose arrivals it has heard."""
    users.create(database, "second", PASSWORD, "supervisor", now(), locale="en")
    users.set_locale(database, 4, "en")
    person = meet()
    person.context.add_init_script(LISTEN)
    page = person.take(session_of(app, 4, "en"))
    page.locator("[data-sound]").click()
    meet().take(session_of(app, 5, "en"))
    register(database)
    page.wait_for_function("() => played === 2")
    register(database, "+989350000000")
    page.wait_for_function("() => played === 3")
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.includes('newest'))") == ["bazang.newest.4"]


def test_a_pause_is_seen_by_everybody_at_once(app: Flask, meet: Meet, database: Database, office: None) -> None:
    for user in (2, 4):
        users.set_locale(database, user, "en")
    operator, supervisor = (meet().take(session_of(app, user, "en")) for user in (2, 4))
    operator.goto("/mine")
    supervisor.get_by_role("link", name="Pause automatic calls").click()
    supervisor.get_by_role("dialog").get_by_label("Reason").fill("a meeting")
    supervisor.get_by_role("dialog").get_by_role("button", name="Pause automatic calls").click()
    expect(operator.locator("#paused")).to_contain_text("mina, just now. a meeting")
    expect(operator.get_by_role("button", name="Resume calls")).to_have_count(0)
    supervisor.get_by_role("button", name="Resume calls").click()
    expect(operator.locator("#paused")).to_have_count(0)


# Counts how often a page plays a sound, and lets it be done at once.
LISTEN = """
window.played = 0;
HTMLMediaElement.prototype.play = function () { window.played += 1; return Promise.resolve(); };
"""


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_an_arrival_is_heard_and_counted(
    app: Flask, person: Person, database: Database, office: None, locale: str
) -> None:
    users.set_locale(database, 2, locale)
    person.context.add_init_script(LISTEN)
    page = person.take(session_of(app, 2, locale))
    page.goto("/mine")
    title = page.title()
    button = page.locator("[data-sound]")
    expect(button).to_have_attribute("aria-pressed", "false")
    register(database)
    expect(page.locator("#count-mine-index")).to_contain_text("1" if locale == "en" else "۱")
    assert page.title() == ("(1) " if locale == "en" else "(۱) ") + title
    assert page.evaluate("played") == 0, "it is not switched on"
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("played") == 1, "so one knows it"
    register(database, "+989350000000")
    page.wait_for_function("() => played === 2")
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("played") == 0, "it rang for them already"
    register(database, "+989350000001")
    page.wait_for_function("() => played === 1")
    button.click()
    register(database, "+989350000002")
    expect(row(page, 4)).to_be_visible()
    assert page.evaluate("played") == 1


def test_the_browser_is_asked_to_let_the_sound_be_heard(
    app: Flask, person: Person, database: Database, office: None
) -> None:
    """It plays nothing in a page that nobody has touched: the page says so, and a click mends it."""
    refuse = (
        "() => { HTMLMediaElement.prototype.play = async () => { throw new DOMException('', 'NotAllowedError'); }; }"
    )
    users.set_locale(database, 2, "en")
    page = person.take(session_of(app, 2, "en"))
    page.evaluate("localStorage.setItem('bazang.sound', 'on')")
    page.goto("/mine")
    page.evaluate(refuse)
    register(database)
    expect(page.locator("#sound-blocked")).to_be_visible()
    expect(page.locator("#sound-blocked")).to_contain_text("Click anywhere")
    page.evaluate(f"() => {{ {LISTEN} }}")
    page.locator("h1").click()
    expect(page.locator("#sound-blocked")).to_be_hidden()
    assert page.evaluate("played") == 1


def test_a_hidden_tab_rests_and_catches_up(page: Page, database: Database) -> None:
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    asked: list[str] = []
    page.wait_for_function("() => document.getElementById('live') !== null")
    page.evaluate(hide, True)
    with page.expect_event("console", lambda message: message.text == "3 seconds"):
        page.on("request", lambda request: asked.append(request.url))
        page.evaluate("setTimeout(() => console.log('3 seconds'), 3000)")
        register(database)
    assert len(asked) <= 1, "the one that was under way"
    with page.expect_request("**/requests/rows"):
        page.evaluate(hide, False)
    expect(row(page)).to_be_visible()


@pytest.mark.parametrize("path", ["/requests", "/mine", "/overview", "/wallboard"])
def test_what_is_new_is_asked_for_within_two_seconds(
    app: Flask, database: Database, person: Person, office: None, path: str
) -> None:
    """Seconds of the page's own clock, which stands still in between: how quick the machine is does not matter."""
    users.set_locale(database, 4, "en")
    person.page.clock.install()
    page = person.take(session_of(app, 4, "en"), path)
    page.clock.pause_at(now() + timedelta(minutes=1))
    for _ in range(3):
        page.wait_for_function("() => !document.querySelector('#live.htmx-request')")  # the last poll is answered
        with page.expect_request(lambda request: request.headers.get("hx-request") == "true"):
            page.clock.run_for(2000)


def test_while_nothing_happens_nothing_is_sent(page: Page, database: Database) -> None:
    register(database)
    soon(page, "101 is in a call")
    answers = []
    for _ in range(3):
        with page.expect_response("**/requests/rows") as answer:
            pass
        answers.append(answer.value.status)
    assert answers[1:] == [304, 304]


def test_rows_are_worked_on_by_the_keyboard(page: Page, database: Database) -> None:
    register(database)
    expect(row(page)).to_be_visible()
    row(page).get_by_role("button", name="Call now").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#menu-1")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#menu-1").get_by_role("button", name="15 min")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#menu-1")).to_be_hidden()
    expect(row(page).get_by_role("button", name="More actions for")).to_be_focused()


# -- with a real exchange ---------------------------------------------------------------------------------------------


@pytest.fixture
def scene(loop: Loop, stage: Stage) -> Iterator[Scene]:
    """An office with Asterisk and the telephone service; 101's requests are called by hand."""

    def prepare(bazang: Bazang) -> None:
        users.create(bazang.database, ADMINISTRATOR, PASSWORD, "administrator", now())
        module = bazang.module(automatic=False)
        assert module == 1
        bazang.scenario("101", busy=Destination("module", "*5001"), no_answer=Destination("module", "*5001"))

    with loop.within(stage(prepare)) as scene:
        yield scene


@pytest.mark.asterisk(22)
def test_a_caller_leaves_a_request_and_is_called_back_by_a_click(scene: Scene, loop: Loop, meet: Meet) -> None:
    bazang = scene.bazang
    with serve(bazang.app) as address:
        page = meet(address).log_in(ADMINISTRATOR, PASSWORD)
        expect(page.locator("#status-line")).to_contain_text("Connected to Asterisk 22")
        talk = loop.run(scene.occupy("101"))
        loop.run(scene.register("101"))
        soon(page, "09121234567")
        expect(row(page)).to_contain_text("automatic calls are off; call by hand")

        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_have_text("The customer is called as soon as an agent is free.")
        expect(row(page)).to_contain_text("101 is in a call")
        loop.run(talk.end())
        ring = loop.run(scene.phones["101"].next_call())
        expect(row(page)).to_contain_text("the agent's phone rings (101)")

        choose(page, "Cancel …")
        page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
        expect(page.locator("#message")).to_have_text("The request was cancelled.")
        loop.run(ring.wait_ended(5))
        expect(row(page)).to_contain_text("cancelled")

        second = scene.wish("09350000000")
        expect(row(page, second)).to_be_visible()
        row(page, second).get_by_role("button", name="Call now").click()
        ring = loop.run(scene.take("101"))
        expect(row(page, second)).to_contain_text("dialling")
        loop.run(scene.talk_to(ring, second, "09350000000"))
        expect(row(page, second)).to_contain_text("the call is in progress (101)")
        expect(row(page, second).get_by_role("button", name="Call now")).to_have_count(0)
        loop.run(ring.hang_up())
        expect(row(page, second)).to_contain_text("done")
        assert reload(bazang.database, scene.wished(second)).status == "done"


@pytest.mark.asterisk(22)
def test_a_module_that_is_added_is_answered_by_the_exchange(scene: Scene, loop: Loop, meet: Meet) -> None:
    """What is clicked together is what callers meet: nothing has to be done on the exchange."""
    with serve(scene.bazang.app) as address:
        page = meet(address).log_in(ADMINISTRATOR, PASSWORD)
        page.goto("/modules/new")
        page.get_by_label("Name").fill("Night")
        page.get_by_label("Code", exact=True).fill("*5002")
        page.get_by_label("Other extensions").fill("102")
        page.get_by_role("switch", name="Silent").check()
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#message")).to_have_text("The module is saved.")
        loop.run(scene.bazang.wait_for_dialplan())
        page.get_by_role("link", name="Pending requests").click()
        call = loop.run(scene.trunk.call("*5002", caller="09351112233"))
        loop.run(call.wait_ended())  # it hears nothing, and is led on to the end of the call
        expect(row(page)).to_contain_text("09351112233")
        expect(row(page)).to_contain_text("Night")
