"""Actions on one or several requests, on pages and in dialogs."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from app.domain.lifecycle import Status
from app.services import users
from app.services.requests.actions import Cancel, WriteNote
from app.services.requests.wait import wait_for_results
from app.store.database import Database
from app.store.models import CallRequest
from app.web.requests.action_forms import FORMS
from tests.support.factories import create_attempt
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


@pytest.mark.parametrize(
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
    assert page.message == "reza cancelled the request just now."
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
