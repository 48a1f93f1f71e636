"""The API tokens of users, on their pages."""

from datetime import UTC, datetime, timedelta

from flask import Flask
from sqlalchemy import select, update

from app.services import users
from app.services.api import tokens
from app.store.database import Database
from app.store.models import ApiToken, UserSession
from tests.support.factories import log_of
from tests.support.rows import for_each
from tests.web.conftest import PASSWORD
from tests.web.pages import Page, Visitor, child, text

NEW = "/account/tokens/new"


def shown_token(page: Page) -> str:
    return text(child(page.one(class_="copyable"), "code"))


def make(visitor: Visitor, name: str = "CRM", *scopes: str) -> str:
    """Make a token on the page and return it."""
    return shown_token(visitor.post(NEW, {"name": name, "scopes": list(scopes) or ["requests:read"]}, 200))


def let_session_age(database: Database) -> None:
    with database.write() as session:
        session.execute(update(UserSession).values(started_at=datetime.now(UTC) - timedelta(minutes=11)))


def test_token_is_shown_once_and_only_its_digest_is_stored(app: Flask, database: Database, operator: Visitor) -> None:
    token = make(operator, " CRM ", "figures:read", "requests:read")
    assert app.test_client().get("/api/v1/figures", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    page = operator.get("/account")
    assert token not in page.source and token[:8] in page.source and "read requests, read figures" in page.main
    with database.read() as session:
        row = session.scalars(select(ApiToken)).one()
    assert row.name == "CRM" and row.scopes == ["requests:read", "figures:read"]
    secret = token.removeprefix(row.beginning)
    assert secret not in str(vars(row)) and len(secret) > 35
    entry = log_of(database)[-1]
    assert (entry.actor, entry.action, entry.subject) == ("omid", "api_token_added", "omid")
    assert token not in str(entry.detail)
    assert operator.get(NEW).response.headers["Cache-Control"] == "no-store"


@for_each(
    ("fields", "field"),
    [
        ({"name": "", "scopes": ["requests:read"]}, "name"),
        ({"name": "x" * 61, "scopes": ["requests:read"]}, "name"),
        ({"name": "a\nb", "scopes": ["requests:read"]}, "name"),
        ({"name": "CRM", "scopes": []}, "scopes"),
        ({"name": "CRM", "scopes": ["everything"]}, "scopes"),
    ],
)
def test_wrong_input_makes_no_token(
    database: Database, operator: Visitor, fields: dict[str, object], field: str
) -> None:
    assert operator.post(NEW, fields, 422).error(field)
    assert tokens.list_tokens(database, 2) == []


def test_lifetime_is_chosen_shown_and_recorded(database: Database, operator: Visitor) -> None:
    for lasts, days in (("30", 30), ("90", 90), ("365", 365), ("never", None)):
        fields = {"name": f"CRM {lasts}", "scopes": ["requests:read"], "lasts": lasts}
        operator.post(NEW, fields, 200)
        row = tokens.list_tokens(database, 2)[0]
        assert row.expires_at == (None if days is None else row.created_at + timedelta(days=days))
        assert log_of(database)[-1].detail["lasts"] == [None, days]
    fields = {"name": "CRM", "scopes": ["requests:read"], "lasts": "3650000"}
    assert operator.post(NEW, fields, 422).error("lasts")
    assert operator.get(NEW).fields()["lasts"] == ["365"]


def test_account_page_warns_two_weeks_before_a_token_expires(database: Database, operator: Visitor) -> None:
    make(operator)

    def expire_in(days: float) -> str:
        with database.write() as session:
            session.execute(update(ApiToken).values(expires_at=datetime.now(UTC) + timedelta(days=days)))
        return operator.get("/account").main

    assert "expires on" not in expire_in(14.1)
    assert "The token “CRM” expires on" in expire_in(13.9)
    assert "The token “CRM” has expired" in expire_in(-0.1)


def test_name_is_free_again_after_the_token_is_revoked(database: Database, operator: Visitor) -> None:
    make(operator)
    assert "already in use" in operator.post(NEW, {"name": "CRM", "scopes": ["requests:read"]}, 422).error("name")
    page = operator.get("/account/tokens/1/revoke")
    assert "Revoke the token “CRM”?" in page.main
    assert operator.submit(page, "/account/tokens/1/revoke").response.location == "/account#tokens"
    assert log_of(database)[-1].action == "api_token_revoked"
    make(operator)
    operator.get("/account/tokens/1/revoke", 404)


def test_number_of_tokens_is_limited(database: Database, operator: Visitor) -> None:
    for number in range(tokens.MOST_TOKENS):
        tokens.create(database, 2, f"Token {number}", ["requests:read"], datetime.now(UTC), address="")
    page = operator.post(NEW, {"name": "One more", "scopes": ["requests:read"]}, 422)
    assert page.error("name") == "There are too many. Delete one first."


def test_password_is_asked_for_unless_the_user_has_just_logged_in(database: Database, operator: Visitor) -> None:
    assert not operator.get(NEW).has(id="password")
    let_session_age(database)
    assert operator.get(NEW).has(id="password")
    fields = {"name": "CRM", "scopes": ["requests:read"]}
    assert operator.post(NEW, fields, 422).error("password")
    assert operator.post(NEW, fields | {"password": "wrong"}, 422).error("password")
    assert tokens.list_tokens(database, 2) == []
    operator.post(NEW, fields | {"password": PASSWORD}, 200)
    assert len(tokens.list_tokens(database, 2)) == 1


def test_administrator_sees_and_revokes_the_tokens_of_all_users(
    app: Flask, database: Database, admin: Visitor, operator: Visitor
) -> None:
    assert "This user has no tokens." in admin.get("/users/2").main
    token = make(operator)
    page = admin.get("/users/2")
    assert "CRM" in page.main and token not in page.source
    assert page.one("a", href="/account/tokens/1/revoke") is not None
    assert "API tokens of the user stay valid" in admin.get("/users/2/password").main
    assert admin.post("/account/tokens/1/revoke").response.location == "/users/2#tokens"
    entry = log_of(database)[-1]
    assert (entry.actor, entry.subject, entry.detail["api_token"]) == ("sara", "omid", "CRM")
    assert app.test_client().get("/api/v1/queues", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_others_do_not_revoke_a_token(database: Database, operator: Visitor, supervisor: Visitor) -> None:
    make(operator)
    supervisor.get("/account/tokens/1/revoke", 404)
    supervisor.post("/account/tokens/1/revoke", status=404)
    assert len(tokens.list_tokens(database, 2)) == 1


def test_new_password_leaves_the_tokens(app: Flask, database: Database, operator: Visitor) -> None:
    token = make(operator)
    users.reset_password(database, 2, "another good password", datetime.now(UTC), actor="sara")
    response = app.test_client().get("/api/v1/requests", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
