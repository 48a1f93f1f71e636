"""The page with missed calls updates itself, and a click makes a request."""

from datetime import UTC, datetime

from flask import Flask
from playwright.sync_api import expect

from app.services.requests.reached import Talk, close_reached
from app.store.database import Database
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import count_loads, session_cookie
from tests.support.factories import create_missed_call, create_module, create_running_service, reload

OTHER = "+989127654321"


def test_list_updates_itself_and_a_click_makes_a_request(
    app: Flask, database: Database, open_browser: OpenBrowser
) -> None:
    """Two users read the same cached rows; the button is sent with the token of each one's own session."""
    create_running_service(database)
    create_module(database, targets=["101"])
    pages = [open_browser().open_session(session_cookie(app, user, "en")) for user in (1, 4)]
    for page in pages:
        page.goto("/missed")
        expect(page.locator("#missed")).to_contain_text("No missed calls.")
    loads = count_loads(pages[0])
    now = datetime.now(UTC)
    first, second = (create_missed_call(database, number=number, at=now) for number in ("+989121234567", OTHER))
    for page in pages:
        expect(page.locator("#figure-open")).to_contain_text("2")
    close_reached(database, Talk(OTHER, extension="102"), now)
    expect(pages[0].locator(f"#missed-{second.id}")).to_contain_text("reached later")
    assert loads() == 0
    pages[1].locator(f"#missed-{first.id}").get_by_role("button", name="Make a request").click()
    expect(pages[1].locator("#message")).to_contain_text("The request was added.")
    assert reload(database, first).request_id is not None
    expect(pages[0].locator(f"#missed-{first.id}")).to_contain_text("request made")
