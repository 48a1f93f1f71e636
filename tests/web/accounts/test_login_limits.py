"""Failed log-ins: who must wait, who must not, and what the log says."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from flask import Flask

from app.domain.login_limits import ALLOWANCES, Counter
from app.store.database import Database
from app.web.accounts import login
from tests.support.clock import Clock
from tests.support.factories import log_of
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD
from tests.web.pages import Visitor

FREE = ALLOWANCES[Counter.PAIR].free
START = datetime(2026, 11, 28, 12, tzinfo=UTC)
OFFICE = "10.0.0.1"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(START)
    monkeypatch.setattr(login, "utcnow", clock)
    return clock


def attempt(
    app: Flask,
    name: str = ADMINISTRATOR,
    password: str = "wrong",
    address: str = OFFICE,
    browser: Visitor | None = None,
) -> int:
    """Try to log in, by default from a browser that nobody knows. Return the status."""
    client = (browser or Visitor(app)).client
    data = {"name": name, "password": password}
    return client.post("/login", data=data, environ_base={"REMOTE_ADDR": address}, buffered=True).status_code


def test_after_some_failures_one_must_wait_longer_and_longer(app: Flask, clock: Clock) -> None:
    assert [attempt(app) for _ in range(FREE)] == [422] * FREE
    for seconds in (1, 2, 4, 8):
        assert attempt(app) == 429
        clock.advance(seconds=seconds - 0.5)
        assert attempt(app, password=PASSWORD) == 429, "not even with the right password, which would reveal it"
        clock.advance(seconds=0.5)
        assert attempt(app) == 422
    clock.advance(hours=1)
    assert attempt(app, password=PASSWORD) == 302


def test_the_page_says_how_long(visitor: Visitor, clock: Clock) -> None:
    data = {"name": ADMINISTRATOR, "password": "wrong"}
    for _ in range(FREE + 1):
        clock.advance(seconds=1)
        visitor.post("/login", data, 422)
    page = visitor.post("/login", data, 429)
    assert page.response.headers["Retry-After"] == "2"
    assert "2" in page.error("password") or "۲" in page.error("password")
    assert page.one(id="name").get("value") == ADMINISTRATOR
    visitor.get("/login")


def test_tries_at_once_count_like_tries_one_by_one(app: Flask, clock: Clock) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: attempt(app), range(24)))
    assert found.count(422) == FREE and found.count(429) == 24 - FREE


def test_a_success_forgets_the_failures(app: Flask, clock: Clock) -> None:
    for _ in range(3):
        assert [attempt(app) for _ in range(FREE - 1)] == [422] * (FREE - 1)
        assert attempt(app, password=PASSWORD) == 302


def test_an_attacker_in_the_office_locks_out_no_colleague(app: Flask, clock: Clock) -> None:
    """All share one address. One guesses the passwords of all, as fast as it goes."""
    known = Visitor(app)
    assert attempt(app, OPERATOR, PASSWORD, browser=known) == 302
    known.post("/logout")
    for _ in range(ALLOWANCES[Counter.ADDRESS].free):  # far beyond the free failures of each account
        attempt(app, OPERATOR)
        attempt(app, ADMINISTRATOR)
    assert attempt(app, OPERATOR) == 429
    assert attempt(app, OPERATOR, PASSWORD, browser=known) == 302, "a known browser waits for nobody"
    clock.advance(seconds=ALLOWANCES[Counter.ADDRESS].longest.total_seconds())
    assert attempt(app, "mina", PASSWORD) == 302, "a new browser waits for half a minute at most"


def test_many_colleagues_behind_one_address_may_fail_in_the_morning(app: Flask, clock: Clock) -> None:
    for _ in range(3):
        for name in ("sara", "omid", "mina", "nobody"):
            assert attempt(app, name) == 422
    assert attempt(app, OPERATOR, PASSWORD) == 302


def test_guessing_from_many_addresses_makes_the_account_wait_but_not_its_known_browser(
    app: Flask, clock: Clock
) -> None:
    known = Visitor(app)
    assert attempt(app, password=PASSWORD, browser=known) == 302
    known.post("/logout")
    free = ALLOWANCES[Counter.ACCOUNT].free
    assert {attempt(app, address=f"10.1.0.{number}") for number in range(free)} == {422}
    assert attempt(app, address="10.2.0.1") == 429
    assert attempt(app, OPERATOR, address="10.2.0.1") == 422, "other accounts do not wait"
    assert attempt(app, password=PASSWORD, address="10.3.0.1", browser=known) == 302


def test_trying_many_names_makes_the_address_wait(app: Flask, clock: Clock) -> None:
    free = ALLOWANCES[Counter.ADDRESS].free
    assert {attempt(app, f"name {number}") for number in range(free)} == {422}
    assert attempt(app, "another") == 429
    assert attempt(app, "another", address="10.0.0.2") == 422


def test_an_own_account_does_not_clear_the_count_of_the_address(app: Flask, clock: Clock) -> None:
    statuses = []
    for number in range(ALLOWANCES[Counter.ADDRESS].free + 1):
        statuses.append(attempt(app, f"name {number}"))
        attempt(app, OPERATOR, PASSWORD)
    assert statuses[-1] == 429


def test_a_known_browser_has_a_limit_of_its_own(app: Flask, clock: Clock) -> None:
    known = Visitor(app)
    attempt(app, OPERATOR, PASSWORD, browser=known)
    assert {attempt(app, OPERATOR, browser=known) for _ in range(FREE)} == {422}
    assert attempt(app, OPERATOR, browser=known) == 429
    assert attempt(app, OPERATOR, PASSWORD) == 302, "elsewhere nobody waits"


@pytest.mark.parametrize("value", ["forged", "e30.x.y", "x" * 3000, ""])
def test_a_browser_is_known_for_its_own_accounts_only(app: Flask, clock: Clock, value: str) -> None:
    attacker = Visitor(app)
    assert attempt(app, OPERATOR, PASSWORD, browser=attacker) == 302
    assert {attempt(app, ADMINISTRATOR, browser=attacker) for _ in range(FREE)} == {422}
    assert attempt(app, ADMINISTRATOR, browser=attacker) == 429
    attacker.client.set_cookie("browser", value)
    assert attempt(app, ADMINISTRATOR, browser=attacker) == 429


def test_log_ins_are_in_the_log_with_their_address(
    app: Flask, admin: Visitor, database: Database, clock: Clock
) -> None:
    someone = Visitor(app)
    attempt(app, OPERATOR, "wrong", browser=someone)
    attempt(app, "my secret password", "wrong", browser=someone)
    attempt(app, OPERATOR, PASSWORD, browser=someone)
    someone.client.post("/logout", environ_base={"REMOTE_ADDR": "10.0.0.9"})
    entries = [(entry.actor, entry.action, entry.subject, entry.detail["address"]) for entry in log_of(database)[-4:]]
    assert entries == [
        ("", "login_failed", OPERATOR, OFFICE),
        ("", "unknown_login_failed", "", OFFICE),  # the name may be a password
        (OPERATOR, "logged_in", OPERATOR, OFFICE),
        (OPERATOR, "logged_out", OPERATOR, "10.0.0.9"),
    ]
    page = admin.get("/log")
    assert OFFICE in page.main and "failed" in page.main and "my secret" not in page.source


def test_a_log_in_is_no_change_by_the_user(admin: Visitor, app: Flask, database: Database) -> None:
    before = admin.get("/users").one(id="user-2")
    attempt(app, OPERATOR, PASSWORD)
    after = admin.get("/users").one(id="user-2")
    assert "".join(before.itertext()) == "".join(after.itertext())
