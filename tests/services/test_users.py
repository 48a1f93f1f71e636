"""Who may use the panel: names and passwords are checked at the door, and a stranger learns nothing from it."""

from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from app.services import users
from app.services.errors import Invalid
from app.services.users import ROLES, check_password, count, create, load, set_locale
from app.store.database import Database
from app.store.models import User
from tests.support.factories import NOW, at_once, reload

PASSWORD = "a long password"
HASHER = users._hasher  # the one that is in use


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


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash as the real one does, with less labour: it is slow on purpose."""
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(users, "_hasher", hasher)
    monkeypatch.setattr(users, "_NOBODY", hasher.hash("nobody"))


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
    assert load(database, user_id) is not None
    change_user(database, user_id, active=False)
    assert check_password(database, "sara", PASSWORD) is None
    assert load(database, user_id) is None


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


def test_an_endless_password_costs_no_more_than_the_longest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_user(database)
    hasher = CountingHasher()
    monkeypatch.setattr(users, "_hasher", hasher)
    assert check_password(database, "sara", "x" * 1_000_000) is None
    assert [len(password) for password in hasher.checked] == [users.LONGEST_PASSWORD]


def test_nobody_is_loaded_who_never_was(database: Database) -> None:
    assert load(database, 4711) is None


def test_the_language_of_a_reader_is_remembered(database: Database) -> None:
    user_id = create_user(database)
    set_locale(database, user_id, "en")
    set_locale(database, 4711, "fa")  # who is gone meanwhile
    user = load(database, user_id)
    assert user is not None
    assert reload(database, user).locale == "en"


def test_the_users_are_counted(database: Database) -> None:
    assert count(database) == 0
    create_user(database, "sara")
    create_user(database, "omid")
    assert count(database) == 2
