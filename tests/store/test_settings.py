"""Effective settings: the value from the environment, else the stored one, else the default."""

from pathlib import Path

import pytest

from app.domain.numbers import NumberPlan, OutboundFormat
from app.store.database import Database
from app.store.models import Setting
from app.store.settings import OfficeSettings, agi_port, number_plan, office, pbx, read_setting, write_setting
from script.office.database import make_settings
from tests.support.factories import create_line


def write(database: Database, **values: str) -> None:
    with database.write() as session:
        for name, value in values.items():
            write_setting(session, name, value)


def test_setting_has_a_default_and_can_be_overwritten(database: Database) -> None:
    with database.read() as session:
        assert read_setting(session, "word") == ""
        assert read_setting(session, "word", "none") == "none"
    write(database, word="one")
    write(database, word="two")
    with database.read() as session:
        assert read_setting(session, "word", "none") == "two"


def test_write_updates_a_row_that_the_session_has_read(database: Database) -> None:
    write(database, word="one")
    with database.write() as session:
        row = session.get_one(Setting, "word")
        write_setting(session, "word", "two")
        assert read_setting(session, "word") == row.value == "two"


def test_defaults(database: Database, tmp_path: Path) -> None:
    with database.read() as session:
        here = office(session, make_settings(tmp_path))
    assert (here.timezone, here.region, here.area_code, here.locale) == ("Asia/Tehran", "IR", "", "fa")
    assert (here.outbound_context, here.caller_id, here.outbound_prefix) == ("", "", "")
    assert (here.outbound_format, here.min_talk) == (OutboundFormat.NATIONAL, 5)


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
        min_talk="0",
    )
    with database.read() as session:
        here = office(session, make_settings(tmp_path))
    assert (here.timezone, here.region, here.area_code, here.locale) == ("Europe/London", "GB", "020", "en")
    assert (here.outbound_context, here.caller_id, here.outbound_prefix) == ("from-internal", "02188880000", "9")
    assert (here.outbound_format, here.min_talk) == (OutboundFormat.INTERNATIONAL, 0)


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
def test_value_from_the_environment_wins(database: Database, tmp_path: Path, name: str, field: str, given: str) -> None:
    write(database, **{name: "something else"})
    with database.read() as session:
        assert getattr(office(session, make_settings(tmp_path, **{field: given})), name) == given


@pytest.mark.parametrize(
    ("name", "field", "given"),
    [
        ("area_code", "area_code", ""),
        ("outbound_context", "outbound_context", ""),
        ("extension_context", "extension_context", "bazang-extensions"),
    ],
)
def test_empty_value_from_the_environment_wins(
    database: Database, tmp_path: Path, name: str, field: str, given: str
) -> None:
    write(database, **{name: "stored"})
    read = office if name in OfficeSettings.__dataclass_fields__ else pbx
    with database.read() as session:
        assert getattr(read(session, make_settings(tmp_path, **{field: ""})), name) == given


@pytest.mark.parametrize(
    ("profile", "contexts"),
    [
        ("asterisk", ("bazang-extensions", "bazang-queues", "")),
        ("freepbx", ("from-did-direct", "ext-queues", "from-internal")),
    ],
)
@pytest.mark.parametrize("stored", [{}, dict.fromkeys(("extension_context", "queue_context", "outbound_context"), "")])
def test_empty_context_means_the_default_of_the_profile(
    database: Database, tmp_path: Path, profile: str, contexts: tuple[str, str, str], stored: dict[str, str]
) -> None:
    write(database, pbx_profile=profile, **stored)
    with database.read() as session:
        here = pbx(session, make_settings(tmp_path))
    assert (here.extension_context, here.queue_context, here.outbound_context) == contexts


@pytest.mark.parametrize(("profile", "port"), [("asterisk", 4573), ("freepbx", 4574)])
def test_port_of_fast_agi_is_none_of_freepbx(tmp_path: Path, profile: str, port: int) -> None:
    """FreePBX has a FastAGI service of its own on 4573."""
    stored = {"pbx_profile": profile}
    assert agi_port(make_settings(tmp_path), stored) == port
    assert agi_port(make_settings(tmp_path, pbx_profile=profile), {}) == port
    assert agi_port(make_settings(tmp_path, agi_port=4600), stored) == 4600
    assert agi_port(make_settings(tmp_path, agi_port=4573), stored) == 4573  # somebody has decided it


@pytest.mark.parametrize("name", ["ami_host", "ami_username", "agi_host"])
def test_other_empty_values_replace_the_default(database: Database, tmp_path: Path, name: str) -> None:
    with database.read() as session:
        assert getattr(pbx(session, make_settings(tmp_path)), name)
    write(database, **{name: ""})
    with database.read() as session:
        assert getattr(pbx(session, make_settings(tmp_path)), name) == ""


def test_number_plan(database: Database, tmp_path: Path) -> None:
    write(database, area_code="021")
    create_line(database, "101")
    create_line(database, "102")
    with database.read() as session:
        rules = number_plan(session, make_settings(tmp_path))
    assert rules == NumberPlan("IR", "021", frozenset({"101", "102"}))
