"""Telephone links of other pages open in the panel, if the user asks the browser for it.

The headless shell of Chromium checks what is registered, but opens no link by it: that is a part of the full browser.
So the test does that step as the standard says it (HTML, "custom scheme handlers"), with the registered address.
"""

from urllib.parse import quote

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.store.database import Database
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import session_cookie
from tests.browser.test_website import Website, website
from tests.support.factories import create_line, create_module

__all__ = ["website"]

# The real function still runs. It throws for another origin, a scheme that is not allowed, or an address without %s.
NOTE = """
const register = navigator.registerProtocolHandler.bind(navigator);
navigator.registerProtocolHandler = (scheme, url) => { register(scheme, url); window.registered = [scheme, url]; };
"""


@pytest.fixture
def page(app: Flask, database: Database, open_browser: OpenBrowser) -> Page:
    """The account of an administrator."""
    create_line(database, "101")
    create_module(database, targets=["101"])
    person = open_browser()
    person.page.add_init_script(NOTE)
    return person.open_session(session_cookie(app, 1, "en"), "/account")


@pytest.mark.parametrize(
    ("link", "number", "is_callable"),
    [
        ("tel:+98-912-123-4567", "+98-912-123-4567", True),
        ("TEL:09121234567;ext=5", "09121234567", True),
        ("tel:0912&name=Eve&number=110", "0912&name=Eve&number=110", False),
        ("tel:0912%26name=Eve%23x", "0912&name=Eve#x", False),
        ("tel:<img src=x onerror=document.title=1>", "<img src=x onerror=document.title=1>", False),
        ("tel:%22%3E%3Cscript%3Edocument.title=1%3C/script%3E", '"><script>document.title=1</script>', False),
    ],
)
def test_a_link_of_another_page_leads_to_its_number(
    page: Page, website: Website, address: str, link: str, number: str, is_callable: bool
) -> None:
    page.locator("[data-handle-tel]").click()
    scheme, handler = page.evaluate("window.registered")
    assert (scheme, handler) == ("tel", f"{address}/call?number=%s")
    website.body = "<a id=call>Call</a>"
    page.goto(website.address)
    parsed = page.locator("#call").evaluate("(link, href) => { link.href = href; return link.href; }", link)
    page.goto(handler.replace("%s", quote(parsed, safe="!'()*-._~"), 1))
    expect(page.locator("#number")).to_have_value(number)
    assert page.locator("#name").input_value() == "" and page.title() != "1"
    expect(page.locator(".action-form p.field > strong")).to_have_count(1 if is_callable else 0)
