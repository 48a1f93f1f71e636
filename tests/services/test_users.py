"""Who may use the panel: names and passwords are checked at the door, and a stranger learns nothing from it."""

from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import select

from app.services import users
from app.services.errors import Invalid, NotFound
from app.services.users import ROLES, UserInput, check_password, count, create, get_active, set_locale, session_stamp
from app.store.database import Database
from app.store.models import User
from tests.support.factories import NOW, at_once, reload

PASSWORD = "a long password"
HASHER, NOBODY = users._hasher, users._nobody.__wrapped__  # the ones that are in use


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


def test_a_hash_costs_a_thief_no_less_than_owasp_asks_for() -> None:
    assert HASHER.memory_cost >= 19 * 1024
    assert HASHER.time_cost >= 2


@pytest.mark.parametrize("role", ROLES)
def test_a_user_is_stored_and_let_in(database: Database, role: str) -> None:
    user_id = create_user(database, role=role)
    user = check_password(database, "sara", PASSWORD)
    assert user is not None
    assert (user.id, user.name, user.role, user.active, user.created_at) == (user_id, "sara", role, True, NOW)
    assert user.locale is None
    assert PASSWORD not in user.password_hash
    assert user.password_hash.startswith("$argon2id$")


def test_names_and_passwords_may_be_persian_and_names_are_stripped(database: Database) -> None:
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
        ({"name": ""}, {"name": "required"}),
        ({"name": " \t"}, {"name": "required"}),
        ({"name": "x" * 81}, {"name": "too_long"}),
        ({"name": "sa\nra"}, {"name": "characters"}),
        ({"name": "sa\x00ra"}, {"name": "characters"}),
        ({"name": "sa\ud800ra"}, {"name": "characters"}),  # what was no UTF-8 on its way here
        ({"name": "taken"}, {"name": "taken"}),
        ({"name": " taken "}, {"name": "taken"}),
        ({"password": ""}, {"password": "too_short"}),
        ({"password": "1234567"}, {"password": "too_short"}),
        ({"password": "x" * 201}, {"password": "too_long"}),
        ({"password": "12345678\udcff"}, {"password": "characters"}),
        ({"role": "owner"}, {"role": "choice"}),
        ({"name": "", "password": "", "role": ""}, {"name": "required", "password": "too_short", "role": "choice"}),
    ],
)
def test_what_makes_no_sense_is_refused(database: Database, given: dict[str, Any], errors: dict[str, str]) -> None:
    create_user(database, "taken")
    with pytest.raises(Invalid) as refused:
        create_user(database, **given)
    assert refused.value.errors == errors
    assert all_names(database) == ["taken"]


@pytest.mark.parametrize("given", [{"name": "x" * 80}, {"password": "12345678"}, {"password": "x" * 200}])
def test_what_just_fits_is_taken(database: Database, given: dict[str, Any]) -> None:
    create_user(database, **given)
    assert count(database) == 1


def test_two_who_want_a_name_at_the_same_instant_do_not_both_get_it(database: Database) -> None:
    def take() -> str:
        try:
            create_user(database)
        except Invalid as invalid:
            return invalid.errors["name"]
        return "created"

    assert sorted(at_once([take] * 4)) == ["created", "taken", "taken", "taken"]
    assert all_names(database) == ["sara"]


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("sara", "a wrong password"),
        ("sara", ""),
        ("sara", PASSWORD.upper()),
        ("sara", PASSWORD + " "),
        ("Sara", PASSWORD),
        ("", PASSWORD),
        ("nobody", PASSWORD),
        ("sara\x00", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("x" * 10_000, PASSWORD),
    ],
)
def test_nobody_else_is_let_in(database: Database, name: str, password: str) -> None:
    create_user(database)
    assert check_password(database, name, password) is None


def test_who_was_barred_is_not_let_in_any_more_nor_stays(database: Database) -> None:
    user_id = create_user(database)
    assert get_active(database, user_id) is not None
    change_user(database, user_id, active=False)
    assert check_password(database, "sara", PASSWORD) is None
    assert get_active(database, user_id) is None


def test_a_damaged_hash_lets_nobody_in(database: Database) -> None:
    change_user(database, create_user(database), password_hash=PASSWORD)
    assert check_password(database, "sara", PASSWORD) is None


class CountingHasher:
    """Checks as the real one does and counts how often."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    def verify(self, known: str, password: str) -> bool:
        self.checked.append(password)
        return PasswordHasher().verify(known, password)


@pytest.mark.parametrize("name", ["sara", "barred", "nobody", "no\x00body"])
def test_a_stranger_cannot_tell_by_the_time_which_names_there_are(
    database: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The slow part of an answer is the check of the hash: there is exactly one, whoever asks for whom."""
    create_user(database)
    change_user(database, create_user(database, "barred"), active=False)
    hasher = CountingHasher()
    monkeypatch.setattr(users, "_hasher", hasher)
    assert check_password(database, name, "a wrong password") is None
    assert len(hasher.checked) == 1


def test_a_name_that_is_nobodys_takes_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_hasher", HASHER)
    assert extract_parameters(NOBODY()) == extract_parameters(HASHER.hash("a password"))


def test_an_endless_password_costs_no_more_than_the_longest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_user(database)
    hasher = CountingHasher()
    monkeypatch.setattr(users, "_hasher", hasher)
    assert check_password(database, "sara", "x" * 1_000_000) is None
    assert [len(password) for password in hasher.checked] == [users.LONGEST_PASSWORD]


def test_nobody_is_loaded_who_never_was(database: Database) -> None:
    assert get_active(database, 4711) is None


def test_the_language_of_a_reader_is_remembered(database: Database) -> None:
    user_id = create_user(database)
    set_locale(database, user_id, "en")
    set_locale(database, 4711, "fa")  # who is gone meanwhile
    user = get_active(database, user_id)
    assert user is not None
    assert reload(database, user).locale == "en"


def test_the_users_are_counted(database: Database) -> None:
    assert count(database) == 0
    create_user(database, "sara")
    create_user(database, "omid")
    assert count(database) == 2


# What is settled for a user


def stored(database: Database, user_id: int) -> User:
    with database.read() as session:
        return session.get_one(User, user_id)


def test_what_is_settled_is_stored(database: Database) -> None:
    user_id = create_user(database, extensions=["101", "102"], locale="en")
    assert users.as_input(users.get(database, user_id)) == UserInput("operator", ("101", "102"), True, "en", "auto")
    given = UserInput("supervisor", ("103",), True, "fa", "dark")
    users.change(database, user_id, given, NOW)
    assert users.as_input(users.get(database, user_id)) == given


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        (UserInput("king"), {"role": "choice"}),
        (UserInput("operator", locale="xx"), {"locale": "choice"}),
        (UserInput("operator", theme="pink"), {"theme": "choice"}),
        (UserInput("operator", ("101", "x")), {"extensions": "code"}),
        (UserInput("operator", ("101", "101")), {"extensions": "twice"}),
        (UserInput("operator", tuple(str(n) for n in range(100, 151))), {"extensions": "too_long"}),
        (UserInput("", ("",), theme=""), {"role": "choice", "extensions": "code", "theme": "choice"}),
    ],
)
def test_nonsense_is_refused_beside_its_field(database: Database, given: UserInput, errors: dict[str, str]) -> None:
    user_id = create_user(database)
    with pytest.raises(Invalid) as refused:
        users.change(database, user_id, given, NOW)
    assert refused.value.errors == errors
    assert users.as_input(users.get(database, user_id)) == UserInput("operator")


def test_a_user_who_is_not_there_is_not_found(database: Database) -> None:
    for act in (
        lambda: users.get(database, 4711),
        lambda: users.change(database, 4711, UserInput("operator"), NOW),
        lambda: users.reset_password(database, 4711, PASSWORD, NOW),
        lambda: users.change_password(database, 4711, PASSWORD, PASSWORD, NOW),
    ):
        with pytest.raises(NotFound):
            act()


def test_those_who_may_log_in_are_listed_first(database: Database) -> None:
    ids = [create_user(database, name) for name in ("zoe", "adam", "bea")]
    change_user(database, ids[1], active=False)
    assert [user.name for user in users.list_users(database)] == ["bea", "zoe", "adam"]


# The last administrator


@pytest.mark.parametrize(
    ("given", "field"),
    [(UserInput("operator"), "role"), (UserInput("supervisor", active=False), "role"),
     (UserInput("administrator", active=False), "active")],
)  # fmt: skip
def test_the_last_administrator_stays_one(database: Database, given: UserInput, field: str) -> None:
    last = create_user(database, role="administrator")
    change_user(database, create_user(database, "asleep", role="administrator"), active=False)
    with pytest.raises(Invalid) as refused:
        users.change(database, last, given, NOW)
    assert refused.value.errors == {field: "last_administrator"}
    assert (stored(database, last).role, stored(database, last).active) == ("administrator", True)
    users.change(database, last, UserInput("administrator", theme="dark"), NOW)  # all else is theirs to change
    create_user(database, "second", role="administrator")
    users.change(database, last, given, NOW)


def test_of_all_administrators_who_leave_at_once_one_stays(database: Database) -> None:
    ids = [create_user(database, f"admin {n}", role="administrator") for n in range(5)]

    def leave(user_id: int) -> bool:
        try:
            users.change(database, user_id, UserInput("operator"), NOW)
        except Invalid:
            return False
        return True

    assert sorted(at_once([lambda user_id=user_id: leave(user_id) for user_id in ids])) == [False] + [True] * 4
    assert [stored(database, user_id).role for user_id in ids].count("administrator") == 1


# Passwords and sessions


def test_a_password_is_reset(database: Database) -> None:
    user_id = create_user(database)
    users.reset_password(database, user_id, "another long one", NOW)
    assert check_password(database, "sara", PASSWORD) is None
    assert check_password(database, "sara", "another long one") is not None


def test_ones_own_password_is_changed_by_whoever_knows_it(database: Database) -> None:
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


def test_sessions_end_with_the_password_and_the_activity(database: Database) -> None:
    user_id = create_user(database)
    stamps = [session_stamp(stored(database, user_id))]
    for change in (
        lambda: users.reset_password(database, user_id, PASSWORD, NOW),  # the same again ends them too
        lambda: users.change_password(database, user_id, PASSWORD, "another long one", NOW),
        lambda: users.change(database, user_id, UserInput("operator", active=False), NOW),
    ):
        change()
        stamps.append(session_stamp(stored(database, user_id)))
    assert len(set(stamps)) == 4
    users.change(database, user_id, UserInput("operator"), NOW)  # awake again, they log in again
    assert session_stamp(stored(database, user_id)) == stamps[-1]
    assert stamps[-1] not in stored(database, user_id).password_hash


def test_sessions_outlive_every_other_change(database: Database) -> None:
    user_id = create_user(database)
    before = session_stamp(stored(database, user_id))
    users.change(database, user_id, UserInput("supervisor", ("101",), True, "en", "dark"), NOW)
    set_locale(database, user_id, "fa")
    users.set_theme(database, user_id, "light")
    assert session_stamp(stored(database, user_id)) == before
    assert stored(database, user_id).theme == "light"
    with pytest.raises(Invalid):
        users.set_theme(database, user_id, "pink")


def test_no_two_users_have_the_same_stamp(database: Database) -> None:
    ids = [create_user(database, name) for name in ("sara", "omid")]
    change_user(database, ids[1], password_hash=stored(database, ids[0]).password_hash)
    assert session_stamp(stored(database, ids[0])) != session_stamp(stored(database, ids[1]))
