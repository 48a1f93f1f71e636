"""Where webhooks may go, what is told, and when it is told again."""

from datetime import timedelta

import pytest

from app.domain.addresses import is_inside, is_public
from app.domain.lifecycle import Status
from app.domain.webhooks import (
    EVENTS,
    BadUrl,
    Fate,
    InsideUrl,
    Target,
    WebhookEvent,
    event_of,
    fate_of,
    is_paused_after,
    may_reach,
    parse_url,
    pause_after,
)

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.org", Target("https", "example.org", 443, "/")),
        ("http://example.org/a/b?c=d&e=f", Target("http", "example.org", 80, "/a/b?c=d&e=f")),
        ("https://Example.org:8443/hook", Target("https", "example.org", 8443, "/hook")),
        ("https://[2001:4860:4860::8888]:8443/", Target("https", "2001:4860:4860::8888", 8443, "/")),
        ("https://8.8.8.8/bot123:abc/sendMessage", Target("https", "8.8.8.8", 443, "/bot123:abc/sendMessage")),
    ],
)
def test_urls_of_the_internet_are_read(url: str, target: Target) -> None:
    assert parse_url(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "https://",
        "https:///hook",
        "https://sara:secret@example.org/",
        "https://sara@example.org/",
        "https://@example.org/",
        "https://example.org/#fragment",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:x/",
        "https://[::1/",
        "https://example.org\\@127.0.0.1/",
        "https://example.org/a b",
        "https://example.org/\r\nHost: other",
        "https://example.org/\N{ARABIC LETTER ALEF}",
        "https://example.org/" + "a" * 1000,
    ],
)
def test_other_urls_are_refused_even_if_the_office_is_allowed(url: str) -> None:
    with pytest.raises(BadUrl):
        parse_url(url, inside=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://panel.localhost:8000/",
        "http://127.0.0.1/",
        "http://10.0.0.7:5678/webhook",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_urls_inside_are_told_from_others(url: str) -> None:
    with pytest.raises(InsideUrl):
        parse_url(url)
    assert parse_url(url, inside=True).scheme == "http"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.10", "100.64.0.1", "::1", "fd00::1"),
        *("::ffff:192.168.1.10", "64:ff9b::10.1.2.3"),
    ],
)
def test_the_office_is_reached_only_if_it_is_allowed(address: str) -> None:
    assert is_inside(address)
    assert not may_reach(address, inside=False)
    assert may_reach(address, inside=True)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%eth0", "100.100.100.200", "fd00:ec2::254"),
        *("0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "240.0.0.1", "198.18.0.1"),  # noqa: S104
        *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "::ffff:0.0.0.0", "2002:7f00:1::", "::127.0.0.1"),
        *("fec0::1", "64:ff9b:1::7f00:1", "2001:0:7f00:1::"),
    ],
)
def test_nothing_is_ever_sent_where_no_receiver_can_be(address: str) -> None:
    assert not may_reach(address, inside=False)
    assert not may_reach(address, inside=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_the_internet_is_reached(address: str) -> None:
    assert is_public(address)
    assert not is_inside(address)
    assert may_reach(address, inside=False)


def test_each_event_comes_from_a_change_of_the_status() -> None:
    told = {event_of("waiting", status.value) for status in Status}
    assert told == set(EVENTS) - {WebhookEvent.REGISTERED, WebhookEvent.TRUNK} | {None}
    assert event_of("waiting", "uncertain") is None
    assert event_of("done", "done") is None


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (200, Fate.SENT),
        (204, Fate.SENT),
        (301, Fate.LATER),
        (400, Fate.REFUSED),
        (401, Fate.LATER),
        (404, Fate.LATER),
        (410, Fate.GONE),
        (422, Fate.REFUSED),
        (429, Fate.LATER),
        (500, Fate.LATER),
        (600, Fate.LATER),
    ],
)
def test_a_status_says_whether_a_message_or_the_destination_has_failed(status: int, fate: Fate) -> None:
    assert fate_of(status) is fate


def test_pauses_grow_and_retries_go_on_for_more_than_a_day() -> None:
    pauses = [pause_after(failures) for failures in range(40)]
    assert pauses[0] == pauses[1] == timedelta(seconds=10)
    assert pauses[1:] == sorted(pauses[1:])
    assert pauses[-1] == HOUR
    assert sum(pauses[1:6], timedelta(0)) < HOUR / 2, "a short disturbance delays little"


def test_a_destination_is_paused_after_a_day_and_many_failures() -> None:
    assert is_paused_after(15, 24 * HOUR)
    assert not is_paused_after(14, 100 * HOUR)
    assert not is_paused_after(100, 23 * HOUR)
