"""The commands create-admin, set-password and setup-link."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from app.config import Settings
from app.domain.hours import DAYTIME, parse_week
from app.domain.sessions import SessionLimits
from app.services import logins, second_factor, sessions, users
from app.services.setup import first_administrator
from app.services.users import UserInput
from app.store.database import Database
from app.store.settings import read_setting
from tests.cli.conftest import PASSWORD, error_of, run, run_process
from tests.support.factories import NOW, log_of
from tests.support.second_factors import create_second_factor


@pytest.mark.parametrize("ending", ["\r\n", "", "\nmore\n"])
def test_an_administrator_is_created_with_a_password_from_standard_input(
    app: Flask, database: Database, ending: str
) -> None:
    result = run(app, "create-admin", "سارا", "--password-stdin", given=PASSWORD + ending)
    assert (result.exit_code, result.output) == (0, "سارا can log in now.\n")
    user = users.check_password(database, "سارا", PASSWORD)
    assert user is not None
    assert user.role == "administrator"
    with database.read() as session:
        assert parse_week(read_setting(session, "office_hours")) == DAYTIME, "no phone rings at night"


def test_a_typed_password_is_asked_for_twice_and_not_shown(app: Flask, database: Database) -> None:
    typed = f"{PASSWORD}\nsomething else\n{PASSWORD}\n{PASSWORD}\n"
    result = run(app, "create-admin", "sara", given=typed)
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert "do not match" in result.output
    assert users.check_password(database, "sara", PASSWORD) is not None


@pytest.mark.parametrize(
    ("name", "password", "message"),
    [
        ("sara", "1234567", "The password needs at least 8 characters."),
        ("sara", "x" * 201, "The password is too long."),
        ("", PASSWORD, "The name must not be empty."),
        ("sa\x07ra", PASSWORD, "The name has characters that cannot be displayed."),
        ("taken", "short", "The password needs at least 8 characters. The name is taken."),
    ],
)
def test_invalid_values_create_no_administrator(
    app: Flask, database: Database, name: str, password: str, message: str
) -> None:
    users.create(database, "taken", PASSWORD, "operator", NOW)
    assert error_of(run(app, "create-admin", name, "--password-stdin", given=f"{password}\n")) == message
    assert users.count(database) == 1


def test_a_password_that_is_not_utf8_is_refused(app: Flask) -> None:
    message = error_of(run(app, "create-admin", "omid", "--password-stdin", given=b"\xff\xfe password\n"))
    assert message == "The password is not valid UTF-8."


@pytest.mark.slow
def test_a_failed_command_ends_its_process_with_one_line(app: Flask, settings: Settings) -> None:
    done = run_process(settings.data_dir.parent, "create-admin", "omid", "--password-stdin", given="short\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: The password needs at least 8 characters.\n"


def test_the_setup_link_is_printed(app: Flask, database: Database) -> None:
    result = run(app, "setup-link", "--host", "fd00::5", "--port", "8080", "--https")
    assert result.exit_code == 0
    address, token = result.output.rstrip("\n").split("?token=")
    assert address == "https://[fd00::5]:8080/setup"
    assert first_administrator.token_is_valid(database, token, datetime.now(UTC))


def test_with_an_administrator_there_is_no_setup_link(app: Flask, database: Database) -> None:
    users.create(database, "sara", PASSWORD, "administrator", NOW)
    assert "create-admin" in error_of(run(app, "setup-link"))


# -- set-password -----------------------------------------------------------------------------------------------------


def test_a_forgotten_password_is_replaced(app: Flask, database: Database) -> None:
    now = datetime.now(UTC)
    user_id = users.create(database, "سارا", PASSWORD, "operator", now)
    limits = SessionLimits(timedelta(hours=1), timedelta(days=1))
    token = sessions.start(database, users.get(database, user_id), sessions.Client(), now, limits)
    source = logins.Source("10.0.0.1")
    with pytest.raises(logins.TooManyFailures):
        for _ in range(100):
            with contextlib.suppress(logins.WrongPassword):
                logins.log_in(database, "سارا", "wrong", source, now)
    result = run(app, "set-password", "سارا", "--password-stdin", given="another long one\n")
    assert (result.exit_code, result.output) == (0, "سارا can log in with the new password.\n")
    assert logins.log_in(database, "سارا", "another long one", source, now).id == user_id
    assert sessions.find(database, sessions.digest(token)) is None
    entry = next(entry for entry in log_of(database) if entry.action == "password_reset")
    assert (entry.actor, entry.subject) == ("set-password", "سارا")


def test_the_password_of_an_inactive_user_is_set_and_the_state_said(app: Flask, database: Database) -> None:
    user_id = users.create(database, "omid", PASSWORD, "operator", NOW)
    users.change(database, user_id, UserInput("operator", active=False), NOW)
    result = run(app, "set-password", "omid", given="another long one\nanother long one\n")
    assert result.exit_code == 0
    assert "deactivated" in result.output and "another" not in result.output
    assert users.check_password(database, "omid", "another long one") is None


@pytest.mark.parametrize(
    ("name", "password", "message"),
    [
        ("nobody", "another long one", "There is no user 'nobody'. Active users: sara."),
        ("sa\0ra", "another long one", "There is no user 'sa\\x00ra'. Active users: sara."),
        ("sara", "short", "The password needs at least 8 characters."),
        ("sara", "password1", "The password is easy to guess."),
    ],
)
def test_an_invalid_new_password_changes_nothing(
    app: Flask, database: Database, name: str, password: str, message: str
) -> None:
    users.create(database, "sara", PASSWORD, "operator", NOW)
    assert error_of(run(app, "set-password", name, "--password-stdin", given=f"{password}\n")) == message
    assert users.check_password(database, "sara", PASSWORD) is not None


# -- remove-second-factor ---------------------------------------------------------------------------------------------


def test_a_lost_second_factor_is_removed(app: Flask, database: Database, settings: Settings) -> None:
    now = datetime.now(UTC)
    user_id = users.create(database, "سارا", PASSWORD, "operator", now)
    assert error_of(run(app, "remove-second-factor", "سارا")) == "سارا has no second factor."
    create_second_factor(database, settings, user_id)
    limits = SessionLimits(timedelta(hours=1), timedelta(days=1))
    token = sessions.start(database, users.get(database, user_id), sessions.Client(), now, limits)
    source = logins.Source("10.0.0.1")
    with pytest.raises(logins.TooManyFailures):
        for _ in range(100):
            with contextlib.suppress(logins.WrongPassword):
                logins.log_in(database, "سارا", "wrong", source, now)
    result = run(app, "remove-second-factor", " سارا ")
    assert (result.exit_code, result.output) == (0, "سارا can log in with the password alone.\n")
    assert logins.log_in(database, "سارا", PASSWORD, source, now).id == user_id
    assert sessions.find(database, sessions.digest(token)) is None
    entry = next(entry for entry in log_of(database) if entry.action == "second_factor_reset")
    assert (entry.actor, entry.subject) == ("remove-second-factor", "سارا")
    assert "Active users: سارا." in error_of(run(app, "remove-second-factor", "nobody"))


def test_a_new_password_keeps_the_second_factor(app: Flask, database: Database, settings: Settings) -> None:
    user_id = users.create(database, "sara", PASSWORD, "operator", NOW)
    create_second_factor(database, settings, user_id)
    assert run(app, "set-password", "sara", "--password-stdin", given="another long one\n").exit_code == 0
    assert second_factor.holders(database) == {user_id}
