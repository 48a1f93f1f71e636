"""The link that opens the set-up: who gets in by it, how often, how long, and who is first of two."""

from datetime import timedelta

import pytest

from app.config import Settings
from app.services import users
from app.services.errors import Invalid
from app.services.setup import first_administrator
from app.services.setup.first_administrator import Closed, Refused
from app.store import settings as store
from app.store.database import Database
from app.store.models import User
from tests.support.factories import NOW, at_once

PASSWORD = "a good password"


def redeem(database: Database, settings: Settings, token: str, name: str = "sara", **changes: object) -> User:
    values = {"password": PASSWORD, "now": NOW} | changes
    return first_administrator.redeem(database, settings, token, name, **values)  # type: ignore[arg-type]


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return store.read_all(session)


def test_the_token_makes_one_administrator(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)
    assert first_administrator.token_is_valid(database, token, NOW)
    user = redeem(database, settings, token)
    assert (user.name, user.role) == ("sara", "administrator")
    assert users.check_password(database, "sara", PASSWORD) is not None
    assert not first_administrator.token_is_valid(database, token, NOW)
    with pytest.raises(Refused):
        redeem(database, settings, token, "eve")
    assert users.count(database) == 1


def test_the_token_itself_is_stored_nowhere(database: Database) -> None:
    token = first_administrator.make_token(database, NOW)
    assert len(token) >= 43, "256 bits"
    assert all(token not in value for value in stored(database).values())


@pytest.mark.parametrize("wrong", ["", "guess", "\0", "é\ud800", "x" * 10_000])
def test_another_token_opens_nothing(database: Database, settings: Settings, wrong: str) -> None:
    for there in (False, True):
        if there:
            first_administrator.make_token(database, NOW)
        assert not first_administrator.token_is_valid(database, wrong, NOW)
        with pytest.raises(Refused):
            redeem(database, settings, wrong)
    assert users.count(database) == 0


def test_a_digest_that_was_read_opens_nothing(database: Database, settings: Settings) -> None:
    first_administrator.make_token(database, NOW)
    for value in (stored(database)["setup_token"], stored(database)["setup_token"].split()[0]):
        assert not first_administrator.token_is_valid(database, value, NOW)


def test_a_new_token_replaces_the_one_before(database: Database, settings: Settings) -> None:
    old, new = (first_administrator.make_token(database, NOW) for _ in range(2))
    assert not first_administrator.token_is_valid(database, old, NOW)
    with pytest.raises(Refused):
        redeem(database, settings, old)
    redeem(database, settings, new)


def test_a_token_lasts_a_day(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)
    assert first_administrator.token_is_valid(database, token, NOW + timedelta(hours=23, minutes=59))
    later = NOW + timedelta(hours=24)
    assert not first_administrator.token_is_valid(database, token, later)
    with pytest.raises(Refused):
        redeem(database, settings, token, now=later)


def test_with_an_administrator_it_is_closed_for_ever(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)
    users.create(database, "sara", PASSWORD, "administrator", NOW)
    assert not first_administrator.is_open(database)
    assert not first_administrator.token_is_valid(database, token, NOW)
    with pytest.raises(Refused):
        redeem(database, settings, token, "eve")
    with pytest.raises(Closed):
        first_administrator.make_token(database, NOW)


def test_others_than_administrators_leave_it_open(database: Database, settings: Settings) -> None:
    users.create(database, "omid", PASSWORD, "operator", NOW)
    left = users.create(database, "gone", PASSWORD, "administrator", NOW)
    with database.write() as session:
        session.get_one(User, left).active = False
    redeem(database, settings, first_administrator.make_token(database, NOW))
    assert not first_administrator.is_open(database)


def test_a_name_or_password_that_is_refused_does_not_use_the_token_up(database: Database, settings: Settings) -> None:
    users.create(database, "omid", PASSWORD, "operator", NOW)
    token = first_administrator.make_token(database, NOW)
    for name, changes in (("", {}), ("omid", {}), ("sara", {"password": "short"})):
        with pytest.raises(Invalid):
            redeem(database, settings, token, name, **changes)
        assert first_administrator.token_is_valid(database, token, NOW)
        assert "setup_step" not in stored(database)
    redeem(database, settings, token)


def test_of_two_at_once_one_wins(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)

    def attempt(name: str) -> bool:
        try:
            redeem(database, settings, token, name)
        except Refused:
            return False
        return True

    assert sorted(at_once([lambda name=name: attempt(name) for name in ("sara", "eve", "mallory")])) == [
        False,
        False,
        True,
    ]
    assert users.count(database) == 1


def test_a_secret_for_the_exchange_is_made_once(database: Database, settings: Settings) -> None:
    redeem(database, settings, first_administrator.make_token(database, NOW))
    assert len(stored(database)["ami_secret"]) >= 24


def test_the_secret_of_the_environment_stays(database: Database, settings: Settings) -> None:
    given = settings.model_copy(update={"ami_secret": "given"})
    given.model_fields_set.add("ami_secret")
    redeem(database, given, first_administrator.make_token(database, NOW))
    assert "ami_secret" not in stored(database)


def test_the_steps_are_remembered_until_they_are_finished(database: Database, settings: Settings) -> None:
    def next_step() -> str:
        return first_administrator.step(stored(database))

    assert next_step() == "", "an office whose administrator was made by hand is not reminded"
    first_administrator.advance(database, "office")
    assert next_step() == ""
    redeem(database, settings, first_administrator.make_token(database, NOW))
    assert next_step() == "office"
    first_administrator.advance(database, "office")
    assert next_step() == "exchange"
    first_administrator.advance(database, "office")  # looked at once more
    assert next_step() == "exchange"
    first_administrator.advance(database, "module")
    assert next_step() == "call"
    first_administrator.advance(database, "call")
    assert next_step() == "call", "until somebody says that it is done"
    first_administrator.finish(database)
    assert next_step() == ""
