"""The token of the setup link: how often and how long it is valid, and what it creates."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from app.config import Settings
from app.domain.hours import DAYTIME, parse_week
from app.services import users
from app.services.errors import Invalid
from app.services.settings import pbx
from app.services.setup import first_administrator
from app.services.setup.first_administrator import InvalidToken, SetupClosed
from app.store import settings as store
from app.store.database import Database
from app.store.models import User
from script.office.database import make_settings
from tests.support.factories import NOW, run_at_once

PASSWORD = "a good password"


def redeem(database: Database, settings: Settings, token: str, name: str = "sara", **changes: Any) -> User:
    values: dict[str, Any] = {"password": PASSWORD, "now": NOW} | changes
    return first_administrator.redeem(database, settings, token, name, **values)


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return store.read_all(session)


def test_a_token_creates_one_administrator(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)
    assert first_administrator.token_is_valid(database, token, NOW)
    user = redeem(database, settings, token)
    assert (user.name, user.role) == ("sara", "administrator")
    assert users.check_password(database, "sara", PASSWORD) is not None
    secret = pbx.read_secret(database, settings)
    assert len(secret) >= 24
    assert secret not in stored(database)["ami_secret"], "it is stored encrypted"
    assert pbx.secret_to_show(database, settings, user.id, NOW) == secret
    assert stored(database)["setup_step"] == "office"
    assert parse_week(stored(database)["office_hours"]) == DAYTIME, "no phone rings at night"
    assert not first_administrator.token_is_valid(database, token, NOW)
    with pytest.raises(InvalidToken):
        redeem(database, settings, token, "eve")
    assert users.count(database) == 1


def test_the_token_itself_is_not_stored(database: Database) -> None:
    token = first_administrator.make_token(database, NOW)
    assert len(token) >= 43, "256 bits"
    assert all(token not in value for value in stored(database).values())


@pytest.mark.parametrize("wrong", ["", "guess", "\0", "é\ud800", "x" * 10_000])
def test_a_wrong_token_is_invalid(database: Database, settings: Settings, wrong: str) -> None:
    for has_token in (False, True):
        if has_token:
            first_administrator.make_token(database, NOW)
        assert not first_administrator.token_is_valid(database, wrong, NOW)
        with pytest.raises(InvalidToken):
            redeem(database, settings, wrong)
    assert users.count(database) == 0


def test_the_stored_digest_is_no_token(database: Database) -> None:
    first_administrator.make_token(database, NOW)
    for value in (stored(database)["setup_token"], stored(database)["setup_token"].split()[0]):
        assert not first_administrator.token_is_valid(database, value, NOW)


def test_a_new_token_replaces_the_old_one(database: Database, settings: Settings) -> None:
    old, new = (first_administrator.make_token(database, NOW) for _ in range(2))
    assert not first_administrator.token_is_valid(database, old, NOW)
    with pytest.raises(InvalidToken):
        redeem(database, settings, old)
    redeem(database, settings, new)


def test_a_token_is_valid_for_a_day(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)
    assert first_administrator.token_is_valid(database, token, NOW + timedelta(hours=23, minutes=59))
    later = NOW + timedelta(hours=24)
    assert not first_administrator.token_is_valid(database, token, later)
    with pytest.raises(InvalidToken):
        redeem(database, settings, token, now=later)


def test_an_administrator_closes_the_setup(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)
    users.create(database, "sara", PASSWORD, "administrator", NOW)
    assert not first_administrator.is_open(database)
    assert not first_administrator.token_is_valid(database, token, NOW)
    with pytest.raises(InvalidToken):
        redeem(database, settings, token, "eve")
    with pytest.raises(SetupClosed):
        first_administrator.make_token(database, NOW)


def test_only_active_administrators_close_the_setup(database: Database, settings: Settings) -> None:
    users.create(database, "omid", PASSWORD, "operator", NOW)
    inactive = users.create(database, "gone", PASSWORD, "administrator", NOW)
    with database.write() as session:
        session.get_one(User, inactive).active = False
    redeem(database, settings, first_administrator.make_token(database, NOW))
    assert not first_administrator.is_open(database)


def test_invalid_input_does_not_use_up_the_token(database: Database, settings: Settings) -> None:
    users.create(database, "omid", PASSWORD, "operator", NOW)
    token = first_administrator.make_token(database, NOW)
    for name, changes in (("", {}), ("omid", {}), ("sara", {"password": "short"})):
        with pytest.raises(Invalid):
            redeem(database, settings, token, name, **changes)
        assert first_administrator.token_is_valid(database, token, NOW)
        assert "setup_step" not in stored(database)
    redeem(database, settings, token)


def test_of_concurrent_attempts_one_succeeds(database: Database, settings: Settings) -> None:
    token = first_administrator.make_token(database, NOW)

    def attempt(name: str) -> bool:
        try:
            redeem(database, settings, token, name)
        except InvalidToken:
            return False
        return True

    attempts = run_at_once([partial(attempt, name) for name in ("sara", "eve", "mallory")])
    assert sorted(attempts) == [False, False, True]
    assert users.count(database) == 1


def test_no_secret_is_generated_if_the_environment_gives_one(database: Database, settings: Settings) -> None:
    settings = make_settings(settings.data_dir, ami_secret="given")
    redeem(database, settings, first_administrator.make_token(database, NOW))
    assert "ami_secret" not in stored(database)
