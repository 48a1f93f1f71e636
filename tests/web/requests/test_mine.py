"""My requests, a request's own page, and the one poll that keeps every page up to date."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from app.extensions import db
from app.services import users
from app.services.requests import pause, perform
from app.services.requests.access import Scope
from app.services.requests.actions import Postpone, Prioritise, Reassign, ShownRequest, WriteNote
from app.store.database import Database
from app.store.models import CallRequest, User
from app.web import live
from app.web.live import Views
from script.lib import chime
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
)
from tests.web.conftest import PASSWORD
from tests.web.pages import Page, Visitor, rows, text

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


# -- the poll ---------------------------------------------------------------------------------------------------------


def look(visitor: Visitor, path: str = "/requests/rows", etag: str = "", status: int = 200) -> Page:
    headers = {"HX-Request": "true"} | ({"If-None-Match": etag} if etag else {})
    return visitor.get(path, status, headers=headers)


def etag_of(page: Page) -> str:
    return str(page.response.headers["ETag"])


PATHS = ["/requests/rows", "/mine/rows", "/requests/1/rows", "/live", "/requests/rows?module=1"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_sent_while_nothing_has_changed(
    operator: Visitor, database: Database, office: None, path: str
) -> None:
    etag = etag_of(look(operator, path))
    assert look(operator, path, etag, 304).response.data == b""
    pause.pause(database, EVERYBODY, "", now())
    page = look(operator, path, etag)
    assert "Automatic calls are paused." in page.main
    look(operator, path, etag_of(page), 304)


def test_what_changed_without_being_seen_is_not_sent(operator: Visitor, database: Database, office: None) -> None:
    etag = etag_of(look(operator))
    with database.write() as session:
        session.get_one(User, 1).locale = "fa"
    look(operator, etag=etag, status=304)


def test_what_changes_for_others_is_not_sent(
    operator: Visitor, supervisor: Visitor, database: Database, office: None
) -> None:
    etags = [etag_of(look(visitor)) for visitor in (operator, supervisor)]
    perform.perform(database, EVERYBODY, WriteNote("for 102"), [ShownRequest(2, 1)], now())
    look(operator, etag=etags[0], status=304)
    assert "for 102" in look(supervisor, etag=etags[1]).main


def test_a_look_at_what_has_not_changed_asks_the_database_nothing(app: Flask, operator: Visitor, office: None) -> None:
    etag = etag_of(look(operator))
    statements: list[str] = []
    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    look(operator, etag=etag, status=304)
    assert statements == []


def test_a_countdown_is_the_browsers(operator: Visitor, database: Database, office: None) -> None:
    until = now() + timedelta(minutes=4)
    with database.write() as session:
        row = session.get_one(CallRequest, 1)
        row.not_before, row.last_outcome = until, "customer_busy"
    page = look(operator)
    (left,) = (part for part in page.all("span") if part.get("data-until"))
    assert left.get("data-until") == str(int(until.timestamp() * 1000))
    with database.write() as session:
        session.get_one(User, 1).locale = "fa"  # so it is made anew
    look(operator, etag=etag_of(page), status=304)


def test_another_user_is_shown_their_own(app: Flask, operator: Visitor, supervisor: Visitor, office: None) -> None:
    etag = etag_of(look(supervisor))
    assert "09120000002" not in look(operator, etag=etag).main


def test_what_users_share_names_none_of_them(app: Flask, database: Database, supervisor: Visitor, office: None) -> None:
    other = Visitor(app, users.create(database, "second", PASSWORD, "supervisor", now(), locale="en"))
    polled = [look(visitor, "/live").source for visitor in (supervisor, other)]
    assert polled[0] == polled[1] and "data-user" not in polled[0]
    named = [visitor.get("/requests").one("button", class_="sound").get("data-user") for visitor in (supervisor, other)]
    assert None not in named and named[0] != named[1]


def views(app: Flask) -> Views:
    found = app.extensions["bazang_live"]
    assert isinstance(found, Views)
    return found


def test_a_page_that_is_not_there_leaves_nothing_behind(app: Flask, supervisor: Visitor, office: None) -> None:
    look(supervisor)
    for number in range(100, 105):
        look(supervisor, f"/requests/{number}/rows", status=404)
    assert len(views(app)._views) == len(views(app)._locks) == 1


def test_what_an_address_says_besides_makes_no_view_of_its_own(
    app: Flask, supervisor: Visitor, operator: Visitor, office: None
) -> None:
    for visitor, path in ((supervisor, "/requests/rows"), (operator, "/mine/rows")):
        before = len(views(app)._views)
        for address in (path, f"{path}?", f"{path}?x=1", f"{path}?x=2&y=3"):
            look(visitor, address)
        assert len(views(app)._views) == before + 1


def test_each_filter_and_each_request_is_a_view_of_its_own(supervisor: Visitor, office: None) -> None:
    assert "09120000002" not in look(supervisor, "/requests/rows?target=extension:101").main
    assert "09120000002" in look(supervisor, "/requests/rows?target=extension:102").main
    assert "09120000002" not in look(supervisor, "/requests/1/rows").main
    assert "09120000002" in look(supervisor, "/requests/2/rows").main


def test_a_view_that_is_over_is_dropped(app: Flask, supervisor: Visitor, office: None, monkeypatch: Any) -> None:
    look(supervisor, "/requests/1/rows")
    later = now() + live.TICK
    monkeypatch.setattr(live, "utcnow", lambda: later)
    look(supervisor, "/requests/2/rows")
    assert len(views(app)._views) == len(views(app)._locks) == 1


def test_views_have_room_for_so_many_bytes(app: Flask, supervisor: Visitor, office: None, monkeypatch: Any) -> None:
    size = len(look(supervisor, "/requests/rows?module=9").source.encode())
    monkeypatch.setattr(live, "MOST_BYTES", size * 2)
    for module in range(2, 7):
        look(supervisor, f"/requests/rows?module={module}")
    kept = views(app)._views.values()
    assert 1 <= len(kept) == len(views(app)._locks) <= 2
    assert sum(len(view.body) for view in kept) <= size * 2
    monkeypatch.setattr(live, "MOST_BYTES", size // 10)
    look(supervisor, "/live")
    assert not views(app)._views and not views(app)._locks


def test_the_badge_counts_what_waits(
    operator: Visitor, supervisor: Visitor, admin: Visitor, database: Database, office: None
) -> None:
    assert text(operator.get("/mine").one(id="count-mine-index")) == "1 waiting"
    assert not operator.get("/mine").has(id="count-requests-index")
    assert text(supervisor.get("/requests").one(id="count-requests-index")) == "2 waiting"
    assert not supervisor.get("/requests").has(id="count-mine-index")
    own(database, "102", user=4)
    page = supervisor.get("/requests")
    assert text(page.one(id="count-mine-index")) == "1 waiting"
    assert page.one(id="arrivals").get("data-newest") == "2"
    assert text(admin.get("/modules").one(id="count-requests-index")) == "2 waiting"
    assert text(look(admin, "/live").one(id="count-requests-index")) == "2 waiting"


def test_a_user_who_is_gone_is_sent_to_the_log_in(operator: Visitor, database: Database, office: None) -> None:
    etag = etag_of(look(operator))
    with database.write() as session:
        session.get_one(User, 2).active = False
    page = look(operator, etag=etag, status=401)
    assert page.response.headers["HX-Redirect"].startswith("/login")


def test_the_sound_is_what_the_code_makes() -> None:
    assert Path(chime.FILE).read_bytes() == chime.make()


def test_tables_hold_no_token(app: Flask, operator: Visitor, office: None) -> None:
    """A token is another one for every answer: nothing would ever be the same."""
    app.config["WTF_CSRF_ENABLED"] = True
    for path in PATHS:
        fragment: Any = look(operator, path)
        assert "csrf_token" not in fragment.source and not fragment.all("form")
