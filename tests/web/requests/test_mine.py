"""My requests, and the page of a request."""

from datetime import UTC, datetime, timedelta

import pytest

from app.services.requests import perform
from app.services.requests.access import Scope
from app.services.requests.actions import Postpone, Prioritise, Reassign, ShownRequest, WriteNote
from app.store.database import Database
from app.store.models import CallRequest, User
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
)
from tests.web.pages import Visitor, rows, text

EVERYBODY = Scope("mina", everything=True)


def now() -> datetime:
    return datetime.now(UTC)


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


@pytest.fixture
def office(database: Database) -> None:
    """A request (1) for 101, one (2) for 102."""
    create_running_service(database)
    for extension in ("101", "102"):
        create_line(database, extension)
    module = create_module(database, name="Sales", targets=["101", "102"])
    for number, target in enumerate(("101", "102"), 1):
        moments = {"registered_at": now(), "first_called_at": now()}
        create_request(database, module, number=f"+98912000000{number}", target=target, **moments)


def own(database: Database, *extensions: str, user: int = 2) -> None:
    with database.write() as session:
        session.get_one(User, user).extensions = list(extensions)


# -- my requests ------------------------------------------------------------------------------------------------------


def test_my_requests_are_those_for_my_phones(operator: Visitor, office: None) -> None:
    page = operator.get("/mine")
    assert "09120000001" in page.main and "09120000002" not in page.main
    assert "your phone 101" in page.main
    button = next(b for b in page.all("button", name="row") if "btn-primary" in b.get("class", ""))
    assert button.get("formaction") == "/requests/acts/call?agent=101"


def test_with_several_phones_one_says_which(operator: Visitor, database: Database, office: None) -> None:
    own(database, "101", "102")
    buttons = [b for b in operator.get("/mine").all("button", name="row") if "btn-primary" in b.get("class", "")]
    assert [text(button) for button in buttons] == ["from 101", "from 102"] * 2


def test_without_a_phone_one_is_told_what_to_do(operator: Visitor, database: Database, office: None) -> None:
    own(database)
    page = operator.get("/mine")
    assert "No phone is yours yet. Ask an administrator to enter your extension under Users" in page.main
    assert rows(page) == []


def test_what_ended_can_be_given_a_note(operator: Visitor, database: Database, office: None) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, 1)
        row.status, row.done_at, row.last_outcome = "done", now(), "connected"
    page = operator.get("/mine")
    ended = page.one(id="ended-1")
    assert "done they have talked" in text(ended) and "Write a note" in text(ended)
    operator.press("/requests/acts/note", {"row": "1.2", "note": "sold two"})
    assert "sold two" in text(operator.get("/mine").one(id="ended-1"))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", 1),
        ("period=week", 1),
        ("period=month", 1),
        ("period=nonsense", 1),
        ("period=range&from=2020-01-01&to=2020-02-01", 1),
        ("period=range&from=1398/10/11&to=1398/11/12", 1),
        ("period=range&from=۱۳۹۸/۱۰/۱۱&to=۱۳۹۸/۱۱/۱۲", 1),
        ("period=range&from=2020-01-01&to=2090-01-01", 2),
        ("period=range&from=2021-01-01&to=2021-02-01", 0),
        ("page=99", 1),
        ("page=x", 1),
    ],
)
def test_a_period_shows_what_was_registered_in_it(
    operator: Visitor, database: Database, office: None, query: str, shown: int
) -> None:
    old = datetime(2020, 1, 5, 12, tzinfo=UTC)
    create_request(database, None, target="101", status="done", done_at=old, registered_at=old, number="+989120000009")
    page = operator.get(f"/mine?{query}")
    assert len(list(page.one(id="past").iter("tr"))) == (shown + 1 if shown else 0)
    assert ("Nothing was registered" in page.main) == (not shown)


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("from=x&to=2020-01-01", "from", "Write it as year-month-day, such as 2026-11-24."),
        ("from=2020-01-01&to=", "to", "Write it as year-month-day, such as 2026-11-24."),
        ("from=2020-02-01&to=2020-01-01", "to", "The end is before the beginning."),
        ("from=9999-12-31&to=9999-12-31", "to", "Write it as year-month-day, such as 2026-11-24."),
        ("from=<b>&to=2020-01-01", "from", "Write it as year-month-day, such as 2026-11-24."),
    ],
)
def test_a_range_that_makes_no_sense(operator: Visitor, office: None, query: str, field: str, said: str) -> None:
    page = operator.get(f"/mine?period=range&{query}")
    assert page.error(field) == said


# -- a request's own page ---------------------------------------------------------------------------------------------


def test_a_request_tells_its_whole_story(supervisor: Visitor, database: Database, office: None) -> None:
    with database.read() as session:
        row = session.get_one(CallRequest, 1)
    start = ago(minutes=5)
    create_attempt(
        database,
        row,
        started_at=start,
        answered_at=start + timedelta(seconds=8),
        dialled_at=start + timedelta(seconds=10),
        ended_at=start + timedelta(seconds=35),
        outcome="customer_busy",
        cause="17 User busy",
        manual=True,
    )
    until = now() + timedelta(minutes=50)
    for action in (Postpone(until), Reassign(False, "102"), Prioritise(1), WriteNote("speaks\nTurkish")):
        with database.read() as session:
            version = session.get_one(CallRequest, 1).version
        (result,) = perform.perform(database, EVERYBODY, action, [ShownRequest(1, version)], now())
        assert result.ok
    page = supervisor.get("/requests/1")
    assert page.title == "Request of 09120000001 · Bazang"
    assert "in 50 minutes" in page.main and "high" in page.main
    steps = [text(step) for step in page.one("ol", class_="timeline").iter("li")]
    assert steps[0].startswith("A note was written.") and "mina" in steps[0]
    assert "from normal to high" in steps[1]
    assert "from extension 101 to extension 102" in steps[2]
    (attempt,) = (step for step in steps if step.startswith("Call by 101"))
    assert "the customer was busy 17 User busy" in attempt and "by hand" in attempt
    assert "agent's phone rang00:08" in attempt.replace(" 00", "00") and "customer's phone rang" in attempt
    live = supervisor.ask(page.one(id="live").get("hx-get", ""))
    assert [text(step) for step in live.one("ol", class_="timeline").iter("li")] == steps


def test_a_request_is_its_own_peoples(operator: Visitor, office: None) -> None:
    operator.get("/requests/1")
    for path in ("/requests/2", "/requests/2/rows", "/requests/9", "/requests/9/rows"):
        operator.get(path, 404)
