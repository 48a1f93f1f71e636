"""The pending page of a new office leads to the first request."""

from app.store.database import Database
from app.store.models import WorkerState
from app.store.settings import write_setting
from tests.support.factories import create_module, create_request, create_running_service
from tests.web.pages import Page, Visitor, text


def steps(visitor: Visitor) -> list[tuple[bool, str]]:
    """Return the steps that the page shows: whether they are done, and their text."""
    return [split(text(item)) for item in visitor.get("/requests").all("li") if "first-step" in item.get("class", "")]


def split(shown: str) -> tuple[bool, str]:
    return shown.startswith("Done:"), shown.partition(":")[2]


def is_usual(page: Page) -> bool:
    return "appear here automatically" in page.main


def test_what_is_done_is_ticked(admin: Visitor, operator: Visitor, database: Database) -> None:
    assert [done for done, _ in steps(admin)] == [False] * 6
    create_running_service(database)
    with database.write() as session:
        write_setting(session, "outbound_context", "from-internal")
    module = create_module(database, code="*5001", targets=["101", "102"])
    found = steps(admin)
    assert [done for done, _ in found] == [True, True, False, False, False, False]
    assert "*5001" in found[2][1] and "101, 102" in found[2][1]
    assert not steps(operator) and is_usual(operator.get("/requests"))
    request = create_request(database, module, status="cancelled")
    assert [done for done, _ in steps(admin)][2:] == [True, True, True, False]
    with database.write() as session:
        session.merge(request).status = "done"
    assert not steps(admin) and is_usual(admin.get("/requests"))


def test_a_pbx_is_connected_whatever_else_is_wrong(admin: Visitor, database: Database) -> None:
    create_running_service(database)
    create_module(database)
    with database.write() as session:
        write_setting(session, "outbound_context", "from-internal")
        session.get_one(WorkerState, 1).dialplan_detail = "sounds_missing"
    assert "Sounds are being made" in admin.get("/requests").main
    assert steps(admin)[0] == (True, " The PBX is connected.")
    with database.write() as session:
        session.get_one(WorkerState, 1).ami_status = "refused"
    assert not steps(admin)[0][0]
