"""What a monitor asks without a log-in: whether the panel lives, and which part is not ready."""

import json
import logging
import re
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from app.config import Settings
from app.services.monitoring import readiness
from app.store.brief import Brief
from app.store.database import Database
from app.store.models import WorkerState
from app.web.monitoring import views
from app.web.request_log import HEADER
from script.office.database import make_settings
from script.office.patience import PATIENCE
from tests.support.factories import store
from tests.web.pages import Visitor
from tests.web.test_everywhere import count_writes

UP = {"database": "ok", "tables": "ok", "worker": "ok", "pbx": "ok"}


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return make_settings(settings.data_dir, **getattr(request, "param", {}))


def run_worker(database: Database, **values: Any) -> None:
    now = datetime.now(UTC)
    store(database, WorkerState(**{"id": 1, "heartbeat": now, "started_at": now, "ami_status": "connected", **values}))


def ask(app: Flask, path: str = "/readyz", **options: Any) -> tuple[int, Any]:
    answer = app.test_client().get(path, **options)
    return answer.status_code, answer.get_json(silent=True)


def test_the_panel_lives_without_a_database(app: Flask, settings: Settings) -> None:
    (settings.data_dir / "bazang.sqlite3").unlink()
    with count_writes(app) as writes:
        answer = app.test_client().get("/healthz", headers={"Cookie": "session=x"})
    assert (answer.status_code, answer.text, writes) == (200, "ok\n", [])
    assert "Set-Cookie" not in answer.headers


def test_a_probe_reads_nothing_of_the_session(app: Flask, admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "cached", lambda *_: pytest.fail("the database was read"))
    assert admin.client.get("/healthz").status_code == 200


@pytest.mark.parametrize("host", ["192.168.1.5:8000", "[::1]:8000", "monitor.internal", "evil.example", "a_b..c"])
@pytest.mark.parametrize("settings", [{"allowed_hosts": "calls.example.org"}], indirect=True)
def test_a_monitor_may_ask_by_any_name_or_address(app: Flask, host: str) -> None:
    assert ask(app, "/healthz", headers={"Host": host})[0] == 200
    assert ask(app, headers={"Host": host})[0] == 503


@pytest.mark.parametrize("settings", [{"url_prefix": "/bazang", "trusted_proxies": 1}], indirect=True)
def test_probes_work_behind_a_proxy_with_a_path(app: Flask) -> None:
    for path in ("/healthz", "/bazang/healthz"):
        assert ask(app, path, headers={"X-Forwarded-Host": "calls.example.org"})[0] == 200


def test_all_is_ready(app: Flask, database: Database) -> None:
    run_worker(database)
    with count_writes(app) as writes:
        assert ask(app) == (200, {"ready": True, **UP})
    assert writes == []


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"heartbeat": datetime(2020, 1, 1, tzinfo=UTC)}, {"worker": "stopped", "pbx": "unknown"}),
        ({"heartbeat": None}, {"worker": "stopped", "pbx": "unknown"}),
        ({"ami_status": "refused", "ami_detail": "10.0.0.7 said no"}, {"pbx": "refused"}),
        ({"ami_status": "not_given"}, {"pbx": "not_given"}),
    ],
)
def test_it_says_which_part_is_not_ready(
    app: Flask, database: Database, values: dict[str, Any], found: dict[str, str]
) -> None:
    run_worker(database, **values)
    assert ask(app) == (503, {"ready": False, **UP, **found})


def test_a_worker_that_never_ran_is_not_ready(app: Flask) -> None:
    assert ask(app)[1]["worker"] == "stopped"


def test_a_database_of_another_version_is_not_ready(app: Flask, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    unknown = {"worker": "unknown", "pbx": "unknown"}
    assert ask(app) == (503, {"ready": False, **UP, **unknown, "tables": "out_of_date"})


def test_a_broken_database_is_not_ready_and_nothing_of_its_error_is_told(app: Flask, settings: Settings) -> None:
    app.extensions["bazang"]["database"].engine.dispose()
    (settings.data_dir / "bazang.sqlite3").write_bytes(b"no database" * 1000)
    status, answer = ask(app)
    assert status == 503
    assert answer == {"ready": False, "database": "no_answer", **dict.fromkeys(("tables", "worker", "pbx"), "unknown")}


def test_many_probes_are_one_look_at_the_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []

    def check(*_: object) -> readiness.Readiness:
        looks.append(1)
        return readiness.Readiness()

    monkeypatch.setattr(readiness, "check", check)
    monkeypatch.setattr(views, "READY_SECONDS", PATIENCE)  # a busy machine needs more than a second for the probes
    monkeypatch.setattr(views, "READY_OLDEST", PATIENCE)
    for _ in range(50):
        ask(app)
    assert len(looks) == 1


def test_nobody_waits_for_a_database_that_does_not_answer() -> None:
    now = [0.0]
    begun, may_end = threading.Event(), threading.Event()

    def read() -> int:
        begun.set()
        assert may_end.wait(60)
        return int(now[0])

    brief = Brief(read, seconds=1, oldest=10, clock=lambda: now[0])
    first = threading.Thread(target=brief.get)
    first.start()
    assert begun.wait(60)
    assert brief.get() is None
    may_end.set()
    first.join()
    now[0] = 0.9
    assert brief.get() == 0
    begun.clear()
    may_end.clear()
    now[0] = 5.0
    second = threading.Thread(target=brief.get)
    second.start()
    assert begun.wait(60)
    assert brief.get() == 0  # not too old
    now[0] = 10.5
    assert brief.get() is None
    may_end.set()
    second.join()
    assert brief.get() == 10


# -- identifiers of requests ----------------------------------------------------------------------------------------


def test_each_request_has_an_identifier(app: Flask) -> None:
    found = {app.test_client().get("/login").headers[HEADER] for _ in range(3)}
    assert len(found) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", identifier) for identifier in found)


@pytest.mark.parametrize(
    ("settings", "given", "taken"),
    [
        ({"trusted_proxies": 1}, "0af7651916cd43dd", True),
        ({"trusted_proxies": 1}, 'x" onload="a', False),
        ({"trusted_proxies": 1}, "a" * 65, False),
        ({"trusted_proxies": 0}, "0af7651916cd43dd", False),
    ],
    indirect=["settings"],
)
def test_only_a_proxy_of_ours_may_name_a_request(app: Flask, given: str, taken: bool) -> None:
    assert (app.test_client().get("/login", headers={HEADER: given}).headers[HEADER] == given) is taken


def test_the_page_about_a_bug_has_the_identifier_that_the_log_has(
    app: Flask, admin: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[object] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            from app.log import current_fields

            found.append(current_fields().get("http_request"))

    def fail() -> str:
        raise RuntimeError("a bug")

    app.view_functions["modules.index"] = fail
    handler = Handler(logging.ERROR)
    app.logger.addHandler(handler)
    try:
        page = admin.get("/modules", 500)
        fragment = admin.client.get("/modules", headers={"HX-Request": "true"})
    finally:
        app.logger.removeHandler(handler)
    assert found == [page.response.headers[HEADER], fragment.headers[HEADER]]
    assert page.response.headers[HEADER] in page.main
    assert fragment.headers[HEADER] in fragment.text
    assert page.response.headers[HEADER] not in admin.get("/modules/99", 404).source


@pytest.mark.parametrize("settings", [{"log_format": "json"}], indirect=True)
def test_in_json_each_action_and_page_is_a_line_without_what_was_typed(
    app: Flask, admin: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bazang.panel"):
        admin.get("/search?q=09121234567")
        admin.client.get("/live", headers={"HX-Request": "true"})
        ask(app, "/healthz")
        ask(app)
    (line,) = [record for record in caplog.records if record.name == "bazang.panel"]
    fields = line.fields  # type: ignore[attr-defined]
    assert fields.pop("milliseconds") >= 0
    assert fields == {"method": "GET", "endpoint": "search.index", "status": 200}
    assert "0912" not in json.dumps(fields) + line.getMessage()
