"""How the exchange is reached: what is refused, what stays, what the environment keeps; and what is pasted there."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.config import Settings
from app.services.errors import Invalid
from app.services.pbx import config_snippets
from app.services.settings import pbx
from app.services.settings.pbx import ExchangeInput
from app.store import settings as store
from app.store.database import Database, Joined
from app.store.models import Module
from script.office.database import make_settings

GIVEN = ExchangeInput(
    pbx_profile="asterisk",
    ami_host="pbx.example",
    ami_port="5039",
    ami_username="panel",
    ami_secret="s3cret",
    agi_host="10.0.0.2",
    extension_context="",
    queue_context="my-queues",
)


def in_force(database: Database, settings: Settings) -> store.Exchange:
    with database.read() as session:
        return store.exchange(session, settings)


def test_what_is_saved_is_in_force_and_the_secret_is_not_told(database: Database, settings: Settings) -> None:
    pbx.save(database, settings, GIVEN)
    now = in_force(database, settings)
    assert (now.ami_host, now.ami_port, now.ami_secret) == ("pbx.example", 5039, "s3cret")
    assert (now.extension_context, now.queue_context) == ("bazang-extensions", "my-queues")
    assert pbx.load(database, settings) == replace(GIVEN, ami_secret="")


def test_an_empty_secret_leaves_the_one_that_is_there(database: Database, settings: Settings) -> None:
    pbx.save(database, settings, GIVEN)
    pbx.save(database, settings, replace(GIVEN, ami_secret="", ami_host="other"))
    assert (in_force(database, settings).ami_secret, in_force(database, settings).ami_host) == ("s3cret", "other")
    assert pbx.in_force(database, settings, replace(GIVEN, ami_secret="")).ami_secret == "s3cret"
    assert pbx.in_force(database, settings, replace(GIVEN, ami_secret="typed")).ami_secret == "typed"


def test_what_the_environment_gives_stays(database: Database, settings: Settings) -> None:
    given = make_settings(settings.data_dir, ami_host="10.9.9.9", ami_secret="kept")
    pbx.save(database, given, replace(GIVEN, ami_host="\r\n"))
    assert (in_force(database, given).ami_host, in_force(database, given).ami_secret) == ("10.9.9.9", "kept")
    assert pbx.in_force(database, given, GIVEN).ami_secret == "kept"
    with database.read() as session:
        assert not {"ami_host", "ami_secret"} & store.read_all(session).keys()


@pytest.mark.parametrize("host", ["pbx", "10.0.0.1", "pbx.example", "::1", "fd00::2", "my-pbx_2"])
def test_hosts_that_are_taken(host: str) -> None:
    assert pbx.check(replace(GIVEN, ami_host=host)) == {}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("ami_host", "", "required"),
        ("ami_host", "two words", "host"),
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
def test_nonsense_is_refused_and_nothing_is_stored(
    database: Database, settings: Settings, field: str, value: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        pbx.save(database, settings, replace(GIVEN, **{field: value}))
    assert refused.value.errors == {field: code}
    with database.read() as session:
        assert store.read_all(session) == {}


def test_what_is_pasted_has_the_values_in_force(database: Database, settings: Settings) -> None:
    pbx.save(database, settings, GIVEN)
    pasted = config_snippets.make(in_force(database, settings), "a;b", Path("/var/lib/bazang.conf"))
    assert "port = 5039" in pasted.general and "bindaddr = 0.0.0.0" in pasted.general
    assert pasted.user.splitlines()[:2] == ["[panel]", "secret = a\\;b"], "a semicolon would begin a comment"
    assert "permit = 10.0.0.2/255.255.255.255" in pasted.user
    assert pasted.take_in == "#tryinclude /var/lib/bazang.conf"
    assert pasted.includes.count("include => ") == 3
    pbx.save(database, settings, replace(GIVEN, pbx_profile="freepbx", ami_host="127.0.0.1"))
    pasted = config_snippets.make(in_force(database, settings), "x", Path("/var/lib/bazang.conf"))
    assert (pasted.manager_file, pasted.dialplan_file) == ("manager_custom.conf", "extensions_custom.conf")
    assert pasted.general == "" and "permit = 127.0.0.1/" in pasted.user


def test_what_joins_a_transaction_is_rolled_back_with_it(database: Database, settings: Settings) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        pbx.save(Joined(database, session), settings, GIVEN)
        raise RuntimeError
    with database.read() as session:
        assert store.read_all(session) == {}
        assert session.get(Module, 1) is None
