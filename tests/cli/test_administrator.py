"""The commands create-admin and setup-link."""

from datetime import UTC, datetime

import pytest
from flask import Flask

from app.config import Settings
from app.services import users
from app.services.setup import first_administrator
from app.store.database import Database
from tests.cli.conftest import PASSWORD, error_of, run, run_process
from tests.support.factories import NOW


@pytest.mark.parametrize("ending", ["\r\n", "", "\nmore\n"])
def test_an_administrator_is_created_with_a_password_from_standard_input(
    app: Flask, database: Database, ending: str
) -> None:
    result = run(app, "create-admin", "سارا", "--password-stdin", given=PASSWORD + ending)
    assert (result.exit_code, result.output) == (0, "سارا can log in now.\n")
    user = users.check_password(database, "سارا", PASSWORD)
    assert user is not None
    assert user.role == "administrator"


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
