"""The address of a visitor behind a reverse proxy. Visitors cannot forge it with a header."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, request
from waitress.adjustments import Adjustments

from app.config import Settings
from app.server import panel
from script.office.database import make_settings

ROOT = Path(__file__).parents[2]
LIMIT = 10  # failed log-ins a minute
Try = Callable[[str], int]


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return make_settings(settings.data_dir, trusted_proxies=getattr(request, "param", 1))


@pytest.fixture
def fail(app: Flask) -> Try:
    """Fail to log in: `fail(X-Forwarded-For)` returns the status."""
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


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "calls.example.org", "X-Forwarded-Prefix": "/bazang"}


@pytest.mark.parametrize(
    ("settings", "begin"),
    [(0, "http://localhost/"), (1, "https://calls.example.org/bazang/")],
    indirect=["settings"],
)
def test_urls_are_those_of_the_outer_proxy(app: Flask, begin: str) -> None:
    seen: list[str] = []
    app.before_request(lambda: seen.append(request.root_url))
    answer = app.test_client().get("/requests", headers=FORWARDED)
    assert seen == [begin]
    assert answer.location.startswith("/bazang/login" if "bazang" in begin else "/login")


def unit_arguments() -> list[str]:
    unit = (ROOT / "deploy" / "bazang-panel.service").read_text().replace("\\\n", " ")
    (line,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    return shlex.split(line)[1:]


@pytest.mark.parametrize("arguments", [unit_arguments(), [*panel.OPTIONS, "wsgi:app"]], ids=["unit", "script"])
def test_waitress_passes_on_the_headers_of_proxies(arguments: list[str]) -> None:
    """By default waitress removes them. The panel decides which of them to trust."""
    options, rest = Adjustments.parse_args(arguments)
    assert rest == ["wsgi:app"]
    assert options["clear_untrusted_proxy_headers"] in (False, "false")
