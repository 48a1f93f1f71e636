"""The panel on PostgreSQL, which is stricter than SQLite."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import event

from app import create_app
from app.config import Settings
from app.extensions import db, limiter
from app.services import users
from app.services.modules.list import load_module
from app.store.database import Database
from script.office.database import make_settings
from script.office.server_database import new_database
from tests.support.factories import NOW, create_line, create_module, create_request
from tests.web.api.caller import Caller, make_token
from tests.web.conftest import ADMINISTRATOR, PASSWORD, Service
from tests.web.pages import Visitor, rows


@pytest.fixture
def app(settings: Settings, postgres_url: str, postgres_template: str) -> Iterator[Flask]:
    """The panel on a PostgreSQL database of its own."""
    with new_database(postgres_url, postgres_template) as url:
        app = create_app(make_settings(settings.data_dir, database_url=url))
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        limiter.reset()
        yield app
        with app.app_context():
            db.engine.dispose()


def test_a_poll_asks_once_whether_the_database_has_changed(app: Flask, database: Database, service: Service) -> None:
    """Each time costs several round trips, and a poll has twenty parts that depend on it."""
    users.create(database, ADMINISTRATOR, PASSWORD, "administrator", NOW)
    create_request(database, create_module(database))
    admin = Visitor(app, 1, locale="en")
    admin.ask("/requests/rows")
    create_request(database, None, number="+989120000001")
    statements: list[str] = []
    engine = app.extensions["bazang"]["database"].engine
    event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    admin.ask("/requests/rows")
    # A slow machine may take longer than the version is kept.
    assert len([statement for statement in statements if "pg_current_snapshot" in statement]) <= 3
    assert len(statements) <= 35


def test_the_panel_works_on_postgresql(app: Flask, database: Database, service: Service) -> None:
    users.create(database, ADMINISTRATOR, PASSWORD, "administrator", NOW)
    create_line(database, "101", name="سارا")
    admin = Visitor(app)
    admin.post("/login", {"name": ADMINISTRATOR, "password": PASSWORD})
    admin.post("/language", {"locale": "en"})
    admin.locale = "en"
    page = admin.get("/modules/new")
    admin.submit(page, "/modules/new", name="فروش 100%", code="*5001", extensions=["101"])
    (row,) = rows(admin.get("/modules", q="100%"))
    assert row.startswith("*5001 فروش 100% extension 101")
    assert rows(admin.get("/modules", q="۵۰۰۱"))
    for path in ("/modules/2147483647", "/modules/2147483648", "/modules/new?copy=2147483647"):
        admin.get(path, 404)
    for page_number in ("2147483647", "99999999999999999999"):
        admin.get("/modules", page=page_number)
    admin.get("/modules?q=%00", 400)
    admin.post("/modules/new", {"name": "a\0b"}, 400)
    admin.submit(admin.get("/extensions/101"), "/extensions/101", busy_kind="module", busy_code="*5001")
    admin.submit(admin.get("/queues/800"), "/queues/800", failed_kind="module", failed_code="*5001")
    admin.post("/modules/1/delete", status=422)
    with database.read() as session:
        assert load_module(session, 1).name == "فروش 100%"
    create_request(database, target="101")
    assert len(rows(admin.get("/requests"))) == 1
    for path in ("/mine", "/requests/1", "/requests?target=extension:101", "/mine?period=month"):
        admin.get(path)
    etag = str(admin.ask("/requests/rows").response.headers["ETag"])
    admin.get("/requests/rows", 304, headers={"HX-Request": "true", "If-None-Match": etag})
    assert "The request was cancelled." in admin.press("/requests/acts/cancel", {"row": "1.1"}).message
    assert "Undone." in admin.press("/requests/acts/undo", {"row": "1.2"}).message
    admin.press("/requests/acts/cancel", {"row": "1.3"})
    assert "cancelled" in rows(admin.get("/requests/rows", headers={"HX-Request": "true", "If-None-Match": etag}))[0]


def test_the_api_works_on_postgresql(app: Flask, database: Database) -> None:
    users.create(database, ADMINISTRATOR, PASSWORD, "administrator", NOW)
    module = create_module(database)
    crm = Caller(app, make_token(app))
    body = {"number": "09121234567", "module_id": module.id}
    assert crm.post("/requests", body | {"note": "a\0b"}, 422)["errors"][0]["field"] == "note"
    assert crm.post("/requests", body | {"target": "1\0"}, 422)["errors"][0]["field"] == "target"
    created = crm.post("/requests", body, 201, Idempotency_Key="1")
    assert crm.post("/requests", body, 201, Idempotency_Key="1") == created
    for path in (
        "/requests?number=0912&status=waiting",
        "/requests/1",
        "/modules",
        "/queues",
        "/figures",
        "/figures/now",
    ):
        crm.get(path)
    assert crm.get("/figures")["registered"] == 1
    assert crm.post("/requests/1/note", {"note": "a\0b"}, 422)
    assert crm.post("/requests/1/call", {"agent": "1\0"}, 422)
    assert crm.post("/requests/1/cancel")["status"] == "cancelled"
    for _ in range(11):
        wrong = Caller(app, "nothing").client.get("/api/v1/queues", headers={"Authorization": "Bearer nothing"})
    assert wrong.status_code == 429
