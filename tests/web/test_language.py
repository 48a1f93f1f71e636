"""The language of a page: the user's, the one chosen in this browser, or the office's. The theme, too."""

import pytest
from flask import Flask

from app.config import Settings
from app.services import users
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import User
from script.office.database import make_settings
from tests.support.factories import reload
from tests.support.rows import for_each
from tests.web.conftest import ADMINISTRATOR, PASSWORD
from tests.web.pages import Page, Visitor


def language(page: Page) -> str:
    return page.one("html").get("lang", "")


def choose(visitor: Visitor, locale: str, *, came_from: str = "") -> Page:
    return visitor.post("/language", {"locale": locale}, headers={"Referer": came_from} if came_from else None)


def log_in(visitor: Visitor) -> None:
    visitor.post("/login", {"name": ADMINISTRATOR, "password": PASSWORD})


def test_without_a_choice_the_language_is_that_of_the_office(visitor: Visitor, database: Database) -> None:
    assert language(visitor.get("/login")) == "fa"
    with database.write() as session:
        store_settings.write_setting(session, "locale", "en")
    assert language(visitor.get("/login")) == "en"


@pytest.mark.parametrize(
    ("asked", "seen"),
    [("en-GB,en;q=0.9,fa;q=0.5", "en"), ("fa-IR", "fa"), ("de,*;q=0.1", "fa"), ("de", "fa"), ("", "fa")],
)
def test_a_visitor_reads_the_language_of_the_browser(visitor: Visitor, asked: str, seen: str) -> None:
    assert language(visitor.get("/login", headers={"Accept-Language": asked})) == seen
    choose(visitor, "fa")
    assert language(visitor.get("/login", headers={"Accept-Language": asked})) == "fa", "a choice comes first"


def test_an_administrator_reads_it_until_the_office_has_a_language(visitor: Visitor, database: Database) -> None:
    english = {"Accept-Language": "en"}
    log_in(visitor)
    assert language(visitor.get("/setup/office", headers=english)) == "en"
    with database.write() as session:
        store_settings.write_setting(session, "locale", "fa")
    assert language(visitor.get("/requests", headers=english)) == "fa"


def test_a_visitor_chooses_a_language(visitor: Visitor) -> None:
    choose(visitor, "en")
    assert language(visitor.get("/login")) == "en"
    choose(visitor, "fa")
    assert language(visitor.get("/login")) == "fa"


def test_the_button_offers_the_other_language(visitor: Visitor) -> None:
    for offered in ("en", "fa", "en"):
        button = visitor.get("/login").one("button", name="locale")
        assert (button.get("value"), button.get("lang")) == (offered, offered)
        choose(visitor, offered)


def test_a_choice_before_the_log_in_is_kept_after_it(visitor: Visitor) -> None:
    choose(visitor, "en")
    log_in(visitor)
    assert language(visitor.get("/requests")) == "en"


def test_the_language_of_a_user_is_used_in_every_browser(app: Flask, visitor: Visitor) -> None:
    log_in(visitor)
    choose(visitor, "en")
    other = Visitor(app)
    log_in(other)
    assert language(other.get("/requests")) == "en"


def test_the_language_of_the_user_wins_over_that_of_the_browser(visitor: Visitor, app: Flask) -> None:
    log_in(visitor)
    choose(visitor, "en")
    other = Visitor(app)
    choose(other, "fa")
    log_in(other)
    assert language(other.get("/requests")) == "en"


def test_the_language_is_kept_after_the_log_out(admin: Visitor) -> None:
    page = admin.follow(admin.post("/logout"))
    assert (language(page), page.message) == ("en", "You are logged out.")


@for_each("nonsense", ["de", "", "EN", "fa'", "../fa"])
def test_an_unknown_language_is_ignored(admin: Visitor, database: Database, nonsense: str) -> None:
    choose(admin, nonsense)
    assert language(admin.get("/requests")) == "en"
    with database.read() as session:
        user = session.get(User, 1)
    assert user is not None and reload(database, user).locale == "en"


@for_each(
    ("came_from", "leads_to"),
    [
        ("http://localhost/modules", "/modules"),
        ("http://localhost/modules?q=%D9%81&page=2#row", "/modules?q=%D9%81&page=2"),
        ("http://localhost/login?next=/modules", "/login?next=/modules"),
        ("http://localhost//evil.example/", "/requests"),
        ("http://localhost/\\evil.example/", "/requests"),
        ("http://localhost", "/requests"),
        ("http://evil.example/modules", "/requests"),
        ("http://localhost.evil.example/modules", "/requests"),
        ("http://[", "/requests"),
        ("modules", "/requests"),
        ("", "/requests"),
    ],
)
def test_choosing_a_language_leads_back_to_the_page(visitor: Visitor, came_from: str, leads_to: str) -> None:
    assert choose(visitor, "en", came_from=came_from).response.headers["Location"] == leads_to


def test_the_language_of_the_environment_wins_over_the_settings(
    app: Flask, settings: Settings, database: Database
) -> None:
    given = make_settings(settings.data_dir, default_locale="en")
    app.extensions["bazang"]["settings"] = given
    with database.write() as session:
        store_settings.write_setting(session, "locale", "fa")
    assert language(Visitor(app).get("/login")) == "en"


def test_the_theme_is_kept(admin: Visitor, visitor: Visitor, database: Database) -> None:
    assert admin.get("/requests").one("html").get("data-theme") == "auto"
    admin.post("/theme", {"theme": "dark"})
    for _ in range(2):
        page = admin.get("/requests").one("html")
        assert (page.get("data-theme"), page.get("data-bs-theme")) == ("dark", "dark")
    admin.post("/theme", {"theme": "pink"})
    assert admin.get("/requests").one("html").get("data-theme") == "dark"
    visitor.post("/theme", {"theme": "light"})
    assert visitor.get("/login").one("html").get("data-bs-theme") == "light"


def test_compiled_templates_serve_both_languages(app: Flask, database: Database) -> None:
    shown = []
    for locale in ("fa", "en", "fa"):
        users.set_locale(database, 1, locale)
        page = Visitor(app, 1, locale=locale).get("/extensions")
        shown.append(page.one("input", name="number").get("placeholder"))
    assert shown == ["۱۰۱", "101", "۱۰۱"]
