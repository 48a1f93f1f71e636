"""The users' page and one's own account: who may come in, as what, and whose session ends when."""

import re

import pytest
from flask import Flask

from app.services import users
from app.store.database import Database
from app.store.models import User
from tests.support.factories import NOW, create_line, log_of
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD, SUPERVISOR
from tests.web.pages import Page, Visitor, text

NEW_PASSWORD = "a fine new password"


def user_of(database: Database, name: str) -> User:
    return next(user for user in users.list_users(database) if user.name == name)


def shown_password(page: Page) -> str:
    return text(page.one("div", class_="copyable").find("code"))  # type: ignore[arg-type]


def test_the_list_tells_who_is_who(admin: Visitor) -> None:
    page = admin.get("/users")
    row = text(page.one(id="user-2"))
    assert OPERATOR in row and "operator" in row and "101" in row and "active" in row
    assert "(you)" in text(page.one(id="user-1"))
    assert "inactive" in text(page.one(id="user-3"))
    assert page.all("tr")[-1].get("id") == "user-3", "who left stands last"


def test_a_user_is_added_and_may_log_in_with_the_password_that_is_shown_once(
    admin: Visitor, visitor: Visitor, database: Database
) -> None:
    create_line(database, "102", name="Zahra")
    form = admin.get("/users/new")
    assert "Sees and handles the requests of their own extensions" in form.main
    page = admin.submit(form, "/users/new", 200, name="zahra", ticked=["102"], extensions="۲۰۱، 202", locale="en")
    password = shown_password(page)
    assert re.fullmatch(r"[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}", password)
    assert page.response.headers["Cache-Control"] == "no-store"
    user = user_of(database, "zahra")
    assert (user.role, user.extensions, user.locale) == ("operator", ["102", "201", "202"], "en")
    visitor.post("/login", {"name": "zahra", "password": password})
    assert "zahra" in text(visitor.get("/overview").one("div", class_="who"))
    assert password not in str([entry.detail for entry in log_of(database)])
    assert log_of(database)[-1].actor == ADMINISTRATOR


def test_a_password_may_be_chosen(admin: Visitor, database: Database) -> None:
    page = admin.submit(admin.get("/users/new"), "/users/new", name="zahra", password=NEW_PASSWORD, role="supervisor")
    assert admin.follow(page).message == "The user is added."
    assert users.check_password(database, "zahra", NEW_PASSWORD) is not None


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"name": ""}, "name", "This is needed."),
        ({"name": OPERATOR}, "name", "This is taken already."),
        ({"name": "x" * 81}, "name", "This is too long."),
        ({"password": "short"}, "password", "This is too short."),
        ({"role": "owner"}, "role", "Choose one of the list."),
        ({"role": None}, "role", "Choose one of the list."),
        ({"extensions": "10a"}, "extensions", "Digits, * and # only."),
        ({"locale": "de"}, "locale", "Choose one of the list."),
        ({"theme": "pink"}, "theme", "Choose one of the list."),
    ],
)
def test_what_makes_no_sense_is_told_beside_its_field_and_nothing_is_lost(
    admin: Visitor, database: Database, typed: dict[str, object], field: str, told: str
) -> None:
    before = len(users.list_users(database))
    values = {"name": "zahra", "role": "operator", "extensions": "101", "password": "", **typed}
    page = admin.submit(admin.get("/users/new"), "/users/new", 422, **values)
    assert page.error(field) == told
    assert page.one(id="name").get("value") == (typed.get("name", "zahra") or "")
    assert page.one(id="extensions").get("value") == typed.get("extensions", "101")
    assert page.one(id="password").get("value") in (None, "")
    assert len(users.list_users(database)) == before


def test_a_user_is_changed(admin: Visitor, operator: Visitor, database: Database) -> None:
    form = admin.get("/users/2")
    assert form.one(id="role-operator").get("checked") is not None
    assert form.one(id="extensions").get("value") == "101", "the exchange has told of no line: it is typed"
    page = admin.submit(form, "/users/2", role="supervisor", theme="dark")
    assert admin.follow(page).message == "The user is saved."
    assert (user_of(database, OPERATOR).role, user_of(database, OPERATOR).theme) == ("supervisor", "dark")
    operator.get("/log"), "the role counts at once"
    entry = log_of(database)[-1]
    assert entry.action == "user_changed"
    assert entry.detail == {"role": ["operator", "supervisor"], "theme": ["auto", "dark"]}


def test_known_extensions_are_ticked_and_others_stand_in_the_field(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    create_line(database, "102")
    admin.submit(admin.get("/users/2"), "/users/2", ticked=["102"], extensions="300")
    form = admin.get("/users/2")
    assert form.fields()["ticked"] == ["102"]
    assert form.one(id="extensions").get("value") == "300"
    assert user_of(database, OPERATOR).extensions == ["102", "300"]


def test_the_last_administrator_stays_one(admin: Visitor, database: Database) -> None:
    told = "This is the last administrator: make somebody else one first."
    page = admin.submit(admin.get("/users/1"), "/users/1", 422, role="operator")
    assert page.error("role") == told
    assert told in admin.post("/users/1/deactivate", status=422).main
    assert (user_of(database, ADMINISTRATOR).role, user_of(database, ADMINISTRATOR).active) == ("administrator", True)
    admin.submit(admin.get("/users/4"), "/users/4", role="administrator")
    admin.submit(admin.get("/users/1"), "/users/1", role="operator")
    admin.get("/users", 403)


def test_who_is_deactivated_is_out_at_once_and_for_good(admin: Visitor, operator: Visitor, database: Database) -> None:
    operator.get("/overview")
    question = admin.get("/users/2/deactivate")
    assert f"“{OPERATOR}”" in question.main
    assert user_of(database, OPERATOR).active, "a question changes nothing"
    page = admin.follow(admin.submit(question, "/users/2/deactivate"))
    assert "deactivated" in page.message
    operator.get("/overview", 302)
    assert users.check_password(database, OPERATOR, PASSWORD) is None
    page = admin.follow(admin.post("/users/2/activate"))
    assert page.message == "The user may log in again."
    operator.get("/overview", 302), "the old session stays ended"
    assert users.check_password(database, OPERATOR, PASSWORD) is not None


def test_a_reset_password_is_shown_once_and_ends_the_sessions(
    admin: Visitor, operator: Visitor, visitor: Visitor, database: Database
) -> None:
    question = admin.get("/users/2/password")
    operator.get("/overview")
    password = shown_password(admin.submit(question, "/users/2/password", 200))
    operator.get("/overview", 302)
    assert users.check_password(database, OPERATOR, PASSWORD) is None
    visitor.post("/login", {"name": OPERATOR, "password": password})
    visitor.get("/overview")
    entry = log_of(database)[-1]
    assert (entry.actor, entry.action, entry.subject, entry.detail) == (ADMINISTRATOR, "password_reset", OPERATOR, {})
    admin.get("/users"), "one's own session goes on"


def test_ones_own_password_is_changed_in_ones_account(admin: Visitor) -> None:
    assert admin.get("/users/1/password", 302).response.headers["Location"] == "/account"
    assert admin.post("/users/1/password", status=302).response.headers["Location"] == "/account"


@pytest.mark.parametrize("path", ["/users/99", "/users/99/password", "/users/99/deactivate", "/users/0", "/users/x"])
def test_who_is_not_there_is_not_found(admin: Visitor, path: str) -> None:
    admin.get(path, 404)


def test_names_are_escaped(admin: Visitor, database: Database) -> None:
    user = users.create(database, "<b>x</b>", PASSWORD, "operator", NOW)
    for path in ("/users", f"/users/{user}", f"/users/{user}/password", f"/users/{user}/deactivate"):
        assert "<b>x" in admin.get(path).main


# -- one's own account ------------------------------------------------------------------------------------------------


def change_password(visitor: Visitor, status: int = 302, **changes: str) -> Page:
    fields = {"old_password": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD, **changes}
    return visitor.post("/account/password", fields, status)


def test_ones_own_password_is_changed_and_other_sessions_end(app: Flask, operator: Visitor, database: Database) -> None:
    elsewhere = Visitor(app, 2)
    elsewhere.get("/overview")
    assert "Your password is changed." in operator.follow(change_password(operator)).message
    elsewhere.get("/overview", 302)
    operator.get("/overview")
    assert users.check_password(database, OPERATOR, NEW_PASSWORD) is not None
    assert users.check_password(database, OPERATOR, PASSWORD) is None
    entry = log_of(database)[-1]
    assert (entry.actor, entry.action) == (OPERATOR, "password_changed")


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"old_password": "wrong"}, "old_password", "This is not your password."),
        ({"old_password": ""}, "old_password", "This is not your password."),
        ({"password": "short", "again": "short"}, "password", "This is too short."),
        ({"password": PASSWORD, "again": PASSWORD}, "password", "This is the old one: choose another."),
        ({"again": "another one"}, "again", "The two are not alike."),
    ],
)
def test_a_password_is_not_changed(
    operator: Visitor, database: Database, typed: dict[str, str], field: str, told: str
) -> None:
    page = change_password(operator, 422, **typed)
    assert page.error(field) == told
    assert not any(value in page.source for value in (NEW_PASSWORD, "another one"))
    assert users.check_password(database, OPERATOR, PASSWORD) is not None


def test_passwords_cannot_be_guessed_in_a_session_that_was_left_open(operator: Visitor) -> None:
    for _ in range(10):
        change_password(operator, 422, old_password="guess")
    change_password(operator, 429)


def test_language_and_colours_are_ones_own(operator: Visitor, database: Database) -> None:
    operator.locale = None
    page = operator.post("/account", {"locale": "fa", "theme": "dark"})
    html = operator.follow(page).one("html")
    assert (html.get("lang"), html.get("data-bs-theme")) == ("fa", "dark")
    operator.post("/account", {"locale": "", "theme": "auto"})
    assert user_of(database, OPERATOR).locale is None
    assert operator.get("/account").one("html").get("lang") == "fa", "the office's"


def test_nonsense_is_refused_in_ones_account(operator: Visitor) -> None:
    page = operator.post("/account", {"locale": "de", "theme": "pink"}, 422)
    assert page.error("locale") == page.error("theme") == "Choose one of the list."


def test_nobody_makes_themselves_an_administrator(operator: Visitor, database: Database) -> None:
    operator.post("/account", {"locale": "en", "theme": "auto", "role": "administrator", "extensions": "102"})
    assert (user_of(database, OPERATOR).role, user_of(database, OPERATOR).extensions) == ("operator", ["101"])


def test_the_way_to_the_account_is_ones_name(supervisor: Visitor) -> None:
    link = next(supervisor.get("/overview").one("div", class_="who").iter("a"))
    assert (text(link), link.get("href")) == (SUPERVISOR, "/account")
