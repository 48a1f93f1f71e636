"""What a monitoring system asks: whether the panel lives, whether everything works, and the figures.

None of these needs a log-in or the panel's host name: monitors ask by an address, or through a proxy that names it
otherwise. So the answers contain nothing of the office, and the figures need a token.
"""

import hmac
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from flask import Blueprint, Response, current_app, jsonify, request

from app.services.monitoring import figures, readiness
from app.services.monitoring.readiness import NO_ANSWER, Readiness
from app.store.brief import Brief
from app.web.context import current_exchange, database, panel_settings, utcnow

blueprint = Blueprint("monitoring", __name__)
READY_SECONDS, READY_OLDEST = 1.0, 10.0
FIGURES_SECONDS, FIGURES_OLDEST = 3.0, 30.0
Value = TypeVar("Value")


@blueprint.get("/healthz")
def alive() -> Response:
    """Answer. Only a process that is alive does, and nothing else is asked."""
    return _plain("ok\n", 200)


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    """Say which part is not ready, with 503 if one is not."""
    db = database()
    found = _brief("readiness", lambda: readiness.check(db, utcnow()), READY_SECONDS, READY_OLDEST)
    state = found or Readiness(database=NO_ANSWER)
    return jsonify(ready=state.is_ready, **asdict(state)), 200 if state.is_ready else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """Send the figures to who knows the token. Without a token in the environment there is no such page."""
    token = panel_settings().metrics_token
    if not token:
        return _plain("not found\n", 404)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode()):
        return _plain("a token is needed\n", 401, {"WWW-Authenticate": "Bearer"})
    db = database()
    text = _brief("figures", lambda: figures.render(db, utcnow()), FIGURES_SECONDS, FIGURES_OLDEST)
    if text is None:
        return _plain("the database does not answer\n", 503, {"Retry-After": "1"})
    return Response(text, content_type=figures.CONTENT_TYPE)


def _plain(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(text, status, headers, content_type="text/plain; charset=utf-8")


def _brief(name: str, read: Callable[[], Value], seconds: float, oldest: float) -> Value | None:
    """Return what `read` returns, read by one thread every few seconds at most."""
    parts = current_app.extensions["bazang"]
    key = f"{name} {current_exchange().code}"
    brief: Brief[Value] = parts.setdefault(key, Brief(read, seconds=seconds, oldest=oldest))
    return brief.get()
