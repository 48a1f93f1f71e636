"""URLs of the panel, cached."""

from typing import Any

from cachetools import LRUCache
from flask import Flask, current_app, request, url_for

from app.store.cache import UNVERSIONED, VersionedCache

MAX_URLS = 1000
_PLACE = "7000000000000000"  # with three digits more: stands for a number in a cached URL


def register(app: Flask) -> None:
    """Let templates use the cache."""
    app.extensions["bazang_urls"] = VersionedCache(LRUCache(MAX_URLS))
    app.jinja_env.globals["url_for"] = cached_url_for


def cached_url_for(endpoint: str, **values: Any) -> str:
    """Return the same as `url_for`. Pages ask for the same URLs again and again, and building them is slow.

    URLs that differ in whole numbers only, such as those of all requests, are kept once.
    """
    # the first depends on more than the arguments; the last cannot be told from a place
    if endpoint.startswith(".") or "_external" in values or _PLACE in repr(values):
        return url_for(endpoint, **values)
    numbers = {name: value for name, value in values.items() if type(value) is int}
    places = {name: f"{_PLACE}{index:03}" for index, name in enumerate(numbers)}
    shape = values | {name: int(place) for name, place in places.items()}
    urls: VersionedCache = current_app.extensions["bazang_urls"]
    key = request.script_root, endpoint, repr(shape)
    url = urls.get(key, UNVERSIONED, lambda: url_for(endpoint, **shape))
    for name, place in places.items():
        url = url.replace(place, str(numbers[name]))
    return url
