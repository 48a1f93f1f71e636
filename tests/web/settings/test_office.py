"""The page of the office settings."""

from typing import Any

import pytest
from flask import Flask

from app.config import Settings
from app.services.requests import pause
from app.services.requests.access import Scope
from app.services.settings import office
from app.store.database import Database
from app.web import wording
from script.office.database import make_settings
from tests.support.factories import NOW
from tests.web.pages import Visitor, text


def test_saved_values_are_used_and_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    changes = {"caller_id": "۰۲۱۸۸۸۸۰۰۰۰", "outbound_context": "from-internal", "region": "DE", "all_paused": "y"}
    changes |= {"min_talk": "۰"}
    fields = admin.follow(admin.submit(admin.get("/settings"), "/settings", **changes)).fields()
    assert (fields["caller_id"], fields["region"], fields["all_paused"]) == (["02188880000"], ["DE"], ["y"])
    now = office.load(database, settings)
    assert (now.caller_id, now.outbound_context) == ("02188880000", "from-internal")
    assert (now.region, now.min_talk, now.all_paused) == ("DE", 0, True)


def test_limits_of_calls_are_saved_and_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get("/settings")
    assert page.fields()["calls_limit"] == ["0"]
    page = admin.follow(admin.submit(page, "/settings", calls_limit="۱۲", route_calls_limit="4"))
    assert (page.fields()["calls_limit"], page.fields()["route_calls_limit"]) == (["12"], ["4"])
    now = office.load(database, settings)
    assert (now.calls_limit, now.route_calls_limit) == (12, 4)
    for name, value, code in (("calls_limit", "", "whole_number"), ("route_calls_limit", "1001", "range")):
        page = admin.submit(admin.get("/settings"), "/settings", 422, **{name: value})
        assert page.error(name) == wording.error(code)
    assert office.load(database, settings) == now


def test_queues_are_held_off_unless_somebody_switches_it_off(
    admin: Visitor, database: Database, settings: Settings
) -> None:
    page = admin.get("/settings")
    assert page.fields()["hold_queues"] == ["y"] and page.has("input", id="hold_queues", type="checkbox")
    page = admin.follow(admin.submit(page, "/settings", hold_queues=None))
    assert "hold_queues" not in page.fields() and not office.load(database, settings).hold_queues


def test_errors_are_next_to_their_fields(admin: Visitor, database: Database, settings: Settings) -> None:
    before = office.load(database, settings)
    codes = {"caller_id": "number", "outbound_context": "context", "area_code": "digits", "timezone": "choice"}
    typed = {"caller_id": "office", "outbound_context": "from internal", "area_code": "x", "timezone": "Mars"}
    page = admin.submit(admin.get("/settings"), "/settings", 422, **typed)
    assert {name: page.error(name) for name in codes} == {name: wording.error(code) for name, code in codes.items()}
    assert page.fields()["caller_id"] == ["office"], "the typed value is still there"
    assert office.load(database, settings) == before


def test_values_from_the_environment_are_read_only(
    app: Flask, admin: Visitor, database: Database, settings: Settings
) -> None:
    settings = make_settings(settings.data_dir, outbound_context="outbound", region="DE")
    app.extensions["bazang"]["settings"] = settings
    page = admin.get("/settings")
    assert page.has("input", id="outbound_context", value="outbound", disabled="")
    assert "BAZANG_OUTBOUND_CONTEXT" in page.main
    admin.submit(page, "/settings", outbound_context="other")
    assert office.load(database, settings).outbound_context == "outbound"


def test_an_old_page_does_not_resume_paused_calls(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get("/settings")
    pause.pause(database, Scope("mina", everything=True), "fire alarm", NOW)
    admin.submit(page, "/settings", caller_id="02188880000")
    assert office.load(database, settings).all_paused
    admin.submit(admin.get("/settings"), "/settings", all_paused=None)
    assert not office.load(database, settings).all_paused


def test_an_example_shows_how_numbers_are_dialled(admin: Visitor) -> None:
    headers = {"HX-Request": "true"}
    query: dict[str, Any] = {"outbound_format": "international", "outbound_prefix": "۹", "region": "IR"}
    assert "900989123456789" in text(admin.get("/settings/dialled", headers=headers, **query).root)
    invalid = admin.get("/settings/dialled", headers=headers, **(query | {"outbound_prefix": "x"}))
    assert "cannot be dialled" in text(invalid.root)


@pytest.mark.parametrize("path", ["/settings", "/settings/exchange", "/settings/voices", "/settings/machine"])
def test_only_administrators_see_the_settings(supervisor: Visitor, path: str) -> None:
    supervisor.get(path, 403)
