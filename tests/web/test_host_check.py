"""The panel answers by its own host names only."""

from datetime import datetime, timedelta

import pytest
from flask import Flask

from app.body_limits import QUESTION
from app.config import Settings
from app.store.database import Database
from app.store.settings import read_all
from app.web import host_check
from app.web.assets import FILES
from app.web.context import PROBES, utcnow
from script.office.database import make_settings
from tests.web.conftest import ADMINISTRATOR, PASSWORD
from tests.web.pages import Visitor
from tests.web.test_everywhere import furnished, rules, url_of

__all__ = ["furnished"]  # a fixture

EVIL = "http://evil.example"
PUBLIC = "http://calls.example.org"


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return make_settings(settings.data_dir, **getattr(request, "param", {}))


@pytest.fixture
def later(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is 31 days after the first log-in."""
    log_in(app, "http://192.168.1.5:8000")
    monkeypatch.setattr(host_check, "utcnow", lambda: utcnow() + timedelta(days=31))


def log_in(app: Flask, base: str) -> int:
    data = {"name": ADMINISTRATOR, "password": PASSWORD}
    return app.test_client().post("/login", base, data=data).status_code


def status(app: Flask, base: str, path: str = "/login") -> int:
    return app.test_client().get(path, base, buffered=True).status_code


@pytest.mark.parametrize(
    "base", ["http://192.168.1.5:8000", "http://[fd00::5]:8000", "http://pbx", "http://pbx.lan:8000"]
)
def test_an_office_opens_the_panel_by_address_or_local_name(app: Flask, later: None, base: str) -> None:
    assert (status(app, base), log_in(app, base)) == (200, 302)


def test_no_page_is_shown_by_a_name_of_somebody_else(
    app: Flask, furnished: None, later: None, subtests: pytest.Subtests
) -> None:
    client = Visitor(app, 1).client
    for rule, subtest in rules(subtests, "GET"):
        if rule.endpoint not in FILES | PROBES:  # of probes, see tests/web/monitoring
            with subtest:
                assert client.get(url_of(app, rule), EVIL, buffered=True).status_code == 421
    assert log_in(app, EVIL) == 421
    assert status(app, EVIL, "/nothing") == 421


def test_the_page_says_what_to_do(app: Flask, visitor: Visitor, later: None) -> None:
    page = visitor.check(visitor.client.get("/requests", EVIL, headers={"Accept-Language": "en"}), 421, None)
    assert "evil.example" in page.main
    assert page.one("code").text == "BAZANG_ALLOWED_HOSTS=evil.example"
    assert not page.has("form"), "nobody shall type a password here"


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", "a b", "evil.example/../", "x" * 300])
def test_a_malformed_host_is_refused(app: Flask, later: None, host: str) -> None:
    response = app.test_client().get("/login", headers={"Host": host})
    assert response.status_code == 400
    assert "alert(1)" not in response.text


def test_an_office_with_a_public_name_need_not_set_anything(
    app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names by which somebody logs in during the first 30 days stay allowed."""
    assert [log_in(app, base) for base in (PUBLIC, f"{PUBLIC}:8443", "http://second.example.org")] == [302] * 3
    assert status(app, "http://third.example.org") == 200, "nobody has logged in by it"
    monkeypatch.setattr(host_check, "utcnow", lambda: utcnow() + timedelta(days=29))
    assert log_in(app, "http://late.example.org") == 302
    monkeypatch.setattr(host_check, "utcnow", lambda: utcnow() + timedelta(days=31))
    names = ("calls", "second", "late", "third")
    assert [status(app, f"http://{name}.example.org") for name in names] == [200, 200, 200, 421]
    with database.read() as session:
        assert read_all(session)["known_hosts"] == "calls.example.org second.example.org late.example.org"


def test_a_failed_log_in_teaches_no_name(app: Flask, database: Database) -> None:
    app.test_client().post("/login", EVIL, data={"name": ADMINISTRATOR, "password": "wrong"})
    with database.read() as session:
        assert "known_hosts" not in read_all(session)


@pytest.mark.parametrize("settings", [{"allowed_hosts": "Calls.example.org, .office.example"}], indirect=True)
def test_the_setting_names_the_public_hosts(app: Flask) -> None:
    for base in (PUBLIC, f"{PUBLIC}:8443", "http://a.office.example", "http://192.168.1.5", "http://localhost:8000"):
        assert (status(app, base), log_in(app, base)) == (200, 302)
    assert status(app, EVIL) == status(app, "http://office.example") == 421
    assert status(app, EVIL, "/static/icon.svg") == 200


@pytest.mark.parametrize("settings", [{"allowed_hosts": "*"}], indirect=True)
def test_the_check_can_be_switched_off(app: Flask) -> None:
    assert status(app, EVIL) == 200


@pytest.mark.parametrize("settings", [{"trusted_proxies": 1, "allowed_hosts": "calls.example.org"}], indirect=True)
def test_behind_a_proxy_the_name_is_that_of_the_browser(app: Flask) -> None:
    client = app.test_client()
    found = [
        client.get("/login", "http://127.0.0.1:8000", headers={"X-Forwarded-Host": host}).status_code
        for host in ("calls.example.org", "evil.example")
    ]
    assert found == [200, 421]


@pytest.mark.parametrize("value", ["http://calls.example.org", "calls.example.org:443", "a b/c", "a,<b>"])
def test_an_invalid_setting_is_refused(settings: Settings, value: str) -> None:
    with pytest.raises(ValueError, match="expected names"):
        make_settings(settings.data_dir, allowed_hosts=value)


def test_the_first_log_in_sets_how_long_names_are_learned(app: Flask, database: Database) -> None:
    for base in ("http://192.168.1.5", PUBLIC, "http://pbx"):
        log_in(app, base)
    with database.read() as session:
        until = datetime.fromisoformat(read_all(session)["hosts_learned_until"])
    assert timedelta(days=29) < until - utcnow() <= timedelta(days=30)


@pytest.mark.parametrize("settings", [{"allowed_hosts": "calls.example.org"}], indirect=True)
def test_a_large_body_for_another_name_is_refused_before_it_is_read(app: Flask) -> None:
    answer = app.test_client().post("/login", EVIL, environ_overrides={"CONTENT_LENGTH": str(10**9), QUESTION: True})
    assert answer.status_code == 421
