"""The pages for errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.services import users
from app.store.database import Database
from tests.web.pages import Visitor


@pytest.fixture
def broken(app: Flask) -> str:
    """The path of a page with a bug."""

    @app.get("/broken")
    def fail() -> str:
        raise ZeroDivisionError("of the test")

    return "/broken"


class LostDatabase:
    """A database that has gone away."""

    @contextmanager
    def read(self) -> Iterator[Any]:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))
        yield

    write = read


@pytest.mark.parametrize("locale", ["en", "fa"])
def test_a_bug_is_logged_and_shown_without_details(
    app: Flask, database: Database, broken: str, locale: str, caplog: pytest.LogCaptureFixture
) -> None:
    users.set_locale(database, 1, locale)
    page = Visitor(app, 1, locale=locale).get(broken, 500)
    assert {"en": "500", "fa": "۵۰۰"}[locale] in page.main
    assert "ZeroDivisionError" in caplog.text and "ZeroDivisionError" not in page.source
    assert page.has("a", href="/requests"), "a way on"


@pytest.mark.parametrize("path", ["/requests", "/login", "/nothing", "/modules/1/delete"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_without_a_database_the_error_is_shown_in_both_languages(
    app: Flask, admin: Visitor, path: str, method: str
) -> None:
    app.extensions["bazang"]["database"] = LostDatabase()
    response = getattr(admin.client, method)(path)
    assert response.status_code == 500
    assert "Something went wrong" in response.text and "مشکلی پیش آمد" in response.text
    assert "disk I/O" not in response.text


def test_a_stale_form_is_refused_with_a_message(app: Flask, admin: Visitor) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    page = admin.press("/requests/acts/cancel", status=400)
    assert page.response.headers["HX-Retarget"] == "#message"
    assert "Load it again" in page.main
