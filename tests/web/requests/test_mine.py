"""The page "My requests"."""

from datetime import UTC, datetime

import pytest

from app.services.requests.pending import PAGE_SIZE
from app.store.database import Database
from app.store.models import CallRequest, User
from tests.support.factories import create_request
from tests.web.pages import Page, Visitor, rows, text
from tests.web.requests.scene import is_success, now


def set_extensions(database: Database, *extensions: str) -> None:
    """Give the operator these extensions."""
    with database.write() as session:
        session.get_one(User, 2).extensions = list(extensions)


def call_buttons(page: Page) -> list[str]:
    """Return the addresses of the buttons that call."""
    buttons = [button for button in page.all("button", name="row") if "/call" in button.get("formaction", "")]
    return [button.get("formaction", "") for button in buttons]


def test_the_page_shows_the_requests_for_the_users_phone(operator: Visitor, office: None) -> None:
    page = operator.get("/mine")
    assert "09121234567" in page.main and "09350000002" not in page.main
    assert call_buttons(page) == ["/requests/acts/call?agent=101"]


def test_a_long_list_leads_to_the_rest(operator: Visitor, database: Database, office: None) -> None:
    assert not operator.get("/mine").has(id="following")
    for number in range(PAGE_SIZE + 2):
        create_request(database, number=f"+98912000{number:04}", target="101")
    page = operator.get("/mine")
    assert len(call_buttons(page)) == PAGE_SIZE
    following = page.one(id="following")
    assert "3" in text(following) and [link.get("href") for link in following.iter("a")] == ["/requests?page=2"]


def test_with_several_phones_each_has_a_button(operator: Visitor, database: Database, office: None) -> None:
    set_extensions(database, "101", "102")
    addresses = [f"/requests/acts/call?agent={extension}" for extension in ("101", "102")]
    assert call_buttons(operator.get("/mine")) == addresses * 2


def test_without_a_phone_the_page_shows_what_to_do(operator: Visitor, database: Database, office: None) -> None:
    set_extensions(database)
    page = operator.get("/mine")
    assert page.has("p", class_="nothing-text") and not page.has(id="past")
    assert rows(page) == []


def test_a_recently_ended_request_can_get_a_note(operator: Visitor, database: Database, office: None) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, 1)
        row.status, row.done_at, row.last_outcome = "done", now(), "connected"
    (link,) = operator.get("/mine").one(id="ended-1").findall("a")
    assert link.get("href") == "/requests/acts/note?row=1.2"
    assert is_success(operator.press("/requests/acts/note", {"row": "1.2", "note": "sold two"}))
    assert "sold two" in text(operator.get("/mine").one(id="ended-1"))


def test_a_recently_failed_request_can_be_reopened(operator: Visitor, database: Database, office: None) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, 1)
        row.status, row.done_at, row.last_outcome = "failed", now(), "customer_busy"
    (button,) = operator.get("/mine").one(id="ended-1").iter("button")
    assert (button.get("formaction"), button.get("value")) == ("/requests/acts/reopen", "1.2")
    assert is_success(operator.press("/requests/acts/reopen", {"row": "1.2"}))
    assert not operator.get("/mine").has(id="ended-1")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", 1),
        ("period=week", 1),
        ("period=month", 1),
        ("period=nonsense&page=x", 1),
        ("page=99", 1),
        ("period=range&from=2020-01-01&to=2020-02-01", 1),
        ("period=range&from=۱۳۹۸/۱۰/۱۱&to=1398/11/12", 1),
        ("period=range&from=2020-01-01&to=2090-01-01", 2),
        ("period=range&from=2021-01-01&to=2021-02-01", 0),
    ],
)
def test_a_period_shows_the_requests_registered_in_it(
    operator: Visitor, database: Database, office: None, query: str, shown: int
) -> None:
    old = datetime(2020, 1, 5, 12, tzinfo=UTC)
    create_request(database, None, target="101", status="done", done_at=old, registered_at=old, number="+989120000009")
    past = operator.get(f"/mine?{query}").one(id="past")
    assert len([row for body in past.iter("tbody") for row in body]) == shown


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=x&to=2020-01-01", "from"),
        ("from=2020-01-01&to=", "to"),
        ("from=2020-02-01&to=2020-01-01", "to"),
        ("from=9999-12-31&to=9999-12-31", "to"),
    ],
)
def test_an_invalid_range_is_shown_with_its_error(operator: Visitor, office: None, query: str, field: str) -> None:
    assert operator.get(f"/mine?period=range&{query}").error(field)
