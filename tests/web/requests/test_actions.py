"""Actions on one or several requests, on pages and in dialogs."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from app.domain.hours import NEVER, format_week
from app.domain.lifecycle import Status
from app.services import users
from app.services.requests import number_lists
from app.services.requests.actions import Cancel, WriteNote
from app.services.requests.command_results import wait_for_results
from app.services.requests.results import ResultCode
from app.services.settings.hours import add_days
from app.store.database import Database
from app.store.models import CallRequest, Module, WorkerState
from app.store.settings import write_setting
from app.web.requests.action_forms import FORMS
from app.web.requests.wording import RESULT
from tests.support.factories import create_attempt, create_request
from tests.support.rows import for_each
from tests.web.conftest import Service
from tests.web.pages import Fields, Page, Visitor, text
from tests.web.requests.scene import act_as_other, is_success, load, now

DONE = (True, "done")
ROW = "1.1"


def path(action: str, *rows: str) -> str:
    """Return the address of an action, for the form if rows are given."""
    return f"/requests/acts/{action}" + ("?" + "&".join(f"row={row}" for row in rows) if rows else "")


def send(visitor: Visitor, action: str, fields: Any, *, htmx: bool) -> Page:
    """Send a form that succeeds; return the page with the message."""
    return visitor.press(path(action), fields) if htmx else visitor.follow(visitor.post(path(action), fields))


def refuse(visitor: Visitor, action: str, fields: Any, *, htmx: bool) -> Page:
    """Send a form that is shown again."""
    return visitor.press(path(action), fields, 422) if htmx else visitor.post(path(action), fields, 422)


def form_fields(page: Page) -> Fields:
    return page.fields(page.one("form", id="action-form"))


# -- each action ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "typed", "htmx", "becomes"),
    [
        ("reassign", {"target": "extension:102"}, True, {"target": "102"}),
        ("reassign", {"target": "queue:800"}, False, {"queue": True, "target": "800"}),
        ("reassign", {"target": "any"}, True, {"target": ""}),
        ("priority", {"priority": "1"}, False, {"priority": 1}),
        ("priority", {"priority": "-1"}, True, {"priority": -1}),
        ("note", {"note": "speaks Turkish\nafter 4"}, False, {"note": "speaks Turkish\nafter 4"}),
        ("done", {"note": "was here"}, True, {"status": "done", "note": "was here"}),
        ("done", {"note": ""}, False, {"status": "done", "note": ""}),
        ("cancel", {}, True, {"status": "cancelled"}),
    ],
)
def test_an_action_is_performed_by_its_form(
    supervisor: Visitor,
    database: Database,
    office: None,
    action: str,
    typed: dict[str, Any],
    htmx: bool,
    becomes: dict[str, Any],
) -> None:
    page = supervisor.ask(path(action, ROW)) if htmx else supervisor.get(path(action, ROW))
    answer = send(supervisor, action, {**form_fields(page), **typed}, htmx=htmx)
    assert is_success(answer)
    assert (answer.response.headers.get("HX-Trigger") == "acted") == htmx
    row = load(database)
    assert {field: getattr(row, field) for field in becomes} == becomes


@pytest.mark.parametrize(
    ("until", "after"), [("15", timedelta(minutes=15)), ("60", timedelta(hours=1)), ("tomorrow", None)]
)
def test_a_request_is_postponed_by_one_click(
    supervisor: Visitor, database: Database, office: None, until: str, after: timedelta | None
) -> None:
    began = now()
    assert is_success(supervisor.follow(supervisor.post(f"{path('postpone')}?until={until}", {"row": ROW})))
    postponed = load(database).postponed_until
    assert postponed is not None
    if after is not None:
        assert began + after <= postponed <= now() + after
    else:
        assert began + timedelta(hours=4) < postponed < began + timedelta(hours=34)


@pytest.mark.parametrize("locale", ["en", "fa"])
def test_a_request_is_postponed_to_a_time(app: Flask, database: Database, office: None, locale: str) -> None:
    users.set_locale(database, 4, locale)
    supervisor = Visitor(app, 4, locale=locale)
    fields = form_fields(supervisor.get(path("postpone", ROW)))
    assert fields["until"] == ["at"]
    if locale == "fa":
        assert fields["day"][0].startswith("۱۴")
    else:
        datetime.strptime(fields["day"][0], "%Y-%m-%d").replace(tzinfo=UTC)
    supervisor.post(path("postpone"), fields | {"at": ["۲۳:۵۹" if locale == "fa" else "23:59"]})
    postponed = load(database).postponed_until
    assert postponed is not None
    assert postponed.astimezone(ZoneInfo("Asia/Tehran")).strftime("%H:%M") == "23:59"


def test_time_outside_the_hours_is_refused_at_its_field_or_moves(
    supervisor: Visitor, database: Database, office: None
) -> None:
    with database.write() as session:
        write_setting(session, "office_hours", format_week(NEVER))
        session.get_one(WorkerState, 1).timezone = "Asia/Tehran"
    fields = form_fields(supervisor.get(path("postpone", ROW)))
    page = refuse(supervisor, "postpone", fields, htmx=True)
    assert page.error("day") == str(RESULT[ResultCode.NOT_FREE])
    opens = now().astimezone(ZoneInfo("Asia/Tehran")).date() + timedelta(days=2)
    add_days(database, opens, None, "", "08:30-17:00", actor="sara", now=now())
    page = refuse(supervisor, "postpone", fields, htmx=True)
    assert f"{opens} 08:30" in page.error("day") and load(database).postponed_until is None
    moved = supervisor.follow(supervisor.post(f"{path('postpone')}?until=tomorrow", {"row": ROW}))
    assert f"{opens} 08:30" in moved.message


@for_each(
    ("action", "typed", "field", "htmx"),
    [
        ("postpone", {"until": "at", "day": "2020-01-01", "at": "10:00"}, "day", False),
        ("postpone", {"until": "at", "day": "1405/13/40", "at": "10:00"}, "day", True),
        ("postpone", {"until": "at", "day": "9999/01/01", "at": "10:00"}, "day", False),
        ("postpone", {"until": "at", "day": "", "at": "10:00"}, "day", True),
        ("postpone", {"until": "at", "day": "2099-01-01", "at": "25:00"}, "at", False),
        ("postpone", {"until": "at", "day": "2099-01-01", "at": ""}, "at", True),
        ("postpone", {"until": "never"}, "until", True),
        ("reassign", {"target": ""}, "target", False),
        ("reassign", {"target": "<b>"}, "target", True),
        ("priority", {"priority": "99"}, "priority", False),
        ("note", {"note": ""}, "note", True),
        ("note", {"note": "a\u202eb"}, "note", False),
        ("done", {"note": "x" * 2001}, "note", True),
        ("call", {"agent": "101'; DROP"}, "agent", False),
    ],
)
def test_invalid_input_is_shown_with_its_error(
    supervisor: Visitor,
    database: Database,
    office: None,
    action: str,
    typed: dict[str, str],
    field: str,
    htmx: bool,
) -> None:
    page = refuse(supervisor, action, {"row": [ROW], **typed}, htmx=htmx)
    assert page.error(field)
    sent = form_fields(page)
    assert sent["row"] == [ROW]
    for control, value in typed.items():
        if control in ("day", "at", "note"):
            assert sent[control] == [value]
    assert (load(database).version, load(database).note) == (1, "")


def test_note_that_was_pasted_loses_what_nobody_sees(supervisor: Visitor, database: Database, office: None) -> None:
    fields = form_fields(supervisor.get(path("note", ROW)))
    pasted = "\u202bفردا\u00a0زنگ می‌زند\u202c\u200f\r\nشرکت\tاکمه"
    supervisor.post(path("note"), {**fields, "note": [pasted]})
    assert load(database).note == "فردا زنگ می‌زند\nشرکت اکمه"


# -- calling ----------------------------------------------------------------------------------------------------------


def test_a_call_is_made_by_the_next_free_agent(supervisor: Visitor, office: None, service: Service) -> None:
    with service(call_now=DONE) as taken:
        assert is_success(send(supervisor, "call", {"row": ROW}, htmx=False))
    assert [(command.kind, command.payload, command.actor) for command in taken] == [
        ("call_now", {"request": 1, "version": 1, "agent": None}, "mina")
    ]


def test_the_phone_of_an_operator_rings_first(operator: Visitor, office: None, service: Service) -> None:
    with service(call_now=DONE) as taken:
        answer = operator.press(f"{path('call')}?agent=101", {"row": ROW})
    assert is_success(answer) and "101" in answer.message
    assert taken[0].payload["agent"] == "101"


def test_an_operator_cannot_ring_the_phone_of_another_user(operator: Visitor, office: None, service: Service) -> None:
    with service() as taken:
        assert not is_success(operator.press(f"{path('call')}?agent=102", {"row": ROW}))
    assert taken == []


@pytest.mark.parametrize(("result", "htmx"), [("is_dialling", True), ("expired", False), ("brand_new", True)])
def test_a_refusal_by_the_service_is_a_warning(
    supervisor: Visitor, office: None, service: Service, result: str, htmx: bool
) -> None:
    with service(call_now=(False, result)):
        assert not is_success(send(supervisor, "call", {"row": ROW}, htmx=htmx))


def test_a_missing_answer_is_a_warning(supervisor: Visitor, office: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.requests.actions.wait_for_results", partial(wait_for_results, seconds=0))
    page = supervisor.press(path("call"), {"row": ROW})
    assert not is_success(page) and "30 seconds" in page.message


def test_a_dialling_request_is_cancelled_by_the_service(
    supervisor: Visitor, database: Database, office: None, service: Service
) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, 1)
        row.status, row.step, row.attempt = Status.DIALLING.value, "claimed", "a"
    create_attempt(database, row, id="a")
    with service(cancel=DONE) as taken:
        assert is_success(supervisor.press(path("cancel"), {"row": "1.2"}))
    assert [command.kind for command in taken] == ["cancel"]


# -- two users at once ------------------------------------------------------------------------------------------------


def test_the_second_user_is_told_what_the_first_did(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.get(path("priority", ROW))
    act_as_other(database, Cancel())
    page = supervisor.follow(supervisor.submit(page, path("priority"), priority="1"))
    assert page.message.endswith(" reza cancelled the request just now.")
    assert load(database).priority == 0


@pytest.mark.parametrize(
    ("action", "typed", "becomes", "htmx"),
    [
        ("note", {"note": "mine\nof two lines"}, {"note": "mine\nof two lines"}, True),
        ("done", {"note": "came by"}, {"note": "came by", "status": "done"}, False),
        ("postpone", {"until": "at", "at": "10:15"}, {"status": "waiting"}, True),
    ],
)
def test_typed_input_is_kept_and_a_second_press_saves_it(
    supervisor: Visitor,
    database: Database,
    office: None,
    action: str,
    typed: dict[str, str],
    becomes: dict[str, str],
    htmx: bool,
) -> None:
    act_as_other(database, WriteNote("theirs"))
    day = {"day": (now() + timedelta(days=2)).date().isoformat()} if action == "postpone" else {}
    page = refuse(supervisor, action, {"row": ROW, **typed, **day}, htmx=htmx)
    assert "reza" in text(page.one(class_="action-message"))
    assert page.response.headers.get("HX-Trigger") is None, "the dialog stays open"
    assert ("theirs" in page.main) == (action != "postpone")
    assert (load(database).note, load(database).status) == ("theirs", "waiting")
    fields = form_fields(page)
    assert fields["row"] == [f"1.{load(database).version}"]
    assert {field: fields[field] for field in (*typed, *day)} == {k: [v] for k, v in (typed | day).items()}
    assert is_success(send(supervisor, action, fields, htmx=htmx))
    row = load(database)
    assert {field: getattr(row, field) for field in becomes} == becomes
    assert (row.postponed_until is not None) == (action == "postpone")


def test_typed_input_is_kept_if_the_action_is_not_possible_any_more(
    supervisor: Visitor, database: Database, office: None
) -> None:
    act_as_other(database, Cancel())
    page = refuse(supervisor, "done", {"row": ROW, "note": "came by"}, htmx=True)
    page = refuse(supervisor, "done", form_fields(page), htmx=True)
    assert form_fields(page)["note"] == ["came by"]


def test_the_form_is_shown_again_for_the_unchanged_requests_only(
    supervisor: Visitor, database: Database, office: None
) -> None:
    act_as_other(database, WriteNote("theirs"))
    page = refuse(supervisor, "note", {"row": ["1.1", "2.1", "77.1"], "note": "ours"}, htmx=True)
    assert form_fields(page)["row"] == [f"1.{load(database).version}"]
    supervisor.press(path("note"), form_fields(page))
    assert [load(database, number).note for number in (1, 2)] == ["ours", "ours"]


def test_without_typed_input_the_refusal_is_a_message(supervisor: Visitor, database: Database, office: None) -> None:
    act_as_other(database, Cancel())
    for action, fields in (("done", {"note": " "}), ("postpone", {"until": "15"})):
        assert not is_success(supervisor.press(path(action), {"row": ROW, **fields}))


# -- several requests -------------------------------------------------------------------------------------------------


def test_requests_are_reopened_by_one_click_or_several_together(
    supervisor: Visitor, database: Database, office: None
) -> None:
    end(database, 1, "failed")
    end(database, 2, "expired")
    (button,) = supervisor.get("/requests/1").all("button", formaction=path("reopen"))
    assert is_success(supervisor.press(path("reopen"), {"row": button.get("value")}))
    assert load(database).status == "waiting"
    end(database, 1, "failed")
    page = supervisor.get("/requests")
    chosen = [box.get("value") or "" for box in page.all("input", form="several")]
    assert len(chosen) == len(page.all("button", formaction=path("reopen"), form="acts"))
    page = supervisor.get(path("reopen", *chosen))
    assert is_success(supervisor.follow(supervisor.submit(page, path("reopen"))))
    assert [load(database, number).status for number in (1, 2)] == ["waiting", "waiting"]


def test_a_request_that_cannot_be_reopened_is_answered_with_the_reason(
    supervisor: Visitor, database: Database, office: None
) -> None:
    end(database, 1, "failed")
    row = load(database)
    with database.read() as session:
        module = session.get(Module, row.module_id)
    other = create_request(database, module, target=row.target, number=row.number)
    answer = supervisor.press(path("reopen"), {"row": f"1.{row.version}"})
    assert not is_success(answer)
    assert answer.one("a", href=f"/requests/{other.id}").text == f"Request {other.id}"
    with database.write() as session:
        session.delete(session.get_one(CallRequest, other.id))
        session.get_one(CallRequest, 1).number = "+442079460000"
        session.get_one(WorkerState, 1).region = "IR"
    answer = supervisor.press(path("reopen"), {"row": f"1.{load(database).version}"})
    assert "The number may not be called any more. It belongs to United Kingdom." in answer.message


def end(database: Database, number: int, status: str) -> None:
    with database.write() as session:
        row = session.get_one(CallRequest, number)
        row.status, row.done_at = status, now()


def test_an_action_on_several_requests(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.get(path("done", "1.1", "2.1"))
    assert "09121234567 Sara" in page.main and "09350000002" in page.main
    page = supervisor.follow(supervisor.submit(page, path("done"), note="all told"))
    assert is_success(page)
    assert [load(database, number).status for number in (1, 2)] == ["done", "done"]


def test_each_refused_request_has_its_line_in_the_message(
    supervisor: Visitor, database: Database, office: None
) -> None:
    act_as_other(database, Cancel())
    answer = supervisor.press(path("priority"), {"row": ["1.1", "2.1", "77.1"], "priority": "1"})
    message = answer.one("div", class_="alert-warning")
    first, second = [text(line) for line in message.iter("li")]
    assert first.startswith("09121234567: reza") and second.startswith("#77: ")
    assert load(database, 2).priority == 1


def test_the_message_lists_a_few_refused_requests(supervisor: Visitor, database: Database, office: None) -> None:
    rows = [f"{number}.1" for number in range(1, 400)]
    page = supervisor.follow(supervisor.post(path("cancel"), {"row": rows}))
    assert len(list(page.one(id="message").iter("li"))) == 9
    assert "389" in page.message


def test_a_repeated_row_counts_once(supervisor: Visitor, database: Database, office: None) -> None:
    assert is_success(supervisor.press(path("note"), {"row": [ROW, ROW], "note": "once"}))


# -- rights -----------------------------------------------------------------------------------------------------------


def test_an_operator_acts_on_their_own_requests_only(operator: Visitor, database: Database, office: None) -> None:
    fields = {"row": "2.1", "until": "15", "target": "extension:101", "priority": "1", "note": "mine"}
    for action in FORMS:
        operator.get(path(action, ROW))
        operator.get(path(action, "2.1"), 404)
        operator.post(path(action), fields, 404)
    row = load(database, 2)
    assert (row.version, row.status, row.target) == (1, "waiting", "102")


def test_supervisor_blocks_a_number_from_the_menu(
    supervisor: Visitor, operator: Visitor, database: Database, office: None
) -> None:
    assert path("block", ROW) in {link.get("href") for link in supervisor.ask("/requests/1/menu").all("a")}
    fields = form_fields(supervisor.get(path("block", ROW))) | {"note": "rude"}
    assert is_success(send(supervisor, "block", fields, htmx=True))
    assert load(database).status == "cancelled"
    (entry,) = number_lists.load_entries(database)
    assert (entry.text, entry.note, entry.kind) == ("09121234567", "rude", "block")


def test_operator_may_not_block_a_number(operator: Visitor, database: Database, office: None) -> None:
    assert not any("/acts/block" in link.get("href", "") for link in operator.ask("/requests/1/menu").all("a"))
    answer = operator.press(path("block"), form_fields(operator.get(path("block", ROW))))
    assert not is_success(answer)
    assert (load(database).status, number_lists.load_entries(database)) == ("waiting", [])


def test_requests_of_others_are_left_out(operator: Visitor, database: Database, office: None) -> None:
    assert "09350000002" not in operator.get(path("note", "1.1", "2.1")).main
    answer = operator.press(path("note"), {"row": ["1.1", "2.1"], "note": "mine"})
    assert "#2" in answer.message
    assert (load(database, 1).note, load(database, 2).note) == ("mine", "")


# -- addresses --------------------------------------------------------------------------------------------------------


def test_without_a_row_there_is_a_message(supervisor: Visitor, office: None) -> None:
    assert not is_success(supervisor.follow(supervisor.get(path("done"), 302)))


def test_an_invalid_row_is_a_bad_request(supervisor: Visitor, office: None) -> None:
    for row in ("x", "1", "1.x", "1.1.1", "-1.1", "99999999999999.1", "1.99999999999999", "%00"):
        supervisor.get(path("done", row), 400)
        supervisor.post(path("cancel"), {"row": row}, 400)


def test_the_user_returns_to_a_local_page_only(supervisor: Visitor, office: None) -> None:
    pages = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", path("note", ROW)]
    for version, back in enumerate(pages, 1):
        page = supervisor.post(path("note"), {"row": f"1.{version}", "note": str(version), "back": back})
        assert page.response.headers["Location"] == "/requests"


def test_the_user_returns_to_the_page_before(supervisor: Visitor, office: None) -> None:
    page = supervisor.get(path("note", ROW), headers={"Referer": "http://localhost/requests?module=1"})
    answer = supervisor.submit(page, path("note"), note="x")
    assert answer.response.headers["Location"] == "/requests?module=1"
