"""The buttons and the menu of a request, cached. They are the larger part of a row, and change only when it does."""

from collections.abc import Hashable, Sequence

from cachetools import LRUCache
from flask import Flask, current_app, get_template_attribute, request
from markupsafe import Markup

from app.services.requests.pending import PendingRow
from app.store.cache import UNVERSIONED, Entry, VersionedCache
from app.web.locale import choose_locale
from app.web.requests.wording import may_block_numbers

MAX_BYTES = 4 * 1024 * 1024  # of all that is cached together


def register(app: Flask) -> None:
    """Let templates use the cache."""
    cache: LRUCache[Hashable, Entry] = LRUCache(MAX_BYTES, getsizeof=lambda entry: len(entry.value))
    app.extensions["bazang_row_actions"] = VersionedCache(cache)
    app.jinja_env.globals["row_actions"] = row_actions


def row_actions(row: PendingRow, phones: Sequence[str] = (), *, filled: bool = False) -> Markup:
    """Return the buttons and the menu of a request for this user; see the macro `actions`."""

    def render() -> Markup:
        html: Markup = get_template_attribute("requests/_request_actions.html", "actions")(row, phones, filled)
        return html

    shown = row.id, row.version, row.number, row.status, row.priority, tuple(phones), bool(filled)
    key = request.script_root, choose_locale(), may_block_numbers(), *shown
    kept: VersionedCache = current_app.extensions["bazang_row_actions"]
    return kept.get(key, UNVERSIONED, render)
