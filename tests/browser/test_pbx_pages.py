"""The pages of modules, extensions and queues in a browser in both languages, and once with a real PBX."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.domain.place_in_line import WaitingCallers
from app.domain.policy import LineState
from app.services import users
from app.store.database import Database
from app.store.models import ExtensionScenario, Module
from app.store.pbx_state import ExtensionReport, QueueReport, store_extensions, store_queues
from script.office.asterisk import OfficeSetup, QueueSetup
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office
from tests.browser.conftest import OpenBrowser, add_administrator
from tests.browser.panel import Loop, Person, serve, session_cookie
from tests.support.factories import create_line, create_module, create_running_service
from tests.web.conftest import ADMINISTRATOR, PASSWORD, Service


@pytest.fixture(params=["fa", "en"])
def page(request: pytest.FixtureRequest, app: Flask, database: Database, person: Person) -> Page:
    """The panel with the session of an administrator, in each language."""
    users.set_locale(database, 1, request.param)
    return person.open_session(session_cookie(app, 1, request.param))


def mark_document(page: Page) -> None:
    page.evaluate("window.marked = true")


def is_marked(page: Page) -> bool:
    """Return whether the page was not loaded again since `mark_document`."""
    return bool(page.evaluate("window.marked === true"))


# -- the list of modules ----------------------------------------------------------------------------------------------


def test_list_is_searched_while_typing(page: Page, database: Database) -> None:
    for name, code in (("Sales", "*5001"), ("فروش ویژه", "*5002")):
        create_module(database, name=name, code=code)
    page.goto("/modules")
    mark_document(page)
    page.locator("#q").press_sequentially("۵۰۰۲")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text("فروش ویژه")
    expect(page).to_have_url(re.compile("q="))
    expect(page.locator("#q")).to_be_focused()
    page.locator("#q").fill("nothing of the kind")
    expect(page.locator(".nothing-title")).to_be_visible()
    assert is_marked(page)


def test_module_is_switched_in_the_list(page: Page, database: Database) -> None:
    module = create_module(database, name="Sales")
    page.goto("/modules")
    mark_document(page)
    switch = page.get_by_role("switch")
    for active in (False, True):
        switch.focus()
        page.keyboard.press("Space")
        expect(switch).to_have_attribute("aria-checked", str(active).lower())
        expect(switch).to_be_focused()
        with database.read() as session:
            assert session.get_one(Module, module.id).active == active
    assert is_marked(page)


def test_click_on_a_column_sorts_the_list(page: Page, database: Database) -> None:
    create_module(database, name="b", code="*5001")
    create_module(database, name="a", code="*5002")
    page.goto("/modules")
    page.locator("th a").nth(1).click()
    expect(page.locator("th").nth(1)).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("tbody tr").first).to_have_id("module-2")
    page.locator("th a").nth(1).click()
    expect(page.locator("tbody tr").first).to_have_id("module-1")


# -- the form of a module ---------------------------------------------------------------------------------------------


def test_summary_follows_the_form(page: Page, database: Database) -> None:
    create_line(database, "101", name="سارا")
    create_module(database, name="Night", code="*5009")
    page.goto("/modules/new")
    summary = page.locator("#summary")
    expect(summary.locator("p")).to_have_count(1)
    page.locator("input[name=extensions][value='101']").check()
    expect(summary).to_contain_text("سارا")
    page.locator("#rest").fill("۱۷")
    expect(summary).to_contain_text(re.compile("17|۱۷"))
    page.locator("#next_kind").select_option("module")
    page.locator("#next_code").fill("*5009")
    expect(summary).to_contain_text("Night")
    expect(page.locator("#next-findings")).to_contain_text("Night")
    paragraphs = summary.locator("p").count()
    page.locator("#automatic").uncheck()
    expect(summary.locator("p")).not_to_have_count(paragraphs)
    assert summary.locator("p").count() < paragraphs, "nothing is said of calls that are not made"
    expect(page.locator("#automatic")).to_be_focused()


def test_search_filters_the_extensions_of_the_form(page: Page, database: Database) -> None:
    for number in range(101, 112):
        create_line(database, str(number), name=f"Person {number}")
    page.goto("/modules/new")
    search = page.locator(".picker-search")
    search.fill("۱۰۵")
    expect(page.locator(".pick:visible")).to_have_count(1)
    search.press("Enter")
    expect(page).to_have_url(re.compile("/modules/new$"))
    page.locator(".pick:visible").click()
    search.fill("")
    expect(page.locator(".pick:visible")).to_have_count(11)
    expect(page.locator("input[name=extensions]:checked")).to_have_value("105")
    search.fill("nobody")
    expect(page.locator(".picker-none")).to_be_visible()


def test_code_is_typed_only_for_what_the_panel_does_not_know(page: Page, database: Database) -> None:
    create_line(database, "101", name="Sara")
    page.goto("/modules/new")
    choice, code = page.locator("#error_kind"), page.locator("#error_code")
    for value, is_typed in (("hangup", False), ("extension:101", False), ("queue", True), ("custom", True)):
        choice.select_option(value)
        expect(code).to_be_visible(visible=is_typed)
        assert code.get_attribute("list") == ("codes-custom" if value == "custom" else None)
    choice.select_option("extension:101")
    expect(page.locator("#error-findings")).to_contain_text("Sara")


def test_warnings_of_the_pbx_are_confirmed(person: Person, page: Page, database: Database, service: Service) -> None:
    create_running_service(database)
    create_line(database, "101")
    page.goto("/modules/new")
    page.locator("#name").fill("Sales")
    page.locator("input[name=extensions][value='101']").check()
    page.locator("#next_kind").select_option("extension")
    with service(look_up=(True, "no"), code_taken=(True, "from-internal"), write_dialplan=(True, "written")):
        page.locator("#next_code").fill("109")
        expect(page.locator("#next-findings .finding-fault")).to_be_visible()
        page.locator(".form-end button").click()
        expect(page.locator(".alert-danger li")).to_have_count(2)
        page.locator("#next-findings input").check()
        page.locator("#code-findings input").check()
        page.locator(".form-end button").click()
        expect(page).to_have_url(re.compile("/modules$"))
    expect(page.locator("tbody tr")).to_have_count(1)
    person.ignore_errors("422")


# -- extensions and queues --------------------------------------------------------------------------------------------


def test_states_change_during_a_search(page: Page, database: Database) -> None:
    create_line(database, "101", name="Sara")
    create_line(database, "102", name="Omid")
    page.goto("/extensions")
    mark_document(page)
    page.locator("#q").fill("sar")
    expect(page.locator("tbody tr")).to_have_count(1)
    with database.write() as session:
        store_extensions(session, [ExtensionReport("101", LineState.IN_CALL, datetime.now(UTC))], complete=False)
    expect(page.locator("tbody .badge-red")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#q")).to_be_focused()
    assert is_marked(page)


def test_waiting_callers_appear(page: Page, database: Database) -> None:
    with database.write() as session:
        store_queues(session, [QueueReport("800", WaitingCallers(0), ())], complete=True)
    page.goto("/queues")
    expect(page.locator("tbody tr")).to_have_count(1)
    with database.write() as session:
        store_queues(session, [QueueReport("800", WaitingCallers(3), ())], complete=True)
    expect(page.locator("tbody .badge-orange")).to_have_text(re.compile("3|۳"))


def test_scenario_for_all_three_situations_is_saved_and_deleted(page: Page, database: Database) -> None:
    create_module(database, name="Sales", code="*5001")
    page.goto("/extensions")
    page.locator("#number").fill("۱۰۱")
    page.locator("#number").press("Enter")
    expect(page).to_have_url(re.compile("/extensions/101$"))
    expect(page.locator("#no_answer_kind")).to_have_value("module:*5001")
    expect(page.locator("#no_answer-findings")).to_contain_text("Sales")
    expect(page.locator("#same")).to_be_checked()
    expect(page.locator("#busy_kind")).to_be_hidden()
    page.locator(".form-end button").click()
    expect(page).to_have_url(re.compile("/extensions$"))
    with database.read() as session:
        saved = session.get_one(ExtensionScenario, "101")
    assert {saved.no_answer_code, saved.busy_code, saved.unavailable_code} == {"*5001"}
    page.locator("tbody a.row-name").click()
    page.locator(".page-actions a.btn-outline-danger").click()
    page.locator("main form button.btn-danger").click()
    expect(page).to_have_url(re.compile("/extensions$"))
    expect(page.locator("tbody tr")).to_have_count(0)


def test_line_is_copied_to_the_clipboard(app: Flask, open_browser: OpenBrowser) -> None:
    person = open_browser(permissions=["clipboard-read", "clipboard-write"])
    page = person.open_session(session_cookie(app, 1, "en"))
    page.goto("/extensions/101")
    page.locator("details:has([data-copy]) > summary").first.click()
    page.locator("[data-copy]").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == "bazang-extensions,101,1"


def test_list_works_without_javascript(app: Flask, open_browser: OpenBrowser, database: Database) -> None:
    create_module(database, name="Sales")
    create_module(database, name="Night")
    page = open_browser(java_script_enabled=False).open_session(session_cookie(app, 1, "en"))
    page.goto("/modules")
    page.get_by_role("switch", name="Active: Sales").click()
    expect(page.locator("#message")).to_contain_text("The module is now inactive.")
    page.locator("#q").fill("night")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)


# -- with a real PBX --------------------------------------------------------------------------------------------------


@pytest.fixture
def office(loop: Loop, open_office: OpenOffice) -> Iterator[Office]:
    """An office with an administrator, a queue with a member, and *5001 in the dialplan of the PBX."""
    setup = OfficeSetup(
        queues=[QueueSetup("800", {"102": 2})],
        extra_dialplan="[outbound](+)\nexten => *5001,1,Answer()\n same => n,Hangup()\n",
    )
    with loop.enter(open_office(add_administrator, setup)) as office:
        yield office


@pytest.mark.asterisk(22)
def test_module_and_scenario_are_saved_with_lookups_on_the_pbx(
    office: Office, loop: Loop, open_browser: OpenBrowser
) -> None:
    bazang = office.bazang
    with serve(bazang.app) as address:
        person = open_browser(address)
        page = person.log_in(ADMINISTRATOR, PASSWORD)
        _watch_states(page, office, loop)
        _add_module(page)
        loop.run(bazang.wait_for_dialplan())
        loop.run(bazang.prepare_prompts())
        call = loop.run(office.call_in("*5002"))
        loop.run(office.wait_for_prompt(call, "intro"))
        loop.run(call.hang_up())
        _set_destinations(page)
        loop.run(bazang.wait_for_dialplan())
        page.goto("/extensions/101")
        expect(page.locator("pre")).to_contain_text("Goto(bazang-modules,*5002,1)")
        expect(page.locator("pre")).to_contain_text("exten => 101,1,Goto(bazang-extension-101,s,1)")
        expect(page.get_by_text("older")).to_have_count(0)
        busy_call = loop.run(office.occupy("101"))
        call = loop.run(office.call_in("101"))
        loop.run(office.wait_for_prompt(call, "intro"))
        loop.run(call.hang_up())
        loop.run(busy_call.end())
        person.ignore_errors("422")


def _watch_states(page: Page, office: Office, loop: Loop) -> None:
    page.goto("/extensions")
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("free")
    busy_call = loop.run(office.occupy("101"))
    expect(row).to_contain_text("in a call")
    loop.run(busy_call.end())
    expect(row).to_contain_text("free")
    page.goto("/queues")
    expect(page.locator("tbody tr").first).to_contain_text("102 Phone 102 free penalty 2")


def _add_module(page: Page) -> None:
    page.goto("/modules/new")
    page.get_by_label("Name", exact=True).fill("Sales")
    findings = page.locator("#code-findings")
    page.locator("#code").fill("*5001")
    expect(findings).to_contain_text("The PBX already uses *5001 in its context outbound.")
    page.locator("input[name=extensions][value='101']").check()
    page.locator("#error_kind").select_option("queue")
    page.locator("#error_code").fill("900")
    expect(page.locator("#error-findings")).to_contain_text("The PBX does not have 900.")
    page.get_by_role("button", name="Save").click()
    alert = page.locator(".alert-danger")
    expect(alert).to_contain_text("in its context outbound")
    expect(alert).to_contain_text("The PBX does not have 900.")
    page.locator("#code").fill("*5002")
    expect(findings).to_contain_text("*5002 is free.")
    page.locator("#error_code").fill("800")
    expect(page.locator("#error-findings")).to_contain_text("queue 800, 1 member")
    page.locator("#next_kind").select_option("custom")
    page.locator("#next_code").fill("outbound,*5001,1")
    expect(page.locator("#next-findings")).to_contain_text("has this location in its dialplan")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#message")).to_contain_text("The module is saved.")
    expect(page.locator("tbody tr")).to_contain_text("nothing points to it")


def _set_destinations(page: Page) -> None:
    page.locator("tbody").get_by_role("link", name="Extensions").click()
    page.locator("tbody a.row-name").first.click()
    page.locator("#no_answer_kind").select_option("module")
    page.locator("#no_answer_code").fill("*5002")
    page.get_by_label("The same for all three").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#message")).to_contain_text("The scenario is saved.")
    page.goto("/modules")
    expect(page.locator("tbody tr")).to_contain_text("101")
    expect(page.locator("tbody tr")).not_to_contain_text("nothing points to it")
