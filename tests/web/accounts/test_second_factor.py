"""The pages of the second factor: setting it up, logging in with it, changing it, resetting and requiring it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import segno
from flask import Flask

from app.config import Settings
from app.domain.login_limits import ALLOWANCES, Counter
from app.domain.second_factor import LOG_IN_WITHIN
from app.services import second_factor
from app.services.settings import office
from app.store.database import Database
from app.store.models import UserSession
from app.store.settings import write_setting
from app.web import wording
from app.web.accounts import login, session, tries
from app.web.accounts import second_factor as pages
from tests.support.clock import Clock
from tests.support.factories import log_of
from tests.support.second_factors import Phone, create_second_factor
from tests.web.conftest import ADMINISTRATOR, OPERATOR, PASSWORD
from tests.web.pages import Page, Visitor, text

START = "/account/second-factor"
SET_UP, OFF, NEW_CODES = f"{START}/set-up", f"{START}/off", f"{START}/recovery-codes"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the panel. It begins in the middle of a time step of the codes."""
    now = datetime.now(UTC)
    clock = Clock(now - timedelta(seconds=now.timestamp() % 30 - 15))
    for module in (login, session, tries, pages):
        monkeypatch.setattr(module, "utcnow", clock)
    return clock


@pytest.fixture
def phone(database: Database, settings: Settings) -> Phone:
    """The phone of the operator."""
    return create_second_factor(database, settings, 2)


def location(page: Page) -> str:
    return page.response.headers["Location"]


def enter_password(visitor: Visitor, name: str = OPERATOR, following: str = "", address: str = "10.0.0.1") -> str:
    """Enter the right password. Return the page that follows."""
    visitor.client.environ_base["REMOTE_ADDR"] = address
    path = f"/login?next={following}" if following else "/login"
    return location(visitor.post(path, {"name": name, "password": PASSWORD}))


def enter_code(visitor: Visitor, code: str, path: str = "/login/code") -> int:
    """Enter a code. Return the status."""
    return visitor.client.post(path, data={"code": code}, buffered=True).status_code


def is_logged_in(visitor: Visitor) -> bool:
    return visitor.client.get("/overview", buffered=True).status_code == 200


def copy(visitor: Visitor) -> Visitor:
    """Return somebody who has copied the cookies of a visitor."""
    thief = Visitor(visitor.app)
    for name in ("session", "browser"):
        if cookie := visitor.client.get_cookie(name):
            thief.client.set_cookie(name, cookie.value)
    return thief


def make_stale(database: Database) -> None:
    """Let all sessions have started a while ago."""
    with database.write() as writing:
        for row in writing.query(UserSession):
            row.started_at -= timedelta(minutes=11)


def require(database: Database, whom: str) -> None:
    with database.write() as writing:
        write_setting(writing, "second_factor", whom)


def shown_codes(page: Page) -> list[str]:
    return ("".join(page.one("div", class_="copyable").itertext())).split()[:10]


def shown_secret(page: Page) -> str:
    code = page.one("div", class_="copyable").find("code")
    assert code is not None
    return text(code).replace(" ", "")


# -- setting it up ----------------------------------------------------------------------------------------------------


def test_a_user_sets_it_up_and_logs_in_with_it(
    app: Flask, operator: Visitor, visitor: Visitor, database: Database, clock: Clock
) -> None:
    elsewhere = Visitor(app, 2)
    assert operator.get("/account").has("a", href=START)
    page = operator.follow(operator.submit(operator.get(START), START))
    phone = Phone(shown_secret(page))
    grouped = " ".join(re.findall("....", phone.secret))
    assert len(phone.secret) == 32 and grouped in page.main
    picture = segno.make(second_factor.address_of(phone.secret, OPERATOR), micro=False)
    drawn = page.one(class_="qr")
    assert drawn.get("viewBox") == f"0 0 {picture.symbol_size()[0]} {picture.symbol_size()[1]}"
    assert picture.svg_inline(omitsize=True, svgclass="qr", light="#fff", lineclass=None) in page.source
    assert shown_secret(operator.get(SET_UP)) == phone.secret, "until the first code"

    page = operator.submit(page, SET_UP, 422, code=phone.wrong_code(clock.now))
    assert page.error("code") == wording.error("wrong_code")
    assert "The clock of this machine says" in page.main
    assert shown_secret(page) == phone.secret
    page = operator.submit(page, SET_UP, 200, code=phone.code(clock.now))
    codes = shown_codes(page)
    assert len(codes) == 10 and all(re.fullmatch("[a-z2-9]{4}(-[a-z2-9]{4}){3}", code) for code in codes)
    assert page.message and page.response.headers["Cache-Control"] == "no-store"
    assert page.has("button", data_copy="\n".join(codes)) and page.has("button", data_print="")

    account = operator.get("/account")
    assert not any(code in account.source for code in (phone.secret, grouped, *codes)), "never again"
    assert "10" in account.main and not account.has("a", href=START)
    assert location(operator.get(SET_UP, 302)) == START
    assert location(operator.get(START, 302)) == location(operator.post(START)) == "/account"
    assert not is_logged_in(elsewhere), "it has logged in without the second factor"

    assert enter_password(visitor) == "/login/code"
    assert not is_logged_in(visitor)
    assert enter_code(visitor, phone.code(clock.now)) == 422, "it has turned it on already"
    assert enter_code(visitor, phone.code(clock.now, 1)) == 302
    assert is_logged_in(visitor)


def test_after_a_while_the_password_is_asked_for_again(operator: Visitor, database: Database, clock: Clock) -> None:
    assert not operator.get(START).has("input", id="password")
    make_stale(database)
    page = operator.get(START)
    assert page.one("input", id="password").get("type") == "password"
    for typed in ("", "wrong"):
        page = operator.submit(page, START, 422, password=typed)
        assert page.error("password") == wording.error("wrong")
    operator.get(SET_UP, 302)
    assert location(operator.submit(page, START, password=PASSWORD)) == SET_UP
    operator.get(SET_UP)


def test_guessing_the_password_there_is_limited_like_log_ins(
    operator: Visitor, database: Database, clock: Clock
) -> None:
    make_stale(database)
    free = ALLOWANCES[Counter.PAIR].free
    for _ in range(free):
        operator.post(START, {"password": "wrong"}, 422)
    page = operator.post(START, {"password": PASSWORD}, 429)
    assert page.response.headers["Retry-After"] == "1" and page.error("password")


def test_another_session_of_the_user_does_not_see_the_new_secret(app: Flask, operator: Visitor) -> None:
    operator.post(START)
    operator.get(SET_UP)
    assert location(Visitor(app, 2).get(SET_UP, 302)) == START
    assert location(Visitor(app, 4).get(SET_UP, 302)) == START


# -- logging in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("following", ["", "/report?period=week", "//evil.example", "https://evil.example"])
def test_the_log_in_leads_to_the_requested_page(visitor: Visitor, phone: Phone, clock: Clock, following: str) -> None:
    page = visitor.get(enter_password(visitor, following=following))
    assert page.form().get("action") is None, "the form keeps `next`"
    path = enter_password(visitor, following=following)
    response = visitor.client.post(path, data={"code": phone.code(clock.now)})
    assert response.headers["Location"] == (following if following.startswith("/report") else "/mine")


def test_a_recovery_code_logs_in_once(visitor: Visitor, phone: Phone, database: Database, clock: Clock) -> None:
    page = visitor.get(enter_password(visitor, following="/mine"))
    (link,) = [link.get("href", "") for link in page.all("a") if "recovery" in link.get("href", "")]
    page = visitor.get(link)
    assert page.one("input", id="code").get("inputmode") is None, "a keyboard with letters"
    assert location(visitor.submit(page, link, code=phone.recovery_codes[0])) == "/mine"
    visitor.post("/logout")
    enter_password(visitor)
    assert enter_code(visitor, phone.recovery_codes[0]) == 422
    assert enter_code(visitor, phone.recovery_codes[1]) == 302
    assert log_of(database)[-1].detail == {"address": "10.0.0.1", "recovery_codes": 8}


def test_the_wait_for_a_code_grants_nothing(visitor: Visitor, phone: Phone, database: Database, clock: Clock) -> None:
    enter_password(visitor)
    with database.read() as reading:
        assert reading.query(UserSession).count() == 0
    assert visitor.client.get_cookie("browser") is None, "the browser is known after the log-in only"
    for path in ("/requests", "/account", START, SET_UP, "/live"):
        assert location(visitor.get(path, 302)).startswith("/login?next=")
    assert location(visitor.post("/account/password")) == "/login"
    assert "omid" not in visitor.get("/login/code").main


def test_the_log_in_renews_the_session(visitor: Visitor, phone: Phone, clock: Clock) -> None:
    with visitor.client.session_transaction() as cookie:
        cookie["planted"] = "before the log-in"
    enter_password(visitor)
    with visitor.client.session_transaction() as cookie:
        assert "planted" not in cookie and "_user_id" not in cookie
        waiting = cookie["login"]
    enter_code(visitor, phone.code(clock.now))
    with visitor.client.session_transaction() as cookie:
        assert "login" not in cookie and waiting not in str(dict(cookie))
        assert len(cookie["_user_id"]) > 40


def test_a_cookie_stolen_between_the_steps_is_worthless_without_a_code_and_after_the_log_in(
    visitor: Visitor, phone: Phone, clock: Clock
) -> None:
    enter_password(visitor)
    thief = copy(visitor)
    assert not is_logged_in(thief)
    assert enter_code(thief, phone.wrong_code(clock.now)) == 422
    assert enter_code(visitor, phone.code(clock.now)) == 302
    assert not is_logged_in(thief)
    clock.advance(seconds=60)
    page = thief.post("/login/code", {"code": phone.code(clock.now)})
    assert location(page) == "/login" and thief.follow(page).message
    assert not is_logged_in(thief) and is_logged_in(visitor)


def test_the_waiting_log_in_of_another_user_is_of_no_use(
    app: Flask, database: Database, settings: Settings, phone: Phone, clock: Clock
) -> None:
    """An operator who has a second factor, too, uses the own code for the account of the administrator."""
    administrators = create_second_factor(database, settings, 1)
    attacker = Visitor(app)
    enter_password(attacker, ADMINISTRATOR)
    assert enter_code(attacker, phone.code(clock.now)) == 422
    assert enter_code(attacker, phone.recovery_codes[0]) == 422
    with attacker.client.session_transaction() as cookie:
        cookie["login"] = "1"
    assert enter_code(attacker, administrators.code(clock.now)) == 302
    assert not is_logged_in(attacker)


def test_the_wait_ends_and_the_page_says_so(visitor: Visitor, phone: Phone, clock: Clock) -> None:
    path = enter_password(visitor, following="/mine")
    clock.advance(minutes=LOG_IN_WITHIN.total_seconds() / 60)
    page = visitor.post(path, {"code": phone.code(clock.now)})
    assert location(page) == "/login?next=/mine"
    assert visitor.follow(page).message
    assert not visitor.follow(visitor.get("/login/code", 302)).message, "nothing waits any more"


def test_logging_in_as_somebody_else_ends_the_session_before(
    app: Flask, operator: Visitor, database: Database, settings: Settings, clock: Clock
) -> None:
    create_second_factor(database, settings, 1)
    thief = copy(operator)
    enter_password(operator, ADMINISTRATOR)
    assert not is_logged_in(operator) and not is_logged_in(thief)


def test_forms_need_the_token_of_their_step(app: Flask, visitor: Visitor, phone: Phone, clock: Clock) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    before = visitor.get("/login").fields()["csrf_token"]
    visitor.post("/login", {"name": OPERATOR, "password": PASSWORD, "csrf_token": before})
    page = visitor.get("/login/code")
    data = {"code": phone.code(clock.now)}
    visitor.post("/login/code", data, 400)
    visitor.post("/login/code", data | {"csrf_token": before}, 400)
    visitor.submit(page, "/login/code", code=data["code"])
    assert is_logged_in(visitor)


# -- limits -----------------------------------------------------------------------------------------------------------


def test_guessing_codes_takes_longer_and_longer(app: Flask, phone: Phone, clock: Clock) -> None:
    """Entering the password again in between, which the attacker knows, changes nothing."""
    attacker, tried, waits = Visitor(app), 0, []
    started = clock.now
    while clock.now - started < timedelta(hours=2):
        enter_password(attacker, address=f"10.0.{tried % 250}.1")
        response = attacker.client.post("/login/code", data={"code": phone.wrong_code(clock.now)}, buffered=True)
        if response.status_code == 429:
            waits.append(int(response.headers["Retry-After"]))
            clock.advance(seconds=waits[-1])
        else:
            assert response.status_code == 422
            tried += 1
    assert waits == sorted(waits) and waits[:3] == [1, 2, 4] and waits[-1] == 1800
    assert tried < 25


def test_wrong_codes_count_for_the_password_too(app: Flask, phone: Phone, clock: Clock) -> None:
    attacker = Visitor(app)
    for _ in range(ALLOWANCES[Counter.PAIR].free):
        enter_password(attacker)
        assert enter_code(attacker, phone.wrong_code(clock.now)) == 422
    attacker.post("/login", {"name": OPERATOR, "password": PASSWORD}, 429)


def test_a_code_is_not_checked_while_one_must_wait(visitor: Visitor, phone: Phone, clock: Clock) -> None:
    enter_password(visitor)
    free = ALLOWANCES[Counter.CODE].free
    assert {enter_code(visitor, phone.wrong_code(clock.now)) for _ in range(free)} == {422}
    page = visitor.post("/login/code", {"code": phone.code(clock.now)}, 429)
    assert page.response.headers["Retry-After"] == "1" and page.error("code")
    clock.advance(seconds=1)
    assert enter_code(visitor, phone.code(clock.now)) == 302, "it was not used up"


def test_codes_guessed_at_once_count_like_codes_one_by_one(app: Flask, phone: Phone, clock: Clock) -> None:
    attackers = [Visitor(app) for _ in range(12)]
    for number, attacker in enumerate(attackers):
        enter_password(attacker, address=f"10.0.0.{number}")
    wrong = phone.wrong_code(clock.now)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda attacker: enter_code(attacker, wrong), attackers))
    free = ALLOWANCES[Counter.CODE].free
    assert found.count(422) == free and found.count(429) == 12 - free


def test_an_attacker_who_knows_the_password_locks_out_neither_colleagues_nor_the_owner(
    app: Flask, database: Database, settings: Settings, phone: Phone, clock: Clock
) -> None:
    """All share one address. The owner uses a browser that has logged in before, with a code."""
    owner = Visitor(app)
    enter_password(owner)
    enter_code(owner, phone.code(clock.now))
    owner.post("/logout")
    attacker = Visitor(app)
    enter_password(attacker)
    for _ in range(20):
        enter_code(attacker, phone.wrong_code(clock.now))
    clock.advance(seconds=30)
    assert enter_password(owner) == "/login/code"
    assert enter_code(owner, phone.code(clock.now)) == 302
    assert enter_password(Visitor(app), ADMINISTRATOR) == "/requests"


def test_wrong_codes_are_in_the_log(visitor: Visitor, admin: Visitor, phone: Phone, clock: Clock) -> None:
    enter_password(visitor)
    wrong = phone.wrong_code(clock.now)
    enter_code(visitor, wrong)
    enter_code(visitor, phone.recovery_codes[0])
    page = admin.get("/log")
    assert f"Logging in as {OPERATOR} failed. The password was right, the code was wrong." in page.main
    assert "10.0.0.1" in page.main and "Recovery codes that are left" in page.main
    assert wrong not in page.source and phone.recovery_codes[0] not in page.source


def test_a_wrong_code_shows_what_the_clock_says(visitor: Visitor, phone: Phone, clock: Clock) -> None:
    visitor.post("/language", {"locale": "en"})
    clock.now = datetime(2026, 11, 29, 11, 0, 5, tzinfo=UTC)
    enter_password(visitor)
    page = visitor.post("/login/code", {"code": phone.code(clock.now, 20)}, 422)
    assert page.error("code") == wording.error("wrong_code")
    assert "The clock of this machine says 2026-11-29 14:30:05." in page.main
    assert page.one("input", id="code").get("value") == ""
    assert "clock" not in visitor.get("/login/code").main
    assert visitor.post("/login/code", {"code": ""}, 422).error("code") == wording.error("required")


# -- changing it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [OFF, NEW_CODES])
def test_a_change_needs_password_and_code(operator: Visitor, phone: Phone, clock: Clock, path: str) -> None:
    page = operator.get(path)
    page = operator.submit(page, path, 422, password="wrong", code=phone.code(clock.now))
    assert page.error("password") and not page.error("code")
    page = operator.submit(page, path, 422, password=PASSWORD, code=phone.wrong_code(clock.now))
    assert page.error("code") and not page.error("password") and "clock of this machine" in page.main
    assert PASSWORD not in page.source
    operator.submit(page, path, 302 if path == OFF else 200, password=PASSWORD, code=phone.code(clock.now))
    used = {"password": PASSWORD, "code": phone.code(clock.now)}
    if path == NEW_CODES:
        statuses = [operator.client.post(path, data=used, buffered=True).status_code for _ in range(6)]
        assert (statuses[0], statuses[-1]) == (422, 429), "guessing is limited"


def test_new_recovery_codes_replace_the_old_ones(
    operator: Visitor, visitor: Visitor, phone: Phone, database: Database, clock: Clock
) -> None:
    page = operator.post(NEW_CODES, {"password": PASSWORD, "code": phone.recovery_codes[0]}, 200)
    codes = shown_codes(page)
    assert not set(codes) & set(phone.recovery_codes)
    enter_password(visitor)
    assert enter_code(visitor, phone.recovery_codes[1]) == 422
    assert enter_code(visitor, codes[0]) == 302


def test_few_recovery_codes_are_a_warning(operator: Visitor, phone: Phone, visitor: Visitor, clock: Clock) -> None:
    for code in phone.recovery_codes[:8]:
        enter_password(visitor)
        enter_code(visitor, code)
    assert "before the last one is used" in operator.get("/account").main


def test_turned_off_the_password_is_enough(operator: Visitor, visitor: Visitor, phone: Phone, clock: Clock) -> None:
    page = operator.post(OFF, {"password": PASSWORD, "code": phone.code(clock.now)})
    assert operator.follow(page).message
    assert enter_password(visitor) == "/mine"
    for path in (OFF, NEW_CODES):
        assert location(operator.get(path, 302)) == location(operator.post(path)) == "/account"


# -- administrators ---------------------------------------------------------------------------------------------------


def test_administrators_see_who_has_it_and_reset_it(
    admin: Visitor, operator: Visitor, visitor: Visitor, phone: Phone, database: Database, clock: Clock
) -> None:
    path = "/users/2/second-factor"

    def is_shown(user_id: int) -> bool:
        return "two-step log-in" in text(admin.get("/users").one(id=f"user-{user_id}"))

    assert is_shown(2) and not is_shown(4)
    assert admin.get("/users/2").has("a", href=path)
    assert not admin.get("/users/4").has("a", href="/users/4/second-factor")
    question = admin.get(path)
    assert is_logged_in(operator) and OPERATOR in question.main
    assert admin.follow(admin.submit(question, path)).message
    assert not is_shown(2)
    assert not is_logged_in(operator)
    assert enter_password(visitor) == "/mine"
    (entry,) = [entry for entry in log_of(database) if entry.action == "second_factor_reset"]
    assert (entry.actor, entry.subject, entry.detail) == (ADMINISTRATOR, OPERATOR, {})
    admin.get("/users/99/second-factor", 404)


def test_administrators_turn_their_own_off_with_a_code_only(
    admin: Visitor, database: Database, settings: Settings
) -> None:
    create_second_factor(database, settings, 1)
    assert not admin.get("/users/1").has("a", href="/users/1/second-factor")
    assert location(admin.get("/users/1/second-factor", 302)) == location(admin.post("/users/1/second-factor"))
    assert second_factor.holders(database) == {1}


def test_a_password_reset_keeps_the_second_factor(admin: Visitor, phone: Phone, database: Database) -> None:
    admin.post("/users/2/password", status=200)
    assert second_factor.holders(database) == {2}


def test_the_requirement_is_a_setting_of_the_office(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get("/settings")
    assert page.fields()["second_factor"] == ["nobody"]
    page = admin.submit(page, "/settings", 422, second_factor="somebody")
    assert page.error("second_factor") == wording.error("choice")
    admin.submit(admin.get("/settings"), "/settings", second_factor="administrators")
    assert office.load(database, settings).second_factor == "administrators"
    assert log_of(database)[-1].detail["second_factor"] == ["", "administrators"]
    assert location(admin.get("/settings", 302)) == f"{START}?next=/settings", "it holds at once"


def test_who_lacks_a_required_second_factor_is_led_to_the_set_up_and_then_goes_on(
    app: Flask, admin: Visitor, operator: Visitor, supervisor: Visitor, database: Database, clock: Clock
) -> None:
    require(database, "administrators")
    assert is_logged_in(operator) and is_logged_in(supervisor) and not is_logged_in(admin)
    page = admin.follow(admin.get("/report?period=week", 302))
    assert not page.has("nav") and not page.has(id="live") and "requires it" in page.main
    page = admin.follow(admin.submit(page, f"{START}?next=/report?period%3Dweek"))
    assert not page.has("nav") and page.has("button", formaction="/logout")
    assert not is_logged_in(admin), "nothing else until it is done"
    code = Phone(shown_secret(page)).code(clock.now)
    page = admin.submit(page, f"{SET_UP}?next=/report?period%3Dweek", 200, code=code)
    assert page.has("nav") and page.has("a", href="/report?period=week")
    assert is_logged_in(admin)
    assert location(admin.post(OFF, {"password": PASSWORD, "code": shown_codes(page)[0]})) == "/account"
    assert location(admin.get("/account", 302)) == f"{START}?next=/account"
    require(database, "everybody")
    assert not is_logged_in(operator) and not is_logged_in(supervisor)
    operator.post("/language", {"locale": "fa"})
    assert location(operator.post("/requests/new")) == START
    assert operator.client.get("/live", headers={"HX-Request": "true"}).headers["HX-Redirect"].startswith(START)
    operator.post("/logout")
    assert enter_password(operator) == "/mine"
    require(database, "nobody")
    assert is_logged_in(operator)


def test_users_with_a_second_factor_do_not_notice_the_requirement(
    operator: Visitor, phone: Phone, database: Database
) -> None:
    require(database, "everybody")
    operator.get("/overview")
