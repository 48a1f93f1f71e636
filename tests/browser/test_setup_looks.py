"""How the pages of the set-up and of the settings look, with the measures of test_looks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from flask import Flask
from playwright.sync_api import Page
from sqlalchemy import delete

from app.services import first_run, studio, users
from app.services.connection import Loaded, Report, Verdict, pack
from app.store.database import Database
from app.store.models import User
from app.store.settings import write_setting
from tests.browser.conftest import Meet
from tests.browser.panel import session_of
from tests.browser.test_looks import WIDTHS, Visit, _look, _told, furnished, go, pictures
from tests.web.conftest import Service

__all__ = ["furnished", "pictures"]

REPORT = Report(
    Verdict.RIGHTS_MISSING,
    "not allowed: CoreShowChannels",
    "22.10.1",
    write_missing=("reporting",),
    extensions=12,
    queues=2,
    dialplan=Loaded.NONE,
)


def fail_to_save(page: Page) -> None:
    page.goto("/settings/exchange")
    page.locator("#ami_host").fill("two words")
    page.locator("#ami_port").fill("99999")
    page.locator(".form-end button").click()
    page.locator("#ami_port-error").wait_for()


def try_out(page: Page) -> None:
    page.goto("/settings/exchange")
    page.locator("button[formaction]").click()
    page.locator("#report .note").wait_for()


def fail_to_make(page: Page) -> None:
    page.goto("/setup/module")
    page.locator("input[value=queue]").check()
    page.locator("main form.card button.btn-primary").click()
    page.locator("#queue-error").wait_for()


def look_live(page: Page) -> None:
    page.goto("/setup/exchange")
    page.locator("[data-point=rights].check-fault").wait_for()


def read_reminder(page: Page) -> None:
    page.goto("/requests")
    page.locator(".setup-card").wait_for()


PAGES: dict[str, Visit] = {
    "settings": go("/settings"),
    "settings-exchange": go("/settings/exchange"),
    "settings-exchange-errors": fail_to_save,
    "settings-exchange-tested": try_out,
    "settings-voices": go("/settings/voices"),
    "settings-machine": go("/settings/machine"),
    "setup-office": go("/setup/office"),
    "setup-exchange": look_live,
    "setup-module": go("/setup/module"),
    "setup-module-errors": fail_to_make,
    "setup-call": go("/setup/call"),
    "setup-end": go("/setup/end"),
    "setup-reminder": read_reminder,
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("locale", "colours"), [("fa", "light"), ("fa", "dark"), ("en", "light"), ("en", "dark")])
def test_every_page_can_be_read(
    app: Flask,
    database: Database,
    furnished: None,
    meet: Meet,
    service: Service,
    pictures: Path | None,
    locale: str,
    colours: Literal["light", "dark"],
    width: int,
) -> None:
    users.set_locale(database, 1, locale)
    with database.write() as session:
        write_setting(session, "setup_step", "exchange")
        write_setting(session, "ami_secret", "a-secret-that-was-made")
    now = datetime.now(UTC)
    call = studio.ask_test(database, extension="101", language="en", actor="sara", now=now)
    studio.advance(database, call, studio.State.FAILED, now, detail=studio.Failure.NO_ANSWER.value)
    pages = PAGES | {"setup-called": go(f"/setup/call/{call}")}
    person = meet(viewport={"width": width, "height": 800}, color_scheme=colours)
    answers = {"test_connection": (True, pack(REPORT)), "look_up": (True, "yes"), "apply_settings": (True, "applied")}
    with service(**answers, studio_call=(True, ""), code_taken=(True, "")):
        page = person.take(session_of(app, 1, locale))
        found = {n: _look(page, visit, pictures, f"{n}-{locale}-{width}-{colours}") for n, visit in pages.items()}
    person.complaints[:] = [c for c in person.complaints if "422" not in c]
    assert not any(found.values()), _told(found)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_the_way_in_can_be_read(database: Database, meet: Meet, pictures: Path | None, locale: str, width: int) -> None:
    with database.write() as session:
        session.execute(delete(User))
    token = first_run.make_token(database, datetime.now(UTC))
    person = meet(viewport={"width": width, "height": 800})
    page = person.page
    page.goto("/login")
    if page.locator("html").get_attribute("lang") != locale:
        page.locator("button[name=locale]").click()
    pages = {"login-first": go("/login"), "setup-closed": go("/setup"), "setup-first": go(f"/setup?token={token}")}
    found = {name: _look(page, visit, pictures, f"{name}-{locale}-{width}") for name, visit in pages.items()}
    person.complaints[:] = [c for c in person.complaints if "403" not in c]
    assert not any(found.values()), _told(found)
