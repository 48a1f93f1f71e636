"""Static files: browsers keep them, because their URLs change with their content, and a first visit needs few bytes."""

import gzip
import re
from pathlib import Path
from urllib.parse import urljoin

import brotli
import pytest
from werkzeug.test import TestResponse

from app.web import assets, compression
from script.lib import trim
from tests.web.pages import Page, Visitor

FIRST_VISIT = 180_000  # bytes, with about 600 for the headers of each response
HEADERS = 600
ICONS = trim.VENDOR / "tabler-icons@3.51.0/icons.svg"


def files_of(visitor: Visitor, page: Page) -> set[str]:
    """Return the URLs of all files that a browser fetches for a page, less the sound, which a script fetches."""
    found = {link.get("href", "") for link in page.all("link")} | {s.get("src", "") for s in page.all("script")}
    found |= {image.get("src", "") for image in page.all("img")}
    found |= {use.get("href", "").partition("#")[0] for use in page.all("use")}
    new = set(found)
    while new:
        url = new.pop()
        if "/js@" in url:
            imports = re.findall(r'^import .*?"(\..+?)"', visitor.client.get(url, buffered=True).text, re.MULTILINE)
            new |= {urljoin(url, name) for name in imports} - found
            found |= new
    return found - {""}


def fetch(visitor: Visitor, url: str, accepted: str, **headers: str) -> TestResponse:
    return visitor.client.get(url, headers={"Accept-Encoding": accepted, **headers}, buffered=True)


@pytest.mark.parametrize("accepted", ["gzip, deflate", "gzip, deflate, br, zstd"])
def test_a_first_visit_is_light_and_browsers_keep_its_files(admin: Visitor, accepted: str) -> None:
    files = files_of(admin, admin.get("/requests"))
    assert len([url for url in files if url.endswith(".css") or ".css?" in url]) == 2
    assert len(files) > 20 and any(url.endswith("/live/poll.js") for url in files)
    responses = {url: fetch(admin, url, accepted) for url in files}
    for url, response in responses.items():
        is_kept = not url.endswith(".webmanifest")  # its URL must stay the same
        assert (response.status_code, "immutable" in response.headers["Cache-Control"]) == (200, is_kept), url
        assert "Cookie" not in response.vary and "Set-Cookie" not in response.headers, url
    page = fetch(admin, "/requests", accepted)
    assert sum(len(response.data) + HEADERS for response in [page, *responses.values()]) < FIRST_VISIT


@pytest.mark.parametrize("url", ["/static/css/base.css", "/static/js/app.js", "/static/js@0123456789/app.js"])
def test_a_url_without_the_current_digest_is_revalidated(visitor: Visitor, url: str) -> None:
    """Such as the URL of an older version that a page still has."""
    response = visitor.client.get(url, buffered=True)
    assert response.headers["Cache-Control"] == "no-cache" and response.headers["ETag"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    again = fetch(visitor, url, "br", **{"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data, "Accept-Encoding" in again.vary) == (304, b"", True)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, br", "br"), ("gzip, deflate", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("identity", None), ("", None)],
)
@pytest.mark.parametrize("url", ["/static/css/components.css", "/static/css@0123456789/shared.css"])
def test_a_file_comes_in_the_best_encoding_that_is_accepted(
    visitor: Visitor, url: str, accepted: str, encoding: str | None
) -> None:
    plain = visitor.client.get(url, buffered=True)
    response = fetch(visitor, url, accepted)
    assert response.headers.get("Content-Encoding") == encoding and "Accept-Encoding" in response.vary
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[encoding]
    assert unpack(response.data) == plain.data and response.content_length == len(response.data)
    assert fetch(visitor, url, accepted, Range="bytes=0-9").status_code in (200, 206)


def test_pages_are_compressed_and_their_size_says_nothing_about_their_secrets(admin: Visitor) -> None:
    """As BREACH would learn them: the attacker guesses a part of a secret and looks whether the page is smaller."""
    page = fetch(admin, "/requests", "gzip, deflate, br")
    assert page.headers["Content-Encoding"] == "gzip" and b"</html>" in gzip.decompress(page.data)
    sizes = {len(compression._compress_page(page.data)) for _ in range(50)}
    assert len(sizes) > 10


def test_a_poll_is_answered_with_304_also_behind_a_proxy_that_makes_etags_weak(admin: Visitor) -> None:
    etag = fetch(admin, "/requests/rows", "gzip").headers["ETag"].removeprefix("W/")
    for sent in (etag, f"W/{etag}"):
        assert fetch(admin, "/requests/rows", "gzip", **{"If-None-Match": sent}).status_code == 304


def test_a_changed_file_changes_its_digest_and_that_of_its_folder(tmp_path: Path) -> None:
    script = tmp_path / "live/poll.js"
    script.parent.mkdir()
    digests = set()
    for content in ("let a;", "let b;"):
        script.write_text(content)
        digests |= {assets.digest(script), assets.digest(tmp_path)}
    script.rename(tmp_path / "live/other.js")
    digests.add(assets.digest(tmp_path))
    assert len(digests) == 5


def test_the_trimmed_stylesheet_has_every_class_of_tabler_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = trim.needed_classes()
    monkeypatch.setattr(trim, "needed_classes", lambda: needed)
    assert trim.lacking_classes() == set(), "run script/trim"
    monkeypatch.setattr(trim, "needed_classes", lambda: needed | {"accordion", "accordion-button"})
    assert trim.lacking_classes() == {"accordion", "accordion-button"}


def test_icons_of_the_stylesheet_are_those_of_the_file() -> None:
    css = (trim.ROOT / "app/static/css/components.css").read_text()
    drawn = [
        set(re.findall(r"path d='([^']+)'", url)) for url in re.findall(r'url\("data:image/svg\+xml,([^"]+)"\)', css)
    ]
    icons = [set(re.findall(r'path d="([^"]+)"', icon)) for icon in ICONS.read_text().split("</symbol>")]
    assert len(drawn) == 4 and all(paths in icons for paths in drawn)


def test_the_icons_are_those_that_are_used() -> None:
    existing = set(re.findall(r'<symbol id="([^"]+)"', ICONS.read_text()))
    texts = "\n".join(path.read_text() for pattern in trim.USERS for path in trim.ROOT.glob(pattern))
    assert existing - set(re.findall(r"[a-z][\w-]*", texts)) == set()
    assert set(re.findall(r'\bicon\("([^"]+)"', texts)) - existing == set()
