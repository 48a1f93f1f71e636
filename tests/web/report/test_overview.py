"""The overview and the board: how the office stands, as far as it concerns the reader."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from app.domain.policy import LineState
from app.services import users
from app.services.requests.pause import Pause, save_pause
from app.store.database import Database
from app.store.models import CallRequest, WorkerState
from app.web.report.overview import MAX_LINES
from tests.support.factories import (
    NOW,
    create_attempt,
    create_line,
    create_module,
    create_queue,
    create_request,
    create_running_service,
)
from tests.web.conftest import PASSWORD
from tests.web.pages import Page, Visitor, text


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def office(database: Database) -> None:
    """101 talks, 102 is free, 103 is nobody's; each of the first two has somebody who waits, and so has a queue."""
    create_running_service(database)
    for number, person, state in (("101", "Omid", "in_call"), ("102", "Zahra", "free"), ("103", "", "offline")):
        create_line(database, number, name=person, state=state, since=now() - timedelta(minutes=7))
    create_queue(database, "800", "102", live_callers=2)
    module = create_module(database, targets=["101", "102"])
    support = create_module(database, name="Support", target_kind="queue", targets=["800"])
    create_request(database, module, target="101", first_called_at=now() - timedelta(minutes=95))
    create_request(database, module, target="102", number="+989350000001", first_called_at=now() - timedelta(minutes=5))
    create_request(database, support, target="800", queue=True, number="+989350000002", first_called_at=now())
    for number, status in (("3", "done"), ("4", "done"), ("5", "failed"), ("6", "cancelled")):
        create_request(
            database,
            module,
            target="102",
            number=f"+98935000000{number}",
            status=status,
            done_at=now(),
            registered_at=now(),
        )


def figure(page: Page, name: str) -> str:
    return text(page.one(id=f"figure-{name}"))


def lines(page: Page) -> list[str]:
    return [
        element.get("id", "").removeprefix("line-") for element in page.all("li") if "line-" in element.get("id", "")
    ]


@pytest.mark.parametrize("path", ["/overview", "/wallboard"])
def test_everything_is_seen_by_whoever_sees_everything(
    admin: Visitor, supervisor: Visitor, office: None, path: str
) -> None:
    for visitor in (admin, supervisor):
        page = visitor.get(path)
        assert figure(page, "waiting") == "Waiting now 3"
        assert figure(page, "longest") == "Longest wait 1:35 hours"
        assert figure(page, "served").startswith("Served today 2")
        assert figure(page, "today") == "Success today 67% 2 of 3"
        assert figure(page, "week") == "Success in 7 days 67% 2 of 3"
        assert lines(page) == ["101", "102"]
        line = text(page.one(id="line-101"))
        assert "Omid" in line and "in a call" in line and ("7 minutes ago" in line or "7 min" in line)
        assert "free" in text(page.one(id="line-102"))
        queue = text(page.one(id="queue-1"))
        assert "800" in queue and "1 of 1" in queue and "2" in queue


@pytest.mark.parametrize("path", ["/overview", "/wallboard", "/overview/body", "/wallboard/body"])
def test_an_operator_sees_their_own_alone(operator: Visitor, office: None, path: str) -> None:
    page = operator.ask(path) if path.endswith("body") else operator.get(path)
    assert figure(page, "waiting") == "Waiting now 1"
    assert figure(page, "today") == "Success today –"
    assert lines(page) == ["101"]
    assert "Zahra" not in page.source and "800" not in page.main


def test_who_has_no_extension_is_told_what_to_do(app: Flask, database: Database, office: None) -> None:
    user = users.create(database, "reza", PASSWORD, "operator", NOW, locale="en")
    page = Visitor(app, user, locale="en").get("/overview")
    assert "You have no extension yet." in page.main
    assert figure(page, "waiting") == "Waiting now 0"
    assert lines(page) == []


def test_an_empty_office_is_told(admin: Visitor) -> None:
    assert "No lines to show yet." in admin.get("/overview").main
    page = admin.get("/wallboard")
    assert "No lines to show yet." in page.main
    assert figure(page, "longest") == "Longest wait –"


def test_what_is_being_called_and_talked_is_counted(admin: Visitor, database: Database) -> None:
    for status, number in (("dialling", "1"), ("connected", "2"), ("connected", "3"), ("uncertain", "4")):
        request = create_request(database, number=f"+98935000000{number}", status=status, target="101")
        if status != "uncertain":
            create_attempt(database, request, agent=f"10{number}")
    page = admin.get("/overview")
    assert figure(page, "dialling") == "Being called 3 2 of them talking"
    assert "The result of the last call is not known for 1 request." in text(page.one(id="uncertain"))


@pytest.mark.parametrize(
    ("state", "levels"),
    [
        ({}, ("ok running", "ok connected", "ok up to date")),
        ({"heartbeat": NOW}, ("fault not running", "unknown not known", "unknown not known")),
        ({"ami_status": "down"}, ("ok running", "fault not connected", "unknown not known")),
        ({"dialplan_running": "0"}, ("ok running", "ok connected", "warning out of date")),
        ({"dialplan_detail": "[Errno 28]"}, ("ok running", "ok connected", "fault faulty")),
    ],
)
@pytest.mark.parametrize("path", ["/overview", "/wallboard"])
def test_each_part_of_the_telephone_side_is_told(
    admin: Visitor, database: Database, state: dict[str, object], levels: tuple[str, ...], path: str
) -> None:
    create_running_service(database)
    with database.write() as session:
        row = session.get_one(WorkerState, 1)
        for name, value in state.items():
            setattr(row, name, value)
        from app.store.settings import write_setting

        write_setting(session, "outbound_context", "from-internal")
    page = admin.get(path)
    found = [page.one(id=f"health-{name}") for name in ("service", "pbx", "dialplan")]
    told = [f"{part.get('class', '').removeprefix('health-')} {text(part).split(': ')[1]}" for part in found]
    assert told == list(levels)


def test_the_board_is_cut_where_it_would_be_too_long(admin: Visitor, database: Database) -> None:
    numbers = [str(number) for number in range(101, 121)]
    for number in numbers:
        create_line(database, number, state=LineState.FREE.value if number > "110" else LineState.OFFLINE.value)
    module = create_module(database, targets=numbers)
    create_request(database, module, target="120")
    for name in ("800", "801", "802", "803", "804"):
        create_queue(database, name, live_callers=int(name == "804"))
    page = admin.get("/wallboard")
    assert lines(page) == [*numbers[: MAX_LINES - 1], "120"], "for whom somebody waits is never left out"
    assert "and 8 more, 8 of them free" in page.main
    queues = [text(element) for element in page.all("li", class_="board-queue")]
    assert [queue.split()[0] for queue in queues] == ["800", "801", "804"]
    assert "and 2 more" in page.main
    assert lines(admin.get("/overview")) == numbers, "a page can be scrolled"


def test_the_board_is_dark_unless_asked_otherwise(admin: Visitor, database: Database) -> None:
    users.set_theme(database, 1, "light")
    assert admin.get("/wallboard").one("html").get("data-bs-theme") == "dark"
    assert admin.get("/wallboard", colours="light").one("html").get("data-bs-theme") == "light"
    assert admin.get("/wallboard", colours="x").one("html").get("data-bs-theme") == "dark"


def test_the_board_has_nothing_to_click_but_the_way_back(admin: Visitor, office: None) -> None:
    page = admin.get("/wallboard")
    assert not page.has("nav") and not page.has("form") and not page.has("button")
    assert [link.get("href") for link in page.one("main").iter("a")] == ["/overview"]


def test_the_board_tells_day_and_time_of_the_office(
    admin: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.report.overview.utcnow", lambda: datetime(2026, 11, 24, 21, 5, tzinfo=UTC))
    page = admin.get("/wallboard")
    assert text(page.one(class_="board-clock")) == "Wednesday, 25 November 2026 00:35", "Tehran is 3:30 ahead"
    users.set_locale(database, 1, "fa")
    admin.locale = "fa"
    assert text(admin.get("/wallboard").one(class_="board-clock")) == "چهارشنبه ۴ آذر ۱۴۰۵ ۰۰:۳۵"


def test_a_pause_is_told_on_the_board(admin: Visitor, database: Database) -> None:
    assert "paused" not in admin.get("/wallboard").main
    with database.write() as session:
        save_pause(session, Pause("sara", now()), "sara", now())
    assert "All automatic calls are paused." in admin.get("/wallboard").main


def test_names_are_escaped(admin: Visitor, database: Database, office: None) -> None:
    with database.write() as session:
        from app.store.models import ExtensionRow

        session.get_one(ExtensionRow, "101").name = "<b>x</b>"
    for path in ("/overview", "/wallboard"):
        assert "<b>x" in text(admin.get(path).one(id="line-101"))


def test_the_figures_follow_the_rows(admin: Visitor, database: Database, office: None) -> None:
    with database.write() as session:
        session.get_one(CallRequest, 1).status = "cancelled"
    assert figure(admin.ask("/overview/body"), "waiting") == "Waiting now 2"
