"""The page of pending requests lives: it follows what happens without being loaded again, and loses nothing by it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.domain.policy import LineState
from app.services import requests, users
from app.services.requests import Registration
from app.store.database import Database
from app.store.lines import LineReport, store_lines
from app.store.models import CallRequest, User, WorkerState
from app.store.settings import write_setting
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene
from tests.browser.conftest import Meet
from tests.browser.panel import Loop, Person, serve, session_of
from tests.support.bazang import Bazang
from tests.support.factories import create_line, create_module, create_running_service, reload
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD, Service

SOON = 2000  # milliseconds in which a page has to show what happened
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
    return requests.register(database, Registration(1, number, caller_name=name, wanted="101"), now())


def set_line(database: Database, state: LineState, since: datetime) -> None:
    with database.write() as session:
        store_lines(session, [LineReport("101", state, since)], complete=False)


@pytest.fixture
def page(app: Flask, person: Person, office: None) -> Page:
    """The panel as an operator sees it."""
    return person.take(session_of(app, 2, "en"))


def row(page: Page, request: int = 1):
    return page.locator(f"#request-{request}")


def loads(page: Page) -> Callable[[], int]:
    """Count how often the page is loaded from now on."""
    count = [0]
    page.on("domcontentloaded", lambda _: count.__setitem__(0, count[0] + 1))
    return lambda: count[0]


def soon(page: Page, said: str, request: int = 1) -> None:
    """Return as soon as a request's row says this, which has to be within two seconds."""
    says = "([id, said]) => document.getElementById(id)?.innerText.includes(said)"
    page.wait_for_function(says, arg=[f"request-{request}", said], timeout=SOON)


def test_a_request_appears_and_its_reason_changes(page: Page, database: Database) -> None:
    loaded = loads(page)
    expect(page.locator("#tables")).to_contain_text("Nobody waits to be called back.")
    register(database)
    soon(page, "101 is in a call")
    expect(row(page)).to_contain_text("Sara")
    set_line(database, LineState.FREE, now())
    soon(page, "101 rests 00:")
    set_line(database, LineState.DND, now())
    soon(page, "101 does not want to be disturbed")
    set_line(database, LineState.FREE, now() - timedelta(minutes=5))
    soon(page, "it is next")
    assert loaded() == 0


def test_a_countdown_counts(page: Page, database: Database) -> None:
    register(database)
    set_line(database, LineState.FREE, now() + timedelta(seconds=40))
    soon(page, "101 rests 00:")
    left = "Number(document.querySelector('.why').innerText.match(/00:(\\d\\d)/)[1])"
    page.wait_for_function(f"(first) => {left} < first - 1", arg=page.evaluate(left))


def test_call_now_and_cancel_are_clicked(page: Page, database: Database, service: Service) -> None:
    register(database)
    loaded = loads(page)
    with service(call_now=DONE) as taken:
        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_have_text("It is called as soon as an agent is free.")
    choose(page, "Cancel …")
    expect(page.get_by_role("dialog")).to_contain_text("09121234567 Sara")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
    expect(page.locator("#message")).to_have_text("The request is cancelled.")
    soon(page, "cancelled")
    assert [(command.kind, command.actor) for command in taken] == [("call_now", "omid")]
    assert loaded() == 0


def choose(page: Page, entry: str, request: int = 1) -> None:
    """Open the menu of a row and take an entry."""
    row(page, request).get_by_role("button", name="More for").click()
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
        earlier = requests._register(session, Registration(1, "+989350000000", wanted="101"), now())
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
    expect(page.locator("#status-line")).to_contain_text("calls can be made")
    with database.write() as session:
        session.get_one(WorkerState, 1).heartbeat = now() - timedelta(minutes=5)
    expect(page.locator("#status-line")).to_contain_text("is not running", timeout=SOON)


def test_a_page_that_grows_old_says_so_and_heals(person: Person, page: Page, database: Database) -> None:
    expect(page.locator("#stale")).to_be_hidden()
    page.route("**/requests/rows", lambda route: route.abort())
    expect(page.locator("#stale")).to_be_visible()
    page.unroute("**/requests/rows")
    expect(page.locator("#stale")).to_be_hidden(timeout=10000)
    page.route("**/requests/rows", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#tables")).to_contain_text("Nobody waits")
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
    expect(page.locator("#message")).to_have_text("The request is cancelled.")
    expect(row(page)).to_contain_text("cancelled")


# -- with a real exchange ---------------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def scene(loop: Loop, stage: Stage) -> Iterator[Scene]:
    """An office with Asterisk and the telephone service; 101's requests are called by hand."""

    def prepare(bazang: Bazang) -> None:
        users.create(bazang.database, ADMINISTRATOR, PASSWORD, "administrator", now())
        module = bazang.module(automatic=False)
        assert module == 1
        bazang.scenario("101", busy=("module", "*5001"), no_answer=("module", "*5001"))

    opened = stage(prepare)
    scene = loop.run(opened.__aenter__())
    yield scene
    loop.run(opened.__aexit__(None, None, None))


@pytest.mark.asterisk(22)
def test_a_caller_leaves_a_request_and_is_called_back_by_a_click(scene: Scene, loop: Loop, meet: Meet) -> None:
    bazang = scene.bazang
    with serve(bazang.app) as address:
        page = meet(address).log_in(ADMINISTRATOR, PASSWORD)
        expect(page.locator("#status-line")).to_contain_text("Connected to Asterisk 22")
        talk = loop.run(scene.occupy("101"))
        loop.run(scene.register("101"))
        soon(page, "09121234567")
        expect(row(page)).to_contain_text("automatic call is off: call by hand")

        row(page).get_by_role("button", name="Call now").click()
        expect(page.locator("#message")).to_have_text("It is called as soon as an agent is free.")
        expect(row(page)).to_contain_text("101 is in a call")
        loop.run(talk.end())
        ring = loop.run(scene.phones["101"].next_call())
        expect(row(page)).to_contain_text("the agent's phone rings (101)")

        choose(page, "Cancel …")
        page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
        expect(page.locator("#message")).to_have_text("The request is cancelled.")
        loop.run(ring.wait_ended(5))
        expect(row(page)).to_contain_text("cancelled")

        second = scene.wish("09350000000")
        expect(row(page, second)).to_be_visible()
        row(page, second).get_by_role("button", name="Call now").click()
        ring = loop.run(scene.take("101"))
        expect(row(page, second)).to_contain_text("dialling")
        loop.run(scene.talk_to(ring, second, "09350000000"))
        expect(row(page, second)).to_contain_text("they are talking (101)")
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
        loop.run(scene.bazang.dialplan_is_current())
        page.get_by_role("link", name="Pending requests").click()
        call = loop.run(scene.trunk.call("*5002", caller="09351112233"))
        loop.run(call.wait_ended())  # it hears nothing, and is led on to the end of the call
        expect(row(page)).to_contain_text("09351112233", timeout=5000)
        expect(row(page)).to_contain_text("Night")
