"""Logging in with a provider and a directory: accounts, roles, links, and what attackers try."""

import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from app import create_app
from app.config import Settings
from app.domain.external_users import ExternalUser, Source
from app.extensions import db
from app.identity.errors import Refused, Unreachable, WrongCredentials
from app.identity.oidc import Provider
from app.services import identities, users
from app.services.api import tokens
from app.services.users import UserInput
from app.store.database import Database
from app.store.models import AuditEntry, User, UserIdentity, UserSession
from app.store.settings import write_setting
from tests.identity.provider_double import CLIENT, ISSUER, ProviderDouble
from tests.support.factories import NOW
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD
from tests.web.pages import Page, Visitor

DIRECTORY_PASSWORD = "of the directory"


class DirectoryDouble:
    """A directory with one user. `user` None: it does not answer."""

    servers = ()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.user: ExternalUser | None = ExternalUser(
            Source.LDAP, "ldap", "entry-1", "mehdi", frozenset({"operators"}), None
        )
        self.asked: list[str] = []
        self.broken = False

    def authenticate(self, name: str, password: str) -> ExternalUser:
        self.asked.append(name)
        if self.user is None:
            raise Unreachable("down")
        if self.broken:
            raise Refused("the search failed")
        if name.casefold() != self.user.name or password != DIRECTORY_PASSWORD:
            raise WrongCredentials
        return self.user


@pytest.fixture
def settings(settings: Settings) -> Settings:
    values = {
        "oidc_issuer": ISSUER,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": "s",
        "oidc_title": "Office login",
        "oidc_administrator_groups": "admins",
        "oidc_operator_groups": "staff; phones",
        "ldap_servers": "ldaps://127.0.0.1",
        "ldap_user_base": "dc=example,dc=org",
        "ldap_operator_groups": "Operators",
        "ldap_administrator_groups": "admins",
    }
    return Settings(_env_file=None, data_dir=settings.data_dir, **values)  # type: ignore[arg-type,call-arg]


@pytest.fixture
def double(app: Flask) -> ProviderDouble:
    made = ProviderDouble()
    app.extensions["bazang_sources"][Source.OIDC] = Provider(app.extensions["bazang"]["settings"], made)
    return made


@pytest.fixture
def directory(app: Flask) -> DirectoryDouble:
    made = DirectoryDouble(app.extensions["bazang"]["settings"])
    app.extensions["bazang_sources"][Source.LDAP] = made
    return made


def go(visitor: Visitor, double: ProviderDouble, path: str = "/login/provider", **query: str) -> dict[str, str]:
    """Begin a log-in. Return what the provider sends the browser back with."""
    page = visitor.get(path, 302, headers=None, **query)
    return double.authorize(page.response.headers["Location"])


def back(visitor: Visitor, answer: dict[str, str], status: int = 302) -> Page:
    return visitor.get("/login/provider/back", status, headers=None, **answer)


def log_in(visitor: Visitor, double: ProviderDouble, status: int = 302, **query: str) -> Page:
    return back(visitor, go(visitor, double, **query), status)


def user_named(database: Database, name: str) -> User:
    return users.find_by_name(database, name)


def actions(database: Database) -> list[str]:
    with database.read() as session:
        return [str(action) for action in session.scalars(select(AuditEntry.action).order_by(AuditEntry.id))]


# -- with the provider ------------------------------------------------------------------------------------------------


def test_the_first_log_in_makes_an_account_without_a_password(
    visitor: Visitor, database: Database, double: ProviderDouble, directory: DirectoryDouble
) -> None:
    page = log_in(visitor, double)
    assert page.response.headers["Location"] == "/mine"
    user = user_named(database, "nima")
    assert (user.role, user.password_hash) == ("operator", "")
    assert actions(database)[-2:] == ["user_created", "logged_in"]
    account = visitor.get("/account")
    assert not account.has(id="old_password")
    assert "Office login" in account.main
    other = Visitor(visitor.app)
    for password in ("", "nobody has this password", PASSWORD):
        other.post("/login", {"name": "nima", "password": password}, 422)


def test_the_role_follows_the_groups_at_the_next_log_in(app: Flask, database: Database, double: ProviderDouble) -> None:
    log_in(Visitor(app), double)
    double.claims = {"groups": ["admins"], "preferred_username": "renamed"}
    log_in(Visitor(app), double)
    user = user_named(database, "nima")
    assert user.role == "administrator"
    double.claims = {"groups": ["staff"]}
    log_in(Visitor(app), double)
    assert user_named(database, "nima").role == "operator"
    assert users.count(database) == 5


@pytest.mark.parametrize("groups", [[], ["others"], ["STAFF"], None, ["staff; phones"]], ids=str)
def test_without_a_matching_group_nobody_is_let_in(
    visitor: Visitor, database: Database, double: ProviderDouble, groups: list[str] | None
) -> None:
    double.claims = {"groups": groups}
    page = log_in(visitor, double, 403)
    assert page.has(class_="note-fault")
    assert users.count(database) == 4
    visitor.get("/requests", 302)
    assert actions(database)[-1] == "login_refused"


def test_an_account_is_not_taken_over_by_its_name_or_address(
    visitor: Visitor, database: Database, double: ProviderDouble
) -> None:
    for name in (ADMINISTRATOR, f" {ADMINISTRATOR} ", ADMINISTRATOR.upper()):
        double.claims = {"preferred_username": name, "email": name, "groups": ["admins"]}
        log_in(visitor, double, 403)
        visitor.get("/requests", 302)
    with database.read() as session:
        assert session.scalars(select(UserIdentity)).all() == []


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\u202eb", None, ["a", "b"], {"a": 1}], ids=repr)
def test_strange_names(visitor: Visitor, database: Database, double: ProviderDouble, name: object) -> None:
    double.claims = {"preferred_username": name}
    log_in(visitor, double, 302 if name == ["a", "b"] else 403)


def test_who_is_deactivated_in_the_panel_stays_out(app: Flask, database: Database, double: ProviderDouble) -> None:
    visitor = Visitor(app)
    log_in(visitor, double)
    user = user_named(database, "nima")
    users.change(database, user.id, UserInput("operator", active=False), NOW)
    visitor.get("/mine", 302)
    double.claims = {"groups": ["admins"]}
    log_in(visitor, double, 403)
    assert not user_named(database, "nima").active


def test_a_state_counts_once_and_only_in_its_browser(app: Flask, double: ProviderDouble) -> None:
    visitor, attacker = Visitor(app), Visitor(app)
    answer = go(visitor, double)
    back(attacker, answer, 403)  # the code of somebody else
    back(visitor, {**answer, "state": "forged"}, 403)
    back(visitor, {"code": "a-code"}, 403)
    assert "/token" not in double.asked
    back(visitor, answer)
    visitor.post("/logout", status=200)
    back(visitor, answer, 403)
    assert double.asked.count("/token") == 1


def test_the_nonce_of_another_log_in_is_refused(visitor: Visitor, double: ProviderDouble) -> None:
    first = go(visitor, double)
    go(visitor, double)  # in another tab: the provider's token has this nonce now
    page = back(visitor, first, 403)
    assert page.has(class_="note-fault")


@pytest.mark.parametrize(
    "page", ["//evil.example.org", "https://evil.example.org", "/\\evil.example.org", "javascript:x"]
)
def test_a_log_in_leads_nowhere_else(visitor: Visitor, double: ProviderDouble, page: str) -> None:
    assert log_in(visitor, double, next=page).response.headers["Location"] == "/mine"


def test_a_log_in_leads_to_the_page_that_was_asked_for(visitor: Visitor, double: ProviderDouble) -> None:
    asked = visitor.follow(visitor.get("/account", 302))
    link = next(a for a in asked.all("a") if "/login/provider" in a.get("href", ""))
    answer = go(visitor, double, link.get("href", ""))
    assert back(visitor, answer).response.headers["Location"] == "/account"


def test_the_errors_of_the_provider_are_said_in_words(app: Flask, double: ProviderDouble) -> None:
    visitor = Visitor(app)
    for code in ("access_denied", "temporarily_unavailable", "<script>alert(1)</script>", "x" * 500):
        state = go(visitor, double)["state"]
        page = back(visitor, {"state": state, "error": code, "error_description": "<b>evil</b>"}, 403)
        assert "<script>alert" not in page.source
        assert "evil" not in page.source
        assert page.has(class_="note-fault")


def test_a_provider_that_is_down_leaves_the_local_log_in(
    visitor: Visitor, database: Database, double: ProviderDouble
) -> None:
    double.down = True
    page = visitor.get("/login/provider", 503)
    assert page.has(class_="note-fault")
    page = visitor.get("/login")
    assert page.has(class_="note-fault"), "the page says it before anybody tries"
    visitor.post("/login", {"name": ADMINISTRATOR, "password": PASSWORD})
    visitor.get("/requests")


def test_the_way_back_is_right_behind_a_proxy(app: Flask, settings: Settings) -> None:
    changed = settings.model_copy(update={"url_prefix": "/bazang", "trusted_proxies": 1})
    panel = create_app(changed)
    double = ProviderDouble()
    panel.extensions["bazang_sources"][Source.OIDC] = Provider(changed, double)
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "calls.lan"}
    response = panel.test_client().get("/bazang/login/provider", headers=headers)
    query = parse_qs(urlsplit(response.headers["Location"]).query)
    assert query["redirect_uri"] == ["https://calls.lan/bazang/login/provider/back"]
    with panel.app_context():
        db.engine.dispose()


def test_logging_out_leads_to_the_provider(visitor: Visitor, database: Database, double: ProviderDouble) -> None:
    log_in(visitor, double)
    with database.read() as session:
        stored = session.scalars(select(UserSession.id_token)).all()
    assert all("." not in token for token in stored), "the token is stored encrypted"
    page = visitor.post("/logout", status=200)
    refresh = next(meta.get("content", "") for meta in page.root.iter("meta") if meta.get("http-equiv") == "refresh")
    url = refresh.partition("url=")[2]
    assert url.startswith(f"{ISSUER}/logout?")
    assert parse_qs(urlsplit(url).query)["post_logout_redirect_uri"] == ["http://localhost/login"]
    visitor.get("/mine", 302)


def test_a_second_factor_is_the_providers_matter(visitor: Visitor, database: Database, double: ProviderDouble) -> None:
    with database.write() as session:
        write_setting(session, "second_factor", "everybody")
    log_in(visitor, double)
    visitor.get("/mine")
    visitor.get("/account/second-factor", 302)


def test_a_token_needs_a_log_in_that_asked_for_the_password(
    visitor: Visitor, database: Database, double: ProviderDouble
) -> None:
    log_in(visitor, double)
    form = {"name": "CRM", "scopes": ["requests:read"], "password": ""}
    page = visitor.get("/account/tokens/new")
    link = next(a for a in page.all("a") if "again=1" in a.get("href", ""))
    visitor.post("/account/tokens/new", form, 422)
    double.claims = {"auth_time": int(time.time())}
    assert (
        back(visitor, go(visitor, double, link.get("href", ""))).response.headers["Location"] == "/account/tokens/new"
    )
    visitor.post("/account/tokens/new", form, 200)
    assert len(tokens.list_tokens(database, user_named(database, "nima").id)) == 1


# -- the last administrator -------------------------------------------------------------------------------------------


def test_the_last_administrator_with_a_password_stays_one(
    app: Flask, admin: Visitor, database: Database, double: ProviderDouble
) -> None:
    double.claims = {"groups": ["admins"]}
    log_in(Visitor(app), double)
    page = admin.post("/users/1/deactivate", status=422)
    assert "password of the panel" in page.main
    identities.link(database, 1, ExternalUser(Source.OIDC, ISSUER, "77", "sara"), NOW, address="")
    double.claims = {"sub": "77", "groups": ["staff"]}
    log_in(Visitor(app), double)
    assert users.get(database, 1).role == "administrator"


# -- links ------------------------------------------------------------------------------------------------------------


def test_a_user_links_their_account_and_removes_the_link(
    operator: Visitor, app: Flask, database: Database, double: ProviderDouble
) -> None:
    page = operator.post("/account/links/new/oidc", status=200)  # the session is fresh
    assert page.has("a", href="/login/provider/link")
    answer = go(operator, double, "/login/provider/link")
    back(operator, answer)
    assert [row.subject for row in identities.list_identities(database, 2)] == ["42"]
    visitor = Visitor(app)
    log_in(visitor, double)
    assert OPERATOR in visitor.get("/account").main
    visitor.post("/account/links/1/remove")
    visitor.get("/account", 302)
    assert identities.list_identities(database, 2) == []


def test_nobody_is_linked_without_the_page_that_asks(operator: Visitor, database: Database) -> None:
    assert operator.get("/login/provider/link", 302).response.headers["Location"] == "/account/links/new/oidc"


def test_an_account_is_linked_with_one_user_only(
    operator: Visitor, app: Flask, database: Database, double: ProviderDouble
) -> None:
    log_in(Visitor(app), double)
    operator.post("/account/links/new/oidc", status=200)
    back(operator, go(operator, double, "/login/provider/link"))
    assert identities.list_identities(database, 2) == []


def test_another_user_cannot_finish_a_link(
    operator: Visitor, supervisor: Visitor, database: Database, double: ProviderDouble
) -> None:
    operator.post("/account/links/new/oidc", status=200)
    answer = go(operator, double, "/login/provider/link")
    back(supervisor, answer)  # its session has not begun it
    assert identities.list_identities(database, 4) == []
    supervisor.get("/account/links/1/remove", 404)


def test_an_administrator_removes_a_link_and_gives_a_password(
    admin: Visitor, app: Flask, database: Database, double: ProviderDouble
) -> None:
    log_in(Visitor(app), double)
    user = user_named(database, "nima")
    page = admin.get(f"/users/{user.id}")
    assert not page.has("a", href=f"/users/{user.id}/password")
    admin.post(f"/users/{user.id}/password", status=302)
    assert user_named(database, "nima").password_hash == ""
    identity = identities.list_identities(database, user.id)[0]
    admin.get(f"/account/links/{identity.id}/remove")
    admin.post(f"/account/links/{identity.id}/remove")
    page = admin.post(f"/users/{user.id}/password", status=200)
    assert user_named(database, "nima").password_hash


# -- with the directory -----------------------------------------------------------------------------------------------


def test_the_form_takes_the_name_and_password_of_the_directory(
    visitor: Visitor, database: Database, directory: DirectoryDouble
) -> None:
    visitor.post("/login", {"name": "Mehdi", "password": DIRECTORY_PASSWORD})
    assert user_named(database, "mehdi").role == "operator"
    visitor.get("/mine")
    visitor.post("/logout")
    visitor.post("/login", {"name": "mehdi", "password": "wrong"}, 422)
    visitor.post("/login", {"name": "mehdi", "password": ""}, 422)


def test_the_directory_does_not_get_the_passwords_of_local_users(visitor: Visitor, directory: DirectoryDouble) -> None:
    visitor.post("/login", {"name": ADMINISTRATOR, "password": "almost"}, 422)
    visitor.post("/login", {"name": ADMINISTRATOR.upper(), "password": PASSWORD}, 422)
    visitor.post("/login", {"name": ADMINISTRATOR, "password": PASSWORD})
    assert directory.asked == []


def test_a_directory_that_is_down_leaves_the_local_log_in_and_counts_no_failures(
    app: Flask, directory: DirectoryDouble
) -> None:
    directory.user = None
    for _ in range(10):
        page = Visitor(app).post("/login", {"name": "mehdi", "password": DIRECTORY_PASSWORD}, 503)
        assert page.has(class_="note-fault")
    Visitor(app).post("/login", {"name": ADMINISTRATOR, "password": PASSWORD})


def test_guessing_in_the_directory_takes_longer_and_longer(app: Flask, directory: DirectoryDouble) -> None:
    names = ["mehdi", "MEHDI", " mehdi", "ｍehdi", "me\u200chdi", "Mehdi", "mehdI"]
    statuses = [Visitor(app).client.post("/login", data={"name": n, "password": "x"}).status_code for n in names]
    assert statuses[-1] == 429, statuses
    assert len(directory.asked) < len(names)


def test_users_of_the_directory_may_need_a_second_factor(
    visitor: Visitor, database: Database, directory: DirectoryDouble
) -> None:
    with database.write() as session:
        write_setting(session, "second_factor", "everybody")
    visitor.post("/login", {"name": "mehdi", "password": DIRECTORY_PASSWORD})
    assert visitor.get("/mine", 302).response.headers["Location"].startswith("/account/second-factor")


def test_the_password_of_the_directory_confirms_changes(
    app: Flask, database: Database, directory: DirectoryDouble
) -> None:
    Visitor(app).post("/login", {"name": "mehdi", "password": DIRECTORY_PASSWORD})
    user = user_named(database, "mehdi")
    visitor = Visitor(app, user.id)
    with database.write() as session:
        for row in session.scalars(select(UserSession)):
            row.started_at -= timedelta(hours=1)  # so the password is asked for again
    form = {"name": "CRM", "scopes": ["requests:read"]}
    visitor.post("/account/tokens/new", {**form, "password": "wrong"}, 422)
    visitor.post("/account/tokens/new", {**form, "password": DIRECTORY_PASSWORD}, 200)


def test_a_user_links_their_entry_of_the_directory(
    operator: Visitor, app: Flask, database: Database, directory: DirectoryDouble
) -> None:
    operator.post("/account/links/new/ldap", {"login": "mehdi", "secret": "wrong"}, 422)
    operator.post("/account/links/new/ldap", {"login": "mehdi", "secret": DIRECTORY_PASSWORD})
    assert identities.list_identities(database, 2)[0].subject == "entry-1"
    visitor = Visitor(app)
    visitor.post("/login", {"name": "mehdi", "password": DIRECTORY_PASSWORD})
    assert OPERATOR in visitor.get("/account").main


def test_a_directory_that_is_set_up_wrongly_is_said(visitor: Visitor, directory: DirectoryDouble) -> None:
    directory.broken = True
    assert visitor.post("/login", {"name": "mehdi", "password": "x"}, 403).has(class_="note-fault")
