"""The page with missed calls, and what can be done there."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.services.missed.list import PER_PAGE
from app.store.database import Database
from app.store.models import CallRequest, MissedCall
from app.store.settings import write_setting
from app.web import wording
from tests.support.factories import (
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_queue,
    create_request,
    reload,
)
from tests.web.pages import Page, Visitor, child, rows, text

OTHER = "+989127654321"


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def create(database: Database, **fields: Any) -> MissedCall:
    return create_missed_call(database, **({"at": ago(minutes=2)} | fields))


def figures(page: Page) -> dict[str, str]:
    return {each.get("id", "").removeprefix("figure-"): text(child(each, "dd")) for each in page.all(class_="figure")}


def test_page_is_in_the_navigation_once_it_is_in_use(admin: Visitor, operator: Visitor, database: Database) -> None:
    assert not admin.get("/requests").has("a", href="/missed")
    assert "No missed calls." in admin.get("/missed").main
    create_missed_call_rule(database)
    for visitor in (admin, operator):
        assert visitor.get("/requests").has("a", href="/missed")


def test_list_shows_who_called_and_what_became_of_it(admin: Visitor, database: Database) -> None:
    create_module(database, targets=["101"])
    create_missed_call_rule(database, minutes=30)
    for minutes in (20, 2):
        create(database, caller_name="<b>Mina</b>", at=ago(minutes=minutes))
    create(
        database, number=OTHER, queue=True, target="800", outcome="reached", outcome_at=ago(minutes=1), outcome_by="102"
    )
    create(database, number="", target="102")
    page = admin.get("/missed")
    own, withheld, reached = sorted(rows(page), key=lambda row: ("extension 101" not in row, "reached later" in row))
    assert "9121234567" in own and "<b>Mina</b>" in own and "2 calls" in own and "automatic request" in own
    assert "withheld" in withheld and "The number was withheld." in withheld and "Make a request" not in withheld
    assert "queue 800" in reached and "102" in reached and "Dismiss" not in reached
    assert figures(page) == {"missed": "4", "reached": "1", "requested": "0", "open": "3"}
    page = admin.get("/missed", target="queue:800")
    assert len(rows(page)) == 1
    assert figures(page)["missed"] == "1"
    assert page.one("option", selected="").get("value") == "queue:800"
    assert "No missed calls." in admin.get("/missed", target="109").main
    assert len(rows(admin.ask("/missed/rows"))) == 3


def test_one_click_makes_a_request(operator: Visitor, database: Database) -> None:
    create_module(database, targets=["101"])
    row = create(database)
    page = operator.get("/missed")
    button = page.one("button", formaction=f"/missed/{row.id}/request")
    assert button.get("form") == page.form(id="missed-form").get("id")
    page = operator.follow(operator.post(f"/missed/{row.id}/request"))
    assert page.message == "The request was added."
    request = reload(database, row).request_id
    assert "request made" in rows(page)[0]
    assert page.has("a", href=f"/requests/{request}")
    assert "made from a missed call" in operator.get(f"/requests/{request}").main
    page = operator.follow(operator.post(f"/missed/{row.id}/request"))
    assert page.message == "This caller already has the following request."


def test_request_that_cannot_be_made_says_why(admin: Visitor, database: Database) -> None:
    row = create(database)
    assert "No module serves it." in admin.get("/missed").main
    page = admin.follow(admin.post(f"/missed/{row.id}/request"))
    assert page.message == wording.error("no_module")


def test_request_made_by_itself_is_from_a_missed_call_and_not_by_the_caller(admin: Visitor, database: Database) -> None:
    request = create_request(database, create_module(database), came_by="missed_call", registered_at=ago(minutes=1))
    page = admin.get(f"/requests/{request.id}")
    assert "from a missed call" in page.main and "the caller, by phone" not in page.main
    assert "made from a missed call" in admin.get("/requests").main
    assert "from a missed call" in rows(admin.get("/report"))[0]
    assert "from a missed call" in admin.client.get("/report.csv").text


def test_missed_calls_of_today_are_on_the_overview_and_in_the_navigation(
    admin: Visitor, operator: Visitor, database: Database
) -> None:
    assert not admin.get("/overview").has("div", id="figure-missed")
    now = datetime.now(UTC)
    with database.write() as session:
        write_setting(session, "timezone", "UTC")
    for target in ("101", "102"):
        create(database, target=target, at=now)
        create(database, target=target, number=OTHER, at=now, outcome="reached", outcome_at=now, outcome_by="101")
        create(database, target=target, at=now - timedelta(days=1))
    for visitor, missed, still_open in ((admin, "4", "2"), (operator, "2", "1")):
        page = visitor.get("/overview")
        assert figures(page)["missed"].split() == [missed, still_open, "still", "open"]
        assert text(page.one("span", id="count-missed-index")).split()[0] == still_open
        assert text(visitor.ask("/live").one("span", id="count-missed-index")).split()[0] == still_open


def test_list_has_pages(admin: Visitor, database: Database) -> None:
    for number in range(PER_PAGE + 1):
        create(database, number=f"+98912000{number:04}", at=ago(minutes=number + 1))
    page = admin.get("/missed", target="101")
    assert (len(rows(page)), figures(page)["missed"]) == (PER_PAGE, str(PER_PAGE + 1))
    page = admin.get(page.one("a", rel="next").get("href", ""))
    assert len(rows(page)) == 1 and f"912000{PER_PAGE:04}" in rows(page)[0]
    assert rows(admin.ask(page.one(id="live").get("hx-get", ""))) == rows(page)
    (dismiss,) = (button.get("formaction", "") for button in page.all("button", form="missed-form"))
    done = admin.post(dismiss).response.headers["Location"]
    assert "page=2" in done and "target=101" in done, "the page and the filter stay"
    assert len(rows(admin.get("/missed", page="99"))) == 1
    assert len(rows(admin.get("/missed", page="x"))) == PER_PAGE


def test_missed_call_is_dismissed(admin: Visitor, database: Database) -> None:
    row = create(database)
    page = admin.follow(admin.post(f"/missed/{row.id}/dismiss"))
    assert page.message == "The missed call is off the list."
    assert "dismissed" in rows(page)[0] and "sara" in rows(page)[0]


def test_operator_has_only_the_calls_of_their_own_phone_and_queues(operator: Visitor, database: Database) -> None:
    create_queue(database, "800", "101")
    create_module(database, targets=["102"])
    create(database)
    create(database, queue=True, target="800", number=OTHER)
    other = create(database, target="102")
    assert len(rows(operator.get("/missed"))) == 2
    for action in ("request", "dismiss"):
        operator.post(f"/missed/{other.id}/{action}", status=404)
    assert reload(database, other).outcome == "open"
    with database.read() as session:
        assert session.get(CallRequest, 1) is None
