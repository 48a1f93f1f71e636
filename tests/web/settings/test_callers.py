"""The page with the lists of numbers, and where refused requests are shown."""

from datetime import UTC, datetime

import pytest

from app.config import Settings
from app.domain.limits import LimitReason
from app.services.requests import number_lists
from app.services.settings import office
from app.store import settings as store
from app.store.database import Database
from app.store.models import WorkerState
from app.store.number_lists import add_refusals
from app.web import wording
from tests.support.factories import store as store_rows
from tests.web.pages import Page, Visitor

PATH = "/settings/callers"


def add(admin: Visitor, status: int, **typed: str) -> Page:
    page = admin.get(PATH)
    return admin.post(PATH, page.fields(page.form(id="add-number")) | typed, status)


def test_number_is_added_shown_and_removed(admin: Visitor, database: Database) -> None:
    page = admin.get(PATH)
    assert "No number is on a list." in page.main
    page = admin.follow(add(admin, 302, number="۰۹۱۲۱۲۳۴۵۶۷", kind="block", note="<b>rude</b>"))
    assert "09121234567" in page.main and "<b>rude</b>" in page.main
    (entry,) = number_lists.load_entries(database)
    page = add(admin, 422, number="0912 123 4567", kind="allow")
    assert page.error("number") == wording.error("taken")
    page = add(admin, 422, number="x", note="y" * 201)
    assert (page.error("number"), page.error("note")) == (wording.error("number"), wording.error("too_long"))
    admin.follow(admin.post(f"{PATH}/{entry.id}/remove", page.fields(page.form(action=f"{PATH}/{entry.id}/remove"))))
    assert number_lists.load_entries(database) == []
    admin.post(f"{PATH}/{entry.id}/remove", {}, 404)
    log = admin.get("/log").main
    assert "put on a list" in log and "removed from a list" in log


def test_fixed_agent_is_stored_and_shown(admin: Visitor, database: Database) -> None:
    assert add(admin, 422, number="0912*", kind="block", agent="101").error("agent") == wording.error("only_priority")
    page = admin.follow(add(admin, 302, number="0912*", kind="priority", agent="۱۰۱"))
    assert "served first · by 101" in page.main
    assert "Fixed agent: 101" in admin.get("/log").main


def test_limits_are_saved_and_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    names = ("daily_calls_limit", *(f"{name}_limit" for name in store.REGISTRATION_LIMITS))
    page = admin.get("/settings")
    assert [page.fields()[name] for name in names] == [["1000"], ["5"], ["10"], ["20"], ["120"], ["300"], ["500"]]
    page = admin.follow(admin.submit(page, "/settings", **{name: str(n) for n, name in enumerate(names)}))
    assert [page.fields()[name] for name in names] == [[str(n)] for n in range(len(names))]
    now = office.load(database, settings)
    assert [getattr(now, name) for name in names] == list(range(len(names)))
    page = admin.submit(page, "/settings", 422, **dict.fromkeys(names, "100001"))
    assert {page.error(name) for name in names} == {wording.error("range")}


@pytest.mark.parametrize(
    ("reasons", "words", "level"),
    [
        ({LimitReason.BLOCKED: 3}, "3 refused", "ok"),
        ({LimitReason.BLOCKED: 3, LimitReason.WAITING: 2}, "too many waiting requests", "warning"),
    ],
)
def test_refused_requests_are_shown(
    admin: Visitor, database: Database, reasons: dict[LimitReason, int], words: str, level: str
) -> None:
    now = datetime.now(UTC)
    healthy = {"ami_status": "connected", "dialplan_written": "7", "dialplan_running": "7"}
    store_rows(database, WorkerState(id=1, heartbeat=now, **healthy))
    with database.write() as session:
        store.write_setting(session, "outbound_context", "from-internal")
        add_refusals(session, reasons, now)
    assert words in admin.get("/overview").main
    line = admin.ask("/live")
    assert line.has("p", class_="status-ok") is (level == "ok")
    assert (words in line.main) is (level == "warning")
