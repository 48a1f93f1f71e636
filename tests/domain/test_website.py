"""Origins of websites, and puzzles."""

import pytest

from app.domain.website import is_allowed, origin_of, parse_origin, puzzle_digest


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://www.example.org", "https://www.example.org"),
        (" https://WWW.Example.org/ ", "https://www.example.org"),
        ("https://example.org:443", "https://example.org"),
        ("https://example.org:8443", "https://example.org:8443"),
        ("https://فروشگاه.example", "https://xn--mgbtj4c7ad63e.example"),
        ("https://192.0.2.7", "https://192.0.2.7"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]", "http://[::1]"),
        ("http://shop.localhost", "http://shop.localhost"),
    ],
)
def test_origin_is_as_browsers_send_it(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "example.org", "//example.org", "https://", "https:///", "null", "*", "https://*.example.org",
        "http://example.org", "http://localhost.example.org", "http://127.0.0.2", "ftp://example.org",
        "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "https://example.org/contact",
        "https://example.org?x", "https://example.org/?", "https://example.org#x", "https://a@example.org",
        "https://a:b@example.org", "https://example.org:99999", "https://example.org:x", "https://exa mple.org",
        "https://exa\nmple.org", "https://exam\u202eple.org", "https://-a.example", "https://a..b",
        "https://[::1", "https://" + "a" * 300, "https://" + "a" * 70 + ".org",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_origin(text)


def test_origin_of_a_page() -> None:
    assert origin_of("https://shop.example/contact?next=https://evil.example#x") == "https://shop.example"
    for url in ("", "null", "http://shop.example/", "about:blank", "https://[::1", "https://a@shop.example/"):
        assert origin_of(url) == ""


def test_only_the_very_same_origin_is_allowed() -> None:
    allowed = ["https://shop.example"]
    assert is_allowed("https://shop.example", allowed)
    for origin in ("", "null", "https://SHOP.example", "https://shop.example/", "https://shop.example:443"):
        assert not is_allowed(origin, allowed)
    assert not is_allowed("null", ["null"]) and not is_allowed("", [""])


def test_digest_of_a_puzzle_is_that_of_the_script() -> None:
    # printf 'abc:7' | sha256sum
    assert puzzle_digest("abc", 7) == "b490d822e84fb6f8c0b3027be75007ecd25ff3e52cf3eb27e376a499516a063e"
