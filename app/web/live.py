"""One poll per open page: the line of the telephone side, a pause, the badges, and what the page itself shows.

Nothing is sent while nothing has changed, and nearly nothing is done for it. A view is kept as it was sent last, for
everybody who sees the same; it is good until the database changes, until a moment that it shows has come, or for TICK.
What is asked for again and is still the same is answered by 304. A browser counts down by itself (js/live.js).
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from flask import Blueprint, Flask, Response, current_app, render_template, request
from flask_login import current_user, login_required

from app.services.requests import pause, pending
from app.services.requests.access import Scope, scope_of
from app.services.requests.pending import Badge
from app.store.stamp import DatabaseVersion
from app.web import choose_locale
from app.web.context import cached, database, stored, utcnow

blueprint = Blueprint("live", __name__)

TICK = timedelta(seconds=10)  # after which "3 minutes ago" may read otherwise, or the telephone service be missed
MOST_VIEWS = 500
MOST_BYTES = 32 * 1024 * 1024  # of all views together
_COUNTDOWN = re.compile(r'(data-until="\d+">)[^<]*')  # what a browser counts by itself is no change

Build = Callable[[datetime], tuple[str, datetime | None]]


@dataclass(frozen=True)
class _View:
    stamp: Hashable
    good_until: datetime
    etag: str
    body: bytes


class Views:
    """What was sent last, by what it depends on."""

    def __init__(self, stamp: DatabaseVersion) -> None:
        self._stamp = stamp
        self._views: OrderedDict[Hashable, _View] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, build: Build) -> _View:
        """Return the view, built anew where it is needed: once, however many ask for it in the same moment."""
        stamp, now = self._stamp.read(), utcnow()
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        try:
            with lock:
                known = self._views.get(key)
                if known is None or known.stamp != stamp or now >= known.good_until:
                    known = self._build(stamp, now, build)
                    self._keep(key, known, now)
                return known
        finally:
            with self._lock:
                if key not in self._views:  # there is no such page, or no room for it
                    self._locks.pop(key, None)

    def _build(self, stamp: Hashable, now: datetime, build: Build) -> _View:
        body, changes_at = build(now)
        digest = sha256(_COUNTDOWN.sub(r"\1", body).encode()).hexdigest()[:20]
        good_until = min(now + TICK, changes_at) if changes_at is not None and changes_at > now else now + TICK
        return _View(stamp, good_until, digest, body.encode())

    def _keep(self, key: Hashable, view: _View, now: datetime) -> None:
        """Keep a view, and drop what is over and the oldest of what is too much."""
        with self._lock:
            self._views[key] = view
            self._views.move_to_end(key)
            for old in [old for old, known in self._views.items() if now >= known.good_until]:
                self._drop(old)
            size = sum(len(known.body) for known in self._views.values())
            while len(self._views) > MOST_VIEWS or size > MOST_BYTES:
                oldest = next(iter(self._views))
                size -= len(self._views[oldest].body)
                self._drop(oldest)

    def _drop(self, key: Hashable) -> None:
        del self._views[key]
        lock = self._locks.get(key)
        if lock is not None and not lock.locked():  # else it is being built anew, and will be kept or dropped there
            del self._locks[key]


def register(app: Flask, stamp: DatabaseVersion) -> None:
    app.extensions["bazang_live"] = Views(stamp)
    app.context_processor(lambda: {"arrivals": arrivals, "pause_in_force": _pause})


def answer(build: Build, known: Sequence[str] = ()) -> Response:
    """Answer a poll by what `build` gives: the body, and the moment at which it changes by itself, if it knows one.

    `known` are the arguments of the address on which the body depends.
    """
    user = current_user
    page = (request.endpoint, *(request.view_args or {}).values(), *(request.args.get(name) for name in known))
    key = (page, choose_locale(), user.role, user.extensions)
    view = current_app.extensions["bazang_live"].get(key, build)
    same = view.etag in request.if_none_match
    response = Response(status=304) if same else Response(view.body, mimetype="text/html")
    response.set_etag(view.etag)
    return response


@blueprint.get("/live")
@login_required
def common():
    """Answer a page that shows nothing of its own that changes."""
    return answer(lambda _now: (render_template("components/_live_common.html"), None))


@dataclass(frozen=True)
class Arrivals:
    """`own`: what waits for the user's own phones; `all`: whatever they may see. `rings`: whose arrival is heard."""

    own: Badge
    all: Badge

    @property
    def rings(self) -> Badge:
        return self.own if current_user.extensions else self.all

    @property
    def counts(self) -> dict[str, int]:
        """How many wait, by the page of the navigation that shows them."""
        if current_user.role == "operator":
            return {"mine.index": self.own.waiting}
        counts = {"requests.index": self.all.waiting}
        return counts | {"mine.index": self.own.waiting} if current_user.extensions else counts


def arrivals() -> Arrivals:
    scope = my_scope()
    own = _badge(scope.own()) if scope.extensions else Badge(0, 0)
    return Arrivals(own, _badge(scope) if scope.everything else own)


def _badge(scope: Scope) -> Badge:
    return cached(("badge", scope), lambda: pending.load_badge(database(), scope))


def my_scope() -> Scope:
    return scope_of(current_user)


def _pause() -> pause.Pause | None:
    return pause.parse_pause(stored())
