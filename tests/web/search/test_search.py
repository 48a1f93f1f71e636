"""The search finds what the user may see, and nothing else."""

from datetime import UTC, datetime

import pytest

from app.store.database import Database
from app.store.models import QueueRow
from tests.support.factories import (
    create_line,
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_request,
    store,
)
from tests.support.rows import for_each
from tests.web.pages import Page, Visitor, text


@pytest.fixture(autouse=True)
def office(database: Database) -> None:
    now = datetime.now(UTC)
    module = create_module(database, code="*5001", name="Sara's desk", targets=["101", "102"])
    for target, number, name in (("101", "+989121234567", "Sara"), ("102", "+989127654321", "Sara too")):
        create_request(database, module, target=target, number=number, caller_name=name, registered_at=now)
        create_line(database, target, name=f"Phone of {name}")
        create_missed_call_rule(database, target)
        create_missed_call(database, target=target, number=number, caller_name=name, at=now, call_uniqueid=target)
    store(database, QueueRow(name="sara-queue"))


def found(page: Page) -> dict[str, str]:
    """Return the text of each part of the result."""
    return {part.get("id", ""): text(part) for part in page.all("section") if part.get("id", "").startswith("found-")}


@for_each("asked", ["sara", "SARA", "0912", "۰۹۱۲", "+98912", "912 12"])
def test_operator_finds_own_requests_and_missed_calls_only(operator: Visitor, asked: str) -> None:
    parts = found(operator.get("/search", find=asked))
    assert parts.keys() == {"found-requests", "found-missed"}
    for part in parts.values():
        assert "09121234567" in part
        assert "09127654321" not in part and "too" not in part


def test_supervisor_finds_all_requests_and_no_setup(supervisor: Visitor) -> None:
    parts = found(supervisor.get("/search", find="sara"))
    assert parts.keys() == {"found-requests", "found-missed"}
    assert all("09121234567" in part and "09127654321" in part for part in parts.values())


def test_administrator_finds_what_is_set_up_too(admin: Visitor) -> None:
    names = {"found-requests", "found-missed", "found-modules", "found-extensions", "found-queues"}
    page = admin.get("/search", find="sara")
    assert found(page).keys() == names
    for link in page.one("main").iter("a"):
        admin.get(link.get("href", ""))
    assert found(admin.get("/search", find="5001")).keys() == {"found-modules"}


@for_each("asked", ["", " ", "%", "'\"<b>", "-", "nobody", "99999", "ي" * 500])
def test_nothing_is_found(admin: Visitor, asked: str) -> None:
    page = admin.get("/search", find=asked)
    assert found(page) == {}
    assert ("Nothing was found." in page.main) is bool(asked.strip())


def test_more_requests_are_in_the_report(admin: Visitor, database: Database) -> None:
    for number in range(10):
        create_request(database, number=f"+9891200000{number:02}", registered_at=datetime.now(UTC))
    page = admin.get("/search", find="0912")
    (link,) = [a.get("href", "") for a in page.one("main").iter("a") if "/report" in a.get("href", "")]
    assert "12 requests" in admin.get(link).main
