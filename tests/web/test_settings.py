"""The page of the office's settings."""

import pytest
from flask import Flask

from app.config import Settings
from app.services import office
from app.store.database import Database
from tests.support.factories import make_settings
from tests.web.pages import Visitor


def test_what_is_saved_is_in_force_and_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    changes = {"caller_id": "۰۲۱۸۸۸۸۰۰۰۰", "outbound_context": "from-internal", "region": "DE", "all_paused": "y"}
    page = admin.submit(admin.get("/settings"), "/settings", **changes)
    shown = admin.follow(page)
    assert shown.message == "The settings are saved."
    fields = shown.fields()
    assert (fields["caller_id"], fields["region"], fields["all_paused"]) == (["02188880000"], ["DE"], ["y"])
    now = office.load(database, settings)
    assert (now.caller_id, now.outbound_context, now.region, now.all_paused) == (
        "02188880000",
        "from-internal",
        "DE",
        True,
    )


@pytest.mark.parametrize(
    ("field", "typed", "message"),
    [
        ("caller_id", "office", "This is no telephone number."),
        ("outbound_context", "from internal", "Letters, digits, dot, dash and underscore only."),
        ("outbound_prefix", "9w", "Digits only."),
        ("area_code", "x", "Digits only."),
        ("timezone", "Mars/Olympus", "Choose one of the list."),
    ],
)
def test_a_fault_stands_beside_its_field(
    admin: Visitor, database: Database, settings: Settings, field: str, typed: str, message: str
) -> None:
    before = office.load(database, settings)
    page = admin.submit(admin.get("/settings"), "/settings", 422, **{field: typed})
    assert page.error(field) == message
    assert office.load(database, settings) == before


def test_what_the_environment_gives_is_shown_and_cannot_be_changed(
    app: Flask, admin: Visitor, database: Database, settings: Settings
) -> None:
    given = make_settings(settings.data_dir, outbound_context="outbound")
    app.extensions["bazang"]["settings"] = given
    page = admin.get("/settings")
    assert page.has("input", id="outbound_context", value="outbound", disabled="")
    admin.submit(page, "/settings", outbound_context="evil")
    assert office.load(database, given).outbound_context == "outbound"
