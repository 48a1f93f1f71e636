"""The cache of URLs: the same as `url_for`, and no entry for each request."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, url_for

from app.web.urls import cached_url_for


@pytest.fixture
def open_request(app: Flask) -> Iterator[None]:
    with app.test_request_context("/"):
        yield


@pytest.mark.parametrize(
    ("endpoint", "values"),
    [
        ("requests.index", {}),
        ("requests.show", {"request_id": 7}),
        ("requests.show", {"request_id": -7}),
        ("requests.show", {"request_id": 0, "page": 12, "again": True, "search": "7"}),
        ("requests.show", {"request_id": 5, "search": "سارا {0} %s"}),
        ("requests.show", {"request_id": 5, "search": "7000000000000000000"}),
        ("requests.show", {"request_id": 7000000000000000001, "page": 3}),
        ("requests.show", {"request_id": 5, "page": None, "_anchor": "notes"}),
        ("requests.index", {"page": [1, 2]}),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value)),
)
def test_a_url_is_the_same_as_without_the_cache(open_request: None, endpoint: str, values: dict[str, Any]) -> None:
    for changed in ({}, {name: value + 1 for name, value in values.items() if type(value) is int}):
        assert cached_url_for(endpoint, **values | changed) == url_for(endpoint, **values | changed)


def test_the_urls_of_all_requests_are_kept_once(app: Flask, open_request: None) -> None:
    urls = app.extensions["bazang_urls"]
    first = cached_url_for("requests.show", request_id=1)
    kept = len(urls)
    found = {cached_url_for("requests.show", request_id=each) for each in range(1, 301)}
    assert first in found
    assert len(found) == 300
    assert len(urls) == kept
