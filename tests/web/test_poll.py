"""The poll that keeps every open page up to date, and the badges of the navigation."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from app.extensions import db
from app.services import users
from app.services.requests import pause, perform
from app.services.requests.access import Scope
from app.services.requests.actions import ShownRequest, WriteNote
from app.store.cache import VersionedCache
from app.store.database import Database
from app.store.models import CallRequest, User
from app.store.uptime import uptime
from app.web import formats, poll
from script.lib import chime
from tests.support.factories import create_line, create_module, create_request, create_running_service
from tests.web.conftest import PASSWORD
from tests.web.pages import Page, Visitor, text

EVERYBODY = Scope("mina", everything=True)
PATHS = ["/requests/rows", "/mine/rows", "/requests/1/rows", "/live", "/requests/rows?module=1"]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def office(database: Database) -> None:
    """A request (1) for 101 and one (2) for 102."""
    create_running_service(database)
    for extension in ("101", "102"):
        create_line(database, extension)
    module = create_module(database, name="Sales", targets=["101", "102"])
    for number, target in enumerate(("101", "102"), 1):
        moments = {"registered_at": now(), "first_called_at": now()}
        create_request(database, module, number=f"+98912000000{number}", target=target, **moments)


def set_extensions(database: Database, *extensions: str, user: int) -> None:
    with database.write() as session:
        session.get_one(User, user).extensions = list(extensions)


def send_poll(visitor: Visitor, path: str = "/requests/rows", etag: str = "", status: int = 200) -> Page:
    headers = {"HX-Request": "true"} | ({"If-None-Match": etag} if etag else {})
    return visitor.get(path, status, headers=headers)


def etag_of(page: Page) -> str:
    return str(page.response.headers["ETag"])


@pytest.mark.parametrize("path", PATHS)
def test_an_unchanged_page_is_not_sent_again(operator: Visitor, database: Database, office: None, path: str) -> None:
    etag = etag_of(send_poll(operator, path))
    assert send_poll(operator, path, etag, 304).response.data == b""
    pause.pause(database, EVERYBODY, "", now())
    page = send_poll(operator, path, etag)
    assert "Automatic calls are paused." in page.main
    send_poll(operator, path, etag_of(page), 304)


def test_a_change_that_is_not_on_the_page_is_not_sent(operator: Visitor, database: Database, office: None) -> None:
    etag = etag_of(send_poll(operator))
    with database.write() as session:
        session.get_one(User, 1).locale = "fa"
    send_poll(operator, etag=etag, status=304)


def test_a_change_of_a_request_of_others_is_not_sent(
    operator: Visitor, supervisor: Visitor, database: Database, office: None
) -> None:
    etags = [etag_of(send_poll(visitor)) for visitor in (operator, supervisor)]
    perform.perform(database, EVERYBODY, WriteNote("for 102"), [ShownRequest(2, 1)], now())
    send_poll(operator, etag=etags[0], status=304)
    assert "for 102" in send_poll(supervisor, etag=etags[1]).main


def test_an_unchanged_page_needs_no_query(app: Flask, operator: Visitor, office: None) -> None:
    etag = etag_of(send_poll(operator))
    statements: list[str] = []
    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    send_poll(operator, etag=etag, status=304)
    assert statements == []


def test_a_countdown_is_no_change(operator: Visitor, database: Database, office: None) -> None:
    until = now() + timedelta(minutes=4)
    with database.write() as session:
        row = session.get_one(CallRequest, 1)
        row.not_before, row.last_outcome = until, "customer_busy"
    page = send_poll(operator)
    (left,) = (part for part in page.all("span") if part.get("data-until"))
    assert left.get("data-until") == str(int(until.timestamp() * 1000))
    with database.write() as session:
        session.get_one(User, 1).locale = "fa"  # a change of any kind, so that the page is rendered again
    send_poll(operator, etag=etag_of(page), status=304)


def test_another_user_gets_another_fragment(app: Flask, operator: Visitor, supervisor: Visitor, office: None) -> None:
    etag = etag_of(send_poll(supervisor))
    assert "09120000002" not in send_poll(operator, etag=etag).main


def test_a_shared_fragment_names_no_user(app: Flask, database: Database, supervisor: Visitor, office: None) -> None:
    other = Visitor(app, users.create(database, "second", PASSWORD, "supervisor", now(), locale="en"))
    polled = [send_poll(visitor, "/live").source for visitor in (supervisor, other)]
    assert polled[0] == polled[1] and "data-user" not in polled[0]
    named = [visitor.get("/requests").one("button", class_="sound").get("data-user") for visitor in (supervisor, other)]
    assert None not in named and named[0] != named[1]


def cached_fragments(app: Flask) -> list[poll.Fragment]:
    cache = app.extensions["bazang_fragments"]
    assert isinstance(cache, VersionedCache)
    return [entry.value for entry in cache._cache.values()]


def test_a_missing_page_leaves_nothing_in_the_cache(app: Flask, supervisor: Visitor, office: None) -> None:
    send_poll(supervisor)
    send_poll(supervisor, "/requests/100/rows", status=404)
    assert len(cached_fragments(app)) == 1


def test_unknown_query_arguments_make_no_fragment_of_their_own(
    app: Flask, supervisor: Visitor, operator: Visitor, office: None
) -> None:
    for visitor, path in ((supervisor, "/requests/rows"), (operator, "/mine/rows")):
        before = len(cached_fragments(app))
        for address in (path, f"{path}?", f"{path}?x=1", f"{path}?x=2&y=3"):
            send_poll(visitor, address)
        assert len(cached_fragments(app)) == before + 1


def test_each_filter_and_each_request_has_its_own_fragment(supervisor: Visitor, office: None) -> None:
    assert "09120000002" not in send_poll(supervisor, "/requests/rows?target=extension:101").main
    assert "09120000002" in send_poll(supervisor, "/requests/rows?target=extension:102").main
    assert "09120000002" not in send_poll(supervisor, "/requests/1/rows").main
    assert "09120000002" in send_poll(supervisor, "/requests/2/rows").main


def test_an_expired_fragment_is_built_again(supervisor: Visitor, office: None, monkeypatch: pytest.MonkeyPatch) -> None:
    page = send_poll(supervisor)
    later = now() + timedelta(minutes=1)
    monkeypatch.setattr(formats, "utcnow", lambda: later)
    assert send_poll(supervisor).source == page.source
    monkeypatch.setattr(poll, "uptime", lambda: uptime() + poll.MAX_AGE)
    assert send_poll(supervisor).source != page.source


def test_cached_fragments_are_limited_by_number_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "MAX_BYTES", 1000)
    monkeypatch.setattr(poll, "MAX_FRAGMENTS", 4)
    cache = VersionedCache(poll.fragment_cache())
    for size, cached in ((10, 4), (500, 2), (2000, 0)):
        for number in range(10):
            cache.get((size, number), "", partial(poll.Fragment, b"x" * size, "", poll.MAX_AGE))
        kept = [key for key in cache._cache if key[0] == size]  # type: ignore[index]
        assert len(kept) == cached


def test_the_badge_counts_waiting_requests(
    operator: Visitor, supervisor: Visitor, admin: Visitor, database: Database, office: None
) -> None:
    assert text(operator.get("/mine").one(id="count-mine-index")) == "1 waiting"
    assert not operator.get("/mine").has(id="count-requests-index")
    assert text(supervisor.get("/requests").one(id="count-requests-index")) == "2 waiting"
    assert not supervisor.get("/requests").has(id="count-mine-index")
    set_extensions(database, "102", user=4)
    page = supervisor.get("/requests")
    assert text(page.one(id="count-mine-index")) == "1 waiting"
    assert page.one(id="arrivals").get("data-newest") == "2"
    assert text(admin.get("/modules").one(id="count-requests-index")) == "2 waiting"
    assert text(send_poll(admin, "/live").one(id="count-requests-index")) == "2 waiting"


def test_a_deactivated_user_is_sent_to_the_log_in(operator: Visitor, database: Database, office: None) -> None:
    etag = etag_of(send_poll(operator))
    with database.write() as session:
        session.get_one(User, 2).active = False
    page = send_poll(operator, etag=etag, status=401)
    assert page.response.headers["HX-Redirect"].startswith("/login")


def test_the_sound_file_is_generated_by_its_script() -> None:
    assert Path(chime.FILE).read_bytes() == chime.build_chime()


def test_polled_fragments_contain_no_csrf_token(app: Flask, operator: Visitor, office: None) -> None:
    """Each response has another token, so a fragment with a token would never be unchanged."""
    app.config["WTF_CSRF_ENABLED"] = True
    for path in PATHS:
        fragment: Any = send_poll(operator, path)
        assert "csrf_token" not in fragment.source and not fragment.all("form")


def test_the_list_of_keys_names_what_the_navigation_has(admin: Visitor) -> None:
    page = admin.get("/requests")
    keys = {
        link.get("data-key"): link.get("href") for link in page.one(id="navigation").iter("a") if link.get("data-key")
    }
    assert keys == {"n": "/requests/new", "go": "/overview", "gp": "/requests", "gm": "/mine", "gr": "/report"}
    listed = admin.ask(page.one("button", **{"data-opens-keys": "/live/keys"}).get("data-opens-keys", ""))
    assert {link.get("href") for link in listed.all("a")} == {*keys.values(), "/guide"}
