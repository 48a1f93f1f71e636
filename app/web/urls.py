"""URLs of the panel, cached."""

from typing import Any

from cachetools import LRUCache
from flask import Flask, current_app, request, url_for

from app.store.cache import UNVERSIONED, VersionedCache

MAX_URLS = 5000


def register(app: Flask) -> None:
    """Let templates use the cache."""
    app.extensions["bazang_urls"] = VersionedCache(LRUCache(MAX_URLS))
    app.jinja_env.globals["url_for"] = cached_url_for


def cached_url_for(endpoint: str, **values: Any) -> str:
    """Return the same as `url_for`. Pages ask for the same URLs again and again, and building them is slow."""
    if endpoint.startswith(".") or "_external" in values:  # depends on more than the arguments
        return url_for(endpoint, **values)
    urls: VersionedCache = current_app.extensions["bazang_urls"]
    key = request.script_root, endpoint, repr(values)
    return urls.get(key, UNVERSIONED, lambda: url_for(endpoint, **values))
