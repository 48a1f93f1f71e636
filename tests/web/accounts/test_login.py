"""Logging in and out, sessions, and what visitors can see."""

import re

import pytest
from flask import Flask
from sqlalchemy import delete

from app.services import users
from app.store.database import Database
from app.store.models import User
from tests.support.factories import NOW
from tests.support.rows import for_each
from tests.web.conftest import ADMINISTRATOR, GONE, OPERATOR, PASSWORD, SUPERVISOR
from tests.web.pages import Page, Visitor


def log_in(visitor: Visitor, name: str = ADMINISTRATOR, password: str = PASSWORD, **changes: object) -> Page:
    query = {"next": changes.pop("next")} if "next" in changes else {}
    response = visitor.client.post("/login", data={"name": name, "password": password}, query_string=query)
    return visitor.check(response, int(str(changes.pop("status", 302))), None)


def location(page: Page) -> str:
    return page.response.headers["Location"]


@pytest.mark.parametrize(
    ("name", "first"), [(ADMINISTRATOR, "/requests"), (SUPERVISOR, "/requests"), (OPERATOR, "/mine")]
)
def test_logging_in_leads_to_the_first_page(visitor: Visitor, name: str, first: str) -> None:
    page = log_in(visitor, name)
    assert location(page) == first
    assert visitor.follow(page).has("nav")
    assert location(visitor.get("/", 302)) == first
    visitor.post("/logout")
    asked = visitor.get("/", 302)
    response = visitor.client.post(location(asked), data={"name": name, "password": PASSWORD})
    assert location(visitor.get(response.headers["Location"], 302)) == first


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (ADMINISTRATOR, "wrong"),
        (ADMINISTRATOR, ""),
        ("nobody", PASSWORD),
        ("", ""),
        (GONE, PASSWORD),
        (ADMINISTRATOR, "x" * 60_000),
    ],
    ids=["wrong password", "no password", "unknown user", "nothing", "inactive user", "long password"],
)
def test_wrong_values_are_refused(visitor: Visitor, name: str, password: str) -> None:
    page = log_in(visitor, name, password, status=422)
    assert page.error("password") or page.error("name")
    assert page.one(id="name").get("value") == name
    assert page.one(id="password").get("value") == "", "a password is never sent back"
    visitor.get("/requests", 302)


def test_a_wrong_name_and_a_wrong_password_have_the_same_message(visitor: Visitor) -> None:
    errors = {log_in(visitor, *pair, status=422).error("password") for pair in ((ADMINISTRATOR, "x"), ("x", "x"))}
    assert len(errors) == 1


def test_spaces_around_the_name_are_ignored(visitor: Visitor) -> None:
    log_in(visitor, f" {ADMINISTRATOR} ")


@pytest.mark.parametrize("page", ["/modules", "/modules?q=a&page=2", "/modules/new?copy=1", "/extensions/*50%23"])
def test_the_login_leads_to_the_requested_page(visitor: Visitor, page: str) -> None:
    redirect = visitor.get(page, 302)
    form = visitor.follow(redirect)
    assert form.form().get("action") is None, "the form keeps `next`"
    response = visitor.client.post(location(redirect), data={"name": ADMINISTRATOR, "password": PASSWORD})
    assert response.headers["Location"] == page


@for_each(
    "address",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "evil.example",
        "//[",
        "",
    ],
)
def test_the_login_never_leads_to_another_site(app: Flask, address: str) -> None:
    assert location(log_in(Visitor(app), next=address)) == "/requests"


def test_the_login_starts_a_new_session(visitor: Visitor) -> None:
    with visitor.client.session_transaction() as session:
        session["planted"] = "before the log-in"
    log_in(visitor)
    with visitor.client.session_transaction() as session:
        assert "planted" not in session
        assert len(session["_user_id"]) > 40


def test_logging_out_ends_the_session(admin: Visitor) -> None:
    page = admin.follow(admin.post("/logout"))
    assert page.message
    admin.get("/requests", 302)
    with admin.client.session_transaction() as session:
        assert "_user_id" not in session


def test_logging_out_needs_a_post(admin: Visitor) -> None:
    admin.get("/logout", 405)
    admin.get("/requests")


def test_a_deactivated_user_is_logged_out_at_once(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        user = session.get(User, 1)
        assert user is not None
        user.active = False
    admin.get("/requests", 302)


def test_a_new_role_applies_at_once(admin: Visitor, database: Database) -> None:
    with database.write() as session:
        user = session.get(User, 1)
        assert user is not None
        user.role = "operator"
    admin.get("/modules", 403)


def test_a_forged_session_is_ignored(visitor: Visitor) -> None:
    visitor.client.set_cookie("session", "eyJfdXNlcl9pZCI6IjEifQ.ZZZZZZ.forged")
    visitor.get("/requests", 302)


@pytest.mark.parametrize("user_id", ["99:x", "x", "", "-1", "1", "1:x", "²", "9" * 5000, "1:\u0661"])
def test_an_invalid_session_is_ignored(visitor: Visitor, user_id: str) -> None:
    with visitor.client.session_transaction() as session:
        session["_user_id"] = user_id
    visitor.get("/requests", 302)


def test_without_users_the_page_shows_the_commands(visitor: Visitor, database: Database) -> None:
    assert not visitor.get("/login").has("code")
    with database.write() as session:
        session.execute(delete(User))
    commands = [code.text or "" for code in visitor.get("/login").all("code")]
    assert "setup-link" in commands[0] and "create-admin" in commands[1]


def test_the_shown_command_works(app: Flask, visitor: Visitor, database: Database) -> None:
    with database.write() as session:
        session.execute(delete(User))
    command = visitor.get("/login").all("code")[1].text or ""
    match = re.fullmatch(r"\.venv/bin/flask --app wsgi (\S+) NAME --password-stdin", command)
    assert match is not None and match[1] in app.cli.commands
    with app.app_context():
        runner = app.test_cli_runner()
        result = runner.invoke(app.cli.commands[match[1]], ["zahra", "--password-stdin"], input="a good password\n")
    assert result.exit_code == 0, result.output
    log_in(visitor, "zahra", "a good password")


def test_a_fragment_without_a_session_redirects_the_whole_page(visitor: Visitor) -> None:
    """A normal redirect would show the log-in inside the page."""
    headers = {"HX-Request": "true", "Referer": "http://localhost/modules?q=a"}
    response = visitor.client.get("/live", headers=headers)
    assert (response.status_code, response.get_data()) == (401, b"")
    assert response.headers["HX-Redirect"] == "/login?next=/modules?q%3Da"


def test_the_navigation_shows_only_what_the_role_allows(operator: Visitor, admin: Visitor) -> None:
    links = {link.get("href") for link in operator.get("/requests").one("nav").iter("a")}
    assert links == {"/overview", "/requests", "/mine", "/report"}
    links = {link.get("href") for link in admin.get("/requests").one("nav").iter("a")}
    daily = {"/overview", "/requests", "/mine", "/report"}
    assert links == daily | {
        *("/contacts", "/modules", "/recordings", "/extensions", "/queues", "/settings", "/users", "/log"),
    }


def test_user_names_are_escaped(app: Flask, database: Database) -> None:
    user = users.create(database, "<script>x</script>", PASSWORD, "operator", NOW)
    page = Visitor(app, user).get("/requests")
    assert "<script>x" in "".join(page.one("div", class_="who").itertext())
    assert OPERATOR not in page.source
