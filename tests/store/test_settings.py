"""Effective settings: the environment wins, then the stored value, then the default."""

from pathlib import Path

import pytest

from app.domain.numbers import NumberRules, OutboundFormat
from app.store.database import Database
from app.store.settings import number_rules, office, read_setting, write_setting
from script.office.database import make_settings
from tests.support.factories import create_line


def write(database: Database, **values: str) -> None:
    with database.write() as session:
        for name, value in values.items():
            write_setting(session, name, value)


def test_a_setting_has_a_default_and_can_be_overwritten(database: Database) -> None:
    with database.read() as session:
        assert read_setting(session, "word") == ""
        assert read_setting(session, "word", "none") == "none"
    write(database, word="one")
    write(database, word="two")
    with database.read() as session:
        assert read_setting(session, "word", "none") == "two"


def test_defaults(database: Database, tmp_path: Path) -> None:
    with database.read() as session:
        here = office(session, make_settings(tmp_path))
    assert (here.timezone, here.region, here.area_code, here.locale) == ("Asia/Tehran", "IR", "", "fa")
    assert (here.outbound_context, here.caller_id, here.outbound_prefix) == ("", "", "")
    assert here.outbound_format is OutboundFormat.NATIONAL


def test_stored_values_replace_the_defaults(database: Database, tmp_path: Path) -> None:
    write(
        database,
        timezone="Europe/London",
        region="GB",
        area_code="020",
        locale="en",
        outbound_context="from-internal",
        caller_id="02188880000",
        outbound_format="international",
        outbound_prefix="9",
    )
    with database.read() as session:
        here = office(session, make_settings(tmp_path))
    assert (here.timezone, here.region, here.area_code, here.locale) == ("Europe/London", "GB", "020", "en")
    assert (here.outbound_context, here.caller_id, here.outbound_prefix) == ("from-internal", "02188880000", "9")
    assert here.outbound_format is OutboundFormat.INTERNATIONAL


@pytest.mark.parametrize(
    ("name", "field", "given"),
    [
        ("timezone", "timezone", "Asia/Tehran"),
        ("region", "default_region", "IR"),
        ("area_code", "area_code", "021"),
        ("locale", "default_locale", "fa"),
        ("outbound_context", "outbound_context", "trunks"),
    ],
)
def test_values_from_the_environment_win(database: Database, tmp_path: Path, name: str, field: str, given: str) -> None:
    write(database, **{name: "something else"})
    with database.read() as session:
        assert getattr(office(session, make_settings(tmp_path, **{field: given})), name) == given


def test_number_rules_have_the_office_settings_and_the_extensions(database: Database, tmp_path: Path) -> None:
    write(database, area_code="021")
    create_line(database, "101")
    create_line(database, "102")
    with database.read() as session:
        rules = number_rules(session, make_settings(tmp_path))
    assert rules == NumberRules("IR", "021", frozenset({"101", "102"}))
