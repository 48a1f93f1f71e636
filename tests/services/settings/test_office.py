"""The office settings: loading, saving, validation, and values from the environment."""

from dataclasses import replace
from typing import Any

import pytest

from app.config import Settings
from app.services.errors import Invalid
from app.services.settings import office
from app.services.settings.office import OfficeInput
from app.store.database import Database
from script.office.database import make_settings
from tests.support.factories import NOW

GIVEN = OfficeInput(
    timezone="Europe/Berlin",
    region="DE",
    area_code="030",
    locale="en",
    outbound_context="from-internal",
    caller_id="03012345",
    outbound_format="e164",
    outbound_prefix="0",
    min_talk=10,
    all_paused=True,
)


def save(database: Database, settings: Settings, given: OfficeInput) -> None:
    office.save(database, settings, given, actor="sara", now=NOW)


def test_saved_values_replace_the_defaults(database: Database, settings: Settings) -> None:
    before = office.load(database, settings)
    assert (before.timezone, before.region, before.locale) == ("Asia/Tehran", "IR", "fa")
    assert (before.outbound_format, before.min_talk, before.all_paused) == ("national", 5, False)
    assert (before.calls_limit, before.route_calls_limit) == (0, 0)
    changed = replace(GIVEN, all_paused=False, caller_id="", calls_limit=5, route_calls_limit=2, announced_first="wait")
    assert before.hold_queues
    changed = replace(changed, hold_queues=False)
    for given in (GIVEN, changed):
        save(database, settings, given)
        assert office.load(database, settings) == given


def test_values_from_the_environment_stay(database: Database, settings: Settings) -> None:
    settings = make_settings(settings.data_dir, timezone="Asia/Kabul", outbound_context="outbound")
    assert office.from_environment(settings) == {"timezone", "outbound_context"}
    save(database, settings, GIVEN)
    now = office.load(database, settings)
    assert (now.timezone, now.outbound_context, now.region) == ("Asia/Kabul", "outbound", "DE")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("timezone", "Mars/Olympus", "choice"),
        ("announced_first", "nothing", "choice"),
        ("region", "XX", "choice"),
        ("area_code", "21a", "digits"),
        ("locale", "de", "choice"),
        ("outbound_context", "from internal", "context"),
        ("caller_id", "office", "number"),
        ("outbound_format", "local", "choice"),
        ("outbound_prefix", "9w", "digits"),
        ("outbound_prefix", "1234567", "digits"),
        ("calls_limit", 1001, "range"),
        ("route_calls_limit", -1, "range"),
        ("min_talk", -1, "range"),
        ("min_talk", 601, "range"),
    ],
)
def test_invalid_values_have_an_error_code(field: str, value: str | int, code: str) -> None:
    changes: dict[str, Any] = {field: value}
    assert office.validate(replace(GIVEN, **changes)) == {field: code}


def test_invalid_input_stores_nothing(database: Database, settings: Settings) -> None:
    before = office.load(database, settings)
    with pytest.raises(Invalid):
        save(database, settings, replace(GIVEN, region="XX"))
    assert office.load(database, settings) == before
