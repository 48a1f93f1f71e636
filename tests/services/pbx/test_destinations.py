"""Validation of destinations."""

import pytest

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.routing import HANG_UP, Destination, Situation
from app.services.errors import Invalid
from app.services.modules import transfer
from app.services.modules.save import save_module
from app.services.pbx.destinations import check_destination
from app.services.pbx.scenarios import ExtensionInput, save_scenario
from app.store.database import Database
from app.store.settings import write_setting
from tests.support.factories import (
    NOW,
    create_line,
    create_module,
    create_queue,
    create_running_service,
    make_module_input,
)


@pytest.mark.parametrize(
    ("destination", "error"),
    [
        (HANG_UP, None),
        (Destination("extension", "*10#"), None),
        (Destination("extension", ""), "required"),
        (Destination("extension", "10x"), "code"),
        (Destination("extension", "1" * 21), "code"),
        (Destination("extension", "۱۰۱"), "code"),
        (Destination("queue", "sales-1_a.b"), None),
        (Destination("queue", "sales desk"), None),
        (Destination("queue", "پشتیبانی\u200cفنی"), None),
        (Destination("queue", "sales, desk"), "queue_name"),
        (Destination("queue", "x" * 81), "queue_name"),
        (Destination("module", "*5001"), None),
        (Destination("module", "*5001;"), "code"),
        (Destination("module", "*5999"), "no_module"),
        (Destination("custom", "ivr-main,s,1"), None),
        (Destination("custom", "s,1"), "custom"),
        (Destination("custom", f"{'x' * 41},s,1"), "custom"),
        (Destination("custom", "a,b,1)\nexten => x"), "custom"),
        (Destination("voicemail", "101"), "choice"),
        (Destination("", "101"), "choice"),
    ],
)
def test_error_codes_of_destinations(database: Database, destination: Destination, error: str | None) -> None:
    create_module(database, code="*5001")
    with database.read() as session:
        assert check_destination(session, destination) == error
        assert check_destination(session, destination, optional=True) == (error if destination.kind else None)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("from-phones,00447911123456,1", "dials"),  # as the worker dials customers
        ("outbound,110,1", "dials"),  # as the settings say
        ("from-phones,101,1", None),
        ("outbound,800,1", None),
        ("ivr-main,110,1", None),
        ("ivr-main,09121234567,1", "dials"),
    ],
)
def test_custom_destination_may_not_dial_a_number(database: Database, location: str, error: str | None) -> None:
    create_running_service(database, outbound_context="from-phones")
    create_line(database, "101")
    create_queue(database, "800")
    with database.write() as session:
        write_setting(session, "outbound_context", "outbound")
    with database.read() as session:
        assert check_destination(session, Destination("custom", location)) == error


def test_no_way_to_save_a_destination_leaves_that_out(database: Database, office: Settings) -> None:
    dials = Destination("custom", "outbound,09121234567,1")
    with pytest.raises(Invalid, match="error_code: dials"):
        save_module(database, make_module_input(error=dials), NOW)
    with pytest.raises(Invalid, match="busy_code: dials"):
        save_scenario(database, ExtensionInput("101", 20, {Situation.BUSY: dials}), now=NOW)
    assert save_module(database, make_module_input(), NOW)
    content = transfer.export_settings(database)
    content["modules"][0]["next"] = {"kind": "custom", "code": dials.code}
    with pytest.raises(transfer.BadFile, match=r"modules\[0\]\.next\.code: would dial a telephone number"):
        transfer.import_settings(database, SoundLibrary(office.prompts_path), content, NOW)
