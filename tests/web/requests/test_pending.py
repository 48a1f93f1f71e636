"""The page of pending requests."""

import re
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from app.domain.hours import NEVER, format_week
from app.domain.lifecycle import ACTIVE, FINAL, REOPENABLE, Outcome, Status, Step
from app.domain.policy import LineState, ReasonCode
from app.services import users
from app.services.requests import pause
from app.services.requests.access import Scope
from app.services.requests.pending import PAGE_SIZE
from app.store.database import Database
from app.store.models import CallRequest, Module, QueueMemberRow, QueueRow, User, WorkerState
from app.store.settings import write_setting
from app.web.requests.remedies import NO_REMEDY
from app.web.requests.remedies import REMEDIES as REMEDIES_OF
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
    store,
)
from tests.web.pages import Page, Visitor, rows, text
from tests.web.requests.scene import ago, now

PAGE, ROWS = "/requests", "/requests/rows"


@pytest.fixture
def healthy(database: Database) -> None:
    """The telephone service runs, and 101 is free."""
    create_running_service(database)
    create_line(database, "101", since=ago(days=1))


def status(page: Page) -> str:
    """Return the text about the status of the only request."""
    return text(page.one("td", class_="card-second"))


def whom(page: Page) -> str:
    """Return for whom the only request is, and its module."""
    _chosen, _number, found, *_ = page.one("tbody").iter("td")
    return text(found)


def create(database: Database, module: Module | None = None, **values: Any) -> CallRequest:
    """Create a request for 101."""
    moments: dict[str, Any] = {"first_called_at": ago(minutes=3), "registered_at": ago(minutes=3), "target": "101"}
    return create_request(database, module or create_module(database), **(moments | values))


# -- buttons ----------------------------------------------------------------------------------------------------------


def test_the_menu_is_that_of_the_user_and_of_the_request_as_it_is(
    supervisor: Visitor, operator: Visitor, database: Database, healthy: None
) -> None:
    row = create(database)
    address = f"/requests/{row.id}/menu"

    def change(**values: Any) -> str:
        with database.write() as session:
            session.execute(update(CallRequest).values(**values))
        return text(supervisor.ask(address).root)

    of_supervisor = text(supervisor.ask(address).root)
    assert "Block the number" in of_supervisor and "Block the number" not in text(operator.ask(address).root)
    assert text(supervisor.ask(address).one("button", class_="picked")) == "normal"
    change(priority=1)
    assert text(supervisor.ask(address).one("button", class_="picked")) == "high"
    shown = supervisor.get(PAGE).one("button", data_menu="").get("value")
    assert supervisor.ask(address).one("button", class_="picked").get("value") == shown
    assert "Postpone" in of_supervisor and "Postpone" not in change(status="dialling")
    with database.write() as session:
        session.execute(update(User).values(locale="fa"))
    supervisor.locale = "fa"
    assert "Priority" in of_supervisor and "Priority" not in text(supervisor.ask(address).root)


def test_each_entry_of_the_menu_has_an_icon_of_its_own(supervisor: Visitor, database: Database, healthy: None) -> None:
    row = create(database)
    icons = re.findall(r'<use href="[^"]*#([\w-]+)"', supervisor.ask(f"/requests/{row.id}/menu").source)
    assert "ban" in icons and sorted(icons) == sorted(set(icons))


def test_nobody_gets_the_menu_of_a_request_that_they_may_not_see(
    supervisor: Visitor, operator: Visitor, database: Database, healthy: None
) -> None:
    create_line(database, "102")
    row = create(database, create_module(database, targets=["102"]), target="102")
    supervisor.ask(f"/requests/{row.id}/menu")
    operator.ask(f"/requests/{row.id}/menu", 404)
    supervisor.ask("/requests/99/menu", 404)


def test_a_menu_without_scripts_is_the_page_of_the_request(supervisor: Visitor, database: Database) -> None:
    row = create(database)
    answer = supervisor.get(f"/requests/{row.id}/menu", 302)
    assert "Block the number" in " ".join(supervisor.follow(answer).one("div", popover="").itertext())


def test_a_row_is_small(supervisor: Visitor, database: Database, healthy: None) -> None:
    """The page sends 50 of them with each change."""
    module = create_module(database, name="Sales")
    for number in range(10):
        create(database, module, number=f"0912123456{number}")
    source = supervisor.ask(ROWS).source
    (table,) = re.findall(r"<tbody>.*</tbody>", source, re.DOTALL)
    assert len(table.encode()) / 10 < 1800


def test_white_space_is_between_the_parts_of_a_cell(supervisor: Visitor, database: Database, healthy: None) -> None:
    """Narrow screens show them in one line."""
    request = create(database, create_module(database, name="Sales"), caller_name="Sara", priority=1, note="Turkish")
    create_attempt(database, request)
    (row,) = supervisor.get(PAGE).all("tr", id=f"request-{request.id}")
    glued = [
        (cell.get("class"), part.tag)
        for cell in row.iter("td")
        for before, part in pairwise(cell)
        if cell.get("class") not in ("card-first", "actions") and not (before.tail or "").endswith((" ", "\n"))
    ]
    assert glued == []


# -- rows -------------------------------------------------------------------------------------------------------------


def test_buttons_that_call_say_whom(supervisor: Visitor, database: Database, healthy: None) -> None:
    """Else a list of the buttons, as screen readers show it, has the same name again and again."""
    module = create_module(database)
    for number in ("09121111111", "09122222222"):
        create(database, module, number=number)
    page = supervisor.get(PAGE)
    buttons = [button for button in page.all("button", name="row") if "formaction" not in button.attrib]
    assert page.one("form", id="acts").get("action") == "/requests/acts/call"
    names = sorted(button.get("aria-label", "") for button in buttons)
    assert names == [f"Call now: Next free agent, {number}" for number in ("09121111111", "09122222222")]


def test_an_empty_page_has_no_table(supervisor: Visitor) -> None:
    page = supervisor.get(PAGE)
    assert page.has("ol", class_="first-steps") and not page.all("table")


def test_a_row_is_complete(supervisor: Visitor, database: Database, healthy: None) -> None:
    create_line(database, "102", state=LineState.IN_CALL.value)
    module = create_module(database, name="Sales", targets=["101", "102"], retries=2)
    create(database, module, target="102", caller_name="Sara", customer_attempts=1, agent_misses=2, note="Turkish",
           priority=1)  # fmt: skip
    (row,) = rows(supervisor.get(PAGE))
    assert row == (
        "09121234567 Sara Turkish extension 102 Sales 3 minutes ago place 1 in line waiting high 102 is in a call"
        " 1 of 3, 2 missed by agents Next free agent"
    )


def test_a_row_in_persian(app: Flask, database: Database, healthy: None) -> None:
    create_line(database, "102", state=LineState.IN_CALL.value)
    create(database, create_module(database, name="فروش", targets=["102"]), target="102", caller_name="سارا")
    users.set_locale(database, 4, "fa")
    (row,) = rows(Visitor(app, 4, locale="fa").get(PAGE))
    assert row == (
        "۰۹۱۲۱۲۳۴۵۶۷ سارا داخلی ۱۰۲ فروش ۳ دقیقه پیش نوبت ۱ در انتظار داخلی ۱۰۲ در حال مکالمه است ۰ از ۳"
        " اولین کارشناس آزاد"
    )


def test_without_a_target_all_extensions_are_shown(supervisor: Visitor, database: Database) -> None:
    create(database, create_module(database, targets=["101", "102"]), target="")
    assert whom(supervisor.get(PAGE)).startswith("extension 101, 102")


def test_a_request_for_a_queue(supervisor: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database, target_kind="queue", targets=["800"])
    store(database, QueueRow(name="800", live_callers=1))
    store(database, QueueMemberRow(queue="800", extension="101"))
    create(database, module, queue=True, target="800")
    page = supervisor.get(PAGE)
    assert whom(page).startswith("queue 800")
    assert "callers in the queue" in status(page)


def test_the_request_of_a_deleted_module_can_be_called(supervisor: Visitor, database: Database) -> None:
    create_request(database, None, target="101")
    page = supervisor.get(PAGE)
    assert "Deleted" in page.main and page.has("button", class_="btn-primary", name="row")


@pytest.mark.parametrize("state", LineState)
def test_each_state_of_a_line_is_a_reason(
    supervisor: Visitor, database: Database, healthy: None, state: LineState
) -> None:
    create_line(database, "103", state=state.value, since=ago(minutes=5))
    create(database, target="103")
    assert ("103" in status(supervisor.get(PAGE))) == (state is not LineState.FREE)


@pytest.mark.parametrize("of", Status)
def test_each_status_has_its_buttons(supervisor: Visitor, database: Database, healthy: None, of: Status) -> None:
    ended = now() if of in FINAL else None
    outcome = Outcome.CUSTOMER_BUSY.value if of is Status.FAILED else None
    request = create(database, status=of.value, done_at=ended, last_outcome=outcome)
    if of in (Status.DIALLING, Status.CONNECTED):
        create_attempt(database, request)
    page = supervisor.get(PAGE)
    may_call, may_cancel = of in (Status.WAITING, Status.UNCERTAIN), of in ACTIVE - {Status.CONNECTED}
    assert status(page).startswith(of.value)
    assert page.has("button", class_="btn-primary", name="row") == may_call
    menu = supervisor.ask("/requests/1/menu")
    assert menu.has("a", href="/requests/acts/reassign?row=1.1") == may_call
    assert menu.has("a", href="/requests/acts/cancel?row=1.1") == may_cancel
    assert menu.has("button", formaction="/requests/acts/priority?priority=1") == may_cancel
    assert page.has("button", formaction="/requests/acts/reopen", form="acts") == (of in REOPENABLE)
    assert page.has("input", form="several", name="row") == (of in ACTIVE | REOPENABLE)
    assert page.has("h2", class_="ended-title") == (of in FINAL)


def test_a_step_is_shown_with_the_agent(supervisor: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database)
    for number, step in enumerate(Step):
        of = Status.CONNECTED if step is Step.CONNECTED else Status.DIALLING
        number_of = f"+98912000000{number}"
        request = create(database, module, number=number_of, status=of.value, step=step.value, attempt=step.value)
        create_attempt(database, request, id=step.value, agent=f"20{number}")
    cells = [text(cell) for cell in supervisor.get(PAGE).all("td", class_="card-second")]
    assert sorted(cell[-5:] for cell in cells) == [f"(20{number})" for number in range(len(Step))]


def test_recently_ended_requests_are_shown(supervisor: Visitor, database: Database) -> None:
    module = create_module(database)
    for number in range(12):
        done = ago(minutes=number)
        create(database, module, number=f"+9891200000{number:02}", status="done", done_at=done)
    create(database, module, number="+989120000099", status="done", done_at=ago(minutes=31))
    shown = rows(supervisor.get(PAGE))
    assert len(shown) == 10
    assert shown[0].startswith("09120000000 ") and shown[9].startswith("09120000009 ")


def test_an_ended_request_shows_its_outcome_and_agent(supervisor: Visitor, database: Database) -> None:
    request = create(database, status="failed", done_at=now(), last_outcome="customer_busy")
    create_attempt(database, request, agent="105", ended_at=now(), outcome="customer_busy")
    assert text(supervisor.get(PAGE).one("div", class_="reason")) == "the customer was busy (105)"


def test_rows_are_in_the_order_of_service(supervisor: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database)
    create(database, module, number="+989120000001", first_called_at=ago(minutes=1))
    create(database, module, number="+989120000002", first_called_at=ago(minutes=9))
    create(database, module, number="+989120000003", priority=5)
    create(database, module, number="+989120000004", call_now=True)
    assert [row.split()[0][-1] for row in rows(supervisor.get(PAGE))] == ["4", "3", "2", "1"]


def test_each_row_names_the_request_before_it_in_line(supervisor: Visitor, database: Database, healthy: None) -> None:
    create_line(database, "102", since=ago(days=1))
    module = create_module(database, targets=["101", "102"])
    create(database, module, number="+989120000001")
    create(database, module, number="+989120000002", first_called_at=ago(minutes=2))
    create(database, module, number="+989120000003", first_called_at=ago(minutes=1), target="102")
    shown = rows(supervisor.get(PAGE))
    assert ["after 09120000001" in row for row in shown] == [False, True, False]
    assert [text(cell)[8:] for cell in supervisor.get(PAGE).all("td", class_="card-second")] == [
        "it is next",
        "in line after 09120000001",
        "it is next",
    ]


# State of the office -> what an administrator and an operator can do about the reason: addresses, and words
REASSIGN, CANCEL, BY_HAND = "/requests/acts/reassign?row=1.1", "/requests/acts/cancel?row=1.1", "tel:09121234567"
DONE = "/requests/acts/done?row=1.1"
CONNECT, SWITCH_OFF = "Connect the phone 101.", "Switch it off at the phone 101."
REMEDIES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"line": LineState.OFFLINE}, [CONNECT, REASSIGN], [CONNECT, REASSIGN]),
    ({"line": LineState.DND}, [SWITCH_OFF, REASSIGN], [SWITCH_OFF, REASSIGN]),
    ({"line": LineState.IN_CALL}, [], []),
    ({"module": {"automatic": False}}, ["/modules/1"], []),
    ({"module": {"hours": format_week(NEVER)}}, ["/settings/hours", "/modules/1"], []),
    ({"worker": {"ami_status": "down"}}, ["/settings/exchange", BY_HAND], [BY_HAND]),
    ({"worker": {"obstacle": "no_dialplan"}}, ["/settings/exchange", BY_HAND], [BY_HAND]),
    (
        {"stopped": True},
        ["On the server: start the service bazang-worker.", BY_HAND],
        [BY_HAND],
    ),
    ({"request": {"number": "+442079460000"}}, ["/settings/numbers", CANCEL], [CANCEL]),
    ({"request": {"status": "uncertain"}}, [DONE, CANCEL], [DONE, CANCEL]),
    ({"paused": True}, ["/calls/resume"], []),
    ({}, [], []),
]


@pytest.mark.parametrize(("scene", "for_admin", "for_operator"), REMEDIES, ids=[str(scene) for scene, _, _ in REMEDIES])
def test_the_remedy_stands_beside_the_reason(
    admin: Visitor,
    operator: Visitor,
    database: Database,
    scene: dict[str, Any],
    for_admin: list[str],
    for_operator: list[str],
) -> None:
    create_running_service(database, **{"region": "IR", "timezone": "Asia/Tehran", **scene.get("worker", {})})
    if scene.get("stopped"):
        with database.write() as session:
            session.get_one(WorkerState, 1).heartbeat = ago(hours=1)
    if scene.get("paused"):
        pause.pause(database, Scope("mina", everything=True), "", now())
    create_line(database, "101", state=scene.get("line", LineState.FREE).value, since=ago(days=1))
    create(database, create_module(database, **scene.get("module", {})), **scene.get("request", {}))
    for user, expected in ((admin, for_admin), (operator, for_operator)):
        for path in (PAGE, "/requests/1"):
            parts = [part for div in user.get(path).all("div", class_="remedy") for part in div]
            found = [part.get("href") or part.get("formaction") or text(part) for part in parts]
            assert found == expected, path


def test_each_reason_has_a_remedy_or_says_why_it_has_none() -> None:
    assert set(REMEDIES_OF) | set(NO_REMEDY) == set(ReasonCode)
    assert not set(REMEDIES_OF) & set(NO_REMEDY)
    assert all(REMEDIES_OF.values()) and all(NO_REMEDY.values())


def test_the_limits_are_the_remedy_of_a_limit(admin: Visitor, database: Database, healthy: None) -> None:
    with database.write() as session:
        write_setting(session, "calls_limit", "1")
    create(database)
    flying = create(database, number="+989120000009", status="dialling", step="claimed", attempt="a", target="105")
    create_attempt(database, flying, id="a", agent="105", number=flying.number)
    (link,) = admin.get(PAGE).one("div", class_="remedy")
    assert link.get("href") == "/settings"


def test_the_request_of_a_deleted_module_has_no_module_to_open(
    admin: Visitor, database: Database, healthy: None
) -> None:
    create_request(database, target="101")
    page = admin.get(PAGE)
    assert "automatic calls are off" in status(page) and not page.has("div", class_="remedy")


def test_each_attempt_has_a_mark(supervisor: Visitor, database: Database, healthy: None) -> None:
    request = create(database, customer_attempts=1, agent_misses=1)
    create_attempt(database, request, started_at=ago(minutes=2), ended_at=ago(minutes=2), outcome="agent_no_answer")
    create_attempt(database, request, started_at=ago(minutes=1), ended_at=ago(minutes=1), outcome="customer_busy")
    first, second = supervisor.get(PAGE).one("ol", class_="marks").iter("li")
    assert text(first).startswith("101: ") and "mark-agent" in first.get("class", "")
    assert text(second).startswith("101: ") and "mark-customer" in second.get("class", "")
    assert str(ago(minutes=1).year) in second.get("title", "")


# -- visibility and filters -------------------------------------------------------------------------------------------


@pytest.fixture
def several(database: Database, healthy: None) -> None:
    """Create requests for 101, for 102, for both, and for a queue of which 101 is a member."""
    sales = create_module(database, name="Sales", targets=["101", "102"])
    support = create_module(database, name="Support", target_kind="queue", targets=["800"])
    store(database, QueueRow(name="800", live_callers=0))
    store(database, QueueMemberRow(queue="800", extension="101"))
    create(database, sales, number="+989120000001", target="101")
    create(database, sales, number="+989120000002", target="102", status="uncertain")
    create(database, sales, number="+989120000003", target="")
    create(database, support, number="+989120000004", target="800", queue=True)


def shown(page: Page) -> str:
    """Return the last digits of the displayed numbers."""
    return "".join(row.split()[0][-1] for row in rows(page))


def test_an_operator_sees_their_own_requests(
    operator: Visitor, supervisor: Visitor, database: Database, several: None
) -> None:
    assert shown(operator.get(PAGE)) == shown(operator.ask(ROWS)) == "134"
    assert shown(supervisor.get(PAGE)) == "1234"
    with database.write() as session:
        session.get_one(User, 2).extensions = []
    page = operator.get(PAGE)
    assert shown(page) == "" and page.has("p", class_="nothing-text")


def test_the_filter_is_in_the_address(supervisor: Visitor, several: None) -> None:
    filters = {
        "module=2": "4",
        "target=extension:102": "2",
        "target=102": "2",
        "target=queue:800": "4",
        "target=extension:800": "",
        "status=uncertain": "2",
        "module=1&target=extension:101&status=waiting": "1",
        "module=&target=&status=": "1234",
        "module=99999999999999&target=:&status=done": "1234",
        "module=x&status=%27&target=:": "1234",
    }
    for query, numbers in filters.items():
        page = supervisor.get(f"{PAGE}?{query}")
        assert shown(page) == numbers, query
        assert shown(supervisor.ask(page.one(id="live").get("hx-get", ""))) == numbers, query
        if not numbers:
            assert "4" in text(page.one("p", class_="nothing-text"))


def test_the_filter_offers_what_the_user_sees_and_the_present_choice(operator: Visitor, several: None) -> None:
    page = operator.get(f"{PAGE}?target=extension:102&module=2")
    modules, targets, _status = [
        [(option.get("value"), option.get("selected") is not None) for option in select.iter("option")]
        for select in page.one("form", class_="filters").iter("select")
    ]
    assert modules == [("", False), ("1", False), ("2", True)]
    assert targets == [("", False), ("101", False), ("102", True), ("queue:800", False)]


# -- polling ----------------------------------------------------------------------------------------------------------


def test_a_long_list_has_pages(supervisor: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database)
    for number in range(PAGE_SIZE + 2):
        create(database, module, number=f"+98912000{number:04}", target="101", first_called_at=ago(minutes=60 - number))
    create(database, create_module(database), target="102")
    first, second = supervisor.get(PAGE), supervisor.get(f"{PAGE}?page=2")
    assert (len(rows(first)), len(rows(second))) == (PAGE_SIZE, 3)
    assert first.one("a", rel="next").get("href") == f"{PAGE}?page=2"
    assert second.one("a", rel="prev").get("href") == f"{PAGE}?page=1"
    filtered = supervisor.get(f"{PAGE}?target=extension:101&page=2")
    assert len(rows(filtered)) == 2
    assert filtered.one("a", rel="prev").get("href") == f"{PAGE}?page=1&target=extension:101"
    assert [len(rows(supervisor.ask(f"{ROWS}{query}"))) for query in ("?page=2", "")] == [3, PAGE_SIZE]
    assert [len(rows(supervisor.get(f"{PAGE}?page={page}"))) for page in ("99", "0", "x", "9" * 30)] == [
        3,
        PAGE_SIZE,
        PAGE_SIZE,
        PAGE_SIZE,
    ]


def test_the_page_polls_its_rows(supervisor: Visitor, database: Database, healthy: None) -> None:
    create(database)
    page = supervisor.get(PAGE)
    live = page.one(id="live")
    assert (live.get("hx-get"), live.get("hx-trigger"), live.get("hx-swap")) == (ROWS, "poll", "none")
    assert (live.get("hx-status:4xx"), live.get("hx-status:5xx")) == ("swap:none", "swap:none")
    fragment = supervisor.ask(ROWS)
    assert not fragment.all("html") and not fragment.all("nav")
    assert rows(fragment) == rows(page)
    assert fragment.one(id="tables").get("hx-swap-oob") == "innerMorph"
    assert {row.get("id") for row in fragment.all("tr") if row.get("id")} == {"request-1"}


def test_a_poll_leaves_the_message(supervisor: Visitor, database: Database) -> None:
    create(database)
    assert not supervisor.ask(ROWS).has(id="message")
    page = supervisor.get(PAGE)
    assert page.one(id="message") not in list(page.one(id="tables").iter())


def test_a_failed_poll_is_a_fragment(supervisor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("of the test")

    monkeypatch.setattr("app.web.requests.views.load_pending", fail)
    assert not supervisor.ask(ROWS, 500).all("html")
    assert supervisor.get(PAGE, 500).all("html")
