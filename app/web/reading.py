"""How the database is read for a request: versions once for a page, and many pages in one session."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, request

from app.store.database import read_apart, read_together
from app.store.version import keep_versions

View = TypeVar("View", bound=Callable[..., Any])
_READS_TOGETHER = "reads_together"  # an attribute of views


def register(app: Flask) -> None:
    """Call this before anything else can read."""
    app.before_request(_begin)
    app.teardown_request(lambda _error: read_apart())


def reads_together(view: View) -> View:
    """Let all that is read for a request of this view be one session. The view must not wait for others."""
    setattr(view, _READS_TOGETHER, True)
    return view


def _begin() -> None:
    """Let a page ask once whether the database has changed. What changes something asks each time."""
    if request.method not in ("GET", "HEAD"):
        read_apart()
    elif hasattr(current_app.view_functions.get(request.endpoint or ""), _READS_TOGETHER):
        read_together()
    else:
        keep_versions()
