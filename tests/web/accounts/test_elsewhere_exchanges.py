"""Logging in with a provider and a directory to a panel with several exchanges: where one lands, and what one sees."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from sqlalchemy import update

from app import create_app
from app.config import Settings
from app.domain.external_users import ExternalUser, Source
from app.extensions import db, limiter
from app.services import exchanges, identities, users
from app.services.users import UserInput
from app.store.database import Database
from app.store.models import User
from script.office.server_database import new_database
from tests.identity.provider_double import ISSUER, ProviderDouble
from tests.support.exchanges import NORTH, add_exchange
from tests.support.factories import NOW
from tests.web.accounts import test_elsewhere
from tests.web.accounts.test_elsewhere import (
    DIRECTORY_PASSWORD,
    DirectoryDouble,
    actions,
    back,
    directory,
    double,
    go,
    log_in,
    user_named,
)
from tests.web.conftest import ADMINISTRATOR, GONE, OPERATOR, PASSWORD, SUPERVISOR
from tests.web.on_postgres import template_with_people
from tests.web.pages import Page, Visitor, text

__all__ = ["directory", "double", "settings", "template_with_people"]
settings = test_elsewhere.settings
BY_PROVIDER = ExternalUser(Source.OIDC, ISSUER, "42", "nima")
SEES_NONE = "You may not see any exchange of this panel."
BY_DIRECTORY = ExternalUser(Source.LDAP, "ldap", "entry-1", "mehdi")


@pytest.fixture
def app(
    settings: Settings, postgres_url: str, template_with_people: str, compiled_templates: BytecodeCache
) -> Iterator[Flask]:
    with new_database(postgres_url, template_with_people) as url:
        given = settings.model_dump(include=settings.model_fields_set) | {"database_url": url}
        app = create_app(Settings(_env_file=None, **given))  # type: ignore[call-arg]
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        app.jinja_env.bytecode_cache = compiled_templates
        limiter.reset()
        yield app
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def north(app: Flask) -> Database:
    return add_exchange(app)


def let_see(database: Database, name: str, *seen: int, role: str = "operator") -> None:
    """Let a user see these exchanges."""
    users.change(database, user_named(database, name).id, UserInput(role, locale="en", exchanges=seen), NOW)


def add_linked(database: Database, external: ExternalUser, *seen: int) -> User:
    """Add a user who sees these exchanges and logs in elsewhere."""
    user = users.create(database, external.name, PASSWORD, "operator", NOW, exchanges=seen, locale="en")
    identities.link(database, user, external, NOW, address="127.0.0.1")
    return users.get(database, user)


def land(visitor: Visitor, page: Page) -> str:
    """Return the address of the page on which somebody lands at last."""
    for _step in range(5):
        if page.status == 200:
            return page.response.request.full_path.rstrip("?")
        address = page.response.headers["Location"]
        page = visitor.check(visitor.client.get(address), 302 if is_redirected(visitor, address) else 200, None)
    raise AssertionError("led round in circles")


def is_redirected(visitor: Visitor, address: str) -> bool:
    return 300 <= visitor.client.get(address).status_code < 400


def seen(database: Database, name: str) -> tuple[int, ...]:
    return exchanges.seen_ids(database, user_named(database, name))


# -- where one lands --------------------------------------------------------------------------------------------------

NEXT = {
    "": f"/x/{NORTH}/mine",
    f"/x/{NORTH}/report?last=7": f"/x/{NORTH}/report?last=7",
    "/report": f"/x/{NORTH}/mine",  # of an exchange that they may not see
    "/x/south/requests/1": f"/x/{NORTH}/mine",
    "/x/nowhere/requests": f"/x/{NORTH}/mine",
    f"https://evil.example/x/{NORTH}/": f"/x/{NORTH}/mine",
}


def test_a_log_in_leads_to_an_exchange_that_the_user_may_see(
    app: Flask, database: Database, north: Database, double: ProviderDouble, directory: DirectoryDouble
) -> None:
    add_exchange(app, "south", "South branch")
    add_linked(database, BY_PROVIDER, 2)
    add_linked(database, BY_DIRECTORY, 2)
    for asked, landed in NEXT.items():
        visitor = Visitor(app)
        assert land(visitor, log_in(visitor, double, next=asked)) == landed, asked
        visitor = Visitor(app)
        page = visitor.post(f"/login?next={asked}", {"name": "mehdi", "password": DIRECTORY_PASSWORD})
        assert land(visitor, page) == landed, asked


def test_the_provider_knows_one_address_whatever_the_exchange(
    app: Flask, database: Database, north: Database, double: ProviderDouble
) -> None:
    add_linked(database, BY_PROVIDER, 2)
    visitor = Visitor(app)
    page = visitor.get(f"/x/{NORTH}/login/provider", 302, next=f"/x/{NORTH}/requests")
    began = page.response.headers["Location"]
    assert parse_qs(urlsplit(began).query)["redirect_uri"] == ["http://localhost/login/provider/back"]
    assert land(visitor, back(visitor, double.authorize(began))) == f"/x/{NORTH}/requests"
    page = visitor.post(f"/x/{NORTH}/logout", status=200)
    address = next(link.get("href", "") for link in page.all("a") if link.get("href", "").startswith(ISSUER))
    assert parse_qs(urlsplit(address).query)["post_logout_redirect_uri"] == ["http://localhost/login"]


def test_who_links_an_account_comes_back_to_their_own_page(
    app: Flask, database: Database, north: Database, double: ProviderDouble
) -> None:
    let_see(database, SUPERVISOR, 2, role="supervisor")
    visitor = Visitor(app)
    visitor.post("/login", {"name": SUPERVISOR, "password": PASSWORD})
    visitor.post(f"/x/{NORTH}/account/links/new/oidc", status=200)
    answer = go(visitor, double, f"/x/{NORTH}/login/provider/link")
    assert land(visitor, back(visitor, answer)) == f"/x/{NORTH}/account"
    assert [found.subject for found in identities.list_identities(database, user_named(database, SUPERVISOR).id)]


# -- what one sees ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["oidc", "ldap"])
def test_a_new_user_sees_no_exchange_until_an_administrator_says_which(
    app: Flask, database: Database, north: Database, double: ProviderDouble, directory: DirectoryDouble, source: str
) -> None:
    """Groups say what people may do, not where. Else each new colleague of a branch saw the first exchange."""
    visitor = Visitor(app)

    def enter(status: int) -> Page:
        if source == "oidc":
            return log_in(visitor, double, status)
        return visitor.post("/login", {"name": "mehdi", "password": DIRECTORY_PASSWORD}, status)

    name = "nima" if source == "oidc" else "mehdi"
    visitor.post("/language", {"locale": "en"})
    assert SEES_NONE in enter(403).main
    assert seen(database, name) == ()
    assert actions(database)[-2:] == ["user_created", "login_refused"]
    visitor.get("/requests", 302)
    let_see(database, name, 2)
    assert land(visitor, enter(302)) == f"/x/{NORTH}/mine"
    assert seen(database, name) == (2,), "a log-in changes nothing of it"


def test_a_new_administrator_sees_all_exchanges_only_as_such(
    app: Flask, database: Database, north: Database, double: ProviderDouble
) -> None:
    double.claims = {"groups": ["admins"]}
    visitor = Visitor(app)
    log_in(visitor, double)
    for prefix in ("", f"/x/{NORTH}"):
        visitor.get(f"{prefix}/users")
    double.claims = {"groups": ["staff"]}
    log_in(Visitor(app), double, 403)
    visitor.get(f"/x/{NORTH}/users", 302)


def test_a_new_user_sees_the_only_exchange(app: Flask, database: Database, double: ProviderDouble) -> None:
    log_in(Visitor(app), double)
    assert seen(database, "nima") == (1,)


def test_who_sees_no_exchange_is_told_so(app: Flask, database: Database, north: Database) -> None:
    """After the right password. Before, the page of the log-in came back without a word."""
    let_see(database, SUPERVISOR, 2, role="supervisor")
    exchanges.remove(
        app.extensions["bazang"]["exchanges"], app.extensions["bazang"]["settings"], NORTH, NORTH, NOW, actor="sara"
    )
    visitor = Visitor(app)
    visitor.post("/language", {"locale": "en"})
    page = visitor.post("/login", {"name": SUPERVISOR, "password": PASSWORD}, 403)
    assert SEES_NONE in page.main
    assert SEES_NONE not in visitor.post("/login", {"name": SUPERVISOR, "password": "wrong"}, 422).main
    assert "logged_in" not in actions(database)


def test_the_list_of_users_marks_who_sees_no_exchange(app: Flask, database: Database, north: Database) -> None:
    """An administrator must give the new colleague of a provider an exchange, and finds them here."""
    with database.write() as session:
        session.execute(update(User).where(User.name.in_([OPERATOR, GONE, ADMINISTRATOR])).values(sees_first=False))
    let_see(database, SUPERVISOR, 2, role="supervisor")
    visitor = Visitor(app, user_named(database, ADMINISTRATOR).id)
    visitor.post("/language", {"locale": "en"})
    for prefix in ("", f"/x/{NORTH}"):
        rows = visitor.get(f"{prefix}/users").one("tbody").iter("tr")
        assert [row.get("id") for row in rows if "sees no exchange" in text(row)] == [
            f"user-{user_named(database, OPERATOR).id}"
        ]


# -- extensions -------------------------------------------------------------------------------------------------------


def extensions(database: Database, north: Database, name: str) -> tuple[list[str], list[str]]:
    user = user_named(database, name).id
    return users.get(database, user).extensions, users.get(north, user).extensions


@pytest.mark.parametrize(
    ("where", "of_first", "of_north"), [((1,), ["205"], []), ((2,), [], ["205"]), ((1, 2), ["205"], [])], ids=str
)
def test_extensions_of_the_directory_are_those_of_the_first_exchange_that_the_user_may_see(
    app: Flask,
    database: Database,
    north: Database,
    directory: DirectoryDouble,
    where: tuple[int, ...],
    of_first: list[str],
    of_north: list[str],
) -> None:
    add_linked(database, BY_DIRECTORY, *where)
    directory.user = ExternalUser(Source.LDAP, "ldap", "entry-1", "mehdi", frozenset({"operators"}), ("205",))
    for _time in range(2):
        Visitor(app).post("/login", {"name": "mehdi", "password": DIRECTORY_PASSWORD})
    assert extensions(database, north, "mehdi") == (of_first, of_north)
    assert actions(database).count("user_changed") == 1
    assert seen(database, "mehdi") == where
