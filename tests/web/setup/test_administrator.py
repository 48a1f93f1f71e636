"""Step 1 of the setup: the setup link and the first administrator."""

import logging
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete

from app.services import users
from app.services.setup import first_administrator
from app.store import settings as store
from app.store.database import Database
from app.store.models import User
from app.web import wording
from app.web.context import utcnow
from app.web.setup import administrator
from tests.web.pages import Fields, Page, Visitor

PASSWORD = "a good password"
FORM = {"name": "zahra", "password": PASSWORD, "again": PASSWORD}
STEPS = ("/setup/office", "/setup/exchange", "/setup/module", "/setup/call", "/setup/end")


@pytest.fixture
def fresh(database: Database) -> None:
    """Remove all users."""
    with database.write() as session:
        session.execute(delete(User))


def make_token(database: Database) -> str:
    return first_administrator.make_token(database, utcnow())


def open_link(visitor: Visitor, database: Database) -> Page:
    """Open a new setup link; return the page of the first step."""
    return visitor.follow(visitor.get(f"/setup?token={make_token(database)}", 302))


def fields_of(page: Page) -> Fields:
    return page.fields(page.form(**{"class": "card"}))


def send(visitor: Visitor, page: Page, status: int = 302, **changes: str) -> Page:
    return visitor.post("/setup", fields_of(page) | FORM | changes, status)


def location(page: Page) -> str:
    return page.response.headers["Location"]


@pytest.mark.usefixtures("fresh")
def test_the_link_redirects_to_an_address_without_the_token(visitor: Visitor, database: Database) -> None:
    token = make_token(database)
    page = visitor.get(f"/setup?token={token}", 302)
    assert location(page) == "/setup"
    assert token not in visitor.follow(page).source


@pytest.mark.usefixtures("fresh")
def test_the_link_creates_the_administrator_and_logs_in(visitor: Visitor, database: Database) -> None:
    page = send(visitor, open_link(visitor, database))
    assert location(page) == "/setup/office"
    visitor.follow(page)
    user = users.check_password(database, "zahra", PASSWORD)
    assert user is not None and user.role == "administrator"
    with visitor.client.session_transaction() as session:
        assert "setup_token" not in session


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"name": ""}, "name", "required"),
        ({"name": "a\u202eb"}, "name", "characters"),
        ({"password": "short", "again": "short"}, "password", "too_short"),
        ({"again": "another"}, "again", "passwords_differ"),
    ],
)
def test_after_an_error_the_link_is_still_valid(
    visitor: Visitor, database: Database, changes: dict[str, str], field: str, code: str
) -> None:
    visitor.post("/language", {"locale": "en"})
    page = send(visitor, open_link(visitor, database), 422, **changes)
    assert page.error(field) == wording.error(code)
    assert page.one(id="name").get("value") == (FORM | changes)["name"]
    assert page.one(id="password").get("value") == "", "a password is never sent back"
    send(visitor, page)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("query", ["", "?token=", "?token=" + "x" * 5000, "?token=%ff%fe"])
def test_without_the_link_there_is_no_form(visitor: Visitor, database: Database, query: str) -> None:
    make_token(database)
    page = visitor.get(f"/setup{query}", 403)
    assert not page.has("input", type="password")
    assert "setup-link" in (page.one("code").text or "")
    visitor.post("/setup", FORM, 403)
    assert users.count(database) == 0


@pytest.mark.usefixtures("fresh")
def test_a_session_with_a_replaced_or_old_token_opens_nothing(
    visitor: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_link(visitor, database)
    make_token(database)
    visitor.post("/setup", FORM, 403)
    open_link(visitor, database)
    later = utcnow() + timedelta(hours=25)
    monkeypatch.setattr(administrator, "utcnow", lambda: later)
    visitor.post("/setup", FORM, 403)
    assert users.count(database) == 0


@pytest.mark.usefixtures("fresh")
def test_a_link_is_used_once(app: Flask, visitor: Visitor, database: Database) -> None:
    token = make_token(database)
    second = Visitor(app)
    for each in (visitor, second):
        each.get(f"/setup?token={token}", 302)
    visitor.post("/setup", FORM)
    page = second.post("/setup", FORM | {"name": "eve"}, 403)
    assert page.has("a", href="/login")
    assert second.get(f"/setup?token={token}", 403).has("a", href="/login")
    assert users.count(database) == 1


@pytest.mark.usefixtures("fresh")
def test_the_stored_digest_in_a_session_opens_nothing(visitor: Visitor, database: Database) -> None:
    make_token(database)
    with database.read() as reader, visitor.client.session_transaction() as session:
        session["setup_token"] = store.read_setting(reader, "setup_token").split()[0]
    visitor.post("/setup", FORM, 403)


@pytest.mark.usefixtures("fresh")
def test_guessing_is_limited(visitor: Visitor, database: Database) -> None:
    token = make_token(database)
    for number in range(20):
        visitor.get(f"/setup?token=guess{number}", 403)
    assert visitor.get(f"/setup?token={token}", 429).response.headers["Retry-After"] == "60"
    visitor.post("/setup", FORM, 429)


@pytest.mark.usefixtures("fresh")
def test_the_token_is_not_logged(
    visitor: Visitor, database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    token = make_token(database)
    send(visitor, visitor.follow(visitor.get(f"/setup?token={token}", 302)))
    monkeypatch.setattr(first_administrator, "is_open", lambda database: 1 / 0)
    visitor.app.config["PROPAGATE_EXCEPTIONS"] = False
    visitor.get(f"/setup?token={token}", 500)
    assert caplog.text, "the exception is logged"
    assert token not in caplog.text
    assert first_administrator._digest(token) not in caplog.text


@pytest.mark.usefixtures("fresh")
def test_the_form_has_a_csrf_token(app: Flask, visitor: Visitor, database: Database) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    page = open_link(visitor, database)
    visitor.post("/setup", FORM, 400)
    assert users.count(database) == 0
    send(visitor, page)


def test_an_administrator_closes_the_setup(visitor: Visitor, operator: Visitor, admin: Visitor) -> None:
    for path in ("/setup", "/setup?token=x"):
        assert visitor.get(path, 403).has("a", href="/login")
        operator.get(path, 403)
        assert location(admin.get(path, 302)) == "/setup/office"
    visitor.post("/setup", FORM, 403)


@pytest.mark.parametrize("path", STEPS)
def test_only_administrators_see_the_other_steps(visitor: Visitor, operator: Visitor, path: str) -> None:
    assert location(visitor.get(path, 302)).startswith("/login")
    operator.get(path, 403)


@pytest.mark.usefixtures("fresh")
def test_the_link_alone_does_not_open_the_other_steps(visitor: Visitor, database: Database) -> None:
    open_link(visitor, database)
    for path in STEPS:
        assert location(visitor.get(path, 302)).startswith("/login")
        if path != "/setup/end":
            assert location(visitor.post(path)) == "/login"


@pytest.mark.usefixtures("fresh")
def test_the_command_prints_a_link_that_works(app: Flask, visitor: Visitor) -> None:
    with app.app_context():
        result = app.test_cli_runner().invoke(args=["setup-link", "--host", "10.0.0.5", "--port", "8080"])
    visitor.get(result.output.strip().removeprefix("http://10.0.0.5:8080"), 302)
    visitor.post("/setup", FORM)
