"""The address of a visitor behind a reverse proxy. Visitors cannot forge it with a header."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask, request

from app.config import Settings
from app.domain.login_limits import ALLOWANCES, Counter
from app.server import web
from app.server.connections import Limits
from app.store.database import Database
from app.web.accounts import login
from script.office.database import make_settings
from tests.support.factories import NOW
from tests.web.pages import Visitor
from tests.web.test_everywhere import QUERIES, furnished, rules, url_of

__all__ = ["furnished"]  # a fixture

UNIT = Path(__file__).parents[2] / "deploy" / "bazang-panel.service"
LIMIT = ALLOWANCES[Counter.PAIR].free  # failed log-ins from one address, before one must wait
Try = Callable[[str], int]


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    given = getattr(request, "param", 1)
    return make_settings(settings.data_dir, **(given if isinstance(given, dict) else {"trusted_proxies": given}))


@pytest.fixture
def fail(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Fail to log in: `fail(X-Forwarded-For)` returns the status. All happens at the same moment."""
    monkeypatch.setattr(login, "utcnow", lambda: NOW)
    client = app.test_client()

    def fail(forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return client.post("/login", data={"name": "sara", "password": "wrong"}, headers=headers).status_code

    return fail


@pytest.mark.parametrize("settings", [0], indirect=True)
def test_without_a_proxy_a_forged_address_does_not_avoid_the_limit(fail: Try) -> None:
    assert {fail(f"10.0.0.{number}") for number in range(LIMIT)} == {422}
    assert fail("10.0.0.99") == 429


def test_behind_a_proxy_each_visitor_has_a_limit(fail: Try) -> None:
    assert {fail("10.0.0.1") for _ in range(LIMIT)} == {422}
    assert (fail("10.0.0.1"), fail("10.0.0.2")) == (429, 422)


def test_behind_a_proxy_a_forged_address_does_not_avoid_the_limit(fail: Try) -> None:
    """The proxy appends the address it sees to what the visitor sent."""
    assert {fail(f"10.9.9.{number}, 10.0.0.1") for number in range(LIMIT)} == {422}
    assert fail("10.9.9.99, 10.0.0.1") == 429


@pytest.mark.parametrize("settings", [2], indirect=True)
def test_behind_two_proxies_the_outer_one_counts(fail: Try) -> None:
    assert {fail(f"10.9.9.{number}, 10.0.0.1, 10.8.8.{number}") for number in range(LIMIT)} == {422}
    assert (fail("10.0.0.1, 10.8.8.8"), fail("10.0.0.2, 10.8.8.8")) == (429, 422)


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "calls.example.org"}
FORGED_PREFIX = {"X-Forwarded-Prefix": "//evil.example"}


@pytest.mark.parametrize(
    ("settings", "begin"),
    [(0, "http://localhost/"), (1, "https://calls.example.org/")],
    indirect=["settings"],
)
def test_urls_are_those_of_the_outer_proxy(app: Flask, begin: str) -> None:
    seen: list[str] = []
    app.before_request(lambda: seen.append(request.root_url))
    answer = app.test_client().get("/requests", headers=FORWARDED | {"X-Forwarded-Prefix": "/forged"})
    assert seen == [begin]
    assert answer.location.startswith("/login")


@pytest.mark.slow
def test_a_forged_prefix_puts_no_address_into_any_page(
    app: Flask, database: Database, furnished: None, subtests: pytest.Subtests
) -> None:
    """Neither into the visitor's own page nor into what a colleague gets from a cache afterwards."""
    forger, colleague = Visitor(app, 1).client, Visitor(app, 1).client
    for rule, subtest in rules(subtests, "GET"):
        with subtest:
            path = url_of(app, rule, **QUERIES.get(rule.endpoint, {}))
            for client, headers in ((forger, FORGED_PREFIX), (colleague, {})):
                answer = client.get(path, headers=headers, buffered=True)
                assert b"evil.example" not in answer.get_data()
                assert "evil.example" not in str(answer.headers)


@pytest.mark.parametrize("settings", [{"url_prefix": "bazang/"}], indirect=True)
@pytest.mark.parametrize("begin", ["", "/bazang"], ids=["cut off by the proxy", "in the path"])
def test_the_prefix_of_the_setting_is_in_every_address(visitor: Visitor, begin: str) -> None:
    page = visitor.get(f"{begin}/requests", 302, headers=FORGED_PREFIX)
    assert page.response.location == "/bazang/login?next=/bazang/requests"
    links = re.findall(r'(?:href|src|action)="(/[^"]*)', visitor.get(f"{begin}/login").source)
    assert links and all(link.startswith("/bazang/") for link in links)


@pytest.mark.parametrize("settings", [{"url_prefix": "/log"}], indirect=True)
def test_a_path_that_only_begins_like_the_prefix_is_not_cut(visitor: Visitor) -> None:
    visitor.get("/login")
    visitor.get("/log/login")


@pytest.mark.parametrize("prefix", ["//evil.example\r\n", "/a b", "https://a", "/a?b"])
def test_an_invalid_prefix_is_refused(settings: Settings, prefix: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        make_settings(settings.data_dir, url_prefix=prefix)


def test_the_unit_runs_the_server_with_limits() -> None:
    (line,) = (line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart="))
    assert line.endswith("/python -X faulthandler -m app.server.web")


@pytest.mark.parametrize(("proxies", "per_peer"), [(0, Limits().per_peer), (1, None)])
def test_behind_a_proxy_all_connections_have_one_address(proxies: int, per_peer: int | None) -> None:
    assert web.choose_limits(proxies) == replace(Limits(), per_peer=per_peer)
