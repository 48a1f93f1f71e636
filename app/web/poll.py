"""The polls of open pages: each page asks once a second for everything on it that may have changed.

Fragments are cached for all readers who see the same. A cached fragment is valid until the database changes, until a
moment it shows has come, or for MAX_AGE. The answer to a poll is 304 while the fragment is unchanged. Browsers count
down by themselves (js/live/countdown.js), so a countdown does not count as a change.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cachetools import TLRUCache
from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request, url_for
from flask_login import current_user, login_required

from app.services.requests import pause
from app.store.cache import Entry, VersionedCache
from app.store.uptime import uptime
from app.web.context import current_exchange, database, stored, utcnow
from app.web.http import is_fragment
from app.web.locale import choose_locale
from app.web.reading import reads_together
from app.web.waiting_counts import current_badges

blueprint = Blueprint("live", __name__)

MAX_AGE = timedelta(seconds=10)  # "3 minutes ago" may have become outdated, or the telephone service may have stopped
MAX_FRAGMENTS = 500
MAX_BYTES = 32 * 1024 * 1024  # of all cached fragments together
_COUNTDOWN = re.compile(r'(data-until="\d+">)[^<]*')

# Returns the HTML, and the next moment at which it changes by itself or None.
BuildFragment = Callable[[datetime], tuple[str, datetime | None]]


@dataclass(frozen=True)
class Fragment:
    """The live part of a page, as it is sent."""

    body: bytes
    etag: str
    lifetime: timedelta


def register(app: Flask) -> None:
    app.extensions["bazang_fragments"] = VersionedCache(fragment_cache())
    app.context_processor(lambda: {"badges": current_badges, "current_pause": _current_pause})


def fragment_cache() -> TLRUCache[Hashable, Entry]:
    """Return a cache for at most MAX_FRAGMENTS and MAX_BYTES."""
    smallest = MAX_BYTES // MAX_FRAGMENTS
    return TLRUCache(
        MAX_BYTES,
        ttu=lambda _key, entry, now: now + entry.value.lifetime,
        timer=lambda: uptime(),  # the wall clock may be put back
        getsizeof=lambda entry: max(len(entry.value.body), smallest),
    )


def respond(build: BuildFragment, arguments: Sequence[str] = ()) -> Response:
    """Answer a poll with the fragment that `build` returns, or with 304 if the browser has it.

    `arguments` are the names of the query arguments that the fragment depends on.
    """
    page = (request.endpoint, *(request.view_args or {}).values(), *(request.args.get(name) for name in arguments))
    where = current_exchange().code, request.script_root, len(current_user.exchanges) > 1
    key = (where, page, choose_locale(), current_user.role, current_user.extensions)
    cache = current_app.extensions["bazang_fragments"]
    fragment = cache.get(key, database().version.read(), lambda: _build(build, utcnow()))
    is_unchanged = request.if_none_match.contains_weak(fragment.etag)  # proxies that compress make it weak
    response = Response(status=304) if is_unchanged else Response(fragment.body, mimetype="text/html")
    response.set_etag(fragment.etag)
    return response


def _build(build: BuildFragment, now: datetime) -> Fragment:
    html, changes_at = build(now)
    etag = sha256(_COUNTDOWN.sub(r"\1", html).encode()).hexdigest()[:20]
    lifetime = min(MAX_AGE, changes_at - now) if changes_at is not None and changes_at > now else MAX_AGE
    return Fragment(html.encode(), etag, lifetime)


@blueprint.get("/live", endpoint="common")
@login_required
@reads_together
def poll_shared_parts():
    """Answer the poll of a page without live parts of its own."""
    return respond(lambda _now: (render_template("components/_shared_fragments.html"), None))


@blueprint.get("/live/keys")
@login_required
def keys():
    """Return the list of the keyboard shortcuts, which live/keys.js loads when it is opened."""
    return render_template("components/_keys.html") if is_fragment() else redirect(url_for("guide.index"))


def _current_pause() -> pause.Pause | None:
    return pause.parse_pause(stored())
