"""The guides for FreePBX and Issabel name the menus and fields that the pages name, and have their pictures.

With BAZANG_GUIDE_IMAGES=<folder>, the pictures of the guides are taken.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page

from app.domain.pbx_connection import CallersState, ConnectionReport, ConnectionResult, DialplanState
from app.domain.pbx_product import Product
from app.services import users
from app.services.pbx.connection_commands import pack
from app.services.pbx.product import store_product
from app.store.database import Database
from app.store.models import Module
from app.store.settings import write_setting
from tests.browser.conftest import OpenBrowser
from tests.browser.looks import full_office, in_both_languages
from tests.browser.panel import session_cookie
from tests.web.conftest import Service

__all__ = ["full_office"]

DOCS = Path(__file__).parents[2] / "docs"
IMAGES = "BAZANG_GUIDE_IMAGES"
QUOTED = re.compile(r"[“«]([A-Za-z][^”»]*)[”»]")  # the words of another program, which are English in both languages
GUIDES = {"freepbx": Product.FREEPBX_17, "issabel": Product.ISSABEL}
REPORT = ConnectionReport(
    ConnectionResult.CONNECTED,
    version="18.9.0",
    extensions=12,
    queues=2,
    dialplan=DialplanState.CURRENT,
    contexts=("from-did-direct", "ext-queues"),
    outbound=("from-internal",),
    callers=CallersState.REACHED,
)


@pytest.fixture(scope="session")
def images() -> Path | None:
    """The folder for the pictures, or None. Session scope, because the tests remove BAZANG_* from the environment."""
    folder = os.environ.get(IMAGES)
    return Path(folder) if folder else None


@in_both_languages
@pytest.mark.parametrize("name", GUIDES)
def test_guide_says_what_the_pages_say(
    app: Flask,
    database: Database,
    full_office: None,
    service: Service,
    open_browser: OpenBrowser,
    images: Path | None,
    name: str,
    locale: str,
) -> None:
    product = GUIDES[name]
    guide = (DOCS / (f"{name}.md" if locale == "en" else f"{name}.fa.md")).read_text()
    store_product(database, product)
    with database.write() as session:
        write_setting(session, "setup_step", "exchange")
        write_setting(session, "ami_secret", "given")
        session.get_one(Module, 1).name = "Sales" if locale == "en" else "فروش"
    users.set_locale(database, 1, locale)
    page = open_browser(viewport={"width": 820, "height": 800}).open_session(session_cookie(app, 1, locale))

    def take_picture(part: str, selector: str) -> None:
        image = f"{name}-{part}.{locale}.png"
        assert f"(images/{image})" in guide
        if images is not None:
            page.locator(selector).screenshot(path=images / image, animations="disabled")
        assert (DOCS / "images" / image).exists()

    answers = {"test_connection": (True, pack(replace(REPORT, product=product))), "outbound": (True, "dialled")}
    with service(**answers):
        page.goto("/setup/exchange")
        page.locator("#proposal .note").wait_for()
        take_picture("proposal", "#proposal")
        with database.write() as session:
            for setting, value in (("pbx_profile", "freepbx"), ("outbound_context", "from-internal")):
                write_setting(session, setting, value)
        page.goto("/setup/exchange")
        page.locator("[data-check=outbound].check-ok").wait_for()
        take_picture("checks", "#checks-part")
    line = page.locator("#lines code").filter(has_text="#tryinclude")
    line.evaluate("(code) => { code.textContent = '#tryinclude /srv/bazang/var/dialplan/bazang.conf'; }")
    take_picture("lines", "#lines")
    names = words_of_the_product(page, "#lines")
    for part, path in (("extension", "/extensions/101"), ("queue", "/queues/800")):
        page.goto(path)
        take_picture(part, "section:has(.instructions) >> nth=0")
        names |= words_of_the_product(page, ".instructions")
    assert len(names) > 15
    assert {word for word in names if word not in guide} == set()


def words_of_the_product(page: Page, selector: str) -> set[str]:
    """Return the menus and the quoted names on parts of the page."""
    parts = page.locator(selector)
    return {*parts.locator(".menu-path").all_inner_texts(), *QUOTED.findall(" ".join(parts.all_inner_texts()))}
