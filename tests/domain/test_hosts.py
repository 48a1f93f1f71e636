"""By which host names the panel may be opened."""

import pytest

from app.domain.hosts import host_name, is_listed, is_local, split_hosts


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Calls.Example.org:8000", "calls.example.org"),
        ("calls.example.org.", "calls.example.org"),
        ("192.168.1.5:8000", "192.168.1.5"),
        ("[fd00::5]:8000", "fd00::5"),
        ("[fd00::5]", "fd00::5"),
        ("pbx", "pbx"),
        ("my_pbx:80", "my_pbx"),
    ],
)
def test_the_name_is_read_without_the_port(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        "a b",
        "a/b",
        "evil.example@pbx",
        "pbx:80:90",
        "[::1",
        "..",
        "a..b",
        "x" * 300,
        "pbx:x",
        "<b>",
        "پ",
        "[a]",
    ],
)
def test_a_malformed_host_has_no_name(host: str) -> None:
    assert host_name(host) == ""


def test_an_address_may_be_given_without_brackets() -> None:
    assert host_name("FD00::5") == "fd00::5"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "192.168.1.5", "fd00::5", "pbx", "pbx.lan", "a.b.local"])
def test_addresses_and_names_of_the_own_network_are_local(name: str) -> None:
    assert is_local(name)


@pytest.mark.parametrize(
    "name", ["", "evil.example", "pbx.lan.evil.example", "192.168.1.5.evil.example", "lan.de", "1.2.3"]
)
def test_names_that_somebody_can_register_are_not_local(name: str) -> None:
    assert not is_local(name)


@pytest.mark.parametrize(
    ("name", "allowed", "listed"),
    [
        ("calls.example.org", ("calls.example.org",), True),
        ("calls.example.org", (".example.org",), True),
        ("example.org", (".example.org",), False),
        ("evilexample.org", (".example.org",), False),
        ("calls.example.org.evil.example", ("calls.example.org",), False),
        ("evil.example", ("*",), True),
        ("", ("*",), False),
        ("evil.example", (), False),
    ],
)
def test_a_list_allows_names_and_all_names_below_one(name: str, allowed: tuple[str, ...], listed: bool) -> None:
    assert is_listed(name, allowed) == listed


def test_hosts_of_a_list() -> None:
    assert split_hosts("10.0.0.1, pbx.lan,10.0.0.2 ") == ("10.0.0.1", "pbx.lan", "10.0.0.2")
    assert split_hosts("") == ()
