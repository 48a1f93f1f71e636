"""Layout and accessibility of the pages of the setup and the settings."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page
from sqlalchemy import delete

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.pbx_product import Product
from app.domain.phone_calls import CallFailure, CallState
from app.services import examination
from app.services.examination import Examination
from app.services.pbx.connection_commands import pack
from app.services.pbx.product import store_product
from app.services.prompts import phone_calls
from app.services.setup import first_administrator
from app.store.database import Database
from app.store.models import User
from app.store.settings import write_setting
from tests.browser.looks import (
    PageChecker,
    Visit,
    check_pages,
    full_office,
    in_both_languages,
    open_path,
    screenshots,
)
from tests.web.conftest import Service
from tests.web.settings.test_health import FINDINGS

__all__ = ["check_pages", "full_office", "screenshots"]

REPORT = ConnectionReport(
    ConnectionResult.RIGHTS_MISSING,
    "not allowed: CoreShowChannels",
    "22.10.1",
    write_missing=("reporting",),
    extensions=12,
    queues=2,
    dialplan=DialplanState.NONE,
    product=Product.FREEPBX_17,
    contexts=("from-did-direct", "ext-queues"),
    outbound=("from-internal",),
)


def show_pbx_errors(page: Page) -> None:
    page.goto("/settings/exchange")
    page.locator("#ami_host").fill("two words")
    page.locator("#ami_port").fill("99999")
    page.locator(".form-end button").click()
    page.locator("#ami_port-error").wait_for()


def show_report(page: Page) -> None:
    page.goto("/settings/exchange")
    page.locator("#pbx-form button[formaction]").click()
    page.locator("#report .note").wait_for()


def show_module_errors(page: Page) -> None:
    page.goto("/setup/module")
    page.locator("input[value=queue]").check()
    page.locator("main form.card button.btn-primary").click()
    page.locator("#queue-error").wait_for()


def show_checks(page: Page) -> None:
    page.goto("/setup/exchange")
    page.locator("[data-check=rights].check-fault").wait_for()
    page.locator("#proposal .note").wait_for()


def show_findings(page: Page) -> None:
    page.goto("/settings/health")
    page.locator("main form button.btn-primary").click()
    page.locator("#findings .diagnosis").first.wait_for()


def show_reminder(page: Page) -> None:
    page.goto("/requests")
    page.locator(".setup-card").wait_for()


PAGES: dict[str, Visit] = {
    "settings": open_path("/settings"),
    "settings-exchange": open_path("/settings/exchange"),
    "settings-exchange-errors": show_pbx_errors,
    "settings-exchange-tested": show_report,
    "settings-voices": open_path("/settings/voices"),
    "settings-health": open_path("/settings/health"),
    "settings-health-checked": show_findings,
    "settings-machine": open_path("/settings/machine"),
    "setup-office": open_path("/setup/office"),
    "setup-exchange": show_checks,
    "setup-module": open_path("/setup/module"),
    "setup-module-errors": show_module_errors,
    "setup-call": open_path("/setup/call"),
    "setup-end": open_path("/setup/end"),
    "setup-reminder": show_reminder,
}


@in_both_languages
@pytest.mark.long
def test_pages_of_the_setup_and_the_settings_are_readable(
    database: Database,
    full_office: None,
    service: Service,
    check_pages: PageChecker,
    locale: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examination, "examine", lambda *_: Examination(FINDINGS, "it stopped"))
    with database.write() as session:
        write_setting(session, "setup_step", "exchange")
        write_setting(session, "ami_secret", "a-generated-secret")
    store_product(database, Product.FREEPBX_17)
    now = datetime.now(UTC)
    call = phone_calls.create_test_call(database, extension="101", language="en", actor="sara", now=now)
    phone_calls.update_state(database, call, CallState.FAILED, now, detail=CallFailure.NO_ANSWER.value)
    answers = {"test_connection": (True, pack(REPORT)), "outbound": (True, "password")}
    answers |= {"apply_settings": (True, "applied"), "studio_call": (True, ""), "code_taken": (True, "")}
    with service(**answers):
        check_pages(PAGES | {"setup-called": open_path(f"/setup/call/{call}")}, locale, expected=["422"])


@in_both_languages
def test_pages_of_the_setup_link_are_readable(database: Database, check_pages: PageChecker, locale: str) -> None:
    with database.write() as session:
        session.execute(delete(User))
    token = first_administrator.make_token(database, datetime.now(UTC))
    pages = {
        "login-first": open_path("/login"),
        "setup-closed": open_path("/setup"),
        "setup-first": open_path(f"/setup?token={token}"),
    }
    check_pages(pages, locale, user=None, expected=["403"])
