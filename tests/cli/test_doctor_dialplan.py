"""What the doctor says of the codes of modules while their sounds are being made."""

import pytest

from app.config import Settings
from app.doctor import dialplan
from app.domain.findings import Finding, Level
from app.domain.pbx_connection import DialplanState
from app.store import settings as store_settings
from app.store.database import Database
from tests.support.factories import create_module, create_running_service
from tests.support.fake_dialplan import FakeDialplan


@pytest.mark.parametrize(("detail", "level"), [("sounds_missing", Level.WARNING), ("", Level.FAULT)])
async def test_a_code_that_waits_for_its_sounds_is_no_fault(
    settings: Settings, database: Database, detail: str, level: Level
) -> None:
    create_module(database, code="*5001")
    create_running_service(database, dialplan_detail=detail)
    client = FakeDialplan(values={"DIALPLAN_EXISTS(bazang-modules,*5001,1)": "0"})
    found = await check(settings, database, client)
    (finding,) = [one for one in found if "*5001" in one.text]
    assert finding.level is level
    assert ("sounds" in finding.text) == (detail != "") == ("reload" not in finding.fix)


async def check(settings: Settings, database: Database, client: FakeDialplan) -> list[Finding]:
    with database.read() as session:
        pbx = store_settings.pbx(session, settings)
    return await dialplan.check(settings, database, pbx, client, DialplanState.CURRENT)  # type: ignore[arg-type]
