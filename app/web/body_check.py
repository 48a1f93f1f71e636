"""Refuse requests that send too much, before their body is read."""

from flask import Flask, current_app, request
from flask_login import current_user
from werkzeug.exceptions import RequestEntityTooLarge

from app.body_limits import ACCEPTED, ANYBODY, QUESTION, UPLOAD, USER
from app.services.requests.access import SEES_EVERYTHING


class BodyTooLarge(RequestEntityTooLarge):
    """The request sends more than this visitor may send to this page."""


def register(app: Flask) -> None:
    """Check every request. Call this before anything else looks at the form, which reads the body."""
    app.before_request(_check)


def accept_uploads(view):
    """Let administrators upload large files, such as sounds, to a view."""
    view.accepts_uploads_of = frozenset({"administrator"})
    return view


def accept_uploads_of_supervisors(view):
    """Let supervisors and administrators upload large files to a view."""
    view.accepts_uploads_of = SEES_EVERYTHING
    return view


def may_upload() -> bool:
    """Return whether this visitor may upload large files to this page."""
    view = current_app.view_functions.get(request.endpoint or "")
    return getattr(current_user, "role", "") in getattr(view, "accepts_uploads_of", ())


def _check():
    size = request.content_length or 0
    request.max_content_length = limit = ANYBODY if size <= ANYBODY else _limit()
    if size > limit:
        raise BodyTooLarge
    return ("", ACCEPTED) if QUESTION in request.environ else None


def _limit() -> int:
    if may_upload():
        return UPLOAD
    return USER if current_user.is_authenticated else ANYBODY
