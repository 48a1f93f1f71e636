"""What can be done with requests: one or several at once, with the version that was seen, and only with one's own."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from app.domain.lifecycle import Status
from app.services import users
from app.services.requests import perform
from app.services.requests.access import Scope
from app.services.requests.actions import Cancel, ShownRequest, WriteNote
from app.store.database import Database
from app.store.models import CallRequest, QueueMemberRow, QueueRow
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
    store,
)
from tests.web.conftest import Service
from tests.web.pages import Fields, Page, Visitor, text

DONE = (True, "done")
ROW = "1.1"
A_DAY = "Write it as year-month-day, such as 2026-11-24."


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def office(database: Database) -> None:
    """101, 102 and a queue; a request (1) for 101, one (2) for 102."""
    create_running_service(database)
    for extension in ("101", "102"):
        create_line(database, extension, name=f"Phone {extension}")
    store(database, QueueRow(name="800", live_callers=0))
    store(database, QueueMemberRow(queue="800", extension="102"))
    module = create_module(database, name="Sales", targets=["101", "102"])
    create_request(database, module, target="101", caller_name="Sara", registered_at=now())
    create_request(database, module, target="102", number="+989350000002", registered_at=now())


def act(name: str, *rows: str) -> str:
    return f"/requests/acts/{name}?" + "&".join(f"row={row}" for row in rows or (ROW,))


def request(database: Database, number: int = 1) -> CallRequest:
    with database.read() as session:
        return session.get_one(CallRequest, number)


def someone_cancels(database: Database, number: int = 1) -> None:
    perform.perform(database, Scope("reza", everything=True), Cancel(), [ShownRequest(number, 1)], now())


# -- each act ---------------------------------------------------------------------------------------------------------

ACTS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("reassign", {"target": "extension:102"}, "The request is given to somebody else.", {"target": "102"}),
    ("reassign", {"target": "queue:800"}, "The request is given to somebody else.", {"queue": True, "target": "800"}),
    ("reassign", {"target": "any"}, "The request is given to somebody else.", {"target": ""}),
    ("priority", {"priority": "1"}, "The priority is changed.", {"priority": 1}),
    ("priority", {"priority": "-1"}, "The priority is changed.", {"priority": -1}),
    ("note", {"note": "speaks Turkish\nafter 4"}, "The note is kept.", {"note": "speaks Turkish\nafter 4"}),
    ("done", {"note": "was here"}, "The request is marked as done.", {"status": "done", "note": "was here"}),
    ("done", {"note": ""}, "The request is marked as done.", {"status": "done", "note": ""}),
    ("cancel", {}, "The request is cancelled.", {"status": "cancelled"}),
]


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(("name", "typed", "said", "becomes"), ACTS)
def test_an_act_is_asked_about_and_done(
    supervisor: Visitor,
    database: Database,
    office: None,
    name: str,
    typed: dict[str, Any],
    said: str,
    becomes: dict[str, Any],
    htmx: bool,
) -> None:
    page = supervisor.ask(act(name)) if htmx else supervisor.get(act(name))
    form = next(form for form in page.all("form") if form.get("id") == "action-form")
    fields = {**page.fields(form), **typed}
    answer = supervisor.press(act(name), fields) if htmx else supervisor.follow(supervisor.post(act(name), fields))
    assert answer.message == said
    assert answer.has("div", class_="alert-success")
    assert (answer.response.headers.get("HX-Trigger") == "acted") == htmx
    row = request(database)
    assert {field: getattr(row, field) for field in becomes} == becomes


@pytest.mark.parametrize(
    ("until", "after"), [("15", timedelta(minutes=15)), ("60", timedelta(hours=1)), ("tomorrow", None)]
)
def test_a_request_is_postponed_by_one_click(
    supervisor: Visitor, database: Database, office: None, until: str, after: timedelta | None
) -> None:
    began = now()
    page = supervisor.follow(supervisor.post(f"/requests/acts/postpone?until={until}", {"row": ROW}))
    assert page.message == "The request is postponed."
    postponed = request(database).postponed_until
    assert postponed is not None
    if after is not None:
        assert began + after <= postponed <= now() + after
    else:
        assert began + timedelta(hours=4) < postponed < began + timedelta(hours=34)


@pytest.mark.parametrize("locale", ["en", "fa"])
def test_a_request_is_postponed_to_a_moment(app: Flask, database: Database, office: None, locale: str) -> None:
    users.set_locale(database, 4, locale)
    supervisor = Visitor(app, 4, locale=locale)
    page = supervisor.get(act("postpone"))
    fields = page.fields(page.form(id="action-form"))
    assert fields["until"] == ["at"], "a moment is proposed"
    if locale == "fa":
        assert fields["day"][0].startswith("۱۴")
        fields |= {"at": ["۲۳:۵۹"]}
    else:
        datetime.strptime(fields["day"][0], "%Y-%m-%d").replace(tzinfo=UTC)
        fields |= {"at": ["23:59"]}
    supervisor.post(act("postpone"), fields)
    postponed = request(database).postponed_until
    assert postponed is not None
    assert postponed.astimezone(ZoneInfo("Asia/Tehran")).strftime("%H:%M") == "23:59"


@pytest.mark.parametrize(
    ("name", "typed", "field", "said"),
    [
        ("postpone", {"until": "at", "day": "2020-01-01", "at": "10:00"}, "day", "This moment is over already."),
        ("postpone", {"until": "at", "day": "2099-01-01", "at": "10:00"}, "day", "This is out of range."),
        (
            "postpone",
            {"until": "at", "day": "1405/13/40", "at": "10:00"},
            "day",
            "Write it as year-month-day, such as 2026-11-24.",
        ),
        (
            "postpone",
            {"until": "at", "day": "0000-00-00", "at": "10:00"},
            "day",
            "Write it as year-month-day, such as 2026-11-24.",
        ),
        ("postpone", {"until": "at", "day": "", "at": "10:00"}, "day", "This is needed."),
        ("postpone", {"until": "at", "day": "2026-03-21", "at": "25:00"}, "at", "Write a time of day, such as 14:30."),
        ("postpone", {"until": "at", "day": "2026-03-21", "at": "noon"}, "at", "Write a time of day, such as 14:30."),
        ("postpone", {"until": "at", "day": "9999/01/01", "at": "10:00"}, "day", A_DAY),
        ("postpone", {"until": "never"}, "until", "Choose one of the list."),
        ("reassign", {"target": ""}, "target", "This is needed."),
        ("reassign", {"target": "<b>"}, "target", "Choose one of the list."),
        ("priority", {"priority": "99"}, "priority", "Choose one of the list."),
        ("priority", {"priority": ""}, "priority", "Choose one of the list."),
        ("note", {"note": ""}, "note", "This is needed."),
        ("note", {"note": "x" * 2001}, "note", "This is too long."),
        ("note", {"note": "a\u202eb"}, "note", "There are characters in it that cannot be shown."),
        ("done", {"note": "x" * 2001}, "note", "This is too long."),
        ("call", {"agent": "101'; DROP"}, "agent", "Digits, * and # only."),
    ],
)
@pytest.mark.parametrize("htmx", [False, True])
def test_what_makes_no_sense_is_said_and_nothing_is_lost(
    supervisor: Visitor,
    database: Database,
    office: None,
    name: str,
    typed: dict[str, str],
    field: str,
    said: str,
    htmx: bool,
) -> None:
    before = request(database)
    fields = {"row": [ROW], **typed}
    page = supervisor.press(act(name), fields, 422) if htmx else supervisor.post(act(name), fields, 422)
    assert page.error(field) == said
    sent = page.fields(next(form for form in page.all("form") if form.get("id") == "action-form"))
    assert sent["row"] == [ROW]
    for control, value in typed.items():
        if control in ("day", "at", "note"):
            assert sent[control] == [value]
    assert (request(database).version, request(database).note) == (before.version, "")


# -- calling ----------------------------------------------------------------------------------------------------------


def test_call_now_is_the_next_free_agents(supervisor: Visitor, office: None, service: Service) -> None:
    with service(call_now=DONE) as taken:
        page = supervisor.follow(supervisor.post("/requests/acts/call", {"row": ROW}))
    assert page.message == "It is called as soon as an agent is free."
    assert [(c.kind, c.payload, c.actor) for c in taken] == [
        ("call_now", {"request": 1, "version": 1, "agent": None}, "mina")
    ]


def test_an_operators_own_phone_rings_first(operator: Visitor, office: None, service: Service) -> None:
    with service(call_now=DONE) as taken:
        answer = operator.press("/requests/acts/call?agent=101", {"row": ROW})
    assert answer.message == "101 is rung first, then the customer."
    assert taken[0].payload["agent"] == "101"


def test_nobody_rings_a_phone_of_somebody_else(operator: Visitor, office: None, service: Service) -> None:
    with service() as taken:
        assert operator.press("/requests/acts/call?agent=102", {"row": ROW}).message == "This phone is not yours."
    assert taken == []


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("is_dialling", "It is being dialled already."),
        ("is_connected", "They are talking already."),
        ("is_cancelled", "It is cancelled already."),
        ("expired", "The telephone service was too late; nothing was done."),
        ("brand_new", "This cannot be done any more."),
    ],
)
@pytest.mark.parametrize("htmx", [False, True])
def test_what_the_service_could_not_do_is_said(
    supervisor: Visitor, office: None, service: Service, result: str, said: str, htmx: bool
) -> None:
    with service(call_now=(False, result)):
        data = {"row": ROW}
        path = "/requests/acts/call"
        page = supervisor.press(path, data) if htmx else supervisor.follow(supervisor.post(path, data))
    assert page.message == said
    assert page.has("div", class_="alert-warning")


def test_nobody_answers(supervisor: Visitor, office: None) -> None:
    page = supervisor.press("/requests/acts/call", {"row": ROW})
    assert page.message == "The telephone service does not answer; it has 30 seconds to do it."


def test_a_call_under_way_is_ended_by_the_service(
    supervisor: Visitor, database: Database, office: None, service: Service
) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, 1)
        row.status, row.step, row.attempt = Status.DIALLING.value, "claimed", "a"
    create_attempt(database, row, id="a")
    with service(cancel=DONE) as taken:
        page = supervisor.press("/requests/acts/cancel", {"row": "1.2"})
    assert page.message == "The request is cancelled."
    assert [command.kind for command in taken] == ["cancel"]


# -- two at once ------------------------------------------------------------------------------------------------------


def test_the_second_is_told_who_was_quicker(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.get(act("priority"))
    someone_cancels(database)
    page = supervisor.follow(supervisor.submit(page, act("priority"), priority="1"))
    assert page.message == "reza has cancelled it, just now."
    assert request(database).priority == 0


def test_what_was_done_already_is_done_once(supervisor: Visitor, database: Database, office: None) -> None:
    supervisor.press("/requests/acts/note", {"row": ROW, "note": "first"})
    answer = supervisor.press("/requests/acts/note", {"row": ROW, "note": "second"}, 422)
    assert told(answer) == "mina wrote a note, just now."
    assert request(database).note == "first"


def told(page: Page) -> str:
    return text(page.one(class_="action-message"))


def refuse(visitor: Visitor, name: str, fields: Any, htmx: bool) -> Page:
    """Send a form that another person was quicker than, and return it as it is shown again."""
    return visitor.press(f"/requests/acts/{name}", fields, 422) if htmx else visitor.post(act(name), fields, 422)


def act_form(page: Page) -> Fields:
    return page.fields(page.one("form", id="action-form"))


TYPED = [
    ("note", {"note": "mine\nof two lines"}, {"note": "mine\nof two lines"}),
    ("done", {"note": "came by"}, {"note": "came by", "status": "done"}),
    ("postpone", {"until": "at", "at": "10:15"}, {"status": "waiting"}),
]


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(("name", "typed", "becomes"), TYPED)
def test_what_was_typed_is_kept_when_another_was_quicker_and_a_second_press_does_it(
    supervisor: Visitor,
    database: Database,
    office: None,
    name: str,
    typed: dict[str, str],
    becomes: dict[str, str],
    htmx: bool,
) -> None:
    perform.perform(database, Scope("reza", everything=True), WriteNote("theirs"), [ShownRequest(1, 1)], now())
    day = {"day": (now() + timedelta(days=2)).date().isoformat()} if name == "postpone" else {}
    page = refuse(supervisor, name, {"row": ROW, **typed, **day}, htmx)
    assert told(page) == "reza wrote a note, just now."
    assert page.response.headers.get("HX-Trigger") is None, "the dialog stays open"
    assert ("The note of 09121234567 now: theirs" in page.main) == (name != "postpone")
    assert (request(database).note, request(database).status) == ("theirs", "waiting")
    fields = act_form(page)
    assert fields["row"] == [f"1.{request(database).version}"]
    assert {field: fields[field] for field in (*typed, *day)} == {k: [v] for k, v in (typed | day).items()}
    path = f"/requests/acts/{name}"
    page = supervisor.press(path, fields) if htmx else supervisor.follow(supervisor.post(path, fields))
    assert page.has("div", class_="alert-success")
    row = request(database)
    assert {field: getattr(row, field) for field in becomes} == becomes
    assert (row.postponed_until is not None) == (name == "postpone")


def test_what_cannot_be_done_any_more_leaves_what_was_typed(
    supervisor: Visitor, database: Database, office: None
) -> None:
    someone_cancels(database)
    page = supervisor.press("/requests/acts/done", {"row": ROW, "note": "came by"}, 422)
    page = supervisor.press("/requests/acts/done", act_form(page), 422)
    assert told(page) == "reza has cancelled it, just now."
    assert act_form(page)["note"] == ["came by"]


def test_of_several_those_that_were_left_are_asked_about_again(
    supervisor: Visitor, database: Database, office: None
) -> None:
    perform.perform(database, Scope("reza", everything=True), WriteNote("theirs"), [ShownRequest(1, 1)], now())
    page = supervisor.press("/requests/acts/note", {"row": ["1.1", "2.1", "77.1"], "note": "ours"}, 422)
    assert told(page).startswith("Done for 1 request.")
    assert act_form(page)["row"] == [f"1.{request(database).version}"]
    supervisor.press("/requests/acts/note", act_form(page))
    assert [request(database, number).note for number in (1, 2)] == ["ours", "ours"]


def test_what_nobody_typed_is_said_and_done_with(supervisor: Visitor, database: Database, office: None) -> None:
    someone_cancels(database)
    for name, fields in (("done", {"note": " "}), ("postpone", {"until": "15"})):
        answer = supervisor.press(f"/requests/acts/{name}", {"row": ROW, **fields})
        assert answer.message == "reza has cancelled it, just now."


# -- several ----------------------------------------------------------------------------------------------------------


def test_several_rows_are_done_at_once(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.get(act("done", "1.1", "2.1"))
    assert "09121234567 Sara" in page.main and "09350000002" in page.main
    page = supervisor.follow(supervisor.submit(page, "/requests/acts/done", note="all told"))
    assert page.message == "Done for 2 requests."
    assert [request(database, number).status for number in (1, 2)] == ["done", "done"]


def test_of_several_each_is_told_by_itself(supervisor: Visitor, database: Database, office: None) -> None:
    someone_cancels(database)
    answer = supervisor.press("/requests/acts/priority", {"row": ["1.1", "2.1", "77.1"], "priority": "1"})
    told = answer.one("div", class_="alert-warning")
    assert text(told).startswith("Done for 1 request.")
    assert [text(line) for line in told.iter("li")] == [
        "09121234567: reza has cancelled it, just now.",
        "#77: There is no such request any more.",
    ]
    assert request(database, 2).priority == 1


def test_many_failures_fit_into_a_message(supervisor: Visitor, database: Database, office: None) -> None:
    rows = [f"{number}.1" for number in range(1, 400)]
    page = supervisor.follow(supervisor.post("/requests/acts/cancel", {"row": rows}))
    assert page.message.startswith("Done for 2 requests.") and page.message.endswith("And 389 more.")


def test_a_row_that_is_named_twice_is_done_once(supervisor: Visitor, database: Database, office: None) -> None:
    answer = supervisor.press("/requests/acts/note", {"row": [ROW, ROW], "note": "once"})
    assert answer.message == "The note is kept."


# -- whose ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["call", "postpone", "reassign", "priority", "note", "done", "cancel"])
def test_an_operator_acts_on_their_own_only(operator: Visitor, database: Database, office: None, name: str) -> None:
    operator.get(act(name))
    operator.get(act(name, "2.1"), 404)
    fields = {"row": "2.1", "until": "15", "target": "extension:101", "priority": "1", "note": "mine"}
    operator.post(f"/requests/acts/{name}", fields, 404)
    row = request(database, 2)
    assert (row.version, row.status, row.target) == (1, "waiting", "102")


def test_of_a_mixture_an_operator_does_their_own(operator: Visitor, database: Database, office: None) -> None:
    page = operator.get(act("note", "1.1", "2.1"))
    assert "09350000002" not in page.main
    answer = operator.press("/requests/acts/note", {"row": ["1.1", "2.1"], "note": "mine"})
    assert "#2: There is no such request any more." in answer.message
    assert (request(database, 1).note, request(database, 2).note) == ("mine", "")


# -- nonsense ---------------------------------------------------------------------------------------------------------


def test_no_row_is_chosen(supervisor: Visitor, office: None) -> None:
    page = supervisor.follow(supervisor.get("/requests/acts/done", 302))
    assert page.message == "Choose one or more requests first."


@pytest.mark.parametrize("row", ["x", "1", "1.x", "1.1.1", "-1.1", "99999999999999.1", "1.99999999999999", "%00"])
def test_a_row_that_makes_no_sense(supervisor: Visitor, office: None, row: str) -> None:
    supervisor.get(f"/requests/acts/done?row={row}", 400)
    supervisor.post("/requests/acts/cancel", {"row": row}, 400)


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_one_comes_back_to_a_page_of_ours(supervisor: Visitor, office: None, back: str) -> None:
    page = supervisor.post("/requests/acts/note", {"row": ROW, "note": "x", "back": back})
    assert page.response.headers["Location"] == "/requests"


def test_one_comes_back_to_where_one_was(supervisor: Visitor, office: None) -> None:
    page = supervisor.get(act("note"), headers={"Referer": "http://localhost/requests?module=1"})
    answer = supervisor.submit(page, "/requests/acts/note", note="x")
    assert answer.response.headers["Location"] == "/requests?module=1"


# -- adding by hand ---------------------------------------------------------------------------------------------------


def test_a_request_is_added(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.get("/requests/new")
    answer = supervisor.submit(page, "/requests/new", number="۰۹۳۵۱۱۱۲۲۳۳", wanted="1:102", name="Ali", note="by mail")
    page = supervisor.follow(answer)
    assert page.message == "The request is added."
    row = request(database, 3)
    assert (row.number, row.target, row.caller_name, row.created_by) == ("+989351112233", "102", "Ali", "mina")


def test_a_request_that_is_there_is_shown_instead(supervisor: Visitor, office: None) -> None:
    page = supervisor.get("/requests/new")
    page = supervisor.follow(supervisor.submit(page, "/requests/new", number="09121234567", wanted="1:101"))
    assert page.message == "This caller waits there already: here is the request."
    assert "09121234567" in text(page.one("h1"))


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"number": "12"}, "number", "This is no telephone number."),
        ({"number": ""}, "number", "This is needed."),
        ({"wanted": ""}, "wanted", "This is needed."),
        ({"wanted": "x"}, "wanted", "Choose one of the list."),
        ({"wanted": "1:999"}, "wanted", "Choose one of the list."),
        ({"name": "x" * 81}, "name", "This is too long."),
        ({"name": "a\u202eb"}, "name", "There are characters in it that cannot be shown."),
        ({"note": "x" * 2001}, "note", "This is too long."),
    ],
)
def test_an_addition_that_makes_no_sense(
    supervisor: Visitor, database: Database, office: None, typed: dict[str, str], field: str, said: str
) -> None:
    page = supervisor.get("/requests/new")
    fields = {"number": "09351112233", "wanted": "1:101", "name": "Ali", "note": "n", **typed}
    answer = supervisor.submit(page, "/requests/new", 422, **fields)
    assert answer.error(field) == said
    kept = answer.fields(answer.form(id="action-form"))
    assert kept["number"] == [fields["number"]] and kept["note"] == [fields["note"]]
    with database.read() as session:
        assert session.get(CallRequest, 3) is None


def test_an_operator_adds_for_their_own_phone(operator: Visitor, database: Database, office: None) -> None:
    page = operator.get("/requests/new")
    offered = [text(option) for option in page.one("select", name="wanted").iter("option")]
    assert offered == ["Choose …", "Sales · any extension of the module", "Sales · extension 101"]
    answer = operator.submit(page, "/requests/new", 422, number="09351112233", wanted="1:102")
    assert answer.error("wanted") == "This is not yours: choose one of your own."


# -- pausing ----------------------------------------------------------------------------------------------------------


def test_calls_are_paused_and_everybody_is_told_until_they_go_on(
    supervisor: Visitor, operator: Visitor, admin: Visitor, office: None
) -> None:
    page = supervisor.follow(supervisor.submit(supervisor.get("/calls/pause"), "/calls/pause", reason="a meeting"))
    assert page.message == "All automatic calls are paused."
    for visitor, path in ((operator, "/mine"), (admin, "/modules"), (supervisor, "/requests/1")):
        banner = visitor.get(path).one(id="pause-banner")
        assert "Automatic calls are paused. mina, just now. a meeting" in text(banner)
        assert any(button.get("formaction") == "/calls/resume" for button in banner.iter("button")) == (
            visitor is not operator
        )
        assert "a meeting" in text(visitor.ask("/live").one(id="pause-banner"))
    assert admin.press("/calls/resume").message == "Automatic calls go on."
    assert supervisor.press("/calls/resume").message == "They are not paused any more."
    assert text(operator.get("/mine").one(id="pause-banner")) == ""


def test_the_second_who_pauses_is_told_of_the_first(supervisor: Visitor, admin: Visitor, office: None) -> None:
    admin.press("/calls/pause", {"reason": "mine"})
    assert supervisor.press("/calls/pause", {"reason": "other"}).message == "sara has paused them already."


@pytest.mark.parametrize(("reason", "said"), [("x" * 201, "This is too long."), ("a\u202eb", "There are characters")])
def test_a_reason_that_cannot_be_shown(supervisor: Visitor, office: None, reason: str, said: str) -> None:
    page = supervisor.press("/calls/pause", {"reason": reason}, 422)
    assert page.error("reason").startswith(said)
    assert page.one("input", name="reason").get("value") == reason
    page = supervisor.submit(supervisor.get("/calls/pause"), "/calls/pause", 422, reason=reason)
    assert page.error("reason").startswith(said)
    assert page.one("input", name="reason").get("value") == reason


def test_an_operator_pauses_nothing(operator: Visitor, office: None) -> None:
    assert "Only a supervisor or an administrator" in operator.get("/calls/pause", 403).main
    operator.post("/calls/pause", {"reason": ""}, 403)
    operator.post("/calls/resume", status=403)
