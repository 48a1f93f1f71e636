"""The page that says what is stored, and for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.retention import Retention
from app.services import retention
from app.store.database import Database
from app.store.models import CallRequest
from tests.support.factories import create_request
from tests.web.pages import Page, Visitor, text

DAYS = {"requests": "0", "notes": "0", "names": "30", "log": "0"}


def end(database: Database, days: int, number: int, **values: Any) -> CallRequest:
    at = datetime.now(UTC) - timedelta(days=days)
    given: dict[str, Any] = {"number": f"+98912000{number:04}", "status": "done", "done_at": at, "registered_at": at}
    return create_request(database, None, **(given | values))


def table(page: Page) -> dict[str, tuple[str, str]]:
    """Return how many are stored and will be deleted, by their name."""
    found = [[text(cell) for cell in row.iter("td")] for row in page.one("tbody").iter("tr")]
    return {cells[0]: (cells[1], cells[3]) for cells in found}


def test_what_will_go_is_shown_before_anything_is_saved(admin: Visitor, database: Database) -> None:
    end(database, 400, 1, note="old")
    end(database, 100, 2)
    end(database, 1, 3)
    page = admin.get("/settings/stored")
    assert table(page)["Finished requests"] == ("3", "0")
    asked = admin.post("/settings/stored", {**DAYS, "requests": "90", "notes": "30"}, 200)
    assert table(asked)["Finished requests"] == ("3", "2")
    assert table(asked)["Notes on finished requests"] == ("1", "1")
    assert "Nothing is deleted yet." in asked.main
    assert retention.load(database) == Retention()
    confirmed = asked.one("button", name="confirmed").get("value", "")
    admin.post("/settings/stored", {**DAYS, "requests": "90", "notes": "30", "confirmed": confirmed})
    assert retention.load(database) == Retention(requests=90, notes=30)


def test_a_confirmation_is_for_the_days_that_were_shown(admin: Visitor, database: Database) -> None:
    end(database, 400, 1)
    asked = admin.post("/settings/stored", {**DAYS, "requests": "365"}, 200)
    confirmed = asked.one("button", name="confirmed").get("value", "")
    again = admin.post("/settings/stored", {**DAYS, "requests": "90", "confirmed": confirmed}, 200)
    assert "Nothing is deleted yet." in again.main
    assert retention.load(database) == Retention()


def test_days_that_delete_nothing_are_saved_at_once(admin: Visitor, database: Database) -> None:
    end(database, 10, 1)
    admin.post("/settings/stored", {**DAYS, "requests": "365", "log": "730"})
    assert retention.load(database) == Retention(requests=365, log=730)


WRONG = [{"requests": "89"}, {"names": "0"}, {"notes": "x"}, {"log": ""}, {"log": "99999999999"}]


@pytest.mark.parametrize("given", WRONG)
def test_wrong_days_are_refused_at_their_field(admin: Visitor, database: Database, given: dict[str, str]) -> None:
    end(database, 4000, 1)
    page = admin.post("/settings/stored", {**DAYS, **given}, 422)
    (name,) = given
    assert page.one(id=name).get("aria-invalid") == "true"
    assert retention.load(database) == Retention()


def test_the_report_says_what_it_cannot_show(admin: Visitor, operator: Visitor, database: Database) -> None:
    assert "are deleted" not in admin.get("/report").main
    admin.post("/settings/stored", {**DAYS, "requests": "365"})
    for path in ("/report", "/report/charts"):
        assert "more than 365 days ago are deleted" in operator.get(path).main
