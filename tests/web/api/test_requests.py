"""The operations on requests."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from app.domain.lifecycle import Status
from app.services import audit, commands, users
from app.services.requests import perform
from app.services.requests.results import ActionResult, ResultCode
from app.store.database import Database
from app.store.models import CallRequest, Module
from app.web.api.requests import refusal_of
from tests.support.factories import create_line, create_module, create_request, history_of, log_of, reload
from tests.support.rows import for_each
from tests.web.api.caller import Caller, make_token
from tests.web.conftest import Service

NUMBER = "09121234567"
ANSWERED = {ResultCode.DONE, ResultCode.SAME, ResultCode.SENT, ResultCode.NO_ANSWER}  # without a problem


def count_requests(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(CallRequest)) or 0


# -- creating ---------------------------------------------------------------------------------------------------------


def test_request_is_created(database: Database, crm: Caller) -> None:
    module = create_module(database, targets=["101", "102"])
    body = {"number": NUMBER, "module_id": module.id, "target": "101", "name": "Sara", "note": "urgent"}
    created, response = crm.call("POST", "/requests", 201, json=body)
    assert created == {"result": "created", "id": 1, "version": 1, "status": "waiting"}
    assert response.headers["Location"] == "/api/v1/requests/1"
    row = crm.get("/requests/1")
    assert (row["number"], row["national_number"]) == ("+989121234567", "09121234567")
    assert (row["caller_name"], row["note"], row["target"], row["created_by"]) == ("Sara", "urgent", "101", "sara")
    assert row["contact_name"] == ""
    entry = log_of(database)[-1]
    assert (entry.actor, entry.action, entry.detail["api_token"]) == ("sara", "request_added", "CRM")


def test_persian_digits_are_read(database: Database, crm: Caller) -> None:
    module = create_module(database)
    crm.post("/requests", {"number": "۰۹۱۲۱۲۳۴۵۶۷", "module_id": module.id}, 201)
    assert crm.get("/requests/1")["number"] == "+989121234567"


def test_same_request_is_not_created_twice(database: Database, crm: Caller) -> None:
    module = create_module(database)
    body = {"number": NUMBER, "module_id": module.id, "target": "101"}
    crm.post("/requests", body, 201)
    assert crm.post("/requests", body, 200)["result"] == "duplicate"
    assert count_requests(database) == 1


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database)


@for_each(
    ("changes", "field", "code"),
    [
        ({"number": "110"}, "number", "emergency"),
        ({"number": "abc"}, "number", "number"),
        ({"number": "\u0000"}, "number", "number"),
        ({"number": ""}, "number", "required"),
        ({"number": "1" * 41}, "number", "too_long"),
        ({"number": 9121234567}, "number", "wrong_value"),
        ({"module_id": 99}, "module_id", "choice"),
        ({"module_id": "1"}, "module_id", "wrong_value"),
        ({"module_id": True}, "module_id", "wrong_value"),
        ({"module_id": 1.5}, "module_id", "wrong_value"),
        ({"module_id": 1e300}, "module_id", "range"),
        ({"module_id": 2**31}, "module_id", "range"),
        ({"target": "999"}, "target", "choice"),
        ({"name": "a\nb"}, "name", "characters"),
        ({"note": "a\u0000b"}, "note", "characters"),
        ({"note": "x" * 2001}, "note", "too_long"),
        ({"call_at": "2020-01-01T00:00:00Z"}, "call_at", "past"),
        ({"call_at": "2999-01-01T00:00:00Z"}, "call_at", "range"),
        ({"call_at": "9999-12-31T23:59:59-23:59"}, "call_at", "wrong_value"),
        ({"call_at": "2026-01-01T00:00:00"}, "call_at", "wrong_value"),
        ({"call_at": "1700000000"}, "call_at", "wrong_value"),
        ({"call_at": 1700000000}, "call_at", "wrong_value"),
        ({"priority": 1}, "priority", "unknown_field"),
    ],
)
def test_wrong_value_is_named(
    database: Database, module: Module, crm: Caller, changes: dict[str, object], field: str, code: str
) -> None:
    problem = crm.post("/requests", {"number": NUMBER, "module_id": module.id, "target": "101"} | changes, 422)
    assert problem["code"] == "invalid"
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]
    assert count_requests(database) == 0


def test_sentences_are_english_and_those_of_the_form(database: Database, crm: Caller) -> None:
    users.set_locale(database, 1, "fa")
    problem = crm.call(
        "POST",
        "/requests",
        422,
        json={"number": "110", "module_id": create_module(database).id},
        headers={"Accept-Language": "fa"},
    )[0]
    assert problem["errors"][0]["detail"] == "Emergency numbers cannot be called. Enter another number."


def test_number_is_called_at_a_time(database: Database, crm: Caller) -> None:
    module = create_module(database)
    at = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    crm.post("/requests", {"number": NUMBER, "module_id": module.id, "call_at": at.isoformat()}, 201)
    assert datetime.fromisoformat(crm.get("/requests/1")["postponed_until"]) == at


# -- idempotency ------------------------------------------------------------------------------------------------------


def test_repeated_call_gets_the_same_answer(database: Database, crm: Caller) -> None:
    module = create_module(database)
    body = {"number": NUMBER, "module_id": module.id, "target": "101"}
    first, response = crm.call("POST", "/requests", 201, json=body, headers={"Idempotency-Key": "a-1"})
    assert "Idempotent-Replayed" not in response.headers
    crm.post("/requests/1/cancel")
    again, response = crm.call("POST", "/requests", 201, json=body, headers={"Idempotency-Key": "a-1"})
    assert again == first and response.headers["Idempotent-Replayed"] == "true"
    assert response.headers["Location"] == "/api/v1/requests/1"
    assert count_requests(database) == 1
    assert crm.post("/requests", body, 201, Idempotency_Key="a-2")["id"] == 2


def test_key_with_another_body_is_refused(database: Database, crm: Caller) -> None:
    module = create_module(database)
    body = {"number": NUMBER, "module_id": module.id}
    crm.post("/requests", body, 201, Idempotency_Key="a-1")
    problem = crm.post("/requests", body | {"number": "09121234568"}, 422, Idempotency_Key="a-1")
    assert problem["code"] == "idempotency_key_reused"
    assert count_requests(database) == 1


def test_key_of_another_token_means_nothing(app: Flask, database: Database, crm: Caller, assistant: Caller) -> None:
    module = create_module(database)
    body = {"number": NUMBER, "module_id": module.id, "target": "101"}
    crm.post("/requests", body, 201, Idempotency_Key="a-1")
    other = Caller(app, make_token(app, name="Other"))
    for caller in (assistant, other):
        answer, response = caller.call("POST", "/requests", 200, json=body, headers={"Idempotency-Key": "a-1"})
        assert answer["result"] == "duplicate" and "Idempotent-Replayed" not in response.headers


def test_refused_call_leaves_the_key_free(database: Database, crm: Caller) -> None:
    module = create_module(database)
    crm.post("/requests", {"number": "110", "module_id": module.id}, 422, Idempotency_Key="a-1")
    crm.post("/requests", {"number": NUMBER, "module_id": module.id}, 201, Idempotency_Key="a-1")


@pytest.mark.parametrize("key", ["", "a b", "x" * 101, "\u00e9"])
def test_key_that_cannot_be_one_is_refused(database: Database, crm: Caller, key: str) -> None:
    body = {"number": NUMBER, "module_id": create_module(database).id}
    assert crm.post("/requests", body, 400, Idempotency_Key=key)["code"] == "bad_idempotency_key"
    assert count_requests(database) == 0


# -- the list ---------------------------------------------------------------------------------------------------------


def test_list_goes_on_where_it_ended_although_requests_arrive(database: Database, crm: Caller) -> None:
    for number in range(5):
        create_request(database, number=f"+98912000000{number}")
    part = crm.get("/requests", limit=2)
    create_request(database, number="+989120000009")
    seen = [row["id"] for row in part["requests"]]
    while part["next_cursor"]:
        part = crm.get("/requests", limit=2, cursor=part["next_cursor"])
        seen += [row["id"] for row in part["requests"]]
    assert seen == [5, 4, 3, 2, 1]


def test_part_that_ends_the_list_says_so(database: Database, crm: Caller) -> None:
    create_request(database)
    create_request(database, number="+989120000002")
    assert crm.get("/requests", limit=2)["next_cursor"] is None
    assert crm.get("/requests", cursor=1) == {"requests": [], "next_cursor": None}


def test_list_is_filtered(database: Database, crm: Caller) -> None:
    sales, support = create_module(database), create_module(database, name="Support")
    create_request(database, sales)
    create_request(database, sales, number="+989120000002", status="done")
    create_request(database, support, number="+989120000003", status="failed")

    def found(**query: object) -> list[int]:
        return [row["id"] for row in crm.get("/requests", **query)["requests"]]

    assert found() == [3, 2, 1]
    assert found(status="done") == [2]
    assert found(status=["done", "failed"]) == [3, 2]
    assert found(module=sales.id) == [2, 1]
    assert found(number="120000002") == [2]
    assert found(number="۱۲۰۰۰۰۰۰۳") == [3]
    assert found(module=support.id, status="done") == []


@for_each(
    "query",
    [
        "status=nothing",
        "status=",
        "module=x",
        "module=0",
        "module=1_0",
        "module=%201",
        "module=2147483648",
        "module=99999999999999999999",
        "module=1&module=2",
        "number=abc",
        f"number={'1' * 41}",
        "cursor=abc",
        "cursor=-1",
        "cursor=1.0",
        "cursor=%D9%A1",
        "cursor=1%20OR%201=1",
        "limit=0",
        "limit=101",
        "token=x",
        "access_token=x",
        "page=2",
    ],
)
def test_wrong_argument_is_refused(crm: Caller, query: str) -> None:
    problem = crm.get(f"/requests?{query}", 422)
    assert [error["field"].partition(".")[0] for error in problem["errors"]] == [query.partition("=")[0]]


def test_nul_in_an_address_is_refused(crm: Caller) -> None:
    assert crm.get("/requests?number=%00", 400)["code"] == "bad_request"


# -- one request ------------------------------------------------------------------------------------------------------


def test_request_is_shown_with_its_history(database: Database, crm: Caller) -> None:
    module = create_module(database)
    crm.post("/requests", {"number": NUMBER, "module_id": module.id}, 201)
    crm.post("/requests/1/note", {"note": "Called twice."})
    row = crm.get("/requests/1")
    assert [(event["event"], event["actor"]) for event in row["history"]] == [("registered", "sara"), ("noted", "sara")]
    assert row["attempts"] == [] and row["waits_because"] == "service_down"
    for moment in (row["registered_at"], row["history"][0]["at"]):
        assert moment.endswith("+03:30"), "the office is in Tehran"


@pytest.mark.parametrize("path", ["/requests/99", "/requests/0"])
def test_missing_request_is_not_found(crm: Caller, path: str) -> None:
    assert crm.get(path, 404)["code"] == "not_found"
    for action, body in (("cancel", {}), ("call", {}), ("note", {"note": "x"})):
        assert crm.post(f"{path}/{action}", body, 404)["code"] == "not_found"


@pytest.mark.parametrize("path", ["/requests/x", "/requests/-1", "/requests/2147483648", "/nothing", "/requests/1/x"])
def test_unknown_address_is_a_problem_too(crm: Caller, path: str) -> None:
    assert crm.get(path, 404)["code"] == "not_found"


def test_wrong_method_is_refused(crm: Caller) -> None:
    problem, response = crm.call("DELETE", "/requests/1", 405)
    assert problem["code"] == "method_not_allowed"
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


# -- actions ----------------------------------------------------------------------------------------------------------


def test_request_is_cancelled(database: Database, crm: Caller) -> None:
    request = create_request(database)
    assert crm.post("/requests/1/cancel") == {"result": "done", "id": 1, "version": 2, "status": "cancelled"}
    assert reload(database, request).done_by == "sara"
    problem = crm.post("/requests/1/cancel", {}, 409)
    assert problem["code"] == "is_cancelled" and problem["request"]["status"] == "cancelled"


def test_request_that_somebody_has_changed_since_is_left_alone(database: Database, crm: Caller) -> None:
    request = create_request(database)
    version = crm.get("/requests/1")["version"]
    crm.post("/requests/1/note", {"note": "mine", "version": version})
    changed = crm.get("/requests/1")["version"]
    crm.post("/requests/1/postpone", {"until": tomorrow(), "version": changed})
    problem = crm.post("/requests/1/cancel", {"version": version}, 409)
    assert problem["code"] == "changed"
    assert reload(database, request).status == "waiting"
    assert crm.post("/requests/1/cancel", {"version": problem["request"]["version"]})["result"] == "done"


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0).isoformat()


def test_request_is_postponed(database: Database, crm: Caller) -> None:
    create_request(database)
    until = tomorrow()
    assert crm.post("/requests/1/postpone", {"until": until})["result"] == "done"
    assert crm.post("/requests/1/postpone", {"until": until})["result"] == "unchanged"
    assert datetime.fromisoformat(crm.get("/requests/1")["postponed_until"]) == datetime.fromisoformat(until)
    assert crm.post("/requests/1/postpone", {"until": "2020-01-01T00:00:00Z"}, 422)["errors"][0]["field"] == "until"
    assert crm.post("/requests/1/postpone", {}, 422)["errors"][0]["code"] == "required"


def test_request_is_called_now(database: Database, crm: Caller, service: Service) -> None:
    create_request(database, create_module(database), target="101")
    with service(call_now=(True, "done")) as handled:
        assert crm.post("/requests/1/call", {"agent": "101"})["result"] == "done"
    assert [(command.actor, command.payload["agent"]) for command in handled] == [("sara", "101")]


def test_log_names_the_token_also_of_what_the_telephone_service_does(
    database: Database, crm: Caller, without_waiting: None
) -> None:
    create_request(database, create_module(database), target="101")
    with database.write() as session:
        session.execute(update(CallRequest).values(status="dialling"))
    crm.post("/requests/1/cancel", {}, 202)
    (command,) = commands.open_commands(database, datetime.now(UTC))
    assert perform.execute(database, command.kind, command.payload, command.actor, datetime.now(UTC)).ok
    entry = log_of(database)[-1]
    assert (entry.actor, entry.action, entry.detail["api_token"]) == ("sara", "request_cancelled", "CRM")
    assert audit.api_token() == ""


def test_call_that_the_telephone_service_has_not_answered_is_said(
    database: Database, crm: Caller, without_waiting: None
) -> None:
    create_request(database)
    assert crm.post("/requests/1/call", {}, 202)["result"] == "sent"


def test_call_that_the_telephone_service_refuses_is_said(database: Database, crm: Caller, service: Service) -> None:
    create_request(database)
    with service(call_now=(False, "number_refused")):
        assert crm.post("/requests/1/call", {}, 409)["code"] == "number_refused"
    with service(call_now=(False, "expired")):
        assert crm.post("/requests/1/call", {}, 503)["code"] == "expired"


@pytest.mark.parametrize("code", sorted(set(ResultCode) - ANSWERED))
def test_each_refusal_has_a_status_and_a_sentence(code: ResultCode) -> None:
    problem = refusal_of(ActionResult(1, code, Status.DONE, 2))
    assert problem.status in (403, 404, 409, 503) and problem.code == code and problem.detail.endswith(".")


def test_note_is_written(database: Database, crm: Caller) -> None:
    request = create_request(database)
    assert crm.post("/requests/1/note", {"note": "First.\nSecond."})["result"] == "done"
    assert crm.post("/requests/1/note", {"note": "First.\nSecond."})["result"] == "unchanged"
    assert reload(database, request).note == "First.\nSecond."
    assert history_of(database, 1)[-1].actor == "sara"
    assert crm.post("/requests/1/note", {"note": "  "}, 422)["errors"][0]["code"] == "required"


# -- what a user may see ----------------------------------------------------------------------------------------------


def test_program_of_an_operator_sees_and_changes_what_the_operator_may(
    database: Database, crm: Caller, assistant: Caller
) -> None:
    for extension in ("101", "102"):
        create_line(database, extension)
    module = create_module(database, targets=["101", "102"])
    create_request(database, module, target="101")
    create_request(database, module, target="102", number="+989120000002")
    assert [row["id"] for row in assistant.get("/requests")["requests"]] == [1]
    assert assistant.get("/requests", cursor=99)["requests"][0]["id"] == 1
    assert assistant.get("/requests", number="120000002")["requests"] == []
    assistant.get("/requests/2", 404)
    for action, body in (("cancel", {}), ("call", {}), ("postpone", {"until": tomorrow()}), ("note", {"note": "x"})):
        problem = assistant.post(f"/requests/2/{action}", body, 404)
        assert "0000002" not in str(problem)
    assert crm.get("/requests/2")["status"] == "waiting"
    problem = assistant.post("/requests", {"number": NUMBER, "module_id": module.id, "target": "102"}, 422)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("target", "not_yours")]
    assert assistant.post("/requests/1/call", {"agent": "102"}, 403)["code"] == "not_yours"


def test_a_request_has_one_address(crm: Caller, database: Database) -> None:
    """Its number is written as the description says. Python reads other digits, too, and leading zeros."""
    module = create_module(database)
    for place in range(10):
        create_request(database, module, number=f"+98912000000{place}")
    crm.get("/requests/1")
    for number in ("01", "0001", "۱", "١", "１", "+1", "1_0", "%201", "1.0", "0"):
        crm.get(f"/requests/{number}", 404)
