"""URLs of static files: they change with the content, so browsers keep the files."""

from pathlib import Path
from urllib.parse import urljoin

import pytest

from app.web import assets
from tests.web.pages import Visitor


def test_browsers_keep_the_files_of_a_page(admin: Visitor) -> None:
    page = admin.get("/requests")
    urls = [link.get("href", "") for link in page.all("link")] + [s.get("src", "") for s in page.all("script")]
    scripts = [url for url in urls if "/js@" in url]
    assert scripts
    for url in [*urls, *(urljoin(script, "./digits.js") for script in scripts)]:
        response = admin.client.get(url, buffered=True)
        assert (response.status_code, "immutable" in response.headers["Cache-Control"]) == (200, True), url


@pytest.mark.parametrize("url", ["/static/css/base.css", "/static/js/app.js", "/static/js@0123456789/app.js"])
def test_a_url_without_the_current_digest_is_revalidated(visitor: Visitor, url: str) -> None:
    """Such as the URL of an older version that a page still has."""
    response = visitor.client.get(url, buffered=True)
    assert response.headers["Cache-Control"] == "no-cache" and response.headers["ETag"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


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
