"""The PBX settings: validation, the secret, and values from the environment."""

from dataclasses import replace

import pytest

from app.config import Settings
from app.services.errors import Invalid
from app.services.settings import pbx
from app.services.settings.pbx import PbxInput
from app.store import settings as store
from app.store.database import Database, Joined
from script.office.database import make_settings
from tests.support.factories import NOW

GIVEN = PbxInput(
    pbx_profile="asterisk",
    ami_host="pbx.example",
    ami_port="5039",
    ami_username="panel",
    ami_secret="s3cret",
    agi_host="10.0.0.2",
    extension_context="",
    queue_context="my-queues",
)


def save(database: Database, settings: Settings, given: PbxInput = GIVEN) -> None:
    pbx.save(database, settings, given, actor="sara", now=NOW)


def effective(database: Database, settings: Settings) -> store.PbxSettings:
    with database.read() as session:
        return store.pbx(session, settings)


def stored(database: Database) -> dict[str, str]:
    with database.read() as session:
        return store.read_all(session)


def test_saved_values_are_used_and_the_secret_is_not_loaded(database: Database, settings: Settings) -> None:
    save(database, settings)
    now = effective(database, settings)
    assert (now.ami_host, now.ami_port, now.ami_secret) == ("pbx.example", 5039, "s3cret")
    assert (now.extension_context, now.queue_context) == ("bazang-extensions", "my-queues")
    assert pbx.load(database, settings) == replace(GIVEN, ami_secret="")


def test_an_empty_secret_keeps_the_stored_one(database: Database, settings: Settings) -> None:
    save(database, settings)
    save(database, settings, replace(GIVEN, ami_secret="", ami_host="other"))
    assert (effective(database, settings).ami_secret, effective(database, settings).ami_host) == ("s3cret", "other")
    assert pbx.effective(database, settings, replace(GIVEN, ami_secret="")).ami_secret == "s3cret"
    assert pbx.effective(database, settings, replace(GIVEN, ami_secret="typed")).ami_secret == "typed"


def test_values_from_the_environment_stay(database: Database, settings: Settings) -> None:
    settings = make_settings(settings.data_dir, ami_host="10.9.9.9", ami_secret="kept")
    save(database, settings, replace(GIVEN, ami_host="\r\n"))
    assert (effective(database, settings).ami_host, effective(database, settings).ami_secret) == ("10.9.9.9", "kept")
    given = pbx.effective(database, settings, GIVEN)
    assert (given.ami_host, given.ami_secret, given.ami_port) == ("10.9.9.9", "kept", "5039")
    assert not {"ami_host", "ami_secret"} & stored(database).keys()


@pytest.mark.parametrize("host", ["pbx", "10.0.0.1", "::1", "my-pbx_2.example"])
def test_valid_hosts(host: str) -> None:
    assert pbx.validate(replace(GIVEN, ami_host=host)) == {}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("ami_host", "", "required"),
        ("ami_host", "pbx\r\nAction: Originate", "host"),
        ("ami_host", "pbx\n", "host"),
        ("ami_host", "-pbx", "host"),
        ("ami_host", "a..b", "host"),
        ("ami_host", "http://pbx", "host"),
        ("ami_host", "fe80::1%eth0", "host"),
        ("ami_host", "x" * 300, "host"),
        ("agi_host", "::1", "host"),
        ("agi_host", "10.0.0.1:80/x", "host"),
        ("agi_host", "", "required"),
        ("agi_host", "10.0.0.1, ::1", "host"),
        ("ami_port", "", "required"),
        ("ami_port", "0", "port"),
        ("ami_port", "65536", "port"),
        ("ami_port", "5038\n", "port"),
        ("ami_port", "²", "port"),
        ("ami_username", "", "required"),
        ("ami_username", "a]b", "ami_user"),
        ("ami_username", "a\r\nb", "ami_user"),
        ("ami_secret", "a\r\nAction: x", "secret"),
        ("ami_secret", "two words", "secret"),
        ("ami_secret", "رمز", "secret"),
        ("ami_secret", "x" * 129, "too_long"),
        ("extension_context", "a b", "context"),
        ("queue_context", "a\n", "context"),
        ("pbx_profile", "other", "choice"),
    ],
)
def test_invalid_values_have_an_error_code(field: str, value: str, code: str) -> None:
    assert pbx.validate(replace(GIVEN, **{field: value})) == {field: code}


def test_invalid_input_stores_nothing(database: Database, settings: Settings) -> None:
    with pytest.raises(Invalid):
        save(database, settings, replace(GIVEN, ami_port="0"))
    assert stored(database) == {}


def test_saving_joins_a_transaction(database: Database, settings: Settings) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        save(Joined(database, session), settings)
        raise RuntimeError
    assert stored(database) == {}
