"""The users: validation, passwords, sessions, and the last administrator."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import select

from app.domain.sessions import SessionLimits
from app.services import sessions, users
from app.services.errors import Invalid, NotFound
from app.services.users import ROLES, UserInput, check_password, count, create, get_active, set_locale
from app.store.database import Database
from app.store.models import User
from tests.support.factories import NOW, reload, run_at_once

PASSWORD = "a long password"
HASHER, DUMMY_HASH = users._hasher, users._dummy_hash.__wrapped__  # conftest.py replaces both with fast ones


def all_names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(User.name).order_by(User.id)))


def create_user(database: Database, name: str = "sara", **kwargs: Any) -> int:
    values: dict[str, Any] = {"password": PASSWORD, "role": "operator"}
    return create(database, name, **(values | kwargs), now=NOW)


def change_user(database: Database, user_id: int, **values: Any) -> None:
    with database.write() as session:
        user = session.get_one(User, user_id)
        for name, value in values.items():
            setattr(user, name, value)


def test_hashing_is_as_expensive_as_owasp_recommends() -> None:
    assert HASHER.memory_cost >= 19 * 1024
    assert HASHER.time_cost >= 2


@pytest.mark.parametrize("role", ROLES)
def test_a_new_user_can_log_in(database: Database, role: str) -> None:
    user_id = create_user(database, role=role)
    user = check_password(database, "sara", PASSWORD)
    assert user is not None
    assert (user.id, user.name, user.role, user.active, user.created_at) == (user_id, "sara", role, True, NOW)
    assert user.locale is None
    assert PASSWORD not in user.password_hash
    assert user.password_hash.startswith("$argon2id$")


def test_names_and_passwords_can_be_persian_and_names_are_stripped(database: Database) -> None:
    create_user(database, "  سارا محمدی ", password="گذرواژهٔ من")
    assert all_names(database) == ["سارا محمدی"]
    assert check_password(database, " سارا محمدی", "گذرواژهٔ من") is not None


def test_a_password_is_not_stripped(database: Database) -> None:
    create_user(database, password=" spaces at both ends ")
    assert check_password(database, "sara", "spaces at both ends") is None
    assert check_password(database, "sara", " spaces at both ends ") is not None


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"name": " \t"}, {"name": "required"}),
        ({"name": "x" * 81}, {"name": "too_long"}),
        ({"name": "sa\nra"}, {"name": "characters"}),
        ({"name": "sa\ud800ra"}, {"name": "characters"}),  # input that was not UTF-8
        ({"name": " taken "}, {"name": "taken"}),
        ({"password": "1234567"}, {"password": "too_short"}),
        ({"password": "x" * 201}, {"password": "too_long"}),
        ({"password": "12345678\udcff"}, {"password": "characters"}),
        ({"role": "owner"}, {"role": "choice"}),
        ({"name": "", "password": "", "role": ""}, {"name": "required", "password": "too_short", "role": "choice"}),
    ],
)
def test_invalid_values_are_refused(database: Database, given: dict[str, Any], errors: dict[str, str]) -> None:
    create_user(database, "taken")
    with pytest.raises(Invalid) as refused:
        create_user(database, **given)
    assert refused.value.errors == errors
    assert all_names(database) == ["taken"]


def test_the_longest_and_shortest_values_are_accepted(database: Database) -> None:
    create_user(database, "x" * 80, password="k7mp3xqa")
    create_user(database, "y", password="words and " * 20)


def test_concurrent_requests_for_a_name_create_one_user(database: Database) -> None:
    def attempt() -> str:
        try:
            create_user(database)
        except Invalid as invalid:
            return invalid.errors["name"]
        return "created"

    assert sorted(run_at_once([attempt] * 4)) == ["created", "taken", "taken", "taken"]
    assert all_names(database) == ["sara"]


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("sara", "a wrong password"),
        ("sara", ""),
        ("sara", PASSWORD + " "),
        ("Sara", PASSWORD),
        ("", PASSWORD),
        ("nobody", PASSWORD),
        ("sara\x00", PASSWORD),
        ("x" * 10_000, PASSWORD),
    ],
)
def test_a_wrong_name_or_password_is_refused(database: Database, name: str, password: str) -> None:
    create_user(database)
    assert check_password(database, name, password) is None


def test_an_inactive_user_cannot_log_in_and_has_no_session(database: Database) -> None:
    user_id = create_user(database)
    assert get_active(database, user_id) is not None
    change_user(database, user_id, active=False)
    assert check_password(database, "sara", PASSWORD) is None
    assert get_active(database, user_id) is None


def test_a_damaged_hash_matches_no_password(database: Database) -> None:
    change_user(database, create_user(database), password_hash=PASSWORD)
    assert check_password(database, "sara", PASSWORD) is None


class CountingHasher:
    """Verify as the real hasher does, and record the passwords."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    def verify(self, known: str, password: str) -> bool:
        self.checked.append(password)
        return PasswordHasher().verify(known, password)


@pytest.mark.parametrize("name", ["sara", "inactive", "nobody", "no\x00body"])
def test_the_response_time_does_not_reveal_names(
    database: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Checking a hash is the slow part. There is exactly one check, whether the name exists or not."""
    create_user(database)
    change_user(database, create_user(database, "inactive"), active=False)
    hasher = CountingHasher()
    monkeypatch.setattr(users, "_hasher", hasher)
    assert check_password(database, name, "a wrong password") is None
    assert len(hasher.checked) == 1


def test_the_hash_for_unknown_names_is_as_expensive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_hasher", HASHER)
    assert extract_parameters(DUMMY_HASH()) == extract_parameters(HASHER.hash("a password"))


def test_only_the_allowed_length_of_a_password_is_hashed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    create_user(database)
    hasher = CountingHasher()
    monkeypatch.setattr(users, "_hasher", hasher)
    assert check_password(database, "sara", "x" * 1_000_000) is None
    assert [len(password) for password in hasher.checked] == [users.LONGEST_PASSWORD]


def test_the_language_of_a_user_is_stored(database: Database) -> None:
    user_id = create_user(database)
    set_locale(database, user_id, "en")
    set_locale(database, 4711, "fa")  # does not exist
    assert get_active(database, 4711) is None
    user = get_active(database, user_id)
    assert user is not None
    assert reload(database, user).locale == "en"


def test_the_users_are_counted(database: Database) -> None:
    assert count(database) == 0
    create_user(database, "sara")
    create_user(database, "omid")
    assert count(database) == 2


# -- changing users ---------------------------------------------------------------------------------------------------


def stored(database: Database, user_id: int) -> User:
    with database.read() as session:
        return session.get_one(User, user_id)


def test_a_changed_user_is_stored(database: Database) -> None:
    user_id = create_user(database, extensions=["101", "102"], locale="en")
    assert users.as_input(users.get(database, user_id)) == UserInput("operator", ("101", "102"), True, "en", "auto")
    given = UserInput("supervisor", ("103",), True, "fa", "dark")
    users.change(database, user_id, given, NOW)
    assert users.as_input(users.get(database, user_id)) == given


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        (UserInput("operator", locale="xx"), {"locale": "choice"}),
        (UserInput("operator", ("101", "x")), {"extensions": "code"}),
        (UserInput("operator", ("101", "101")), {"extensions": "twice"}),
        (UserInput("operator", tuple(str(n) for n in range(100, 151))), {"extensions": "too_long"}),
        (UserInput("", ("",), theme=""), {"role": "choice", "extensions": "code", "theme": "choice"}),
    ],
)
def test_invalid_changes_are_refused(database: Database, given: UserInput, errors: dict[str, str]) -> None:
    user_id = create_user(database)
    with pytest.raises(Invalid) as refused:
        users.change(database, user_id, given, NOW)
    assert refused.value.errors == errors
    assert users.as_input(users.get(database, user_id)) == UserInput("operator")


def test_an_unknown_user_is_not_found(database: Database) -> None:
    for action in (
        lambda: users.get(database, 4711),
        lambda: users.change(database, 4711, UserInput("operator"), NOW),
        lambda: users.reset_password(database, 4711, PASSWORD, NOW),
        lambda: users.change_password(database, 4711, PASSWORD, PASSWORD, NOW),
    ):
        with pytest.raises(NotFound):
            action()


def test_active_users_are_listed_first(database: Database) -> None:
    ids = [create_user(database, name) for name in ("zoe", "adam", "bea")]
    change_user(database, ids[1], active=False)
    assert [user.name for user in users.list_users(database)] == ["bea", "zoe", "adam"]


# -- the last administrator -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [(UserInput("operator"), "role"), (UserInput("supervisor", active=False), "role"),
     (UserInput("administrator", active=False), "active")],
)  # fmt: skip
def test_the_last_administrator_cannot_be_removed(database: Database, given: UserInput, field: str) -> None:
    last = create_user(database, role="administrator")
    change_user(database, create_user(database, "inactive", role="administrator"), active=False)
    with pytest.raises(Invalid) as refused:
        users.change(database, last, given, NOW)
    assert refused.value.errors == {field: "last_administrator"}
    assert (stored(database, last).role, stored(database, last).active) == ("administrator", True)
    users.change(database, last, UserInput("administrator", theme="dark"), NOW)
    create_user(database, "second", role="administrator")
    users.change(database, last, given, NOW)


def test_concurrent_changes_leave_one_administrator(database: Database) -> None:
    ids = [create_user(database, f"admin {n}", role="administrator") for n in range(5)]

    def leave(user_id: int) -> bool:
        try:
            users.change(database, user_id, UserInput("operator"), NOW)
        except Invalid:
            return False
        return True

    assert sorted(run_at_once([partial(leave, user_id) for user_id in ids])) == [False] + [True] * 4
    assert [stored(database, user_id).role for user_id in ids].count("administrator") == 1


# -- passwords and sessions -------------------------------------------------------------------------------------------


def test_a_password_is_reset(database: Database) -> None:
    user_id = create_user(database)
    users.reset_password(database, user_id, "another long one", NOW)
    assert check_password(database, "sara", PASSWORD) is None
    assert check_password(database, "sara", "another long one") is not None


def test_changing_the_own_password_needs_the_old_one(database: Database) -> None:
    user_id = create_user(database)
    for old, new, errors in (
        ("a wrong password", "another long one", {"old_password": "wrong"}),
        (PASSWORD, PASSWORD, {"password": "same"}),
        (PASSWORD, "short", {"password": "too_short"}),
        ("wrong", "x" * 201, {"old_password": "wrong", "password": "too_long"}),
    ):
        with pytest.raises(Invalid) as refused:
            users.change_password(database, user_id, old, new, NOW)
        assert refused.value.errors == errors
    users.change_password(database, user_id, PASSWORD, "another long one", NOW)
    assert check_password(database, "sara", "another long one") is not None


def start_session(database: Database, user_id: int) -> str:
    limits = SessionLimits(timedelta(hours=1), timedelta(days=1))
    return sessions.digest(sessions.start(database, stored(database, user_id), sessions.Client(), NOW, limits))


@pytest.mark.parametrize(
    "change",
    [
        lambda database, user: users.reset_password(database, user, PASSWORD, NOW),  # even if it is the same
        lambda database, user: users.change_password(database, user, PASSWORD, "another long one", NOW),
        lambda database, user: users.change(database, user, UserInput("operator", active=False), NOW),
    ],
    ids=["reset", "change", "deactivation"],
)
def test_a_new_password_and_deactivation_end_sessions(
    database: Database, change: Callable[[Database, int], None]
) -> None:
    user, other = create_user(database), create_user(database, "omid")
    mine, others = start_session(database, user), start_session(database, other)
    before = stored(database, user)
    change(database, user)
    users.change(database, user, UserInput("operator"), NOW)  # active again
    assert sessions.find(database, mine) is None
    assert sessions.find(database, others) is not None
    limits = SessionLimits(timedelta(hours=1), timedelta(days=1))
    late = sessions.digest(sessions.start(database, before, sessions.Client(), NOW, limits))
    assert sessions.find(database, late) is None, "the password was checked before the change"


def test_other_changes_keep_sessions(database: Database) -> None:
    user_id = create_user(database)
    mine = start_session(database, user_id)
    users.change(database, user_id, UserInput("supervisor", ("101",), True, "en", "dark"), NOW)
    set_locale(database, user_id, "fa")
    users.set_theme(database, user_id, "light")
    assert sessions.find(database, mine) is not None
    assert stored(database, user_id).theme == "light"
    with pytest.raises(Invalid):
        users.set_theme(database, user_id, "pink")
