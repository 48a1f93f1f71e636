"""Sessions: how they end, what the account page shows of them, and the cookies."""

from datetime import timedelta

import pytest
from flask import Flask

from app.config import Settings
from app.services import sessions
from app.store.database import Database
from app.store.models import UserSession
from app.web.accounts.browsers import describe_browser
from app.web.context import utcnow
from script.office.database import make_settings
from tests.support.factories import create_module, log_of
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD
from tests.web.pages import Visitor, text

TLS = {"X-Forwarded-Proto": "https"}
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return make_settings(settings.data_dir, **getattr(request, "param", {}))


def log_in(visitor: Visitor, name: str = OPERATOR, **headers: str) -> None:
    visitor.post("/login", {"name": name, "password": PASSWORD}, headers=headers)


def cookie_of(visitor: Visitor) -> str:
    cookie = visitor.client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def copy(app: Flask, visitor: Visitor) -> Visitor:
    """Return somebody who has copied the cookie of a visitor."""
    thief = Visitor(app)
    thief.client.set_cookie("session", cookie_of(visitor))
    return thief


def session_rows(database: Database) -> list[UserSession]:
    with database.read() as session:
        return list(session.query(UserSession).order_by(UserSession.id))


def age(database: Database, *, started: timedelta = timedelta(0), used: timedelta = timedelta(0)) -> None:
    """Make all sessions older."""
    with database.write() as session:
        for row in session.query(UserSession):
            row.started_at -= started
            row.used_at -= used


def test_a_copied_cookie_is_worthless_after_the_log_out(app: Flask, visitor: Visitor) -> None:
    log_in(visitor)
    thief = copy(app, visitor)
    thief.get("/overview")
    visitor.post("/logout")
    thief.get("/overview", 302)
    thief.post("/account", {"locale": "fa"}).response.headers["Location"].startswith("/login")


def test_logging_in_again_ends_the_session_before(app: Flask, visitor: Visitor, database: Database) -> None:
    log_in(visitor)
    thief = copy(app, visitor)
    log_in(visitor)
    visitor.get("/overview")
    thief.get("/overview", 302)
    assert len(session_rows(database)) == 1


def test_the_database_does_not_contain_the_token(visitor: Visitor, database: Database) -> None:
    log_in(visitor)
    with visitor.client.session_transaction() as session:
        token = session["_user_id"]
    (row,) = session_rows(database)
    assert token not in str(vars(row)) and len(token) >= 40
    thief = Visitor(visitor.app)
    with thief.client.session_transaction() as session:
        session["_user_id"] = row.digest
    thief.get("/overview", 302)


@pytest.mark.parametrize(
    ("started", "used", "status"),
    [(13.9, 0.4, 200), (1, 0.51, 302), (14, 0, 302)],
    ids=["within the limits", "idle", "too long"],
)
def test_a_session_ends_at_its_limits(
    operator: Visitor, database: Database, started: float, used: float, status: int
) -> None:
    age(database, started=timedelta(days=started), used=timedelta(days=used))
    operator.get("/overview", status)
    operator.get("/overview", status)


@pytest.mark.parametrize("settings", [{"session_idle_hours": 1, "session_days": 1}], indirect=True)
def test_the_limits_are_settings(app: Flask, operator: Visitor, database: Database) -> None:
    age(database, used=timedelta(minutes=59))
    operator.get("/overview")
    age(database, used=timedelta(minutes=61))
    operator.get("/overview", 302)


def test_a_page_that_polls_does_not_keep_its_session_alive(operator: Visitor, database: Database) -> None:
    age(database, used=timedelta(hours=11))
    operator.ask("/requests/rows")
    operator.ask("/live")
    age(database, used=timedelta(hours=1))
    assert operator.ask("/live", 401).response.headers["HX-Redirect"].startswith("/login")


@pytest.mark.parametrize("path", ["/overview", "/wallboard/body"])
def test_use_keeps_a_session_alive(operator: Visitor, database: Database, path: str) -> None:
    for _ in range(3):
        age(database, used=timedelta(hours=11))
        operator.ask(path) if path.endswith("body") else operator.get(path)
    assert utcnow() - session_rows(database)[0].used_at < timedelta(minutes=1)


def test_use_is_stored_only_now_and_then(
    operator: Visitor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write makes all caches outdated."""
    stored: list[int] = []
    monkeypatch.setattr(sessions, "mark_used", lambda _database, row, _now: stored.append(row))
    for _ in range(3):
        operator.get("/overview")
    assert stored == []
    age(database, used=timedelta(minutes=6))
    operator.get("/overview")
    assert len(stored) == 1


def test_ended_sessions_are_deleted_at_the_next_log_in(visitor: Visitor, operator: Visitor, database: Database) -> None:
    age(database, used=timedelta(days=1))
    log_in(visitor)
    assert len(session_rows(database)) == 1


# -- the account page -------------------------------------------------------------------------------------------------


def test_the_account_page_lists_the_sessions(app: Flask, operator: Visitor, admin: Visitor, visitor: Visitor) -> None:
    log_in(visitor, **{"User-Agent": FIREFOX})
    page = operator.get("/account")
    listed = [text(row) for row in page.one(id="sessions").iter("tr")][1:]
    assert len(listed) == 2, "only the own ones"
    assert sum("this browser" in row for row in listed) == 1
    assert any("Firefox, Windows" in row and "127.0.0.1" in row for row in listed)


def test_another_session_is_ended(app: Flask, operator: Visitor, visitor: Visitor, database: Database) -> None:
    log_in(visitor)
    other = session_rows(database)[-1].id
    visitor.get("/overview")
    assert operator.follow(operator.post(f"/account/sessions/{other}/end")).message
    visitor.get("/overview", 302)
    operator.get("/overview")
    entry = log_of(database)[-1]
    assert (entry.actor, entry.action) == (OPERATOR, "session_ended")
    operator.post(f"/account/sessions/{other}/end", status=404)


def test_all_others_are_ended_at_once(app: Flask, operator: Visitor, admin: Visitor) -> None:
    elsewhere = [Visitor(app, 2), Visitor(app, 2)]
    assert operator.follow(operator.post("/account/sessions/end")).message
    for visitor in elsewhere:
        visitor.get("/overview", 302)
    operator.get("/overview")
    admin.get("/overview")


def test_nobody_ends_sessions_of_others(operator: Visitor, admin: Visitor, database: Database) -> None:
    theirs = next(row.id for row in session_rows(database) if row.user_id == 1)
    operator.post(f"/account/sessions/{theirs}/end", status=404)
    operator.post("/account/sessions/end")
    admin.get("/overview")


def test_the_own_session_is_ended_by_logging_out(operator: Visitor, database: Database) -> None:
    (own,) = session_rows(database)
    operator.post(f"/account/sessions/{own.id}/end", status=404)
    operator.get("/overview")


@pytest.mark.parametrize(
    ("agent", "described"),
    [
        (FIREFOX, "Firefox, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", "Chrome, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome, Android"),
        ("curl/8.0", ""),
        ("", ""),
    ],
)
def test_browsers_are_described(agent: str, described: str) -> None:
    assert describe_browser(agent) == described


@pytest.mark.parametrize("agent", ["<script>alert(1)</script>", "x" * 5000, "\u202e Firefox/1"])
def test_the_name_of_a_browser_is_shown_as_text(operator: Visitor, visitor: Visitor, agent: str) -> None:
    visitor.client.post(
        "/login", data={"name": OPERATOR, "password": PASSWORD}, environ_base={"HTTP_USER_AGENT": agent}
    )
    assert agent not in operator.get("/account").source


# -- cookies and headers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"trusted_proxies": 1}], indirect=True)
def test_behind_tls_all_cookies_are_secure_and_browsers_insist_on_it(visitor: Visitor, database: Database) -> None:
    create_module(database)
    for headers in (TLS, {}):
        page = visitor.post("/login", {"name": ADMINISTRATOR, "password": PASSWORD}, headers=headers)
        cookies = page.response.headers.getlist("Set-Cookie")
        cookies += visitor.get("/report?module=1", headers=headers).response.headers.getlist("Set-Cookie")
        assert {cookie.split("=")[0] for cookie in cookies} == {"session", "browser", "report"}
        for cookie in cookies:
            assert ("Secure" in cookie.split("; ")) == bool(headers)
            assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
        kept = visitor.get("/login", headers=headers).response.headers.get("Strict-Transport-Security")
        assert kept == ("max-age=31536000" if headers else None)


@pytest.mark.parametrize("settings", [{"trusted_proxies": 1, "hsts_days": 0}], indirect=True)
def test_insisting_on_tls_can_be_switched_off(visitor: Visitor) -> None:
    assert "Strict-Transport-Security" not in visitor.get("/login", headers=TLS).response.headers


def test_nobody_claims_tls_without_a_trusted_proxy(visitor: Visitor) -> None:
    response = visitor.get("/login", headers=TLS).response
    assert "Strict-Transport-Security" not in response.headers
    assert "Secure" not in response.headers["Set-Cookie"]
