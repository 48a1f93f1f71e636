"""The second factor: setting it up, its codes, and what the database holds of them."""

import json
import logging
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from app import doctor
from app.config import Settings
from app.domain.findings import Level
from app.domain.second_factor import LOG_IN_WITHIN, SET_UP_WITHIN, STEP
from app.domain.sessions import SessionLimits
from app.services import logins, second_factor, sessions, users
from app.services.errors import Invalid, NotFound
from app.services.logins import CodeNeeded, LoginEnded, Source, TooManyFailures, WrongCode, WrongPassword
from app.services.modules import transfer
from app.services.second_factor import CodeKind
from app.services.users import UserInput
from app.store.database import Database
from app.store.models import PendingLogin, RecoveryCode, SecondFactor, User
from script.office.database import make_settings
from tests.support.factories import NOW, log_of, run_at_once
from tests.support.second_factors import WRONG_CODE, Phone, create_second_factor

PASSWORD = "a long password"
LIMITS = SessionLimits(timedelta(hours=12), timedelta(days=14))
OFFICE = Source("10.0.0.1")


@pytest.fixture
def sara(database: Database) -> int:
    return users.create(database, "sara", PASSWORD, "operator", NOW)


@pytest.fixture
def omid(database: Database) -> int:
    return users.create(database, "omid", PASSWORD, "operator", NOW)


@pytest.fixture
def phone(database: Database, settings: Settings, sara: int) -> Phone:
    return create_second_factor(database, settings, sara)


def open_session(database: Database, user_id: int) -> int:
    """Start a session of a user and return its id."""
    token = sessions.start(database, users.get(database, user_id), sessions.Client(), NOW, LIMITS)
    found = sessions.find(database, sessions.digest(token))
    assert found is not None
    return found[0].id


def use(database: Database, settings: Settings, user_id: int, code: str, now: datetime = NOW) -> CodeKind | None:
    with database.write() as session:
        user = session.get_one(User, user_id, with_for_update=True)
        return second_factor.use_code(session, settings, user, code, now)


def wait_for_code(database: Database, name: str = "sara", source: Source = OFFICE, now: datetime = NOW) -> str:
    """Log in with the password, and return the token of the log-in that waits for a code."""
    with pytest.raises(CodeNeeded) as needed:
        logins.log_in(database, name, PASSWORD, source, now)
    return needed.value.token


def enter(
    database: Database, settings: Settings, token: str, code: str, source: Source = OFFICE, now: datetime = NOW
) -> str:
    """Enter a code. Return the name of the user, or what happened instead."""
    try:
        return logins.enter_code(database, settings, token, code, source, now).name
    except (WrongCode, LoginEnded, TooManyFailures) as error:
        return type(error).__name__


# -- setting it up ----------------------------------------------------------------------------------------------------


def test_it_is_set_up_by_one_session_and_counts_from_its_first_code(
    database: Database, settings: Settings, sara: int
) -> None:
    mine, others = open_session(database, sara), open_session(database, sara)
    second_factor.start(database, settings, sara, mine, NOW)
    secret = second_factor.new_secret(database, settings, sara, mine, NOW)
    assert secret == second_factor.new_secret(database, settings, sara, mine, NOW), "a page may be loaded again"
    with pytest.raises(NotFound):
        second_factor.new_secret(database, settings, sara, others, NOW)
    assert second_factor.state(database, sara) is None and second_factor.holders(database) == frozenset()
    assert logins.log_in(database, "sara", PASSWORD, OFFICE, NOW).id == sara

    phone = Phone(secret)
    for code in (phone.wrong_code(NOW), "", WRONG_CODE, phone.code(NOW, 2), phone.code(NOW, -2)):
        with pytest.raises(Invalid) as invalid:
            second_factor.confirm(database, settings, sara, mine, code, NOW)
        assert invalid.value.errors == {"code": "wrong_code"}
    codes = second_factor.confirm(database, settings, sara, mine, phone.code(NOW, 1), NOW)
    assert len(set(codes)) == 10
    state = second_factor.state(database, sara)
    assert state is not None and (state.since, state.recovery_codes) == (NOW, 10)
    assert second_factor.holders(database) == {sara}
    assert sessions.list_sessions(database, sara, NOW, LIMITS) == [], "they were started without it"
    for refused in (second_factor.new_secret, second_factor.start):
        with pytest.raises(NotFound):
            refused(database, settings, sara, mine, NOW)
    assert use(database, settings, sara, phone.code(NOW, 1)) is None, "it was used to turn it on"
    assert log_of(database)[-1].action == "second_factor_on"


def test_a_session_that_began_before_with_the_password_only_is_not_found(
    database: Database, settings: Settings, sara: int
) -> None:
    session = open_session(database, sara)
    late = logins.log_in(database, "sara", PASSWORD, OFFICE, NOW)
    second_factor.start(database, settings, sara, session, NOW)
    phone = Phone(second_factor.new_secret(database, settings, sara, session, NOW))
    second_factor.confirm(database, settings, sara, session, phone.code(NOW), NOW)
    token = sessions.start(database, late, sessions.Client(), NOW, LIMITS)
    assert sessions.find(database, sessions.digest(token)) is None


def test_a_new_secret_lapses_and_goes_with_its_session(database: Database, settings: Settings, sara: int) -> None:
    session = open_session(database, sara)
    second_factor.start(database, settings, sara, session, NOW)
    first = Phone(second_factor.new_secret(database, settings, sara, session, NOW))
    late = NOW + SET_UP_WITHIN
    with pytest.raises(NotFound):
        second_factor.new_secret(database, settings, sara, session, late)
    with pytest.raises(NotFound):
        second_factor.confirm(database, settings, sara, session, first.code(late), late)
    second_factor.start(database, settings, sara, session, late)
    assert second_factor.new_secret(database, settings, sara, session, late) != first.secret
    sessions.log_out(database, sara, session, late, address="")
    with database.read() as reading:
        assert reading.get(SecondFactor, sara) is None


def test_the_address_for_the_qr_code_names_the_panel_and_the_user() -> None:
    address = second_factor.address_of("A" * 32, "سارا & co")
    assert address.startswith("otpauth://totp/Bazang:%D8%B3") and "%26%20co?secret=AAAA" in address
    assert "issuer=Bazang" in address


# -- codes ------------------------------------------------------------------------------------------------------------


def test_codes_are_those_of_rfc_6238(database: Database, settings: Settings, sara: int) -> None:
    create_second_factor(database, settings, sara, secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    for second, code in ((59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (20000000000, "353130")):
        assert use(database, settings, sara, code, datetime.fromtimestamp(second, UTC)) is CodeKind.PHONE


def test_a_code_of_the_phone_counts_once_and_none_from_before_it(
    database: Database, settings: Settings, sara: int, phone: Phone
) -> None:
    assert use(database, settings, sara, phone.code(NOW, 2)) is None
    assert use(database, settings, sara, phone.code(NOW, -2)) is None
    code = phone.code(NOW)
    assert use(database, settings, sara, f" {code[:3]} {code[3:]}") is CodeKind.PHONE
    assert use(database, settings, sara, code) is None
    assert use(database, settings, sara, phone.code(NOW, -1)) is None
    assert use(database, settings, sara, phone.code(NOW, 1)) is CodeKind.PHONE
    assert use(database, settings, sara, phone.code(NOW, 1), NOW + STEP) is None
    assert use(database, settings, sara, phone.code(NOW, 2), NOW + STEP) is CodeKind.PHONE


def test_a_clock_that_was_put_back_makes_no_code_count_twice(
    database: Database, settings: Settings, sara: int, phone: Phone
) -> None:
    assert use(database, settings, sara, phone.code(NOW)) is CodeKind.PHONE
    back = NOW - timedelta(hours=1)
    assert use(database, settings, sara, phone.code(back), back) is None
    assert use(database, settings, sara, phone.recovery_codes[0], back) is CodeKind.RECOVERY, "the way out"
    assert use(database, settings, sara, phone.code(NOW), NOW) is None


def test_a_recovery_code_counts_once_and_for_its_user_only(
    database: Database, settings: Settings, sara: int, omid: int, phone: Phone
) -> None:
    create_second_factor(database, settings, omid)
    first, second, *_ = phone.recovery_codes
    assert use(database, settings, omid, first) is None
    assert use(database, settings, sara, first.upper().replace("-", " ")) is CodeKind.RECOVERY
    assert use(database, settings, sara, first) is None
    state = second_factor.state(database, sara)
    assert state is not None and state.recovery_codes == 9
    new = second_factor.replace_recovery_codes(database, sara, NOW)
    assert use(database, settings, sara, second) is None
    assert use(database, settings, sara, new[0]) is CodeKind.RECOVERY
    assert use(database, settings, sara, "") is None


def test_codes_do_not_count_without_a_second_factor(database: Database, settings: Settings, sara: int) -> None:
    session = open_session(database, sara)
    second_factor.start(database, settings, sara, session, NOW)
    phone = Phone(second_factor.new_secret(database, settings, sara, session, NOW))
    assert use(database, settings, sara, phone.code(NOW)) is None
    with pytest.raises(NotFound):
        second_factor.replace_recovery_codes(database, sara, NOW)


def test_neither_database_nor_log_nor_export_contains_what_opens_an_account(
    database: Database, settings: Settings, sara: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = open_session(database, sara)
    second_factor.start(database, settings, sara, session, NOW)
    secret = second_factor.new_secret(database, settings, sara, session, NOW)
    codes = second_factor.confirm(database, settings, sara, session, Phone(secret).code(NOW), NOW)
    token = wait_for_code(database)
    files = b"".join(path.read_bytes() for path in settings.data_dir.glob("bazang.sqlite3*"))
    told = [caplog.text, json.dumps(transfer.export_settings(database)), str([vars(row) for row in log_of(database)])]
    for text in (secret, token, *codes, *(code.replace("-", "") for code in codes)):
        assert text.encode() not in files
        assert not any(text in known for known in told)


def test_with_another_key_recovery_codes_still_count_and_the_doctor_says_what_to_do(
    database: Database, settings: Settings, sara: int, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_settings(settings.data_dir, secret_key="another")
    assert list(doctor.check_second_factors(settings, database)) == []
    (finding,) = doctor.check_second_factors(other, database)
    assert finding.level is Level.FAULT and "sara" in finding.text and "remove-second-factor" in finding.fix
    assert use(database, other, sara, phone.code(NOW)) is None
    assert "another key" in caplog.text
    assert use(database, other, sara, phone.recovery_codes[0]) is CodeKind.RECOVERY


# -- logging in -------------------------------------------------------------------------------------------------------


def test_a_log_in_needs_the_password_and_a_code(
    database: Database, settings: Settings, sara: int, phone: Phone
) -> None:
    with pytest.raises(WrongPassword):
        logins.log_in(database, "sara", "wrong", OFFICE, NOW)
    token = wait_for_code(database)
    assert logins.waiting_user(database, token, NOW).id == sara
    assert enter(database, settings, token, phone.wrong_code(NOW)) == "WrongCode"
    assert enter(database, settings, token, phone.code(NOW)) == "sara"
    assert enter(database, settings, token, phone.code(NOW, 1)) == "LoginEnded", "a log-in is completed once"
    other = wait_for_code(database)
    assert enter(database, settings, other, phone.code(NOW)) == "WrongCode"
    assert enter(database, settings, other, phone.recovery_codes[3]) == "sara"
    entries = [(entry.actor, entry.action, entry.subject, entry.detail) for entry in log_of(database)[-5:]]
    address = {"address": "10.0.0.1"}
    assert entries == [
        ("", "login_failed", "sara", address),
        ("", "code_failed", "sara", address),
        ("sara", "logged_in", "sara", address),
        ("", "code_failed", "sara", address),
        ("sara", "logged_in", "sara", address | {"recovery_codes": 9}),
    ]


def test_the_wait_for_a_code_ends(database: Database, settings: Settings, sara: int, phone: Phone) -> None:
    late = NOW + LOG_IN_WITHIN
    token = wait_for_code(database)
    assert enter(database, settings, token, phone.code(late), now=late) == "LoginEnded"
    wait_for_code(database, now=late)
    with database.read() as session:
        assert session.query(PendingLogin).count() == 1, "the one before is deleted"


@pytest.mark.parametrize("event", ["password", "deactivated", "reset", "turned off", "factor of another phone"])
def test_the_wait_for_a_code_ends_when_the_user_changes(
    database: Database, settings: Settings, sara: int, phone: Phone, event: str
) -> None:
    token = wait_for_code(database)
    match event:
        case "password":
            users.reset_password(database, sara, "another long one", NOW)
        case "deactivated":
            users.change(database, sara, UserInput("operator", active=False), NOW)
        case "reset":
            second_factor.reset(database, sara, NOW, actor="omid")
        case _:
            second_factor.turn_off(database, sara, NOW)
    if event == "factor of another phone":
        phone = create_second_factor(database, settings, sara)
    assert enter(database, settings, token, phone.code(NOW)) == "LoginEnded"


def test_a_password_that_was_changed_while_it_was_checked_completes_no_log_in(
    database: Database, settings: Settings, sara: int, phone: Phone
) -> None:
    token = wait_for_code(database)
    with database.write() as session:
        session.get_one(User, sara).generation += 1
    assert enter(database, settings, token, phone.code(NOW)) == "LoginEnded"


@pytest.mark.parametrize("token", ["", "x", "\ud800", "a" * 5000])
def test_a_forged_token_is_no_log_in(database: Database, settings: Settings, phone: Phone, token: str) -> None:
    wait_for_code(database)
    assert enter(database, settings, token, phone.code(NOW)) == "LoginEnded"


def test_the_code_of_another_user_completes_no_log_in(
    database: Database, settings: Settings, sara: int, omid: int, phone: Phone
) -> None:
    other = create_second_factor(database, settings, omid)
    token = wait_for_code(database, "omid")
    assert enter(database, settings, token, phone.code(NOW)) == "WrongCode"
    assert enter(database, settings, token, phone.recovery_codes[0]) == "WrongCode"
    assert enter(database, settings, token, other.code(NOW)) == "omid"


def test_of_many_log_ins_at_once_with_the_same_code_one_succeeds(
    database: Database, settings: Settings, sara: int, phone: Phone
) -> None:
    for code in (phone.code(NOW), phone.recovery_codes[0]):
        tokens = [wait_for_code(database) for _ in range(4)]
        found = run_at_once([partial(enter, database, settings, token, code) for token in tokens])
        assert sorted(found) == ["WrongCode"] * 3 + ["sara"]
        with database.write() as session:
            logins.forget_failures(session, "sara")
    token = wait_for_code(database)
    found = run_at_once([lambda: enter(database, settings, token, phone.code(NOW, 1))] * 4)
    assert found.count("sara") == 1 and set(found) == {"sara", "LoginEnded"}


# -- changing it ------------------------------------------------------------------------------------------------------


def test_password_and_code_are_checked_again_before_a_change(
    database: Database, settings: Settings, sara: int, phone: Phone
) -> None:
    def check(password: str, code: str | None) -> dict[str, str]:
        try:
            logins.check_again(database, settings, sara, OFFICE, NOW, password=password, code=code)
        except Invalid as invalid:
            return invalid.errors
        return {}

    assert check("wrong", phone.code(NOW)) == {"password": "wrong"}
    assert check(PASSWORD, phone.wrong_code(NOW)) == {"code": "wrong_code"}
    assert check(PASSWORD, phone.code(NOW)) == {}, "the wrong password has not used it up"
    assert check(PASSWORD, phone.code(NOW)) == {"code": "wrong_code"}
    assert check(PASSWORD, None) == {}
    with pytest.raises(TooManyFailures):
        for _ in range(10):
            check("wrong", None)


def test_turned_off_nothing_is_left(database: Database, settings: Settings, sara: int, phone: Phone) -> None:
    session = open_session(database, sara)
    second_factor.turn_off(database, sara, NOW)
    second_factor.turn_off(database, sara, NOW)
    assert logins.log_in(database, "sara", PASSWORD, OFFICE, NOW).id == sara
    with database.read() as reading:
        assert reading.query(RecoveryCode).count() == reading.query(SecondFactor).count() == 0
    assert [row.id for row in sessions.list_sessions(database, sara, NOW, LIMITS)] == [session]
    assert [entry.action for entry in log_of(database)].count("second_factor_off") == 1


def test_a_reset_ends_the_sessions(database: Database, settings: Settings, sara: int, phone: Phone) -> None:
    open_session(database, sara)
    assert second_factor.reset(database, sara, NOW, actor="mina")
    assert sessions.list_sessions(database, sara, NOW, LIMITS) == []
    assert logins.log_in(database, "sara", PASSWORD, OFFICE, NOW).id == sara
    assert not second_factor.reset(database, sara, NOW, actor="mina")
    with pytest.raises(NotFound):
        second_factor.reset(database, 4711, NOW, actor="mina")
    (entry,) = [entry for entry in log_of(database) if entry.action == "second_factor_reset"]
    assert (entry.actor, entry.subject) == ("mina", "sara")
