"""Log in with a real OpenID Connect provider, without a browser: what it sends, and what it accepts."""

import re
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, OpenerDirector, build_opener

import pytest
from flask import Flask

from app.config import Settings
from app.domain.external_users import Source
from app.identity.oidc import Provider
from app.services import users
from app.store.database import Database
from tests.support.html import parse
from tests.support.login_provider import PASSWORD, settings_for, start_provider
from tests.web.pages import Visitor

PANEL = "http://localhost"


class _Stay(HTTPRedirectHandler):
    """Follow redirections of the provider only, and show those that lead to the panel."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        return None if newurl.startswith(PANEL) else super().redirect_request(req, fp, code, msg, headers, newurl)


@pytest.fixture
def issuer(app: Flask, settings: Settings, provider_python: Path, tmp_path: Path) -> Iterator[str]:
    with start_provider(provider_python, tmp_path, [PANEL]) as issuer:
        changed = settings_for(settings, issuer)
        app.extensions["bazang"]["settings"] = changed
        app.extensions["bazang_sources"][Source.OIDC] = Provider(changed)
        yield issuer


def open_page(browser: OpenerDirector, url: str, data: dict[str, str] | None = None) -> tuple[str, str]:
    """Return the address at which the provider ends, and its page; or the address of the panel that it leads to."""
    try:
        with browser.open(url, urlencode(data).encode() if data else None) as answer:
            return answer.geturl(), answer.read().decode()
    except HTTPError as error:
        location = error.headers.get("Location", "")
        assert location.startswith(PANEL), f"{error.code} {url} {error.read()[:500]!r}"
        return location, ""


def log_in_there(url: str, name: str) -> dict[str, str]:
    """Log in at the provider as people do. Return what it sends the browser back with."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()), _Stay())
    where, page = open_page(browser, url)
    for field, value in (("login", name), ("password", PASSWORD)):
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token, page[:3000]
        assert f'name="{field}"' in page, parse(page, None)
        where, page = open_page(browser, where, {"csrf_token": token[1], field: value, "answer": "continue"})
    assert where.startswith(f"{PANEL}/login/provider/back?"), (where, page[:3000])
    return dict(parse_qsl(urlsplit(where).query))


def begin(visitor: Visitor) -> str:
    return visitor.get("/login/provider", 302).response.headers["Location"]


def test_the_whole_log_in_and_the_same_code_again(app: Flask, database: Database, issuer: str) -> None:
    visitor = Visitor(app)
    url = begin(visitor)
    assert url.startswith(issuer)
    answer = log_in_there(url, "nima")
    visitor.get("/login/provider/back", 403, headers=None, **{**answer, "state": "forged"})
    visitor.get("/login/provider/back", 302, headers=None, **answer)
    visitor.get("/users")
    assert users.find_by_name(database, "nima").role == "administrator"
    page = visitor.post("/logout", status=200)
    assert f"{issuer}/oauth/end_session?" in page.source
    visitor.get("/login/provider/back", 403, headers=None, **answer)
    again = dict(parse_qsl(urlsplit(begin(visitor)).query))
    replayed = {**answer, "state": again["state"]}  # the code was used, and belongs to another challenge
    visitor.get("/login/provider/back", 403, headers=None, **replayed)
    visitor.get("/users", 302)


def test_groups_of_the_provider(app: Flask, database: Database, issuer: str) -> None:
    for name, status in (("leila", 302), ("guest", 403), ("sara", 403)):
        visitor = Visitor(app)
        visitor.get("/login/provider/back", status, headers=None, **log_in_there(begin(visitor), name))
    assert users.find_by_name(database, "leila").role == "operator"
    assert users.count(database) == 5
