"""When a user is notified, and to which addresses notifications may go."""

from datetime import time, timedelta

import pytest

from app.domain.addresses import is_public
from app.domain.lifecycle import Rules
from app.domain.notifications import FIRST_RETRY, Kind, Preferences, due_at, next_try
from app.domain.push_services import push_service
from tests.support.factories import NOW, make_request

MINUTE = timedelta(minutes=1)
BY_HAND = Rules(automatic=False, min_wait=10 * MINUTE)


@pytest.mark.parametrize(
    ("start", "end", "at", "quiet"),
    [
        (time(20), time(8), time(19, 59), False),
        (time(20), time(8), time(20), True),
        (time(20), time(8), time(7, 59), True),
        (time(20), time(8), time(8), False),
        (time(13), time(14), time(13, 30), True),
        (time(13), time(14), time(14), False),
        (time(0), time(0), time(0), False),
    ],
)
def test_quiet_hours_may_go_on_over_midnight(start: time, end: time, at: time, quiet: bool) -> None:
    chosen = Preferences(frozenset({Kind.DUE}), start, end)
    assert chosen.wants(Kind.DUE, at) is not quiet
    assert not chosen.wants(Kind.ARRIVED, at)
    assert chosen.wants(Kind.TEST, at)


def test_each_try_waits_twice_as_long_as_the_one_before() -> None:
    assert [(next_try(tries, NOW) - NOW) / FIRST_RETRY for tries in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_request_is_due_when_it_can_be_called_after_it_had_to_wait() -> None:
    automatic = make_request(registered_at=NOW)
    assert due_at(automatic) is None
    chosen = make_request(registered_at=NOW, postponed_until=NOW + MINUTE)
    assert due_at(chosen) == NOW + MINUTE
    assert due_at(make_request(registered_at=NOW, rules=BY_HAND)) == NOW + 10 * MINUTE
    paused = make_request(registered_at=NOW, rules=BY_HAND, not_before=NOW + 30 * MINUTE)
    assert due_at(paused) == NOW + 30 * MINUTE
    at_once = make_request(registered_at=NOW, rules=Rules(automatic=False, min_wait=timedelta(0)))
    assert due_at(at_once) is None, "its arrival says it already"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://updates.push.services.mozilla.com:443/wpush/v2/abc",
        "https://wns2-par02p.notify.windows.com/w/?token=abc",
        "https://web.push.apple.com/abc",
    ],
)
def test_push_services_of_browsers_are_known(endpoint: str) -> None:
    assert push_service(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "http://fcm.googleapis.com/fcm/send/abc",
        "https://fcm.googleapis.com.example.org/",
        "https://example.org/fcm.googleapis.com",
        "https://notfcm.googleapis.com/",
        "https://fcm.googleapis.com@127.0.0.1/",
        "https://sara@fcm.googleapis.com/",
        "https://127.0.0.1#.fcm.googleapis.com",
        "https://127.0.0.1\\.fcm.googleapis.com/",
        "https://fcm.googleapis.com:22/",
        "https://fcm.googleapis.com:x/",
        "https://fcm.googleapis.com/a\r\nHost: example.org",
        "https://fcm.googleapis.com/a b",
        "https://fcm.googleapis.com/\N{ARABIC LETTER ALEF}",
        "https://[::1]/",
        "https://[fcm.googleapis.com/",
        "https://fcm.googleapis.com/" + "a" * 1000,
    ],
)
def test_nothing_is_sent_elsewhere(endpoint: str) -> None:
    assert push_service(endpoint) is None


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ],
)
def test_addresses_of_our_networks_are_not_public(address: str) -> None:
    assert not is_public(address)
