"""Logging in and out, and whom the panel lets do so."""

import re

import pytest
from flask import Flask
from sqlalchemy import delete

from app.services import users
from app.store.database import Database
from app.store.models import User
from tests.support.factories import NOW
from tests.web.conftest import ADMINISTRATOR, GONE, OPERATOR, PASSWORD
from tests.web.pages import Page, Visitor


def log_in(visitor: Visitor, name: str = ADMINISTRATOR, password: str = PASSWORD, **changes: object) -> Page:
    query = {"next": changes.pop("next")} if "next" in changes else {}
    response = visitor.client.post("/login", data={"name": name, "password": password}, query_string=query)
    return visitor._look(response, int(str(changes.pop("status", 302))), None)


def place(page: Page) -> str:
    return page.response.headers["Location"]


def test_logging_in_leads_to_the_requests(visitor: Visitor) -> None:
    page = log_in(visitor)
    assert place(page) == "/requests"
    assert visitor.follow(page).has("nav")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (ADMINISTRATOR, "wrong"),
        (ADMINISTRATOR, ""),
        ("nobody", PASSWORD),
        ("", ""),
        (GONE, PASSWORD),
        (ADMINISTRATOR, "x" * 100_000),
    ],
    ids=["wrong password", "no password", "no such user", "nothing", "user who left", "endless password"],
)
def test_who_may_not(visitor: Visitor, name: str, password: str) -> None:
    page = log_in(visitor, name, password, status=422)
    assert page.error("password") or page.error("name")
    assert page.one(id="name").get("value") == name
    assert page.one(id="password").get("value") == "", "a password is never sent back"
    visitor.get("/requests", 302)


def test_a_wrong_name_and_a_wrong_password_are_told_alike(visitor: Visitor) -> None:
    errors = {log_in(visitor, *pair, status=422).error("password") for pair in ((ADMINISTRATOR, "x"), ("x", "x"))}
    assert len(errors) == 1


def test_the_name_may_have_spaces_around_it(visitor: Visitor) -> None:
    log_in(visitor, f" {ADMINISTRATOR} ")


@pytest.mark.parametrize("page", ["/modules", "/modules?q=a&page=2", "/modules/new?copy=1", "/extensions/*50%23"])
def test_one_comes_to_the_page_that_one_wanted(visitor: Visitor, page: str) -> None:
    asked = visitor.get(page, 302)
    form = visitor.follow(asked)
    assert form.form().get("action") is None, "it is sent to where it came from, `next` included"
    response = visitor.client.post(place(asked), data={"name": ADMINISTRATOR, "password": PASSWORD})
    assert response.headers["Location"] == page


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "https://evil.example",
        "https:evil.example",
        "HTTPS://evil.example/modules",
        "javascript:alert(1)",
        "data:text/html,x",
        "\\\\evil.example",
        "evil.example",
        "//[",
        "http://[",
        "",
    ],
)
def test_nobody_is_sent_elsewhere(visitor: Visitor, elsewhere: str) -> None:
    assert place(log_in(visitor, next=elsewhere)) == "/requests"


def test_nothing_of_the_session_before_is_kept(visitor: Visitor) -> None:
    with visitor.client.session_transaction() as session:
        session["planted"] = "by somebody else"
    log_in(visitor)
    with visitor.client.session_transaction() as session:
        assert "planted" not in session
        assert session["_user_id"].startswith("1:")


def test_logging_out_ends_the_session(admin: Visitor) -> None:
    page = admin.follow(admin.post("/logout"))
    assert page.message == "You are logged out."
    admin.get("/requests", 302)
    with admin.client.session_transaction() as session:
        assert "_user_id" not in session


def test_logging_out_is_no_link(admin: Visitor) -> None:
    admin.get("/logout", 405)
    admin.get("/requests")


def test_one_who_is_dismissed_is_out_at_once(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        user = session.get(User, 1)
        assert user is not None
        user.active = False
    admin.get("/requests", 302)


def test_one_who_is_made_an_operator_is_one_at_once(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        user = session.get(User, 1)
        assert user is not None
        user.role = "operator"
    admin.get("/modules", 403)


def test_a_forged_session_is_nobodys(visitor: Visitor) -> None:
    visitor.client.set_cookie("session", "eyJfdXNlcl9pZCI6IjEifQ.ZZZZZZ.forged")
    visitor.get("/requests", 302)


@pytest.mark.parametrize("user_id", ["99", "x", "", "-1", "1", "1:", "1:x", "99:x", "²", "9" * 5000, "1:\u0661"])
def test_a_session_of_no_user_is_nobodys(visitor: Visitor, user_id: str) -> None:
    with visitor.client.session_transaction() as session:
        session["_user_id"] = user_id
    visitor.get("/requests", 302)


def test_too_many_attempts(visitor: Visitor) -> None:
    for _ in range(10):
        log_in(visitor, password="wrong", status=422)
    page = log_in(visitor, status=429)
    assert page.response.headers["Retry-After"] == "60"
    assert page.one("p", class_="empty-header").text in ("429", "۴۲۹")
    visitor.get("/login")


def test_without_users_it_says_how_to_make_the_first(visitor: Visitor, database: Database) -> None:
    assert not visitor.get("/login").has("code")
    with database.write() as session:
        session.execute(delete(User))
    told = [code.text or "" for code in visitor.get("/login").all("code")]
    assert "setup-link" in told[0] and "create-admin" in told[1]


def test_the_command_that_is_named_exists(app: Flask, visitor: Visitor, database: Database) -> None:
    with database.write() as session:
        session.execute(delete(User))
    command = visitor.get("/login").all("code")[1].text or ""
    match = re.fullmatch(r"flask --app wsgi (\S+) NAME --password-stdin", command)
    assert match is not None and match[1] in app.cli.commands
    with app.app_context():
        runner = app.test_cli_runner()
        result = runner.invoke(app.cli.commands[match[1]], ["zahra", "--password-stdin"], input="a good password\n")
    assert result.exit_code == 0, result.output
    log_in(visitor, "zahra", "a good password")


def test_what_a_script_asks_after_the_session_is_over(visitor: Visitor) -> None:
    """A redirect would be followed by the browser, and the log-in shown within the page."""
    headers = {"HX-Request": "true", "Referer": "http://localhost/modules?q=a"}
    response = visitor.client.get("/live", headers=headers)
    assert (response.status_code, response.get_data()) == (401, b"")
    assert response.headers["HX-Redirect"] == "/login?next=/modules?q%3Da"


def test_operators_see_no_way_to_what_is_not_theirs(operator: Visitor, admin: Visitor) -> None:
    links = {link.get("href") for link in operator.get("/requests").one("nav").iter("a")}
    assert links == {"/overview", "/requests", "/mine", "/report"}
    links = {link.get("href") for link in admin.get("/requests").one("nav").iter("a")}
    daily = {"/overview", "/requests", "/mine", "/report"}
    assert links == daily | {
        *("/modules", "/recordings", "/extensions", "/queues", "/settings", "/users", "/log"),
    }


def test_the_names_of_users_are_escaped(app: Flask, database: Database) -> None:
    user = users.create(database, "<script>x</script>", PASSWORD, "operator", NOW)
    page = Visitor(app, user).get("/requests")
    assert "<script>x" in "".join(page.one("div", class_="who").itertext())
    assert OPERATOR not in page.source
