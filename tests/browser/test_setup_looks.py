"""The layout and accessibility of the pages of the setup and the settings, by the rules for all pages."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page
from sqlalchemy import delete

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.phone_calls import CallFailure, CallState
from app.services.pbx.connection_test import pack
from app.services.prompts import phone_calls
from app.services.setup import first_administrator
from app.store.database import Database
from app.store.models import User
from app.store.settings import write_setting
from tests.browser.looks import (
    Visit,
    Walk,
    at_both_widths,
    furnished,
    go,
    in_both_languages,
    pictures,
    walk,
)
from tests.web.conftest import Service

__all__ = ["furnished", "pictures", "walk"]

REPORT = ConnectionReport(
    ConnectionResult.RIGHTS_MISSING,
    "not allowed: CoreShowChannels",
    "22.10.1",
    write_missing=("reporting",),
    extensions=12,
    queues=2,
    dialplan=DialplanState.NONE,
)


def show_pbx_errors(page: Page) -> None:
    page.goto("/settings/exchange")
    page.locator("#ami_host").fill("two words")
    page.locator("#ami_port").fill("99999")
    page.locator(".form-end button").click()
    page.locator("#ami_port-error").wait_for()


def show_report(page: Page) -> None:
    page.goto("/settings/exchange")
    page.locator("main button[formaction]").click()
    page.locator("#report .note").wait_for()


def show_module_errors(page: Page) -> None:
    page.goto("/setup/module")
    page.locator("input[value=queue]").check()
    page.locator("main form.card button.btn-primary").click()
    page.locator("#queue-error").wait_for()


def show_checks(page: Page) -> None:
    page.goto("/setup/exchange")
    page.locator("[data-check=rights].check-fault").wait_for()


def show_reminder(page: Page) -> None:
    page.goto("/requests")
    page.locator(".setup-card").wait_for()


PAGES: dict[str, Visit] = {
    "settings": go("/settings"),
    "settings-exchange": go("/settings/exchange"),
    "settings-exchange-errors": show_pbx_errors,
    "settings-exchange-tested": show_report,
    "settings-voices": go("/settings/voices"),
    "settings-machine": go("/settings/machine"),
    "setup-office": go("/setup/office"),
    "setup-exchange": show_checks,
    "setup-module": go("/setup/module"),
    "setup-module-errors": show_module_errors,
    "setup-call": go("/setup/call"),
    "setup-end": go("/setup/end"),
    "setup-reminder": show_reminder,
}


@at_both_widths
@in_both_languages
@pytest.mark.long
def test_pages_of_the_setup_and_the_settings(
    database: Database, furnished: None, service: Service, walk: Walk, locale: str, width: int
) -> None:
    with database.write() as session:
        write_setting(session, "setup_step", "exchange")
        write_setting(session, "ami_secret", "a-generated-secret")
    now = datetime.now(UTC)
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=now)
    phone_calls.update_state(database, call, CallState.FAILED, now, detail=CallFailure.NO_ANSWER.value)
    answers = {"test_connection": (True, pack(REPORT)), "look_up": (True, "yes"), "apply_settings": (True, "applied")}
    with service(**answers, studio_call=(True, ""), code_taken=(True, "")):
        walk(PAGES | {"setup-called": go(f"/setup/call/{call}")}, locale, width, expected=["422"])


@at_both_widths
@in_both_languages
def test_pages_of_the_setup_link(database: Database, walk: Walk, locale: str, width: int) -> None:
    with database.write() as session:
        session.execute(delete(User))
    token = first_administrator.make_token(database, datetime.now(UTC))
    pages = {"login-first": go("/login"), "setup-closed": go("/setup"), "setup-first": go(f"/setup?token={token}")}
    walk(pages, locale, width, user=None, expected=["403"])
