"""Click-to-call: the page that a link opens, and what its button does."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select

from app.services import commands
from app.services.requests import number_lists
from app.store.database import Database
from app.store.models import CallRequest, Module, QueueMemberRow
from app.web.requests.call import number_of_link
from tests.support.factories import create_line, create_module, store
from tests.support.rows import for_each
from tests.web.api.caller import OPERATOR, Caller, make_token
from tests.web.conftest import Service
from tests.web.pages import Visitor
from tests.web.test_everywhere import count_writes


@pytest.fixture
def module(database: Database) -> Module:
    create_line(database, "101")
    return create_module(database, name="Sales", targets=["101", "102"])


def requests_of(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest)))


@pytest.mark.parametrize(
    ("link", "number"),
    [
        ("09121234567", "09121234567"),
        ("tel:+98-912-123-4567", "+98-912-123-4567"),
        ("TEL:09121234567;ext=5;phone-context=example.org", "09121234567"),
        ("tel:%2B989121234567", "+989121234567"),
        ("۰۹۱۲۱۲۳۴۵۶۷", "09121234567"),
        ("", ""),
        ("%", "%"),
        ("javascript:alert(1)", "javascript:alert(1)"),
    ],
)
def test_number_of_a_link(link: str, number: str) -> None:
    assert number_of_link(link) == number


def test_link_shows_the_number_and_calls_nobody(app: Flask, operator: Visitor, module: Module) -> None:
    with count_writes(app) as writes:
        page = operator.get("/call?number=tel:%2B989121234567&name=Sara")
    assert writes == [] and "0912 123 4567" in page.main.replace("09121234567", "0912 123 4567") and "Sara" in page.main


def test_button_rings_the_own_phone_first(
    database: Database, operator: Visitor, module: Module, service: Service
) -> None:
    with service(call_now=(True, "done")) as handled:
        page = operator.submit(operator.get("/call?number=09121234567&name=Sara"), "/call", extension="101")
    (row,) = requests_of(database)
    assert page.response.location == f"/requests/{row.id}"
    assert (row.number, row.target, row.created_by, row.caller_name) == ("+989121234567", "101", "omid", "Sara")
    (command,) = handled
    assert command.kind == commands.CALL_NOW and command.payload["agent"] == "101"


@for_each(
    ("number", "said"),
    [
        ("<script>alert(1)</script>", ""),
        ("'; DROP TABLE users", ""),
        ("tel:", ""),
        ("110", "mergency"),
        ("+8816234567890", ""),
        ("09121234567,,w999", ""),
        ("9" * 4000, ""),
        ("sip:evil@example.org", ""),
    ],
)
def test_hostile_number_is_refused_in_words(
    database: Database, operator: Visitor, module: Module, number: str, said: str
) -> None:
    page = operator.get("/call?" + f"number={number}".replace("<", "%3C").replace(";", "%3B").replace("+", "%2B"))
    assert "<script>alert" not in page.source
    answer = operator.post("/call", {"number": number, "extension": "101"}, 422)
    assert answer.error("number") and said in answer.main
    assert requests_of(database) == []


def test_nobody_rings_the_phone_of_another(database: Database, operator: Visitor, module: Module) -> None:
    assert operator.post("/call", {"number": "09121234567", "extension": "102"}, 422).error("extension")
    assert operator.post("/call", {"number": "09121234567", "extension": "10,2"}, 422).error("extension")
    assert operator.post("/call", {"number": "09121234567"}, 422).error("extension")
    assert requests_of(database) == []


def test_blocked_number_is_not_called(database: Database, operator: Visitor, module: Module) -> None:
    with database.write() as session:
        number_lists.block_number(session, "+989121234567", "", actor="sara", now=datetime.now(UTC))
    assert operator.post("/call", {"number": "09121234567", "extension": "101"}, 422).error("number")
    assert requests_of(database) == []


def test_member_of_a_queue_calls_by_its_module(database: Database, operator: Visitor, service: Service) -> None:
    create_line(database, "101")
    assert operator.post("/call", {"number": "09121234567", "extension": "101"}, 422).error("extension")
    module = create_module(database, target_kind="queue", targets=["800"])
    store(database, QueueMemberRow(queue="800", extension="101"))
    with service(call_now=(True, "done")):
        operator.post("/call", {"number": "09121234567", "extension": "101"})
    (row,) = requests_of(database)
    assert (row.module_id, row.queue, row.target) == (module.id, True, "800")


def test_another_website_cannot_press_the_button(app: Flask, database: Database, operator: Visitor) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    operator.post("/call", {"number": "09121234567", "extension": "101"}, 400)
    operator.get("/call?number=09121234567&extension=101&submit=1")
    assert requests_of(database) == []


def test_link_leads_through_the_log_in(visitor: Visitor) -> None:
    assert visitor.get("/call?number=09121234567", 302).response.location.startswith("/login?next=/call")


def test_program_calls_with_a_scope_of_its_own(
    app: Flask, database: Database, module: Module, service: Service
) -> None:
    crm = Caller(app, make_token(app, OPERATOR, ["calls:write"]))
    body = {"number": "09121234567", "extension": "101", "name": "Sara"}
    with service(call_now=(True, "done")):
        answer = crm.post("/calls", body)
    (row,) = requests_of(database)
    assert (answer["result"], answer["id"], row.target) == ("done", row.id, "101")
    assert crm.get("/requests", 403)["code"] == "scope_missing"
    problem = crm.post("/calls", {**body, "extension": "102"}, 422)
    assert problem["errors"][0]["field"] == "extension" and problem["errors"][0]["code"] == "not_yours"
    assert crm.post("/calls", {**body, "number": "110"}, 422)["errors"][0]["code"] == "emergency"
    assert crm.post("/calls", {**body, "module_id": 4711}, 422)["errors"][0]["code"] == "no_place"
