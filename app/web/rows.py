"""Rows of lists, kept rendered: after a change, most of them are as they were."""

from collections.abc import Callable, Hashable

from cachetools import LRUCache
from flask import Flask, current_app, request
from markupsafe import Markup

from app.store.cache import UNVERSIONED, VersionedCache
from app.web.formats import office_zone
from app.web.locale import choose_locale

MAX_PARTS = 800  # that are kept, up to some kB each


def register(app: Flask) -> None:
    app.extensions["bazang_rows"] = VersionedCache(LRUCache(MAX_PARTS))
    app.jinja_env.globals["kept"] = kept


def kept(*shown: Hashable, caller: Callable[[], Markup]) -> Markup:
    """Return a part of a row as `caller` renders it.

    `shown` is all that the part depends on, beside language, time zone and the addresses of this page. It may depend
    neither on the time nor on who reads it.
    """
    key = shown, choose_locale(), office_zone().key, request.script_root
    rows: VersionedCache = current_app.extensions["bazang_rows"]
    return rows.get(key, UNVERSIONED, caller)
