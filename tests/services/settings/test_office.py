"""The settings page's service: what is in force, what is refused, what the environment keeps."""

from dataclasses import replace

import pytest

from app.config import Settings
from app.services.errors import Invalid
from app.services.settings import office
from app.services.settings.office import OfficeInput
from app.store.database import Database

GIVEN = OfficeInput(
    timezone="Europe/Berlin",
    region="DE",
    area_code="030",
    locale="en",
    outbound_context="from-internal",
    caller_id="03012345",
    outbound_format="e164",
    outbound_prefix="0",
    all_paused=True,
)


def test_defaults_are_in_force_before_anything_is_stored(database: Database, settings: Settings) -> None:
    now = office.load(database, settings)
    assert (now.timezone, now.region, now.locale) == ("Asia/Tehran", "IR", "fa")
    assert (now.outbound_format, now.all_paused) == ("national", False)


def test_what_is_saved_is_in_force(database: Database, settings: Settings) -> None:
    office.save(database, settings, GIVEN)
    assert office.load(database, settings) == GIVEN
    office.save(database, settings, replace(GIVEN, all_paused=False, caller_id=""))
    assert office.load(database, settings) == replace(GIVEN, all_paused=False, caller_id="")


def test_a_value_of_the_environment_stays(database: Database, settings: Settings) -> None:
    given = Settings(
        _env_file=None,  # type: ignore[call-arg]
        data_dir=settings.data_dir,
        timezone="Asia/Kabul",
        outbound_context="outbound",
    )
    assert office.from_environment(given) == {"timezone", "outbound_context"}
    office.save(database, given, GIVEN)
    now = office.load(database, given)
    assert (now.timezone, now.outbound_context, now.region) == ("Asia/Kabul", "outbound", "DE")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("timezone", "Mars/Olympus", "choice"),
        ("timezone", "", "choice"),
        ("region", "XX", "choice"),
        ("area_code", "21a", "digits"),
        ("locale", "de", "choice"),
        ("outbound_context", "from internal", "context"),
        ("outbound_context", "a\nb", "context"),
        ("caller_id", "office", "number"),
        ("outbound_format", "local", "choice"),
        ("outbound_prefix", "9w", "digits"),
        ("outbound_prefix", "1234567", "digits"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_stored(
    database: Database, settings: Settings, field: str, value: str, code: str
) -> None:
    before = office.load(database, settings)
    with pytest.raises(Invalid) as refused:
        office.save(database, settings, replace(GIVEN, **{field: value}))
    assert refused.value.errors == {field: code}
    assert office.load(database, settings) == before
