"""The pages of the users and of the own account."""

import re

import pytest
from flask import Flask

from app.services import users
from app.store.database import Database
from app.store.models import User
from app.web import wording
from tests.support.factories import NOW, create_line, log_of
from tests.support.rows import for_each
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD, SUPERVISOR
from tests.web.pages import Page, Visitor, child, text

NEW_PASSWORD = "a fine new password"


def user_of(database: Database, name: str) -> User:
    return next(user for user in users.list_users(database) if user.name == name)


def shown_password(page: Page) -> str:
    return text(child(page.one("div", class_="copyable"), "code"))


def test_the_list_shows_the_users(admin: Visitor) -> None:
    page = admin.get("/users")
    row = text(page.one(id="user-2"))
    assert OPERATOR in row and "operator" in row and "101" in row and "active" in row
    assert "(you)" in text(page.one(id="user-1"))
    assert "inactive" in text(page.one(id="user-3"))
    assert page.all("tr")[-1].get("id") == "user-3", "inactive users are last"


def test_a_new_user_can_log_in_with_the_generated_password(
    admin: Visitor, visitor: Visitor, database: Database
) -> None:
    create_line(database, "102", name="Zahra")
    form = admin.get("/users/new")
    page = admin.submit(form, "/users/new", 200, name="zahra", ticked=["102"], extensions="۲۰۱، 202", locale="en")
    password = shown_password(page)
    assert re.fullmatch(r"[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}", password)
    assert page.response.headers["Cache-Control"] == "no-store"
    user = user_of(database, "zahra")
    assert (user.role, user.extensions, user.locale) == ("operator", ["102", "201", "202"], "en")
    visitor.post("/login", {"name": "zahra", "password": password})
    assert "zahra" in text(visitor.get("/overview").one("div", class_="who"))
    assert password not in str([entry.detail for entry in log_of(database)])
    assert log_of(database)[-2].actor == ADMINISTRATOR, "before the log-in"


def test_a_password_can_be_chosen(admin: Visitor, database: Database) -> None:
    page = admin.submit(admin.get("/users/new"), "/users/new", name="zahra", password=NEW_PASSWORD, role="supervisor")
    assert admin.follow(page).message
    assert users.check_password(database, "zahra", NEW_PASSWORD) is not None


@for_each(
    ("typed", "field", "code"),
    [
        ({"name": ""}, "name", "required"),
        ({"name": OPERATOR}, "name", "taken"),
        ({"password": "short"}, "password", "too_short"),
        ({"role": None}, "role", "choice"),
        ({"extensions": "10a"}, "extensions", "code"),
        ({"locale": "de"}, "locale", "choice"),
        ({"theme": "pink"}, "theme", "choice"),
    ],
)
def test_errors_are_next_to_their_fields_and_typed_values_stay(
    admin: Visitor, database: Database, typed: dict[str, object], field: str, code: str
) -> None:
    before = len(users.list_users(database))
    values = {"name": "zahra", "role": "operator", "extensions": "101", "password": "", **typed}
    page = admin.submit(admin.get("/users/new"), "/users/new", 422, **values)
    assert page.error(field) == wording.error(code)
    assert page.one(id="name").get("value") == (typed.get("name", "zahra") or "")
    assert page.one(id="extensions").get("value") == typed.get("extensions", "101")
    assert page.one(id="password").get("value") in (None, "")
    assert len(users.list_users(database)) == before


def test_a_user_is_changed(admin: Visitor, operator: Visitor, database: Database) -> None:
    form = admin.get("/users/2")
    assert form.one("input", value="operator").get("checked") is not None
    assert form.one(id="extensions").get("value") == "101", "the PBX has not reported it, so it is not a tick"
    page = admin.submit(form, "/users/2", role="supervisor", theme="dark")
    assert admin.follow(page).message
    assert (user_of(database, OPERATOR).role, user_of(database, OPERATOR).theme) == ("supervisor", "dark")
    operator.get("/log"), "the role applies at once"
    entry = log_of(database)[-1]
    assert entry.action == "user_changed"
    assert entry.detail == {"role": ["operator", "supervisor"], "theme": ["auto", "dark"]}


def test_known_extensions_are_ticks_and_others_are_typed(admin: Visitor, database: Database) -> None:
    create_line(database, "101")
    create_line(database, "102")
    admin.submit(admin.get("/users/2"), "/users/2", ticked=["102"], extensions="300")
    form = admin.get("/users/2")
    assert form.fields()["ticked"] == ["102"]
    assert form.one(id="extensions").get("value") == "300"
    assert user_of(database, OPERATOR).extensions == ["102", "300"]


def test_the_last_administrator_cannot_be_removed(admin: Visitor, database: Database) -> None:
    message = wording.error("last_administrator")
    page = admin.submit(admin.get("/users/1"), "/users/1", 422, role="operator")
    assert page.error("role") == message
    assert message in admin.post("/users/1/deactivate", status=422).main
    assert (user_of(database, ADMINISTRATOR).role, user_of(database, ADMINISTRATOR).active) == ("administrator", True)
    admin.submit(admin.get("/users/4"), "/users/4", role="administrator")
    admin.submit(admin.get("/users/1"), "/users/1", role="operator")
    admin.get("/users", 403)


def test_deactivation_ends_sessions_for_good(admin: Visitor, operator: Visitor, database: Database) -> None:
    operator.get("/overview")
    question = admin.get("/users/2/deactivate")
    assert f"“{OPERATOR}”" in question.main
    assert user_of(database, OPERATOR).active, "only after the confirmation"
    assert admin.follow(admin.submit(question, "/users/2/deactivate")).message
    operator.get("/overview", 302)
    assert users.check_password(database, OPERATOR, PASSWORD) is None
    assert admin.follow(admin.post("/users/2/activate")).message
    operator.get("/overview", 302), "the old session has ended"
    assert users.check_password(database, OPERATOR, PASSWORD) is not None


def test_a_reset_password_is_shown_and_ends_sessions(
    admin: Visitor, operator: Visitor, visitor: Visitor, database: Database
) -> None:
    question = admin.get("/users/2/password")
    operator.get("/overview")
    password = shown_password(admin.submit(question, "/users/2/password", 200))
    operator.get("/overview", 302)
    assert users.check_password(database, OPERATOR, PASSWORD) is None
    visitor.post("/login", {"name": OPERATOR, "password": password})
    visitor.get("/overview")
    entry = log_of(database)[-2]
    assert (entry.actor, entry.action, entry.subject, entry.detail) == (ADMINISTRATOR, "password_reset", OPERATOR, {})
    admin.get("/users"), "the administrator's session goes on"


def test_the_own_password_is_changed_on_the_account_page(admin: Visitor) -> None:
    assert admin.get("/users/1/password", 302).response.headers["Location"] == "/account"
    assert admin.post("/users/1/password", status=302).response.headers["Location"] == "/account"


@pytest.mark.parametrize("path", ["/users/99", "/users/99/password", "/users/99/deactivate", "/users/0", "/users/x"])
def test_unknown_users_are_not_found(admin: Visitor, path: str) -> None:
    admin.get(path, 404)


def test_names_are_escaped(admin: Visitor, database: Database) -> None:
    user = users.create(database, "<b>x</b>", PASSWORD, "operator", NOW)
    for path in ("/users", f"/users/{user}", f"/users/{user}/password", f"/users/{user}/deactivate"):
        assert "<b>x" in admin.get(path).main


# -- the own account --------------------------------------------------------------------------------------------------


def change_password(visitor: Visitor, status: int = 302, **changes: str) -> Page:
    fields = {"old_password": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD, **changes}
    return visitor.post("/account/password", fields, status)


def test_changing_the_own_password_ends_other_sessions(app: Flask, operator: Visitor, database: Database) -> None:
    elsewhere = Visitor(app, 2)
    elsewhere.get("/overview")
    assert operator.follow(change_password(operator)).message
    elsewhere.get("/overview", 302)
    operator.get("/overview")
    assert users.check_password(database, OPERATOR, NEW_PASSWORD) is not None
    assert users.check_password(database, OPERATOR, PASSWORD) is None
    entry = log_of(database)[-1]
    assert (entry.actor, entry.action) == (OPERATOR, "password_changed")


@pytest.mark.parametrize(
    ("typed", "field", "code"),
    [
        ({"old_password": ""}, "old_password", "wrong"),
        ({"password": "short", "again": "short"}, "password", "too_short"),
        ({"password": PASSWORD, "again": PASSWORD}, "password", "same"),
        ({"again": "a different word"}, "again", "passwords_differ"),
    ],
)
def test_errors_leave_the_password_unchanged(
    operator: Visitor, database: Database, typed: dict[str, str], field: str, code: str
) -> None:
    page = change_password(operator, 422, **typed)
    assert page.error(field) == wording.error(code)
    assert not any(value in page.source for value in (NEW_PASSWORD, "a different word"))
    assert users.check_password(database, OPERATOR, PASSWORD) is not None


def test_attempts_with_the_old_password_are_limited(operator: Visitor) -> None:
    for _ in range(10):
        change_password(operator, 422, old_password="guess")
    change_password(operator, 429)


def test_language_and_theme_are_the_users_own(operator: Visitor, database: Database) -> None:
    operator.locale = None
    page = operator.post("/account", {"locale": "fa", "theme": "dark"})
    html = operator.follow(page).one("html")
    assert (html.get("lang"), html.get("data-bs-theme")) == ("fa", "dark")
    operator.post("/account", {"locale": "", "theme": "auto"})
    assert user_of(database, OPERATOR).locale is None
    assert operator.get("/account").one("html").get("lang") == "fa", "the office's language"


def test_invalid_preferences_are_refused(operator: Visitor) -> None:
    page = operator.post("/account", {"locale": "de", "theme": "pink"}, 422)
    assert page.error("locale") == page.error("theme") == wording.error("choice")


def test_users_cannot_change_their_own_role(operator: Visitor, database: Database) -> None:
    operator.post("/account", {"locale": "en", "theme": "auto", "role": "administrator", "extensions": "102"})
    assert (user_of(database, OPERATOR).role, user_of(database, OPERATOR).extensions) == ("operator", ["101"])


def test_the_users_name_links_to_the_account(supervisor: Visitor) -> None:
    link = next(supervisor.get("/overview").one("div", class_="who").iter("a"))
    assert (text(link), link.get("href")) == (SUPERVISOR, "/account")
