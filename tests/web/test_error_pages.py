"""What people are told when something fails, and that it is in plain words whatever fails."""

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
def broken(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of modules has a fault of ours."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr("app.web.modules.views.list_modules", fail)


class Lost:
    """A database that is not there any more."""

    @contextmanager
    def read(self) -> Iterator[Any]:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))
        yield

    write = read


def test_a_fault_of_ours_is_logged_and_told(admin: Visitor, broken: None, caplog: pytest.LogCaptureFixture) -> None:
    page = admin.get("/modules", 500)
    assert "This is our own fault" in page.main
    assert "ZeroDivisionError" in caplog.text and "ZeroDivisionError" not in page.source
    assert page.has("a", href="/requests"), "a way on"


def test_in_persian(app: Flask, database: Database, broken: None) -> None:
    users.set_locale(database, 1, "fa")
    page = Visitor(app, 1, locale="fa").get("/modules", 500)
    assert "۵۰۰" in page.main and "این خطا از ماست" in page.main


@pytest.mark.parametrize("path", ["/requests", "/login", "/nothing", "/modules/1/delete"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_without_a_database_it_is_told_in_both_languages(app: Flask, admin: Visitor, path: str, method: str) -> None:
    app.extensions["bazang"]["database"] = Lost()
    response = getattr(admin.client, method)(path)
    assert response.status_code == 500
    assert "Something went wrong" in response.text and "مشکلی پیش آمد" in response.text
    assert "disk I/O" not in response.text


def test_a_stale_form_says_what_to_do(app: Flask, admin: Visitor) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    page = admin.press("/requests/acts/cancel", status=400)
    assert page.response.headers["HX-Retarget"] == "#message"
    assert "Load it again" in page.main
