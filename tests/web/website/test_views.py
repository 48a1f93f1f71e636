"""The form of a website, as browsers and robots use it. All of them come from another origin."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from app.domain.hours import Outside
from app.domain.website import puzzle_digest
from app.services.requests import number_lists
from app.services.requests.registration import Registration
from app.services.requests.together import foresee
from app.services.website import challenges, register
from app.store.database import Database
from app.store.models import CallRequest, Count, Module, WebsiteForm
from app.store.settings import write_setting
from tests.support.factories import create_line, create_module, create_request, create_website_form
from tests.support.rows import for_each
from tests.web.pages import Visitor

SHOP = "https://shop.example"
NUMBER = "09121234567"
STORED = "+989121234567"


@pytest.fixture
def module(database: Database) -> Module:
    create_line(database, "101")
    return create_module(database, name="Sales")


@pytest.fixture(autouse=True)
def form(database: Database, module: Module) -> WebsiteForm:
    return create_website_form(database, module)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puzzles are small, and nobody has to wait for two seconds."""
    monkeypatch.setattr(challenges, "FASTEST", timedelta(0))
    monkeypatch.setattr(challenges, "PUZZLE_SIZE", 50)


class Shop:
    """A browser that shows a page of the website."""

    def __init__(self, app: Flask, origin: str | None = SHOP, address: str = "192.0.2.7") -> None:
        self.client = app.test_client(use_cookies=False)
        self.headers = {} if origin is None else {"Origin": origin}
        self.address = address

    def open(self, method: str, path: str, **sent: Any) -> TestResponse:
        response = self.client.open(
            f"/website/form{path}",
            method=method,
            headers=self.headers,
            environ_overrides={"REMOTE_ADDR": self.address},
            **sent,
        )
        assert "Set-Cookie" not in response.headers
        assert "Access-Control-Allow-Credentials" not in response.headers
        return response

    def solve(self) -> dict[str, object]:
        puzzle: Any = self.open("GET", "/challenge").json
        numbers = range(puzzle["size"])
        solution = next(each for each in numbers if puzzle_digest(puzzle["salt"], each) == puzzle["digest"])
        return {"token": puzzle["token"], "solution": solution}

    def send(self, status: int = 200, /, **values: Any) -> dict[str, Any]:
        response = self.open("POST", "/requests", json={"number": NUMBER, **self.solve(), **values})
        assert response.status_code == status, response.text
        answer: Any = response.json
        return dict(answer)


@pytest.fixture
def shop(app: Flask) -> Shop:
    return Shop(app)


def requests_of(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest).order_by(CallRequest.id)))


# -- with JavaScript --------------------------------------------------------------------------------------------------


def test_visitor_leaves_a_request_that_says_where_it_came_from(database: Database, shop: Shop, admin: Visitor) -> None:
    assert shop.send(name="Sara")["message"] == "Thank you. We call you as soon as somebody is free."
    (row,) = requests_of(database)
    assert (row.number, row.caller_name, row.number_source) == (STORED, "Sara", "typed")
    assert (row.came_by, row.website, row.created_by) == ("website", "Shop", "")
    assert "website Shop" in admin.get("/requests").main
    assert "a visitor of the website “Shop”" in admin.get(f"/requests/{row.id}").main
    assert "website Shop" in admin.get("/report?source=website").main
    assert "website Shop" not in admin.get("/report?source=phone").main


def test_script_in_the_name_is_text(database: Database, shop: Shop, admin: Visitor) -> None:
    name = "<script>alert(1)</script>"
    shop.send(name=name)
    page = admin.get("/requests")
    assert name not in page.source and "&lt;script&gt;" in page.source
    assert shop.send(422, number="09121234568", name="a\u202eb")["errors"].keys() == {"name"}


@for_each(
    "origin",
    [
        None, "", "null", "https://shop.example.evil.example", "https://shop.example:8443", "http://shop.example",
        "https://SHOP.example", "https://shop.example/", "https://evil.example", "http://localhost",
    ],
)  # fmt: skip
def test_another_origin_gets_nothing(app: Flask, database: Database, origin: str | None) -> None:
    stranger = Shop(app, origin)
    good = Shop(app).solve()
    for method, path, sent in (
        ("GET", "/challenge", {}),
        ("OPTIONS", "/requests", {}),
        ("POST", "/requests", {"json": {"number": NUMBER, **good}}),
        ("POST", "", {"data": {"number": NUMBER}}),
    ):
        response = stranger.open(method, path, **sent)
        assert response.status_code == 403, (method, path)
        assert "Access-Control-Allow-Origin" not in response.headers
    assert requests_of(database) == []


def test_preflight_names_the_exact_origin(shop: Shop) -> None:
    response = shop.open("OPTIONS", "/requests", content_type="application/json")
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == SHOP and "Origin" in response.headers["Vary"]


def test_challenge_is_taken_once(database: Database, shop: Shop) -> None:
    answer = shop.solve()
    shop.send(**answer)
    assert shop.send(422, number="09121234568", **answer)["code"] == "replayed"
    assert len(requests_of(database)) == 1


def test_challenge_in_another_spelling_is_the_same_challenge(database: Database, shop: Shop) -> None:
    answer = shop.solve()
    shop.send(**answer)
    token = f"{answer['token']}~~~~"  # base64 skips what is none
    assert shop.send(422, number="09121234568", **answer | {"token": token})["code"] == "replayed"
    assert len(requests_of(database)) == 1


def test_without_a_solution_nothing_is_registered(database: Database, shop: Shop) -> None:
    for values in ({"solution": -1}, {"token": "x"}, {"token": None}, {"solution": "0"}, {"token": 5}):
        assert shop.send(422, **values)["code"] == "wrong"
    for body in ("[]", "null", "{", '"x"'):
        response = shop.open("POST", "/requests", data=body, content_type="application/json")
        assert response.status_code == 400
    assert shop.open("POST", "/requests", data={"number": NUMBER}).status_code == 400
    assert requests_of(database) == []


def test_robot_that_fills_in_every_field_is_told_nothing(database: Database, shop: Shop) -> None:
    assert shop.send(company="ACME")["message"].startswith("Thank you.")
    assert requests_of(database) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("", "required"),
        ("hello", "number"),
        ("101", "number"),  # an extension of the office looks like any other wrong number
        ("199", "number"),
        ("110", "cannot call"),
        ("+442071838750", "cannot call"),
        ("+8816234567890", "cannot call"),
        ("9" * 5000, "number"),
    ],
)
def test_number_obeys_the_rules_for_typed_numbers(database: Database, shop: Shop, number: str, message: str) -> None:
    answer = shop.send(422, number=number)
    assert message in answer["errors"]["number"].lower() and requests_of(database) == []


def test_known_numbers_get_the_same_answer(app: Flask, database: Database, module: Module, shop: Shop) -> None:
    """Whether they are blocked, wait already or were called too often: a stranger learns nothing."""
    create_request(database, module, number=STORED, target="101")
    now = datetime.now(UTC)
    with database.write() as session:
        number_lists.block_number(session, "+989121110000", "", actor="sara", now=now)
    for number in ("+989122220000",) * register.NUMBER_DAY:
        row = create_request(database, module, number=number, target="101", status="done")
        with database.write() as session:
            values = {"came_by": "website", "registered_at": now}
            session.execute(update(CallRequest).where(CallRequest.id == row.id).values(values))
    before = [(row.id, row.version) for row in requests_of(database)]
    said = {shop.send(number=number)["message"] for number in (NUMBER, "09121110000", "09122220000")}
    assert [(row.id, row.version) for row in requests_of(database)] == before
    assert said == {shop.send(number="09123330000")["message"]}
    assert len(requests_of(database)) == len(before) + 1


def test_address_that_sends_a_flood_must_wait(app: Flask, database: Database, shop: Shop) -> None:
    for each in range(register.PER_ADDRESS.most):
        shop.send(number=f"0912000{each:04}")
    response = shop.open("POST", "/requests", json={"number": NUMBER, **shop.solve()})
    assert response.status_code == 429 and 0 < int(response.headers["Retry-After"]) <= 3600
    assert len(requests_of(database)) == register.PER_ADDRESS.most
    Shop(app, address="192.0.2.8").send()


def test_form_that_has_enough_requests_tells_everybody_the_same(
    app: Flask, database: Database, module: Module, form: WebsiteForm
) -> None:
    create_request(database, module, number=STORED, target="101")
    with database.write() as session:
        session.execute(update(WebsiteForm).values(daily_limit=2))
    for each in range(2):
        Shop(app, address=f"192.0.2.{each}").send(number=f"0912000{each:04}")
    for number in (NUMBER, "09123330000"):  # the first one has an open request
        assert Shop(app, address="192.0.2.9").send(429, number=number)["code"] == "not_now"
    assert len(requests_of(database)) == 3


def test_flood_of_websites_keeps_no_caller_out(app: Flask, database: Database, module: Module) -> None:
    with database.write() as session:
        write_setting(session, "limit_module_hour", "3")
    for each in range(5):
        Shop(app, address=f"192.0.2.{each}").send(number=f"0912000{each:04}")
    with database.read() as session:
        (prospective,) = foresee(database, session, [Registration(module.id, STORED)], datetime.now(UTC))
    assert prospective.refusal is None


def test_revoked_and_switched_off_forms_register_nothing(database: Database, shop: Shop) -> None:
    with database.write() as session:
        session.execute(update(WebsiteForm).values(active=False))
    assert shop.send(409)["code"] == "unavailable"
    assert '"registers": false' in shop.client.get("/website/form.js").text
    with database.write() as session:
        session.execute(update(WebsiteForm).values(active=True))
        session.execute(update(Module).values(active=False))
    assert shop.send(409)["code"] == "unavailable"
    with database.write() as session:
        session.execute(update(WebsiteForm).values(key="another"))
    assert shop.open("GET", "/challenge").status_code == shop.open("GET", ".js").status_code == 404
    assert requests_of(database) == []


@pytest.mark.parametrize(
    ("outside", "status", "said"),
    [
        ("offer", 200, "Thank you. We call you as soon as somebody is free."),
        ("next_opening", 200, "Thank you. We are closed now. We call you after we open"),
        ("decline", 409, "We are closed. We open"),
    ],
)
def test_outside_the_hours_it_is_as_the_module_says(
    database: Database, shop: Shop, outside: str, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "find_outside", lambda *_: Outside(outside) if outside != "offer" else None)
    assert shop.send(status)["message"].startswith(said)
    assert len(requests_of(database)) == (1 if status == 200 else 0)


def test_visitor_chooses_the_time_where_form_and_module_offer_it(
    database: Database, shop: Shop, form: WebsiteForm
) -> None:
    assert shop.send(422, time="6")["errors"].keys() == {"time"}
    with database.write() as session:
        session.execute(update(WebsiteForm).values(offers_times=True))
        session.execute(update(Module).values(offers_times=True))
    assert shop.send(422, time="9")["errors"].keys() == {"time"}
    assert shop.send(time="6")["message"].startswith("Thank you. We call you ")
    (row,) = requests_of(database)
    assert row.time_chosen and row.postponed_until is not None
    assert timedelta(minutes=59) < row.postponed_until - row.registered_at <= timedelta(minutes=60)


# -- the script -------------------------------------------------------------------------------------------------------


def test_script_is_plain_and_may_be_kept_for_some_minutes(database: Database, shop: Shop) -> None:
    hostile = "</script><script>alert(1)</script>\u2028"
    with database.write() as session:
        session.execute(update(WebsiteForm).values(privacy=hostile, language="fa"))
    response = shop.open("GET", ".js")
    assert response.content_type == "text/javascript; charset=utf-8"
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "</script>" not in response.text and "\u2028" not in response.text
    found = re.search(r"const config = (\{.*\});", response.text)
    assert found is not None and json.loads(found[1])["texts"]["privacy"] == hostile
    assert len(response.data) < 10_000


# -- without JavaScript -----------------------------------------------------------------------------------------------


def ask(shop: Shop, status: int = 200, /, **values: str) -> str:
    response = shop.open("POST", "", data={"number": NUMBER, "name": "Sara", **values})
    assert response.status_code == status, response.text
    return response.text


WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def answer(page: str) -> dict[str, str]:
    """Read the page as a person does."""
    token = re.search(r'name="token" value="([^"]+)"', page)
    words = re.search(r"how much is (\w+) plus (\w+)\?", page)
    assert token is not None and words is not None
    return {"token": token[1], "answer": str(sum(WORDS.index(word) + 1 for word in words.groups()))}


def confirm(app: Flask, values: dict[str, str], origin: str | None = "http://localhost") -> TestResponse:
    return Shop(app, origin).open("POST", "/confirm", data=values)


def test_visitor_without_javascript_answers_a_question(app: Flask, database: Database, shop: Shop) -> None:
    page = ask(shop, number="۰۹۱۲ ۱۲۳ ۴۵۶۷")
    assert requests_of(database) == []
    response = confirm(app, answer(page))
    assert response.status_code == 200 and "Thank you." in response.text
    (row,) = requests_of(database)
    assert (row.number, row.caller_name, row.website) == (STORED, "Sara", "Shop")


def test_answer_counts_once_and_comes_from_our_own_page(app: Flask, database: Database, shop: Shop) -> None:
    values = answer(ask(shop))
    assert confirm(app, values, "https://evil.example").status_code == 403
    assert confirm(app, values, SHOP).status_code == 403
    assert confirm(app, values).status_code == 200
    assert confirm(app, values).status_code == 422
    assert confirm(app, {**values, "token": values["token"][:-2]}).status_code == 422
    assert len(requests_of(database)) == 1


def test_wrong_answer_leads_to_another_question(app: Flask, database: Database, shop: Shop) -> None:
    response = confirm(app, {**answer(ask(shop)), "answer": "0"})
    assert response.status_code == 422 and "That is not the sum." in response.text
    assert requests_of(database) == []
    assert confirm(app, answer(response.text)).status_code == 200
    assert len(requests_of(database)) == 1


def test_referer_counts_if_the_browser_sends_no_origin(app: Flask) -> None:
    stranger = Shop(app, None)
    for referer, status in ((f"{SHOP}/contact?x=1", 200), ("https://evil.example/https://shop.example", 403)):
        stranger.headers = {"Referer": referer}
        ask(stranger, status)


def test_hostile_text_is_text_on_the_page(shop: Shop) -> None:
    page = ask(shop, name="<script>alert(1)</script>", number='"><img src=x>')
    assert "<script>alert" not in page and "<img" not in page


def test_result_page_is_in_the_language_of_the_form(app: Flask, database: Database, shop: Shop) -> None:
    with database.write() as session:
        session.execute(update(WebsiteForm).values(language="fa"))
    assert 'lang="fa" dir="rtl"' in ask(shop)


def test_robot_without_javascript_is_told_nothing(app: Flask, database: Database, shop: Shop) -> None:
    assert "Thank you." in confirm(app, answer(ask(shop, company="ACME"))).text
    assert requests_of(database) == []


def test_used_challenges_are_all_that_is_stored(database: Database, shop: Shop) -> None:
    shop.solve()
    ask(shop)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Count)) == 0
