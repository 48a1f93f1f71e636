"""Saved filters of the report: each user's own."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.services.report import saved_filters
from app.store.database import Database
from tests.support.factories import create_request
from tests.web.pages import Page, Visitor, text

QUERY = "period=7&status=done&status=failed&sort=-done"


def names(page: Page) -> list[str]:
    return [text(link) for link in page.all("nav", aria_label="Saved filters") for link in link.iter("a")]


def act(visitor: Visitor, path: str, data: Any = None) -> Page:
    """Send a form, and return the page after it."""
    return visitor.follow(visitor.post(path, data))


def save(visitor: Visitor, name: str, query: str = QUERY) -> Page:
    return act(visitor, "/report/filters", {"name": name, "query": query})


def test_filter_is_saved_applied_renamed_and_deleted(operator: Visitor, database: Database) -> None:
    now = datetime.now(UTC)
    create_request(database, target="101", status="done", registered_at=now)
    create_request(database, target="101", status="done", registered_at=now - timedelta(days=20))
    page = save(operator, " Done <b>lately</b> ")
    assert page.message == "The filter is saved."
    assert names(page) == ["Done <b>lately</b>"]
    (link,) = [a for a in page.all("a", class_="preset") if text(a).startswith("Done")]
    assert link.get("aria-current") == "true"
    assert "1 request" in operator.get(link.get("href", "")).main
    assert names(operator.get("/report/charts")) == ["Done <b>lately</b>"]
    assert names(save(operator, "All", "period=all")) == ["All", "Done <b>lately</b>"]
    assert names(act(operator, "/report/filters/1", {"name": "Week"})) == ["All", "Week"]
    page = act(operator, "/report/filters/1", {"name": "All"})
    assert page.message == "This is already in use. Choose another one."
    assert names(page) == ["All", "Week"]
    assert names(act(operator, "/report/filters/1/delete")) == ["All"]


def test_same_name_replaces_the_search(operator: Visitor, database: Database) -> None:
    save(operator, "Week")
    save(operator, "Week", "period=today")
    assert [row.query for row in saved_filters.list_filters(database, 2)] == ["period=today"]


def test_filters_of_others_do_not_exist(operator: Visitor, supervisor: Visitor, database: Database) -> None:
    save(supervisor, "Mine")
    assert names(operator.get("/report")) == []
    operator.post("/report/filters/1", {"name": "Yours"}, 404)
    operator.post("/report/filters/1/delete", status=404)
    assert names(save(operator, "Mine")) == ["Mine"]
    assert [row.name for row in saved_filters.list_filters(database, 4)] == ["Mine"]


def test_what_is_no_search_or_no_name_is_not_saved(operator: Visitor, database: Database) -> None:
    operator.post("/report/filters", {"name": "Bad", "query": "status=nothing&target=x"}, 400)
    for name in ("", " ", "a" * 61, "a\u202eb"):
        assert save(operator, name).message
    assert saved_filters.list_filters(database, 2) == []
    save(operator, "Odd", "period=7&next=https://example.org&x=1")
    assert [row.query for row in saved_filters.list_filters(database, 2)] == ["period=7"]


def test_a_user_has_so_many_at_most(operator: Visitor, database: Database) -> None:
    for number in range(saved_filters.MOST):
        saved_filters.save(database, 2, f"Filter {number}", "period=7", datetime.now(UTC))
    assert save(operator, "One more").message == "There are too many. Delete one first."
    assert len(saved_filters.list_filters(database, 2)) == saved_filters.MOST
