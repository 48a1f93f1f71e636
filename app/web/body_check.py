"""Refuse requests that send too much, before their body is read."""

from collections.abc import Collection

from flask import Flask, current_app, request
from flask_login import current_user
from werkzeug.exceptions import RequestEntityTooLarge

from app.body_limits import ACCEPTED, ANYBODY, QUESTION, UPLOAD, USER

ADMINISTRATORS = frozenset({"administrator"})


class BodyTooLarge(RequestEntityTooLarge):
    """The request sends more than this visitor may send to this page."""


def register(app: Flask) -> None:
    """Check every request. Call this before anything else looks at the form, which reads the body."""
    app.before_request(_check)


def accept_file(largest: int, roles: Collection[str] = ADMINISTRATORS):
    """Let users of these roles upload a file to a view. `largest`: bytes of the file, which the view itself checks."""

    def decorate(view):
        view.largest_file, view.accepts_files_of = largest, roles
        return view

    return decorate


def largest_file() -> int:
    """Return how many bytes a file of this visitor for this page may have. 0: the page takes no file of theirs."""
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(current_user, "role", "") not in getattr(view, "accepts_files_of", ()):
        return 0
    return int(getattr(view, "largest_file", 0))


def _check():
    size = request.content_length or 0
    request.max_content_length = limit = ANYBODY if size <= ANYBODY else _limit()
    if size > limit:
        raise BodyTooLarge
    return ("", ACCEPTED) if QUESTION in request.environ else None


def _limit() -> int:
    if largest_file() >= USER:
        return UPLOAD
    return USER if current_user.is_authenticated else ANYBODY
