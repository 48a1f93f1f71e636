"""The page of pending requests: whom it shows, why each waits, and what can be done about it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.domain.lifecycle import ACTIVE, FINAL, Cancelled, Outcome, Status, Step
from app.domain.policy import LineState
from app.services import commands, users
from app.store.database import Database
from app.store.models import CallRequest, Module, QueueMemberRow, QueueRow
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
    store,
    wish,
)
from tests.web.conftest import Service
from tests.web.pages import Page, Visitor, rows, text

PAGE, ROWS = "/requests", "/requests/rows"
DONE = (True, "done")


def now() -> datetime:
    return datetime.now(UTC)


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


@pytest.fixture
def healthy(database: Database) -> None:
    """The telephone service runs, and 101 is free."""
    create_running_service(database)
    create_line(database, "101", since=ago(days=1))


def status(page: Page) -> str:
    """Return what is said of the only request."""
    return text(page.one("td", data_label="Status"))


def wait(database: Database, module: Module | None = None, **values: Any) -> CallRequest:
    """Store a request for 101."""
    moments = {"first_called_at": ago(minutes=3), "registered_at": ago(minutes=3), "target": "101"}
    return create_request(database, module or create_module(database), **(moments | values))


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_nobody_waits(operator: Visitor) -> None:
    assert "Nobody waits to be called back." in operator.get(PAGE).main


def test_a_row_says_who_for_whom_since_when_and_why(operator: Visitor, database: Database, healthy: None) -> None:
    create_line(database, "102", state=LineState.IN_CALL.value)
    module = create_module(database, name="Sales", targets=["101", "102"], retries=2)
    wait(database, module, target="102", caller_name="Sara", customer_attempts=1, agent_misses=2)
    (row,) = rows(operator.get(PAGE))
    assert row == (
        "09121234567 Sara extension 102 Sales 3 minutes ago waiting 102 is in a call"
        " 1 of 3 2 missed by agents Call now Cancel"
    )


def test_a_row_in_persian(app: Flask, database: Database, healthy: None) -> None:
    create_line(database, "102", state=LineState.IN_CALL.value)
    wait(database, create_module(database, name="فروش", targets=["102"]), target="102", caller_name="سارا")
    users.set_locale(database, 2, "fa")
    (row,) = rows(Visitor(app, 2, locale="fa").get(PAGE))
    assert row == (
        "۰۹۱۲۱۲۳۴۵۶۷ سارا داخلی ۱۰۲ فروش ۳ دقیقه پیش در انتظار داخلی ۱۰۲ در حال مکالمه است"
        " ۰ از ۳ همین حالا تماس بگیر لغو درخواست"
    )


def test_a_request_by_the_code_alone_is_for_every_extension(operator: Visitor, database: Database) -> None:
    wait(database, create_module(database, targets=["101", "102"]), target="")
    assert text(operator.get(PAGE).one("td", data_label="For whom")).startswith("extension 101, 102")


def test_a_request_for_a_queue(operator: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database, target_kind="queue", targets=["800"])
    store(database, QueueRow(name="800", live_callers=1))
    store(database, QueueMemberRow(queue="800", extension="101"))
    wait(database, module, queue=True, target="800")
    page = operator.get(PAGE)
    assert text(page.one("td", data_label="For whom")).startswith("queue 800")
    assert status(page) == "waiting live callers come first"


def test_a_request_whose_module_is_deleted_waits_for_a_hand(operator: Visitor, database: Database) -> None:
    create_request(database, None, target="101")
    page = operator.get(PAGE)
    assert "Deleted" in page.main and page.has("form", action="/requests/1/call")


def test_the_service_does_not_run(operator: Visitor, database: Database) -> None:
    wait(database)
    assert status(operator.get(PAGE)) == "waiting the telephone service is not running"


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            {"not_before": timedelta(minutes=4), "last_outcome": "customer_busy"},
            "next attempt in 04:00 (the customer was busy)",
        ),
        ({"postponed_until": timedelta(days=2)}, "postponed until"),
    ],
    ids=["retry", "postponed"],
)
def test_what_a_request_itself_waits_for(
    operator: Visitor, database: Database, healthy: None, prepare: dict[str, Any], said: str
) -> None:
    values = {k: now() + v if isinstance(v, timedelta) else v for k, v in prepare.items()}
    wait(database, **values)
    assert said in status(operator.get(PAGE))


@pytest.mark.parametrize("state", LineState)
def test_every_state_of_a_line_is_a_reason(
    operator: Visitor, database: Database, healthy: None, state: LineState
) -> None:
    create_line(database, "103", state=state.value, since=ago(minutes=5))
    wait(database, target="103")
    said = status(operator.get(PAGE)).removeprefix("waiting ")
    assert said == "it is next" if state is LineState.FREE else "103" in said


@pytest.mark.parametrize("of", Status)
def test_every_status_is_shown(operator: Visitor, database: Database, healthy: None, of: Status) -> None:
    ended = now() if of in FINAL else None
    outcome = Outcome.CUSTOMER_BUSY.value if of is Status.FAILED else None
    request = wait(database, status=of.value, done_at=ended, last_outcome=outcome)
    if of in (Status.DIALLING, Status.CONNECTED):
        create_attempt(database, request)
    page = operator.get(PAGE)
    assert status(page).startswith(of.value)
    assert page.has("form", action="/requests/1/call") == (of in (Status.WAITING, Status.UNCERTAIN))
    assert page.has("form", action="/requests/1/cancel") == (of in ACTIVE - {Status.CONNECTED})
    assert ("Lately ended" in page.main) == (of in FINAL)


@pytest.mark.parametrize("step", Step)
def test_every_step_is_shown_with_the_agent(operator: Visitor, database: Database, healthy: None, step: Step) -> None:
    of = Status.CONNECTED if step is Step.CONNECTED else Status.DIALLING
    request = wait(database, status=of.value, step=step.value, attempt="a")
    create_attempt(database, request, id="a", agent="101")
    assert status(operator.get(PAGE)).endswith("(101)")


@pytest.mark.parametrize("locale", ["fa", "en"])
@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_shown(app: Flask, database: Database, outcome: Outcome, locale: str) -> None:
    users.set_locale(database, 1, locale)
    request = wait(database, status="failed", done_at=now(), last_outcome=outcome.value)
    create_attempt(database, request, ended_at=now(), outcome=outcome.value)
    page = Visitor(app, 1, locale=locale).get(PAGE)
    said = text(page.one("div", class_="why"))
    assert said.endswith("(101)" if locale == "en" else "(۱۰۱)")


def test_what_ended_lately_stays_a_while(operator: Visitor, database: Database) -> None:
    module = create_module(database)
    for number in range(12):
        done = ago(minutes=number)
        wait(database, module, number=f"+9891200000{number:02}", status="done", done_at=done)
    wait(database, module, number="+989120000099", status="done", done_at=ago(minutes=31))
    shown = rows(operator.get(PAGE))
    assert len(shown) == 10
    assert shown[0].startswith("09120000000 ") and shown[9].startswith("09120000009 ")


def test_rows_are_in_the_order_in_which_they_are_served(operator: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database)
    wait(database, module, number="+989120000001", first_called_at=ago(minutes=1))
    wait(database, module, number="+989120000002", first_called_at=ago(minutes=9))
    wait(database, module, number="+989120000003", priority=5)
    wait(database, module, number="+989120000004", call_now=True)
    assert [row.split()[0][-1] for row in rows(operator.get(PAGE))] == ["4", "3", "2", "1"]


def test_a_request_of_an_extension_is_shown_by_its_number(operator: Visitor, database: Database) -> None:
    wait(database, number="102")
    assert rows(operator.get(PAGE))[0].startswith("102 ")


# -- live -------------------------------------------------------------------------------------------------------------


def test_the_page_asks_for_its_rows_again_and_again(operator: Visitor, database: Database, healthy: None) -> None:
    wait(database)
    page = operator.get(PAGE)
    tables = page.one(id="tables")
    assert (tables.get("hx-get"), tables.get("hx-trigger")) == (ROWS, "every 1s")
    fragment = operator.ask(ROWS)
    assert not fragment.all("html") and not fragment.all("nav")
    assert rows(fragment) == rows(page)
    assert {row.get("id") for row in fragment.all("tr") if row.get("id")} == {"request-1"}


def test_the_message_survives_the_next_look(operator: Visitor, database: Database) -> None:
    """What the rows are replaced by holds no place for messages: they stand outside."""
    wait(database)
    assert not operator.ask(ROWS).has(id="message")
    page = operator.get(PAGE)
    assert page.one(id="message") not in list(page.one(id="tables").iter())


# -- what can be done -------------------------------------------------------------------------------------------------

ACTIONS = [
    ("call", "call_now", "It is called as soon as an agent is free."),
    ("cancel", "cancel", "The request is cancelled."),
]


@pytest.mark.parametrize(("action", "kind", "said"), ACTIONS)
def test_an_action_is_asked_of_the_service(
    operator: Visitor, database: Database, service: Service, action: str, kind: str, said: str
) -> None:
    wait(database)
    with service(**{kind: DONE}) as taken:
        page = operator.follow(operator.post(f"/requests/1/{action}"))
    assert page.message == said
    assert [(c.kind, c.payload, c.actor) for c in taken] == [(kind, {"request": 1}, "omid")]


@pytest.mark.parametrize(("action", "kind", "said"), ACTIONS)
def test_an_action_by_htmx_is_answered_by_the_tables(
    operator: Visitor, database: Database, service: Service, action: str, kind: str, said: str
) -> None:
    wait(database)
    with service(**{kind: DONE}):
        page = operator.press(f"/requests/1/{action}")
    assert page.message == said
    assert page.one(id="message").get("hx-swap-oob") == "innerHTML"
    assert len(rows(page)) == 1 and not page.all("nav")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("is_dialling", "It is being dialled already."),
        ("is_connected", "They are talking already."),
        ("is_cancelled", "This cannot be done any more."),
        ("expired", "The telephone service was too late; nothing was done."),
        ("brand_new", "This cannot be done any more."),
    ],
)
@pytest.mark.parametrize("htmx", [False, True])
def test_what_could_not_be_done_is_said(
    operator: Visitor, database: Database, service: Service, result: str, said: str, htmx: bool
) -> None:
    wait(database)
    with service(call_now=(False, result)):
        path = "/requests/1/call"
        page = operator.press(path) if htmx else operator.follow(operator.post(path))
    assert page.message == said
    assert page.has("div", class_="alert-warning")


@pytest.mark.parametrize("htmx", [False, True])
def test_a_request_that_is_gone(operator: Visitor, service: Service, htmx: bool) -> None:
    with service(cancel=(False, "not_found")):
        page = (
            operator.press("/requests/9/cancel", status=404)
            if htmx
            else operator.post("/requests/9/cancel", status=404)
        )
    assert "There is no such page" in page.main
    if htmx:
        assert page.response.headers["HX-Retarget"] == "#message"
        assert not page.all("html"), "a whole page would be put into the table"


@pytest.mark.parametrize("htmx", [False, True])
def test_nobody_answers(operator: Visitor, database: Database, htmx: bool) -> None:
    wait(database)
    began = time.monotonic()
    page = operator.press("/requests/1/call") if htmx else operator.follow(operator.post("/requests/1/call"))
    assert 2 <= time.monotonic() - began < 4
    assert "does not answer" in page.message
    assert len(commands.take(database, now())) == 1, "it may still be done"


def test_a_late_service_does_nothing(operator: Visitor, database: Database, service: Service) -> None:
    wait(database)
    commands.ask(database, commands.CANCEL, {"request": 1}, actor="omid", now=ago(seconds=31))
    with service() as taken:
        operator.get(PAGE)
        assert commands.wait_for(database, 1, seconds=5) is not None
    assert taken == []


def test_a_cancelled_request_is_shown_as_such(operator: Visitor, database: Database, healthy: None) -> None:
    wait(database)
    wish(database, 1, Cancelled(), "omid", now())
    assert status(operator.get(PAGE)).startswith("cancelled")


def test_an_action_is_no_link(operator: Visitor, database: Database) -> None:
    wait(database)
    operator.get("/requests/1/cancel", 405)
    operator.get("/requests/1/call", 405)


# -- when the page itself fails ---------------------------------------------------------------------------------------


def test_a_failed_look_is_no_whole_page(operator: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.requests.pending", _fail)
    assert not operator.ask(ROWS, 500).all("html")
    assert "our own fault" in operator.get(PAGE, 500).main


def test_what_asks_by_itself_keeps_what_it_has(operator: Visitor) -> None:
    page = operator.get(PAGE)
    for place in (page.one(id="tables"), page.one(id="status-line")):
        assert (place.get("hx-status:4xx"), place.get("hx-status:5xx")) == ("swap:none", "swap:none")


def _fail(*_: object) -> None:
    raise RuntimeError("of the test")
