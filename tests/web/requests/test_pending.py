"""The page of pending requests: whom it shows, why each waits, and what can be done about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.domain.lifecycle import ACTIVE, FINAL, Outcome, Status, Step
from app.domain.policy import LineState
from app.services import users
from app.store.database import Database
from app.store.models import CallRequest, Module, QueueMemberRow, QueueRow
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
    store,
)
from tests.web.pages import Page, Visitor, rows, text

PAGE, ROWS = "/requests", "/requests/rows"


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


def test_nobody_waits(supervisor: Visitor) -> None:
    assert "Nobody waits to be called back." in supervisor.get(PAGE).main


def test_a_row_says_who_for_whom_since_when_and_why(supervisor: Visitor, database: Database, healthy: None) -> None:
    create_line(database, "102", state=LineState.IN_CALL.value)
    module = create_module(database, name="Sales", targets=["101", "102"], retries=2)
    wait(database, module, target="102", caller_name="Sara", customer_attempts=1, agent_misses=2)
    (row,) = rows(supervisor.get(PAGE))
    assert row == (
        "09121234567 Sara extension 102 Sales 3 minutes ago place 1 in line waiting 102 is in a call"
        " 1 of 3, 2 missed by agents Call now"
    )


def test_a_row_in_persian(app: Flask, database: Database, healthy: None) -> None:
    create_line(database, "102", state=LineState.IN_CALL.value)
    wait(database, create_module(database, name="فروش", targets=["102"]), target="102", caller_name="سارا")
    users.set_locale(database, 4, "fa")
    (row,) = rows(Visitor(app, 4, locale="fa").get(PAGE))
    assert row == (
        "۰۹۱۲۱۲۳۴۵۶۷ سارا داخلی ۱۰۲ فروش ۳ دقیقه پیش نوبت ۱ در انتظار داخلی ۱۰۲ در حال مکالمه است"
        " ۰ از ۳ همین حالا تماس بگیر"
    )


def test_a_request_by_the_code_alone_is_for_every_extension(supervisor: Visitor, database: Database) -> None:
    wait(database, create_module(database, targets=["101", "102"]), target="")
    assert text(supervisor.get(PAGE).one("td", data_label="For whom")).startswith("extension 101, 102")


def test_a_request_for_a_queue(supervisor: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database, target_kind="queue", targets=["800"])
    store(database, QueueRow(name="800", live_callers=1))
    store(database, QueueMemberRow(queue="800", extension="101"))
    wait(database, module, queue=True, target="800")
    page = supervisor.get(PAGE)
    assert text(page.one("td", data_label="For whom")).startswith("queue 800")
    assert status(page) == "waiting live callers come first"


def test_a_request_whose_module_is_deleted_waits_for_a_hand(supervisor: Visitor, database: Database) -> None:
    create_request(database, None, target="101")
    page = supervisor.get(PAGE)
    assert "Deleted" in page.main and page.has("button", class_="btn-primary", name="row")


def test_the_service_does_not_run(supervisor: Visitor, database: Database) -> None:
    wait(database)
    assert status(supervisor.get(PAGE)) == "waiting the telephone service is not running"


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
    supervisor: Visitor, database: Database, healthy: None, prepare: dict[str, Any], said: str
) -> None:
    values = {k: now() + v if isinstance(v, timedelta) else v for k, v in prepare.items()}
    wait(database, **values)
    assert said in status(supervisor.get(PAGE))


@pytest.mark.parametrize("state", LineState)
def test_every_state_of_a_line_is_a_reason(
    supervisor: Visitor, database: Database, healthy: None, state: LineState
) -> None:
    create_line(database, "103", state=state.value, since=ago(minutes=5))
    wait(database, target="103")
    said = status(supervisor.get(PAGE)).removeprefix("waiting ")
    assert said == "it is next" if state is LineState.FREE else "103" in said


@pytest.mark.parametrize("of", Status)
def test_every_status_is_shown(supervisor: Visitor, database: Database, healthy: None, of: Status) -> None:
    ended = now() if of in FINAL else None
    outcome = Outcome.CUSTOMER_BUSY.value if of is Status.FAILED else None
    request = wait(database, status=of.value, done_at=ended, last_outcome=outcome)
    if of in (Status.DIALLING, Status.CONNECTED):
        create_attempt(database, request)
    page = supervisor.get(PAGE)
    assert status(page).startswith(of.value)
    assert page.has("button", class_="btn-primary", name="row") == (of in (Status.WAITING, Status.UNCERTAIN))
    assert page.has("a", href="/requests/acts/cancel?row=1.1") == (of in ACTIVE - {Status.CONNECTED})
    assert ("Lately ended" in page.main) == (of in FINAL)


@pytest.mark.parametrize("step", Step)
def test_every_step_is_shown_with_the_agent(supervisor: Visitor, database: Database, healthy: None, step: Step) -> None:
    of = Status.CONNECTED if step is Step.CONNECTED else Status.DIALLING
    request = wait(database, status=of.value, step=step.value, attempt="a")
    create_attempt(database, request, id="a", agent="101")
    assert status(supervisor.get(PAGE)).endswith("(101)")


@pytest.mark.parametrize("locale", ["fa", "en"])
@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_shown(app: Flask, database: Database, outcome: Outcome, locale: str) -> None:
    users.set_locale(database, 1, locale)
    request = wait(database, status="failed", done_at=now(), last_outcome=outcome.value)
    create_attempt(database, request, ended_at=now(), outcome=outcome.value)
    page = Visitor(app, 1, locale=locale).get(PAGE)
    said = text(page.one("div", class_="reason"))
    assert said.endswith("(101)" if locale == "en" else "(۱۰۱)")


def test_what_ended_lately_stays_a_while(supervisor: Visitor, database: Database) -> None:
    module = create_module(database)
    for number in range(12):
        done = ago(minutes=number)
        wait(database, module, number=f"+9891200000{number:02}", status="done", done_at=done)
    wait(database, module, number="+989120000099", status="done", done_at=ago(minutes=31))
    shown = rows(supervisor.get(PAGE))
    assert len(shown) == 10
    assert shown[0].startswith("09120000000 ") and shown[9].startswith("09120000009 ")


def test_rows_are_in_the_order_in_which_they_are_served(supervisor: Visitor, database: Database, healthy: None) -> None:
    module = create_module(database)
    wait(database, module, number="+989120000001", first_called_at=ago(minutes=1))
    wait(database, module, number="+989120000002", first_called_at=ago(minutes=9))
    wait(database, module, number="+989120000003", priority=5)
    wait(database, module, number="+989120000004", call_now=True)
    assert [row.split()[0][-1] for row in rows(supervisor.get(PAGE))] == ["4", "3", "2", "1"]


def test_a_request_of_an_extension_is_shown_by_its_number(supervisor: Visitor, database: Database) -> None:
    wait(database, number="102")
    assert rows(supervisor.get(PAGE))[0].startswith("102 ")


# -- whom it shows, and what is asked for -----------------------------------------------------------------------------


@pytest.fixture
def several(database: Database, healthy: None) -> None:
    """Requests for 101, for 102, for any of both, and for a queue in which 101 serves."""
    sales = create_module(database, name="Sales", targets=["101", "102"])
    support = create_module(database, name="Support", target_kind="queue", targets=["800"])
    store(database, QueueRow(name="800", live_callers=0))
    store(database, QueueMemberRow(queue="800", extension="101"))
    wait(database, sales, number="+989120000001", target="101")
    wait(database, sales, number="+989120000002", target="102", status="uncertain")
    wait(database, sales, number="+989120000003", target="")
    wait(database, support, number="+989120000004", target="800", queue=True)


def shown(page: Page) -> str:
    """Return the last digits of the numbers that are shown."""
    return "".join(row.split()[0][-1] for row in rows(page))


def test_an_operator_sees_what_is_theirs(
    operator: Visitor, supervisor: Visitor, database: Database, several: None
) -> None:
    assert shown(operator.get(PAGE)) == shown(operator.ask(ROWS)) == "134"
    assert shown(supervisor.get(PAGE)) == "1234"
    with database.write() as session:
        session.get_one(users.User, 2).extensions = []
    page = operator.get(PAGE)
    assert shown(page) == "" and "Ask an administrator to enter your extension" in page.main


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("module=2", "4"),
        ("target=extension:102", "2"),
        ("target=queue:800", "4"),
        ("target=extension:800", ""),
        ("status=uncertain", "2"),
        ("module=1&status=waiting", "13"),
        ("module=1&target=extension:101&status=waiting", "1"),
        ("module=&target=&status=", "1234"),
        ("module=x&target=x&status=done", "1234"),
        ("module=99999999999999&status=%27&target=:", "1234"),
    ],
)
def test_the_filter_stays_in_the_address(supervisor: Visitor, several: None, query: str, numbers: str) -> None:
    page = supervisor.get(f"{PAGE}?{query}")
    assert shown(page) == numbers
    live = page.one(id="live").get("hx-get", "")
    assert shown(supervisor.ask(live)) == numbers
    if not numbers:
        assert "No request fits the filter. 4 wait altogether." in page.main


def test_the_filter_offers_what_is_there(operator: Visitor, several: None) -> None:
    page = operator.get(f"{PAGE}?target=extension:102&module=2")
    modules, targets, _status = [
        [(text(option), option.get("selected") is not None) for option in select.iter("option")]
        for select in page.one("form", class_="filters").iter("select")
    ]
    assert modules == [("All", False), ("Sales", False), ("Support", True)]
    assert targets == [("All", False), ("extension 101", False), ("queue 800", False), ("extension 102", True)]


def test_each_attempt_is_a_mark_in_words(supervisor: Visitor, database: Database, healthy: None) -> None:
    request = wait(database, customer_attempts=1, agent_misses=1)
    create_attempt(database, request, started_at=ago(minutes=2), ended_at=ago(minutes=2), outcome="agent_no_answer")
    create_attempt(database, request, started_at=ago(minutes=1), ended_at=ago(minutes=1), outcome="customer_busy")
    page = supervisor.get(PAGE)
    first, second = page.one("ol", class_="marks").iter("li")
    assert text(first) == "101: the agent did not answer." and "mark-agent" in first.get("class", "")
    assert text(second) == "101: the customer was busy." and "mark-customer" in second.get("class", "")
    assert str(ago(minutes=1).year) in second.get("title", "")


def test_a_note_and_a_priority_are_seen(supervisor: Visitor, database: Database, healthy: None) -> None:
    wait(database, note="speaks Turkish", priority=1)
    (row,) = rows(supervisor.get(PAGE))
    assert "speaks Turkish" in row and "waiting high" in row


# -- live -------------------------------------------------------------------------------------------------------------


def test_the_page_asks_for_its_rows_again_and_again(supervisor: Visitor, database: Database, healthy: None) -> None:
    wait(database)
    page = supervisor.get(PAGE)
    live = page.one(id="live")
    assert (live.get("hx-get"), live.get("hx-trigger"), live.get("hx-swap")) == (ROWS, "look", "none")
    fragment = supervisor.ask(ROWS)
    assert not fragment.all("html") and not fragment.all("nav")
    assert rows(fragment) == rows(page)
    assert fragment.one(id="tables").get("hx-swap-oob") == "innerMorph"
    assert {row.get("id") for row in fragment.all("tr") if row.get("id")} == {"request-1"}


def test_the_message_survives_the_next_look(supervisor: Visitor, database: Database) -> None:
    """What the rows are replaced by holds no place for messages: they stand outside."""
    wait(database)
    assert not supervisor.ask(ROWS).has(id="message")
    page = supervisor.get(PAGE)
    assert page.one(id="message") not in list(page.one(id="tables").iter())


# -- when the page itself fails ---------------------------------------------------------------------------------------


def test_a_failed_look_is_no_whole_page(supervisor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.requests.views.load_pending", _fail)
    assert not supervisor.ask(ROWS, 500).all("html")
    assert "our own fault" in supervisor.get(PAGE, 500).main


def test_what_asks_by_itself_keeps_what_it_has(supervisor: Visitor) -> None:
    live = supervisor.get(PAGE).one(id="live")
    assert (live.get("hx-status:4xx"), live.get("hx-status:5xx")) == ("swap:none", "swap:none")


def _fail(*_: object) -> None:
    raise RuntimeError("of the test")
